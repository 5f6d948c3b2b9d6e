//! tiny_http behind the door. It listens on a socket of its own in a folder that nobody else may enter, and gets one
//! request after the other; the next one when it has taken the last.
//!
//! That keeps away what it would not survive (an endless head, half a request that holds a thread), and shows at once
//! where it does not take a request: then another one is built in its place. It also keeps a connection from waiting
//! behind another one for ever, which happens where two come at the same time: its pool counts a thread that has been
//! woken up, but does not run yet, as free.

use std::fs::DirBuilder;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::ioctl_fionread;
use tiny_http::{Request, Server};

use super::caller::{self, Caller};
use super::listener::Arrived;
use super::proxy::{Pair, is_momentary};
use super::request_head::NUMBER;
use super::response;

/// tiny_http takes a request within so long, or is not what it was.
const TAKEN_TIME: Duration = Duration::from_secs(5);
/// Descriptors that are kept back for a request: our end of a connection, and tiny_http's end twice. Without them
/// tiny_http would end, and in a program that ends at the first defect all of it.
const KEPT_BACK: usize = 4;
/// A request waits so long for them, where something else has taken them all; they are looked for so often.
const DESCRIPTORS_TIME: Duration = Duration::from_secs(1);
const DESCRIPTORS_PAUSE: Duration = Duration::from_millis(20);
/// The log hears of what goes wrong once in so long.
const WORD: Duration = Duration::from_secs(60);

/// What the folders' names begin with; the number of the process follows.
const NAME: &str = "spotter-";

/// Answers a request. The flag is set when whoever asked has gone.
pub type Handle = Arc<dyn Fn(Request, Arc<AtomicBool>) + Send + Sync>;

/// Whether it matters which program asks for this path.
pub type Matters = fn(&str) -> bool;

/// A request that is on its way to tiny_http.
type Awaited = Arc<Mutex<Option<(u64, Arc<AtomicBool>)>>>;

/// A folder for sockets, which goes when it is dropped.
pub struct Folder(PathBuf);

impl Folder {
    /// A new one that only this user may enter, in the first of these folders where there can be one. What processes
    /// have left there that are no more goes.
    ///
    /// # Errors
    /// Where none of them can be written to.
    pub fn new(among: &[PathBuf]) -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut result = Err(io::ErrorKind::NotFound.into());
        for parent in among {
            clear_away(parent);
            // Whatever was left behind by a process with the same number is not ours to use.
            for _ in 0..100 {
                let count = COUNT.fetch_add(1, Ordering::Relaxed);
                let path = parent.join(format!("{NAME}{}-{count}", std::process::id()));
                match DirBuilder::new().mode(0o700).create(&path) {
                    Ok(()) => return Ok(Self(path)),
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    Err(error) => {
                        result = Err(error);
                        break;
                    }
                }
            }
        }
        result
    }
}

/// Makes a folder that only this user may enter, where it is not there already.
fn make_private(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let found = path.symlink_metadata()?;
            let ours = found.is_dir() && found.uid() == rustix::process::getuid().as_raw();
            if ours && found.mode() & 0o077 == 0 { Ok(()) } else { Err(error) }
        }
        result => result,
    }
}

/// Removes the folders of processes that were killed. Those of other users stay: the system keeps them.
fn clear_away(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(NAME)?.split_once('-'));
        let process = process.and_then(|(process, count)| Some((process.parse::<u32>().ok()?, count)));
        let Some((process, count)) = process else { continue };
        let ours = count.bytes().all(|byte| byte.is_ascii_digit());
        if ours && !Path::new(&format!("/proc/{process}")).exists() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// One tiny_http.
struct Inner {
    server: Arc<Server>,
    path: PathBuf,
    // The numbers of the requests that it has taken.
    taken: UnixStream,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.server.unblock();
    }
}

