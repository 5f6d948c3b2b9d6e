//! Downloads one file, resumes what was cut off, and keeps it only where its sums are right.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::http::header::{CONTENT_RANGE, RANGE};
use ureq::{Agent, Timeout};

use super::Pin;
use spotter_core::base::error::{Error, Kind, Result};
use spotter_core::model::format::file::MAX_BYTES;

mod progress;

pub use progress::Progress;

/// Connections tried before giving up; what has arrived is kept for the next one.
const ATTEMPTS: usize = 3;

/// Which addresses are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// https alone, redirects too.
    HttpsOnly,
    /// Also http, for a server on this machine in a test.
    Any,
}

/// What makes the requests: with time limits for every step, none for the whole, because a slow line
/// is no fault.
pub fn agent(security: Security) -> Agent {
    Agent::config_builder()
        .https_only(security == Security::HttpsOnly)
        .http_status_as_error(false)
        .timeout_resolve(Some(Duration::from_secs(10)))
        .timeout_connect(Some(Duration::from_secs(10)))
        .timeout_recv_response(Some(Duration::from_secs(30)))
        .timeout_per_read(Some(Duration::from_secs(30)))
        .user_agent(concat!("spotter/", env!("CARGO_PKG_VERSION")))
        .build()
        .into()
}

/// A failure, and whether another try may help.
struct Failure {
    error: Error,
    again: bool,
}

impl Failure {
    fn last(text: impl Into<String>) -> Self {
        Self { error: Error::new(Kind::Download, text), again: false }
    }

    fn io(doing: &str, path: &Path, error: std::io::Error) -> Self {
        let text = format!("cannot {doing} {}", path.display());
        Self { error: Error::new(Kind::Download, text).caused_by(error), again: false }
    }
}

/// Downloads `url` into `target` by way of `target` + `.part`. What another run left in the part file
/// is gone on with. The part file is locked, so two processes do not write it at once.
///
/// # Errors
/// [`Kind::Download`]; [`Kind::Busy`] where another process downloads the same file. A file whose
/// sums are wrong is deleted; one that was cut off stays for the next run.
pub fn fetch(agent: &Agent, url: &str, target: &Path, pin: &Pin, progress: &mut Progress) -> Result<()> {
    let outcome = run(agent, url, target, Some(pin), progress);
    progress.end(outcome.is_ok());
    outcome.map_err(|failure| failure.error)
}

/// [`fetch`] of a file of which no sum is known: whatever comes is taken, from its first byte on.
///
/// # Errors
/// As for [`fetch`].
pub fn fetch_on_trust(agent: &Agent, url: &str, target: &Path, progress: &mut Progress) -> Result<()> {
    let outcome = run(agent, url, target, None, progress);
    progress.end(outcome.is_ok());
    outcome.map_err(|failure| failure.error)
}

fn run(
    agent: &Agent,
    url: &str,
    target: &Path,
    pin: Option<&Pin>,
    progress: &mut Progress,
) -> std::result::Result<(), Failure> {
    let mut part = target.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    if let Some(folder) = target.parent() {
        std::fs::create_dir_all(folder).map_err(|e| Failure::io("make the folder", folder, e))?;
    }
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&part)
        .map_err(|e| Failure::io("write", &part, e))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let text = format!("another process is downloading {}", target.display());
            return Err(Failure { error: Error::new(Kind::Busy, text), again: false });
        }
        // Some network file systems have no locks; then only one user is expected.
        Err(TryLockError::Error(error)) => log::debug!("{} is not locked: {error}", part.display()),
    }
    // Between opening and locking, the other process may have finished and renamed what is open here.
    if !std::fs::metadata(&part).is_ok_and(|now| file.metadata().is_ok_and(|own| same_file(&own, &now))) {
        let text = format!("another process has just downloaded {}", target.display());
        return Err(Failure { error: Error::new(Kind::Busy, text), again: false });
    }
    if pin.is_none() {
        // What another run left could be of another file.
        file.set_len(0).map_err(|e| Failure::io("write", &part, e))?;
    }
    let mut attempt = 1;
    while let Err(failure) = receive(agent, url, &mut file, &part, pin, progress) {
        if !failure.again || attempt == ATTEMPTS {
            let empty = file.metadata().is_ok_and(|about| about.len() == 0);
            if empty {
                let _ = std::fs::remove_file(&part);
            }
            return Err(failure);
        }
        log::info!("{}; trying again", failure.error);
        attempt += 1;
    }
    let sound = match pin {
        Some(pin) => pin.matches_file(&part).map_err(|e| Failure::io("read", &part, e))?,
        None => true,
    };
    if !sound {
        let _ = std::fs::remove_file(&part);
        return Err(Failure::last(format!("what {url} sent has the wrong checksum and was deleted")));
    }
    file.sync_all().map_err(|e| Failure::io("write", &part, e))?;
    std::fs::rename(&part, target).map_err(|e| Failure::io("write", target, e))
}

