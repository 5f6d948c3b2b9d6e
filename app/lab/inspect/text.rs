//! A report for people in a terminal, 100 columns wide.

use super::cost::Layer;
use super::report::Report;
use super::rules::{Level, Rule, Verdict};
use spotter_core::base::text::{printable, without_name};
use spotter_core::model::chip::Chip;
use spotter_core::vision::tensor::TensorInfo;

/// Columns.
const WIDTH: usize = 100;
/// Where values stand behind their names.
const VALUES: usize = 14;
/// Layers listed as the most costly.
const COSTLY: usize = 8;
/// The longest bar, in columns.
const BAR: usize = 28;

/// A number in three digits: "950", "13.6 k", "2.31 G".
pub fn short(number: u64) -> String {
    let units = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    let value = number as f64;
    match units.iter().find(|(size, _)| value >= *size * 0.9995) {
        None => number.to_string(),
        Some((size, unit)) => {
            let value = value / size;
            let digits = if value < 9.995 {
                2
            } else if value < 99.95 {
                1
            } else {
                0
            };
            format!("{value:.digits$} {unit}")
        }
    }
}

/// Bytes in MiB or KiB.
pub fn bytes(size: usize) -> String {
    match size {
        0..1024 => format!("{size} bytes"),
        1024..1_048_576 => format!("{:.0} KiB", size as f64 / 1024.0),
        _ => format!("{:.1} MiB", size as f64 / 1_048_576.0),
    }
}

/// The mark of a level.
pub fn mark(level: Level) -> &'static str {
    match level {
        Level::Pass => "✓",
        Level::Warn => "!",
        Level::Fail => "✗",
    }
}

/// The report; the rules of `chip`, or a line for each chip.
pub fn render(report: &Report, chip: Option<Chip>) -> String {
    let mut out = String::new();
    push(&mut out, &printable(&report.name, WIDTH));
    if let Some(title) = &report.title {
        push(&mut out, title);
    }
    push(&mut out, "");
    for (name, value) in facts(report) {
        paragraph(&mut out, &format!("  {name}"), VALUES, &value);
    }
    costly(&mut out, report);
    match chip {
        Some(chip) => rules(&mut out, report, chip),
        None => chips(&mut out, report),
    }
    out
}

fn push(out: &mut String, line: &str) {
    out.push_str(&line.trim_end().replace('\u{a0}', " "));
    out.push('\n');
}

/// What is known of the model: name and value, in the order they are shown.
pub fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let neck = report.backbone.neck.as_ref().map(|neck| format!(", {neck} neck")).unwrap_or_default();
    let evidence = printable(&report.backbone.evidence, 200);
    facts.push(("backbone", format!("{}{neck} ({evidence})", printable(&report.backbone.name, 80))));
    facts.push(("head", head(report)));
    if let Some(labels) = &report.labels {
        let names: Vec<String> = labels.names().iter().take(5).map(|name| printable(name, 24)).collect();
        let more = if labels.len() > names.len() { ", …" } else { "" };
        facts.push(("labels", format!("{}: {}{more}", printable(&labels.source, 80), names.join(", "))));
    }
    let listed = |tensors: &[TensorInfo]| {
        let mut lines: Vec<String> = tensors.iter().take(6).map(tensor).collect();
        if tensors.len() > lines.len() {
            lines.push(format!("and {} more", tensors.len() - lines.len()));
        }
        if lines.is_empty() { "none".to_string() } else { lines.join("\n") }
    };
    facts.push((if report.inputs.len() == 1 { "input" } else { "inputs" }, listed(&report.inputs)));
    facts.push((if report.outputs.len() == 1 { "output" } else { "outputs" }, listed(&report.outputs)));
    facts.push(("weights", weights(report)));
    facts.push(("cost", cost(report)));
    facts.push(("operators", operators(report)));
    if !report.description.trim().is_empty() {
        facts.push(("converter", printable(report.description.trim(), 160)));
    }
    if let Some(signature) = report.signatures.first() {
        let more = match report.signatures.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        facts.push(("signature", format!("{}{more}", printable(&signature.key, 80))));
    }
    if !report.metadata.is_empty() {
        let entries = report.metadata.iter().take(6);
        let entries: Vec<String> =
            entries.map(|(name, size)| format!("{} ({})", printable(name, 40), bytes(*size))).collect();
        facts.push(("metadata", entries.join(", ")));
    }
    facts.push((
        "runs here",
        match &report.refusal {
            None => "yes, with TensorFlow Lite on the processor".to_string(),
            Some(why) => format!("no: {}", without_name(why, &report.name)),
        },
    ));
    facts
}

