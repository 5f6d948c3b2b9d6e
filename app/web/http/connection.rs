//! A connection whose request is being served, by one thread, without a wait that has no end: a viewer who takes
//! nothing, or next to nothing, is let go.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// A viewer that takes nothing for so long is let go.
const STALLED: Duration = Duration::from_secs(5);
/// So is one that has never taken all there was for so long, and took less than `LEAST` bytes meanwhile.
const WINDOW: Duration = Duration::from_secs(10);
const LEAST: usize = 64 << 10;

/// Waits until the stream is ready for `what`, or broken. False where that is not before `until`.
pub(super) fn wait(stream: &TcpStream, what: PollFlags, until: Instant) -> io::Result<bool> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        // A millisecond more, so that the time is over when it wakes up.
        let timeout = Timespec::try_from(left + Duration::from_millis(1)).ok();
        match poll(&mut [PollFd::new(stream, what)], timeout.as_ref()) {
            Ok(0) if left.is_zero() => return Ok(false),
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whoever asked.
#[derive(Clone, Copy)]
pub struct Client<'a>(&'a TcpStream);

impl<'a> Client<'a> {
    /// The client at the other end of a stream that does not block.
    pub fn new(stream: &'a TcpStream) -> Self {
        Self(stream)
    }

    /// Whether it has closed its side. Of a client whose answer is on its way this says nothing: it may still read.
    pub fn has_gone(self) -> bool {
        let mut fds = [PollFd::new(self.0, PollFlags::RDHUP)];
        poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    /// The connection itself.
    pub fn stream(self) -> &'a TcpStream {
        self.0
    }

    /// Writes to it, with bounds in time.
    pub fn writer(self) -> Writer<'a> {
        Writer { stream: self.0, late: None }
    }
}

/// Since when a client has always left something to take, how much it took since, and when the last of it.
struct Late {
    since: Instant,
    taken: usize,
    last: Instant,
}

/// Writes to a client, and lets it go where it does not read.
pub struct Writer<'a> {
    stream: &'a TcpStream,
    late: Option<Late>,
}

impl Writer<'_> {
    /// The client took so much, and not all that there was; when it must have taken more.
    fn took(&mut self, taken: usize) -> io::Result<Instant> {
        let now = Instant::now();
        let late = self.late.get_or_insert(Late { since: now, taken: 0, last: now });
        late.taken += taken;
        if taken > 0 {
            late.last = now;
        }
        if now >= late.since + WINDOW && late.taken >= LEAST {
            (late.since, late.taken) = (now, 0);
        }
        let deadline = (late.last + STALLED).min(late.since + WINDOW);
        if now < deadline { Ok(deadline) } else { Err(io::ErrorKind::TimedOut.into()) }
    }
}

impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.stream.write(bytes) {
                Ok(taken) if taken == bytes.len() => {
                    self.late = None;
                    return Ok(taken);
                }
                Ok(taken) => return self.took(taken).map(|_| taken),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let deadline = self.took(0)?;
                    wait(self.stream, PollFlags::OUT, deadline)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What has come reads at once; nothing is waited for.
impl Read for Writer<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.stream.read(bytes)
    }
}
