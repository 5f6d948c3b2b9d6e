//! What an enemy on the network, or on this machine, can do to the web server, done to the real program: somebody
//! watches all the while and must notice nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::common::process::{self, Response, Running, Weight};
use crate::common::{alone, say};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);
/// Frames a second of the source.
const FPS: f64 = 10.0;
const SECRET: &str = "correct-horse-battery-staple";

/// A Spotter whose process may have so many descriptors.
fn start(descriptors: u32, arguments: &[&str]) -> Running {
    let mut command = process::command("sh");
    let limit = format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"");
    command.args(["-c", &limit, env!("CARGO_BIN_EXE_spotter"), "run"]);
    command.env("SPOTTER_STATE", concat!(env!("CARGO_TARGET_TMPDIR"), "/no-state"));
    command.args(["--source", &format!("demo:size=320x180,fps={FPS}"), "--listen", "127.0.0.1:0"]);
    command.args(arguments);
    let running = Running::start_command(command, LIMIT);
    running.wait_until_detecting(LIMIT);
    running
}

/// Waits until the weight is what it was.
fn assert_as_before(running: &Running, before: Weight) {
    let begun = Instant::now();
    loop {
        let now = running.weight();
        if now.is_as(&before) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{now:?} after, {before:?} before");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What a viewer has seen.
#[derive(Default)]
struct Seen {
    frames: Vec<u64>,
    longest_pause: Duration,
    health: Vec<Duration>,
    /// Frames that came to the end of the source's way without having been looked at, at the begin.
    dropped: u64,
    /// Answers of `/healthz` since the newest frame, and the most between two frames.
    answers: [usize; 2],
    /// The most frames between a question to `/healthz` and its answer.
    most_frames: usize,
    wrong: Option<String>,
}

/// Somebody who watches, and somebody who asks every now and then how it goes.
struct Watching {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    threads: Vec<JoinHandle<()>>,
    address: String,
    headers: String,
}

/// Frames that Spotter itself has left out, because the model was busy.
fn dropped(address: &str, headers: &str) -> u64 {
    let headers: Vec<_> = headers.lines().filter_map(|line| line.split_once(": ")).collect();
    let status = process::http(address, "GET", "/api/status", &headers, b"").unwrap().json();
    status["frames"]["dropped"].as_u64().unwrap()
}

impl Watching {
    fn begin(address: &str, headers: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::new(Mutex::new(Seen { dropped: dropped(address, headers), ..Seen::default() }));
        let mut live = TcpStream::connect(address).unwrap();
        live.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        write!(live, "GET /api/live HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n").unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            live.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
        let viewer = {
            let (stop, seen) = (stop.clone(), seen.clone());
            std::thread::spawn(move || {
                let mut last = Instant::now();
                while !stop.load(Ordering::Relaxed) {
                    let message = match read_message(&mut live) {
                        Ok(message) => message,
                        Err(error) => {
                            seen.lock().unwrap().wrong = Some(format!("the live stream broke: {error}"));
                            return;
                        }
                    };
                    let Some(frame) = message["scene"]["frame"]["seq"].as_u64() else { continue };
                    let mut seen = seen.lock().unwrap();
                    seen.frames.push(frame);
                    seen.longest_pause = seen.longest_pause.max(last.elapsed());
                    let [answers, most] = seen.answers;
                    seen.answers = [0, most.max(answers)];
                    last = Instant::now();
                }
            })
        };
        let asker = {
            let (stop, seen, address) = (stop.clone(), seen.clone(), address.to_owned());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let (begun, before) = (Instant::now(), seen.lock().unwrap().frames.len());
                    let answer = process::http_get(&address, "/healthz");
                    let mut seen = seen.lock().unwrap();
                    seen.answers[0] += 1;
                    seen.most_frames = seen.most_frames.max(seen.frames.len() - before);
                    match answer {
                        Ok(Response { status: 200, .. }) => seen.health.push(begun.elapsed()),
                        other => seen.wrong = Some(format!("/healthz: {other:?}")),
                    }
                    drop(seen);
                    std::thread::sleep(Duration::from_millis(100));
                }
            })
        };
        let (address, headers) = (address.to_owned(), headers.to_owned());
        Self { stop, seen, threads: vec![viewer, asker], address, headers }
    }

    /// Waits until so many frames more have come, or something is wrong.
    fn frames(&self, count: usize) {
        let seen = || {
            let seen = self.seen.lock().unwrap();
            if seen.wrong.is_some() { usize::MAX } else { seen.frames.len() }
        };
        let before = seen();
        process::wait_until("frames come", || seen() >= before.saturating_add(count));
    }

    /// Every frame that was published must have come, and every answer. Both go on at the same pace: the stream is the
    /// clock for the answers and the answers are that for the stream, so a busy machine slows both.
    fn end(self, what: &str) {
        // A moment more, so that whatever broke is noticed.
        self.frames(5);
        let left_out = dropped(&self.address, &self.headers);
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        let seen = self.seen.lock().unwrap();
        assert_eq!(seen.wrong, None, "{what}");
        let frames = &seen.frames;
        let missing: u64 = frames.windows(2).map(|pair| pair[1] - pair[0] - 1).sum();
        let slowest = seen.health.iter().max().unwrap();
        let (shown, pause) = (frames.len(), seen.longest_pause);
        let most_answers = seen.answers[0].max(seen.answers[1]);
        say(&format!(
            "{what}: {shown} frames, {missing} missing, longest pause {pause:.0?}; {} answers, slowest {slowest:.1?}",
            seen.health.len()
        ));
        assert!(shown > 5 && frames.windows(2).all(|pair| pair[1] > pair[0]));
        // On a busy machine Spotter itself leaves frames out.
        let left_out = left_out - seen.dropped;
        assert!(
            missing <= left_out + shown as u64 / 20,
            "{what}: {missing} frames did not come beside {shown}, and {left_out} were left out"
        );
        // Answers are at least a tenth of a second apart, frames as a rule: a second, and two. A system whose queue of
        // connections is short lets one come again after a second.
        assert!(most_answers <= 10, "{what}: no frame between {most_answers} answers");
        assert!(seen.most_frames <= 20, "{what}: {} frames before an answer of /healthz", seen.most_frames);
    }
}

