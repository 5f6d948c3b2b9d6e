//! Who asks: Digest (RFC 7616, MD5 as cameras have it) or Basic.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};

use crate::http::{Answer, Request};

/// What a user may do; each may what those before may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Needs no password.
    Anonymous,
    /// May look.
    Viewer,
    /// May steer.
    Operator,
    /// May everything.
    Admin,
}

impl Role {
    /// The role of this name in a manifest or on the command line.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "anonymous" => Some(Role::Anonymous),
            "viewer" => Some(Role::Viewer),
            "operator" => Some(Role::Operator),
            "admin" => Some(Role::Admin),
            _ => None,
        }
    }
}

/// An account.
#[derive(Clone, Debug)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its password.
    pub password: String,
    /// What it may.
    pub role: Role,
}

impl User {
    /// What usergroup.cgi says of it: the name, and in the next line the groups.
    pub fn groups(&self) -> String {
        let primary = if self.name == "root" { "root" } else { "users" };
        let more = match self.role {
            Role::Admin => "admin operator viewer ptz",
            Role::Operator => "operator viewer ptz",
            Role::Viewer | Role::Anonymous => "viewer",
        };
        format!("{}\n{primary} {more}\n", self.name)
    }
}

impl std::str::FromStr for User {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let &[name, password, role] = &parts[..] else {
            return Err(format!("\"{text}\" is no user; write NAME:PASSWORD:ROLE"));
        };
        let role = Role::named(role).filter(|role| *role != Role::Anonymous);
        let role = role.ok_or_else(|| format!("\"{text}\" has no role admin, operator or viewer"))?;
        Ok(Self { name: name.to_owned(), password: password.to_owned(), role })
    }
}

/// The accounts of a camera, and how it asks for them.
pub struct Accounts {
    /// `AXIS_<serial>`.
    pub realm: String,
    /// All of them.
    pub users: Vec<User>,
    /// Signs nonces.
    pub secret: String,
    /// Seconds for which a nonce is good.
    pub nonce_life: u64,
    /// Answer 403 instead of another 401 to a user who may not.
    pub forbid: bool,
}

fn md5(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The parameters of a Digest header: `username="root", nc=00000001`.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((key, after)) = rest.split_once('=') {
        let (value, next) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        found.push((key.trim_matches([' ', ',', '\t']).to_ascii_lowercase(), value.trim().to_owned()));
        rest = next;
    }
    found
}

enum Verdict<'a> {
    Known(&'a User),
    Unknown,
    /// Right but for a nonce that is too old.
    Stale,
}

