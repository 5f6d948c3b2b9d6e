//! What `spotter compare` says: a page for people, JSON for programs.

use std::fmt;

use serde_json::{Value, json};

use super::compare::{Comparison, MOVED_BELOW, Spread, Tally};
use super::files::listed;
use super::pairing::Limits;
use super::results::Origin;
use super::table::{Table, share};
use spotter_core::base::text::{count, ending, plain};

/// Pictures that differ most that the page lists.
const WORST: usize = 5;
/// Pictures that differ most that the JSON lists.
const WORST_JSON: usize = 50;
/// Labels that the page lists.
const LABELS: usize = 20;
/// Changes of a label that the page lists.
const RELABELLED: usize = 5;

/// One of the two sides.
#[derive(Clone, Debug, Default)]
pub struct Side {
    /// What the user named.
    pub name: String,
    /// What made the answers, where that is known.
    pub origin: Option<Origin>,
}

impl Side {
    fn json(&self) -> Value {
        let settings = self.origin.as_ref().map(|Origin { settings, .. }| {
            json!({
                "confidence": rounded(f64::from(settings.confidence)),
                "iou": rounded(f64::from(settings.iou)),
                "fit": settings.fit,
                "backend": settings.backend,
            })
        });
        json!({
            "name": self.name,
            "model": self.origin.as_ref().map(|origin| &origin.model),
            "model_sha256": self.origin.as_ref().map(|origin| &origin.model_sha256),
            "settings": settings,
        })
    }

    fn lines(&self, f: &mut fmt::Formatter<'_>, letter: char) -> fmt::Result {
        writeln!(f, "{letter}  {}", plain(&self.name))?;
        let Some(Origin { model, settings, .. }) = &self.origin else { return Ok(()) };
        let of = if self.name.ends_with(model.as_str()) { String::new() } else { format!("{model}, ") };
        let text = format!("{of}{}, NMS at {}, {}", settings.fit, settings.iou, settings.backend);
        writeln!(f, "   {}", plain(&text))
    }
}

/// B's answers held against A's, with what they are.
pub struct CompareReport<'a> {
    /// A and B.
    pub sides: [Side; 2],
    /// What made a pair.
    pub limits: Limits,
    pub comparison: &'a Comparison,
}

/// Six decimals.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

fn tally_json(tally: &Tally) -> Value {
    json!({
        "in_a": tally.in_a,
        "in_b": tally.in_b,
        "matched": tally.matched,
        "moved": tally.moved,
        "relabelled": tally.relabelled,
        "lost": tally.lost,
        "lost_below_confidence": tally.lost_faded,
        "new": tally.new,
        "new_below_confidence": tally.new_faded,
        "agreement": tally.agreement().map(rounded),
    })
}

fn differences_json(values: &[f64]) -> Value {
    Spread::of(values).map_or(Value::Null, |spread| {
        json!({
            "mean": rounded(spread.mean),
            "mean_absolute": rounded(spread.mean_absolute),
            "p95": rounded(spread.p95_absolute),
            "max": rounded(spread.max_absolute),
        })
    })
}

/// One object's fields with another's before them.
fn with(mut first: Value, then: Value) -> Value {
    if let (Value::Object(first), Value::Object(then)) = (&mut first, then) {
        first.extend(then);
    }
    first
}

