//! What `spotter eval` says: a page for people, JSON for programs.

use std::fmt;

use serde_json::{Value, json};

use super::classification::Accuracy;
use super::coco::{Category, Evaluation, Size};
use super::files::listed;
use super::table::{Table, share};
use spotter_core::base::text::{count, plain};
use spotter_core::model::labels::Labels;

/// Names at most that a line lists.
const LISTED: usize = 12;

/// What was evaluated, in either task.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// The model's file name.
    pub model: String,
    /// What ran it.
    pub backend: String,
    /// The file of the annotations or the truths.
    pub truth: String,
    /// Pictures that were looked at.
    pub images: usize,
    /// Pictures that were left out because they are not there.
    pub missing: Vec<String>,
    /// How long it took, without loading the model.
    pub seconds: f64,
}

impl Run {
    fn json(&self, task: &str) -> Value {
        json!({
            "model": self.model,
            "backend": self.backend,
            "truth": self.truth,
            "task": task,
            "images": self.images,
            "missing": self.missing,
            "seconds": (self.seconds * 1e3).round() / 1e3,
        })
    }

    fn end(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.missing.is_empty() {
            let names: Vec<String> = self.missing.iter().map(|name| plain(name)).collect();
            writeln!(f, "  {} left out, not there: {}", count(names.len(), "picture"), listed(&names))?;
        }
        let each = self.seconds * 1e3 / self.images.max(1) as f64;
        writeln!(f, "  {:.1} s, {each:.0} ms a picture with decoding, on {}", self.seconds, self.backend)
    }
}

/// Eight decimals: more than anyone needs and no tail of rounding.
fn rounded(value: Option<f64>) -> Option<f64> {
    value.map(|value| (value * 1e8).round() / 1e8)
}

/// Objects: average precision and recall.
pub struct DetectionReport<'a> {
    /// What was evaluated.
    pub run: Run,
    pub evaluation: &'a Evaluation,
    /// Names of the categories, in the order of the figures.
    pub categories: &'a [String],
    /// The score from which detections count for precision and recall.
    pub threshold: f32,
    /// Categories that are no class of the model, by place.
    pub unmatched: &'a [usize],
}

impl DetectionReport<'_> {
    fn unmatched(&self) -> Vec<&str> {
        self.unmatched.iter().filter_map(|place| self.categories.get(*place)).map(String::as_str).collect()
    }

    /// mAP over the categories that are classes of the model.
    fn map_matched(&self) -> Option<f64> {
        let known = |place: &usize| !self.unmatched.contains(place);
        let places = (0..self.evaluation.categories.len()).filter(known);
        self.evaluation.map_over(places)
    }

    /// Names and figures of the categories, best first; those without objects last.
    fn ranked(&self, kept: impl Fn(usize, &Category) -> bool) -> Vec<(&str, &Category)> {
        let names = self.categories.iter().map(String::as_str);
        let all = names.zip(&self.evaluation.categories).enumerate();
        let mut ranked: Vec<_> =
            all.filter(|(place, (_, category))| kept(*place, category)).map(|(_, named)| named).collect();
        let ap = |category: &Category| category.ap().unwrap_or(-1.0);
        ranked.sort_by(|a, b| ap(b.1).total_cmp(&ap(a.1)).then(b.1.objects.cmp(&a.1.objects)));
        ranked
    }

    /// All figures; `null` where there is nothing to find.
    pub fn json(&self) -> Value {
        let evaluation = self.evaluation;
        let threshold = f64::from(self.threshold);
        let counts = evaluation.at_score(threshold);
        let [ar1, ar10, ar100] = evaluation.average_recalls().map(rounded);
        let mut report = self.run.json("detection");
        let figures = json!({
            "map": rounded(evaluation.map(Size::All)),
            "map50": rounded(evaluation.map50()),
            "map75": rounded(evaluation.map75()),
            "map_matched": rounded(self.map_matched()),
            "map_small": rounded(evaluation.map(Size::Small)),
            "map_medium": rounded(evaluation.map(Size::Medium)),
            "map_large": rounded(evaluation.map(Size::Large)),
            "ar1": ar1,
            "ar10": ar10,
            "ar100": ar100,
            "ar_small": rounded(evaluation.average_recall(Size::Small)),
            "ar_medium": rounded(evaluation.average_recall(Size::Medium)),
            "ar_large": rounded(evaluation.average_recall(Size::Large)),
            "threshold": (threshold * 1e6).round() / 1e6,
            "precision": rounded(counts.precision()),
            "recall": rounded(counts.recall()),
            "objects": counts.objects,
            "hits": counts.hits,
            "wrong": counts.wrong,
            "unmatched": self.unmatched(),
            "per_class": self.ranked(|_, _| true).into_iter().map(|(name, category)| {
                let counts = category.at_score(threshold);
                json!({
                    "category": name,
                    "objects": category.objects,
                    "ap": rounded(category.ap()),
                    "ap50": rounded(category.ap50()),
                    "ap75": rounded(category.ap75()),
                    "ar100": rounded(category.ar100()),
                    "precision": rounded(counts.precision()),
                    "recall": rounded(counts.recall()),
                    "hits": counts.hits,
                    "wrong": counts.wrong,
                })
            }).collect::<Vec<_>>(),
        });
        extend(&mut report, figures);
        report
    }

    /// What is to be known of categories that the model lacks.
    fn end_unmatched(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unmatched: Vec<String> = self.unmatched().into_iter().map(plain).collect();
        if unmatched.is_empty() {
            return Ok(());
        }
        let names = unmatched[..unmatched.len().min(LISTED)].join(", ");
        let more = if unmatched.len() > LISTED { ", …" } else { "" };
        writeln!(f, "  {} of the categories are no class of this model: {names}{more}", unmatched.len())?;
        let objects = self.unmatched.iter().filter_map(|place| self.evaluation.categories.get(*place));
        match objects.filter(|category| category.objects > 0).count() {
            0 => Ok(()),
            lacking => writeln!(
                f,
                "  {lacking} of these have objects here and count as not found; mAP of the others is {}",
                share(self.map_matched())
            ),
        }
    }
}

