//! Who may do what: under which names Spotter is asked, and the token where it is reached from the network.
//!
//! On a camera its own web server stands in front and asks for passwords; [`crate::web::router`] tells by the path whom it
//! has let through.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Mutex, Once, OnceLock, PoisonError};
use std::time::Instant;

use super::ticket::Tickets;
use super::token::{Token, Tries};
use crate::base::error::{Error, Kind, Result};
use crate::web::http::caller::{self, Caller};
use crate::web::http::connection::Client;
use crate::web::http::query::parameter;
use crate::web::http::request_head::RequestHead;
use crate::web::http::response::{self, Response};

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
    /// The log has heard that nobody knows which program asks.
    unknown_callers: Once,
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
        let (strangers, unknown_callers) = (Mutex::default(), Once::new());
        Ok(Self { token, names, behind_camera, tries, tickets, cookie, strangers, unknown_callers })
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

    /// The token, where there is one.
    pub fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    /// A new ticket for one WebSocket.
    ///
    /// # Errors
    /// Where the system gives no random numbers.
    pub fn give_ticket(&self) -> std::io::Result<String> {
        self.tickets.give(Instant::now())
    }

    /// Whether the query has a ticket that was given out; it is none from then on.
    pub fn takes_ticket(&self, query: &str) -> bool {
        parameter(query, "ticket").is_some_and(|ticket| self.tickets.take(&ticket, Instant::now()))
    }

    /// Which program asks, where that matters: on a camera, of what comes over loopback. Beyond it the token tells.
    fn caller(&self, client: Client<'_>) -> Option<Caller> {
        if !self.behind_camera() {
            return None;
        }
        let ends = client.stream().peer_addr().and_then(|there| Ok((there, client.stream().local_addr()?)));
        let Ok((mut there, mut here)) = ends else { return Some(Caller::Gone) };
        there.set_ip(there.ip().to_canonical());
        here.set_ip(here.ip().to_canonical());
        if !there.ip().is_loopback() {
            return None;
        }
        let unknown = |error| {
            self.unknown_callers.call_once(|| log::warn!(
                "this system does not tell which application asks ({error}): every application of this camera can change Spotter's settings"
            ));
            Caller::System
        };
        Some(caller::of(there, here).unwrap_or_else(unknown))
    }

    /// Why changes are not taken from the program that asks; none where they are, or it does not matter.
    pub fn refuse_caller(&self, client: Client<'_>) -> Option<String> {
        match self.caller(client)? {
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

    /// The answer to a request that is not let in. `open` is what answers without sign-in, `page` the page itself.
    pub fn refuse(&self, head: &RequestHead, peer: IpAddr, open: bool, page: bool) -> Option<Response> {
        self.refuse_host(head).or_else(|| {
            let token = self.token.as_ref().filter(|_| !open)?;
            self.refuse_stranger(head, token, peer, page)
        })
    }

    /// A name can be made to lead to any address, this machine's own too; the pages of that name's owner could then
    /// ask Spotter as if they were its own (DNS rebinding). So the name matters.
    fn refuse_host(&self, head: &RequestHead) -> Option<Response> {
        let names = self.names.as_ref()?;
        let host = head.header("Host")?;
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
        if allowed || self.behind_camera && head.target.starts_with("/local/spotter/") {
            return None;
        }
        let name: String = name.chars().take(80).flat_map(char::escape_default).collect();
        let text = format!(
            "this Spotter is known as localhost, not as \"{name}\"; start it with --host {name} to allow that name"
        );
        Some(response::problem_with(421, &text))
    }

    /// Without the right token, or a cookie for it, the page leads to the form, and all else is refused.
    fn refuse_stranger(
        &self,
        head: &RequestHead,
        token: &Token,
        peer: IpAddr,
        page: bool,
    ) -> Option<Response> {
        let cookies = head.all("Cookie").flat_map(|cookies| cookies.split(';'));
        let mut cookies = cookies.filter_map(|cookie| cookie.trim().split_once('='));
        if cookies.any(|(name, value)| name == self.cookie_name() && token.is_cookie(value)) {
            return None;
        }
        let bearer = head.header("Authorization").and_then(|value| {
            let (scheme, given) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("Bearer").then_some(given.trim())
        });
        match bearer {
            Some(given) => self.check(token, peer, given).err(),
            // Whoever opens the page is asked there.
            None if head.is_read() && page => Some(response::see_other(SIGN_IN_PAGE)),
            None => Some(unauthorised(
                "this Spotter asks for a token: sign in on its page, or send the header Authorization: Bearer TOKEN",
            )),
        }
    }

    /// Whether a token is the right one. Whoever has tried out too many has to wait, even with the right one: the
    /// answer would tell which it is.
    pub fn check(&self, token: &Token, peer: IpAddr, given: &str) -> std::result::Result<(), Response> {
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
    pub fn cookie(&self, head: &RequestHead, value: &str, age: u32) -> String {
        let root = head.target.split("api/").next().unwrap_or("/");
        let https = head.header("X-Forwarded-Proto").is_some_and(|scheme| scheme == "https");
        let secure = if https { "; Secure" } else { "" };
        let name = self.cookie_name();
        format!("{name}={value}; Path={root}; Max-Age={age}; HttpOnly; SameSite=Strict{secure}")
    }
}

fn unauthorised(text: &str) -> Response {
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
    use super::*;
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

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn head(lines: &str) -> RequestHead {
        let text = format!("{}\r\n\r\n", lines.replace('|', "\r\n"));
        RequestHead::parse(text.as_bytes()).unwrap().unwrap().0
    }

    fn status(access: &Access, lines: &str) -> u16 {
        let head = head(lines);
        let path = router::path(&head, access.behind_camera());
        router::refuse(access, &head, PEER, &path, routes::find(&path))
            .map_or(200, |refusal| refusal.status())
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
            assert_eq!(ask(&format!("|Cookie: a=b|Cookie: {cookie}")), 200, "{line} in a second header");
            for other in ["Cookie: spotter-8081=x", "Authorization: Basic x", "Cookie: spotter-8080="] {
                assert_eq!(ask(&format!("|{other}")), without, "{line} {other}");
            }
        }
    }

    #[test]
    fn the_form_gets_a_cookie_for_the_token() {
        let access = access("0.0.0.0:8080", true, &[], false);
        let token = access.token.as_ref().unwrap();
        let cookie = |lines: &str| access.cookie(&head(lines), "v", 7);
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
        for _ in 0..5 {
            assert_eq!(access.check(token, PEER, "correct-horse-batterx").unwrap_err().status(), 401);
        }
        let refusal = access.check(token, PEER, SECRET).unwrap_err();
        assert_eq!(refusal.status(), 429);
        assert!(String::from_utf8(refusal.to_bytes()).unwrap().contains("\r\nRetry-After: "));
        let bearer = format!("GET /api/status HTTP/1.1|Host: a|Authorization: Bearer {SECRET}");
        assert_eq!(status(&access, &bearer), 429);
        assert!(access.check(token, [192, 0, 2, 2].into(), SECRET).is_ok(), "others need not wait");
        // Whoever is signed in is not kept out by it.
        let pair = format!("spotter-8080={}", token.cookie());
        assert_eq!(status(&access, &format!("GET /api/status HTTP/1.1|Host: a|Cookie: {pair}")), 200);
    }
}
