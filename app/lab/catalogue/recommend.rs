//! Which model of the catalogue to take for a chip, by published figures.
//!
//! A published time is that of inference alone, on one camera, with one firmware. So a rate leaves room for
//! the rest, every camera of the chip is told apart, and what is only inferred is called so.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::published::{Accuracy, Metric, Published};
use super::{Catalogue, Entry};
use spotter_core::base::error::{Error, Kind, Result};
use spotter_core::model::chip::Chip;
use spotter_core::model::task::Task;

/// The share of a frame's time that inference must leave to everything else: fetching and scaling the
/// frame, decoding the outputs, and what else the camera does.
pub const MARGIN: f64 = 0.2;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wish {
    /// What will run the model.
    pub chip: Chip,
    /// What the model is for.
    pub task: Task,
    /// Frames a second that it must keep up with.
    pub fps: Option<u16>,
    /// COCO mAP at least, percent.
    pub min_map: Option<f64>,
}

impl Wish {
    /// Milliseconds of a frame that inference may take.
    pub fn budget(&self) -> Option<f64> {
        self.fps.map(|fps| 1000.0 / f64::from(fps) * (1.0 - MARGIN))
    }
}

/// A camera with the chip on which a model was not measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Unmeasured {
    pub camera: String,
    /// How many times as long other models take on it as on a camera on which this one was measured: the
    /// least and the most. `None` where no model was measured on both.
    pub ratio: Option<(f64, f64)>,
}

/// One model and what speaks for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice<'a> {
    /// The model.
    pub entry: &'a Entry,
    /// Its times on this chip, fastest camera first; empty where none is published.
    pub times: Vec<&'a Published>,
    /// How accurate it is, and on which other chip that was measured where it was not this one.
    pub accuracy: Option<(&'a Accuracy, Option<Chip>)>,
    /// Cameras with this chip on which it was not measured.
    pub unmeasured: Vec<Unmeasured>,
    /// The times that are too long for the rate that was asked for.
    pub too_slow: Vec<&'a Published>,
    /// The most accurate model that is faster on every camera and at least as accurate.
    pub beaten_by: Option<&'a str>,
}

impl<'a> Choice<'a> {
    fn of(entry: &'a Entry, wish: &Wish) -> Self {
        let on_chip = |figure: &&Published| figure.chip == wish.chip;
        let mut times: Vec<&Published> = entry.published.iter().filter(on_chip).collect();
        times.sort_by(|a, b| a.ms.total_cmp(&b.ms));
        let here = times.iter().find_map(|figure| figure.accuracy.as_ref()).map(|found| (found, None));
        let elsewhere = || {
            let figure = entry.published.iter().find(|figure| figure.accuracy.is_some())?;
            let accuracy = figure.accuracy.as_ref()?;
            // What was measured on no camera holds for all of them alike.
            Some((accuracy, accuracy.on_camera.then_some(figure.chip)))
        };
        let accuracy = here.or_else(elsewhere);
        let is_too_slow = |figure: &&Published| wish.budget().is_some_and(|budget| figure.ms > budget);
        let too_slow = times.iter().copied().filter(is_too_slow).collect();
        Self { entry, times, accuracy, unmeasured: Vec::new(), too_slow, beaten_by: None }
    }

    /// Milliseconds on the fastest camera.
    pub fn fastest(&self) -> Option<f64> {
        self.times.first().map(|figure| figure.ms)
    }

    /// Percent.
    pub fn accuracy_value(&self) -> Option<f64> {
        self.accuracy.map(|(accuracy, _)| accuracy.value)
    }

    /// COCO mAP in percent.
    fn map(&self) -> Option<f64> {
        self.accuracy.filter(|(accuracy, _)| accuracy.metric == Metric::CocoMap).map(|(found, _)| found.value)
    }

    fn is_accurate_enough(&self, wish: &Wish) -> bool {
        wish.min_map.is_none_or(|wanted| self.map().is_some_and(|map| map >= wanted))
    }

