//! Runs the real program, as a user does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What a run of the program left.
#[derive(Debug)]
pub struct Finished {
    /// The exit code; none if a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    /// From start, or from the signal that was sent, to the end.
    pub took: Duration,
}

/// Within this a program ends that was told to and waits for nothing, on the busiest machine; what it waits for at other
/// times takes longer. How fast it is in truth, `./build.sh bench` measures.
pub const AT_ONCE: Duration = Duration::from_secs(5);

/// A command that will run the program.
pub fn spotter() -> Command {
    let mut command = command(env!("CARGO_BIN_EXE_spotter"));
    // A model that somebody chose on this machine must not run in a test.
    command.env("SPOTTER_STATE", concat!(env!("CARGO_TARGET_TMPDIR"), "/no-state"));
    command
}

/// A command whose output [`run_command`] and [`Running`] can read.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the program with these arguments to its end. Panics if that takes longer than `limit`, or if the
/// program panicked.
pub fn run<I, A>(arguments: I, limit: Duration) -> Finished
where
    I: IntoIterator<Item = A>,
    A: AsRef<std::ffi::OsStr>,
{
    let mut command = spotter();
    command.args(arguments);
    run_command(command, limit)
}

/// As [`run`], for a command made with [`spotter`], so that a test can set its environment or folder.
pub fn run_command(mut command: Command, limit: Duration) -> Finished {
    let started = Instant::now();
    let mut child = command.spawn().expect("the program starts");
    let output = Output::of(&mut child);
    match wait(&mut child, started + limit) {
        Some(status) => output.finish(status, started.elapsed()),
        None => {
            child.kill().expect("a running program can be killed");
            let status = child.wait().expect("a killed program ends");
            let finished = output.finish(status, started.elapsed());
            panic!("{command:?} did not end within {limit:?}\n{finished:#?}");
        }
    }
}

/// `spotter run` in the background, with its web server. Ended when dropped.
pub struct Running {
    child: Child,
    output: Option<Output>,
    /// Where its web server listens: `127.0.0.1:PORT`.
    pub address: String,
}

impl Running {
    /// Starts `spotter run` with these arguments, a web server on a free port, and waits until it says
    /// where that is. Panics, with what the program said, if it ends or is silent for `limit`.
    pub fn start<I, A>(arguments: I, limit: Duration) -> Self
    where
        I: IntoIterator<Item = A>,
        A: AsRef<std::ffi::OsStr>,
    {
        let mut command = spotter();
        command.arg("run").args(arguments).args(["--listen", "127.0.0.1:0"]);
        Self::start_command(command, limit)
    }

    /// As [`Running::start`], for a whole command.
    pub fn start_command(mut command: Command, limit: Duration) -> Self {
        let started = Instant::now();
        let mut child = command.spawn().expect("the program starts");
        let output = Output::of(&mut child);
        loop {
            if let Some(address) = output.find(address_in, Duration::from_millis(50)) {
                return Self { child, output: Some(output), address };
            }
            let ended = child.try_wait().expect("the program's state is known");
            if ended.is_some() || started.elapsed() > limit {
                let _ = child.kill();
                let status = child.wait().expect("a killed program ends");
                let finished = output.finish(status, started.elapsed());
                panic!("{command:?} did not say where it listens\n{finished:#?}");
            }
        }
    }

