//! Drives a headless Chromium over its DevTools protocol: enough to look at a page as a user does.

use serde_json::{Value, json};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tungstenite::{Message, WebSocket};

const NAMES: [&str; 3] = ["/usr/bin/chromium", "chromium-browser", "google-chrome"];
const FLAGS: [&str; 11] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
    "--hide-scrollbars",
    "--no-startup-window",
];
const START: Duration = Duration::from_secs(30);
const ANSWER: Duration = Duration::from_secs(60);

/// Where a browser listens that several tests share; unset where each has its own.
pub const SHARED: &str = "SPOTTER_TEST_BROWSER";

/// A browser that has no page yet. It ends with this value.
pub struct Program {
    child: Child,
    _profile: tempfile::TempDir,
    /// Of its debugging socket.
    pub url: String,
}

impl Program {
    /// `None`, with a word on standard error, where no Chromium is installed. `$CHROMIUM` names one.
    pub fn start() -> Option<Self> {
        let profile = tempfile::tempdir().expect("a folder for the browser's profile");
        let named = std::env::var("CHROMIUM").ok();
        let names = named.iter().map(String::as_str).chain(NAMES);
        let Some(child) = names.into_iter().find_map(|name| start(name, profile.path())) else {
            super::skip("no chromium");
            return None;
        };
        // The child is owned from here on, so that a panic below still ends it.
        let mut program = Self { child, _profile: profile, url: String::new() };
        program.url = debugger(program._profile.path(), &mut program.child);
        Some(program)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Closing tells the renderers too; killing the first process alone leaves them to find out.
        if let Some(mut socket) = connect(&self.url) {
            let close = json!({ "id": 0, "method": "Browser.close" });
            let _ = socket.send(Message::text(close.to_string()));
            super::process::end(&mut self.child, Duration::from_secs(5));
        } else {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// One page of a browser, which shares cookies and storage with no other. It ends with this value.
pub struct Browser {
    socket: WebSocket<TcpStream>,
    session: Option<String>,
    context: Value,
    last_id: u64,
    problems: Vec<String>,
    /// What is typed where the browser asks for a password; none where nobody is there to type.
    password: Option<(String, String)>,
    /// Whether it is typed into every dialog, or into the next alone.
    patient: bool,
    /// Addresses for which the browser has asked for a password.
    asked: Vec<String>,
    /// None where it is somebody else's.
    _program: Option<Program>,
}

impl Browser {
    /// A page of the browser that [`SHARED`] names, or of one of its own. `None`, with a word on standard error, where
    /// no Chromium is installed.
    pub fn launch() -> Option<Self> {
        let (program, url) = match std::env::var(SHARED) {
            Ok(url) => (None, url),
            Err(_) => {
                let program = Program::start()?;
                let url = program.url.clone();
                (Some(program), url)
            }
        };
        let mut browser = Self {
            socket: connect(&url).expect("the browser's debugging socket"),
            session: None,
            context: Value::Null,
            last_id: 0,
            problems: Vec::new(),
            password: None,
            patient: false,
            asked: Vec::new(),
            _program: program,
        };
        browser.context = browser.call("Target.createBrowserContext", json!({}))["browserContextId"].take();
        let page = json!({ "url": "about:blank", "browserContextId": browser.context });
        let target = browser.call("Target.createTarget", page);
        let attached =
            browser.call("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true }));
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Runtime", "Log", "Page"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Opens an address and waits until the document and what it links to is loaded.
    pub fn navigate(&mut self, url: &str) {
        let answer = self.call("Page.navigate", json!({ "url": url }));
        assert!(answer["errorText"].is_null(), "cannot open {url}: {}", answer["errorText"]);
        self.wait_for("document.readyState === 'complete'", Duration::from_secs(30));
    }

    /// The value of a JavaScript expression; a promise is waited for. Panics if it throws.
    pub fn eval(&mut self, js: &str) -> Value {
        let parameters = json!({ "expression": js, "awaitPromise": true, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", parameters);
        let thrown = &answer["exceptionDetails"];
        assert!(thrown.is_null(), "{js}\nthrew {}", thrown["exception"]["description"]);
        answer["result"]["value"].clone()
    }

    /// Waits until a JavaScript expression is true. Panics with its last value when it takes too long.
    pub fn wait_for(&mut self, condition: &str, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        loop {
            let value = self.eval(condition);
            if value == Value::Bool(true) {
                return;
            }
            assert!(Instant::now() < deadline, "still {value} after {timeout:?}: {condition}");
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// The size of the window in CSS pixels, device pixels per CSS pixel, and the colour scheme.
    pub fn set_viewport(&mut self, width: u32, height: u32, scale: f64, dark: bool) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 500 });
        self.call("Emulation.setDeviceMetricsOverride", size);
        let scheme = if dark { "dark" } else { "light" };
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.call("Emulation.setEmulatedMedia", json!({ "features": [feature] }));
    }

    /// Writes what the window shows as PNG.
    pub fn screenshot(&mut self, path: &Path) {
        let png = self.picture("png", 100);
        std::fs::write(path, png).expect("the screenshot is written");
    }

    /// What the window shows, as a file of this format (`png`, `jpeg`, `webp`); PNG knows no quality.
    pub fn picture(&mut self, format: &str, quality: u8) -> Vec<u8> {
        let how = match format {
            "png" => json!({ "format": format }),
            _ => json!({ "format": format, "quality": quality }),
        };
        let answer = self.call("Page.captureScreenshot", how);
        base64(answer["data"].as_str().expect("a picture"))
    }

    /// Presses and releases a key, named as in `KeyboardEvent.key`.
    pub fn key(&mut self, key: &str) {
        let (code, number, text) = match key {
            " " => ("Space".to_owned(), 32, " "),
            "Enter" => (key.to_owned(), 13, "\r"),
            "Tab" => (key.to_owned(), 9, ""),
            "Escape" => (key.to_owned(), 27, ""),
            "End" => (key.to_owned(), 35, ""),
            "Home" => (key.to_owned(), 36, ""),
            "ArrowLeft" => (key.to_owned(), 37, ""),
            "ArrowUp" => (key.to_owned(), 38, ""),
            "ArrowRight" => (key.to_owned(), 39, ""),
            "ArrowDown" => (key.to_owned(), 40, ""),
            "Delete" => (key.to_owned(), 46, ""),
            letter => {
                let upper = letter.to_ascii_uppercase();
                (format!("Key{upper}"), u32::from(upper.as_bytes()[0]), letter)
            }
        };
        let mut event = json!({ "key": key, "code": code, "windowsVirtualKeyCode": number });
        event["type"] = json!(if text.is_empty() { "rawKeyDown" } else { "keyDown" });
        if !text.is_empty() {
            event["text"] = json!(text);
        }
        self.call("Input.dispatchKeyEvent", event.clone());
        event["type"] = json!("keyUp");
        self.call("Input.dispatchKeyEvent", event);
    }

    /// Presses and releases the left button there, in CSS pixels of the window.
    pub fn click(&mut self, x: f64, y: f64) {
        self.drag((x, y), (x, y));
    }

    /// Presses the left button at one place and releases it at another.
    pub fn drag(&mut self, from: (f64, f64), to: (f64, f64)) {
        for (kind, (x, y), buttons) in [
            ("mouseMoved", from, 0),
            ("mousePressed", from, 1),
            ("mouseMoved", to, 1),
            ("mouseReleased", to, 0),
        ] {
            let button = if kind == "mouseMoved" && buttons == 0 { "none" } else { "left" };
            let event = json!({ "type": kind, "x": x, "y": y, "button": button, "buttons": buttons, "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Chooses a file for the file field that a JavaScript expression gives.
    pub fn choose_file(&mut self, field: &str, path: &Path) {
        let found = self.call("Runtime.evaluate", json!({ "expression": field }));
        let object = &found["result"]["objectId"];
        self.call("DOM.setFileInputFiles", json!({ "files": [path], "objectId": object }));
    }

    /// Errors, warnings and uncaught exceptions since the last call.
    pub fn console_problems(&mut self) -> Vec<String> {
        self.eval("0"); // events come before the answer
        std::mem::take(&mut self.problems)
    }

    /// Types this where the browser asks for a password from now on, once for each time that this is called.
    /// Every dialog is counted, see [`Self::asked_for_password`].
    pub fn will_type(&mut self, user: &str, password: &str) {
        self.password = Some((user.to_owned(), password.to_owned()));
        self.patient = false;
        self.call("Fetch.enable", json!({ "handleAuthRequests": true }));
    }

    /// Types this into every dialog from now on, as somebody does who wants to get in: a browser that has forgotten a
    /// password asks for each request that is on its way.
    pub fn will_always_type(&mut self, user: &str, password: &str) {
        self.will_type(user, password);
        self.patient = true;
    }

    /// The addresses for which the browser has shown its password dialog since the last call.
    pub fn asked_for_password(&mut self) -> Vec<String> {
        self.eval("0"); // events come before the answer
        std::mem::take(&mut self.asked)
    }

    /// One command of the DevTools protocol.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        let id = self.send(method, parameters);
        loop {
            let message = self.socket.read().unwrap_or_else(|error| panic!("no answer to {method}: {error}"));
            let Message::Text(text) = message else { continue };
            let mut message: Value = serde_json::from_str(&text).expect("the browser speaks JSON");
            if message["id"] == json!(id) {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].take();
            }
            self.note(&message);
        }
    }

    fn send(&mut self, method: &str, parameters: Value) -> u64 {
        self.last_id += 1;
        let mut command = json!({ "id": self.last_id, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(command.to_string())).expect("the browser listens");
        self.last_id
    }

    fn note(&mut self, event: &Value) {
        let facts = &event["params"];
        match event["method"].as_str() {
            Some("Fetch.requestPaused") => {
                self.send("Fetch.continueRequest", json!({ "requestId": facts["requestId"] }));
            }
            Some("Fetch.authRequired") => {
                self.asked.push(facts["request"]["url"].as_str().unwrap_or("").to_owned());
                let typed = if self.patient { self.password.clone() } else { self.password.take() };
                let typed = match typed {
                    Some((user, password)) => {
                        json!({ "response": "ProvideCredentials", "username": user, "password": password })
                    }
                    None => json!({ "response": "CancelAuth" }),
                };
                let answer = json!({ "requestId": facts["requestId"], "authChallengeResponse": typed });
                self.send("Fetch.continueWithAuth", answer);
            }
            Some("Runtime.consoleAPICalled") => {
                let kind = facts["type"].as_str().unwrap_or("");
                if matches!(kind, "error" | "warning" | "assert") {
                    self.problems.push(format!("console {kind}: {}", facts["args"]));
                }
            }
            Some("Runtime.exceptionThrown") => {
                let details = &facts["exceptionDetails"];
                self.problems
                    .push(format!("uncaught: {} {}", details["text"], details["exception"]["description"]));
            }
            Some("Log.entryAdded") => {
                let entry = &facts["entry"];
                let level = entry["level"].as_str().unwrap_or("");
                if matches!(level, "error" | "warning") {
                    self.problems
                        .push(format!("{} {level}: {} {}", entry["source"], entry["text"], entry["url"]));
                }
            }
            _ => {}
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its page goes with it. That has been done when there is an answer, so that whoever shares the browser next has
        // it alone.
        let context = json!({ "browserContextId": self.context });
        let end = json!({ "id": 0, "method": "Target.disposeBrowserContext", "params": context });
        let _ = self.socket.send(Message::text(end.to_string()));
        while let Ok(message) = self.socket.read() {
            let answer = message.to_text().ok().and_then(|text| serde_json::from_str::<Value>(text).ok());
            if answer.is_some_and(|answer| answer["id"] == 0) {
                break;
            }
        }
    }
}

fn connect(url: &str) -> Option<WebSocket<TcpStream>> {
    let address = url.strip_prefix("ws://")?.split('/').next()?;
    let stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(ANSWER)).expect("a read timeout");
    tungstenite::client(url, stream).ok().map(|(socket, _)| socket)
}

fn start(name: &str, profile: &Path) -> Option<Child> {
    Command::new(name)
        .args(FLAGS)
        .arg(format!("--user-data-dir={}", profile.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()
}

/// The address of the debugging socket, whose port and path the browser writes down once it listens.
fn debugger(profile: &Path, child: &mut Child) -> String {
    let deadline = Instant::now() + START;
    loop {
        let written = std::fs::read_to_string(profile.join("DevToolsActivePort")).unwrap_or_default();
        if let Some((port, path)) = written.split_once('\n')
            && let Ok(port) = port.trim().parse::<u16>()
            && path.starts_with('/')
        {
            return format!("ws://127.0.0.1:{port}{}", path.trim());
        }
        if let Ok(Some(status)) = child.try_wait() {
            panic!("the browser ended at once: {status}");
        }
        assert!(Instant::now() < deadline, "the browser does not listen after {START:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn base64(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0);
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    bytes
}