/// One message of `/api/live`: its JSON.
fn read_message(stream: &mut impl Read) -> std::io::Result<Value> {
    let mut lengths = [0; 8];
    stream.read_exact(&mut lengths)?;
    let length = |at: usize| u32::from_le_bytes(lengths[at..at + 4].try_into().unwrap()) as usize;
    let mut json = vec![0; length(0)];
    stream.read_exact(&mut json)?;
    std::io::copy(&mut stream.take(length(4) as u64), &mut std::io::sink())?;
    serde_json::from_slice(&json).map_err(std::io::Error::other)
}

/// A connection that has sent these bytes.
fn sent(address: &str, bytes: &[u8]) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.set_write_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(bytes)?;
    Ok(stream)
}

/// All that the server says to these bytes until it hangs up.
fn said(address: &str, bytes: &[u8]) -> String {
    let mut text = Vec::new();
    if let Ok(mut stream) = sent(address, bytes) {
        // It may hang up on what is not read.
        let _ = stream.read_to_end(&mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn status(answer: &str) -> Option<u16> {
    answer.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

fn request(address: &str, line: &str, more: &str) -> Vec<u8> {
    format!("{line} HTTP/1.1\r\nHost: {address}\r\n{more}\r\n").into_bytes()
}

/// Opens connections until the server takes no more, or `count`.
fn flood(address: &str, count: usize, bytes: &[u8]) -> Vec<TcpStream> {
    let address = address.parse().unwrap();
    let mut all = Vec::new();
    for _ in 0..count {
        if let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(2)) {
            let _ = stream.write_all(bytes);
            all.push(stream);
        }
    }
    all
}

#[test]
fn half_requests_and_idle_connections_cost_nothing() {
    let _alone = alone();
    let running = start(4096, &[]);
    let (address, before) = (&running.address, running.weight());
    let watching = Watching::begin(address, "");
    let mut enemies = flood(address, 1000, b"GET /api/status HTTP/1.1\r\nHost: a\r\nX: ");
    enemies.extend(flood(address, 500, b""));
    let Weight { threads, descriptors, .. } = running.weight();
    assert!(
        threads <= before.threads + 4,
        "half a request has no thread: {threads}, {} before",
        before.threads
    );
    assert!(
        descriptors <= before.descriptors + 140,
        "{descriptors} descriptors, {} before",
        before.descriptors
    );
    assert!(running.http_get("/").status == 200);
    watching.end("1000 half requests, 500 idle connections");
    // Those that were not let go for others are let go when their time is over.
    let mut newest = enemies.pop().unwrap();
    newest.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    match newest.read(&mut [0; 16]) {
        Ok(1..) => panic!("there is nothing to say to it"),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            panic!("it is not let go within 20 s: {error}")
        }
        _ => {}
    }
    assert_as_before(&running, before);
}

#[test]
fn descriptors_do_not_run_out() {
    let _alone = alone();
    let running = start(72, &[]);
    let (address, before) = (&running.address, running.weight());
    let watching = Watching::begin(address, "");
    for (bytes, what) in [
        (&b""[..], "idle"),
        (b"GET / HTTP/1.1\r\n", "half"),
        (b"GET /api/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "live"),
        (b"GET /api/scene?after=99999999&timeout_ms=6000 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "waiting"),
        (b"PATCH /api/settings HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99\r\n\r\n{", "half a body"),
    ] {
        let enemies = flood(address, 150, bytes);
        let Weight { descriptors, .. } = running.weight();
        assert!(descriptors < 68, "{what}: {descriptors} of 72 descriptors");
        assert_eq!(running.http_get("/api/status").status, 200, "{what}");
        drop(enemies);
    }
    watching.end("five floods with 72 descriptors");
    assert_as_before(&running, before);
}

/// Where all else that the program does has taken the descriptors, connections wait and are served later.
#[test]
fn the_door_survives_that_there_are_none_left() {
    let _alone = alone();
    let running = start(4096, &[]);
    let (address, before) = (&running.address, running.weight());
    let limit = |soft: usize| {
        let set = std::process::Command::new("prlimit")
            .args(["--pid", &running.id().to_string(), &format!("--nofile={soft}:4096")])
            .status();
        set.is_ok_and(|set| set.success())
    };
    let watching = Watching::begin(address, "");
    watching.frames(3);
    if !limit(3) {
        crate::common::skip("no descriptors left: no prlimit");
        return watching.end("no attack");
    }
    let ask = || {
        let mut asked = sent(address, &request(address, "GET /healthz", "")).unwrap();
        std::thread::spawn(move || {
            let mut text = String::new();
            let _ = asked.read_to_string(&mut text);
            text
        })
    };
    // Nothing is taken from now on; this one waits.
    let late = ask();
    watching.frames(4);
    assert!(limit(4096));
    assert_eq!(status(&late.join().unwrap()), Some(200));
    // Some are left for connections, and none, or one, or two, for what else a request needs.
    for more in 0..8 {
        assert!(limit(before.descriptors + more));
        let asked: Vec<_> = (0..4).map(|_| ask()).collect();
        watching.frames(3);
        assert!(limit(4096));
        for asked in asked {
            let answer = asked.join().unwrap();
            assert!(matches!(status(&answer), Some(200 | 503)), "{more} more: {answer}");
        }
        assert_eq!(running.http_get("/healthz").status, 200, "{more} more");
    }
    watching.stop.store(true, Ordering::Relaxed);
    for thread in watching.threads {
        thread.join().unwrap();
    }
    assert!(watching.seen.lock().unwrap().frames.len() > 20, "whoever watches goes on watching");
    assert!(running.wait_for_line("the system has nothing left for a connection", LIMIT));
    assert_as_before(&running, before);
}

#[test]
fn slow_and_endless_heads_are_cut_off() {
    let _alone = alone();
    let running = start(4096, &[]);
    let (address, before) = (&running.address, running.weight());
    let watching = Watching::begin(address, "");
    let mut slow: Vec<TcpStream> =
        (0..40).map(|_| sent(address, &request(address, "GET /", "")[..5]).unwrap()).collect();
    // A header without an end, and headers without an end.
    for piece in [&[b'a'; 65536][..], b"X: y\r\n".repeat(10_000).as_slice(), &[b'\n'; 65536], &[b'G'; 65536]]
    {
        let mut stream = sent(address, b"GET / HTTP/1.1\r\nHost: a\r\n").unwrap();
        let mut sent = 0;
        while sent < 200 << 20 {
            match stream.write_all(piece) {
                Ok(()) => sent += piece.len(),
                Err(_) => break,
            }
        }
        assert!(sent < 64 << 20, "{sent} bytes were taken");
    }
    let answer = said(address, &request(address, "GET /", &format!("X: {}\r\n", "a".repeat(20_000))));
    assert_eq!(status(&answer), Some(431), "{answer}");
    // A byte a second, by the source's clock: after ten none is taken any more.
    let mut rounds = 0;
    process::wait_until("slow heads are cut off", || {
        watching.frames(FPS as usize);
        rounds += 1;
        let taken = slow.iter_mut().map(|stream| stream.write_all(b"H").is_ok());
        taken.filter(|taken| *taken).count() == 0
    });
    assert!(rounds <= 14, "they were cut off after {rounds} s");
    for stream in &mut slow {
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        assert!(text.is_empty() || status(&text) == Some(408), "{text}");
    }
    watching.end("slow and endless heads");
    assert_as_before(&running, before);
}

#[test]
fn bodies_that_lie_are_refused() {
    let _alone = alone();
    let running = start(4096, &[]);
    let (address, before) = (&running.address, running.weight());
    let watching = Watching::begin(address, "");
    let patch = |more: &str, body: &str| {
        let bytes = [&request(address, "PATCH /api/settings", more)[..], body.as_bytes()].concat();
        status(&said(address, &bytes))
    };
    let body = "{\"confidence\":0.5}";
    assert_eq!(patch(&format!("Content-Length: {}\r\n", body.len()), body), Some(200));
    for (more, status) in [
        ("Content-Length: 18446744073709551615\r\n", 413),
        ("Content-Length: 99999999999999999999\r\n", 400),
        ("Content-Length: -1\r\n", 400),
        ("Content-Length: 18\r\nContent-Length: 18\r\n", 400),
        ("Content-Length: 18\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", 400),
        ("Transfer-Encoding: chunked\r\n", 411),
        ("Expect: a miracle\r\nContent-Length: 18\r\n", 417),
    ] {
        // One that waited for the rest would be answered with 408.
        assert_eq!(patch(more, body), Some(status), "{more}");
    }
    // A body that is shorter than it says, and one that is longer: what is over is no second request.
    let mut short =
        sent(address, &request(address, "PATCH /api/settings", "Content-Length: 100\r\n")).unwrap();
    short.write_all(body.as_bytes()).unwrap();
    short.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    short.read_to_string(&mut text).unwrap();
    assert_eq!(status(&text), Some(400), "{text}");
    let over = format!("{body}DELETE /api/model HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let text = said(
        address,
        &[&request(address, "PATCH /api/settings", "Content-Length: 18\r\n")[..], over.as_bytes()].concat(),
    );
    assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{text}");
    // More than any model: it is not kept.
    let mut huge =
        sent(address, &request(address, "POST /api/model", "Content-Length: 9000000000\r\n")).unwrap();
    let piece = vec![b'x'; 1 << 20];
    let pushed = (0..400).take_while(|_| huge.write_all(&piece).is_ok()).count();
    assert!(pushed < 64, "{pushed} MiB were taken");
    // Bodies that come a byte at a time, or not at all, until no more are taken; others are served.
    let mut slow = flood(address, 60, &request(address, "POST /api/model", "Content-Length: 100000\r\n"));
    for _ in 0..3 {
        for stream in &mut slow {
            let _ = stream.write_all(b"x");
        }
        watching.frames(3);
        assert_eq!(running.http_get("/api/settings").status, 200);
    }
    watching.end("lying and slow bodies");
    drop(slow);
    assert_as_before(&running, before);
}

#[test]
fn viewers_who_do_not_read_are_let_go() {
    let _alone = alone();
    let running = start(4096, &[]);
    let (address, before) = (&running.address, running.weight());
    let watching = Watching::begin(address, "");
    let mut stalled = Vec::new();
    for path in ["/api/live", "/stream.mjpg", "/api/events"] {
        stalled.extend(flood(address, 25, &request(address, &format!("GET {path}"), "")));
    }
    // Short answers that nobody reads.
    let unread = flood(address, 100, &request(address, "GET /app.js", ""));
    let viewers = || running.http_get("/api/status").json()["viewers"].clone();
    let begun = Instant::now();
    while viewers()["live"].as_u64() < Some(26) {
        assert!(begun.elapsed() < LIMIT, "{}", viewers());
    }
    drop(unread);
    // A connection takes some megabytes here before it stalls: small pictures fill it slowly. So let them go, and
    // see that they are gone; the time limit itself is seen where pictures are large.
    watching.end("75 viewers who do not read");
    drop(stalled);
    assert_as_before(&running, before);
}

#[test]
fn a_stalled_viewer_of_large_pictures_is_let_go_in_time() {
    let _alone = alone();
    let running = Running::start(["--source", "demo:size=1920x1080,fps=15"], LIMIT);
    let address = &running.address;
    let live = || running.http_get("/api/status").json()["viewers"]["live"].as_u64();
    let stalled = sent(address, &request(address, "GET /api/live", "")).unwrap();
    // One that takes a little, for ever.
    let dripping = sent(address, &request(address, "GET /api/live", "")).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let drip = std::thread::spawn({
        let (mut dripping, stop) = (dripping, stop.clone());
        move || {
            while !stop.load(Ordering::Relaxed) && dripping.read(&mut [0; 512]).is_ok_and(|read| read > 0) {
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    });
    let begun = Instant::now();
    while live() < Some(2) {
        assert!(begun.elapsed() < LIMIT, "they watch");
        std::thread::sleep(Duration::from_millis(50));
    }
    while live() != Some(0) {
        assert!(begun.elapsed() < LIMIT, "{:?} still watch", live());
        std::thread::sleep(Duration::from_millis(200));
    }
    say(&format!("a stalled and a dripping viewer were let go after {:.0?}", begun.elapsed()));
    stop.store(true, Ordering::Relaxed);
    drop(stalled);
    drip.join().unwrap();
}

#[test]
fn what_is_no_http_does_no_harm() {
    let _alone = alone();
    let running = start(4096, &[]);
    let (address, before) = (&running.address, running.weight());
    let watching = Watching::begin(address, "");
    let mut state = 1u64;
    let mut random = || {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..150 {
        let garbage: Vec<u8> = (0..random() % 3000).map(|_| random() as u8).collect();
        let bytes = match round % 3 {
            0 => [&garbage[..], b"\r\n\r\n"].concat(),
            1 => [b"GET / HTTP/1.1\r\nHost: a\r\n", &garbage[..], b"\r\n\r\n"].concat(),
            _ => [b"POST /", &garbage[..], b" HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\n"]
                .concat(),
        };
        let mut stream = sent(address, &bytes).unwrap();
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || status(&answer).is_some_and(|status| status >= 400), "{answer}");
    }
    for (bytes, expected) in [
        (&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], 400),
        (b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT example.com:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: b\r\n\r\n", 400),
        (b"BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
    ] {
        let answer = said(address, bytes);
        assert_eq!(status(&answer), Some(expected), "{:?}: {answer}", String::from_utf8_lossy(bytes));
    }
    watching.end("what is no HTTP");
    assert_as_before(&running, before);
}

#[test]
fn no_path_leads_out_and_no_name_leads_in() {
    let _alone = alone();
    let running = start(4096, &["--host", "Spotter.test"]);
    let address = &running.address;
    for path in [
        "/../Cargo.toml",
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/....//....//etc/passwd",
        "/style.css/../../etc/passwd",
        "//etc/passwd",
        "/local/spotter/../../etc/passwd",
        "/local/spotter//etc/passwd",
        "/\\..\\..\\etc\\passwd",
        "/etc/passwd%00.css",
        "/api/../../etc/passwd",
        "/html/index.html",
    ] {
        let answer = said(address, &request(address, &format!("GET {path}"), ""));
        assert!(matches!(status(&answer), Some(400 | 404)), "{path}: {answer}");
        assert!(!answer.contains("root:") && !answer.contains("[package]"), "{path}: {answer}");
    }
    // What only an administrator of a camera may do.
    for path in ["/local/spotter/api/../admin/settings", "/local/spotter/api/%2e%2e/admin/settings"] {
        let patch = request(address, &format!("PATCH {path}"), "Content-Length: 2\r\n");
        let answer = said(address, &[&patch[..], b"{}"].concat());
        assert_eq!(status(&answer), Some(403), "{path}: {answer}");
    }
    let get = |host: &str| {
        let bytes = format!("GET /api/settings HTTP/1.1\r\nHost: {host}\r\n\r\n");
        said(address, bytes.as_bytes())
    };
    for host in ["localhost", "127.0.0.1:1", "[::1]", "spotter.test:8080"] {
        assert_eq!(status(&get(host)), Some(200), "{host}");
    }
    for host in ["evil.test", "192.0.2.7", "localhost.evil.test"] {
        let answer = get(host);
        assert_eq!(status(&answer), Some(421), "{host}");
        assert!(answer.contains(&format!("start it with --host {host}")), "{answer}");
    }
    // Another site's page.
    for header in ["Origin: http://evil.test", "Origin: null", "Sec-Fetch-Site: cross-site"] {
        let answer = said(
            address,
            &[
                &request(address, "PATCH /api/settings", &format!("{header}\r\nContent-Length: 2\r\n"))[..],
                b"{}",
            ]
            .concat(),
        );
        assert_eq!(status(&answer), Some(403), "{header}");
    }
    let page = running.http_get("/");
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    for path in ["/", "/app.js", "/api/status", "/healthz", "/nothing"] {
        let answer = running.http_get(path);
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
            ("connection", "close"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        assert!(answer.header("content-security-policy").is_some(), "{path}");
    }
    let stream = String::from_utf8_lossy(&process::stream(address, "/stream.mjpg", 400)).into_owned();
    assert!(stream.contains("Cross-Origin-Resource-Policy: same-site"), "{stream}");
}

#[test]
fn the_network_needs_the_token() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    let mut command = process::spotter();
    command.args(["run", "--listen", "0.0.0.0:0"]);
    let refused = process::run_command(command, LIMIT);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(
        refused.stderr.contains("can be reached from the network, so Spotter asks for a token"),
        "{refused:?}"
    );

    let running = start(4096, &["--token-file", file.to_str().unwrap()]);
    assert!(running.wait_for_line("can be read by other users of this machine", LIMIT));
    let (address, before) = (&running.address, running.weight());
    let bearer = format!("Authorization: Bearer {SECRET}\r\n");
    let watching = Watching::begin(address, &bearer);
    let page = running.http_get("/");
    assert_eq!((page.status, page.header("location")), (303, Some("signin.html")));
    assert_eq!(running.http_get("/signin.html").status, 200);
    let unknown = running.http_get("/api/status");
    assert_eq!(unknown.status, 401);
    assert!(unknown.header("www-authenticate").unwrap().starts_with("Bearer"));
    for path in ["/api/live", "/stream.mjpg", "/api/events", "/api/scene", "/api/settings", "/admin/access"] {
        assert_eq!(running.http_get(path).status, 401, "{path}");
    }
    let socket = format!(
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: a\r\nOrigin: http://{address}\r\n"
    );
    assert_eq!(status(&said(address, &request(address, "GET /api/live", &socket))), Some(401));
    let log_in = |token: &str| {
        process::http(address, "POST", "/api/login", &[], json!({ "token": token }).to_string().as_bytes())
            .unwrap()
    };
    let right = log_in(SECRET);
    let cookie = right.header("set-cookie").unwrap();
    assert!(
        right.status == 204 && cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let with_cookie =
        || process::http(address, "GET", "/api/status", &[("Cookie", &cookie)], b"").unwrap().status;
    assert_eq!(with_cookie(), 200);
    // Trying out is slow.
    let statuses: Vec<u16> = (0..40).map(|n| log_in(&format!("{SECRET}{n}")).status).collect();
    let tried = statuses.iter().filter(|status| **status == 401).count();
    assert!((5..=8).contains(&tried) && statuses.ends_with(&[429]), "{statuses:?}");
    assert_eq!(log_in(SECRET).status, 429);
    assert_eq!(with_cookie(), 200, "whoever is in stays in");
    let wait: u64 = log_in("x").header("retry-after").unwrap().parse().unwrap();
    std::thread::sleep(Duration::from_secs(wait));
    assert_eq!(log_in(SECRET).status, 204);
    watching.end("40 wrong tokens");
    assert_as_before(&running, before);
}

/// From another address than loopback a peer gets its share and no more.
#[test]
fn one_peer_does_not_take_all() {
    let _alone = alone();
    let own = std::process::Command::new("hostname").arg("-I").output();
    let own = own.ok().and_then(|output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.split_whitespace()
            .find(|address| address.parse::<std::net::Ipv4Addr>().is_ok())
            .map(str::to_owned)
    });
    let Some(own) = own else {
        return crate::common::skip("one peer: this machine has no address but loopback");
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, SECRET).unwrap();
    let mut command = process::spotter();
    command.args(["run", "--source", "demo:size=320x180,fps=10", "--token-file", file.to_str().unwrap()]);
    command.args(["--listen", "0.0.0.0:0"]);
    let running = Running::start_command(command, LIMIT);
    let here = running.address.clone();
    let there = here.replace("127.0.0.1", &own);
    let bearer = format!("Authorization: Bearer {SECRET}\r\n");
    let watching = Watching::begin(&here, &bearer);
    let enemies = flood(&there, 100, &request(&there, "GET /api/live", &bearer));
    let begun = Instant::now();
    let viewers = || {
        let answer = process::http(
            &here,
            "GET",
            "/api/status",
            &[("Authorization", &format!("Bearer {SECRET}"))],
            b"",
        );
        answer.unwrap().json()["viewers"]["live"].as_u64().unwrap()
    };
    while viewers() < 60 {
        assert!(begun.elapsed() < LIMIT, "{}", viewers());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(viewers() <= 64);
    watching.end("100 viewers of one address");
    drop(enemies);
}

#[test]
fn no_socket_is_left_behind() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let left = || std::fs::read_dir(folder.path()).unwrap().count();
    let start = || {
        let mut command = process::spotter();
        command.args(["run", "--source", "demo:size=320x180,fps=10", "--listen", "127.0.0.1:0"]);
        command.env("TMPDIR", folder.path());
        Running::start_command(command, LIMIT)
    };
    let running = start();
    assert_eq!((running.http_get("/healthz").status, left()), (200, 0));
    assert_eq!(running.stop(LIMIT).code, Some(0));
    assert_eq!(left(), 0);
    // One that is killed cannot tidy up.
    drop(start());
    assert_eq!(left(), 0);
    let running = start();
    assert_eq!((running.http_get("/healthz").status, left()), (200, 0));
    assert_eq!(running.stop(LIMIT).code, Some(0));
    assert_eq!(left(), 0);
}

/// Answers that are sent before the body has been read: the client's end is not the server's.
#[test]
fn early_answers_cost_no_threads() {
    const SENDERS: usize = 12;
    let _alone = alone();
    let running = start(4096, &[]);
    let (address, before) = (&running.address, running.weight());
    let watching = Watching::begin(address, "");
    let body = vec![b'x'; 14_000];
    let bytes = |line: &str| {
        [&request(address, line, &format!("Content-Length: {}\r\n", body.len()))[..], &body[..]].concat()
    };
    // Addresses that there are not, methods that are not answered, bodies that nobody wants.
    let attacks = ["POST /nothing", "POST /healthz", "GET /api/status"].map(|line| (line, bytes(line)));
    let most_threads = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|_| {
                scope.spawn(|| {
                    for (line, bytes) in attacks.iter().cycle().take(150) {
                        // Some read their answer, some do not.
                        let Ok(mut stream) = sent(address, bytes) else { continue };
                        let mut start = [0; 12];
                        let read = stream.read(&mut start).unwrap_or(0);
                        let expected = if line.starts_with("GET") { "HTTP/1.1 2" } else { "HTTP/1.1 4" };
                        assert!(read == 0 || start[..read].starts_with(&expected.as_bytes()[..read.min(10)]));
                        drop(sent(address, bytes));
                    }
                })
            })
            .collect();
        let mut most = 0;
        while !senders.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            most = most.max(running.weight().threads);
            std::thread::sleep(Duration::from_millis(20));
        }
        most
    });
    say(&format!("{SENDERS} senders of unread bodies: {most_threads} threads, {} before", before.threads));
    // Each has one request at a time that it waits for, and now and then some that it does not.
    assert!(most_threads <= before.threads + 4 * SENDERS, "{most_threads}, {} before", before.threads);
    watching.end("bodies that nobody reads");
    // Whoever sends all before it reads gets its answer all the same.
    let large = vec![b'x'; 4 << 20];
    let head = request(address, "POST /nothing", &format!("Content-Length: {}\r\n", large.len()));
    assert_eq!(status(&said(address, &[&head[..], &large[..]].concat())), Some(404));
    assert_as_before(&running, before);
}

/// Where the system gives no more threads, what is short is answered, and what is long is refused, until there are some.
#[test]
fn the_server_lives_without_new_threads() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let root =
        std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    // Limits do not hold for root.
    let as_user = |program: &str| match root {
        true => {
            let mut command = process::command("setpriv");
            command.args(["--reuid=61999", "--regid=61999", "--clear-groups", program]);
            command
        }
        false => process::command(program),
    };
    if root {
        std::os::unix::fs::chown(folder.path(), Some(61_999), Some(61_999)).unwrap();
    }
    let mut command = as_user(env!("CARGO_BIN_EXE_spotter"));
    command.args(["run", "--source", "demo:size=320x180,fps=10", "--listen", "127.0.0.1:0"]);
    command.env("SPOTTER_STATE", folder.path()).env("HOME", folder.path());
    if let Some(library) = crate::common::camera_front::tflite() {
        let copy = folder.path().join("libtensorflowlite_c.so");
        std::fs::copy(library, &copy).unwrap();
        command.env("SPOTTER_TFLITE", copy);
    }
    if root && std::process::Command::new("setpriv").arg("--version").output().is_err() {
        return crate::common::skip("no new threads: no setpriv");
    }
    let running = Running::start_command(command, LIMIT);
    let address = &running.address;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", running.id())).unwrap();
    let processes = limits.lines().find(|line| line.starts_with("Max processes")).unwrap();
    let hard = processes.split_whitespace().nth(3).unwrap();
    // As the user whose process it is: no other may, where root has lost that right.
    let limit = |threads: &str| {
        let (id, limit) = (running.id().to_string(), format!("--nproc={threads}:"));
        let mut command = as_user("prlimit");
        command.args(["--pid", &id, &limit]).status().is_ok_and(|set| set.success())
    };
    let watching = Watching::begin(address, "");
    // GStreamer needs one more thread until it plays, which it does not while only its first buffers have come.
    process::wait_until("it plays", || watching.seen.lock().unwrap().frames.len() > 15);
    if !limit("1") {
        crate::common::skip("no new threads: no prlimit");
        return watching.end("no attack");
    }
    let streams = || flood(address, 30, &request(address, "GET /api/events", ""));
    let refused = |mut stream: TcpStream| {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).unwrap();
        &start == b"HTTP/1.1 503"
    };
    let refused = streams().into_iter().filter(|stream| refused(stream.try_clone().unwrap())).count();
    assert!(refused > 20, "{refused}");
    for _ in 0..20 {
        assert_eq!(running.http_get("/api/status").status, 200);
    }
    assert!(running.wait_for_line("the system gives the web server no more threads", LIMIT));
    assert!(limit(hard));
    let begun = Instant::now();
    while !process::stream(address, "/api/events", 12).starts_with(b"HTTP/1.1 200") {
        assert!(begun.elapsed() < LIMIT, "there are threads again");
    }
    watching.end("no new threads");
}

/// Requests that wait for a scene, and whose clients have gone, make room for others.
#[test]
fn long_polls_that_were_given_up_end() {
    let _alone = alone();
    let running = start(4096, &[]);
    let (address, before) = (&running.address, running.weight());
    let watching = Watching::begin(address, "");
    let poll =
        |timeout: u32| request(address, &format!("GET /api/scene?after=99999999&timeout_ms={timeout}"), "");
    let frames = || watching.seen.lock().unwrap().frames.len();
    let another = || status(&said(address, &poll(1)));
    for only_half in [false, true] {
        let polls = flood(address, 64, &poll(30_000));
        while another() != Some(503) {
            assert!(frames() < 10_000, "they wait");
        }
        let begun = frames();
        if only_half {
            polls.iter().for_each(|poll| poll.shutdown(Shutdown::Write).unwrap());
        } else {
            drop(polls);
        }
        while another() == Some(503) {
            std::thread::sleep(Duration::from_millis(20));
        }
        // Those that wait to their end do so for 300 frames.
        let waited = frames() - begun;
        assert!(waited < 100, "{waited} frames");
    }
    watching.end("64 requests that were given up");
    assert_as_before(&running, before);
}

/// A model is written to the disk while it comes: it is never in memory as a whole.
#[test]
fn an_upload_takes_little_memory() {
    const SIZE: usize = 95 << 20;
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let mut command = process::spotter();
    command.args(["run", "--source", "demo:size=320x180,fps=10", "--listen", "127.0.0.1:0"]);
    command.env("SPOTTER_STATE", folder.path());
    let running = Running::start_command(command, LIMIT);
    running.wait_until_detecting(LIMIT);
    let address = &running.address;
    let form = |file: usize| {
        // The last field is none, so that the model is received, but not loaded.
        let head = "--b\r\nContent-Disposition: form-data; name=model; filename=m.tflite\r\n\r\n";
        let rest = "\r\n--b\r\nContent-Disposition: form-data; name=colour\r\n\r\nred\r\n--b--\r\n";
        let more = format!(
            "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n",
            head.len() + file + rest.len()
        );
        let mut stream = sent(address, &request(address, "POST /api/model", &more)).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let piece = vec![b'm'; 1 << 20];
        (0..file >> 20).for_each(|_| stream.write_all(&piece).unwrap());
        stream.write_all(rest.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(status(&text) == Some(400) && text.contains("colour"), "{text}");
    };
    let peak = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", running.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap()
    };
    // What every upload needs is there after the first.
    form(1 << 20);
    let before = peak();
    form(SIZE);
    let more = peak().saturating_sub(before);
    say(&format!("an upload of {} MiB: {more} kB more memory", SIZE >> 20));
    assert!(more < 8 << 10, "{more} kB");
    assert_eq!(std::fs::read_dir(folder.path().join("models")).unwrap().count(), 0, "nothing stays");
}