/// Adds the fields of one object to another.
fn extend(report: &mut Value, figures: Value) {
    if let (Value::Object(report), Value::Object(figures)) = (report, figures) {
        report.extend(figures);
    }
}

impl fmt::Display for DetectionReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, evaluation, threshold, .. } = self;
        let counts = evaluation.at_score(f64::from(*threshold));
        let with_objects = evaluation.categories.iter().filter(|category| category.objects > 0).count();
        writeln!(f, "{}", plain(&run.model))?;
        writeln!(
            f,
            "on {}: {}, {} of {}\n",
            run.truth,
            count(run.images, "picture"),
            count(counts.objects, "object"),
            count(with_objects, "category"),
        )?;
        let [ar1, ar10, ar100] = evaluation.average_recalls();
        let mut figures = Table::new(&["", "mAP", "AR"]);
        for (name, map, recall) in [
            ("overlap 0.50 to 0.95", evaluation.map(Size::All), ar100),
            ("overlap 0.50", evaluation.map50(), None),
            ("overlap 0.75", evaluation.map75(), None),
            (
                "small, under 32×32 pixels",
                evaluation.map(Size::Small),
                evaluation.average_recall(Size::Small),
            ),
            ("medium", evaluation.map(Size::Medium), evaluation.average_recall(Size::Medium)),
            ("large, over 96×96 pixels", evaluation.map(Size::Large), evaluation.average_recall(Size::Large)),
            ("1 detection a picture", None, ar1),
            ("10 detections a picture", None, ar10),
        ] {
            let cell = |value: Option<f64>| value.map_or_else(String::new, |value| share(Some(value)));
            figures.row([name.to_owned(), cell(map), cell(recall)]);
        }
        writeln!(f, "{figures}")?;
        writeln!(
            f,
            "  from a score of {threshold}: precision {}, recall {} ({} of {} found, {} wrong)\n",
            share(counts.precision()),
            share(counts.recall()),
            counts.hits,
            counts.objects,
            counts.wrong,
        )?;
        let mut table =
            Table::new(&["category", "objects", "AP", "AP 50", "AP 75", "AR 100", "precision", "recall"]);
        for (name, category) in self.ranked(|place, c| c.objects > 0 && !self.unmatched.contains(&place)) {
            let counts = category.at_score(f64::from(*threshold));
            let figures = [category.ap(), category.ap50(), category.ap75(), category.ar100()];
            let shares = figures.into_iter().chain([counts.precision(), counts.recall()]).map(share);
            table.row([name.to_owned(), category.objects.to_string()].into_iter().chain(shares));
        }
        writeln!(f, "{table}")?;
        let empty = evaluation.categories.len() - with_objects;
        if empty > 0 {
            writeln!(f, "  {empty} of the categories have no object here and count for nothing")?;
        }
        self.end_unmatched(f)?;
        run.end(f)
    }
}

/// Classes of whole pictures.
pub struct ClassificationReport<'a> {
    /// What was evaluated.
    pub run: Run,
    pub accuracy: &'a Accuracy,
    /// Names of the model's classes.
    pub labels: &'a Labels,
}

