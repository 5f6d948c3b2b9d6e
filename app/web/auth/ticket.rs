//! Tickets for WebSockets. A script may open one to any site, with the visitor's passwords, and no header of its own can go
//! with it. What it cannot do is read what another site answers: so Spotter's own page fetches a ticket first.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::model::catalogue::hex;

/// A ticket is good for so long, once.
pub const GOOD_FOR: Duration = Duration::from_secs(30);
/// More at once than pages that open at once.
const MOST: usize = 256;
/// Bytes that nobody can guess.
const BYTES: usize = 16;

/// The tickets that were given out.
#[derive(Default)]
pub struct Tickets {
    // From old to young.
    given: Mutex<VecDeque<(String, Instant)>>,
}

impl Tickets {
    /// A new one.
    ///
    /// # Errors
    /// Where the system gives no random numbers.
    pub fn give(&self, now: Instant) -> io::Result<String> {
        let mut bytes = [0; BYTES];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        let ticket = hex(&bytes);
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        if given.len() >= MOST {
            given.pop_front();
        }
        given.push_back((ticket.clone(), now));
        Ok(ticket)
    }

    /// Whether it is one; from then on it is none.
    pub fn take(&self, ticket: &str, now: Instant) -> bool {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.retain(|(_, since)| now.saturating_duration_since(*since) < GOOD_FOR);
        let found = given.iter().position(|(known, _)| known == ticket);
        found.and_then(|at| given.remove(at)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_once_and_not_for_long() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        let [first, second] = [(); 2].map(|()| tickets.give(now).unwrap());
        assert!(first != second && first.len() == 2 * BYTES);
        for wrong in ["", "0", &first.to_uppercase().replace(char::is_alphabetic, "g")] {
            assert!(!tickets.take(wrong, now), "{wrong}");
        }
        assert!(tickets.take(&first, now + Duration::from_secs(29)));
        assert!(!tickets.take(&first, now));
        assert!(!tickets.take(&second, now + GOOD_FOR));
    }

    #[test]
    fn many_tickets_take_no_more_room() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        let all: Vec<String> = (0..=MOST).map(|_| tickets.give(now).unwrap()).collect();
        assert!(!tickets.take(&all[0], now) && tickets.take(&all[1], now) && tickets.take(&all[MOST], now));
    }
}
