//! Streams to viewers: each has a thread, waits for the newest publication and skips what it was too slow
//! for. A viewer that takes nothing for some seconds is let go.

use std::io::Write;
use std::time::{Duration, Instant};

use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

use crate::base::error::{Error, Kind, Result};
use crate::publish::hub::Watch;
use crate::web::handler::RequestContext;
use crate::web::http::response;

/// How long a stream, or another request that waits, sleeps when nothing is published.
const POLL: Duration = Duration::from_millis(500);
/// A stream that is silent for so long sends a sign of life, which also finds out whether anyone is there.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// The text between two pictures of an MJPEG stream.
const BOUNDARY: &str = "spotter-frame";

/// Whether there is something to wait for, and somebody who does.
fn goes_on(request: &RequestContext<'_>) -> bool {
    !request.context.hub.is_closed() && !request.client.has_gone()
}

/// What `wait` gives in a time that it is told, waiting up to `time` in all, or until the client has gone.
pub fn wait_while_wanted<T>(
    request: &RequestContext<'_>,
    time: Duration,
    wait: impl Fn(Duration) -> Option<T>,
) -> Option<T> {
    let until = Instant::now() + time;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let found = wait(left.min(POLL));
        if found.is_some() || left <= POLL || !goes_on(request) {
            return found;
        }
    }
}

/// Gives each publication to `send` until the hub closes, the viewer goes, or `send` fails.
fn follow(request: &RequestContext<'_>, watch: Watch, mut send: impl FnMut(&[u8]) -> std::io::Result<()>) {
    let hub = &request.context.hub;
    let mut seen = 0;
    while goes_on(request) {
        if let Some(published) = hub.wait_bytes(watch, seen, POLL) {
            seen = published.version;
            if send(&published.item).is_err() {
                return;
            }
        }
    }
}

/// Picture and scene of the same frame, over a WebSocket where one is asked for.
pub fn live(request: &RequestContext<'_>) -> Result<()> {
    if request.head.wants_websocket() { live_websocket(request) } else { live_fetch(request) }
}

/// Picture and scene over a WebSocket.
fn live_websocket(request: &RequestContext<'_>) -> Result<()> {
    let key = request.head.header("Sec-WebSocket-Key");
    let key = key.ok_or_else(|| Error::new(Kind::Usage, "a WebSocket needs the header Sec-WebSocket-Key"))?;
    let _viewer = request.context.hub.join(Watch::Live)?;
    let mut writer = request.client.writer();
    let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
    if response::websocket_head(&mut writer, &accept).is_ok() {
        let mut socket = WebSocket::from_raw_socket(writer, Role::Server, None);
        let failed = |_| std::io::ErrorKind::BrokenPipe.into();
        follow(request, Watch::Live, |bytes| socket.send(Message::binary(bytes.to_vec())).map_err(failed));
        // The viewer may be gone already.
        let _ = socket.close(None);
    }
    Ok(())
}

/// Joins, writes the head and gives the writer to `body`.
fn stream(
    request: &RequestContext<'_>,
    watch: Watch,
    kind: &str,
    body: impl FnOnce(&mut dyn Write),
) -> Result<()> {
    let _viewer = request.context.hub.join(watch)?;
    let mut writer = request.client.writer();
    if response::stream_head(&mut writer, kind).is_ok() {
        body(&mut writer);
    }
    Ok(())
}

/// Picture and scene as a plain stream of the same messages, for browsers without a WebSocket.
fn live_fetch(request: &RequestContext<'_>) -> Result<()> {
    stream(request, Watch::Live, "application/octet-stream", |writer| {
        follow(request, Watch::Live, |bytes| writer.write_all(bytes));
    })
}

/// Pictures with the boxes drawn in, for `<img>` and video players.
pub fn mjpeg(request: &RequestContext<'_>) -> Result<()> {
    let kind = format!("multipart/x-mixed-replace; boundary={BOUNDARY}");
    stream(request, Watch::Mjpeg, &kind, |writer| {
        // The boundary goes out right after each picture: players show a part when the next one begins.
        let mut first = format!("--{BOUNDARY}\r\n");
        follow(request, Watch::Mjpeg, |jpeg| {
            let opening = std::mem::take(&mut first);
            let head = format!("{opening}Content-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", jpeg.len());
            writer
                .write_all(head.as_bytes())
                .and_then(|()| writer.write_all(jpeg))
                .and_then(|()| writer.write_all(format!("\r\n--{BOUNDARY}\r\n").as_bytes()))
        });
    })
}

/// Scenes as server-sent events; the event's id is the frame's number.
pub fn events(request: &RequestContext<'_>) -> Result<()> {
    let hub = &request.context.hub;
    stream(request, Watch::Events, "text/event-stream", |writer| {
        let mut seen = None;
        let mut last = Instant::now();
        while goes_on(request) {
            let sent = match hub.wait_scene(seen, POLL) {
                Some(scene) => {
                    let seq = scene.seq();
                    seen = Some(seq);
                    last = Instant::now();
                    writer
                        .write_all(format!("id: {seq}\nevent: scene\ndata: {}\n\n", scene.json()).as_bytes())
                }
                None if last.elapsed() >= KEEP_ALIVE => {
                    last = Instant::now();
                    writer.write_all(b": nothing new\n\n")
                }
                None => Ok(()),
            };
            if sent.is_err() {
                return;
            }
        }
    })
}

/// The error of a long-poll that nothing came for.
pub fn nothing_yet() -> Error {
    Error::new(Kind::Busy, "no frame has been through the model yet; is the source giving pictures?")
}
