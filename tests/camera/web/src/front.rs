//! The camera's web server: who may see what, files, the way on to applications.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::apps::{App, Apps, System};
use crate::auth::{Accounts, Role};
use crate::http::{Answer, Request, normalise};
use crate::vapix::{self, Vapix};

/// Headers between two neighbours, which a proxy does not pass on (RFC 9110 §7.6.1).
const HOP_BY_HOP: [&str; 6] = ["Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Upgrade"];

/// A camera.
pub struct Camera {
    /// Its users.
    pub accounts: Accounts,
    /// Its own interface.
    pub vapix: Vapix,
    /// Its applications.
    pub apps: Apps,
    /// What they share.
    pub system: Arc<System>,
    /// Pass the client's `Host` on, as Apache does with `ProxyPreserveHost`.
    pub preserve_host: bool,
    /// Say who asked, and for which host, as Apache does with `ProxyAddHeaders`.
    pub forwarded: bool,
    /// The user that connections to applications are opened as; none where it cannot be chosen.
    pub web_user: Option<u32>,
    /// Upgrades are not passed on.
    pub no_websocket: bool,
}

impl Camera {
    /// Serves one connection.
    pub fn serve(&self, stream: TcpStream) {
        if let Ok(Some(request)) = Request::read(stream) {
            self.route(request);
        }
    }

    fn route(&self, mut request: Request) {
        let Some(path) = normalise(request.raw_path()) else { return Answer::error(404).send(request) };
        if path.starts_with("/axis-cgi/") {
            let answer = match vapix::access(&path) {
                None => Answer::error(404),
                Some(role) => match self.accounts.check(&request, role) {
                    Ok(user) => self.vapix.answer(&path, &mut request, user, &self.apps, &self.system),
                    Err(answer) => answer,
                },
            };
            return answer.send(request);
        }
        let app = path.strip_prefix("/local/").map(|rest| rest.split_once('/').unwrap_or((rest, "")));
        let found = app.and_then(|(name, rest)| Some((self.apps.get(name)?, rest)));
        match found {
            Some((app, rest)) => self.local(request, &path, &app, rest),
            None if path == "/" => {
                let answer = self.accounts.check(&request, Role::Viewer).map(|_| self.index());
                answer.unwrap_or_else(|answer| answer).send(request);
            }
            None => Answer::error(404).send(request),
        }
    }

    /// A page that leads to the applications' own; a camera has its live view here.
    fn index(&self) -> Answer {
        let mut list = String::new();
        for app in self.apps.all() {
            let (name, page) = (&app.package.name, &app.package.setting_page);
            list += &format!("<li><a href=\"local/{name}/{page}\">{name}</a> {}</li>", app.state());
        }
        let title = format!("Simulated camera, {}", self.vapix.profile.soc);
        Answer::new(
            200,
            "text/html",
            format!("<!doctype html><title>{title}</title><h1>{title}</h1><ul>{list}</ul>"),
        )
    }

    fn local(&self, request: Request, path: &str, app: &App, rest: &str) {
        let proxy = app.package.proxies.iter().find(|proxy| {
            rest.strip_prefix(proxy.path.as_str())
                .is_some_and(|more| more.is_empty() || more.starts_with('/'))
        });
        let needed = proxy.map_or(app.package.html, |proxy| proxy.access);
        if let Err(answer) = self.accounts.check(&request, needed) {
            return answer.send(request);
        }
        match proxy {
            Some(proxy) => self.pass_on(request, path, app.port(proxy.port)),
            None if path == format!("/local/{}", app.package.name) => {
                Answer::error(302).with("Location", format!("{path}/")).send(request);
            }
            None => file(&app.folder().join("html"), rest, &request).send(request),
        }
    }

