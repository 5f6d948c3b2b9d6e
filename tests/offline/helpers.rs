//! The helpers of the other tests, tested.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use crate::common::{data, process};
use gstreamer as gst;
use gstreamer::prelude::*;

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn every_clip_that_can_be_made_has_all_its_frames() {
    for clip in [data::h264_mp4(), data::h265_mkv(), data::mjpeg_avi(), data::vp8_webm(), data::vp9_webm()] {
        let Some(clip) = clip else { continue };
        assert_eq!(frames(&clip), Ok((data::CLIP_FRAMES, data::CLIP_SIZE)), "{}", clip.display());
    }
    for picture in [data::png(), data::jpeg()] {
        let Some(picture) = picture else { continue };
        assert_eq!(frames(&picture), Ok((1, data::CLIP_SIZE)), "{}", picture.display());
    }
    if let Some(clip) = data::wide_pixels_mp4() {
        assert_eq!(frames(&clip), Ok((data::CLIP_FRAMES, (720, 576))));
    }
    if let Some(clip) = data::odd_size_webm() {
        assert_eq!(frames(&clip), Ok((data::CLIP_FRAMES, (313, 239))));
    }
}

#[test]
fn the_truncated_clip_begins_well_and_is_not_whole() {
    let Some(clip) = data::truncated_mp4() else { return };
    // Whether GStreamer calls the missing end an error depends on where the file was cut.
    if let Ok((frames, _)) = frames(&clip) {
        assert!((1..data::CLIP_FRAMES).contains(&frames), "{frames} frames");
    }
    assert!(frames(&data::not_a_video()).is_err());
}

/// How many frames of which size GStreamer decodes.
fn frames(path: &std::path::Path) -> Result<(usize, (u32, u32)), String> {
    gst::init().unwrap();
    let pipeline = format!("uridecodebin uri=file://{} ! fakesink name=sink sync=false", path.display());
    let pipeline = gst::parse::launch(&pipeline).unwrap().downcast::<gst::Pipeline>().unwrap();
    let pad = pipeline.by_name("sink").unwrap().static_pad("sink").unwrap();
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = std::sync::Arc::clone(&count);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::from_seconds(60), &ends);
    let caps = pad.current_caps();
    pipeline.set_state(gst::State::Null).unwrap();
    match end.as_deref().map(gst::MessageRef::view) {
        Some(gst::MessageView::Eos(_)) => {
            let caps = caps.ok_or("no frame")?;
            let size = |name| caps.structure(0).unwrap().get::<i32>(name).unwrap() as u32;
            Ok((count.load(std::sync::atomic::Ordering::Relaxed), (size("width"), size("height"))))
        }
        Some(gst::MessageView::Error(error)) => Err(error.error().to_string()),
        _ => Err("no end after 60 s".to_owned()),
    }
}

/// Stands for the program.
fn script(text: &str) -> std::process::Command {
    let mut command = process::command("sh");
    command.args(["-c", text]);
    command
}

#[test]
fn a_run_tells_what_the_program_left() {
    let finished = process::run_command(script("echo out; echo bad >&2; exit 3"), LIMIT);
    assert_eq!(
        (finished.code, finished.stdout.as_str(), finished.stderr.as_str()),
        (Some(3), "out\n", "bad\n")
    );
}

#[test]
#[should_panic(expected = "the program panicked")]
fn a_panic_of_the_program_is_one_of_the_test() {
    process::run_command(script("echo \"thread 'main' panicked at app/main.rs\" >&2"), LIMIT);
}

#[test]
#[should_panic(expected = "did not end within")]
fn a_run_that_does_not_end_is_ended() {
    process::run_command(script("exec sleep 100"), Duration::from_millis(100));
}

#[test]
#[should_panic(expected = "did not say where it listens")]
fn a_server_that_ends_at_once_is_noticed() {
    process::Running::start_command(script("echo no camera >&2; exit 1"), LIMIT);
}

#[test]
fn a_running_program_is_heard_and_stopped() {
    let program = "trap 'echo bye; exit 0' TERM; echo 'see http://127.0.0.1:4242/ for the page' >&2;
                   while :; do sleep 0.02; done";
    let running = process::Running::start_command(script(program), LIMIT);
    assert_eq!(running.address, "127.0.0.1:4242");
    assert!(running.wait_for_line("the page", LIMIT));
    assert!(!running.wait_for_line("no such line", Duration::from_millis(50)));
    let finished = running.stop(LIMIT);
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "bye\n"));
    assert!(finished.took < LIMIT);
}

#[test]
fn the_http_client_reads_plain_and_chunked_answers() {
    for (answer, body) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Name: a: b\r\n\r\nhello and more", "hello"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Name: a: b\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n",
            "hello",
        ),
        ("HTTP/1.0 200 OK\r\nx-name:a: b\r\n\r\nto the end", "to the end"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = vec![0; 1000];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(request[..length].to_vec()).unwrap()
        });
        let response = process::http_get(&address, "/here?a=b").unwrap();
        assert_eq!((response.status, response.text().as_str()), (200, body));
        assert_eq!(response.header("x-name"), Some("a: b"));
        assert!(server.join().unwrap().starts_with("GET /here?a=b HTTP/1.1\r\nHost: 127.0.0.1:"));
    }
}
