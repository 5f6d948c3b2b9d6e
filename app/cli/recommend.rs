//! `spotter recommend`: which model to take for a chip, and why.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::args::RecommendArgs;
use super::models::fetch_command;
use super::output;
use crate::backend::larod;
use crate::base::error::{Error, Kind, Result};
use crate::model::catalogue::Catalogue;
use crate::model::catalogue::published::Published;
use crate::model::catalogue::recommend::{self, Choice, MARGIN, Wish, kept_rate, with_article};
use crate::model::chip::Chip;
use crate::model::task::Task;

/// Ranks and prints.
///
/// # Errors
/// As for [`recommend::recommend`].
pub fn recommend(args: &RecommendArgs) -> Result<()> {
    let here = || {
        let text = "this machine is no camera whose chip is known; name one with --chip";
        // A camera without an accelerator has its processor.
        let chip = larod::chip().or_else(|| larod::sys::is_here().then_some(Chip::Cpu));
        chip.ok_or_else(|| Error::new(Kind::Usage, text))
    };
    let chip = args.chip.map_or_else(here, Ok)?;
    let wish = Wish { chip, task: args.task, fps: args.fps, min_map: args.min_map };
    let choices = recommend::recommend(Catalogue::embedded(), &wish)?;
    if args.json {
        return output::print(&[format!("{:#}", report(&wish, &choices))]);
    }
    let mut lines = vec![heading(&wish), String::new()];
    for (rank, choice) in (1..).zip(&choices) {
        lines.push(format!("{rank:>2}. {}: {}", choice.entry.name, reason(choice)));
        lines.extend(remarks(choice, &wish).into_iter().map(|remark| format!("    {remark}")));
    }
    lines.push(String::new());
    lines.extend(footnotes(&choices, &wish));
    output::print(&lines)
}

/// What was asked for and how it is ranked.
fn heading(wish: &Wish) -> String {
    let task = match wish.task {
        Task::Detection => "Detection",
        Task::Classification => "Classification",
        Task::Segmentation => "Segmentation",
    };
    let mut text = format!("{task} on {}", if wish.chip == Chip::Cpu { "a CPU" } else { wish.chip.title() });
    if let Some(fps) = wish.fps {
        text.push_str(&format!(" at {fps} fps"));
    }
    if let Some(map) = wish.min_map {
        text.push_str(&format!(" with COCO mAP {map} or more"));
    }
    match (wish.fps, wish.min_map) {
        (None, Some(_)) => text.push_str(", fastest first"),
        (Some(_), _) => text.push_str(", first what keeps up on every camera, then the most accurate"),
        _ => text.push_str(", most accurate first"),
    }
    text
}

/// Frames a second that inference alone would reach. Rounded down: what is not reached is no rate.
fn rate(ms: f64) -> u64 {
    (1000.0 / ms).floor() as u64
}

/// Times, accuracy and licence in one line.
fn reason(choice: &Choice) -> String {
    let time = |figure: &Published| {
        let decimals = if figure.ms < 10.0 { 2 } else { 1 };
        let camera = with_article(&figure.camera);
        format!("{:.decimals$} ms on {camera} (≈ {} fps)", figure.ms, rate(figure.ms))
    };
    let times = match choice.times.as_slice() {
        [] => "no published speed".to_string(),
        [only] => time(only),
        [first, .., last] => format!("{} to {}", time(first), time(last)),
    };
    let accuracy =
        choice.accuracy.map_or("no published accuracy".to_string(), |(accuracy, _)| accuracy.to_string());
    format!("{times}, {accuracy}; {}", choice.entry.licence)
}