    /// True where at least one measured camera is fast enough.
    fn is_fast_enough(&self, wish: &Wish) -> bool {
        wish.fps.is_none() || self.too_slow.len() < self.times.len()
    }

    /// True where every camera with the chip was measured and is fast enough.
    fn is_fast_everywhere(&self) -> bool {
        self.too_slow.is_empty() && self.unmeasured.is_empty()
    }

    /// Whether `other` is faster on every camera on which this one was measured, and as accurate.
    fn is_beaten_by(&self, other: &Self) -> bool {
        let time = |camera: &str| other.times.iter().find(|figure| figure.camera == camera).map(|f| f.ms);
        let faster = |figure: &&'a Published| time(&figure.camera).is_some_and(|ms| ms < figure.ms);
        let accurate = match (self.accuracy_value(), other.accuracy_value()) {
            (Some(own), Some(other)) => other >= own,
            _ => false,
        };
        accurate && !self.times.is_empty() && self.times.iter().all(faster)
    }
}

/// The models of the catalogue for a wish, best first.
///
/// Where a rate is asked for, models that keep it on every camera with the chip come before those that keep
/// it on some. Then the most accurate comes first; but where only an accuracy is asked for, the fastest.
/// Models without a published time on the chip come last, and are left out where a rate is asked for.
///
/// # Errors
/// [`Kind::NotFound`] where nothing fits: the sentence has the nearest and what to relax.
/// [`Kind::Usage`] where a COCO mAP is asked of a task that has none.
pub fn recommend<'a>(catalogue: &'a Catalogue, wish: &Wish) -> Result<Vec<Choice<'a>>> {
    if wish.min_map.is_some() && wish.task != Task::Detection {
        let text = format!("--min-map is COCO mAP, which {} models do not have; leave it out", wish.task);
        return Err(Error::new(Kind::Usage, text));
    }
    let of_task = || catalogue.models.iter().filter(|entry| entry.task == wish.task && entry.scope.is_none());
    let mut all: Vec<Choice> =
        of_task().filter(|entry| entry.chips.contains(&wish.chip)).map(|e| Choice::of(e, wish)).collect();
    if all.is_empty() {
        let others: Vec<&str> = of_task().map(|entry| entry.name.as_str()).collect();
        let text = format!(
            "the catalogue has no {} model for {}; for other chips it has {}",
            wish.task,
            wish.chip,
            others.join(", ")
        );
        return Err(Error::new(Kind::NotFound, text));
    }
    compare_with_each_other(catalogue, &mut all);
    let fits = |choice: &Choice| choice.is_accurate_enough(wish) && choice.is_fast_enough(wish);
    if !all.iter().any(fits) {
        return Err(nothing_fits(&all, wish));
    }
    all.retain(fits);
    all.sort_by(|a, b| order(a, b, wish));
    Ok(all)
}

fn order(a: &Choice, b: &Choice, wish: &Wish) -> Ordering {
    // What is not known comes after everything that is.
    let faster = || a.fastest().unwrap_or(f64::MAX).total_cmp(&b.fastest().unwrap_or(f64::MAX));
    let more_accurate = || b.accuracy_value().unwrap_or(0.0).total_cmp(&a.accuracy_value().unwrap_or(0.0));
    let everywhere = match wish.fps {
        Some(_) => b.is_fast_everywhere().cmp(&a.is_fast_everywhere()),
        None => Ordering::Equal,
    };
    let known = a.times.is_empty().cmp(&b.times.is_empty());
    let by_wish = match (wish.fps, wish.min_map) {
        (None, Some(_)) => faster().then_with(more_accurate),
        _ => more_accurate().then_with(faster),
    };
    known.then(everywhere).then(by_wish).then_with(|| a.entry.name.cmp(&b.entry.name))
}

