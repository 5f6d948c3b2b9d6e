//! The web server: listens, and joins its parts. The door lets requests in, [`crate::web::http::upstream`] hands them on to
//! tiny_http, the relay passes on what follows.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::caller;
use super::limits::{Limits, Room};
use super::listener::{Arrived, Door};
use super::proxy::{Pair, Relay};
use super::upstream::{Folder, Handle, Inside, Matters};
use crate::base::clock::{Clock, Stop};
use crate::base::error::{Error, Kind, Result};
use crate::base::folders::localdata;
use crate::live::context::Context;
use crate::live::model_switch::Switch;
use crate::web::auth::access::Access;
use crate::web::router;

/// What may wait in a viewer's socket: a few pictures. More would only be delay for a slow viewer.
const SEND_BUFFER: usize = 128 * 1024;
/// Descriptors that a process may have where it cannot be told.
const USUAL_DESCRIPTORS: u64 = 1024;

/// A port that another program has is tried again after these pauses, the last one again and again.
const PAUSES_S: [u64; 6] = [1, 2, 4, 8, 15, 30];

/// The listening server, or one that waits for its port.
pub struct WebServer {
    address: SocketAddr,
    serving: Arc<Mutex<Option<Serving>>>,
    stop: Stop,
}

/// What lives as long as it serves.
struct Serving {
    // The door closes with its other end; all else ends with the door.
    _open: UnixStream,
    // The process may end before all threads have.
    _folder: Folder,
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.stop.set();
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart need not wait for old connections to time out.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    // Whoever finds the queue full is heard again after a second only; the system may make it shorter.
    socket.listen(4096)?;
    let listener = TcpListener::from(socket);
    // Accepted connections inherit these.
    let options = SockRef::from(&listener);
    options.set_send_buffer_size(SEND_BUFFER)?;
    options.set_tcp_nodelay(true)?;
    Ok(listener)
}

/// Lets the process have as many descriptors as the system allows at all; how many of them are free.
fn free_descriptors() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where it is refused, the limit stays as it was.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(USUAL_DESCRIPTORS);
    let used = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(used)
}

impl WebServer {
    /// Listens on `address` and serves from then on. On a camera, where nobody can give it another port and its end would
    /// only be followed by the next start, it waits for one that another program has, and tells the log once.
    ///
    /// # Errors
    /// `Kind::Listen` where the address cannot be had.
    pub fn start(
        address: SocketAddr,
        access: Access,
        context: Arc<Context>,
        switch: Arc<Switch>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let on_camera = access.behind_camera();
        let access = Arc::new(access);
        let handle: Handle = {
            let access = access.clone();
            Arc::new(move |request, gone| router::handle(request, &access, &context, &switch, &gone))
        };
        let serve = move || {
            let (address, serving) = Serving::start(address, handle.clone(), on_camera)?;
            access.listens_at(address);
            Ok((address, serving))
        };
        let (serving, stop) = (Arc::new(Mutex::new(None)), Stop::new());
        match serve() {
            Ok((address, begun)) => {
                *serving.lock().unwrap_or_else(PoisonError::into_inner) = Some(begun);
                return Ok(Self { address, serving, stop });
            }
            Err(Unheard { error, taken: true }) if on_camera => {
                let whose = match caller::listener(address) {
                    Ok(Some(user)) => format!(" (user {user})"),
                    _ => String::new(),
                };
                let port = address.port();
                log::error!(
                    "another application of this camera{whose} has port {port}, so the page cannot be reached; Spotter detects meanwhile and takes the port as soon as it is free: {error}"
                );
            }
            Err(Unheard { error, .. }) => return Err(error),
        }
        let (place, until) = (serving.clone(), stop.clone());
        start("web-port", move || {
            if let Some((address, begun)) = wait_for(&serve, &*clock, &until) {
                *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(begun);
                log::info!("port {} is free again; the page can be reached", address.port());
            }
        })
        .map_err(|error| Error::new(Kind::Listen, format!("cannot wait for {address}")).caused_by(error))?;
        Ok(Self { address, serving, stop })
    }

