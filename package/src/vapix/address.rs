//! Where a camera is.

use std::fmt;
use std::str::FromStr;

/// A camera's address: `HOST`, `HOST:PORT`, or the same after `https://` or `http://`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Whether what is said is encrypted.
    pub https: bool,
    /// A name or an IP address; one of version 6 in brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Address {
    /// `HOST:PORT`, which certificates are remembered for.
    pub fn key(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, usual) = if self.https { ("https", 443) } else { ("http", 80) };
        write!(f, "{scheme}://{}", self.host)?;
        if self.port == usual { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("\"{text}\" is no address of a camera; give a name or an IP address, like 192.168.0.90")
        };
        let (https, rest) = match text.split_once("://") {
            None => (true, text),
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some(_) => return Err(wrong()),
        };
        let rest = rest.trim_end_matches('/');
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (rest, None),
        };
        let port = match port {
            Some(port) => port.parse().map_err(|_| wrong())?,
            None if https => 443,
            None => 80,
        };
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let good = match inner {
            Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.chars().all(plain),
        };
        if good { Ok(Self { https, host: host.to_owned(), port }) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown() {
        for (text, shown, key) in [
            ("192.168.0.90", "https://192.168.0.90", "192.168.0.90:443"),
            ("cam-1.local:8443", "https://cam-1.local:8443", "cam-1.local:8443"),
            ("http://cam", "http://cam", "cam:80"),
            ("http://cam:8080/", "http://cam:8080", "cam:8080"),
            ("https://[fe80::1]", "https://[fe80::1]", "[fe80::1]:443"),
            ("[::1]:444", "https://[::1]:444", "[::1]:444"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.to_string().as_str(), address.key().as_str()), (shown, key));
        }
        for bad in
            ["", "http://", "ftp://cam", "cam:", "cam:99999", "a b", "user@cam", "cam/path", "[::1", "::1"]
        {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