impl Inner {
    fn start(path: &Path, awaited: &Awaited, handle: &Handle) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        let server = Arc::new(Server::from_listener(listener, None).map_err(io::Error::other)?);
        let (taken, tell) = UnixStream::pair()?;
        taken.set_nonblocking(true)?;
        let (serving, awaited, handle) = (server.clone(), awaited.clone(), handle.clone());
        std::thread::Builder::new()
            .name("web-serve".to_owned())
            .spawn(move || serve(&serving, &tell, &awaited, &handle))?;
        Ok(Self { server, path: path.to_owned(), taken })
    }

    /// Waits until it has taken that request, or has answered by itself.
    fn wait_for(&mut self, number: u64, inside: &UnixStream) -> io::Result<()> {
        let until = Instant::now() + TAKEN_TIME;
        loop {
            let mut text = [0; 8];
            match self.taken.read(&mut text) {
                Ok(0) => return Err(io::ErrorKind::BrokenPipe.into()),
                // Numbers are written as a whole, and one at a time. An older one is of a request that was given up.
                Ok(_) if u64::from_ne_bytes(text) == number => return Ok(()),
                Ok(_) => continue,
                Err(error) if is_momentary(&error) => {}
                Err(error) => return Err(error),
            }
            let left = until.saturating_duration_since(Instant::now());
            let mut fds = [PollFd::new(&self.taken, PollFlags::IN), PollFd::new(inside, PollFlags::IN)];
            if left.is_zero() || poll(&mut fds, Timespec::try_from(left).ok().as_ref()) == Ok(0) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            if fds[0].revents().is_empty() && !fds[1].revents().is_empty() {
                // It answers by itself, or has closed the connection without a word.
                return match ioctl_fionread(inside)? {
                    0 => Err(io::ErrorKind::ConnectionAborted.into()),
                    _ => Ok(()),
                };
            }
        }
    }
}

/// Gives each request that is awaited a thread.
fn serve(server: &Server, mut tell: &UnixStream, awaited: &Awaited, handle: &Handle) {
    for request in server.incoming_requests() {
        let number = response::header(&request, NUMBER).and_then(|number| number.parse::<u64>().ok());
        let mut waiting = awaited.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((number, gone)) = waiting.take_if(|(awaited, _)| Some(*awaited) == number) else {
            continue;
        };
        drop(waiting);
        // There is room for it: nothing else is on its way.
        let _ = tell.write_all(&number.to_ne_bytes());
        let handle = handle.clone();
        let spawned =
            std::thread::Builder::new().name("web-request".to_owned()).spawn(move || handle(request, gone));
        if let Err(error) = spawned {
            // The request was dropped with its connection.
            log::error!("cannot serve a request: {error}");
        }
    }
}

/// Hands requests on to a tiny_http, and builds another one where that has ended.
pub struct Inside {
    inner: Option<Inner>,
    awaited: Awaited,
    handle: Handle,
    number: u64,
    built: u64,
    kept_back: Vec<OwnedFd>,
    said: Option<Instant>,
    matters: Option<Matters>,
    said_unknown: bool,
    // Any descriptor, to make others of.
    spare: UnixStream,
    folder: PathBuf,
}

impl Inside {
    /// A first tiny_http, with a socket in that folder. `matters` says for which paths it is looked which program
    /// of this machine asks.
    ///
    /// # Errors
    /// Where there can be none.
    pub fn start(folder: &Folder, handle: Handle, matters: Option<Matters>) -> io::Result<Self> {
        let folder = folder.0.clone();
        let awaited = Awaited::default();
        let (spare, _) = UnixStream::pair()?;
        let kept_back = Vec::with_capacity(KEPT_BACK);
        let mut inside = Self {
            inner: None,
            awaited,
            handle,
            number: 0,
            built: 0,
            kept_back,
            said: None,
            matters,
            said_unknown: false,
            spare,
            folder,
        };
        inside.build()?;
        inside.keep_back()?;
        Ok(inside)
    }

    fn build(&mut self) -> io::Result<()> {
        // The old one's socket has gone with it, whatever keeps it.
        self.inner = None;
        self.built += 1;
        // Something may have tidied up there.
        make_private(&self.folder)?;
        let path = self.folder.join(self.built.to_string());
        self.inner = Some(Inner::start(&path, &self.awaited, &self.handle)?);
        Ok(())
    }

