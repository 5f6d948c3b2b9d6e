//! The web server: listens, and joins its parts. The door lets requests in, [`crate::web::http::upstream`] hands them on to
//! tiny_http, the relay passes on what follows.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::limits::{Limits, Room};
use super::listener::{Arrived, Door};
use super::proxy::{Pair, Relay};
use super::upstream::{Folder, Handle, Inside};
use crate::base::error::{Error, Kind, Result};
use crate::base::folders::localdata;
use crate::live::model_switch::Switch;
use crate::live::status::Status;
use crate::web::auth::access::Access;
use crate::web::router;

/// What may wait in a viewer's socket: a few pictures. More would only be delay for a slow viewer.
const SEND_BUFFER: usize = 128 * 1024;
/// Descriptors that a process may have where it cannot be told.
const USUAL_DESCRIPTORS: u64 = 1024;

/// The listening server.
pub struct WebServer {
    address: SocketAddr,
    // The door closes with its other end; all else ends with the door.
    _open: UnixStream,
    // The process may end before all threads have.
    _folder: Folder,
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
    /// Listens on `address` and serves from then on.
    ///
    /// # Errors
    /// `Kind::Listen` where the address cannot be had.
    pub fn start(
        address: SocketAddr,
        access: Access,
        status: Arc<Status>,
        switch: Arc<Switch>,
    ) -> Result<Self> {
        let room = Arc::new(Room::new(Limits::for_descriptors(free_descriptors())));
        let listener = listen(address).map_err(|error| {
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
            Error::new(Kind::Listen, format!("cannot listen on {address}: {hint}")).caused_by(error)
        })?;
        let broken = |error: std::io::Error| {
            Error::new(Kind::Listen, format!("cannot serve on {address}")).caused_by(error)
        };
        let address = listener.local_addr().map_err(broken)?;
        let access = access.at(address);
        let handle: Handle =
            Arc::new(move |request, gone| router::handle(request, &access, &status, &switch, &gone));
        let folder = Folder::new(&folders()).map_err(|error| {
            let folders: Vec<String> = folders().iter().map(|folder| folder.display().to_string()).collect();
            let folders = folders.join(", ");
            let text = format!(
                "cannot serve on {address}: the web server needs a folder for its sockets in one of {folders}; set TMPDIR to one that can be written"
            );
            Error::new(Kind::Listen, text).caused_by(error)
        })?;
        let open = serve(listener, room, &folder, handle).map_err(broken)?;
        Ok(Self { address, _open: open, _folder: folder })
    }

    /// The address it listens on, with the port that the system chose where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
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
) -> std::io::Result<UnixStream> {
    let (open, closed) = UnixStream::pair()?;
    let mut door = Door::new(listener, closed, room)?;
    let mut inside = Inside::start(folder, handle)?;
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
