//! Passes bytes on between those who ask and tiny_http, one thread for all: requests' bodies one way, answers and
//! streams the other. Here everything has its bound in time: a body that does not come, a viewer who takes nothing or
//! next to nothing, a connection that is not closed.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::limits::Place;

/// A client that sends nothing of a body for so long gets no more of Spotter's time.
const SILENCE: Duration = Duration::from_secs(10);
/// A body may take so long, and a second more for every `BODY_RATE` bytes.
const BODY_TIME: Duration = Duration::from_secs(20);
const BODY_RATE: u64 = 64 << 10;
/// A viewer that takes nothing for so long is let go.
const STALLED: Duration = Duration::from_secs(5);
/// So is one that has never taken all there was for so long, and took less than `LEAST` bytes meanwhile.
const WINDOW: Duration = Duration::from_secs(10);
const LEAST: usize = 64 << 10;
/// What a client still sends of a body after the answer is thrown away for so long: the system would throw the answer
/// away with the connection otherwise.
const LINGER: Duration = Duration::from_secs(1);
/// … and so many bytes.
const LINGER_BYTES: usize = 16 << 20;
/// Bytes passed on at once.
const PIECE: usize = 64 << 10;

/// What a pair is doing.
enum Stage {
    /// Bytes go to and fro.
    Open,
    /// The answer has been sent; so many bytes have been thrown away since.
    Lingering(usize),
    /// The client is gone. tiny_http's side is kept for as long as somebody works on the request there, so that those
    /// who come and go at once do not leave behind more work than there are places.
    Left,
}

/// A request that tiny_http has, and the connection of whoever asked.
pub struct Pair {
    client: TcpStream,
    inside: UnixStream,
    stage: Stage,
    // Bytes of the body that tiny_http has not got yet.
    body_left: u64,
    body_until: Instant,
    heard: Instant,
    // Bytes that one of them has given and the other one has not taken yet.
    upwards: Vec<u8>,
    downwards: Vec<u8>,
    // Since when there has always been something to take, how much was taken since, and when the last of it.
    window: Option<(Instant, usize, Instant)>,
    until: Instant,
    // The client may still be sending what nobody wants.
    unread: bool,
    gone: Arc<AtomicBool>,
    place: Place,
}

/// Whether a pair goes on.
type Goes = Option<()>;

impl Pair {
    /// A pair whose head has been passed on, with so many bytes of its body left. `gone` is set where the client goes
    /// before the answer is there.
    ///
    /// # Errors
    /// Where a connection cannot be made not to wait.
    pub fn new(
        client: TcpStream,
        inside: UnixStream,
        body_left: u64,
        gone: Arc<AtomicBool>,
        place: Place,
    ) -> io::Result<Self> {
        client.set_nonblocking(true)?;
        inside.set_nonblocking(true)?;
        let now = Instant::now();
        Ok(Self {
            client,
            inside,
            stage: Stage::Open,
            body_left,
            body_until: now + BODY_TIME + Duration::from_secs(body_left / BODY_RATE),
            heard: now,
            upwards: Vec::new(),
            downwards: Vec::new(),
            window: None,
            until: now,
            unread: false,
            gone,
            place,
        })
    }

    /// What to wait for: of the client, of tiny_http.
    fn wanted(&self) -> (PollFlags, PollFlags) {
        let mut of = (PollFlags::empty(), PollFlags::empty());
        match self.stage {
            Stage::Open => {
                if self.upwards.is_empty() && (self.body_left > 0 || self.place.is_stream()) {
                    of.0 |= PollFlags::IN;
                }
                if !self.upwards.is_empty() {
                    of.1 |= PollFlags::OUT;
                }
                if self.downwards.is_empty() {
                    of.1 |= PollFlags::IN;
                } else {
                    of.0 |= PollFlags::OUT;
                }
            }
            Stage::Lingering(_) => of.0 |= PollFlags::IN,
            // Only that it is closed.
            Stage::Left => {}
        }
        of
    }

