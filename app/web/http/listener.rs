//! One thread that takes all connections, waits until the head of each request has come, and gives it to a thread that
//! serves it. So half a request costs a descriptor and a few bytes, for some seconds; where there are too many, the
//! oldest of whoever has most of them is let go. Connections that are answered before their request was read as a
//! whole come back here to be closed.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::{Errno, ioctl_fionread};

use super::body::Body;
use super::connection::Client;
use super::limits::{Admission, Class, Permit, peer};
use super::request_head::{HEAD_LIMIT, Refusal, RequestHead};
use super::response;
use super::workers::Workers;

/// A whole head must have come in this time.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// Nobody is let go for another before this: an honest head comes sooner.
const GRACE: Duration = Duration::from_millis(20);
/// What a client still sends after its answer is thrown away for so long: the system would throw the answer away with
/// the connection otherwise.
const LINGER_TIME: Duration = Duration::from_secs(1);
/// … and so many bytes of a body,
const LINGER_BYTES: usize = 16 << 20;
/// or of what is no request.
const REFUSED_BYTES: usize = 256 << 10;
/// Pause before the next connection is taken where the system has no descriptor or memory for it.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(20);
/// The log hears of that once in so long.
const WARN_EVERY: Duration = Duration::from_secs(60);
/// Connections taken in a row before those that have come are looked at.
const ACCEPTED_AT_ONCE: usize = 64;
/// Bytes read of one connection before it is another's turn.
const READ_AT_ONCE: usize = 64 << 10;
/// A short request waits so long until it is admitted, which is tried so often.
const ADMISSION_TIME: Duration = Duration::from_secs(1);
const ADMISSION_PAUSE: Duration = Duration::from_millis(5);

/// What answers requests.
pub trait Service: Send + Sync + 'static {
    /// What will keep a request that has come as a whole.
    fn class(&self, head: &RequestHead) -> Class;

    /// Answers a request; a stream is served until its viewer has gone.
    fn serve(&self, request: &mut Request<'_>);
}

/// A request that is being served.
pub struct Request<'a> {
    /// Its head.
    pub head: &'a RequestHead,
    /// Its body.
    pub body: Body<'a>,
    /// Whoever asks.
    pub client: Client<'a>,
    /// As whom they are counted.
    pub peer: IpAddr,
}

/// What the listener and those who serve requests tell each other.
pub struct Signal {
    // Readable where there is something to look at.
    event: OwnedFd,
    closed: AtomicBool,
    answered: Mutex<Vec<(TcpStream, IpAddr)>>,
}

impl Signal {
    fn new() -> io::Result<Arc<Self>> {
        let event = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Arc::new(Self { event, closed: AtomicBool::new(false), answered: Mutex::default() }))
    }

    /// Ends the listener.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.ring();
    }

    fn ring(&self) {
        // Where it cannot count any higher it is readable already.
        let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
    }

    /// Leaves a connection that was answered to the listener.
    fn give_back(&self, stream: TcpStream, peer: IpAddr) {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).push((stream, peer));
        self.ring();
    }
}

/// How far a connection has come.
enum Stage {
    /// These bytes of the head are there.
    Head(Vec<u8>),
    /// The head is there, but the request is not admitted yet; with what came after the head.
    Waiting(Box<RequestHead>, Vec<u8>),
    /// It was answered. So many bytes of what it still sends are thrown away.
    Lingering(usize),
}

/// A connection that nobody serves yet, or any more.
struct Pending {
    stream: TcpStream,
    peer: IpAddr,
    until: Instant,
    stage: Stage,
}

impl Pending {
    fn lingering(stream: TcpStream, peer: IpAddr, now: Instant) -> Self {
        Self { stream, peer, until: now + LINGER_TIME, stage: Stage::Lingering(LINGER_BYTES) }
    }

    /// What to wait for. Of one that waits to be admitted only its end is heard.
    fn wanted(&self) -> PollFlags {
        match self.stage {
            Stage::Waiting(..) => PollFlags::empty(),
            _ => PollFlags::IN,
        }
    }

    /// Reads what has come, without waiting. False where that was the end of it.
    fn read(&mut self, now: Instant) -> bool {
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
                    match RequestHead::parse(bytes) {
                        Ok(None) => {}
                        Ok(Some((head, length))) => {
                            self.stage = Stage::Waiting(Box::new(head), bytes.split_off(length));
                            self.until = now + ADMISSION_TIME;
                            return true;
                        }
                        Err(refusal) => self.refuse(refusal, now),
                    }
                }
                Stage::Lingering(left) => match left.checked_sub(read.len()) {
                    Some(rest) => *left = rest,
                    None => return false,
                },
                // Its connection broke.
                Stage::Waiting(..) => return false,
            }
        }
        true
    }

    /// Says why, as far as the client takes it without waiting, and lets it read that.
    fn refuse(&mut self, refusal: Refusal, now: Instant) {
        // Nothing has been sent yet, so there is room for it.
        let _ = self.stream.write(&response::refusal(refusal).to_bytes());
        let _ = self.stream.shutdown(Shutdown::Write);
        self.stage = Stage::Lingering(REFUSED_BYTES);
        self.until = now + LINGER_TIME;
    }
}