    fn keep_back(&mut self) -> io::Result<()> {
        while self.kept_back.len() < KEPT_BACK {
            self.kept_back.push(self.spare.try_clone()?.into());
        }
        Ok(())
    }

    /// Frees the descriptors for a request, once it is sure that there are some.
    fn free_descriptors(&mut self, since: Instant) -> io::Result<()> {
        loop {
            // The limit may have changed, so what was kept back may be of no use.
            self.kept_back.clear();
            match self.keep_back() {
                Ok(()) => {
                    self.kept_back.clear();
                    return Ok(());
                }
                Err(error) if since.elapsed() > DESCRIPTORS_TIME => return Err(error),
                Err(_) => std::thread::sleep(DESCRIPTORS_PAUSE),
            }
        }
    }

    fn say(&mut self, text: &str) {
        if self.said.is_none_or(|said| said.elapsed() > WORD) {
            self.said = Some(Instant::now());
            log::warn!("{text}");
        }
    }

    /// Hands a request on. Where tiny_http does not take it, another one is built, once.
    pub fn hand_on(&mut self, arrived: Arrived) -> Option<Pair> {
        let tried = self.free_descriptors(arrived.since).and_then(|()| {
            self.pass_on(&arrived).or_else(|error| {
                self.say(&format!("the web server did not take a request ({error}); it is built anew"));
                self.build().and_then(|()| self.pass_on(&arrived))
            })
        });
        // The next request finds out whether that matters.
        let _ = self.keep_back();
        let Arrived { head, body, mut stream, place, .. } = arrived;
        let told = match tried {
            Ok((inside, gone)) => {
                let left = head.body_length.unwrap_or(0).saturating_sub(body.len() as u64);
                Pair::new(stream, inside, left, gone, place)
            }
            Err(error) => {
                let text = "the web server cannot take this request now; try again";
                // Nothing has been sent yet, so there is room for it.
                let _ = stream.write(&response::problem_with(503, text).to_bytes());
                let _ = stream.shutdown(Shutdown::Write);
                Err(error)
            }
        };
        told.inspect_err(|error| self.say(&format!("cannot serve a request: {error}"))).ok()
    }

    /// Which program asks, where that matters.
    fn caller(&mut self, arrived: &Arrived) -> Option<Caller> {
        let (path, _) = arrived.head.path_and_query();
        if !self.matters.is_some_and(|matters| matters(path)) {
            return None;
        }
        let ends = (arrived.stream.peer_addr(), arrived.stream.local_addr());
        let (Ok(mut there), Ok(mut here)) = ends else { return Some(Caller::Gone) };
        there.set_ip(there.ip().to_canonical());
        here.set_ip(here.ip().to_canonical());
        // Beyond loopback the token tells.
        if !there.ip().is_loopback() {
            return None;
        }
        match caller::of(there, here) {
            Ok(caller) => Some(caller),
            Err(error) => {
                if !std::mem::replace(&mut self.said_unknown, true) {
                    log::warn!(
                        "this system does not tell which application asks ({error}): every application of this camera can change Spotter's settings"
                    );
                }
                Some(Caller::System)
            }
        }
    }