fn head(report: &Report) -> String {
    let classes = report.classes.map(|classes| format!(", {classes} classes")).unwrap_or_default();
    match (&report.head, &report.head_reason) {
        (Some(head), _) => format!("{}{classes}", printable(head, 80)),
        (None, Some(why)) => format!("unknown: {}", without_name(why, &report.name)),
        (None, None) => "unknown".to_string(),
    }
}

fn tensor(tensor: &TensorInfo) -> String {
    let shape: Vec<String> = tensor.shape.iter().map(usize::to_string).collect();
    let quantisation = tensor
        .quantisation
        .map(|q| format!(", real = (q − {}) × {}", q.zero_point, significant(q.scale)))
        .unwrap_or_default();
    let name =
        if tensor.name.is_empty() { String::new() } else { format!("  {}", printable(&tensor.name, 44)) };
    let shape =
        if shape.is_empty() { "[set when it runs]".to_string() } else { format!("[{}]", shape.join(",")) };
    format!("{shape} {}{quantisation}{name}", tensor.dtype)
}

/// Four significant digits, as short as can be.
fn significant(scale: f32) -> String {
    let rounded: f32 = format!("{scale:.3e}").parse().unwrap_or(scale);
    rounded.to_string()
}

fn weights(report: &Report) -> String {
    let found = &report.quantisation;
    let layers = found.per_tensor + found.per_channel + found.float;
    if layers == 0 {
        return "not to be seen".to_string();
    }
    let kinds = [
        (found.per_tensor, "per-tensor"),
        (found.per_channel, "per-channel"),
        (found.float, "not quantised"),
    ];
    let kinds: Vec<String> = kinds
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, kind)| format!("{kind} in {count} of {layers} layers"))
        .collect();
    let zeros =
        found.zeros.map(|share| format!("; {:.1} % are exactly 0", share * 100.0)).unwrap_or_default();
    format!("{}, {}{zeros}", found.types.join(" and "), kinds.join(", "))
}

fn cost(report: &Report) -> String {
    let mut parts = Vec::new();
    parts.extend(report.macs.map(|macs| format!("{}MACs", short(macs))));
    parts.extend(report.parameters.map(|count| format!("{} parameters", short(count))));
    parts.push(bytes(report.file_size));
    parts.join(", ")
}

fn operators(report: &Report) -> String {
    let sum: usize = report.operators.iter().map(|(_, count)| count).sum();
    if sum == 0 {
        return "not to be seen".to_string();
    }
    let listed = report.operators.iter().take(16);
    let mut listed: Vec<String> =
        listed.map(|(name, count)| format!("{count} {}", printable(name, 40))).collect();
    if report.operators.len() > listed.len() {
        listed.push("…".to_string());
    }
    format!("{sum}: {}", listed.join(", "))
}

/// A name and a text behind it, wrapped. Line ends in the text stay.
fn paragraph(out: &mut String, name: &str, indent: usize, text: &str) {
    let mut lead = format!("{name:<indent$}");
    if lead.chars().count() > indent {
        lead.push(' ');
    }
    let hang = " ".repeat(indent);
    for part in text.split('\n') {
        // A number stays with its sign.
        let part = part.replace(" %", "\u{a0}%");
        let mut line = std::mem::replace(&mut lead, hang.clone());
        let mut empty = true;
        for word in part.split(' ').flat_map(|word| pieces(word, WIDTH - indent)) {
            let room = WIDTH.saturating_sub(line.chars().count());
            if !empty && word.chars().count() + 1 > room {
                push(out, &line);
                line = hang.clone();
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            line.push_str(&word);
            empty = false;
        }
        push(out, &line);
    }
}

/// A word in pieces of at most `width` characters.
fn pieces(word: &str, width: usize) -> Vec<String> {
    if word.len() <= width {
        return vec![word.to_string()];
    }
    let letters: Vec<char> = word.chars().collect();
    letters.chunks(width.max(1)).map(String::from_iter).collect()
}

fn costly(out: &mut String, report: &Report) {
    let layers = report.costliest(COSTLY);
    let (Some(most), Some(macs)) = (layers.first().map(|layer| layer.macs), report.macs) else { return };
    push(out, "");
    push(out, "Most costly layers");
    for layer in layers {
        let share = layer.macs as f64 / macs.max(1) as f64;
        let length = (layer.macs as f64 / most.max(1) as f64 * BAR as f64).round().max(1.0) as usize;
        let line = format!(
            "  {:>4}  {:<18} {:<8} {:<14} {:>7}MACs {:>5.1} %  {}",
            layer.index,
            printable(&layer.operator, 18),
            window(layer),
            sides(&layer.output),
            short(layer.macs),
            share * 100.0,
            "█".repeat(length)
        );
        push(out, &line);
    }
}

/// "3×3 /2": the window and the step where it is not 1.
pub fn window(layer: &Layer) -> String {
    let step = match layer.stride {
        Some([1, 1]) | None => String::new(),
        Some([height, width]) if height == width => format!(" /{height}"),
        Some([height, width]) => format!(" /{height},{width}"),
    };
    layer.kernel.map_or_else(String::new, |[height, width]| format!("{height}×{width}{step}"))
}

/// "320×320×24".
pub fn sides(shape: &[usize]) -> String {
    let shape = if shape.first() == Some(&1) { &shape[1..] } else { shape };
    let sides: Vec<String> = shape.iter().map(usize::to_string).collect();
    sides.join("×")
}

/// "fails 1 rule, 2 warnings".
pub fn summary(verdict: &Verdict) -> String {
    let plural = |count: usize, thing: &str| format!("{count} {thing}{}", if count == 1 { "" } else { "s" });
    let (fails, warns) = (verdict.count(Level::Fail), verdict.count(Level::Warn));
    match verdict.verdict {
        Level::Pass => "runs well".to_string(),
        Level::Warn => format!("runs, with {}", plural(warns, "warning")),
        Level::Fail if warns == 0 => format!("does not run: {}", plural(fails, "rule") + " failed"),
        Level::Fail => {
            format!("does not run: {} failed, {}", plural(fails, "rule"), plural(warns, "warning"))
        }
    }
}

/// Rules from bad to good.
pub fn worst_first(verdict: &Verdict) -> Vec<&Rule> {
    let mut rules: Vec<&Rule> = verdict.rules.iter().collect();
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.level));
    rules
}

