//! How much room there is: requests at once, all in all, of one sort and of one peer, so that neither descriptors
//! nor threads run out, and the short requests of everybody always find a place.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::request_head::Head;
use crate::web::router::parameter;

/// Requests served at once, streams included; each has threads.
const REQUESTS: usize = 256;
/// Connections whose head has not come yet; they have none.
const HEADS: usize = 128;

/// What keeps a request for long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// A stream.
    Stream = 0,
    /// Waiting for a scene.
    Wait = 1,
    /// Receiving a body.
    Body = 2,
}

impl Errand {
    /// What will keep a request with so many bytes of its body; none where it is answered at once.
    pub fn of(head: &Head, body: usize) -> Option<Self> {
        let (path, query) = head.path_and_query();
        if head.body_length.is_some_and(|length| length > body as u64) {
            return Some(Self::Body);
        }
        if ["/live", "/events", "/stream.mjpg"].iter().any(|end| path.ends_with(end)) {
            return Some(Self::Stream);
        }
        let waits = ["after", "timeout_ms"].iter().any(|name| parameter(query, name).is_some());
        waits.then_some(Self::Wait)
    }
}

/// How many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests at once.
    pub requests: usize,
    /// Connections at once that have sent no whole head yet.
    pub heads: usize,
    /// Requests at once of one peer. Loopback has no such limit: all that a camera's own web server or another
    /// proxy passes on comes from there.
    pub of_a_peer: usize,
    errands: [usize; 3],
}

impl Limits {
    /// The limits where `free` descriptors are left: a third of them remains for all else that Spotter does.
    pub fn for_descriptors(free: usize) -> Self {
        let requests = (free / 7).clamp(6, REQUESTS);
        let heads = (free / 10).clamp(8, HEADS);
        // Together they leave an eighth to requests that are answered at once.
        let errands = [requests / 2, requests / 4, requests / 8].map(|errand| errand.max(1));
        Self { requests, heads, of_a_peer: (requests / 4).max(4), errands }
    }
}

/// Who is counted as one: an address, of IPv6 the network that a household has.
pub fn peer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        other => other,
    }
}

#[derive(Default)]
struct State {
    requests: usize,
    errands: [usize; 3],
    // Has no more entries than there are requests.
    peers: HashMap<IpAddr, usize>,
}

/// Where requests are served.
pub struct Room {
    limits: Limits,
    state: Mutex<State>,
}

impl Room {
    /// An empty one.
    pub fn new(limits: Limits) -> Self {
        Self { limits, state: Mutex::default() }
    }

    /// How many there may be.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a request of `peer`; none where there is none left, or none for that errand.
    pub fn enter(self: &Arc<Self>, peer: IpAddr, errand: Option<Errand>) -> Option<Place> {
        let mut state = self.lock();
        let of_it = state.peers.get(&peer).copied().unwrap_or(0);
        let full = state.requests >= self.limits.requests
            || of_it >= self.limits.of_a_peer && !peer.is_loopback()
            || errand
                .is_some_and(|errand| state.errands[errand as usize] >= self.limits.errands[errand as usize]);
        if full {
            return None;
        }
        state.requests += 1;
        state.peers.insert(peer, of_it + 1);
        if let Some(errand) = errand {
            state.errands[errand as usize] += 1;
        }
        Some(Place { room: self.clone(), peer, errand })
    }
}

/// A request's place, for as long as it lives.
pub struct Place {
    room: Arc<Room>,
    peer: IpAddr,
    errand: Option<Errand>,
}

impl Place {
    /// Whose it is.
    pub fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Whether it is a stream's.
    pub fn is_stream(&self) -> bool {
        self.errand == Some(Errand::Stream)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.room.lock();
        state.requests -= 1;
        if let Some(errand) = self.errand {
            state.errands[errand as usize] -= 1;
        }
        if let Some(of_it) = state.peers.get_mut(&self.peer) {
            *of_it -= 1;
            if *of_it == 0 {
                state.peers.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn long_requests_leave_room_for_short_ones() {
        for free in [0, 20, 64, 100, 1000, 1 << 20] {
            let limits = Limits::for_descriptors(free);
            let room = Arc::new(Room::new(limits));
            let mut inside = Vec::new();
            for errand in [Errand::Stream, Errand::Wait, Errand::Body] {
                let before = inside.len();
                while let Some(place) = room.enter(HERE, Some(errand)) {
                    inside.push(place);
                }
                assert!(inside.len() > before, "{errand:?}");
            }
            assert!(inside.len() < limits.requests, "{limits:?}");
            // A request has four descriptors.
            assert!(free < 50 || limits.requests * 4 + limits.heads <= free * 7 / 10, "{limits:?} of {free}");
            while let Some(place) = room.enter(HERE, None) {
                inside.push(place);
            }
            assert_eq!(inside.len(), limits.requests);
            inside.clear();
            let state = room.lock();
            assert_eq!((state.requests, state.errands, state.peers.len()), (0, [0; 3], 0));
        }
    }

    #[test]
    fn one_peer_does_not_fill_it() {
        let room = Arc::new(Room::new(Limits::for_descriptors(3000)));
        let of = |text: &str| peer(text.parse().unwrap());
        for (one, same) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.2", "::ffff:192.0.2.2"),
            ("2001:db8::1", "2001:db8::ffff:1"),
        ] {
            let mut inside = Vec::new();
            while let Some(place) = room.enter(of(one), None) {
                inside.push(place);
            }
            assert_eq!(inside.len(), 64);
            assert!(room.enter(of(same), None).is_none());
            assert!(room.enter(of("192.0.2.3"), None).is_some());
            assert!(room.enter(of("2001:db8:0:1::1"), None).is_some());
        }
        assert!(of("::1").is_loopback() && of("::ffff:127.0.0.1").is_loopback());
    }
}
