//! The main job end to end: the real program on real and made clips.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::common::process::{self, Running, wait_until};
use crate::common::{data, say};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(90);

fn ssd() -> Option<PathBuf> {
    Some(data::shared_data()?.join("models/ssd_mobilenet_v1_coco_quant_postprocess.tflite"))
}

fn arguments<'a>(source: &'a str, model: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["--source", source, "--model"];
    arguments.push(model.to_str().unwrap());
    arguments.extend(more);
    arguments
}

/// Starts `spotter run` and waits until it detects.
fn start(source: &str, model: &Path, more: &[&str]) -> Running {
    let running = Running::start(arguments(source, model, more), LIMIT);
    running.wait_until_detecting(LIMIT);
    running
}

/// The numbers of a summary line: captured, inferred, dropped.
fn summary(stdout: &str) -> [u64; 3] {
    let line = stdout.lines().find(|line| line.starts_with("captured ")).expect("a summary line");
    assert!(line.contains(" fps; p50/p95 ms: capture ") && line.contains(" publish "), "{line}");
    ["captured ", "inferred ", "dropped "].map(|name| {
        let rest = line.split_once(name).unwrap().1;
        rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
    })
}

#[test]
fn a_clip_plays_once_and_every_frame_is_accounted_for() {
    let (Some(model), Some(clip)) = (ssd(), data::h264_mp4()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("scenes.jsonl");
    let begun = Instant::now();
    let mut command = process::spotter();
    command.args(["run", "--listen", "127.0.0.1:0", "--once", "--output", output.to_str().unwrap()]);
    command.args(arguments(clip.to_str().unwrap(), &model, &[]));
    let finished = process::run_command(command, LIMIT);
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    let [captured, inferred, dropped] = summary(&finished.stdout);
    assert_eq!(captured, data::CLIP_FRAMES as u64);
    assert_eq!(captured, inferred + dropped);
    // 30 frames at 15 a second: at its own rate, not as fast as it can be decoded.
    assert!(begun.elapsed() >= Duration::from_millis(1800), "{:?}", begun.elapsed());
    let text = std::fs::read_to_string(&output).unwrap();
    let scenes: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(scenes.len() as u64, inferred);
    for pair in scenes.windows(2) {
        assert!(pair[0]["frame"]["seq"].as_u64() < pair[1]["frame"]["seq"].as_u64());
    }
}

#[test]
fn every_container_and_codec_is_read() {
    let Some(model) = ssd() else { return };
    let clips = [
        data::h264_mp4(),
        data::h265_mkv(),
        data::mjpeg_avi(),
        data::vp8_webm(),
        data::vp9_webm(),
        data::odd_size_webm(),
        data::wide_pixels_mp4(),
    ];
    for clip in clips.into_iter().flatten() {
        let finished = process::run([Path::new("detect"), Path::new("--model"), &model, &clip], LIMIT);
        assert_eq!(finished.code, Some(0), "{}: {finished:#?}", clip.display());
        assert_eq!(finished.stdout.lines().count(), data::CLIP_FRAMES, "{}", clip.display());
    }
    for still in [data::png(), data::jpeg()].into_iter().flatten() {
        let finished = process::run([Path::new("detect"), Path::new("--model"), &model, &still], LIMIT);
        let lines: Vec<&str> = finished.stdout.lines().collect();
        assert_eq!(lines.len(), 1, "{finished:#?}");
        let line: Value = serde_json::from_str(lines[0]).unwrap();
        assert_eq!((&line["width"], &line["height"]), (&json!(320), &json!(240)));
    }
}

#[test]
fn the_clip_of_a_phone_is_turned_as_its_tag_says() {
    let (Some(model), Some(clip)) = (ssd(), data::turned_mp4()) else { return };
    let finished = process::run([Path::new("detect"), Path::new("--model"), &model, &clip], LIMIT);
    let lines: Vec<Value> = finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), data::CLIP_FRAMES, "{finished:#?}");
    for line in lines {
        assert_eq!((&line["width"], &line["height"]), (&json!(240), &json!(320)));
    }
}