    /// Hands the request, and then the connection in both directions, to the application: a stream has no end, and
    /// a WebSocket is no HTTP any more.
    fn pass_on(&self, mut request: Request, path: &str, port: u16) {
        let Ok(mut upstream) = connect_as(self.web_user, port) else {
            return Answer::error(503).send(request);
        };
        let upgrade = request.header("Upgrade").filter(|_| !self.no_websocket).map(str::to_owned);
        let query = request.target.split_once('?').map_or(String::new(), |(_, query)| format!("?{query}"));
        let host = request.header("Host").unwrap_or("").to_owned();
        let mut head = format!("{} {}{query} HTTP/1.1\r\n", request.method, encode(path));
        let inner = if self.preserve_host { host.clone() } else { format!("localhost:{port}") };
        head += &format!("Host: {inner}\r\n");
        for (name, value) in &request.headers {
            let own = name.eq_ignore_ascii_case("Host")
                || HOP_BY_HOP.iter().any(|hop| name.eq_ignore_ascii_case(hop));
            if !own {
                head += &format!("{name}: {value}\r\n");
            }
        }
        let client = request.stream.peer_addr().map_or(String::new(), |address| address.ip().to_string());
        if self.forwarded {
            head += &format!(
                "X-Forwarded-For: {client}\r\nX-Forwarded-Host: {host}\r\nX-Forwarded-Server: camera\r\n"
            );
        }
        match &upgrade {
            Some(protocol) => head += &format!("Connection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n"),
            None => head += "Connection: close\r\n\r\n",
        }
        let early = std::mem::take(&mut request.early);
        let sent = upstream.write_all(head.as_bytes()).and_then(|()| upstream.write_all(&early));
        if sent.is_err() {
            return Answer::error(503).send(request);
        }
        // Where one of the two went away there is nobody to tell.
        let _ = splice(&request.stream, &upstream);
    }
}

/// A connection to an application, which belongs to the web server's user: the kernel tells whose a socket is.
fn connect_as(user: Option<u32>, port: u16) -> io::Result<TcpStream> {
    use rustix::process::Uid;
    use rustix::thread::set_thread_res_uid;
    let Some(user) = user else { return TcpStream::connect(("127.0.0.1", port)) };
    let keep: Option<Uid> = None;
    // Of this thread alone, which serves one request.
    set_thread_res_uid(keep, Uid::from_raw(user), keep)?;
    let connected = TcpStream::connect(("127.0.0.1", port));
    set_thread_res_uid(keep, Uid::ROOT, keep)?;
    connected
}

/// A path that was decoded, for a request line.
fn encode(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte);
    path.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// Copies both ways until the application has said all, or the client is gone.
fn splice(client: &TcpStream, upstream: &TcpStream) -> io::Result<()> {
    client.set_read_timeout(None)?;
    client.set_write_timeout(Some(Duration::from_secs(60)))?;
    upstream.set_nodelay(true)?;
    let (mut from_client, mut to_upstream) = (client.try_clone()?, upstream.try_clone()?);
    let up = std::thread::spawn(move || {
        let _ = copy(&mut from_client, &mut to_upstream);
        // The client went away or has sent all; which of them, the way back finds out.
        let _ = to_upstream.shutdown(Shutdown::Write);
    });
    let (mut from_upstream, mut to_client) = (upstream, client);
    let result = copy(&mut from_upstream, &mut to_client);
    let _ = upstream.shutdown(Shutdown::Both);
    let _ = client.shutdown(Shutdown::Both);
    let _ = up.join();
    result
}

fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut piece = vec![0; 64 << 10];
    loop {
        match from.read(&mut piece)? {
            0 => return Ok(()),
            read => to.write_all(&piece[..read])?,
        }
    }
}

/// A file of an application's html/.
fn file(folder: &Path, rest: &str, request: &Request) -> Answer {
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return Answer::error(405);
    }
    let mut path = folder.join(rest);
    if path.is_dir() {
        path.push("index.html");
    }
    let kind = match path.extension().and_then(|ending| ending.to_str()) {
        Some("html") => "text/html",
        Some("js") => "text/javascript",
        Some("css") => "text/css",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    };
    match std::fs::read(&path) {
        Ok(content) => Answer::new(200, kind, content),
        Err(_) => Answer::error(404),
    }
}
