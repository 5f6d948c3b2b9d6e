//! A stand-in for Spotter's web server that serves the page with pictures whose content is known: every
//! picture carries its own number as a bar code, and a bright square where its box has to be.

use serde_json::{Value, json};
use spotter::settings::Overrides;
use spotter::settings::shared::SharedSettings;
use spotter::web::http::response::OF_PAGE;
use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tiny_http::{Header, Method, Request, Response, Server};
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

/// The size of the pictures, in pixels and in blocks of 8×8.
pub const WIDTH: usize = 320;
pub const HEIGHT: usize = 176;
/// The model that runs until another one is chosen.
const STARTED_WITH: &str = "mock.tflite";
const COLUMNS: usize = WIDTH / 8;
const ROWS: usize = HEIGHT / 8;
/// The square's side and top, in blocks.
const SIDE: usize = 6;
const TOP: usize = 8;

/// What a test may change while the page looks on.
pub struct State {
    pub confidence: f64,
    pub source_state: &'static str,
    pub source_message: Option<&'static str>,
    pub retry_in_ms: Option<u64>,
    pub frames_flow: bool,
    /// Between two messages of the live stream.
    pub pace: Duration,
    pub refuse_websocket: bool,
    /// Displayed width ÷ stored width.
    pub pixel_aspect: f64,
    pub patches: Vec<f64>,
    /// Fields that a model of another task adds to a scene.
    pub more: Value,
    pub seq: u64,
    pub source_kind: &'static str,
    /// What the model knows: null, or "demo".
    pub scope: Value,
    /// What `/api/models` lists.
    pub models: Value,
    /// The name of the model that runs.
    pub running: String,
    /// The bodies of requests for another model.
    pub wishes: Vec<Value>,
    /// Why another model is refused.
    pub refusal: Option<&'static str>,
    /// Settings besides confidence and IoU.
    pub tuning: Value,
    /// Changes of settings, as they came; null for a reset.
    pub changes: Vec<Value>,
    /// What is wrong although detection goes on.
    pub notices: Vec<&'static str>,
    /// The file that keeps the settings, or null; and what is wrong with it.
    pub settings_file: Value,
    pub unsaved: Value,
    /// The JSON Schema of the settings.
    pub schema: Value,
    /// Which chips the model suits; of the next model too.
    pub suitability: Value,
    /// What is known of the camera; null where this is none.
    pub camera: Value,
    pub state: &'static str,
    pub message: Option<&'static str>,
}

pub struct Mock {
    pub port: u16,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    server: Arc<Server>,
    accepting: Option<JoinHandle<()>>,
}

impl Mock {
    pub fn start() -> Self {
        Self::start_on(0)
    }

    pub fn start_on(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let server = Arc::new(Server::from_listener(listener, None).expect("a server"));
        let state = Arc::new(Mutex::new(State {
            confidence: 0.5,
            source_state: "live",
            source_message: None,
            retry_in_ms: None,
            frames_flow: true,
            pace: Duration::from_millis(40),
            refuse_websocket: false,
            pixel_aspect: 1.0,
            patches: Vec::new(),
            more: Value::Null,
            seq: 0,
            source_kind: "file",
            scope: Value::Null,
            models: json!([]),
            running: STARTED_WITH.to_owned(),
            wishes: Vec::new(),
            refusal: None,
            tuning: json!({}),
            changes: Vec::new(),
            notices: Vec::new(),
            settings_file: json!("settings.json"),
            unsaved: Value::Null,
            schema: SharedSettings::new(Overrides::default()).schema(),
            suitability: Value::Null,
            camera: Value::Null,
            state: "live",
            message: None,
        }));
        let stop = Arc::new(AtomicBool::new(false));
        let accepting = {
            let (server, state, stop) = (server.clone(), state.clone(), stop.clone());
            std::thread::spawn(move || {
                while let Ok(request) = server.recv() {
                    answer(request, &state, &stop);
                }
            })
        };
        Self { port, state, stop, server, accepting: Some(accepting) }
    }

