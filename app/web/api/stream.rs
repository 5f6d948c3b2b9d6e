//! Streams to viewers: each has a thread, waits for the newest publication and skips what it was too slow
//! for. The relay lets a viewer go that takes nothing for some seconds, and tells where one has gone.

use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tiny_http::{Request, Response};
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

use crate::base::error::{Error, Kind};
use crate::publish::hub::{Hub, Watch};
use crate::web::http::response::{self, header};
use crate::web::routes::Ask;

/// How long a stream sleeps when nothing is published.
const POLL: Duration = Duration::from_millis(500);
/// A stream that is silent for so long sends a sign of life, which also finds out whether anyone is there.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// The text between two pictures of an MJPEG stream.
const BOUNDARY: &str = "spotter-frame";

/// Whether there is something to stream, and somebody who watches.
fn goes_on(ask: &Ask<'_>) -> bool {
    !ask.context.hub.is_closed() && !ask.gone.load(Ordering::Relaxed)
}

/// Gives each publication to `send` until the hub closes, the viewer goes, or `send` fails.
fn follow(ask: &Ask<'_>, watch: Watch, mut send: impl FnMut(&[u8]) -> bool) {
    let hub = &ask.context.hub;
    let mut seen = 0;
    while goes_on(ask) {
        if let Some(published) = hub.wait_bytes(watch, seen, POLL) {
            seen = published.version;
            if !send(&published.item) {
                return;
            }
        }
    }
}

/// True where the request asks to become a WebSocket.
pub fn wants_websocket(request: &Request) -> bool {
    header(request, "Upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}

/// Picture and scene of the same frame, over a WebSocket where one is asked for.
pub fn live(request: Request, ask: &Ask<'_>) {
    if wants_websocket(&request) { live_websocket(request, ask) } else { live_fetch(request, ask) }
}

/// Picture and scene over a WebSocket.
fn live_websocket(request: Request, ask: &Ask<'_>) {
    let Some(accept) = header(&request, "Sec-WebSocket-Key")
        .map(|key| tungstenite::handshake::derive_accept_key(key.as_bytes()))
        .and_then(|accept| tiny_http::Header::from_bytes("Sec-WebSocket-Accept", accept).ok())
    else {
        response::problem_with(400, "a WebSocket needs the header Sec-WebSocket-Key").send(request);
        return;
    };
    let viewer = match ask.context.hub.join(Watch::Live) {
        Ok(viewer) => viewer,
        Err(error) => {
            response::problem(&error).send(request);
            return;
        }
    };
    let stream = request.upgrade("websocket", Response::empty(101).with_header(accept));
    let mut socket = WebSocket::from_raw_socket(stream, Role::Server, None);
    follow(ask, Watch::Live, |bytes| socket.send(Message::binary(bytes.to_vec())).is_ok());
    // The viewer may be gone already.
    let _ = socket.close(None);
    drop(viewer);
}

/// Joins, writes the head and gives the writer to `body`.
fn stream(request: Request, hub: &Hub, watch: Watch, kind: &str, body: impl FnOnce(&mut dyn Write)) {
    match hub.join(watch) {
        Ok(_viewer) => {
            let mut writer = request.into_writer();
            if response::stream_head(&mut *writer, kind).is_ok() {
                body(&mut *writer);
            }
        }
        Err(error) => response::problem(&error).send(request),
    }
}

/// Picture and scene as a plain stream of the same messages, for browsers without a WebSocket.
fn live_fetch(request: Request, ask: &Ask<'_>) {
    stream(request, &ask.context.hub, Watch::Live, "application/octet-stream", |writer| {
        follow(ask, Watch::Live, |bytes| writer.write_all(bytes).and_then(|()| writer.flush()).is_ok());
    });
}

/// Pictures with the boxes drawn in, for `<img>` and video players.
pub fn mjpeg(request: Request, ask: &Ask<'_>) {
    let kind = format!("multipart/x-mixed-replace; boundary={BOUNDARY}");
    stream(request, &ask.context.hub, Watch::Mjpeg, &kind, |writer| {
        // The boundary goes out right after each picture: players show a part when the next one begins.
        let mut first = format!("--{BOUNDARY}\r\n");
        follow(ask, Watch::Mjpeg, |jpeg| {
            let opening = std::mem::take(&mut first);
            let head = format!("{opening}Content-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", jpeg.len());
            writer
                .write_all(head.as_bytes())
                .and_then(|()| writer.write_all(jpeg))
                .and_then(|()| write!(writer, "\r\n--{BOUNDARY}\r\n"))
                .and_then(|()| writer.flush())
                .is_ok()
        });
    });
}

/// Scenes as server-sent events; the event's id is the frame's number.
pub fn events(request: Request, ask: &Ask<'_>) {
    let hub = &ask.context.hub;
    stream(request, hub, Watch::Events, "text/event-stream", |writer| {
        let mut seen = None;
        let mut last = Instant::now();
        while goes_on(ask) {
            let sent = match hub.wait_scene(seen, POLL) {
                Some(scene) => {
                    let seq = scene.seq();
                    seen = Some(seq);
                    last = Instant::now();
                    write!(writer, "id: {seq}\nevent: scene\ndata: {}\n\n", scene.json())
                        .and_then(|()| writer.flush())
                }
                None if last.elapsed() >= KEEP_ALIVE => {
                    last = Instant::now();
                    writer.write_all(b": nothing new\n\n").and_then(|()| writer.flush())
                }
                None => Ok(()),
            };
            if sent.is_err() {
                return;
            }
        }
    });
}

/// The error of a long-poll that nothing came for.
pub fn nothing_yet() -> Error {
    Error::new(Kind::Busy, "no frame has been through the model yet; is the source giving pictures?")
}
