//! The head of a request (RFC 9112), read strictly: what two programs could understand in two ways is refused, so
//! that nothing can be smuggled past a proxy in front.

use tiny_http::Method;

/// Bytes that a head may take.
pub const HEAD_LIMIT: usize = 16 << 10;
/// Header lines at most; browsers send some twenty.
const HEADERS: usize = 64;
/// Why a request is not taken: the status of the answer, and a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// What is wrong.
    pub why: &'static str,
}

fn wrong<T>(status: u16, why: &'static str) -> Result<T, Refusal> {
    Err(Refusal { status, why })
}

/// The head of a request.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// What it wants to do.
    pub method: Method,
    /// Path and query, as they came.
    pub target: String,
    /// Bytes of the body; none where the head does not say that there is one.
    pub body_length: Option<u64>,
    headers: Vec<(String, String)>,
}

impl RequestHead {
    /// Reads a head from the first bytes of a connection: the head and how long it is, or none where it is not
    /// there as a whole yet.
    ///
    /// # Errors
    /// Where it can never become a request that is taken.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Refusal> {
        // A method, or the empty line that some clients leave before it. TLS begins with 22.
        if bytes.first().is_some_and(|first| !first.is_ascii_alphabetic() && !b"\r\n".contains(first)) {
            return wrong(400, "this is not an HTTP request; Spotter speaks plain HTTP here, not https");
        }
        let window = &bytes[..bytes.len().min(HEAD_LIMIT)];
        let mut lines = [httparse::EMPTY_HEADER; HEADERS];
        let mut parsed = httparse::Request::new(&mut lines);
        match parsed.parse(window) {
            Ok(httparse::Status::Complete(length)) => Ok(Some((Self::of(&parsed)?, length))),
            Ok(httparse::Status::Partial) if bytes.len() >= HEAD_LIMIT => {
                wrong(431, "the request's head is larger than 16 KiB")
            }
            Ok(httparse::Status::Partial) => Ok(None),
            Err(httparse::Error::TooManyHeaders) => wrong(431, "the request has more than 64 headers"),
            Err(httparse::Error::Version) => wrong(505, "Spotter speaks HTTP/1.1 and HTTP/1.0"),
            Err(_) => wrong(400, "the request's head is no HTTP"),
        }
    }

    fn of(parsed: &httparse::Request) -> Result<Self, Refusal> {
        // A complete head has all three.
        let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
            return wrong(400, "the request's head is no HTTP");
        };
        let Ok(method) = method.parse() else { return wrong(400, "the request's head is no HTTP") };
        // Cookies of other programs on this machine may be in another encoding; they are nothing to Spotter.
        let text = |value| String::from_utf8_lossy(value).trim().to_owned();
        let headers = parsed.headers.iter().map(|header| (header.name.to_owned(), text(header.value)));
        let (target, headers) = (target.to_owned(), headers.collect());
        let mut head = Self { method, target, body_length: None, headers };
        let target = &head.target;
        if !target.starts_with('/') || !target.is_ascii() {
            return wrong(400, "the request's target must begin with / and be ASCII");
        }
        match (head.all("Host").count(), version) {
            (1, _) | (0, 0) => {}
            (0, _) => return wrong(400, "the request has no header Host"),
            _ => return wrong(400, "the request has the header Host more than once"),
        }
        head.body_length = head.length()?;
        if head.header("Expect").is_some_and(|value| !value.eq_ignore_ascii_case("100-continue")) {
            return wrong(417, "the request expects something other than 100-continue");
        }
        Ok(head)
    }

    /// RFC 9112 §6.3, without what servers have been made to disagree about.
    fn length(&self) -> Result<Option<u64>, Refusal> {
        let mut lengths = self.all("Content-Length");
        let length = lengths.next();
        if lengths.next().is_some() {
            return wrong(400, "the request has the header Content-Length more than once");
        }
        if self.header("Transfer-Encoding").is_some() {
            return match length {
                Some(_) => wrong(400, "the request has both Content-Length and Transfer-Encoding"),
                None => wrong(
                    411,
                    "the request's body must have a Content-Length; Transfer-Encoding is not taken",
                ),
            };
        }
        let Some(length) = length else { return Ok(None) };
        let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        match length.parse() {
            Ok(length) if digits => Ok(Some(length)),
            _ => wrong(400, "the request's Content-Length is no number"),
        }
    }

    /// The values of all headers of that name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The value of the first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Whether it changes nothing.
    pub fn is_read(&self) -> bool {
        matches!(self.method, Method::Get | Method::Head)
    }

    /// Whether it asks to become a WebSocket.
    pub fn wants_websocket(&self) -> bool {
        self.header("Upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
    }

    /// Path and query of the target.
    pub fn path_and_query(&self) -> (&str, &str) {
        self.target.split_once('?').unwrap_or((&self.target, ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<RequestHead, u16> {
        match RequestHead::parse(text.as_bytes()) {
            Ok(Some((head, length))) => {
                assert_eq!(length, text.len());
                Ok(head)
            }
            Ok(None) => panic!("{text:?} is not a whole head"),
            Err(refusal) => Err(refusal.status),
        }
    }

    #[test]
    fn a_head_is_read_whatever_the_pieces() {
        let text = "PATCH /api/settings?x=%20 HTTP/1.1\r\nhost: a\r\nContent-Length: 12\r\nX-Y:  z \r\n\r\n";
        for end in 0..text.len() {
            assert!(RequestHead::parse(&text.as_bytes()[..end]).unwrap().is_none(), "{end}");
        }
        let head = parse(text).unwrap();
        assert_eq!((&head.method, head.body_length), (&Method::Patch, Some(12)));
        assert_eq!(head.path_and_query(), ("/api/settings", "x=%20"));
        assert_eq!((head.header("HOST"), head.header("x-y"), head.header("z")), (Some("a"), Some("z"), None));
        // What follows is not the head's.
        let (_, length) = RequestHead::parse(format!("{text}{{}}").as_bytes()).unwrap().unwrap();
        assert_eq!(length, text.len());
    }

    #[test]
    fn what_could_be_understood_in_two_ways_is_refused() {
        for (lines, status) in [
            ("Content-Length: 1\r\nContent-Length: 1", 400),
            ("Content-Length: 1\r\ncontent-length: 2", 400),
            ("Content-Length: 1, 1", 400),
            ("Content-Length: +1", 400),
            ("Content-Length: -1", 400),
            ("Content-Length: 0x10", 400),
            ("Content-Length: 99999999999999999999999", 400),
            ("Content-Length:", 400),
            ("Content-Length: 4\r\nTransfer-Encoding: chunked", 400),
            ("Transfer-Encoding: chunked\r\nContent-Length: 4", 400),
            ("Transfer-Encoding: identity", 411),
            ("Transfer-Encoding : chunked", 400),
            ("Transfer-Encoding:\x0bchunked", 400),
            (" Content-Length: 4", 400),
            ("X: a\r\n b", 400),
            ("X\r\n", 400),
            ("Host: b", 400),
            ("Expect: 200-ok", 417),
        ] {
            let text = format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n");
            assert_eq!(parse(&text).map(|head| head.body_length), Err(status), "{lines:?}");
        }
        for (text, status) in [
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
            ("GET /\r\n\r\n", 400),
            ("\x16\x03\x01", 400),
            ("{}", 400),
        ] {
            assert_eq!(parse(text).map(|_| ()), Err(status), "{text:?}");
        }
        assert!(parse("GET / HTTP/1.0\r\n\r\n").is_ok(), "the first HTTP knew no Host");
    }

    #[test]
    fn other_encodings_are_no_reason_to_refuse() {
        let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nCookie: a=\xe4\r\nCookie: b=c\r\n\r\n";
        let (head, _) = RequestHead::parse(bytes).unwrap().unwrap();
        assert_eq!(head.all("cookie").collect::<Vec<_>>(), ["a=\u{fffd}", "b=c"]);
        // Nothing that counts is read out of such bytes.
        assert_eq!(
            RequestHead::parse(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\xb2\r\n\r\n")
                .unwrap_err()
                .status,
            400
        );
    }

    #[test]
    fn a_head_has_bounds() {
        let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(HEAD_LIMIT));
        assert_eq!(RequestHead::parse(long.as_bytes()).unwrap_err().status, 431);
        let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "a".repeat(HEAD_LIMIT));
        assert_eq!(RequestHead::parse(long.as_bytes()).unwrap_err().status, 431);
        let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(HEADERS));
        assert_eq!(RequestHead::parse(many.as_bytes()).unwrap_err().status, 431);
        let fits = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(HEADERS - 1));
        assert!(parse(&fits).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600)) {
            let _ = RequestHead::parse(&bytes);
            let _ = RequestHead::parse(&[&b"GET / HTTP/1.1\r\nHost: a\r\n"[..], &bytes].concat());
        }
    }
}