    /// Under a path, as behind a camera's own web server.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/local/spotter/", self.port)
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic in the mock")
    }
}

impl Drop for Mock {
    /// Goes away without a word, as a server does whose power is cut.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.server.unblock();
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn answer(mut request: Request, state: &Arc<Mutex<State>>, stop: &Arc<AtomicBool>) {
    let url = request.url().split('?').next().unwrap_or("/").to_owned();
    let path = url.strip_prefix("/local/spotter").unwrap_or(&url);
    // Nobody is asked for a password here: who may look may change.
    match path.replace("/admin/", "/api/").as_str() {
        "/axis-cgi/usergroup.cgi" => {
            respond(request, 200, "text/plain", b"root\nroot admin operator ptz viewer\n".to_vec());
        }
        "/api/live" => {
            let (state, stop) = (state.clone(), stop.clone());
            std::thread::spawn(move || live(request, &state, &stop));
        }
        "/api/status" => {
            let body = status(&state.lock().expect("no panic in the mock"));
            respond(request, 200, "application/json", body.to_string().into_bytes());
        }
        "/api/models" => {
            let body =
                json!({ "default": "b", "models": state.lock().expect("no panic in the mock").models });
            respond(request, 200, "application/json", body.to_string().into_bytes());
        }
        "/api/model" | "/api/v1/model" if *request.method() == Method::Get => {
            let state = state.lock().expect("no panic in the mock");
            let chosen = state.wishes.last().is_some_and(|wish| !wish.is_null());
            let body = json!({ "chosen_at": chosen.then_some("2026-11-22T16:43:52.710Z"), "started_with": STARTED_WITH,
                               "suitability": state.suitability });
            respond(request, 200, "application/json", body.to_string().into_bytes());
        }
        // The given up accelerator runs the model from now on.
        "/api/model/retry" if path.starts_with("/admin/") && *request.method() == Method::Post => {
            let mut state = state.lock().expect("no panic in the mock");
            let camera = &mut state.camera;
            camera["can_try_again"] = json!(false);
            camera["devices"][0] = json!({ "name": camera["devices"][0]["name"], "state": "runs", "says": "runs the model", "why": null, "retry_in_s": null });
            respond(request, 200, "application/json", b"{}".to_vec());
        }
        "/api/model" if *request.method() == Method::Delete => {
            let mut state = state.lock().expect("no panic in the mock");
            state.wishes.push(Value::Null);
            state.running = STARTED_WITH.to_owned();
            let body = json!({ "name": STARTED_WITH, "suitability": state.suitability });
            respond(request, 200, "application/json", body.to_string().into_bytes());
        }
        "/api/v1/stats" => {
            let list = |value: f64| json!([null, value, 1.5 * value]);
            let body = json!({
                "interval_ms": 1000.0, "time_ms": [1, 2, 3], "fps": { "capture": list(20.0), "inference": list(10.0) },
                "dropped": [0, 0, 2], "stages": { "inference": { "p50_ms": list(8.0), "p95_ms": list(12.0) } },
                "inference_share": list(0.4), "resident_bytes": list(4e7), "cpu": list(0.5),
                "temperature_c": [null, null, null],
                "histograms": histograms(),
            });
            respond(request, 200, "application/json", body.to_string().into_bytes());
        }
        "/api/v1/log" => {
            let line = |level: &str, text: &str, count: u64| json!({ "time": "2026-11-22T16:43:52.710Z", "level": level, "text": text, "count": count });
            let no_route = "no route to 10.0.0.7";
            let all = [
                line("error", no_route, 1),
                line("warning", "slow", 1),
                line("info", "page", 1),
                line("error", no_route, 3),
            ];
            let level = url_level(request.url());
            let wanted =
                |line: &&Value| level == "info" || line["level"] == level || line["level"] == "error";
            let lines: Vec<&Value> = all.iter().filter(wanted).collect();
            let body = json!({ "lines": lines, "counts": { "error": 4, "warning": 1, "info": 1 } });
            respond(request, 200, "application/json", body.to_string().into_bytes());
        }
        "/api/v1/settings/schema" => {
            let body = state.lock().expect("no panic in the mock").schema.to_string();
            respond(request, 200, "application/json", body.into_bytes());
        }
        "/api/v1/labels" => {
            let names = ["person", "dog", "bird", "cat", "horse", "sheep", "cow", "zebra"];
            let labels: Vec<Value> = (0u32..)
                .zip(names)
                .map(|(index, name)| json!({ "index": index, "name": name, "named": true, "background": false }))
                .collect();
            respond(request, 200, "application/json", json!({ "labels": labels }).to_string().into_bytes());
        }
        "/api/model" => {
            let wish: Value = serde_json::from_reader(request.as_reader()).expect("JSON from the page");
            let mut state = state.lock().expect("no panic in the mock");
            let name = wish["model"].as_str().unwrap_or("sent.tflite").to_owned();
            state.wishes.push(wish);
            let (code, body) = match state.refusal {
                Some(why) => (503, json!({ "detail": why })),
                None => {
                    let body = json!({ "name": &name, "suitability": state.suitability });
                    state.running = name;
                    (200, body)
                }
            };
            respond(request, code, "application/json", body.to_string().into_bytes());
        }
        "/api/v1/ticket" => {
            let ticket = json!({ "ticket": "0".repeat(32), "good_for_s": 30 });
            respond(request, 200, "application/json", ticket.to_string().into_bytes());
        }
        "/api/settings" => {
            if *request.method() == Method::Patch {
                let mut change: Value =
                    serde_json::from_reader(request.as_reader()).expect("JSON from the page");
                let mut state = state.lock().expect("no panic in the mock");
                if let Some(why) = state.refusal {
                    return respond(
                        request,
                        422,
                        "application/json",
                        json!({ "detail": why }).to_string().into_bytes(),
                    );
                }
                state.changes.push(change.clone());
                if let Some(confidence) = change["confidence"].as_f64() {
                    state.confidence = confidence;
                    state.patches.push(confidence);
                    change.as_object_mut().expect("an object").remove("confidence");
                }
                merge(&mut state.tuning, change);
            } else if *request.method() == Method::Put {
                let mut document: Value =
                    serde_json::from_reader(request.as_reader()).expect("JSON from the page");
                let expected = request.headers().iter().find(|header| header.field.equiv("If-Match"));
                let expected = expected.map(|header| header.value.as_str().trim_matches('"').to_owned());
                let mut state = state.lock().expect("no panic in the mock");
                let outdated =
                    (expected != Some(etag(&state))).then_some("the settings have changed meanwhile");
                if let Some(why) = state.refusal.or(outdated) {
                    let body = json!({ "detail": why }).to_string().into_bytes();
                    return respond(request, 422, "application/json", body);
                }
                state.changes.push(document.clone());
                let members = document.as_object_mut().expect("an object");
                members.remove("iou");
                state.confidence =
                    members.remove("confidence").and_then(|value| value.as_f64()).unwrap_or(0.5);
                state.tuning = document;
            } else if *request.method() == Method::Delete {
                let mut state = state.lock().expect("no panic in the mock");
                state.changes.push(Value::Null);
                (state.confidence, state.tuning) = (0.5, json!({ "zones": [], "labels": {} }));
            }
            let state = state.lock().expect("no panic in the mock");
            let (settings, etag) = (settings(&state).to_string(), format!("\r\nETag: \"{}\"", etag(&state)));
            respond(request, 200, &format!("application/json{etag}"), settings.into_bytes());
        }
        _ => {
            let name = if path == "/" { "index.html" } else { path.trim_start_matches('/') };
            let kind = match name.rsplit('.').next() {
                Some("html") => "text/html; charset=utf-8",
                Some("js") => "text/javascript; charset=utf-8",
                Some("css") => "text/css; charset=utf-8",
                Some("svg") => "image/svg+xml",
                _ => "application/octet-stream",
            };
            match std::fs::read(page_folder().join(name)) {
                Ok(body) => respond(request, 200, kind, body),
                Err(_) => respond(request, 404, "text/plain", b"not found".to_vec()),
            }
        }
    }
}

fn settings(state: &State) -> Value {
    let mut settings = json!({ "confidence": state.confidence, "iou": 0.45 });
    merge(&mut settings, state.tuning.clone());
    settings
}

/// Three stages from 12 µs to 0.2 s.
fn histograms() -> Value {
    let limits = (0..=40).map(|step| json!(0.008 * f64::powf(2.0, f64::from(step) / 2.0)));
    let counts = |from: usize, counts: &[u64]| {
        let mut all = vec![0; 42];
        all[from..from + counts.len()].copy_from_slice(counts);
        all
    };
    json!({
        "upper_ms": limits.chain([Value::Null]).collect::<Vec<_>>(),
        "counts": {
            "preprocess": counts(13, &[2, 40, 900, 250, 8]), "inference": counts(20, &[10, 700, 380, 60, 20, 0, 4, 0, 0, 1]),
            "decode": counts(2, &[800, 390, 10]),
        },
    })
}

fn etag(state: &State) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    settings(state).to_string().hash(&mut hasher);
    format!("{:x}", hasher.finish())
}

