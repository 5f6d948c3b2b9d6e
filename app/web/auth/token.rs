//! The secret that lets people in where Spotter can be reached from the network.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::base::error::{Error, Kind, Result};
use crate::model::catalogue::hex;

/// Characters of the shortest token.
const SHORTEST: usize = 16;
/// Characters of the longest one; more is another sort of file.
const LONGEST: usize = 1024;

type Digested = [u8; 32];

/// A secret, kept as its digest.
#[derive(Debug)]
pub struct Token {
    digest: Digested,
    cookie: String,
}

fn digest(parts: &[&[u8]]) -> Digested {
    let mut digest = Sha256::new();
    parts.iter().for_each(|part| digest.update(part));
    digest.finalize().into()
}

/// Whether they are equal, in a time that does not tell where they differ.
fn equal(a: &Digested, b: &Digested) -> bool {
    let difference = a.iter().zip(b).fold(0, |difference, (a, b)| std::hint::black_box(difference | (a ^ b)));
    difference == 0
}

impl Token {
    /// Reads the first line of a file.
    ///
    /// # Errors
    /// `Kind::Usage` where it cannot be read, or is no good secret.
    pub fn read(path: &Path) -> Result<Self> {
        let wrong = |text: String| Error::new(Kind::Usage, text);
        let path_text = path.display();
        let how = format!("`head -c 24 /dev/urandom | base64 > {path_text}` makes one");
        let unreadable =
            |error| wrong(format!("cannot read the token file {path_text}; {how}")).caused_by(error);
        let file = File::open(path).map_err(unreadable)?;
        let mode = file.metadata().map_err(unreadable)?.permissions().mode();
        let mut bytes = Vec::new();
        file.take(LONGEST as u64 + 2).read_to_end(&mut bytes).map_err(unreadable)?;
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() < SHORTEST {
            let length = line.len();
            return Err(wrong(format!(
                "the first line of the token file {path_text} has {length} characters and needs at least {SHORTEST}; {how}"
            )));
        }
        if line.len() > LONGEST || !line.iter().all(u8::is_ascii_graphic) {
            return Err(wrong(format!(
                "the first line of the token file {path_text} must be at most {LONGEST} letters, digits and signs of ASCII without spaces; {how}"
            )));
        }
        if mode & 0o044 != 0 {
            log::warn!(
                "the token file {path_text} can be read by other users of this machine; `chmod 600 {path_text}` keeps it secret"
            );
        }
        Ok(Self::new(line))
    }

    fn new(secret: &[u8]) -> Self {
        // What the cookie says does not tell the token.
        let cookie = hex(&digest(&[b"spotter's cookie\0", secret]));
        Self { digest: digest(&[secret]), cookie }
    }

    /// Whether that is it.
    pub fn is(&self, given: &str) -> bool {
        equal(&self.digest, &digest(&[given.as_bytes()]))
    }

    /// What a browser's cookie says instead of the token. It holds as long as the token does.
    pub fn cookie(&self) -> &str {
        &self.cookie
    }

    /// Whether that is what the cookie says.
    pub fn is_cookie(&self, given: &str) -> bool {
        equal(&digest(&[self.cookie.as_bytes()]), &digest(&[given.as_bytes()]))
    }
}

/// Wrong tokens that a peer may try at once.
const TRIES: f64 = 5.0;
/// After those, one in so long.
const TRY_EVERY: Duration = Duration::from_secs(3);
/// Peers that are remembered.
const PEERS: usize = 1024;

/// Slows down those who try out tokens.
#[derive(Default)]
pub struct Tries {
    // How many wrong ones a peer has tried, less those that have been forgiven since.
    peers: Mutex<HashMap<IpAddr, (f64, Instant)>>,
}

fn forgiven(level: f64, since: Duration) -> f64 {
    (level - since.as_secs_f64() / TRY_EVERY.as_secs_f64()).max(0.0)
}

impl Tries {
    /// How long a peer has to wait before its next try; none where it need not.
    pub fn wait(&self, peer: IpAddr, now: Instant) -> Option<Duration> {
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let (level, since) = peers.get(&peer)?;
        let over = forgiven(*level, now - *since) + 1.0 - TRIES;
        (over > 0.0).then(|| TRY_EVERY.mul_f64(over))
    }

    /// A wrong token came from that peer. True where it has to wait from now on.
    pub fn wrong(&self, peer: IpAddr, now: Instant) -> bool {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if peers.len() >= PEERS && !peers.contains_key(&peer) {
            peers.retain(|_, (level, since)| forgiven(*level, now - *since) > 0.0);
            // Where all of them go on trying, the one that has been quiet longest is forgotten.
            let quiet = peers.iter().min_by_key(|(_, (_, since))| *since).map(|(peer, _)| *peer);
            if let (true, Some(quiet)) = (peers.len() >= PEERS, quiet) {
                peers.remove(&quiet);
            }
        }
        let (level, since) = peers.entry(peer).or_insert((0.0, now));
        *level = forgiven(*level, now - *since) + 1.0;
        *since = now;
        *level > TRIES - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_the_first_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        for text in ["correct-horse-battery", "correct-horse-battery\n", "correct-horse-battery\r\nmore\n"] {
            std::fs::write(&path, text).unwrap();
            let token = Token::read(&path).unwrap();
            assert!(token.is("correct-horse-battery"));
            for other in ["", "correct-horse-batterx", "correct-horse-battery ", token.cookie()] {
                assert!(!token.is(other), "{other}");
            }
            assert!(token.is_cookie(token.cookie()));
            assert!(!token.is_cookie("correct-horse-battery") && !token.is_cookie(""));
            assert_ne!(token.cookie(), Token::new(b"correct-horse-batterx").cookie());
        }
        for (text, why) in [
            ("", "has 0 characters"),
            ("\ncorrect-horse-battery", "has 0 characters"),
            ("fifteen-letters", "has 15 characters"),
            ("correct horse battery", "without spaces"),
            ("müsli-müsli-müsli", "ASCII"),
            (&"x".repeat(2000), "at most 1024"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Token::read(&path).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
            assert_eq!(error.kind(), Kind::Usage);
        }
        assert!(Token::read(&folder.path().join("none")).unwrap_err().to_string().contains("urandom"));
    }

    #[test]
    fn whoever_tries_tokens_out_is_slowed_down() {
        let tries = Tries::default();
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let start = Instant::now();
        for count in 1..=5 {
            assert_eq!(tries.wait(one, start), None);
            assert_eq!(tries.wrong(one, start), count == 5);
        }
        assert_eq!(tries.wait(one, start), Some(TRY_EVERY));
        assert_eq!(tries.wait(other, start), None, "only whoever it was");
        let later = start + TRY_EVERY;
        assert_eq!(tries.wait(one, later), None);
        assert!(tries.wrong(one, later));
        assert!(tries.wait(one, later).is_some());
        assert_eq!(tries.wait(one, later + 5 * TRY_EVERY), None);
    }

    #[test]
    fn it_remembers_a_bounded_number() {
        let tries = Tries::default();
        let start = Instant::now();
        let peer = |n: u32| IpAddr::from(n.to_be_bytes());
        for n in 0..3 * PEERS as u32 {
            tries.wrong(peer(n), start + Duration::from_micros(u64::from(n)));
        }
        assert_eq!(tries.peers.lock().unwrap().len(), PEERS);
    }
}