#[test]
fn a_looped_clip_is_served_and_ends_within_a_second_of_sigterm() {
    let (Some(model), Some(clip)) = (ssd(), data::h264_mp4()) else { return };
    let running = start(clip.to_str().unwrap(), &model, &[]);
    // Longer than the clip's two seconds: it loops.
    let first = captured(&running);
    wait_until("it loops", || captured(&running) > first + 40);
    let status = running.http_get("/api/status").json();
    assert_eq!(status["source"]["state"], "live");
    assert_eq!(status["source"]["fps"], 15.0);
    assert_eq!(status["model"]["classes"], 90);
    let finished = running.stop(process::AT_ONCE);
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    summary(&finished.stdout);
}

#[test]
fn sigint_ends_a_live_source_too() {
    let Some(model) = ssd() else { return };
    let running = start("test", &model, &[]);
    let finished = running.signal_and_wait("INT", process::AT_ONCE);
    assert_eq!(finished.code, Some(0), "{finished:#?}");
}

#[test]
fn the_interface_answers_as_documented() {
    let Some(model) = ssd() else { return };
    let running = start("test", &model, &[]);
    let page = running.http_get("/");
    assert_eq!(page.status, 200);
    assert!(page.header("content-security-policy").unwrap().contains("script-src 'self';"));
    assert!(page.text().contains("<canvas"));
    assert_eq!(running.http_get("/local/spotter/style.css").status, 200);

    // A frame has been through the model, but its scene may not be published yet.
    let scene = running.http_get("/api/scene?timeout_ms=20000").json();
    let seq = scene["frame"]["seq"].as_u64().unwrap();
    assert!(scene["frame"]["observations"].is_array());
    let later = running.http_get(&format!("/api/scene?after={seq}")).json();
    assert!(later["frame"]["seq"].as_u64().unwrap() > seq);
    assert_eq!(running.http_get(&format!("/api/scene?after={}&timeout_ms=50", u64::MAX)).status, 204);
    assert_eq!(running.http_get("/api/scene?after=x").status, 400);

    let problem = running.http_get("/nothing");
    assert_eq!((problem.status, problem.header("content-type")), (404, Some("application/problem+json")));
    assert_eq!(running.http_get("/../Cargo.toml").status, 404);

    let address = running.address.clone();
    let patch = |body: &[u8]| process::http(&address, "PATCH", "/api/settings", &[], body).unwrap();
    assert_eq!(patch(b"{\"confidence\":0.25}").json()["confidence"], 0.25);
    assert_eq!(running.http_get("/api/status").json()["settings"]["confidence"], 0.25);
    assert_eq!(patch(b"{\"confidence\":2}").status, 400);
    assert_eq!(patch(b"nonsense").status, 400);
    assert_eq!(patch(&vec![b' '; 100_000]).status, 400);
    let wrong = process::http(&address, "DELETE", "/api/status", &[], b"").unwrap();
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("GET, HEAD")));
    // Frames on their way keep the confidence they were seen with; the next ones have the new one.
    let seq = running.http_get("/api/scene").json()["frame"]["seq"].as_u64().unwrap();
    let scene = running.http_get(&format!("/api/scene?after={}", seq + 10)).json();
    for dropped in scene["dropped"].as_array().unwrap() {
        assert_eq!(dropped["reason"]["threshold"], 0.25);
        assert!(dropped["class"]["score"].as_f64().unwrap() < 0.25);
    }
}

