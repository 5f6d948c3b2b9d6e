//! The body of a request. One that does not come, or comes too slowly, ends.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use serde_json::Value;

use super::connection::wait;
use super::request_head::RequestHead;
use crate::base::error::{Error, Kind, Result};
use crate::base::text::count;

/// JSON that may be sent: settings with as many zones and labels as are taken, and room.
pub const JSON_LIMIT: u64 = 256 * 1024;
/// A client that sends nothing of a body for so long gets no more of Spotter's time.
const SILENCE: Duration = Duration::from_secs(10);
/// A body may take so long, and a second more for every `BODY_RATE` bytes.
const BODY_TIME: Duration = Duration::from_secs(20);
const BODY_RATE: u64 = 64 << 10;

/// The body of a request, read as it comes.
pub struct Body<'a> {
    stream: &'a TcpStream,
    // What came with the head.
    early: Vec<u8>,
    length: u64,
    left: u64,
    until: Instant,
    expects_continue: bool,
}

impl<'a> Body<'a> {
    /// The body that `head` says there is, of which the bytes `early` are here already.
    pub fn new(stream: &'a TcpStream, head: &RequestHead, mut early: Vec<u8>) -> Self {
        let length = head.body_length.unwrap_or(0);
        // What follows the body is no second request: an answer ends its connection.
        early.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        let expects_continue = early.is_empty() && length > 0 && head.header("Expect").is_some();
        let until = Instant::now() + BODY_TIME + Duration::from_secs(length / BODY_RATE);
        Self { stream, early, length, left: length, until, expects_continue }
    }

    /// How long it is.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Whether the client may still be sending it.
    pub fn is_outstanding(&self) -> bool {
        self.left > self.early.len() as u64
    }

    fn read_on(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if !self.early.is_empty() {
            let taken = bytes.len().min(self.early.len());
            bytes[..taken].copy_from_slice(&self.early[..taken]);
            self.early.drain(..taken);
            return Ok(taken);
        }
        if std::mem::take(&mut self.expects_continue) {
            // Nothing has been sent yet, so there is room for it.
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let silent = Instant::now() + SILENCE;
        loop {
            if Instant::now() >= self.until {
                return Ok(0);
            }
            match self.stream.read(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !wait(self.stream, PollFlags::IN, silent.min(self.until))? {
                        return Ok(0);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

/// A client that goes away, or is too slow, ends its body early, which is an error.
impl Read for Body<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
        if most == 0 {
            return Ok(0);
        }
        let read = self.read_on(&mut bytes[..most])?;
        if read == 0 {
            let came = usize::try_from(self.length - self.left).unwrap_or(usize::MAX);
            let text = format!("the request's body was cut off after {}", count(came, "byte"));
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// Why a body, or a part of it, could not be read.
pub fn unreadable(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::new(Kind::Usage, error.to_string()),
        _ => Error::new(Kind::Usage, "the request's body cannot be read").caused_by(error),
    }
}

/// The body as JSON.
///
/// # Errors
/// `Kind::Usage` where it is too large, was cut off, or is none.
pub fn json(body: &mut Body<'_>) -> Result<Value> {
    let length = body.length();
    if length > JSON_LIMIT {
        // So that a client that sends before it reads gets to read the answer.
        let _ = io::copy(&mut body.take(JSON_LIMIT), &mut io::sink());
        let text = format!("the request's body has {length} bytes; JSON may have at most {JSON_LIMIT}");
        return Err(Error::new(Kind::TooLarge, text));
    }
    let mut bytes = Vec::new();
    body.read_to_end(&mut bytes).map_err(unreadable)?;
    let wrong = |error| Error::new(Kind::Usage, format!("the request's body is no JSON: {error}"));
    serde_json::from_slice(&bytes).map_err(wrong)
}
