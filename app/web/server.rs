//! The web server: waits for its port, listens, and keeps going.

use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::auth::access::Access;
use super::http::caller;
use super::http::limits::{Admission, Limits};
use super::http::listener::{Listener, Signal};
use super::router::Router;
use crate::base::clock::{Clock, Stop};
use crate::base::error::{Error, Kind, Result};
use crate::live::context::Context;
use crate::live::model_switch::Switch;

/// What may wait in a viewer's socket: a few pictures. More would only be delay for a slow viewer.
const SEND_BUFFER: usize = 128 * 1024;
/// Descriptors that a process may have where it cannot be told.
const USUAL_DESCRIPTORS: u64 = 1024;
/// Pause after a failure of the thread that takes connections.
const FAILED_PAUSE: Duration = Duration::from_millis(200);

/// A port that another program has is tried again after these pauses, the last one again and again.
const PAUSES_S: [u64; 6] = [1, 2, 4, 8, 15, 30];

/// The listening server, or one that waits for its port.
pub struct WebServer {
    address: SocketAddr,
    serving: Arc<Mutex<Option<Serving>>>,
    stop: Stop,
}

/// A port that is served until this is dropped.
struct Serving(Arc<Signal>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.close();
    }
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
        let router = Arc::new(Router { access, context, switch });
        let serve = move || {
            let (address, serving) = Serving::start(address, router.clone())?;
            router.access.listens_at(address);
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
    fn start(address: SocketAddr, router: Arc<Router>) -> std::result::Result<(SocketAddr, Self), Unheard> {
        let admission = Arc::new(Admission::new(Limits::for_descriptors(free_descriptors())));
        let socket = listen(address).map_err(|error| {
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
        let address = socket.local_addr().map_err(broken)?;
        let listener = Listener::new(socket, admission, router).map_err(broken)?;
        let signal = listener.signal();
        start("web", move || keep_going(listener)).map_err(broken)?;
        Ok((address, Self(signal)))
    }
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

/// Serves until it is closed, whatever happens.
fn keep_going(mut listener: Listener<Router>) {
    // Nothing is half done there but connections, and they are let go.
    while catch_unwind(AssertUnwindSafe(|| listener.run())).is_err() {
        log::error!("the web server failed and starts again; this is a defect of Spotter, please report it");
        listener.clear();
        std::thread::sleep(FAILED_PAUSE);
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