/// The oldest connection of the peer that has most; `pending` are indices and peers, from old to young.
fn oldest_of_busiest(pending: impl Iterator<Item = (usize, IpAddr)>) -> Option<usize> {
    let mut counts: HashMap<IpAddr, (usize, usize)> = HashMap::new();
    for (index, peer) in pending {
        counts.entry(peer).or_insert((0, index)).0 += 1;
    }
    counts.into_values().max_by_key(|(count, oldest)| (*count, usize::MAX - oldest)).map(|(_, oldest)| oldest)
}

/// Takes connections and reads the heads of requests.
pub struct Listener<S> {
    socket: TcpListener,
    signal: Arc<Signal>,
    admission: Arc<Admission>,
    workers: Workers,
    service: Arc<S>,
    // From old to young.
    pending: Vec<Pending>,
    pause_until: Option<Instant>,
    warned: Option<Instant>,
}

impl<S: Service> Listener<S> {
    /// A listener that runs until the signal that belongs to it closes.
    ///
    /// # Errors
    /// Where the system gives no descriptor, or no thread.
    pub fn new(socket: TcpListener, admission: Arc<Admission>, service: Arc<S>) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let (signal, workers, pending) = (Signal::new()?, Workers::start()?, Vec::new());
        Ok(Self { socket, signal, admission, workers, service, pending, pause_until: None, warned: None })
    }

    /// What ends it.
    pub fn signal(&self) -> Arc<Signal> {
        self.signal.clone()
    }

    /// Lets everybody go whom nobody serves.
    pub fn clear(&mut self) {
        self.pending.clear();
    }

    /// Serves until it is closed.
    pub fn run(&mut self) {
        while !self.signal.closed.load(Ordering::Acquire) {
            let (accept, signal, ready) = self.wait();
            let now = Instant::now();
            self.read(&ready, now);
            if signal {
                self.take_back(now);
            }
            if accept {
                self.accept(now);
            }
            self.admit(now);
            self.let_go(now);
        }
    }

    /// Waits for something to do: whether there are new connections, or a signal, and which pending ones can be read.
    fn wait(&mut self) -> (bool, bool, Vec<usize>) {
        let now = Instant::now();
        if self.pause_until.is_some_and(|until| until <= now) {
            self.pause_until = None;
        }
        let next = self.pending.iter().map(|pending| match pending.stage {
            Stage::Waiting(..) => now + ADMISSION_PAUSE,
            _ => pending.until,
        });
        let timeout = next.chain(self.pause_until).min().and_then(|next| {
            // A millisecond more, so that the time is over when it wakes up.
            Timespec::try_from(next.saturating_duration_since(now) + Duration::from_millis(1)).ok()
        });
        let accepting = if self.pause_until.is_none() { PollFlags::IN } else { PollFlags::empty() };
        let own = [PollFd::new(&self.socket, accepting), PollFd::new(&self.signal.event, PollFlags::IN)];
        let others = self.pending.iter().map(|pending| PollFd::new(&pending.stream, pending.wanted()));
        let mut fds: Vec<PollFd<'_>> = own.into_iter().chain(others).collect();
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            // The system has no memory for this now.
            Err(_) => std::thread::sleep(EXHAUSTED_PAUSE),
        }
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        let (accept, signal) = (ready.next() == Some(true), ready.next() == Some(true));
        (accept, signal, ready.enumerate().filter_map(|(index, ready)| ready.then_some(index)).collect())
    }

    /// Reads those connections.
    fn read(&mut self, ready: &[usize], now: Instant) {
        // From the back, so that those before keep their index.
        for index in ready.iter().rev() {
            if !self.pending[*index].read(now) {
                self.pending.remove(*index);
            }
        }
    }

    /// Takes connections back that were answered, to close them when their clients have read that.
    fn take_back(&mut self, now: Instant) {
        let _ = rustix::io::read(&self.signal.event, &mut [0; 8]);
        let answered =
            std::mem::take(&mut *self.signal.answered.lock().unwrap_or_else(PoisonError::into_inner));
        for (stream, peer) in answered {
            if self.pending.len() < self.admission.limits().pending || self.make_room(now) {
                self.pending.push(Pending::lingering(stream, peer, now));
            }
        }
    }

    /// Gives requests to those who serve them, from old to young, as far as they are admitted.
    fn admit(&mut self, now: Instant) {
        let mut index = 0;
        while let Some(pending) = self.pending.get_mut(index) {
            let Stage::Waiting(head, early) = &pending.stage else {
                index += 1;
                continue;
            };
            let class = match head.body_length {
                Some(length) if length > early.len() as u64 => Class::Upload,
                _ => self.service.class(head),
            };
            let permit = self.admission.admit(pending.peer, class);
            if let Some(permit) = permit
                && let Some(worker) = self.workers.reserve(class != Class::Short)
            {
                let Pending { stream, stage, .. } = self.pending.remove(index);
                if let Stage::Waiting(head, early) = stage {
                    let (service, signal) = (self.service.clone(), self.signal.clone());
                    worker.run(move || serve(&*service, stream, &head, early, permit, &signal));
                }
                continue;
            }
            // Short requests end soon, and another is admitted.
            if class != Class::Short || pending.until <= now {
                let why = "too many requests at once; try again";
                pending.refuse(Refusal { status: 503, why }, now);
            }
            index += 1;
        }
    }

    /// Lets those go whose time is over.
    fn let_go(&mut self, now: Instant) {
        let late = Refusal { status: 408, why: "the request's head did not come in 10 seconds" };
        for pending in &mut self.pending {
            // Browsers open connections ahead and may never use them: to these there is nothing to say.
            if pending.until <= now && matches!(&pending.stage, Stage::Head(bytes) if !bytes.is_empty()) {
                pending.refuse(late, now);
            }
        }
        self.pending.retain(|pending| pending.until > now);
    }

    fn accept(&mut self, now: Instant) {
        for _ in 0..ACCEPTED_AT_ONCE {
            if self.pending.len() >= self.admission.limits().pending && !self.make_room(now) {
                // Those who come now wait in the system's queue.
                self.pause_until = Some(now + ADMISSION_PAUSE);
                return;
            }
            match self.socket.accept() {
                Ok((stream, address)) => {
                    if stream.set_nonblocking(true).is_ok() {
                        let (peer, until) = (peer(address.ip()), now + HEAD_TIME);
                        self.pending.push(Pending { stream, peer, until, stage: Stage::Head(Vec::new()) });
                        // Most heads are there already.
                        self.read(&[self.pending.len() - 1], now);
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
        let answered = self.pending.iter().position(|pending| matches!(pending.stage, Stage::Lingering(_)));
        let slow = |pending: &Pending| {
            matches!(pending.stage, Stage::Head(_)) && pending.until + GRACE <= now + HEAD_TIME
        };
        let slow = self.pending.iter().enumerate().filter(|(_, pending)| slow(pending));
        let index =
            answered.or_else(|| oldest_of_busiest(slow.map(|(index, pending)| (index, pending.peer))));
        index.map(|index| self.pending.remove(index)).is_some()
    }

    /// The system has no descriptor or no memory for a connection: others must go, and it waits.
    fn exhausted(&mut self, error: &io::Error, now: Instant) {
        if self.warned.is_none_or(|warned| now - warned > WARN_EVERY) {
            self.warned = Some(now);
            log::warn!("a viewer has to wait, the system has nothing left for a connection: {error}");
        }
        self.make_room(now);
        self.pause_until = Some(now + EXHAUSTED_PAUSE);
    }
}

/// Serves a request and closes its connection, or leaves it to be closed where the client may still be sending.
fn serve(
    service: &impl Service,
    stream: TcpStream,
    head: &RequestHead,
    early: Vec<u8>,
    permit: Permit,
    signal: &Signal,
) {
    let client = Client::new(&stream);
    let mut request = Request { head, body: Body::new(&stream, head, early), client, peer: permit.peer() };
    service.serve(&mut request);
    let unread = request.body.is_outstanding() || ioctl_fionread(&stream).is_ok_and(|bytes| bytes > 0);
    if unread && stream.shutdown(Shutdown::Write).is_ok() {
        signal.give_back(stream, permit.peer());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_most_loses_the_oldest() {
        let peers = |list: &[u8]| {
            let list: Vec<IpAddr> = list.iter().map(|last| IpAddr::from([192, 0, 2, *last])).collect();
            oldest_of_busiest(list.into_iter().enumerate())
        };
        assert_eq!(peers(&[]), None);
        assert_eq!(peers(&[1]), Some(0));
        assert_eq!(peers(&[1, 2, 2]), Some(1));
        assert_eq!(peers(&[3, 1, 2, 2, 1, 1]), Some(1));
        assert_eq!(peers(&[1, 2, 1, 2]), Some(0));
    }
}