impl ClassificationReport<'_> {
    pub fn json(&self) -> Value {
        let mut report = self.run.json("classification");
        let figures = json!({
            "top1": rounded(self.accuracy.all.top1_share()),
            "top5": rounded(self.accuracy.all.top5_share()),
            "per_class": self.accuracy.classes.iter().map(|(class, tally)| json!({
                "class": class,
                "category": self.labels.name(*class),
                "images": tally.images,
                "top1": rounded(tally.top1_share()),
                "top5": rounded(tally.top5_share()),
            })).collect::<Vec<_>>(),
        });
        extend(&mut report, figures);
        report
    }
}

impl fmt::Display for ClassificationReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, accuracy, labels } = self;
        let all = &accuracy.all;
        writeln!(f, "{}", plain(&run.model))?;
        writeln!(
            f,
            "on {}: {} of {}\n",
            run.truth,
            count(run.images, "picture"),
            count(accuracy.classes.len(), "class")
        )?;
        let mut figures = Table::new(&["the right class is", "share", "pictures"]);
        figures.row(["the first answer".to_owned(), share(all.top1_share()), all.top1.to_string()]);
        figures.row(["among the first five".to_owned(), share(all.top5_share()), all.top5.to_string()]);
        writeln!(f, "{figures}")?;
        let mut ranked: Vec<_> = accuracy.classes.iter().collect();
        ranked.sort_by_key(|(_, tally)| std::cmp::Reverse((tally.images, tally.top1, tally.top5)));
        let mut table = Table::new(&["class", "pictures", "first", "first five"]);
        for (class, tally) in ranked {
            let name = labels.name(*class).to_owned();
            table.row([name, tally.images.to_string(), tally.top1.to_string(), tally.top5.to_string()]);
        }
        writeln!(f, "{table}")?;
        run.end(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::coco::evaluate;
    use crate::eval::matching::{Found, Truth};

    fn run() -> Run {
        Run {
            model: "m.tflite".into(),
            backend: "CPU".into(),
            truth: "gt.json".into(),
            images: 2,
            missing: vec!["x\u{7}.jpg".into()],
            seconds: 0.5,
        }
    }

    #[test]
    fn a_detection_report_has_the_agreed_keys_and_a_page() {
        let bbox = [0.0, 0.0, 50.0, 50.0];
        let truths = [Truth { image: 0, category: 1, bbox, area: 2500.0, crowd: false }];
        let founds = [Found { image: 0, category: 1, bbox, score: 0.75 }];
        let evaluation = evaluate(&truths, &founds, 3);
        let categories = ["cat", "dog", "zebra"].map(str::to_owned);
        let report = DetectionReport {
            run: run(),
            evaluation: &evaluation,
            categories: &categories,
            threshold: 0.5,
            unmatched: &[2],
        };
        let json = report.json();
        assert_eq!([&json["map"], &json["map50"], &json["ar100"], &json["precision"]], [&json!(1.0); 4]);
        assert_eq!((&json["images"], &json["map_small"]), (&json!(2), &Value::Null));
        assert_eq!(
            (&json["per_class"][0]["category"], &json["per_class"][0]["ap"]),
            (&json!("dog"), &json!(1.0))
        );
        assert_eq!((&json["per_class"][1]["ap"], &json["unmatched"]), (&Value::Null, &json!(["zebra"])));
        let page = report.to_string();
        for line in [
            "on gt.json: 2 pictures, 1 object of 1 category\n",
            "  overlap 0.50 to 0.95        1.000   1.000\n",
            "  from a score of 0.5: precision 1.000, recall 1.000 (1 of 1 found, 0 wrong)\n",
            "  dog              1   1.000   1.000   1.000    1.000       1.000    1.000\n",
            "  1 of the categories are no class of this model: zebra\n",
            "  1 picture left out, not there: x\u{fffd}.jpg\n",
            "  0.5 s, 250 ms a picture with decoding, on CPU\n",
        ] {
            assert!(page.contains(line), "{line}\nis not in\n{page}");
        }
    }

    #[test]
    fn a_classification_report_has_the_agreed_keys_and_a_page() {
        let mut accuracy = Accuracy::default();
        accuracy.add(1, &[spotter_core::vision::predictions::ClassScore { class: 1, score: 0.9 }]);
        accuracy.add(1, &[spotter_core::vision::predictions::ClassScore { class: 0, score: 0.9 }]);
        let labels = Labels::built_in("voc-20").unwrap();
        let report = ClassificationReport { run: run(), accuracy: &accuracy, labels: &labels };
        let json = report.json();
        assert_eq!((&json["top1"], &json["top5"], &json["images"]), (&json!(0.5), &json!(0.5), &json!(2)));
        assert_eq!(json["per_class"][0]["category"], "bicycle");
        let page = report.to_string();
        assert!(page.contains("  the first answer       0.500          1\n"), "{page}");
        assert!(page.contains("  bicycle          2       1            1\n"), "{page}");
    }
}
