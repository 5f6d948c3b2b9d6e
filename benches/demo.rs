//! How long the demo scene takes to draw, with its true boxes: pictures of eight scenes in turn, each
//! scene begun beforehand, and what beginning one takes.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use spotter::demo::{Demo, PIXEL_BYTES, SCENE_SECONDS};

const SCENES: u64 = 8;

fn demo(criterion: &mut Criterion) {
    for (width, height) in [(640, 360), (1280, 720), (1920, 1080)] {
        let mut pixels = vec![0; (width * height) as usize * PIXEL_BYTES];
        let begin = |scene: u64| Duration::from_secs(scene * SCENE_SECONDS);
        // One for each scene, so that none has to be begun while the clock runs.
        let mut demos: Vec<Demo> = (0..SCENES)
            .map(|scene| {
                let mut demo = Demo::new(1, width, height);
                demo.draw(begin(scene), &mut pixels);
                demo
            })
            .collect();
        let mut frame = 0;
        criterion.bench_function(&format!("draw {width}x{height}"), |bencher| {
            bencher.iter(|| {
                frame += 1;
                let scene = frame % SCENES;
                let time = begin(scene) + Duration::from_millis(frame / SCENES * 40 % 20_000);
                black_box(demos[scene as usize].draw(time, &mut pixels))
            });
        });
        let mut scene = 0;
        let mut demo = Demo::new(1, width, height);
        criterion.bench_function(&format!("begin a scene {width}x{height}"), |bencher| {
            bencher.iter(|| {
                scene += 1;
                black_box(demo.draw(begin(scene), &mut pixels))
            });
        });
    }
}

criterion_group!(benches, demo);
criterion_main!(benches);