#[test]
fn streams_carry_pictures_and_scenes() {
    let Some(model) = ssd() else { return };
    let running = start("test", &model, &[]);
    let address = running.address.clone();
    // Plain MJPEG.
    let bytes = process::stream(&address, "/stream.mjpg", 150_000);
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("multipart/x-mixed-replace; boundary=spotter-frame"));
    assert!(text.matches("--spotter-frame\r\nContent-Type: image/jpeg").count() >= 2);
    // Server-sent events.
    let bytes = process::stream(&address, "/api/events", 4000);
    let text = String::from_utf8_lossy(&bytes);
    let scenes: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter_map(|json| serde_json::from_str(json).ok())
        .collect();
    assert!(!scenes.is_empty() && scenes[0]["frame"]["seq"].is_u64(), "{text}");
    // The page's messages over plain HTTP: each picture with the scene of the same frame.
    let bytes = process::stream(&address, "/api/live", 200_000);
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let messages = messages(&bytes[head..]);
    let pictures: Vec<_> = messages.iter().filter(|(_, jpeg)| !jpeg.is_empty()).collect();
    assert!(pictures.len() >= 2);
    for (json, jpeg) in pictures {
        assert!(json["scene"]["frame"]["seq"].is_u64());
        assert_eq!((&jpeg[..2], &jpeg[jpeg.len() - 2..]), (&[0xFF, 0xD8][..], &[0xFF, 0xD9][..]));
    }
    // Nobody watches any more: the streams find out and go.
    let viewers = || running.http_get("/api/status").json()["viewers"].clone();
    wait_until("nobody watches", || viewers() == json!({"live": 0, "mjpeg": 0, "events": 0}));
}

/// The whole messages at the start of a stream.
fn messages(mut bytes: &[u8]) -> Vec<(Value, Vec<u8>)> {
    let mut messages = Vec::new();
    while bytes.len() >= 8 {
        let length = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let (json, jpeg) = (length(0), length(4));
        if bytes.len() < 8 + json + jpeg {
            break;
        }
        let scene = serde_json::from_slice(&bytes[8..8 + json]).unwrap();
        messages.push((scene, bytes[8 + json..8 + json + jpeg].to_vec()));
        bytes = &bytes[8 + json + jpeg..];
    }
    messages
}

/// Frames that the source has given so far.
fn captured(running: &Running) -> u64 {
    running.http_get("/api/status").json()["frames"]["captured"].as_u64().unwrap()
}

/// Resident memory of a process in MiB.
fn rss_mib(id: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

#[test]
fn memory_does_not_grow_over_loops_with_two_viewers_one_of_them_asleep() {
    use std::io::{Read, Write};
    let (Some(model), Some(clip)) = (ssd(), data::fast_mp4()) else { return };
    let running = start(clip.to_str().unwrap(), &model, &[]);
    let address = running.address.clone();
    let viewer = |path: &'static str| {
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
        stream
    };
    let mut awake = viewer("/api/live");
    // It never reads: the server must let it go and not keep its pictures.
    let asleep = viewer("/stream.mjpg");
    let reader = std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while matches!(awake.read(&mut buffer), Ok(1..)) {}
    });
    let frames = data::CLIP_FRAMES as u64;
    wait_until("all that it needs is in memory", || captured(&running) >= 10 * frames);
    let (before, first) = (rss_mib(running.id()), captured(&running));
    wait_until("it has looped ten times", || captured(&running) >= first + 10 * frames);
    let after = rss_mib(running.id());
    say(&format!("memory over ten loops with viewers: {before:.1} to {after:.1} MiB"));
    // Ten loops: a leak of one frame (170 KiB) a loop would show.
    assert!(after - before < 1.5, "{before} {after}");
    drop(asleep);
    let inferred = || running.http_get("/api/status").json()["frames"]["inferred"].as_u64().unwrap();
    let before = inferred();
    wait_until("detection goes on", || inferred() > before + 5);
    running.stop(process::AT_ONCE);
    reader.join().unwrap();
}

