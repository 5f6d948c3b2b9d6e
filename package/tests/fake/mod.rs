//! A camera's web server, as far as installing needs it, with faults.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard};

use md5::{Digest, Md5};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

pub(crate) const PASSWORD: &str = "right horse";
const REALM: &str = "AXIS_ACCC8E000000";

/// How the camera asks for the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    Digest,
    Basic,
    /// Both, Basic first: the stronger is to be taken.
    Both,
}

/// What the camera does and what it was asked.
pub(crate) struct State {
    pub asks: Asks,
    pub architecture: &'static str,
    pub version: &'static str,
    /// The answer to an upload.
    pub upload: &'static str,
    /// The answer to start, stop, remove.
    pub control: &'static str,
    /// How often the application's health is refused before it is there.
    pub late: usize,
    /// Requests that a nonce is good for.
    pub nonce_life: usize,
    pub unsigned_allowed: bool,
    /// Method and path of every request that was let in.
    pub requests: Vec<String>,
    /// What was uploaded, and the name of its file.
    pub uploaded: Option<(String, Vec<u8>)>,
    /// Requests that came with a wrong answer to the challenge.
    pub refused: usize,
    nonce: u64,
    nonce_used: usize,
    counts: Vec<String>,
}

pub(crate) struct Fake {
    pub state: Arc<Mutex<State>>,
    pub port: u16,
    /// Of the certificate, with TLS.
    pub fingerprint: String,
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn md5(text: &str) -> String {
    hex(&Md5::digest(text))
}

impl Fake {
    pub(crate) fn start(tls: bool) -> Self {
        let state = Arc::new(Mutex::new(State {
            asks: Asks::Digest,
            architecture: "aarch64",
            version: "12.10.68",
            upload: "OK",
            control: "OK",
            late: 0,
            nonce_life: 1000,
            unsigned_allowed: false,
            requests: vec![],
            uploaded: None,
            refused: 0,
            nonce: 1,
            nonce_used: 0,
            counts: vec![],
        }));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (config, fingerprint) = if tls { server_config() } else { (None, String::new()) };
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, config) = (shared.clone(), config.clone());
                std::thread::spawn(move || match config {
                    Some(config) => {
                        let connection = rustls::ServerConnection::new(config).unwrap();
                        serve(rustls::StreamOwned::new(connection, stream), &state);
                    }
                    None => serve(stream, &state),
                });
            }
        });
        Self { state, port, fingerprint }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn host(&self) -> String {
        let scheme = if self.fingerprint.is_empty() { "http" } else { "https" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }
}

/// The certificate that the camera made for itself, and its key: made for these tests with openssl.
fn server_config() -> (Option<Arc<rustls::ServerConfig>>, String) {
    let certificate = CertificateDer::from(include_bytes!("certificate.der").to_vec());
    let private = PrivateKeyDer::try_from(include_bytes!("key.der").to_vec()).unwrap();
    let sum = <sha2::Sha256 as sha2::Digest>::digest(&certificate);
    let fingerprint = sum.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":");
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], private)
            .unwrap();
    (Some(Arc::new(config)), fingerprint)
}

struct Request {
    method: String,
    path: String,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

fn read<S: Read>(reader: &mut BufReader<S>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, path, headers, body })
}

fn serve<S: Read + Write>(stream: S, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        let (status, extra, text) = answer(&request, &mut state.lock().unwrap());
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n{extra}\r\n", text.len());
        let stream = reader.get_mut();
        if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(text.as_bytes())).is_err() {
            return;
        }
        let _ = stream.flush();
    }
}

/// RFC 7616 with MD5 and qop=auth, each count of a nonce once.
fn digest_is_right(request: &Request, header: &str, state: &mut State) -> bool {
    let parts: HashMap<&str, &str> = header
        .split(',')
        .filter_map(|part| part.trim().split_once('='))
        .map(|(key, value)| (key, value.trim_matches('"')))
        .collect();
    let of = |key: &str| parts.get(key).copied().unwrap_or_default();
    let ha1 = md5(&format!("{}:{REALM}:{PASSWORD}", of("username")));
    let ha2 = md5(&format!("{}:{}", request.method, request.path));
    let expected = md5(&format!("{ha1}:{}:{}:{}:auth:{ha2}", of("nonce"), of("nc"), of("cnonce")));
    let count = format!("{} {}", of("nonce"), of("nc"));
    let fresh = of("nonce") == format!("n{}", state.nonce) && !state.counts.contains(&count);
    state.counts.push(count);
    state.nonce_used += 1;
    fresh
        && state.nonce_used <= state.nonce_life
        && of("username") == "root"
        && of("realm") == REALM
        && of("uri") == request.path
        && of("qop") == "auth"
        && of("response") == expected
}