impl CompareReport<'_> {
    /// All figures; `null` where there is nothing to compare.
    pub fn json(&self) -> Value {
        let comparison = self.comparison;
        let labels = comparison.labels.iter();
        let classes = &comparison.classes;
        let head = json!({
            "a": self.sides[0].json(),
            "b": self.sides[1].json(),
            "iou": rounded(f64::from(self.limits.iou)),
            "confidence": rounded(f64::from(self.limits.confidence)),
            "images": comparison.images,
            "only_a": comparison.only_a,
            "only_b": comparison.only_b,
        });
        let figures = json!({
            "score_difference": differences_json(&comparison.score_differences),
            "overlap": Spread::of(&comparison.overlaps).map(|spread| json!({
                "mean": rounded(spread.mean),
                "p05": rounded(spread.p05),
                "min": rounded(spread.min),
            })),
            "classification": (classes.images > 0).then(|| json!({
                "images": classes.images,
                "top1_equal": rounded(classes.top1_equal as f64 / classes.images as f64),
                "top5_equal": rounded(classes.top5_equal as f64 / classes.images as f64),
                "score_difference": differences_json(&comparison.class_differences),
                "changed": comparison.class_changes.iter().take(WORST_JSON)
                    .map(|(file, from, to)| json!({ "file": file, "from": from, "to": to }))
                    .collect::<Vec<_>>(),
            })),
            "per_class": labels
                .map(|(label, tally)| with(json!({ "category": label }), tally_json(tally)))
                .collect::<Vec<_>>(),
            "relabelled_as": comparison.relabelled.iter()
                .map(|((from, to), times)| json!({ "from": from, "to": to, "count": times }))
                .collect::<Vec<_>>(),
            "worst": comparison.worst(WORST_JSON).into_iter()
                .map(|(file, tally)| with(json!({ "file": file }), tally_json(tally)))
                .collect::<Vec<_>>(),
        });
        let mut all = tally_json(&comparison.all);
        all["agreement"] = json!(comparison.agreement().map(rounded));
        with(with(head, all), figures)
    }

    fn objects(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limits, comparison, .. } = self;
        let Tally { in_a, in_b, matched, moved, relabelled, lost, lost_faded, new, new_faded } =
            comparison.all;
        writeln!(f, "; objects from a score of {}: {in_a} in A, {in_b} in B\n", limits.confidence)?;
        let whole = (matched + moved + relabelled + lost + new).max(1) as f64;
        let faded = |times: usize, other: char| match times {
            0 => String::new(),
            _ => format!("; {other} has {times} of them below {}", limits.confidence),
        };
        let mut table = Table::new(&["", "objects", "share"]);
        let mut notes = Vec::new();
        for (name, number, note) in [
            ("matched", matched, format!("same label, overlap from {MOVED_BELOW}")),
            ("moved", moved, format!("same label, overlap {} to {MOVED_BELOW}", limits.iou)),
            ("relabelled", relabelled, "same place, other label".to_owned()),
            ("lost", lost, format!("in A only{}", faded(lost_faded, 'B'))),
            ("new", new, format!("in B only{}", faded(new_faded, 'A'))),
        ] {
            let part = format!("{:.1} %", 100.0 * number as f64 / whole);
            table.row([name.to_owned(), number.to_string(), part]);
            notes.push(note);
        }
        for (line, note) in table.to_string().lines().zip([String::new()].into_iter().chain(notes)) {
            writeln!(f, "{}", format!("{line}   {note}").trim_end())?;
        }
        writeln!(f)?;
        if let (Some(score), Some(overlap)) =
            (Spread::of(&comparison.score_differences), Spread::of(&comparison.overlaps))
        {
            writeln!(
                f,
                "  scores, B less A: mean {:+.4}; absolute mean {:.4}, 95 % up to {:.4}, all up to {:.4}",
                score.mean, score.mean_absolute, score.p95_absolute, score.max_absolute
            )?;
            writeln!(
                f,
                "  overlap of pairs: mean {:.4}, 95 % from {:.4}, all from {:.4}\n",
                overlap.mean, overlap.p05, overlap.min
            )?;
        }
        self.by_label(f)?;
        self.worst(f)
    }

    fn by_label(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let comparison = self.comparison;
        let mut labels: Vec<_> =
            comparison.labels.iter().filter(|(_, tally)| tally.in_a + tally.in_b > 0).collect();
        labels.sort_by_key(|(_, tally)| {
            std::cmp::Reverse((tally.differing(), tally.moved, tally.in_a.max(tally.in_b)))
        });
        if labels.is_empty() {
            return Ok(());
        }
        let mut table =
            Table::new(&["label", "A", "B", "matched", "moved", "relabelled", "lost", "new", "agreement"]);
        for (label, tally) in labels.iter().take(LABELS) {
            let Tally { in_a, in_b, matched, moved, relabelled, lost, new, .. } = tally;
            let numbers = [in_a, in_b, matched, moved, relabelled, lost, new].map(ToString::to_string);
            let cells = [(*label).clone()].into_iter().chain(numbers).chain([share(tally.agreement())]);
            table.row(cells);
        }
        if let Some(rest) = labels.get(LABELS..).filter(|rest| !rest.is_empty()) {
            let sum =
                |part: &dyn Fn(&Tally) -> usize| rest.iter().map(|(_, t)| part(t)).sum::<usize>().to_string();
            table.row([
                count(rest.len(), "other label"),
                sum(&|t| t.in_a),
                sum(&|t| t.in_b),
                sum(&|t| t.matched),
                sum(&|t| t.moved),
                sum(&|t| t.relabelled),
                sum(&|t| t.lost),
                sum(&|t| t.new),
            ]);
        }
        writeln!(f, "{table}")?;
        let mut changes: Vec<_> = comparison.relabelled.iter().collect();
        changes.sort_by_key(|(_, times)| std::cmp::Reverse(**times));
        for ((from, to), times) in changes.iter().take(RELABELLED) {
            writeln!(f, "  {} became {} {}", plain(from), plain(to), count(**times, "time"))?;
        }
        if changes.is_empty() { Ok(()) } else { writeln!(f) }
    }

    fn worst(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let worst = self.comparison.worst(WORST);
        if worst.is_empty() {
            return Ok(());
        }
        let mut table =
            Table::new(&["differ most", "A", "B", "matched", "moved", "relabelled", "lost", "new"]);
        for (file, tally) in worst {
            let Tally { in_a, in_b, matched, moved, relabelled, lost, new, .. } = tally;
            let numbers = [in_a, in_b, matched, moved, relabelled, lost, new].map(ToString::to_string);
            table.row([ending(file)].into_iter().chain(numbers));
        }
        writeln!(f, "{table}")
    }

    fn classes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let classes = &self.comparison.classes;
        let part = |number: usize| share(Some(number as f64 / classes.images.max(1) as f64));
        writeln!(f, "; classes of {} in both\n", classes.images)?;
        let mut table = Table::new(&["", "share", "pictures"]);
        for (name, number) in
            [("same first class", classes.top1_equal), ("same first five, in any order", classes.top5_equal)]
        {
            table.row([name.to_owned(), part(number), number.to_string()]);
        }
        writeln!(f, "{table}")?;
        if let Some(score) = Spread::of(&self.comparison.class_differences) {
            writeln!(
                f,
                "  scores of the same first class, B less A: mean {:+.4}; absolute mean {:.4}, all up to {:.4}\n",
                score.mean, score.mean_absolute, score.max_absolute
            )?;
        }
        let changes = &self.comparison.class_changes;
        if changes.is_empty() {
            return Ok(());
        }
        let mut table = Table::new(&["first class differs", "A", "B"]);
        for (file, from, to) in changes.iter().take(WORST) {
            table.row([ending(file), from.clone(), to.clone()]);
        }
        writeln!(f, "{table}")
    }
}

