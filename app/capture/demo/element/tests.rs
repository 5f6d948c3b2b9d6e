use std::time::Instant;

use gstreamer_app as gst_app;

use super::*;
use crate::capture::gst_source;

/// The element, live or not, into a sink that takes these caps.
fn pipeline(live: bool, caps: &str) -> (gst::Pipeline, gst::Element, gst_app::AppSink) {
    gst_source::init().unwrap();
    let source =
        gst::ElementFactory::make(NAME).property("seed", 9u64).property("is-live", live).build().unwrap();
    let sink = gst_app::AppSink::builder()
        .caps(&caps.parse::<gst::Caps>().unwrap())
        .sync(false)
        .max_buffers(2)
        .build();
    let pipeline = gst::Pipeline::new();
    pipeline.add_many([&source, sink.upcast_ref()]).unwrap();
    source.link(&sink).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    (pipeline, source, sink)
}

fn pull(sink: &gst_app::AppSink) -> gst::Sample {
    sink.try_pull_sample(gst::ClockTime::from_seconds(20)).unwrap_or_else(|| {
        let pipeline = sink.parent().and_downcast::<gst::Pipeline>().unwrap();
        let error = pipeline.bus().unwrap().pop_filtered(&[gst::MessageType::Error]);
        panic!("no frame within 20 s: {error:?}")
    })
}

#[test]
fn frames_are_what_the_scene_draws_at_odd_sizes_and_rates() {
    for (size, rate, step) in [
        ((641, 363), "30000/1001", [0, 33_366_666, 66_733_333, 100_100_000]),
        ((64, 64), "240/1", [0, 4_166_666, 8_333_333, 12_500_000]),
        ((70, 4096), "1/7", [0, 7_000_000_000, 14_000_000_000, 21_000_000_000]),
    ] {
        let caps = format!("video/x-raw,width={},height={},framerate={rate}", size.0, size.1);
        let (pipeline, _, sink) = pipeline(false, &caps);
        let mut demo = Demo::new(9, size.0, size.1);
        let mut wanted = vec![0; size.0 as usize * size.1 as usize * PIXEL_BYTES];
        for (number, nanoseconds) in step.into_iter().enumerate() {
            let sample = pull(&sink);
            let info = VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
            assert_eq!((info.width(), info.height(), info.format()), (size.0, size.1, VideoFormat::Rgbx));
            let buffer = sample.buffer().unwrap();
            let time = gst::ClockTime::from_nseconds(nanoseconds);
            assert_eq!((buffer.pts(), buffer.offset()), (Some(time), number as u64), "{rate}");
            assert_eq!(buffer.offset_end(), number as u64 + 1);
            if let Some(next) = step.get(number + 1) {
                assert_eq!(buffer.duration().unwrap().nseconds(), next - nanoseconds);
            }
            assert!(demo.draw(Duration::from_nanos(nanoseconds), &mut wanted));
            assert!(buffer.map_readable().unwrap().as_slice() == wanted, "{rate}: pixels of frame {number}");
            assert_eq!(truths(buffer, size), demo.truths());
        }
        pipeline.set_state(gst::State::Null).unwrap();
    }
}

