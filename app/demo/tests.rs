//! The scene against slow, obvious ways to know the same.

use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};

use super::*;

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn picture(demo: &mut Demo, time: Duration) -> Vec<u8> {
    let (width, height) = demo.size();
    let mut pixels = vec![0; (width * height) as usize * PIXEL_BYTES];
    assert!(demo.draw(time, &mut pixels));
    pixels
}

/// The pictures are part of the demo models: these were trained on them. Whoever changes a picture
/// trains the models again (`./build.sh train`), then puts the new number here.
#[test]
fn pictures_are_the_same_on_every_machine() {
    let mut hash = Sha256::new();
    let mut demo = Demo::new(3, 320, 180);
    for scene in 0..24u64 {
        let time = seconds((scene * SCENE_SECONDS) as f64 + 0.52 * scene as f64);
        hash.update(picture(&mut demo, time));
        for truth in demo.truths() {
            for edge in [truth.rect.left, truth.rect.top, truth.rect.right, truth.rect.bottom, truth.visible]
            {
                hash.update(edge.to_le_bytes());
            }
        }
    }
    let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "aaeb066a88d6ef4a2559f42e423ea7c7b955fbd8f6497059854397e6d29ec1a3");
}

#[test]
fn any_moment_is_drawn_without_those_before() {
    let times = [0.0, 0.04, 19.96, 20.0, 61.4, 20.0, 0.04];
    let mut one = Demo::new(9, 256, 144);
    let drawn: Vec<_> = times.map(|time| (picture(&mut one, seconds(time)), one.truths().to_vec())).into();
    for (time, (pixels, truths)) in times.into_iter().zip(&drawn) {
        let mut fresh = Demo::new(9, 256, 144);
        assert!(picture(&mut fresh, seconds(time)) == *pixels, "another picture at {time} s");
        assert_eq!(fresh.truths(), truths);
    }
    assert!(drawn[0].0 != drawn[1].0, "nothing moves");
    let mut other = Demo::new(10, 256, 144);
    assert!(picture(&mut other, seconds(0.0)) != drawn[0].0, "the seed changes nothing");
}

#[test]
fn a_buffer_of_another_size_is_left_alone() {
    let mut demo = Demo::new(1, 100, 80);
    let mut pixels = vec![7; 100 * 80 * PIXEL_BYTES - 1];
    assert!(!demo.draw(seconds(1.0), &mut pixels));
    assert!(pixels.iter().all(|byte| *byte == 7));
    assert_eq!(Demo::new(1, 0, 100_000).size(), (*SIDES.start(), *SIDES.end()));
}

/// The scene and its actors at a time, as `Scene::draw` sees them.
fn drawn_at(seed: u64, number: u64, time: f32, width: u32, height: u32) -> Vec<Drawn> {
    let stage = Stage::new(seed, number, width as f32 / height as f32);
    let mut actors = Vec::new();
    stage.actors(time, &mut actors);
    actors.iter().map(|actor| sketched(actor, &stage.view, &stage.weather, height as f32)).collect()
}

/// The pixels that a figure's body touches, drawn alone at full size.
fn silhouette(drawn: &Drawn, width: u32, height: u32) -> Vec<bool> {
    let mut alone = Pixmap::new(width, height).unwrap();
    let paint = tiny_skia::Paint { anti_alias: true, ..Default::default() };
    for shape in drawn.sketch.shapes.iter().filter(|shape| shape.body) {
        alone.fill_path(&shape.path, &paint, shape.rule, drawn.transform, None);
    }
    alone.pixels().iter().map(|pixel| pixel.alpha() > 0).collect()
}

fn whole(drawn: &Drawn, width: u32, height: u32) -> Vec<bool> {
    let mut alone = Pixmap::new(width, height).unwrap();
    let paint = tiny_skia::Paint { anti_alias: false, ..Default::default() };
    for shape in drawn.sketch.shapes.iter().filter(|shape| shape.alpha > 127) {
        alone.fill_path(&shape.path, &paint, shape.rule, drawn.transform, None);
    }
    alone.pixels().iter().map(|pixel| pixel.alpha() > 0).collect()
}

