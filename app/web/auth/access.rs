//! Who may do what: under which names Spotter is asked, and the token where it is reached from the network.
//!
//! On a camera its own web server stands in front and asks for passwords; [`crate::web::router`] tells by the path whom it
//! has let through.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};
use tiny_http::{Method, Request};

use super::ticket::{GOOD_FOR, Tickets};
use super::token::{Token, Tries};
use crate::base::error::{Error, Kind, Result};
use crate::web::assets;
use crate::web::http::body;
use crate::web::http::caller::Caller;
use crate::web::http::request_head::{CALLER, PEER};
use crate::web::http::response::{self, Reply, header};
use crate::web::router::parameter;
use crate::web::routes::{Address, Ask, HEALTH, LOGIN};

/// A browser stays signed in for so long.
const SIGNED_IN_S: u32 = 30 * 24 * 3600;
/// Other applications that the log names.
const STRANGERS: usize = 64;
/// Where the page's form is.
const SIGN_IN_PAGE: &str = "signin.html";

/// Who may do what.
pub struct Access {
    token: Option<Token>,
    /// Names besides those of loopback; none where any name will do.
    names: Option<Vec<String>>,
    /// A camera's own web server stands in front.
    behind_camera: bool,
    tries: Tries,
    tickets: Tickets,
    cookie: OnceLock<String>,
    strangers: Mutex<BTreeSet<u32>>,
}

impl Access {
    /// What is asked of those who come to `address`: beyond loopback a token, on loopback one of its names, or of
    /// `names`. On a camera (`behind_camera`) its web server may ask under the camera's own name.
    ///
    /// # Errors
    /// `Kind::Usage` where the network could reach it and there is no token, or the file is of no use.
    pub fn new(
        address: SocketAddr,
        token_file: Option<&Path>,
        names: &[String],
        behind_camera: bool,
    ) -> Result<Self> {
        let loopback = address.ip().to_canonical().is_loopback();
        let token = token_file.map(Token::read).transpose()?;
        if token.is_none() && !loopback {
            let text = format!(
                "{address} can be reached from the network, so Spotter asks for a token there: add --token-file FILE, a file with a secret of at least 16 characters, or use --listen 127.0.0.1:{}",
                address.port()
            );
            return Err(Error::new(Kind::Usage, text));
        }
        // Whoever is led here under a foreign name has no cookie for that name, and does not know the token.
        let names = loopback.then(|| names.to_vec());
        let (tries, tickets, cookie) = (Tries::default(), Tickets::default(), OnceLock::new());
        Ok(Self { token, names, behind_camera, tries, tickets, cookie, strangers: Mutex::default() })
    }

    /// Where it listens at last: browsers keep one set of cookies for all ports of a machine.
    pub fn listens_at(&self, address: SocketAddr) {
        self.cookie.get_or_init(|| format!("spotter-{}", address.port()));
    }

    fn cookie_name(&self) -> &str {
        self.cookie.get().map_or("spotter", String::as_str)
    }

    /// Whether a camera's own web server stands in front, and nothing but loopback can be reached.
    pub fn behind_camera(&self) -> bool {
        self.behind_camera && self.token.is_none()
    }

    /// Whether the query has a ticket that was given out; it is none from then on.
    pub fn takes_ticket(&self, query: &str) -> bool {
        parameter(query, "ticket").is_some_and(|ticket| self.tickets.take(&ticket, Instant::now()))
    }

    /// Why changes are not taken from the program that asks; none where they are, or it does not matter.
    pub fn refuse_caller(&self, request: &Request) -> Option<String> {
        match Caller::read(header(request, CALLER)?) {
            Caller::System => None,
            Caller::Application(user) => {
                let mut strangers = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
                if strangers.len() < STRANGERS && strangers.insert(user) {
                    log::warn!(
                        "another application of this camera (user {user}) asks for changes without a password; it is refused"
                    );
                }
                Some(format!(
                    "this request comes from another application of the camera (user {user}); changes are taken through the camera's own web server alone, which asks for an administrator's password"
                ))
            }
            Caller::Gone => Some(
                "whoever asked for this has closed the connection, so nobody can tell who it was".to_owned(),
            ),
        }
    }

    /// The answer to a request that is not let in: to this path, of this address where it is one.
    pub fn refuse(&self, request: &Request, path: &str, address: Option<&Address>) -> Option<Reply> {
        self.refuse_host(request).or_else(|| self.refuse_stranger(request, path, address))
    }