/// Makes one request for what is missing and appends it.
fn receive(
    agent: &Agent,
    url: &str,
    file: &mut File,
    part: &Path,
    pin: Option<&Pin>,
    progress: &mut Progress,
) -> std::result::Result<(), Failure> {
    let written = |e| Failure::io("write", part, e);
    let mut have = file.metadata().map_err(written)?.len();
    // More than there can be is no beginning of it.
    if have > pin.and_then(|pin| pin.size).unwrap_or(MAX_BYTES).min(MAX_BYTES) {
        file.set_len(0).map_err(written)?;
        have = 0;
    }
    // A run that ended between the last byte and the renaming has left all of it.
    if let Some(pin) = pin
        && have > 0
        && pin.matches_file(part).map_err(|e| Failure::io("read", part, e))?
    {
        return Ok(());
    }
    let request = agent.get(url);
    let request = if have > 0 { request.header(RANGE, format!("bytes={have}-")) } else { request };
    let mut response = request.call().map_err(|error| {
        // Where nobody answers, nobody does a second later.
        let again = match &error {
            ureq::Error::Timeout(step) => !matches!(step, Timeout::Resolve | Timeout::Connect),
            ureq::Error::Io(error) => matches!(
                error.kind(),
                ErrorKind::ConnectionReset
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::BrokenPipe
                    | ErrorKind::UnexpectedEof
            ),
            _ => false,
        };
        let text = format!("{url} cannot be reached");
        Failure { error: Error::new(Kind::Download, text).caused_by(error), again }
    })?;
    let status = response.status().as_u16();
    let from = match status {
        206 if starts_at(&response, have) => have,
        200 => 0,
        // The rest that was asked for is not to be had: start anew.
        206 | 416 if have > 0 => {
            file.set_len(0).map_err(written)?;
            let error = Error::new(Kind::Download, format!("{url} did not go on where it stopped"));
            return Err(Failure { error, again: true });
        }
        _ => {
            let text = format!("{url} answered with status {status}");
            return Err(Failure { error: Error::new(Kind::Download, text), again: status >= 500 });
        }
    };
    let total = response.body().content_length().map(|rest| from.saturating_add(rest));
    let too_large = || Failure::last(format!("{url} sends more than {} MiB", MAX_BYTES >> 20));
    if total.is_some_and(|total| total > MAX_BYTES) {
        return Err(too_large());
    }
    file.set_len(from).map_err(written)?;
    file.seek(SeekFrom::Start(from)).map_err(written)?;
    let mut done = from;
    let mut body = response.body_mut().with_config().limit(u64::MAX).reader();
    let mut buffer = vec![0; 64 << 10];
    loop {
        progress.show(done, total);
        let read = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) => {
                let text = format!("{url} was cut off after {done} bytes");
                return Err(Failure {
                    error: Error::new(Kind::Download, text).caused_by(error),
                    again: true,
                });
            }
        };
        done += read as u64;
        if done > MAX_BYTES {
            file.set_len(0).map_err(written)?;
            return Err(too_large());
        }
        file.write_all(&buffer[..read]).map_err(written)?;
    }
    match total.or(pin.and_then(|pin| pin.size)) {
        Some(total) if done < total => {
            let text = format!("{url} was cut off after {done} of {total} bytes");
            Err(Failure { error: Error::new(Kind::Download, text), again: true })
        }
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn same_file(a: &std::fs::Metadata, b: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[cfg(not(unix))]
fn same_file(_: &std::fs::Metadata, _: &std::fs::Metadata) -> bool {
    true
}

/// True where the answer to a range request starts at byte `from`.
fn starts_at(response: &ureq::http::Response<ureq::Body>, from: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
    range.and_then(|range| range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()) == Some(from)
}

#[cfg(test)]
mod tests;
