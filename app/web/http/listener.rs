//! The front door: one thread that takes all connections and waits until the head of each has come. Only then
//! tiny_http gets to see a request. So half a request costs a descriptor and a few bytes, for some seconds; and where
//! there are too many, the oldest of whoever has most of them is let go. Short requests wait for a place where there
//! is none.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::limits::{Errand, Place, Room, peer};
use super::request_head::{HEAD_LIMIT, Head, Refusal};
use super::response;

/// A whole head must have come in this time.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// Nobody is let go for another before this: an honest head comes sooner.
const GRACE: Duration = Duration::from_millis(20);
/// A client that was refused has so long to read why.
const REFUSED_TIME: Duration = Duration::from_secs(1);
/// Pause before the next connection is taken where the system has no descriptor or memory for it.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(20);
/// The log hears of that once in so long.
const EXHAUSTED_WORD: Duration = Duration::from_secs(60);
/// Connections taken in a row before those that have come are looked at.
const ACCEPTED_AT_ONCE: usize = 64;
/// Bytes read of one connection before it is another's turn.
const READ_AT_ONCE: usize = 64 << 10;
/// A client that was refused is listened to for so many more bytes.
const REFUSED_BYTES: usize = 256 << 10;
/// A short request waits so long for a place, which is looked for so often.
const PLACE_TIME: Duration = Duration::from_secs(1);
const PLACE_PAUSE: Duration = Duration::from_millis(5);

/// How far a connection has come.
enum Stage {
    /// These bytes of the head are there.
    Head(Vec<u8>),
    /// It was told why it is refused, and has sent so many bytes since.
    Refused(usize),
    /// The request is there, but no place for it; with what came after the head.
    Asked(Box<Head>, Vec<u8>),
}

/// A request whose head has come.
pub struct Arrived {
    /// Its head.
    pub head: Head,
    /// What came after the head already.
    pub body: Vec<u8>,
    /// Its connection, which does not wait.
    pub stream: TcpStream,
    /// Its place.
    pub place: Place,
    /// When it was let in.
    pub since: Instant,
}

/// A connection that is not a request yet.
struct Coming {
    stream: TcpStream,
    peer: IpAddr,
    until: Instant,
    stage: Stage,
}

impl Coming {
    /// Reads what has come, without waiting. False where that was the end of it.
    fn look(&mut self, now: Instant) -> bool {
        if matches!(self.stage, Stage::Asked(..)) {
            // It is not listened to now: only a connection that broke is heard.
            return false;
        }
        let mut piece = [0; 4096];
        let mut taken = 0;
        while taken < READ_AT_ONCE {
            let read = match self.stream.read(&mut piece) {
                Ok(0) => return false,
                Ok(read) => &piece[..read],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return false,
            };
            taken += read.len();
            match &mut self.stage {
                Stage::Head(bytes) => {
                    let first = bytes.is_empty();
                    bytes.extend_from_slice(read);
                    // Only the end of a line can be the end of a head.
                    if !first && !read.contains(&b'\n') && bytes.len() < HEAD_LIMIT {
                        continue;
                    }
                    match Head::parse(bytes) {
                        Ok(None) => {}
                        Ok(Some((head, length))) => {
                            self.stage = Stage::Asked(Box::new(head), bytes.split_off(length));
                            self.until = now + PLACE_TIME;
                            return true;
                        }
                        Err(refusal) => self.refuse(refusal, now),
                    }
                }
                Stage::Refused(bytes) => {
                    *bytes += read.len();
                    if *bytes > REFUSED_BYTES {
                        return false;
                    }
                }
                Stage::Asked(..) => return true,
            }
        }
        true
    }

    /// Says why, as far as the client takes it without waiting, and lets it read that.
    fn refuse(&mut self, refusal: Refusal, now: Instant) {
        let answer = response::problem_with(refusal.status, refusal.why).to_bytes();
        // Nothing has been sent yet, so there is room for it.
        let _ = self.stream.write(&answer);
        let _ = self.stream.shutdown(Shutdown::Write);
        self.stage = Stage::Refused(0);
        self.until = now + REFUSED_TIME;
    }
}

