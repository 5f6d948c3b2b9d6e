//! The next frame is prepared while the model runs.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;
use spotter::base::error::Kind;

use crate::common::made_up::{COLOURS, Faults, Times, start};
use crate::common::process::wait_until;

const CLIP: Times =
    Times { interval: None, preparing: Duration::from_millis(4), running: Duration::from_millis(12) };
const LIVE: Times = Times { interval: Some(Duration::from_millis(1)), ..CLIP };

/// Number and colour of each scene in the file.
fn scenes(output: &Path) -> Vec<(u64, u64)> {
    let text = std::fs::read_to_string(output).unwrap();
    let scenes = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    scenes
        .map(|scene| {
            let colour = scene["frame"]["observations"][0]["class"]["index"].as_u64().unwrap();
            (scene["frame"]["seq"].as_u64().unwrap(), colour)
        })
        .collect()
}

#[test]
fn every_frame_of_a_clip_has_its_own_result() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("scenes.jsonl");
    let live = start(119, CLIP, Faults::default(), Some(&output));
    live.pipeline.join().unwrap();
    let expected: Vec<(u64, u64)> = (0..120).map(|number| (number, number)).collect();
    assert_eq!(scenes(&output), expected);
    assert!(live.seen.overlapped.load(Ordering::SeqCst) > 0);
    assert_eq!(live.context.stats.inferred.load(Ordering::Relaxed), 120);
    assert_eq!(live.context.stats.dropped.load(Ordering::Relaxed), 0);
}

#[test]
fn results_of_a_live_picture_are_those_of_their_frames_and_each_frame_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("scenes.jsonl");
    for faults in [Faults::default(), Faults { fails: true, ..Faults::default() }] {
        let live = start(u64::MAX, LIVE, faults, Some(&output));
        // It was tried, and some runs have failed where they do.
        wait_until("frames are prepared while the model runs", || {
            live.seen.overlapped.load(Ordering::SeqCst) >= 10 && live.seen.runs.load(Ordering::SeqCst) >= 60
        });
        live.stop.set();
        live.pipeline.join().unwrap();
        let scenes = scenes(&output);
        assert!(scenes.windows(2).all(|pair| pair[0].0 < pair[1].0), "in order");
        for (number, colour) in &scenes {
            assert_eq!(number % COLOURS, *colour, "frame {number}");
        }
        let stats = &live.context.stats;
        let [captured, inferred, dropped] =
            [&stats.captured, &stats.inferred, &stats.dropped].map(|count| count.load(Ordering::Relaxed));
        assert_eq!(inferred, scenes.len() as u64);
        // One may be left on each side of the inference thread.
        assert!(
            (inferred + dropped..=inferred + dropped + 2).contains(&captured),
            "{captured} {inferred} {dropped}"
        );
        if faults.fails {
            assert_eq!(
                live.seen.runs.load(Ordering::SeqCst),
                scenes.len() + live.seen.runs.load(Ordering::SeqCst) / 10
            );
        }
    }
}

#[test]
fn what_a_device_reads_where_it_lies_is_not_prepared_ahead() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("scenes.jsonl");
    let live = start(79, CLIP, Faults { in_place: true, ..Faults::default() }, Some(&output));
    live.pipeline.join().unwrap();
    let expected: Vec<(u64, u64)> = (0..80).map(|number| (number, number)).collect();
    assert_eq!(scenes(&output), expected);
    assert_eq!(live.seen.overlapped.load(Ordering::SeqCst), 0);
}

#[test]
fn a_model_that_breaks_its_thread_down_ends_the_run_with_the_reason() {
    let live = start(u64::MAX, LIVE, Faults { breaks_down: true, ..Faults::default() }, None);
    let error = live.pipeline.join().unwrap_err();
    assert_eq!(error.kind(), Kind::Backend);
    assert!(error.to_string().contains("the thread that runs the model broke down"), "{error}");
}