fn url_level(url: &str) -> &str {
    url.split("level=").nth(1).unwrap_or_default()
}

/// RFC 7396.
fn merge(document: &mut Value, patch: Value) {
    let Value::Object(fields) = patch else {
        *document = patch;
        return;
    };
    if !document.is_object() {
        *document = json!({});
    }
    for (name, value) in fields {
        if value.is_null() {
            document.as_object_mut().expect("an object").remove(&name);
        } else {
            merge(&mut document[name], value);
        }
    }
}

pub fn page_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("html")
}

/// Written by hand so that it can say `Connection: close`, which tiny_http does not let through: its pool
/// may queue a new connection behind idle ones that a browser keeps open, and then nobody serves it.
fn respond(request: Request, code: u16, kind: &str, body: Vec<u8>) {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {code} Mock\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Content-Security-Policy: {OF_PAGE}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    );
    let mut writer = request.into_writer();
    let _ = writer.write_all(head.as_bytes()).and_then(|()| writer.write_all(&body));
    let _ = writer.flush();
}

fn live(request: Request, state: &Mutex<State>, stop: &AtomicBool) {
    let key = request.headers().iter().find(|h| h.field.equiv("Sec-WebSocket-Key"));
    let mut send: Box<dyn FnMut(Vec<u8>) -> bool> = if let Some(key) = key {
        if state.lock().expect("no panic in the mock").refuse_websocket {
            return respond(request, 403, "text/plain", b"no".to_vec());
        }
        let accept = tungstenite::handshake::derive_accept_key(key.value.as_bytes());
        let header = Header::from_bytes("Sec-WebSocket-Accept", accept.as_bytes()).expect("a header");
        let stream = request.upgrade("websocket", Response::empty(101).with_header(header));
        let mut socket = WebSocket::from_raw_socket(stream, Role::Server, None);
        Box::new(move |message| socket.send(Message::binary(message)).is_ok())
    } else {
        let mut writer = request.into_writer();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nConnection: close\r\n\r\n";
        if writer.write_all(head.as_bytes()).is_err() {
            return;
        }
        // In odd pieces: the page has to put them together.
        Box::new(move |message| {
            message.chunks(1000).all(|piece| writer.write_all(piece).and_then(|()| writer.flush()).is_ok())
        })
    };
    let mut told = Instant::now() - Duration::from_secs(1);
    while !stop.load(Ordering::Relaxed) {
        let pace = state.lock().expect("no panic in the mock").pace;
        std::thread::sleep(pace);
        let message = {
            let mut state = state.lock().expect("no panic in the mock");
            let tell = told.elapsed() >= Duration::from_millis(500);
            if tell {
                told = Instant::now();
            }
            if state.frames_flow {
                state.seq += 1;
                let mut body = json!({ "scene": scene(&state) });
                if tell {
                    body["status"] = status(&state);
                }
                pack(&body, &picture(state.seq))
            } else if tell {
                pack(&json!({ "scene": null, "status": status(&state) }), &[])
            } else {
                continue;
            }
        };
        if !send(message) {
            return;
        }
    }
}