impl Accounts {
    fn now() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
    }

    fn nonce(&self, time: u64) -> String {
        format!("{time:x}-{}", md5(&format!("{time:x}:{}:{}", self.secret, self.realm)))
    }

    /// None where this camera did not make the nonce, else whether it is still good.
    fn nonce_is_good(&self, nonce: &str) -> Option<bool> {
        let time = u64::from_str_radix(nonce.split_once('-')?.0, 16).ok()?;
        (self.nonce(time) == nonce).then(|| Self::now().saturating_sub(time) <= self.nonce_life)
    }

    fn digest(&self, method: &str, target: &str, header: &str) -> Verdict<'_> {
        let found = parameters(header);
        let get =
            |name: &str| found.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
        let Some(user) = self.users.iter().find(|user| user.name == get("username")) else {
            return Verdict::Unknown;
        };
        let Some(good) = self.nonce_is_good(get("nonce")) else { return Verdict::Unknown };
        if get("realm") != self.realm || get("uri") != target {
            return Verdict::Unknown;
        }
        let first = md5(&format!("{}:{}:{}", user.name, self.realm, user.password));
        let second = md5(&format!("{method}:{target}"));
        let (nonce, nc, cnonce, qop) = (get("nonce"), get("nc"), get("cnonce"), get("qop"));
        let expected = match qop {
            "auth" if !nc.is_empty() && !cnonce.is_empty() => {
                md5(&format!("{first}:{nonce}:{nc}:{cnonce}:{qop}:{second}"))
            }
            // RFC 2069, which old clients speak.
            "" => md5(&format!("{first}:{nonce}:{second}")),
            _ => return Verdict::Unknown,
        };
        if !get("response").eq_ignore_ascii_case(&expected) {
            return Verdict::Unknown;
        }
        if good { Verdict::Known(user) } else { Verdict::Stale }
    }

    fn basic(&self, header: &str) -> Verdict<'_> {
        let decoded = BASE64_STANDARD.decode(header.trim()).unwrap_or_default();
        let text = String::from_utf8_lossy(&decoded).into_owned();
        let known = text.split_once(':').and_then(|(name, password)| {
            self.users.iter().find(|user| user.name == name && user.password == password)
        });
        known.map_or(Verdict::Unknown, Verdict::Known)
    }

    /// Lets a request through that comes from a user of at least this role. The user; none where none is needed.
    ///
    /// # Errors
    /// The answer for everybody else.
    pub fn check(&self, request: &Request, needed: Role) -> Result<Option<&User>, Answer> {
        if needed == Role::Anonymous {
            return Ok(None);
        }
        let verdict = match request.header("Authorization").and_then(|value| value.split_once(' ')) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("digest") => {
                self.digest(&request.method, &request.target, rest)
            }
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("basic") => self.basic(rest),
            _ => Verdict::Unknown,
        };
        match verdict {
            Verdict::Known(user) if user.role >= needed => Ok(Some(user)),
            Verdict::Known(_) if self.forbid => Err(Answer::error(403)),
            Verdict::Known(_) | Verdict::Unknown => Err(self.challenge(false)),
            Verdict::Stale => Err(self.challenge(true)),
        }
    }

    fn challenge(&self, stale: bool) -> Answer {
        let (realm, nonce) = (&self.realm, self.nonce(Self::now()));
        let stale = if stale { ", stale=true" } else { "" };
        Answer::error(401)
            .with(
                "WWW-Authenticate",
                format!("Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm=MD5, qop=\"auth\"{stale}"),
            )
            .with("WWW-Authenticate", format!("Basic realm=\"{realm}\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        let users = vec!["Mufasa:Circle Of Life:viewer".parse().unwrap(), "root:pass:admin".parse().unwrap()];
        let realm = "testrealm@host.com".to_owned();
        Accounts { realm, users, secret: "s".into(), nonce_life: 300, forbid: false }
    }

    fn header(accounts: &Accounts, nonce: &str, change: (&str, &str)) -> String {
        let first = md5("root:testrealm@host.com:pass");
        let response = md5(&format!("{first}:{nonce}:00000001:abc:auth:{}", md5("GET:/x?y=1")));
        let text = format!(
            "username=\"root\", realm=\"{}\", nonce=\"{nonce}\", uri=\"/x?y=1\", qop=auth, nc=00000001, cnonce=\"abc\", \
             response=\"{response}\"",
            accounts.realm
        );
        text.replace(change.0, change.1)
    }

    #[test]
    fn the_sums_are_those_of_rfc_2617() {
        // The example of section 3.5, with the user's and the answer's sums.
        let first = md5("Mufasa:testrealm@host.com:Circle Of Life");
        let second = md5("GET:/dir/index.html");
        let response = format!("{first}:dcd98b7102dd2f0e8b11d0f600bfb0c093:00000001:0a4f113b:auth:{second}");
        assert_eq!(md5(&response), "6629fae49393a05397450978507c4ef1");
    }

    #[test]
    fn only_the_right_answer_to_an_own_fresh_nonce_is_taken() {
        let accounts = accounts();
        let nonce = accounts.nonce(Accounts::now());
        let ask = |header: &str| match accounts.digest("GET", "/x?y=1", header) {
            Verdict::Known(user) => user.name.clone(),
            Verdict::Unknown => "unknown".into(),
            Verdict::Stale => "stale".into(),
        };
        assert_eq!(ask(&header(&accounts, &nonce, ("", ""))), "root");
        for change in [
            ("auth,", "auth-int,"),
            ("/x?y=1", "/x?y=2"),
            ("root", "Mufasa"),
            ("abc", "abd"),
            ("00000001", "2"),
        ] {
            assert_eq!(ask(&header(&accounts, &nonce, change)), "unknown", "{change:?}");
        }
        assert_eq!(ask(&header(&accounts, &accounts.nonce(Accounts::now() - 400), ("", ""))), "stale");
        assert_eq!(ask(&header(&accounts, "0-0", ("", ""))), "unknown");
        assert_eq!(ask(""), "unknown");
    }

    #[test]
    fn basic_is_taken_too() {
        let accounts = accounts();
        let ask = |text: &str| matches!(accounts.basic(&BASE64_STANDARD.encode(text)), Verdict::Known(_));
        assert!(ask("root:pass"));
        assert!(!ask("root:") && !ask("root") && !ask("root:passe") && !ask("nobody:pass"));
    }
}