impl fmt::Display for CompareReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sides, comparison, .. } = self;
        sides[0].lines(f, 'A')?;
        sides[1].lines(f, 'B')?;
        write!(f, "\n{}", count(comparison.images, "picture"))?;
        // A model gives either.
        if comparison.classes.images > 0 {
            self.classes(f)?
        } else {
            self.objects(f)?
        }
        for (letter, only) in [('A', &comparison.only_a), ('B', &comparison.only_b)] {
            if !only.is_empty() {
                let names: Vec<String> = only.iter().map(|name| plain(name)).collect();
                writeln!(f, "  {} only in {letter}: {}", count(only.len(), "picture"), listed(&names))?;
            }
        }
        match comparison.agreement() {
            Some(agreement) => {
                writeln!(f, "  agreement {agreement:.4}: the share that both have with one label")
            }
            None => writeln!(f, "  neither found anything that could be compared"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::compare::compare;
    use crate::eval::results::{Results, Settings};

    fn results(boxes: &[(&str, f32, f32)]) -> Results {
        let objects: Vec<Value> = boxes
            .iter()
            .map(|(label, score, left)| {
                json!({"class": 0, "label": label, "score": score,
                       "box": {"left": left, "top": 0.0, "right": left + 0.4, "bottom": 0.5}})
            })
            .collect();
        let line = json!({"file": "set/a.jpg", "detections": objects}).to_string();
        Results::parse(line.as_bytes(), "r").unwrap()
    }

    #[test]
    fn the_page_and_the_json_say_the_same() {
        let a = results(&[("cat", 0.9, 0.0), ("dog", 0.8, 0.5), ("cup", 0.7, 0.2)]);
        let b = results(&[("cat", 0.8, 0.0), ("cow", 0.8, 0.5), ("cup", 0.25, 0.2)]);
        let limits = Limits { confidence: 0.3, iou: 0.5 };
        let comparison = compare(&a.answers, &b.answers, &limits).unwrap();
        let settings = Settings { confidence: 0.001, iou: 0.6, fit: "stretch".into(), backend: "CPU".into() };
        let origin = Origin { model: "m.tflite".into(), model_sha256: "00".into(), settings };
        let sides = [
            Side { name: "a.json".into(), origin: Some(origin) },
            Side { name: "b.jsonl".into(), origin: None },
        ];
        let report = CompareReport { sides, limits, comparison: &comparison };
        let json = report.json();
        let number = |key: &str| json[key].as_f64().unwrap();
        assert_eq!(
            ["matched", "relabelled", "lost", "lost_below_confidence", "new"].map(number),
            [1.0, 1.0, 1.0, 1.0, 0.0]
        );
        assert_eq!((&json["a"]["settings"]["iou"], &json["b"]["model"]), (&json!(0.6), &Value::Null));
        assert_eq!(json["score_difference"]["mean"], -0.1);
        assert_eq!(json["relabelled_as"], json!([{"from": "dog", "to": "cow", "count": 1}]));
        assert_eq!((&json["worst"][0]["file"], &json["agreement"]), (&json!("set/a.jpg"), &json!(0.333333)));
        let page = report.to_string();
        for line in [
            "A  a.json\n   m.tflite, stretch, NMS at 0.6, CPU\nB  b.jsonl\n\n",
            "1 picture; objects from a score of 0.3: 3 in A, 2 in B\n",
            "  matched            1   33.3 %   same label, overlap from 0.9\n",
            "  lost               1   33.3 %   in A only; B has 1 of them below 0.3\n",
            "  scores, B less A: mean -0.1000; absolute mean 0.1000, 95 % up to 0.1000, all up to 0.1000\n",
            "  dog became cow 1 time\n",
            "  agreement 0.3333: the share that both have with one label\n",
        ] {
            assert!(page.contains(line), "{line}\nis not in\n{page}");
        }
    }
}