    /// Waits until frames go through the model. Panics, with what the program said, if that takes longer than `limit`.
    pub fn wait_until_detecting(&self, limit: Duration) {
        let begun = Instant::now();
        while self.http_get("/healthz").json()["detecting"] != true {
            assert!(begun.elapsed() < limit, "{:#?}", self.lines());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The program's process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until a line of stdout or stderr contains `text`. Whether it came in time.
    pub fn wait_for_line(&self, text: &str, limit: Duration) -> bool {
        self.output().find(|line| line.contains(text).then_some(()), limit).is_some()
    }

    /// Everything the program has said so far, stdout and stderr in the order of arrival.
    pub fn lines(&self) -> Vec<String> {
        self.output()
            .shared
            .0
            .lock()
            .expect("no reader panics")
            .iter()
            .map(|(_, line)| line.clone())
            .collect()
    }

    /// GET from its web server. Panics if there is no answer.
    pub fn http_get(&self, path: &str) -> Response {
        http_get(&self.address, path).unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// Sends SIGTERM and waits for the end.
    pub fn stop(self, limit: Duration) -> Finished {
        self.signal_and_wait("TERM", limit)
    }

    /// Sends a signal (`TERM`, `INT`) and waits for the end. Panics if that takes longer than `limit`, or
    /// if the program panicked.
    pub fn signal_and_wait(mut self, signal: &str, limit: Duration) -> Finished {
        let sent = Instant::now();
        self.signal(signal);
        let status = wait(&mut self.child, sent + limit);
        let took = sent.elapsed();
        let _ = self.child.kill();
        let end = status.unwrap_or_else(|| self.child.wait().expect("a killed program ends"));
        let finished = self.output.take().expect("only Drop comes after this").finish(end, took);
        assert!(status.is_some(), "the program did not end within {limit:?} of SIG{signal}\n{finished:#?}");
        finished
    }

    /// Waits until the program ends by itself.
    pub fn wait(mut self, limit: Duration) -> Finished {
        let started = Instant::now();
        let status = wait(&mut self.child, started + limit);
        let took = started.elapsed();
        let _ = self.child.kill();
        let end = status.unwrap_or_else(|| self.child.wait().expect("a killed program ends"));
        let finished = self.output.take().expect("only Drop comes after this").finish(end, took);
        assert!(status.is_some(), "the program did not end within {limit:?}\n{finished:#?}");
        finished
    }

    fn output(&self) -> &Output {
        self.output.as_ref().expect("it is taken only at the end")
    }

    fn signal(&self, signal: &str) {
        // The standard library can only SIGKILL.
        let sent = Command::new("kill")
            .args([&format!("-{signal}"), &self.child.id().to_string()])
            .status()
            .expect("there is a kill command");
        assert!(sent.success(), "SIG{signal} could not be sent: has the program ended?");
    }
}

/// What a process has.
#[derive(Clone, Copy, Debug)]
pub struct Weight {
    pub threads: usize,
    pub descriptors: usize,
    /// In memory.
    pub kilobytes: usize,
}

/// The web server keeps so many threads, and more for some seconds.
const RESTING: usize = 4;

impl Weight {
    /// Whether nothing is left of what came after `before`; of memory, as much may be as a source keeps in
    /// pictures (3.7 MB each) that were in use at once when the machine was busiest.
    pub fn is_as(&self, before: &Self) -> bool {
        self.threads <= before.threads + RESTING
            && self.descriptors <= before.descriptors
            && self.kilobytes < before.kilobytes + 24 * 1024
    }
}

impl Running {
    /// What the program has now.
    pub fn weight(&self) -> Weight {
        let folder = format!("/proc/{}", self.id());
        let status = std::fs::read_to_string(format!("{folder}/status")).expect("it runs");
        let number = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).expect("Linux tells it");
            line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("a number")
        };
        let descriptors = std::fs::read_dir(format!("{folder}/fd")).expect("it runs").count();
        Weight { threads: number("Threads:"), descriptors, kilobytes: number("VmRSS:") }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // A failing test shows what the program said.
        if let (true, Some(output)) = (std::thread::panicking(), &self.output)
            && let Ok(lines) = output.shared.0.lock()
        {
            for (stream, line) in lines.iter() {
                eprintln!("{stream:?}: {line}");
            }
        }
    }
}

/// Finds `http://127.0.0.1:PORT/` in a line.
fn address_in(line: &str) -> Option<String> {
    let rest = &line[line.find("http://127.0.0.1:")? + "http://".len()..];
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':')).unwrap_or(rest.len());
    Some(rest[..end].to_owned())
}

fn wait(child: &mut Child, until: Instant) -> Option<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait().expect("the program's state is known") {
            return Some(status);
        }
        if Instant::now() > until {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stream {
    Stdout,
    Stderr,
}

/// What a program has said, in the order of arrival, and the sign that there is more.
type Lines = (Mutex<Vec<(Stream, String)>>, Condvar);

/// Reads both streams of a program as they come, so that it never waits for a full pipe.
struct Output {
    shared: Arc<Lines>,
    readers: [JoinHandle<()>; 2],
}

impl Output {
    fn of(child: &mut Child) -> Self {
        let shared = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        let readers = [
            read_lines(Stream::Stdout, stdout, Arc::clone(&shared)),
            read_lines(Stream::Stderr, stderr, Arc::clone(&shared)),
        ];
        Self { shared, readers }
    }

    /// The first thing that `pick` makes of a line, if one comes within `limit`.
    fn find<T>(&self, pick: impl Fn(&str) -> Option<T>, limit: Duration) -> Option<T> {
        let until = Instant::now() + limit;
        let (lines, arrived) = &*self.shared;
        let mut lines = lines.lock().expect("no reader panics");
        let mut searched = 0;
        loop {
            if let Some(found) = lines[searched..].iter().find_map(|(_, line)| pick(line)) {
                return Some(found);
            }
            searched = lines.len();
            let left = until.checked_duration_since(Instant::now())?;
            lines = arrived.wait_timeout(lines, left).expect("no reader panics").0;
        }
    }

    fn finish(self, status: ExitStatus, took: Duration) -> Finished {
        for reader in self.readers {
            reader.join().expect("no reader panics");
        }
        let lines = self.shared.0.lock().expect("no reader panics");
        let text = |wanted| {
            let lines = lines.iter().filter(|(stream, _)| *stream == wanted);
            lines.map(|(_, line)| format!("{line}\n")).collect::<String>()
        };
        let finished = Finished {
            code: status.code(),
            stdout: text(Stream::Stdout),
            stderr: text(Stream::Stderr),
            took,
        };
        for word in ["panicked", "backtrace"] {
            assert!(!finished.stderr.contains(word), "the program panicked\n{finished:#?}");
        }
        finished
    }
}

fn read_lines(stream: Stream, source: impl Read + Send + 'static, shared: Arc<Lines>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut source = BufReader::new(source);
        let mut bytes = Vec::new();
        while source.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
            let line = String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned();
            bytes.clear();
            shared.0.lock().expect("no reader panics").push((stream, line));
            shared.1.notify_all();
        }
    })
}