    /// A name can be made to lead to any address, this machine's own too; the pages of that name's owner could then
    /// ask Spotter as if they were its own (DNS rebinding). So the name matters.
    fn refuse_host(&self, request: &Request) -> Option<Reply> {
        let names = self.names.as_ref()?;
        let host = header(request, "Host")?;
        let name = host_name(host);
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let allowed = match address {
            Ok(address) if address.to_canonical().is_loopback() => true,
            _ => {
                let name = name.strip_suffix('.').unwrap_or(name);
                name.eq_ignore_ascii_case("localhost")
                    || names.iter().any(|own| own.eq_ignore_ascii_case(name))
            }
        };
        if allowed || self.behind_camera && request.url().starts_with("/local/spotter/") {
            return None;
        }
        let name: String = name.chars().take(80).flat_map(char::escape_default).collect();
        let text = format!(
            "this Spotter is known as localhost, not as \"{name}\"; start it with --host {name} to allow that name"
        );
        Some(response::problem_with(421, &text))
    }

    /// Without the right token there are the form, the page's files and the state of health.
    fn refuse_stranger(&self, request: &Request, path: &str, address: Option<&Address>) -> Option<Reply> {
        let token = self.token.as_ref()?;
        let reading = matches!(request.method(), Method::Get | Method::Head);
        let file = path.trim_start_matches('/');
        let open = match address {
            Some(address) => address.path == LOGIN || reading && HEALTH.contains(&address.path),
            None => reading && !file.is_empty() && assets::find(file).is_some(),
        };
        if open {
            return None;
        }
        let cookies = header(request, "Cookie").unwrap_or("").split(';');
        let mut cookies = cookies.filter_map(|cookie| cookie.trim().split_once('='));
        if cookies.any(|(name, value)| name == self.cookie_name() && token.is_cookie(value)) {
            return None;
        }
        let bearer = header(request, "Authorization").and_then(|value| {
            let (scheme, given) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("Bearer").then_some(given.trim())
        });
        match bearer {
            Some(given) => self.check(token, peer(request), given).err(),
            // Whoever opens the page is asked there.
            None if reading && file.is_empty() => Some(response::see_other(SIGN_IN_PAGE)),
            None => Some(unauthorised(
                "this Spotter asks for a token: sign in on its page, or send the header Authorization: Bearer TOKEN",
            )),
        }
    }

    /// Whether a token is the right one. Whoever has tried out too many has to wait, even with the right one: the
    /// answer would tell which it is.
    fn check(&self, token: &Token, peer: IpAddr, given: &str) -> std::result::Result<(), Reply> {
        let now = Instant::now();
        if let Some(wait) = self.tries.wait(peer, now) {
            let seconds = wait.as_secs() + 1;
            let text = format!("too many wrong tokens came from {peer}; try again in {seconds} s");
            return Err(response::problem_with(429, &text).with("Retry-After", seconds.to_string()));
        }
        if token.is(given) {
            return Ok(());
        }
        if self.tries.wrong(peer, now) {
            log::warn!("wrong tokens come from {peer}; it has to wait between them");
        }
        Err(unauthorised("this is not the token of this Spotter; it is the first line of its --token-file"))
    }

    /// The cookie with this value, for the page that the form belongs to, and what lies below.
    fn cookie(&self, request: &Request, value: &str, age: u32) -> String {
        let root = request.url().split("api/").next().unwrap_or("/");
        let https = header(request, "X-Forwarded-Proto").is_some_and(|scheme| scheme == "https");
        let secure = if https { "; Secure" } else { "" };
        let name = self.cookie_name();
        format!("{name}={value}; Path={root}; Max-Age={age}; HttpOnly; SameSite=Strict{secure}")
    }
}

/// Gives the cookie for the token.
pub fn log_in(request: &mut Request, ask: &Ask<'_>) -> Result<Reply> {
    let access = ask.access;
    let Some(token) = &access.token else { return Ok(no_token()) };
    let given = match &body::json(request)?["token"] {
        Value::String(given) => given.trim().to_owned(),
        _ => return Err(Error::new(Kind::Usage, "send the token as JSON: {\"token\": \"…\"}")),
    };
    Ok(match access.check(token, peer(request), &given) {
        Ok(()) => response::nothing().with("Set-Cookie", access.cookie(request, token.cookie(), SIGNED_IN_S)),
        Err(refusal) => refusal,
    })
}