/// The oracle: each figure drawn alone at full size; its box is where its pixels are, and what of it is
/// visible is what nobody nearer covers.
#[test]
fn boxes_are_where_the_pixels_are() {
    let (width, height) = (640u32, 360u32);
    let mut counted = 0;
    for (seed, number, time) in
        [(1, 0, 3.0f32), (1, 1, 11.0), (2, 2, 5.5), (4, 7, 0.0), (5, 3, 19.0), (8, 4, 8.2)]
    {
        let mut demo = Demo::new(seed, width, height);
        picture(&mut demo, Duration::from_secs(number * SCENE_SECONDS) + Duration::from_secs_f32(time));
        let truths: HashMap<u64, TrueBox> =
            demo.truths().iter().map(|truth| (truth.figure, *truth)).collect();
        assert_eq!(truths.len(), demo.truths().len(), "a figure is there twice");
        let mut covered = vec![false; (width * height) as usize];
        for drawn in drawn_at(seed, number, time, width, height).iter().rev() {
            let body = silhouette(drawn, width, height);
            if let Some((id, class, _)) = drawn.figure {
                let touched: Vec<usize> = (0..body.len()).filter(|index| body[*index]).collect();
                let Some(truth) = truths.get(&id) else {
                    assert!(touched.len() < 4, "figure {id} has pixels but no box");
                    continue;
                };
                assert_eq!(truth.class, class);
                let columns = || touched.iter().map(|index| index % width as usize);
                let rows = || touched.iter().map(|index| index / width as usize);
                let (Some(left), Some(right), Some(top), Some(bottom)) =
                    (columns().min(), columns().max(), rows().min(), rows().max())
                else {
                    assert!(truth.ignored, "box without pixels: {truth:?}");
                    continue;
                };
                let edges = [
                    (truth.rect.left * width as f32, left as f32),
                    (truth.rect.top * height as f32, top as f32),
                    (-truth.rect.right * width as f32, -(right as f32 + 1.0)),
                    (-truth.rect.bottom * height as f32, -(bottom as f32 + 1.0)),
                ];
                // What the edge of the picture cuts off may have reached farther than what is left.
                let [x0, y0, x1, y1] = truth::extent(&drawn.sketch, drawn.transform).unwrap();
                let cut = x0 < 0.0 || y0 < 0.0 || x1 > width as f32 || y1 > height as f32;
                for (said, seen) in edges {
                    assert!(
                        seen - said >= -1.0 && (cut || seen - said <= 1.0),
                        "{truth:?}: {said}, seen {seen}"
                    );
                }
                let free =
                    touched.iter().filter(|index| !covered[**index]).count() as f32 / touched.len() as f32;
                if !cut && truth.rect.area() * (width * height) as f32 > 400.0 {
                    assert!((truth.visible - free).abs() < 0.12, "{truth:?}: {free} is free");
                    counted += 1;
                }
            }
            for (covered, own) in covered.iter_mut().zip(whole(drawn, width, height)) {
                *covered |= own;
            }
        }
    }
    assert!(counted > 30, "only {counted} figures were compared");
}

#[test]
fn streets_are_varied_and_never_empty() {
    let (mut classes, mut layouts, mut lamps, mut rain) = (HashMap::new(), HashSet::new(), 0, 0);
    let mut demo = Demo::new(21, 128, 72);
    for scene in 0..60u64 {
        picture(&mut demo, seconds((scene * SCENE_SECONDS + scene % 17) as f64));
        let counted: Vec<&TrueBox> = demo.truths().iter().filter(|truth| !truth.ignored).collect();
        assert!((2..30).contains(&counted.len()), "{} figures in scene {scene}", counted.len());
        for truth in counted {
            assert!(truth.rect.is_valid() && truth.rect == truth.rect.clamped(), "{truth:?}");
            assert!((0.0..=1.0).contains(&truth.visible));
            *classes.entry(CLASSES[truth.class as usize]).or_insert(0) += 1;
        }
        let stage = Stage::new(21, scene, 16.0 / 9.0);
        layouts.insert(format!("{:?}", stage.layout));
        lamps += u32::from(stage.weather.lamps == figures::Lamps::On);
        rain += u32::from(stage.weather.rains());
    }
    assert_eq!(classes.len(), CLASSES.len(), "{classes:?}");
    assert!(classes.values().all(|count| *count >= 12), "{classes:?}");
    assert_eq!(layouts.len(), 3);
    assert!((5..45).contains(&lamps) && (3..30).contains(&rain), "{lamps} with lamps, {rain} with rain");
}

/// What tracking can rely on: a figure keeps its number, its class and about its place.
#[test]
fn figures_move_steadily() {
    let mut demo = Demo::new(5, 320, 180);
    let mut before: HashMap<u64, TrueBox> = HashMap::new();
    let (mut kept, mut moved) = (0, 0);
    for frame in 0..50 {
        picture(&mut demo, seconds(42.0 + f64::from(frame) / 25.0));
        let now: HashMap<u64, TrueBox> = demo.truths().iter().map(|truth| (truth.figure, *truth)).collect();
        for (figure, truth) in &now {
            let Some(old) = before.get(figure) else { continue };
            kept += 1;
            assert_eq!(old.class, truth.class);
            let middle = |rect: &spotter_core::vision::geometry::Rect| (rect.left + rect.right) / 2.0;
            let step = (middle(&truth.rect) - middle(&old.rect)).abs();
            assert!(step < 0.05, "{old:?} jumps to {truth:?}");
            moved += u32::from(step > 1e-5);
        }
        assert!(before.keys().filter(|figure| !now.contains_key(figure)).count() <= 2, "figures vanish");
        before = now;
    }
    assert!(kept > 200 && moved > kept / 3, "{kept} kept, {moved} moved");
}

#[test]
fn pictures_are_opaque_and_of_any_size() {
    for (width, height) in [(64, 64), (641, 363), (64, 512), (1920, 200)] {
        let mut demo = Demo::new(2, width, height);
        for time in [1.0, 30.0, 55.0] {
            let pixels = picture(&mut demo, seconds(time));
            assert!(pixels.chunks(PIXEL_BYTES).all(|pixel| pixel[3] == 255), "{width}x{height} at {time} s");
        }
    }
}