    /// When something is to be done even where nothing comes.
    fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Open => {
                let body = self.body_deadline();
                let viewer = self.window.map(|(since, _, last)| (last + STALLED).min(since + WINDOW));
                body.into_iter().chain(viewer).min()
            }
            Stage::Lingering(_) => Some(self.until),
            Stage::Left => None,
        }
    }

    /// When the client must have sent more of the body, where that is waited for.
    fn body_deadline(&self) -> Option<Instant> {
        let waits = self.body_left > 0 && self.upwards.is_empty();
        waits.then(|| self.body_until.min(self.heard + SILENCE))
    }

    /// Does what can be done without waiting; none where nothing is left to do.
    fn go_on(&mut self, client: PollFlags, inside: PollFlags, scratch: &mut [u8], now: Instant) -> Goes {
        match self.stage {
            Stage::Open => {
                if !client.is_empty() {
                    self.take_from_client(client, scratch, now)?;
                }
                if !self.upwards.is_empty() && !inside.is_empty() {
                    self.give_inside(now);
                }
                if matches!(self.stage, Stage::Open) && !(client | inside).is_empty() {
                    self.answer(inside, scratch, now)?;
                }
            }
            Stage::Lingering(taken) => {
                let read = self.client.read(scratch);
                match read {
                    Ok(read @ 1..) if taken + read < LINGER_BYTES => {
                        self.stage = Stage::Lingering(taken + read)
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    _ => return None,
                }
            }
            Stage::Left if inside.contains(PollFlags::HUP) => return None,
            Stage::Left => {}
        }
        self.watch_the_clock(now)
    }

    fn take_from_client(&mut self, flags: PollFlags, scratch: &mut [u8], now: Instant) -> Goes {
        if flags.intersects(PollFlags::ERR | PollFlags::HUP) {
            return self.leave();
        }
        if !flags.contains(PollFlags::IN) || !self.upwards.is_empty() {
            return Some(());
        }
        // A stream's viewer has nothing to say: what it says is thrown away, and its end is an end.
        let most = if self.body_left == 0 { scratch.len() } else { scratch.len().min(clamp(self.body_left)) };
        match self.client.read(&mut scratch[..most]) {
            Ok(0) if self.body_left > 0 => self.end_body(),
            Ok(0) => return self.leave(),
            Ok(read) if self.body_left > 0 => {
                self.heard = now;
                self.body_left -= read as u64;
                self.upwards.extend_from_slice(&scratch[..read]);
                self.give_inside(now);
            }
            Ok(_) => {}
            Err(error) if is_momentary(&error) => {}
            Err(_) => return self.leave(),
        }
        Some(())
    }

    fn give_inside(&mut self, now: Instant) {
        match self.inside.write(&self.upwards) {
            Ok(taken) => {
                self.upwards.drain(..taken);
                // Time that tiny_http takes is not the client's.
                self.heard = now;
            }
            Err(error) if is_momentary(&error) => {}
            // It wants no more of the body, but may answer yet.
            Err(_) => {
                self.upwards.clear();
                self.body_left = 0;
                self.unread = true;
            }
        }
    }

    /// The body ends early: whoever reads it learns that.
    fn end_body(&mut self) {
        self.body_left = 0;
        self.unread = true;
        let _ = self.inside.shutdown(Shutdown::Write);
    }

    fn answer(&mut self, flags: PollFlags, scratch: &mut [u8], now: Instant) -> Goes {
        if self.downwards.is_empty() && flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            match self.inside.read(scratch) {
                Ok(0) => return self.close(now),
                Ok(read) => self.downwards.extend_from_slice(&scratch[..read]),
                Err(error) if is_momentary(&error) => {}
                Err(_) => return self.close(now),
            }
        }
        if self.downwards.is_empty() {
            return Some(());
        }
        match self.client.write(&self.downwards) {
            Ok(taken) => {
                self.downwards.drain(..taken);
                let (since, before, _) = self.window.unwrap_or((now, 0, now));
                self.window = (!self.downwards.is_empty()).then_some((since, before + taken, now));
            }
            Err(error) if is_momentary(&error) => {
                self.window = Some(self.window.unwrap_or((now, 0, now)));
            }
            Err(_) => return self.leave(),
        }
        Some(())
    }

    /// The answer is over.
    fn close(&mut self, now: Instant) -> Goes {
        let closed = self.client.shutdown(Shutdown::Write);
        let unread = self.unread || self.body_left > 0 || !self.upwards.is_empty();
        if !unread || closed.is_err() {
            return None;
        }
        self.stage = Stage::Lingering(0);
        self.until = now + LINGER;
        Some(())
    }

    /// The client has gone.
    fn leave(&mut self) -> Goes {
        self.gone.store(true, Ordering::Relaxed);
        let _ = self.client.shutdown(Shutdown::Both);
        if self.body_left > 0 || !self.upwards.is_empty() {
            // Whoever reads the body ends at once.
            return None;
        }
        // Whoever writes learns it; one hears of its end as long as this side has not been shut as a whole.
        let _ = self.inside.shutdown(Shutdown::Read);
        self.downwards = Vec::new();
        self.window = None;
        self.stage = Stage::Left;
        Some(())
    }

    fn watch_the_clock(&mut self, now: Instant) -> Goes {
        match self.stage {
            Stage::Open => {
                if self.body_deadline().is_some_and(|deadline| now >= deadline) {
                    self.end_body();
                }
                let Some((since, taken, last)) = &mut self.window else { return Some(()) };
                if now >= *last + STALLED {
                    return self.leave();
                }
                if now >= *since + WINDOW {
                    if *taken < LEAST {
                        return self.leave();
                    }
                    (*since, *taken) = (now, 0);
                }
                Some(())
            }
            Stage::Lingering(_) => (now < self.until).then_some(()),
            Stage::Left => Some(()),
        }
    }
}