fn pack(body: &Value, jpeg: &[u8]) -> Vec<u8> {
    let body = body.to_string();
    let mut message = Vec::with_capacity(8 + body.len() + jpeg.len());
    message.extend_from_slice(&(body.len() as u32).to_le_bytes());
    message.extend_from_slice(&(jpeg.len() as u32).to_le_bytes());
    message.extend_from_slice(body.as_bytes());
    message.extend_from_slice(jpeg);
    message
}

fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64() * 1e3
}

/// The column of blocks where the square of a picture begins.
fn column(seq: u64) -> usize {
    (seq as usize * 3) % (COLUMNS - SIDE)
}

/// Where the box of a picture has its left side.
pub fn left(seq: u64) -> f64 {
    column(seq) as f64 / COLUMNS as f64
}

/// A person of 0.80 on the square, a dog of 0.60 in a corner and a cat of 0.30 that is dropped by default.
fn scene(state: &State) -> Value {
    let seq = state.seq;
    let side = SIDE as f64;
    let item = |label: &str, index: u32, score: f64, rect: [f64; 4]| {
        let [left, top, right, bottom] = rect;
        json!({
            "bounding_box": { "left": left, "top": top, "right": right, "bottom": bottom },
            "class": { "type": label, "index": index, "score": score },
        })
    };
    let square = [
        left(seq),
        TOP as f64 / ROWS as f64,
        left(seq) + side / COLUMNS as f64,
        (TOP as f64 + side) / ROWS as f64,
    ];
    let all = [
        item("person", 0, 0.8, square),
        item("dog", 17, 0.6, [0.02, 0.05, 0.12, 0.2]),
        item("cat", 16, 0.3, [0.8, 0.05, 0.97, 0.25]),
    ];
    let (kept, low): (Vec<Value>, Vec<Value>) =
        all.into_iter().partition(|item| item["class"]["score"].as_f64() >= Some(state.confidence));
    let dropped: Vec<Value> = low
        .into_iter()
        .map(|mut item| {
            let text = format!("below confidence: {} < {:.2}", item["class"]["score"], state.confidence);
            item["reason"] =
                json!({ "kind": "below_confidence", "threshold": state.confidence, "text": text });
            item
        })
        .collect();
    let mut scene = json!({
        "frame": {
            "seq": seq, "timestamp": "2026-11-22T13:00:00.123Z", "captured_ms": now_ms() - 25.0,
            "width": WIDTH, "height": HEIGHT,
            "display_width": WIDTH as f64 * state.pixel_aspect, "display_height": HEIGHT,
            "observations": kept, "operations": [],
        },
        "dropped": dropped,
        "timing": { "preprocess_ms": 0.6, "inference_ms": 12.1, "decode_ms": 0.01, "queue_ms": 0.4 },
    });
    if let Value::Object(more) = &state.more {
        for (name, value) in more {
            scene[name] = value.clone();
        }
        scene["frame"]["observations"] = json!([]);
        scene["dropped"] = json!([]);
    }
    scene
}

