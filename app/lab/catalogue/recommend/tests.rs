use super::*;

fn wish(chip: Chip) -> Wish {
    Wish { chip, task: Task::Detection, fps: None, min_map: None }
}

fn ranked(wish: Wish) -> Vec<Choice<'static>> {
    recommend(Catalogue::embedded(), &wish).unwrap()
}

fn names(wish: Wish) -> Vec<&'static str> {
    ranked(wish).iter().map(|choice| choice.entry.name.as_str()).collect()
}

fn sentence(wish: Wish) -> String {
    let error = recommend(Catalogue::embedded(), &wish).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    error.to_string()
}

#[test]
fn the_most_accurate_comes_first_and_the_unknown_last() {
    assert_eq!(
        names(wish(Chip::Artpec8)),
        [
            "yolov5m-artpec8",
            "ssdlite-mobiledet-coco",
            "yolov5s-artpec8",
            "ssd-mobilenet-v2-coco",
            "yolov5n-artpec8",
            "ssd-mobilenet-v1-coco"
        ]
    );
    assert_eq!(
        names(wish(Chip::Artpec7)),
        [
            "ssdlite-mobiledet-coco-edgetpu",
            "ssd-mobilenet-v2-coco-edgetpu",
            "tf2-ssd-mobilenet-v2-coco17-edgetpu"
        ]
    );
    assert_eq!(names(wish(Chip::Cv25)), ["yolov5s-cv25", "ssd-mobilenet-v2-coco-cv25"]);
    assert_eq!(
        names(Wish { task: Task::Classification, ..wish(Chip::Cv25) }),
        ["efficientnet-lite0-imagenet-cv25", "mobilenet-v2-imagenet-cv25"]
    );
    assert_eq!(names(Wish { task: Task::Segmentation, ..wish(Chip::Cpu) }), ["deeplab-mobilenet-v2-pascal"]);
}

#[test]
fn a_rate_leaves_a_fifth_of_the_frame() {
    let at = |fps| Wish { fps: Some(fps), ..wish(Chip::Artpec8) };
    assert_eq!(at(25).budget(), Some(32.0));
    // 17.84 and 28.14 ms: within 26.7 ms on the Q1656 alone.
    let thirty = ranked(at(30));
    assert_eq!(thirty.len(), 1);
    assert_eq!(thirty[0].entry.name, "ssd-mobilenet-v2-coco");
    let too_slow = |choice: &Choice| choice.too_slow.iter().map(|f| f.camera.clone()).collect::<Vec<_>>();
    assert_eq!(too_slow(&thirty[0]), ["P1465-LE"]);
    // At 25 the SSD keeps up everywhere and is put before MobileDet, which does on one camera.
    let slower = ranked(at(25));
    assert_eq!(slower[0].entry.name, "ssd-mobilenet-v2-coco");
    assert!(slower[0].too_slow.is_empty());
    assert_eq!((slower[1].entry.name.as_str(), slower.len()), ("ssdlite-mobiledet-coco", 2));
    assert_eq!(too_slow(&slower[1]), ["P1465-LE"]);
    // A model that was measured on one camera of two is not known to keep up everywhere.
    let ten = names(at(10));
    assert_eq!(
        ten,
        ["ssdlite-mobiledet-coco", "ssd-mobilenet-v2-coco", "yolov5s-artpec8", "yolov5n-artpec8"]
    );
}

#[test]
fn an_accuracy_alone_ranks_by_speed() {
    let with = |chip, map| Wish { min_map: Some(map), ..wish(chip) };
    assert_eq!(
        names(with(Chip::Artpec8, 30.0)),
        ["ssdlite-mobiledet-coco", "yolov5s-artpec8", "yolov5m-artpec8"]
    );
    assert_eq!(names(with(Chip::Artpec9, 38.1)), ["yolov5m-artpec9"], "at least, not more than");
    assert_eq!(
        names(Wish { fps: Some(20), ..with(Chip::Artpec9, 30.0) }),
        ["ssdlite-mobiledet-coco", "yolov5s-artpec9"]
    );
}