/// Fills in what takes all models of the chip: where each was not measured, and which beats it.
fn compare_with_each_other(catalogue: &Catalogue, all: &mut [Choice]) {
    let cameras: BTreeSet<&str> =
        all.iter().flat_map(|choice| &choice.times).map(|figure| figure.camera.as_str()).collect();
    for at in 0..all.len() {
        let choice = &all[at];
        let measured: Vec<&str> = choice.times.iter().map(|figure| figure.camera.as_str()).collect();
        let missing = cameras.iter().filter(|camera| !measured.is_empty() && !measured.contains(camera));
        let unmeasured = missing
            .map(|camera| Unmeasured {
                camera: (*camera).to_string(),
                ratio: measured.first().and_then(|measured| ratio(catalogue, camera, measured)),
            })
            .collect();
        let better = all.iter().filter(|other| choice.is_beaten_by(other));
        let beaten_by = better
            .max_by(|a, b| {
                let value = |choice: &Choice| choice.accuracy_value().unwrap_or(0.0);
                value(a).total_cmp(&value(b))
            })
            .map(|other| other.entry.name.as_str());
        (all[at].unmeasured, all[at].beaten_by) = (unmeasured, beaten_by);
    }
}

/// How many times as long models take on `camera` as on `measured`: the least and the most of those that
/// were measured on both.
fn ratio(catalogue: &Catalogue, camera: &str, measured: &str) -> Option<(f64, f64)> {
    let ratios = catalogue.models.iter().filter_map(|entry| {
        let time = |name: &str| entry.published.iter().find(|f| f.camera == name).map(|f| f.ms);
        Some(time(camera)? / time(measured)?)
    });
    ratios.fold(None, |range, ratio| {
        let (least, most) = range.unwrap_or((ratio, ratio));
        Some((ratio.min(least), ratio.max(most)))
    })
}

/// The nearest models by either wish alone, and what to ask for instead.
fn nothing_fits(all: &[Choice], wish: &Wish) -> Error {
    let Wish { chip, task, fps, min_map } = wish;
    let mut wanted = Vec::new();
    wanted.extend(fps.map(|fps| format!("{fps} fps")));
    wanted.extend(min_map.map(|map| format!("COCO mAP {map}")));
    let mut ways = Vec::new();
    let accurate = all.iter().filter(|choice| choice.is_accurate_enough(wish));
    let fastest = accurate.filter_map(|choice| Some((choice, *choice.times.first()?)));
    if let (Some(_), Some((choice, figure))) = (fps, fastest.min_by(|(_, a), (_, b)| a.ms.total_cmp(&b.ms))) {
        let rate = kept_rate(figure.ms);
        if rate > 0 {
            let (name, ms, camera) = (&choice.entry.name, figure.ms, &figure.camera);
            ways.push(format!("--fps {rate} admits {name} ({ms:.1} ms on {})", with_article(camera)));
        }
    }
    let fast = all.iter().filter(|choice| choice.is_fast_enough(wish));
    let best = fast.filter_map(|choice| Some((choice, choice.map()?))).max_by(|a, b| a.1.total_cmp(&b.1));
    if let (Some(_), Some((choice, map))) = (min_map, best) {
        ways.push(format!("--min-map {map} admits {}", choice.entry.name));
    }
    let relax = match (ways.is_empty(), all.iter().any(|choice| !choice.times.is_empty())) {
        (false, _) => ways.join(", "),
        (true, false) => {
            format!("no speed is published for {chip}: leave --fps out, and measure with `spotter bench`")
        }
        (true, true) => "ask for less of both".to_string(),
    };
    let text = format!(
        "no {task} model of the catalogue is known to reach {} on {chip}; {relax}",
        wanted.join(" with ")
    );
    Error::new(Kind::NotFound, text)
}

/// Frames a second that inference of so many milliseconds keeps up with, the margin left.
pub fn kept_rate(ms: f64) -> u64 {
    (1000.0 * (1.0 - MARGIN) / ms).floor() as u64
}

/// "a P1465-LE", "an M3085-V": as the camera's first letter is spoken.
pub fn with_article(camera: &str) -> String {
    let vowel = camera.starts_with(['A', 'E', 'F', 'H', 'I', 'L', 'M', 'N', 'O', 'R', 'S', 'X']);
    format!("{} {camera}", if vowel { "an" } else { "a" })
}

#[cfg(test)]
mod tests;