fn status(state: &State) -> Value {
    let stage = |p50: f64| json!({ "p50_ms": p50, "p95_ms": 1.4 * p50, "p99_ms": 1.8 * p50 });
    let rate = if state.frames_flow { 25.0 } else { 0.0 };
    let summary = json!({ "confidence": state.confidence, "iou": 0.45, "etag": etag(state), "file": state.settings_file, "unsaved": state.unsaved });
    json!({
        "version": "0.1.0", "now_ms": now_ms(), "uptime_s": 12.3, "state": state.state, "message": state.message,
        "notices": state.notices,
        "source": {
            "name": "mock.mp4", "kind": state.source_kind, "state": state.source_state, "message": state.source_message,
            "retry_in_ms": state.retry_in_ms, "width": WIDTH, "height": HEIGHT, "fps": 25.0,
        },
        "model": {
            "name": state.running, "title": "A model for tests", "head": "SSD with post-process",
            "input": "300×300 uint8", "classes": 90, "fit": "stretch", "labels": "COCO, 90 classes",
            "scope": state.scope,
        },
        "backend": { "name": "No backend", "detail": "drawn, not inferred" },
        "camera": state.camera,
        "settings": summary,
        "frames": { "captured": state.seq, "inferred": state.seq, "dropped": 0 },
        "fps": { "capture": rate, "inference": rate },
        "stages": {
            "capture": stage(0.1), "preprocess": stage(0.6), "inference": stage(12.1),
            "decode": stage(0.01), "publish": stage(1.2),
        },
        "viewers": { "live": 1, "mjpeg": 0 },
    })
}