#[test]
fn what_is_inferred_is_told_apart() {
    let list = ranked(wish(Chip::Artpec8));
    let of = |name: &str| list.iter().find(|choice| choice.entry.name == name).unwrap();
    let small = of("yolov5s-artpec8");
    let [elsewhere] = small.unmeasured.as_slice() else { panic!("{small:?}") };
    let (least, most) = elsewhere.ratio.unwrap();
    assert_eq!(elsewhere.camera, "P1465-LE");
    // MobileDet 38.53 / 28.19 and MobileNet v2 9.89 / 5.36.
    assert!((least - 1.3668).abs() < 1e-3 && (most - 1.8451).abs() < 1e-3, "{least} {most}");
    assert!(of("ssd-mobilenet-v2-coco").unmeasured.is_empty());
    let unknown = of("ssd-mobilenet-v1-coco");
    assert!(unknown.times.is_empty() && unknown.accuracy.is_none() && unknown.unmeasured.is_empty());
    // The accuracy of a detector is that of its file, on whatever it runs.
    let cpu = ranked(wish(Chip::Cpu));
    let ssd = cpu.iter().find(|choice| choice.entry.name == "ssd-mobilenet-v2-coco").unwrap();
    assert_eq!((ssd.times.len(), ssd.accuracy_value(), ssd.accuracy.unwrap().1), (0, Some(25.6), None));
    // That of a classifier was measured on a camera, which is another chip here.
    let class = ranked(Wish { task: Task::Classification, ..wish(Chip::Cpu) });
    let class: Vec<_> = class.iter().map(|c| (c.entry.name.as_str(), c.accuracy.unwrap().1)).collect();
    assert_eq!(
        class,
        [("tf2-mobilenet-v2-imagenet", Some(Chip::Artpec7)), ("mobilenet-v2-imagenet", Some(Chip::Artpec9))]
    );
}

#[test]
fn a_model_that_another_beats_says_which() {
    let list = ranked(wish(Chip::Artpec8));
    let beaten: Vec<_> = list.iter().filter_map(|c| Some((c.entry.name.as_str(), c.beaten_by?))).collect();
    assert_eq!(
        beaten,
        [("yolov5s-artpec8", "ssdlite-mobiledet-coco"), ("yolov5n-artpec8", "ssdlite-mobiledet-coco")]
    );
}

#[test]
fn where_nothing_fits_the_nearest_is_named() {
    let both = Wish { fps: Some(60), min_map: Some(30.0), ..wish(Chip::Artpec8) };
    assert_eq!(
        sentence(both),
        "no detection model of the catalogue is known to reach 60 fps with COCO mAP 30 on artpec8; \
         --fps 28 admits ssdlite-mobiledet-coco (28.2 ms on a Q1656)"
    );
    assert_eq!(names(Wish { fps: Some(28), ..both }), ["ssdlite-mobiledet-coco"], "what it says is true");
    let both = Wish { fps: Some(40), min_map: Some(30.0), ..wish(Chip::Artpec8) };
    assert_eq!(
        sentence(both),
        "no detection model of the catalogue is known to reach 40 fps with COCO mAP 30 on artpec8; \
         --fps 28 admits ssdlite-mobiledet-coco (28.2 ms on a Q1656), --min-map 25.6 admits ssd-mobilenet-v2-coco"
    );
    assert_eq!(names(Wish { min_map: Some(25.6), ..both }), ["ssd-mobilenet-v2-coco"]);
    assert_eq!(
        sentence(Wish { fps: Some(30), ..wish(Chip::Cv25) }),
        "no detection model of the catalogue is known to reach 30 fps on cv25; \
         --fps 6 admits yolov5s-cv25 (128.4 ms on an M3085-V)"
    );
    assert_eq!(
        sentence(Wish { min_map: Some(50.0), ..wish(Chip::Artpec9) }),
        "no detection model of the catalogue is known to reach COCO mAP 50 on artpec9; \
         --min-map 38.1 admits yolov5m-artpec9"
    );
    assert_eq!(
        sentence(Wish { fps: Some(5), ..wish(Chip::Cpu) }),
        "no detection model of the catalogue is known to reach 5 fps on cpu; no speed is published for cpu: \
         leave --fps out, and measure with `spotter bench`"
    );
    assert_eq!(
        sentence(Wish { fps: Some(1000), min_map: Some(99.0), ..wish(Chip::Artpec9) }),
        "no detection model of the catalogue is known to reach 1000 fps with COCO mAP 99 on artpec9; \
         ask for less of both"
    );
    assert_eq!(
        sentence(Wish { task: Task::Segmentation, ..wish(Chip::Artpec8) }),
        "the catalogue has no segmentation model for artpec8; for other chips it has deeplab-mobilenet-v2-pascal"
    );
    let classifier = Wish { task: Task::Classification, min_map: Some(20.0), ..wish(Chip::Artpec8) };
    let error = recommend(Catalogue::embedded(), &classifier).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert_eq!(
        error.to_string(),
        "--min-map is COCO mAP, which classification models do not have; leave it out"
    );
}
