//! How many requests are served at once, all in all, of one class and of one peer, so that neither descriptors nor
//! threads run out, and the short requests of everybody are always served.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Requests served at once, streams included; each has a thread.
const REQUESTS: usize = 256;
/// Connections whose head has not come yet, or which are being closed; they have none.
const PENDING: usize = 128;

/// What keeps a request for long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Nothing: it is answered at once.
    Short = 0,
    /// A stream.
    Stream = 1,
    /// Waiting for a scene.
    LongPoll = 2,
    /// Receiving a body.
    Upload = 3,
}

/// How many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests at once.
    pub requests: usize,
    /// Connections at once that have sent no whole head yet, or are being closed.
    pub pending: usize,
    /// Requests at once of one peer. Loopback has no such limit: all that a camera's own web server or another
    /// proxy passes on comes from there.
    pub of_a_peer: usize,
    of_a_class: [usize; 4],
}

impl Limits {
    /// The limits where `free` descriptors are left: a third of them remains for all else that Spotter does.
    pub fn for_descriptors(free: usize) -> Self {
        let requests = (free / 7).clamp(6, REQUESTS);
        let pending = (free / 10).clamp(8, PENDING);
        // Together they leave an eighth to requests that are answered at once.
        let of_a_class = [requests, requests / 2, requests / 4, requests / 8].map(|most| most.max(1));
        Self { requests, pending, of_a_peer: (requests / 4).max(4), of_a_class }
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
struct Counts {
    requests: usize,
    of_a_class: [usize; 4],
    // Has no more entries than there are requests.
    peers: HashMap<IpAddr, usize>,
}

/// Counts the requests that are being served.
pub struct Admission {
    limits: Limits,
    counts: Mutex<Counts>,
}

impl Admission {
    /// Nothing is being served yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, counts: Mutex::default() }
    }

    /// How many there may be.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A permit for a request of `peer`; none where there are too many already, or too many of that class.
    pub fn admit(self: &Arc<Self>, peer: IpAddr, class: Class) -> Option<Permit> {
        let mut counts = self.lock();
        let of_peer = counts.peers.get(&peer).copied().unwrap_or(0);
        let full = counts.requests >= self.limits.requests
            || of_peer >= self.limits.of_a_peer && !peer.is_loopback()
            || counts.of_a_class[class as usize] >= self.limits.of_a_class[class as usize];
        if full {
            return None;
        }
        counts.requests += 1;
        counts.peers.insert(peer, of_peer + 1);
        counts.of_a_class[class as usize] += 1;
        Some(Permit { admission: self.clone(), peer, class })
    }
}

/// Leave to serve a request, given back when it is dropped.
pub struct Permit {
    admission: Arc<Admission>,
    peer: IpAddr,
    class: Class,
}

impl Permit {
    /// Whose request it is.
    pub fn peer(&self) -> IpAddr {
        self.peer
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.admission.lock();
        counts.requests -= 1;
        counts.of_a_class[self.class as usize] -= 1;
        if let Some(of_peer) = counts.peers.get_mut(&self.peer) {
            *of_peer -= 1;
            if *of_peer == 0 {
                counts.peers.remove(&self.peer);
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
            let admission = Arc::new(Admission::new(limits));
            let mut inside = Vec::new();
            for class in [Class::Stream, Class::LongPoll, Class::Upload] {
                let before = inside.len();
                while let Some(place) = admission.admit(HERE, class) {
                    inside.push(place);
                }
                assert!(inside.len() > before, "{class:?}");
            }
            assert!(inside.len() < limits.requests, "{limits:?}");
            // A request has one descriptor, and up to three files that it reads or writes.
            assert!(
                free < 50 || limits.requests * 4 + limits.pending <= free * 7 / 10,
                "{limits:?} of {free}"
            );
            while let Some(place) = admission.admit(HERE, Class::Short) {
                inside.push(place);
            }
            assert_eq!(inside.len(), limits.requests);
            inside.clear();
            let state = admission.lock();
            assert_eq!((state.requests, state.of_a_class, state.peers.len()), (0, [0; 4], 0));
        }
    }

    #[test]
    fn one_peer_does_not_fill_it() {
        let admission = Arc::new(Admission::new(Limits::for_descriptors(3000)));
        let of = |text: &str| peer(text.parse().unwrap());
        for (one, same) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.2", "::ffff:192.0.2.2"),
            ("2001:db8::1", "2001:db8::ffff:1"),
        ] {
            let mut inside = Vec::new();
            while let Some(place) = admission.admit(of(one), Class::Short) {
                inside.push(place);
            }
            assert_eq!(inside.len(), 64);
            assert!(admission.admit(of(same), Class::Short).is_none());
            assert!(admission.admit(of("192.0.2.3"), Class::Short).is_some());
            assert!(admission.admit(of("2001:db8:0:1::1"), Class::Short).is_some());
        }
        assert!(of("::1").is_loopback() && of("::ffff:127.0.0.1").is_loopback());
    }
}