fn clamp(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// Whether it is worth trying again.
pub fn is_momentary(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Passes bytes on for all pairs.
pub struct Relay {
    // A byte comes here with every pair; the end where the server ends.
    bell: UnixStream,
    new: Receiver<Pair>,
    pairs: Vec<Pair>,
    scratch: Vec<u8>,
}

impl Relay {
    /// Takes pairs from `new` whenever `bell` rings.
    ///
    /// # Errors
    /// Where the bell cannot be made not to wait.
    pub fn new(bell: UnixStream, new: Receiver<Pair>) -> io::Result<Self> {
        bell.set_nonblocking(true)?;
        Ok(Self { bell, new, pairs: Vec::new(), scratch: vec![0; PIECE] })
    }

    /// Lets all go.
    pub fn clear(&mut self) {
        self.pairs.clear();
    }

    /// Passes bytes on until there can be no new pairs.
    pub fn run(&mut self) {
        loop {
            let mut ready = self.wait();
            let now = Instant::now();
            let mut flags = ready.drain(..);
            let scratch = &mut self.scratch;
            self.pairs.retain_mut(|pair| {
                let (client, inside) = flags.next().unwrap_or((PollFlags::empty(), PollFlags::empty()));
                pair.go_on(client, inside, scratch, now).is_some()
            });
            while let Ok(1..) = self.bell.read(&mut self.scratch[..64]) {}
            loop {
                match self.new.try_recv() {
                    Ok(pair) => self.pairs.push(pair),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
        }
    }

    /// Waits for something to do; what the two of each pair are ready for.
    fn wait(&self) -> Vec<(PollFlags, PollFlags)> {
        let now = Instant::now();
        let next = self.pairs.iter().filter_map(Pair::deadline).min();
        // A millisecond more, so that the time is over when it wakes up.
        let timeout = next.and_then(|next| {
            Timespec::try_from(next.saturating_duration_since(now) + Duration::from_millis(1)).ok()
        });
        let mut fds = Vec::with_capacity(1 + 2 * self.pairs.len());
        fds.push(PollFd::new(&self.bell, PollFlags::IN));
        // Which pair's, and whether the client's. An end that nobody waits for is left out: poll would tell of it
        // for ever.
        let mut whose = Vec::with_capacity(2 * self.pairs.len());
        for (index, pair) in self.pairs.iter().enumerate() {
            let (client, inside) = pair.wanted();
            if !matches!(pair.stage, Stage::Left) {
                fds.push(PollFd::new(&pair.client, client));
                whose.push((index, true));
            }
            if !inside.is_empty() || matches!(pair.stage, Stage::Left) {
                fds.push(PollFd::new(&pair.inside, inside));
                whose.push((index, false));
            }
        }
        let mut ready = vec![(PollFlags::empty(), PollFlags::empty()); self.pairs.len()];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {
                for (fd, (index, is_client)) in fds[1..].iter().zip(whose) {
                    let two = &mut ready[index];
                    *(if is_client { &mut two.0 } else { &mut two.1 }) = fd.revents();
                }
            }
            Err(Errno::INTR) => {}
            // The system has no memory for this now.
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
        ready
    }
}