fn rules(out: &mut String, report: &Report, chip: Chip) {
    let Some(verdict) = report.verdict(chip) else { return };
    push(out, "");
    push(out, &format!("{}: {}", chip.title(), summary(verdict)));
    let widest = verdict.rules.iter().map(|rule| rule.id.len()).max().unwrap_or(0);
    for rule in worst_first(verdict) {
        paragraph(
            out,
            &format!("  {} {}", mark(rule.level), rule.id),
            widest + 6,
            &printable(&rule.message, 1000),
        );
    }
}

/// What is wrong, without how to mend it.
fn clause(message: &str) -> String {
    printable(message.split(';').next().unwrap_or(message), 200)
}

fn chips(out: &mut String, report: &Report) {
    push(out, "");
    push(out, "Chips (--chip NAME shows the rules)");
    for (chip, verdict) in &report.chips {
        push(out, &format!("  {} {:<9} {}", mark(verdict.verdict), chip.title(), summary(verdict)));
        if verdict.verdict > Level::Pass {
            let reasons = report.reasons(*chip);
            let shown: Vec<String> = match verdict.verdict {
                // What keeps it from running is worth a line each.
                Level::Fail => {
                    reasons.iter().map(|rule| format!("{}: {}", rule.id, clause(&rule.message))).collect()
                }
                _ => vec![reasons.iter().map(|rule| rule.id).collect::<Vec<_>>().join(", ")],
            };
            paragraph(out, "", VALUES, &shown.join("\n"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        for (number, text) in [
            (0, "0"),
            (950, "950"),
            (999, "999"),
            (1000, "1.00 k"),
            (13_640, "13.6 k"),
            (999_900, "1.00 M"),
            (300_800_000, "301 M"),
            (2_314_000_000, "2.31 G"),
            (u64::MAX, "18446744 T"),
        ] {
            assert_eq!(short(number), text);
        }
        assert_eq!([bytes(488), bytes(525_598), bytes(4_183_312)], ["488 bytes", "513 KiB", "4.0 MiB"]);
        assert_eq!(
            [significant(0.003_921_568_6), significant(0.25), significant(1.5e-7)],
            ["0.003922", "0.25", "0.00000015"]
        );
    }

    #[test]
    fn text_is_wrapped_under_its_beginning() {
        let mut out = String::new();
        paragraph(&mut out, "  name", 10, &"word ".repeat(40));
        assert!(out.lines().all(|line| line.chars().count() <= WIDTH), "{out}");
        assert!(out.starts_with("  name    word word"), "{out}");
        assert!(out.lines().skip(1).all(|line| line.starts_with("          word")), "{out}");
        let mut out = String::new();
        paragraph(&mut out, "n", 4, &"x".repeat(300));
        assert_eq!(out.lines().count(), 4, "{out}");
        assert!(out.lines().all(|line| line.chars().count() <= WIDTH), "{out}");
    }
}