/// A grey picture of flat blocks. The bottom two rows of blocks are the bar code: 16 bits of two blocks'
/// width each, the lowest bit at the left.
fn picture(seq: u64) -> Vec<u8> {
    jpeg(COLUMNS, ROWS, |x, y| {
        let in_square = (TOP..TOP + SIDE).contains(&y) && (column(seq)..column(seq) + SIDE).contains(&x);
        if y >= ROWS - 2 {
            if x < 32 && seq >> (x / 2) & 1 == 1 { 235 } else { 20 }
        } else if in_square {
            235
        } else {
            90
        }
    })
}

/// A baseline JPEG of 8×8 blocks of one grey each: only the DC coefficients differ from zero.
fn jpeg(columns: usize, rows: usize, grey: impl Fn(usize, usize) -> i32) -> Vec<u8> {
    let (width, height) = ((columns * 8) as u16, (rows * 8) as u16);
    let mut bytes = vec![0xff, 0xd8, 0xff, 0xdb, 0, 67, 0];
    bytes.extend_from_slice(&[8; 64]); // a DC step of 8 is one grey level
    bytes.extend_from_slice(&[0xff, 0xc0, 0, 11, 8]);
    bytes.extend_from_slice(&height.to_be_bytes());
    bytes.extend_from_slice(&width.to_be_bytes());
    bytes.extend_from_slice(&[1, 1, 0x11, 0]);
    // DC: the standard's table. AC: one code, "0", for the end of the block.
    bytes.extend_from_slice(&[0xff, 0xc4, 0, 31, 0, 0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(0..12u8);
    bytes.extend_from_slice(&[0xff, 0xc4, 0, 20, 0x10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend_from_slice(&[0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0]);

    let (mut bits, mut count, mut before) = (0u32, 0u32, 0i32);
    let mut put = |value: u32, length: u32, bytes: &mut Vec<u8>| {
        bits = (bits << length) | value;
        count += length;
        while count >= 8 {
            count -= 8;
            let byte = (bits >> count) as u8;
            bytes.push(byte);
            if byte == 0xff {
                bytes.push(0);
            }
            bits &= (1 << count) - 1;
        }
    };
    for y in 0..rows {
        for x in 0..columns {
            let level = grey(x, y) - 128;
            let change = level - before;
            before = level;
            let size = 32 - change.unsigned_abs().leading_zeros();
            match size {
                0 => put(0b00, 2, &mut bytes),
                1..=5 => put(0b010 + size - 1, 3, &mut bytes),
                _ => put((1 << (size - 2)) - 2, size - 2, &mut bytes),
            }
            let value = if change < 0 { change - 1 } else { change };
            put(value as u32 & ((1 << size) - 1), size, &mut bytes);
            put(0, 1, &mut bytes);
        }
    }
    put(0x7f, 7, &mut bytes);
    bytes.extend_from_slice(&[0xff, 0xd9]);
    bytes
}