fn challenge(state: &mut State) -> String {
    state.nonce += 1;
    state.nonce_used = 0;
    let basic = format!("WWW-Authenticate: Basic realm=\"{REALM}\"\r\n");
    let nonce = state.nonce;
    let digest = format!(
        "WWW-Authenticate: Digest realm=\"{REALM}\", nonce=\"n{nonce}\", algorithm=MD5, qop=\"auth\"\r\n"
    );
    match state.asks {
        Asks::Digest => digest,
        Asks::Basic => basic,
        Asks::Both => basic + &digest,
    }
}

fn answer(request: &Request, state: &mut State) -> (u16, String, String) {
    let header = request.headers.get("authorization").map_or("", String::as_str);
    let right = match header.split_once(' ') {
        Some(("Digest", rest)) if state.asks != Asks::Basic => digest_is_right(request, rest, state),
        // base64 of root:right horse
        Some(("Basic", "cm9vdDpyaWdodCBob3JzZQ==")) => state.asks == Asks::Basic,
        _ => false,
    };
    if !right {
        state.refused += usize::from(!header.is_empty());
        return (401, challenge(state), "401 Unauthorized".to_owned());
    }
    let path = request.path.split('?').next().unwrap_or_default();
    state.requests.push(format!("{} {}", request.method, request.path));
    let ok = |text: &str| (200, String::new(), text.to_owned());
    match path {
        "/axis-cgi/basicdeviceinfo.cgi" => ok(&format!(
            r#"{{"apiVersion":"1.3","data":{{"propertyList":{{"Architecture":"{}","ProdNbr":"Q1656-LE","Soc":"Axis Artpec-8","Version":"{}"}}}}}}"#,
            state.architecture, state.version
        )),
        "/axis-cgi/applications/config.cgi" => {
            state.unsigned_allowed = request.path.ends_with("action=set&name=AllowUnsigned&value=true");
            ok(r#"<reply result="ok"><param name="AllowUnsigned" value="true"/></reply>"#)
        }
        "/axis-cgi/applications/upload.cgi" => {
            state.uploaded = form_file(request);
            ok(state.upload)
        }
        "/axis-cgi/applications/control.cgi" => ok(state.control),
        "/axis-cgi/applications/list.cgi" => {
            let status = if state.late == 0 { "Running" } else { "Stopped" };
            ok(&format!(
                r#"<reply result="ok"><application Name="spotter" NiceName="Spotter" Version="0.1.0" Status="{status}"/></reply>"#
            ))
        }
        "/axis-cgi/admin/systemlog.cgi" => ok("2026 spotter[1]: page http://127.0.0.1:27768/\n"),
        "/local/spotter/api/healthz" if state.late == 0 => {
            ok(r#"{"status":"ok","detecting":true,"state":"live","message":null}"#)
        }
        "/local/spotter/api/healthz" => {
            state.late -= 1;
            (503, String::new(), "Service Unavailable".to_owned())
        }
        _ => (404, String::new(), "Not Found".to_owned()),
    }
}

/// The one file of a form, by RFC 7578.
fn form_file(request: &Request) -> Option<(String, Vec<u8>)> {
    let boundary = request.headers.get("content-type")?.strip_prefix("multipart/form-data; boundary=")?;
    let end = format!("\r\n--{boundary}--\r\n");
    let body =
        request.body.strip_prefix(format!("--{boundary}\r\n").as_bytes())?.strip_suffix(end.as_bytes())?;
    let split = body.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&body[..split]).ok()?;
    let name = head.split("form-data; name=\"file\"; filename=\"").nth(1)?.split('"').next()?;
    Some((name.to_owned(), body[split + 4..].to_vec()))
}
