//! A report as one page that needs nothing else: no script, no picture, no network.

use std::fmt::Write;

use super::cost::Layer;
use super::report::Report;
use super::rules::Verdict;
use super::text::{bytes, facts, mark, short, sides, summary, window, worst_first};
use spotter_core::base::text::printable;
use spotter_core::model::chip::Chip;

/// Layers in the table below the chart.
const LISTED: usize = 24;
/// Bars in the chart at most; more would be thinner than a pixel.
const BARS: usize = 1000;
/// Size of the chart in its own units.
const CHART: (f64, f64) = (960.0, 220.0);
/// Room for the numbers left of the bars and above them.
const LEFT: f64 = 104.0;
const TOP: f64 = 16.0;

const STYLE: &str = include_str!("style.css");

/// Text with the characters that mean something in HTML written out.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// The page; the rules of `chip`, or of every chip to be opened.
pub fn render(report: &Report, chip: Option<Chip>) -> String {
    let name = escape(&printable(&report.name, 200));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{name} – Spotter</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{name}</h1>\n"
    );
    if let Some(title) = &report.title {
        page += &format!("<p class=\"title\">{}</p>\n", escape(title));
    }
    page += &figures(report);
    page += &chips(report, chip);
    page += &chart(report);
    page += &table(report);
    page += "<h2>The file</h2>\n<dl>\n";
    for (name, value) in facts(report) {
        let value = escape(&value).replace('\n', "<br>");
        page += &format!("<dt>{name}</dt><dd>{value}</dd>\n");
    }
    page + "</dl>\n</main>\n</body>\n</html>\n"
}

/// The four numbers that matter first.
fn figures(report: &Report) -> String {
    let input = report.inputs.first().map(|input| match input.shape[..] {
        [_, 3, height, width] if report.format == "cavalry" => format!("{width} × {height}"),
        [_, height, width, _] => format!("{width} × {height}"),
        _ => sides(&input.shape),
    });
    let all = [
        ("backbone", Some(printable(&report.backbone.name, 40))),
        ("input", input),
        ("MACs", report.macs.map(short)),
        ("parameters", report.parameters.map(short)),
        ("file", Some(bytes(report.file_size))),
    ];
    let mut out = "<div class=\"figures\">\n".to_string();
    for (name, value) in all.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        let _ = writeln!(out, "<div><b>{}</b><span>{name}</span></div>", escape(&value));
    }
    out + "</div>\n"
}

fn chips(report: &Report, chip: Option<Chip>) -> String {
    let mut out = match chip {
        Some(chip) => format!("<h2>On {}</h2>\n", chip.title()),
        None => "<h2>On each chip</h2>\n".to_string(),
    };
    for (known, verdict) in &report.chips {
        if chip.is_none_or(|chip| chip == *known) {
            let open = if chip.is_some() { " open" } else { "" };
            let level = verdict.verdict.name();
            let _ = writeln!(
                out,
                "<details{open}><summary><i class=\"{level}\">{}</i> <b>{}</b> <span>{}</span></summary>",
                mark(verdict.verdict),
                known.title(),
                summary(verdict)
            );
            out += &rules(verdict);
            out += "</details>\n";
        }
    }
    out
}

fn rules(verdict: &Verdict) -> String {
    let mut out = "<ul>\n".to_string();
    for rule in worst_first(verdict) {
        let message = escape(&printable(&rule.message, 1000));
        let (level, sign) = (rule.level.name(), mark(rule.level));
        let _ = writeln!(
            out,
            "<li><i class=\"{level}\" title=\"{level}\">{sign}</i><code>{}</code><p>{message}</p></li>",
            rule.id
        );
    }
    out + "</ul>\n"
}

/// What kind of layer a bar is, for its colour.
fn kind(layer: &Layer) -> &'static str {
    match layer.operator.as_str() {
        "CONV_2D" => "regular",
        "DEPTHWISE_CONV_2D" => "depthwise",
        _ => "other",
    }
}