#[test]
fn an_rtsp_source_that_goes_away_comes_back() {
    let Some(model) = ssd() else { return };
    let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/rtsp_server.py");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let serve = || {
        let mut command = process::command("/usr/bin/python3");
        command.arg(&server).arg(&port).stderr(std::process::Stdio::null());
        let mut child = command.spawn().ok()?;
        let mut line = String::new();
        use std::io::BufRead;
        std::io::BufReader::new(child.stdout.take()?).read_line(&mut line).ok()?;
        if line.trim() == "ready" {
            return Some(child);
        }
        let _ = child.kill();
        let _ = child.wait();
        None
    };
    let Some(mut first) = serve() else {
        return crate::common::skip(
            "the RTSP test: python3-gi or gir1.2-gst-rtsp-server-1.0 is not installed",
        );
    };
    let running = start(&format!("rtsp://user:secret@127.0.0.1:{port}/test"), &model, &[]);
    let state = || running.http_get("/api/status").json();
    first.kill().unwrap();
    first.wait().unwrap();
    let wait_for = |wanted: &str| {
        let begun = Instant::now();
        loop {
            let status = state();
            if status["source"]["state"] == wanted {
                return status;
            }
            assert!(begun.elapsed() < LIMIT, "{status:#}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let status = wait_for("reconnecting");
    assert!(status["source"]["message"].is_string(), "{status:#}");
    assert!(!status.to_string().contains("secret"), "{status:#}");
    let mut second = serve().unwrap();
    let before = wait_for("live")["frames"]["inferred"].as_u64().unwrap();
    wait_until("frames come again", || state()["frames"]["inferred"].as_u64().unwrap() > before);
    second.kill().unwrap();
    second.wait().unwrap();
    // Also while it tries to connect it ends at once.
    wait_for("reconnecting");
    let finished = running.stop(process::AT_ONCE);
    assert!(!finished.stderr.contains("secret"), "{finished:#?}");
}

#[test]
fn the_benchmark_tells_all_it_promises() {
    let (Some(model), Some(clip)) = (ssd(), data::h264_mp4()) else { return };
    let clip = clip.to_str().unwrap();
    let model = model.to_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("speed.jsonl");
    let mut arguments = vec!["bench", "--source", clip, "--model", model, "--seconds", "3", "--threads", "1"];
    arguments.extend(["--busy", "1", "--record-to", record.to_str().unwrap(), "--json"]);
    let finished = process::run(arguments, LIMIT);
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    let report: Value = serde_json::from_str(&finished.stdout).unwrap();
    for key in ["end_to_end_fps", "inference_only_fps", "capture_only_fps", "cpu_ms_per_frame", "peak_rss_mb"]
    {
        assert!(report[key].as_f64().unwrap() > 0.0, "{key}: {report:#}");
    }
    assert_eq!(report["dropped"], 0);
    for stage in ["capture", "preprocess", "inference", "decode", "publish"] {
        for percentile in ["p50_ms", "p95_ms", "p99_ms"] {
            assert!(report["stages"][stage][percentile].is_number(), "{stage} {percentile}: {report:#}");
        }
    }
    // Speed is the benchmark's to report, not a test's to judge: this machine may be busy.
    let figure = |key: &str| report[key].as_f64().unwrap();
    let limit = figure("limit_fps");
    assert!(
        limit > 0.0 && limit <= figure("capture_only_fps").min(figure("inference_only_fps")),
        "{report:#}"
    );
    for (share, of) in [("share_of_limit", limit), ("end_to_end_ratio", figure("inference_only_fps"))] {
        assert!((figure(share) - figure("end_to_end_fps") / of).abs() < 0.002, "{share}: {report:#}");
    }
    assert_eq!(report["busy"], 1);
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(&record).unwrap()).unwrap();
    assert_eq!(kept["report"], report);
    assert!(kept["machine"].as_str().unwrap().contains(" x ") && kept["time"].is_string(), "{kept}");
}

#[test]
fn what_keeps_the_machine_busy_ends_with_the_benchmark_however_that_ends() {
    let (Some(model), Some(clip)) = (ssd(), data::h264_mp4()) else { return };
    let mut command = process::spotter();
    command.args(["bench", "--seconds", "600", "--busy", "2"]).args(arguments(
        clip.to_str().unwrap(),
        &model,
        &[],
    ));
    let mut bench = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let list = format!("/proc/{0}/task/{0}/children", bench.id());
    let busy = || -> Vec<String> {
        let children = std::fs::read_to_string(&list).unwrap_or_default();
        let is_busy = |id: &&str| {
            std::fs::read_to_string(format!("/proc/{id}/cmdline"))
                .is_ok_and(|line| line.contains("keep-busy"))
        };
        children.split_whitespace().filter(is_busy).map(str::to_owned).collect()
    };
    wait_until("the machine is busy", || busy().len() == 2);
    let ids = busy();
    bench.kill().unwrap();
    bench.wait().unwrap();
    wait_until("it is quiet again", || ids.iter().all(|id| !Path::new(&format!("/proc/{id}/exe")).exists()));
}