/// What limits the reason; what is inferred begins with "inferred".
fn remarks(choice: &Choice, wish: &Wish) -> Vec<String> {
    let mut remarks = Vec::new();
    for figure in &choice.too_slow {
        let (camera, kept) = (with_article(&figure.camera), kept_rate(figure.ms));
        remarks.push(format!("too slow on {camera}, which keeps up with {kept} fps"));
    }
    for unmeasured in &choice.unmeasured {
        let camera = &unmeasured.camera;
        remarks.push(match unmeasured.ratio {
            Some((least, most)) => {
                format!(
                    "inferred: slower on {}, where others take {least:.1} to {most:.1} times as long",
                    with_article(camera)
                )
            }
            None => format!("not measured on {}", with_article(camera)),
        });
    }
    if choice.times.is_empty() && wish.chip != Chip::Cpu {
        remarks.push(format!("inferred: its kind of file runs on {}", wish.chip.title()));
    }
    if let Some((_, Some(chip))) = choice.accuracy {
        remarks.push(format!("inferred: its accuracy is that measured on {}", chip.title()));
    }
    if let Some(better) = choice.beaten_by {
        remarks.push(format!("{better} is faster and at least as accurate"));
    }
    remarks
}

/// What holds for the whole list.
fn footnotes(choices: &[Choice], wish: &Wish) -> Vec<String> {
    let mut lines = Vec::new();
    if let (Some(fps), Some(budget)) = (wish.fps, wish.budget()) {
        let (frame, rest) = (1000.0 / f64::from(fps), MARGIN * 100.0);
        lines.push(format!(
            "At {fps} fps a frame has {frame:.1} ms: {budget:.1} ms for inference, {rest:.0} % left for the rest."
        ));
    }
    let figures = || choices.iter().flat_map(|choice| &choice.times);
    let sources: BTreeSet<&str> = figures().map(|figure| figure.source.as_str()).collect();
    if !sources.is_empty() {
        let sources: Vec<&str> = sources.into_iter().collect();
        lines.push(format!("Times are of inference alone ({}); firmware changes them.", sources.join("; ")));
    } else if wish.chip == Chip::Cpu {
        lines.push(
            "No speeds are published for a CPU: `spotter bench --source CLIP --model NAME` measures.".into(),
        );
    }
    let mut accuracies = choices.iter().filter_map(|choice| choice.accuracy);
    if accuracies.any(|(accuracy, _)| !accuracy.on_camera) {
        lines.push("COCO mAP was not measured on a camera; a chip may lose some of it.".into());
    }
    if let Some(first) = choices.first() {
        lines.push(format!("Get the first with `{}`.", fetch_command(first.entry)));
    }
    lines
}

/// The same as JSON.
fn report(wish: &Wish, choices: &[Choice]) -> Value {
    let models: Vec<Value> =
        (1..).zip(choices).map(|(rank, choice)| choice_json(rank, choice, wish)).collect();
    json!({
        "chip": wish.chip,
        "task": wish.task,
        "fps": wish.fps,
        "min_map": wish.min_map,
        "margin": MARGIN,
        "inference_budget_ms": wish.budget(),
        "models": models,
    })
}

fn choice_json(rank: usize, choice: &Choice, wish: &Wish) -> Value {
    let time = |figure: &&Published| {
        json!({
            "camera": figure.camera,
            "ms": figure.ms,
            "fps": rate(figure.ms),
            "fast_enough": wish.budget().map(|budget| figure.ms <= budget),
            "source": figure.source,
        })
    };
    let unmeasured =
        |camera: &recommend::Unmeasured| json!({ "camera": camera.camera, "times_as_long": camera.ratio });
    let accuracy = choice.accuracy.map(|(accuracy, from)| {
        let mut value = json!(accuracy);
        value["measured_on"] = json!(from.or(accuracy.on_camera.then_some(wish.chip)));
        value
    });
    json!({
        "rank": rank,
        "name": choice.entry.name,
        "title": choice.entry.title,
        "licence": choice.entry.licence,
        "times": choice.times.iter().map(time).collect::<Vec<_>>(),
        "accuracy": accuracy,
        "not_measured_on": choice.unmeasured.iter().map(unmeasured).collect::<Vec<_>>(),
        "inferred": choice.times.is_empty(),
        "beaten_by": choice.beaten_by,
        "reason": reason(choice),
        "remarks": remarks(choice, wish),
    })
}