/// A bar for each layer that multiplies, in the order they run.
fn chart(report: &Report) -> String {
    let layers: Vec<&Layer> = report.layers.iter().filter(|layer| layer.macs > 0).take(BARS).collect();
    let (Some(most), Some(macs)) = (layers.iter().map(|layer| layer.macs).max(), report.macs) else {
        return String::new();
    };
    let (width, height) = CHART;
    let step = (width - LEFT) / layers.len() as f64;
    let mut out = format!(
        "<h2>Cost of each layer</h2>\n<figure>\n<svg viewBox=\"0 0 {width} {}\" role=\"img\" \
         aria-label=\"MACs of {} layers in the order they run\">\n",
        height + TOP + 34.0,
        layers.len()
    );
    for share in [0.0, 0.5, 1.0] {
        let y = TOP + height * (1.0 - share);
        let label = short((most as f64 * share) as u64);
        let _ = writeln!(
            out,
            "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{width}\"/><text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{label}</text>",
            LEFT - 8.0,
            y + 5.0
        );
    }
    for (place, layer) in layers.iter().enumerate() {
        let tall = (layer.macs as f64 / most as f64 * height).max(1.0);
        let (x, y) = (LEFT + place as f64 * step, TOP + height - tall);
        let _ = writeln!(
            out,
            "<rect class=\"{}\" x=\"{x:.2}\" y=\"{y:.1}\" width=\"{:.2}\" height=\"{tall:.1}\"><title>layer {}: {} {}, {}, {}MACs, {:.1} %</title></rect>",
            kind(layer),
            (step * 0.84).max(0.3),
            layer.index,
            escape(&printable(&layer.operator, 40)),
            window(layer),
            sides(&layer.output),
            short(layer.macs),
            layer.macs as f64 / macs.max(1) as f64 * 100.0
        );
    }
    let (first, last) = (layers.first().map_or(0, |l| l.index), layers.last().map_or(0, |l| l.index));
    let _ = writeln!(
        out,
        "<text x=\"{LEFT}\" y=\"{0:.1}\">layer {first}</text><text class=\"end\" x=\"{width}\" y=\"{0:.1}\">layer {last}</text>\n</svg>",
        height + TOP + 28.0
    );
    let share = |wanted: &str| {
        let part: u64 =
            layers.iter().filter(|l| kind(l) == wanted).fold(0, |sum, l| sum.saturating_add(l.macs));
        part as f64 / macs.max(1) as f64 * 100.0
    };
    out += "<figcaption>";
    for (class, name) in [("regular", "convolutions"), ("depthwise", "depthwise"), ("other", "others")] {
        if layers.iter().any(|layer| kind(layer) == class) {
            let _ = write!(
                out,
                "<span><svg viewBox=\"0 0 10 10\"><rect class=\"{class}\" width=\"10\" height=\"10\"/></svg>{name} {:.1} %</span>",
                share(class)
            );
        }
    }
    out + "</figcaption>\n</figure>\n"
}

fn table(report: &Report) -> String {
    let layers = report.costliest(LISTED);
    let (Some(macs), false) = (report.macs, layers.is_empty()) else { return String::new() };
    let mut out = "<h2>Most costly layers</h2>\n<div class=\"scroll\"><table>\n<thead><tr><th>layer</th><th>operator</th>\
                   <th>window</th><th>output</th><th>MACs</th><th>share</th><th>parameters</th></tr></thead>\n<tbody>\n"
        .to_string();
    for layer in layers {
        let _ = writeln!(
            out,
            "<tr title=\"{}\"><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.1} %</td><td>{}</td></tr>",
            escape(&printable(&layer.name, 160)),
            layer.index,
            escape(&printable(&layer.operator, 40)),
            window(layer),
            sides(&layer.output),
            short(layer.macs),
            layer.macs as f64 / macs.max(1) as f64 * 100.0,
            short(layer.parameters)
        );
    }
    out + "</tbody>\n</table></div>\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::rules::Level;

    #[test]
    fn what_means_something_in_html_is_written_out() {
        assert_eq!(escape("<b a=\"1\" c='2'>&"), "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;");
    }

    #[test]
    fn levels_have_a_style() {
        for level in [Level::Pass, Level::Warn, Level::Fail] {
            assert!(STYLE.contains(&format!(".{}", level.name())), "{level:?}");
        }
        for class in [".regular", ".depthwise", ".other", ".figures", ".scroll", "prefers-color-scheme: dark"]
        {
            assert!(STYLE.contains(class), "{class}");
        }
    }
}