    fn pass_on(&mut self, arrived: &Arrived) -> io::Result<(UnixStream, Arc<AtomicBool>)> {
        let caller = self.caller(arrived);
        let Some(inner) = &mut self.inner else { return Err(io::ErrorKind::NotConnected.into()) };
        self.number += 1;
        let gone = Arc::new(AtomicBool::new(false));
        *self.awaited.lock().unwrap_or_else(PoisonError::into_inner) = Some((self.number, gone.clone()));
        let Arrived { head, body, place, .. } = arrived;
        let mut inside = UnixStream::connect(&inner.path)?;
        inside.set_write_timeout(Some(TAKEN_TIME))?;
        let length = head.body_length.unwrap_or(0);
        let waits = body.is_empty() && length > 0 && head.header("Expect").is_some();
        inside.write_all(&head.passed_on(place.peer(), caller, self.number, waits))?;
        // What follows the body is no second request: an answer ends its connection.
        let body = &body[..body.len().min(usize::try_from(length).unwrap_or(usize::MAX))];
        match inside.write_all(body) {
            // A request that is refused by its head is answered, and its connection closed, before the body is there.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            written => written?,
        }
        inner.wait_for(self.number, &inside)?;
        Ok((inside, gone))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::os::unix::fs::PermissionsExt;
    use std::sync::mpsc;

    use super::*;
    use crate::web::http::limits::{Limits, Room};
    use crate::web::http::request_head::Head;

    fn inside(folder: &Folder) -> Inside {
        let handle: Handle = Arc::new(|request, _| {
            let path = request.url().to_owned();
            response::problem_with(404, &path).send(request);
        });
        Inside::start(folder, handle, None).unwrap()
    }

    /// The answer to a request for this path.
    fn ask(inside: &mut Inside, path: &str) -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        let text = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        let (head, _) = Head::parse(text.as_bytes()).unwrap().unwrap();
        let room = Arc::new(Room::new(Limits::for_descriptors(100)));
        let place = room.enter(Ipv4Addr::LOCALHOST.into(), None).unwrap();
        let pair = inside.hand_on(Arrived { head, body: Vec::new(), stream, place, since: Instant::now() });
        let (bell, ringing) = UnixStream::pair().unwrap();
        let (send, new) = mpsc::channel();
        let mut relay = crate::web::http::proxy::Relay::new(ringing, new).unwrap();
        let relay = std::thread::spawn(move || relay.run());
        if let Some(pair) = pair {
            send.send(pair).unwrap();
        }
        (&bell).write_all(&[1]).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        drop((send, bell));
        relay.join().unwrap();
        answer
    }

    #[test]
    fn a_server_that_has_ended_is_built_anew() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::new(&[parent.path().to_owned()]).unwrap();
        let mut inside = inside(&folder);
        assert!(ask(&mut inside, "/a").ends_with("\"detail\":\"/a\"}"));
        // Its thread that takes requests ends.
        inside.inner.as_ref().unwrap().server.unblock();
        assert!(ask(&mut inside, "/b").contains("/b"));
        // Its socket is gone.
        std::fs::remove_file(&inside.inner.as_ref().unwrap().path).unwrap();
        assert!(ask(&mut inside, "/c").contains("/c"));
        assert_eq!(inside.built, 3);
        // Where there can be no other, the answer says so; and there is one as soon as there can be.
        let path = inside.folder.clone();
        std::fs::remove_dir_all(&path).unwrap();
        std::fs::write(&path, "").unwrap();
        assert!(ask(&mut inside, "/d").starts_with("HTTP/1.1 503"));
        std::fs::remove_file(&path).unwrap();
        assert!(ask(&mut inside, "/e").contains("/e"));
    }

    #[test]
    fn the_socket_is_nobody_elses_and_goes() {
        let parent = tempfile::tempdir().unwrap();
        let missing = parent.path().join("missing");
        // No process has such a number; the others are not ours.
        for name in ["spotter-4294967295-0", "spotter-4294967295-x", "spotter-1-0", "spotter-x"] {
            std::fs::create_dir_all(parent.path().join(name).join("1")).unwrap();
        }
        let folder = Folder::new(&[missing.clone(), parent.path().to_owned()]).unwrap();
        let path = folder.0.clone();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let _inside = inside(&folder);
        assert!(path.join("1").exists());
        let other = Folder::new(&[parent.path().to_owned()]).unwrap();
        assert!(path.exists() && other.0 != path, "whoever lives keeps it");
        drop((folder, other));
        let mut left: Vec<_> =
            std::fs::read_dir(parent.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["spotter-1-0", "spotter-4294967295-x", "spotter-x"]);
        assert!(Folder::new(&[missing]).is_err());
    }
}