#[test]
fn what_is_left_open_is_720p_at_25_frames() {
    let (pipeline, _, sink) = pipeline(false, "video/x-raw");
    let info = VideoInfo::from_caps(pull(&sink).caps().unwrap()).unwrap();
    assert_eq!((info.width(), info.height(), info.fps()), (1280, 720, gst::Fraction::new(25, 1)));
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn what_cannot_be_drawn_is_not_negotiated() {
    gst_source::init().unwrap();
    for caps in ["width=63,height=64", "width=64,height=4097", "format=NV12", "framerate=0/1"] {
        let source = gst::ElementFactory::make(NAME).build().unwrap();
        let caps = format!("video/x-raw,{caps}").parse::<gst::Caps>().unwrap();
        let sink = gst_app::AppSink::builder().caps(&caps).build();
        let pipeline = gst::Pipeline::new();
        pipeline.add_many([&source, sink.upcast_ref()]).unwrap();
        assert!(source.link(&sink).is_err(), "{caps}");
    }
}

#[test]
fn boxes_go_along_in_whole_pixels_and_to_the_digit() {
    gst_source::init().unwrap();
    let size = (320, 192);
    let truth = TrueBox {
        figure: u64::MAX,
        class: 4,
        rect: Rect::new(0.1, 0.25, 0.333_333_34, 1.0),
        visible: 0.7,
        ignored: true,
    };
    let mut buffer = gst::Buffer::new();
    annotate(buffer.get_mut().unwrap(), size, &[truth, TrueBox { class: 0, ignored: false, ..truth }]);
    assert_eq!(truths(&buffer, size), [truth, TrueBox { class: 0, ignored: false, ..truth }]);
    let meta = buffer.iter_meta::<gst_video::VideoRegionOfInterestMeta>().next().unwrap();
    assert_eq!((meta.roi_type(), meta.rect()), ("dog", (32, 48, 75, 144)));
    assert_eq!(meta.param("truth").unwrap().get::<f64>("y"), Ok(48.0));
}

#[test]
fn rows_with_gaps_between_them_are_filled() {
    gst_source::init().unwrap();
    let (width, height) = (65, 64);
    let tight =
        VideoInfo::builder(VideoFormat::Rgbx, width, height).fps(gst::Fraction::new(1, 1)).build().unwrap();
    let new = || Stream {
        info: tight.clone(),
        demo: Demo::new(3, width, height),
        start: gst::ClockTime::ZERO,
        next: 0,
        rows: Vec::new(),
    };
    let time = gst::ClockTime::from_mseconds(700);
    let mut plain = gst::Buffer::with_size(tight.size()).unwrap();
    new().draw(time, plain.get_mut().unwrap()).unwrap();
    // What a pool with aligned rows gives.
    let pitch = 512usize;
    let mut wide = gst::Buffer::with_size(pitch * height as usize).unwrap();
    let inner = wide.get_mut().unwrap();
    gst_video::VideoMeta::add_full(
        inner,
        gst_video::VideoFrameFlags::empty(),
        VideoFormat::Rgbx,
        width,
        height,
        &[0],
        &[512],
    )
    .unwrap();
    new().draw(time, inner).unwrap();
    let (plain, wide) = (plain.map_readable().unwrap(), wide.map_readable().unwrap());
    for (row, wanted) in plain.chunks_exact(65 * PIXEL_BYTES).enumerate() {
        assert_eq!(&wide[row * pitch..][..wanted.len()], wanted, "row {row}");
    }
    // A buffer that is too small is refused, not overrun.
    let mut small = gst::Buffer::with_size(tight.size() - 1).unwrap();
    assert!(new().draw(time, small.get_mut().unwrap()).is_none());
}

#[test]
fn a_live_one_gives_frames_at_their_time_and_leaves_out_late_ones() {
    let (pipeline, source, sink) = pipeline(true, "video/x-raw,width=64,height=64,framerate=50/1");
    let running = || source.current_running_time().unwrap();
    let (mut demo, mut wanted) = (Demo::new(9, 64, 64), vec![0; 64 * 64 * PIXEL_BYTES]);
    let mut last = None;
    for _ in 0..10 {
        let (sample, now) = (pull(&sink), running());
        let buffer = sample.buffer().unwrap();
        let pts = buffer.pts().unwrap();
        assert!(now >= pts, "{now} is before {pts}");
        // However long the start took: the picture is that of its timestamp.
        assert_eq!(pts, gst::ClockTime::from_mseconds(20 * buffer.offset()));
        assert!(demo.draw(Duration::from_nanos(pts.nseconds()), &mut wanted));
        assert!(buffer.map_readable().unwrap().as_slice() == wanted);
        assert_eq!(truths(buffer, (64, 64)), demo.truths());
        assert!(last < Some(buffer.offset()));
        last = Some(buffer.offset());
    }
    let mut query = gst::query::Latency::new();
    assert!(source.query(&mut query));
    let frame = gst::ClockTime::from_mseconds(20);
    assert_eq!(query.result(), (true, frame, Some(frame)));
    // Whoever takes frames stops for half a second: those that are waiting come late, then time goes on.
    std::thread::sleep(Duration::from_millis(500));
    let mut skipped = 0;
    for _ in 0..6 {
        let sample = pull(&sink);
        let buffer = sample.buffer().unwrap();
        let number = buffer.offset();
        let gap = number - last.unwrap() - 1;
        assert_eq!(gap > 0, buffer.flags().contains(gst::BufferFlags::DISCONT), "frame {number}");
        skipped += gap;
        last = Some(number);
    }
    assert!(skipped >= 10, "{skipped} frames were left out");
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn waiting_ends_at_once() {
    // The second frame is due in 100 s.
    let (pipeline, _, sink) = pipeline(true, "video/x-raw,width=64,height=64,framerate=1/100");
    pull(&sink);
    std::thread::sleep(Duration::from_millis(50));
    let asked = Instant::now();
    pipeline.set_state(gst::State::Null).unwrap();
    assert!(asked.elapsed() < Duration::from_secs(50), "{:?}", asked.elapsed());
}

#[test]
fn another_size_goes_on_in_time() {
    let (pipeline, _, sink) = pipeline(false, "video/x-raw,width=64,height=64,framerate=10/1");
    pull(&sink);
    sink.set_caps(Some(&"video/x-raw,width=96,height=64,framerate=5/1".parse::<gst::Caps>().unwrap()));
    sink.static_pad("sink").unwrap().push_event(gst::event::Reconfigure::new());
    let mut last = gst::ClockTime::ZERO;
    for _ in 0..50 {
        let sample = pull(&sink);
        let info = VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
        let buffer = sample.buffer().unwrap();
        assert_eq!(buffer.size(), info.size());
        let pts = buffer.pts().unwrap();
        assert_eq!(pts, last + gst::ClockTime::from_mseconds(100));
        last = pts;
        if info.width() == 96 {
            assert_eq!(buffer.duration(), Some(gst::ClockTime::from_mseconds(200)));
            pipeline.set_state(gst::State::Null).unwrap();
            return;
        }
    }
    panic!("the size did not change");
}