    /// The address it listens on, with the port that the system chose where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it listens already.
    pub fn listens(&self) -> bool {
        self.serving.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

/// Why it does not listen.
struct Unheard {
    error: Error,
    /// Another program has the port.
    taken: bool,
}

/// Tries until it listens, or is to stop. What else goes wrong meanwhile may pass as well.
fn wait_for<T>(
    serve: &impl Fn() -> std::result::Result<T, Unheard>,
    clock: &dyn Clock,
    stop: &Stop,
) -> Option<T> {
    let last = PAUSES_S.len() - 1;
    for attempt in 0.. {
        if clock.wait(Duration::from_secs(PAUSES_S[last.min(attempt)]), stop) {
            return None;
        }
        if let Ok(served) = serve() {
            return Some(served);
        }
    }
    None
}

impl Serving {
    fn start(
        address: SocketAddr,
        handle: Handle,
        on_camera: bool,
    ) -> std::result::Result<(SocketAddr, Self), Unheard> {
        let room = Arc::new(Room::new(Limits::for_descriptors(free_descriptors())));
        let listener = listen(address).map_err(|error| {
            let taken = error.kind() == std::io::ErrorKind::AddrInUse;
            let hint = match error.kind() {
                std::io::ErrorKind::AddrInUse => {
                    "the port is in use by another program; choose another with --listen 127.0.0.1:8081"
                }
                std::io::ErrorKind::PermissionDenied => {
                    "ports below 1024 need special rights; choose a higher one with --listen"
                }
                std::io::ErrorKind::AddrNotAvailable => {
                    "this machine has no such address; use --listen 127.0.0.1:8080"
                }
                _ => "choose another address with --listen",
            };
            let text = format!("cannot listen on {address}: {hint}");
            Unheard { error: Error::new(Kind::Listen, text).caused_by(error), taken }
        })?;
        let broken = |error: std::io::Error| {
            let error = Error::new(Kind::Listen, format!("cannot serve on {address}")).caused_by(error);
            Unheard { error, taken: false }
        };
        let address = listener.local_addr().map_err(broken)?;
        let folder = Folder::new(&folders()).map_err(|error| {
            let folders: Vec<String> = folders().iter().map(|folder| folder.display().to_string()).collect();
            let folders = folders.join(", ");
            let text = format!(
                "cannot serve on {address}: the web server needs a folder for its sockets in one of {folders}; set TMPDIR to one that can be written"
            );
            Unheard { error: Error::new(Kind::Listen, text).caused_by(error), taken: false }
        })?;
        let open = serve(listener, room, &folder, handle, on_camera).map_err(broken)?;
        Ok((address, Self { _open: open, _folder: folder }))
    }
}

/// Where a folder for sockets may be.
fn folders() -> Vec<PathBuf> {
    let mut folders = vec![std::env::temp_dir(), PathBuf::from("/tmp")];
    folders.extend(localdata(Path::new("")));
    folders.dedup();
    folders
}

/// Starts all threads; they serve until what is returned is dropped.
fn serve(
    listener: TcpListener,
    room: Arc<Room>,
    folder: &Folder,
    handle: Handle,
    on_camera: bool,
) -> std::io::Result<UnixStream> {
    // There it matters which program asks for what an administrator may.
    let matters: Option<Matters> = on_camera.then_some(|path| router::place(path, true).may_change);
    let (open, closed) = UnixStream::pair()?;
    let mut door = Door::new(listener, closed, room)?;
    let mut inside = Inside::start(folder, handle, matters)?;
    let (bell, ringing) = UnixStream::pair()?;
    bell.set_nonblocking(true)?;
    let (pairs, new) = mpsc::channel();
    let mut relay = Relay::new(ringing, new)?;
    let (hand, arrived) = mpsc::channel::<Arrived>();
    start("web-relay", move || keep_going(&mut relay, Relay::run, Relay::clear))?;
    start("web-inside", move || hand_on(&mut inside, &arrived, &pairs, &bell))?;
    start("web", move || {
        // It cannot fail as long as there is somebody to hand them to.
        let mut serve = |request| drop(hand.send(request));
        keep_going(&mut door, |door| door.run(&mut serve), Door::clear);
    })?;
    Ok(open)
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

/// Hands requests on to tiny_http until the door closes.
fn hand_on(inside: &mut Inside, arrived: &Receiver<Arrived>, pairs: &Sender<Pair>, mut bell: &UnixStream) {
    for request in arrived {
        let Some(pair) = inside.hand_on(request) else { continue };
        if pairs.send(pair).is_err() {
            return;
        }
        // Where it has no room for a byte it is ringing already.
        let _ = bell.write(&[1]);
    }
}

/// Keeps a part going whatever happens in it.
fn keep_going<P>(part: &mut P, mut run: impl FnMut(&mut P), clear: impl Fn(&mut P)) {
    // Nothing is half done there but connections, and they are let go.
    while catch_unwind(AssertUnwindSafe(|| run(part))).is_err() {
        log::error!("the web server failed and starts again; this is a defect of Spotter, please report it");
        clear(part);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::base::clock::SimulatedClock;

    fn taken() -> Unheard {
        Unheard { error: Error::new(Kind::Listen, "taken"), taken: true }
    }

    #[test]
    fn a_port_is_waited_for_with_growing_pauses() {
        let (clock, stop, tries) = (SimulatedClock::new(100), Stop::new(), Cell::new(0));
        let serve = || {
            tries.set(tries.get() + 1);
            if tries.get() == 8 { Ok(tries.get()) } else { Err(taken()) }
        };
        assert_eq!(wait_for(&serve, &clock, &stop), Some(8));
        let waits: Vec<u64> = clock.waits().iter().map(Duration::as_secs).collect();
        assert_eq!(waits, [1, 2, 4, 8, 15, 30, 30, 30]);
        // Whoever ends does not wait for it.
        let clock = SimulatedClock::new(3);
        assert_eq!(wait_for(&|| Err::<(), _>(taken()), &clock, &stop), None);
        assert_eq!(clock.waits().len(), 3);
    }
}