/// An answer of a web server.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON. Panics if it is something else.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }
}

/// GET from `127.0.0.1:PORT`, to the end of the answer (so not for streams).
pub fn http_get(address: &str, path: &str) -> std::io::Result<Response> {
    http(address, "GET", path, &[], b"")
}

/// A connection on which GET has been sent: the answer, from its head on, can be read from it.
pub fn ask(address: &str, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout above zero is taken");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").expect("the server reads");
    stream
}

/// Somebody who takes every picture of the live stream until `stop`.
pub fn watch(address: &str, stop: &Arc<AtomicBool>) -> JoinHandle<()> {
    let (address, stop) = (address.to_owned(), stop.clone());
    std::thread::spawn(move || {
        let mut stream = ask(&address, "/api/v1/live");
        let mut scrap = vec![0; 1 << 16];
        while !stop.load(Ordering::Relaxed) && stream.read(&mut scrap).is_ok_and(|read| read > 0) {}
    })
}

/// The first `bytes` bytes of a stream, head included; then the connection is closed.
pub fn stream(address: &str, path: &str, bytes: usize) -> Vec<u8> {
    let mut read = Vec::new();
    ask(address, path).take(bytes as u64).read_to_end(&mut read).expect("the server sends");
    read
}

/// Any request. `Host`, `Connection: close` and, for a body, `Content-Length` are added.
pub fn http(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Response> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.set_write_timeout(Some(Duration::from_secs(20)))?;
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    if !body.is_empty() {
        request += &format!("Content-Length: {}\r\n", body.len());
    }
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += "\r\n";
    stream.write_all(&[request.as_bytes(), body].concat())?;
    read_response(&mut BufReader::new(stream), method == "HEAD")
}

fn read_response(stream: &mut impl BufRead, headers_only: bool) -> std::io::Result<Response> {
    let bad = |what: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, what.to_owned());
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| bad(&format!("not HTTP: {line:?}")))?;
    let mut headers = Vec::new();
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
            None if line.trim_end().is_empty() => break,
            None => return Err(bad(&format!("not a header: {line:?}"))),
        }
    }
    let mut response = Response { status, headers, body: Vec::new() };
    if headers_only || status == 204 || status == 304 {
        return Ok(response);
    }
    if response.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        loop {
            line.clear();
            stream.read_line(&mut line)?;
            let length = usize::from_str_radix(line.trim().split(';').next().unwrap_or_default(), 16);
            let length = length.map_err(|_| bad(&format!("not a chunk's length: {line:?}")))?;
            let begun = response.body.len();
            response.body.resize(begun + length, 0);
            stream.read_exact(&mut response.body[begun..])?;
            line.clear();
            stream.read_line(&mut line)?;
            if length == 0 {
                break;
            }
        }
    } else if let Some(length) = response.header("content-length").and_then(|length| length.parse().ok()) {
        response.body.resize(length, 0);
        stream.read_exact(&mut response.body)?;
    } else {
        stream.read_to_end(&mut response.body)?;
    }
    Ok(response)
}

/// Waits until something is so. Panics with `what` where it is not so after a time that only what hangs takes.
pub fn wait_until(what: &str, mut met: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !met() {
        assert!(begun.elapsed() < Duration::from_secs(120), "still not: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits for a process that was told to end; kills it after `limit`.
pub fn end(child: &mut Child, limit: Duration) {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    // It may have ended by itself meanwhile.
    let _ = child.kill();
    let _ = child.wait();
}