/// The oldest connection of the peer that has most; `coming` are indices and peers, from old to young.
fn burden(coming: impl Iterator<Item = (usize, IpAddr)>) -> Option<usize> {
    let mut counts: HashMap<IpAddr, (usize, usize)> = HashMap::new();
    for (index, peer) in coming {
        counts.entry(peer).or_insert((0, index)).0 += 1;
    }
    counts.into_values().max_by_key(|(count, oldest)| (*count, usize::MAX - oldest)).map(|(_, oldest)| oldest)
}

/// The front door.
pub struct Door {
    listener: TcpListener,
    closed: UnixStream,
    room: Arc<Room>,
    // From old to young.
    coming: Vec<Coming>,
    pause_until: Option<Instant>,
    said_exhausted: Option<Instant>,
}

impl Door {
    /// A door that is open until the other end of `closed` is dropped.
    ///
    /// # Errors
    /// Where the listener cannot be made not to wait.
    pub fn new(listener: TcpListener, closed: UnixStream, room: Arc<Room>) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener, closed, room, coming: Vec::new(), pause_until: None, said_exhausted: None })
    }

    /// Lets everybody go who has not asked for anything yet.
    pub fn clear(&mut self) {
        self.coming.clear();
    }

    /// Gives requests to `serve`, which must not wait, until the door is closed.
    pub fn run(&mut self, serve: &mut impl FnMut(Arrived)) {
        loop {
            let (closed, knocks, heard) = self.wait();
            if closed {
                return;
            }
            let now = Instant::now();
            self.look(&heard, now);
            if knocks {
                self.accept(now);
            }
            self.let_in(now, serve);
            self.let_go(now);
        }
    }

    /// Waits for something to do: whether the door is closed, whether there are new connections, which of the
    /// others can be read.
    fn wait(&mut self) -> (bool, bool, Vec<usize>) {
        let now = Instant::now();
        if self.pause_until.is_some_and(|until| until <= now) {
            self.pause_until = None;
        }
        let next = self.coming.iter().map(|coming| match coming.stage {
            Stage::Asked(..) => now + PLACE_PAUSE,
            _ => coming.until,
        });
        let next = next.chain(self.pause_until).min();
        let timeout = next.and_then(|next| {
            // A millisecond more, so that the time is over when it wakes up.
            Timespec::try_from(next.saturating_duration_since(now) + Duration::from_millis(1)).ok()
        });
        let accepting = if self.pause_until.is_none() { PollFlags::IN } else { PollFlags::empty() };
        let mut fds = vec![PollFd::new(&self.closed, PollFlags::IN), PollFd::new(&self.listener, accepting)];
        fds.extend(self.coming.iter().map(|coming| match coming.stage {
            Stage::Asked(..) => PollFd::new(&coming.stream, PollFlags::empty()),
            _ => PollFd::new(&coming.stream, PollFlags::IN),
        }));
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return (false, false, Vec::new()),
            Err(_) => {
                // The system has no memory for this now.
                std::thread::sleep(EXHAUSTED_PAUSE);
                return (false, false, Vec::new());
            }
        }
        let ready = |fd: &PollFd| !fd.revents().is_empty();
        let heard = fds[2..].iter().enumerate().filter(|(_, fd)| ready(fd)).map(|(index, _)| index).collect();
        (ready(&fds[0]), ready(&fds[1]), heard)
    }

    /// Reads those connections.
    fn look(&mut self, heard: &[usize], now: Instant) {
        // From the back, so that those before keep their index.
        for index in heard.iter().rev() {
            if !self.coming[*index].look(now) {
                self.coming.remove(*index);
            }
        }
    }

    /// Lets requests in, from old to young, as far as there are places.
    fn let_in(&mut self, now: Instant, serve: &mut impl FnMut(Arrived)) {
        let mut index = 0;
        while let Some(coming) = self.coming.get_mut(index) {
            let Stage::Asked(head, body) = &coming.stage else {
                index += 1;
                continue;
            };
            let errand = Errand::of(head, body.len());
            if let Some(place) = self.room.enter(coming.peer, errand) {
                let Coming { stream, stage, .. } = self.coming.remove(index);
                if let Stage::Asked(head, body) = stage {
                    serve(Arrived { head: *head, body, stream, place, since: now });
                }
                continue;
            }
            // Short requests end soon, and leave a place.
            if errand.is_some() || coming.until <= now {
                let why = "too many requests at once; try again";
                coming.refuse(Refusal { status: 503, why }, now);
            }
            index += 1;
        }
    }

    /// Lets those go whose time is over.
    fn let_go(&mut self, now: Instant) {
        let late = Refusal { status: 408, why: "the request's head did not come in 10 seconds" };
        for coming in &mut self.coming {
            // Browsers open connections ahead and may never use them: to these there is nothing to say.
            if coming.until <= now && matches!(&coming.stage, Stage::Head(bytes) if !bytes.is_empty()) {
                coming.refuse(late, now);
            }
        }
        self.coming.retain(|coming| coming.until > now);
    }

    fn accept(&mut self, now: Instant) {
        for _ in 0..ACCEPTED_AT_ONCE {
            if self.coming.len() >= self.room.limits().heads && !self.make_room(now) {
                // Those who knock wait in the system's queue.
                self.pause_until = Some(now + PLACE_PAUSE);
                return;
            }
            match self.listener.accept() {
                Ok((stream, address)) => {
                    if stream.set_nonblocking(true).is_ok() {
                        let (peer, until) = (peer(address.ip()), now + HEAD_TIME);
                        self.coming.push(Coming { stream, peer, until, stage: Stage::Head(Vec::new()) });
                        // Most heads are there already.
                        self.look(&[self.coming.len() - 1], now);
                    }
                }
                Err(error) => match error.raw_os_error().map(Errno::from_raw_os_error) {
                    Some(Errno::AGAIN) => return,
                    // Of a connection that is gone already.
                    Some(Errno::INTR | Errno::CONNABORTED | Errno::PROTO | Errno::PERM) => {}
                    _ => return self.exhausted(&error, now),
                },
            }
        }
    }

    /// Lets one go; false where nobody has been here for long enough.
    fn make_room(&mut self, now: Instant) -> bool {
        let told = self.coming.iter().position(|coming| matches!(coming.stage, Stage::Refused(_)));
        let slow = |coming: &Coming| {
            matches!(coming.stage, Stage::Head(_)) && coming.until + GRACE <= now + HEAD_TIME
        };
        let slow = self.coming.iter().enumerate().filter(|(_, coming)| slow(coming));
        let index = told.or_else(|| burden(slow.map(|(index, coming)| (index, coming.peer))));
        index.map(|index| self.coming.remove(index)).is_some()
    }

    /// The system has no descriptor or no memory for a connection: others must go, and it waits.
    fn exhausted(&mut self, error: &io::Error, now: Instant) {
        if self.said_exhausted.is_none_or(|said| now - said > EXHAUSTED_WORD) {
            self.said_exhausted = Some(now);
            log::warn!("a viewer has to wait, the system has nothing left for a connection: {error}");
        }
        self.make_room(now);
        self.pause_until = Some(now + EXHAUSTED_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_most_loses_the_oldest() {
        let peers = |list: &[u8]| {
            let list: Vec<IpAddr> = list.iter().map(|last| IpAddr::from([192, 0, 2, *last])).collect();
            burden(list.into_iter().enumerate())
        };
        assert_eq!(peers(&[]), None);
        assert_eq!(peers(&[1]), Some(0));
        assert_eq!(peers(&[1, 2, 2]), Some(1));
        assert_eq!(peers(&[3, 1, 2, 2, 1, 1]), Some(1));
        assert_eq!(peers(&[1, 2, 1, 2]), Some(0));
    }
}
