//! Listens, and gives each request a thread.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tiny_http::Server;

use super::{reply, routes};
use crate::error::{Error, Kind, Result};
use crate::status::Status;
use crate::switch::Switch;

/// A viewer that takes nothing for so long is let go.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// What may wait in a viewer's socket: a few pictures. More would only be delay for a slow viewer.
const SEND_BUFFER: usize = 256 * 1024;
/// Requests served at once, streams included.
const REQUEST_LIMIT: usize = 256;

/// The listening server.
pub struct WebServer {
    server: Arc<Server>,
    address: SocketAddr,
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.server.unblock();
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart need not wait for old connections to time out.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(128)?;
    let listener = TcpListener::from(socket);
    // Accepted connections inherit these. A receive timeout would end tiny_http's accept loop.
    let options = SockRef::from(&listener);
    options.set_write_timeout(Some(SEND_TIMEOUT))?;
    options.set_send_buffer_size(SEND_BUFFER)?;
    options.set_tcp_nodelay(true)?;
    Ok(listener)
}

/// Lets the process have as many connections as the system allows at all: tiny_http does not survive
/// running out of file descriptors.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where it is refused, the limit stays as it was.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

impl WebServer {
    /// Listens on `address` and serves from then on.
    ///
    /// # Errors
    /// `Kind::Listen` where the address cannot be had.
    pub fn start(address: SocketAddr, status: Arc<Status>, switch: Arc<Switch>) -> Result<Self> {
        raise_descriptor_limit();
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
        let broken = |error: Box<dyn std::error::Error + Send + Sync>| {
            Error::new(Kind::Listen, format!("cannot serve on {address}")).caused_by(error)
        };
        let address = listener.local_addr().map_err(|error| broken(error.into()))?;
        let server = Arc::new(Server::from_listener(listener, None).map_err(broken)?);
        let serving = server.clone();
        std::thread::Builder::new()
            .name("web".to_owned())
            .spawn(move || serve(&serving, &status, &switch))
            .map_err(|error| broken(error.into()))?;
        Ok(Self { server, address })
    }

    /// The address it listens on, with the port that the system chose where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn serve(server: &Server, status: &Arc<Status>, switch: &Arc<Switch>) {
    let running = Arc::new(AtomicUsize::new(0));
    for request in server.incoming_requests() {
        if running.fetch_add(1, Ordering::AcqRel) >= REQUEST_LIMIT {
            running.fetch_sub(1, Ordering::AcqRel);
            reply::problem_with(503, "too many requests at once; try again").send(request);
            continue;
        }
        let (status, switch, count) = (status.clone(), switch.clone(), running.clone());
        let spawned = std::thread::Builder::new().name("web-request".to_owned()).spawn(move || {
            routes::handle(request, &status, &switch);
            count.fetch_sub(1, Ordering::AcqRel);
        });
        if let Err(error) = spawned {
            running.fetch_sub(1, Ordering::AcqRel);
            log::error!("cannot serve a request: {error}");
        }
    }
}