/// A ticket for one WebSocket.
pub fn ticket(ask: &Ask<'_>) -> Result<Reply> {
    let ticket = ask.access.tickets.give(Instant::now()).map_err(|error| {
        Error::new(Kind::Busy, "the system gives no random numbers for a ticket; try again").caused_by(error)
    })?;
    Ok(response::json(200, &json!({ "ticket": ticket, "good_for_s": GOOD_FOR.as_secs() })))
}

/// Takes the cookie back.
pub fn log_out(request: &mut Request, ask: &Ask<'_>) -> Result<Reply> {
    Ok(match &ask.access.token {
        Some(_) => response::nothing().with("Set-Cookie", ask.access.cookie(request, "", 0)),
        None => no_token(),
    })
}

fn no_token() -> Reply {
    response::problem_with(404, "this Spotter has no token; sign-in is disabled")
}

/// Who asks, as [`crate::web::http::limits::peer`] counts; the door tells.
fn peer(request: &Request) -> IpAddr {
    // Without it all were one.
    let peer = header(request, PEER).and_then(|peer| peer.parse().ok());
    peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

fn unauthorised(text: &str) -> Reply {
    response::problem_with(401, text).with("WWW-Authenticate", "Bearer realm=\"Spotter\"")
}

/// A host without its port.
fn host_name(host: &str) -> &str {
    match host.rfind(']') {
        Some(end) => &host[..=end],
        None => host.split_once(':').map_or(host, |(name, _)| name),
    }
}

#[cfg(test)]
mod tests {
    use tiny_http::{Header, TestRequest};

    use super::*;
    use crate::web::http::request_head::Head;
    use crate::web::{router, routes};

    const SECRET: &str = "correct-horse-battery";

    fn access(address: &str, token: bool, names: &[&str], behind_camera: bool) -> Access {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, SECRET).unwrap();
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let address = address.parse().unwrap();
        let access = Access::new(address, token.then_some(&*path), &names, behind_camera).unwrap();
        access.listens_at(address);
        access
    }

    /// A request as it comes through the door.
    fn request(head: &str, body: &str) -> Request {
        let text = format!("{}\r\nContent-Length: {}\r\n\r\n", head.replace('|', "\r\n"), body.len());
        let (head, _) = Head::parse(text.as_bytes()).unwrap().unwrap();
        let passed_on = String::from_utf8(head.passed_on([192, 0, 2, 1].into(), None, 1, false)).unwrap();
        let mut request =
            TestRequest::new().with_method(head.method.parse().unwrap()).with_path(&head.target);
        for line in passed_on.lines().skip(1).take_while(|line| !line.is_empty()) {
            request = request.with_header(line.parse::<Header>().unwrap());
        }
        request.with_body(String::leak(body.to_owned())).into()
    }

    fn status(access: &Access, head: &str) -> u16 {
        let request = request(head, "");
        let path = request.url().split('?').next().unwrap().to_owned();
        let path = router::place(&path, access.behind_camera()).path.into_owned();
        access.refuse(&request, &path, routes::find(&path)).map_or(200, |reply| reply.status())
    }

    #[test]
    fn beyond_loopback_there_is_a_token_or_no_start() {
        for address in ["0.0.0.0:8080", "192.0.2.1:80", "[::]:8080", "[2001:db8::1]:1"] {
            let error = Access::new(address.parse().unwrap(), None, &[], false).err().unwrap();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(error.to_string().contains("--token-file"), "{error}");
            access(address, true, &[], false);
        }
        for address in ["127.0.0.1:0", "127.3.2.1:80", "[::1]:8080", "[::ffff:127.0.0.1]:80"] {
            access(address, false, &[], false);
        }
    }

    #[test]
    fn foreign_names_are_not_answered_on_loopback() {
        let here = access("127.0.0.1:8080", false, &["Spotter.example"], false);
        let camera = access("127.0.0.1:27768", false, &[], true);
        let open = access("0.0.0.0:8080", true, &[], false);
        for (host, at_home) in [
            ("localhost", true),
            ("LOCALHOST.:8080", true),
            ("127.0.0.1:8080", true),
            ("127.9.9.9", true),
            ("[::1]:8080", true),
            ("spotter.EXAMPLE:80", true),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example:8080", false),
            ("evil.example:127.0.0.1", false),
            ("192.0.2.1", false),
            ("[2001:db8::1]:8080", false),
            ("0x7f.1", false),
            ("", false),
        ] {
            let ask =
                |access: &Access, path: &str| status(access, &format!("GET {path} HTTP/1.1|Host: {host}"));
            assert_eq!(ask(&here, "/api/status"), if at_home { 200 } else { 421 }, "{host}");
            assert_eq!(ask(&here, "/local/spotter/api/status"), if at_home { 200 } else { 421 }, "{host}");
            assert_eq!(ask(&camera, "/local/spotter/api/status"), 200, "{host}");
            assert_eq!(ask(&open, "/healthz"), 200, "{host}");
        }
        assert_eq!(status(&camera, "GET /api/status HTTP/1.1|Host: evil.example"), 421);
        // Such a page can set this header itself.
        assert_eq!(status(&here, "GET / HTTP/1.1|Host: evil.example|X-Forwarded-Host: localhost"), 421);
    }

    #[test]
    fn only_health_and_files_need_no_token() {
        let access = access("0.0.0.0:8080", true, &[], false);
        let cookie = format!("spotter-8080={}", access.token.as_ref().unwrap().cookie());
        for (line, without) in [
            ("GET /healthz", 200),
            ("HEAD /api/healthz", 200),
            ("GET /style.css", 200),
            ("GET /signin.html", 200),
            ("GET /index.html", 200),
            ("GET /", 303),
            ("GET /local/spotter/", 303),
            ("GET /api/status", 401),
            ("GET /local/spotter/api/status", 401),
            ("GET /admin/access", 401),
            ("GET /api/live", 401),
            ("GET /stream.mjpg", 401),
            ("GET /api/../healthz", 401),
            ("GET /healthz/../api/status", 401),
            ("GET /%2e%2e/etc/passwd", 401),
            ("POST /healthz", 401),
            ("PUT /style.css", 401),
            ("PATCH /api/settings", 401),
        ] {
            let ask = |more: &str| status(&access, &format!("{line} HTTP/1.1|Host: a{more}"));
            assert_eq!(ask(""), without, "{line}");
            assert_eq!(ask(&format!("|Authorization: bearer {SECRET}")), 200, "{line}");
            assert_eq!(ask(&format!("|Cookie: a=b; {cookie}; c=d")), 200, "{line}");
            for other in ["Cookie: spotter-8081=x", "Authorization: Basic x", "Cookie: spotter-8080="] {
                assert_eq!(ask(&format!("|{other}")), without, "{line} {other}");
            }
        }
    }

    #[test]
    fn the_form_gets_a_cookie_for_the_token() {
        let access = access("0.0.0.0:8080", true, &[], false);
        let token = access.token.as_ref().unwrap();
        let cookie = |head: &str| access.cookie(&request(head, ""), "v", 7);
        assert_eq!(
            cookie("POST /local/spotter/api/v1/login HTTP/1.1|Host: a"),
            "spotter-8080=v; Path=/local/spotter/; Max-Age=7; HttpOnly; SameSite=Strict"
        );
        assert_eq!(
            cookie("POST /api/login HTTP/1.1|Host: a|X-Forwarded-Proto: https"),
            "spotter-8080=v; Path=/; Max-Age=7; HttpOnly; SameSite=Strict; Secure"
        );
        assert!(!token.cookie().contains(SECRET));
        for head in ["POST /api/login", "POST /api/v1/login", "DELETE /local/spotter/api/v1/login"] {
            assert_eq!(status(&access, &format!("{head} HTTP/1.1|Host: a")), 200, "{head}");
        }
        let here = IpAddr::from([192, 0, 2, 1]);
        for _ in 0..5 {
            assert_eq!(access.check(token, here, "correct-horse-batterx").unwrap_err().status(), 401);
        }
        let refusal = access.check(token, here, SECRET).unwrap_err();
        assert_eq!(refusal.status(), 429);
        assert!(String::from_utf8(refusal.to_bytes()).unwrap().contains("\r\nRetry-After: "));
        let bearer = format!("GET /api/status HTTP/1.1|Host: a|Authorization: Bearer {SECRET}");
        assert_eq!(status(&access, &bearer), 429);
        assert!(access.check(token, [192, 0, 2, 2].into(), SECRET).is_ok(), "others need not wait");
        // Whoever is signed in is not kept out by it.
        let pair = format!("spotter-8080={}", token.cookie());
        assert_eq!(status(&access, &format!("GET /api/status HTTP/1.1|Host: a|Cookie: {pair}")), 200);
        // Nobody can say that somebody else asks.
        assert_eq!(peer(&request("GET / HTTP/1.1|Host: a|X-Spotter-Peer: 192.0.2.9", "")), here);
    }
}
