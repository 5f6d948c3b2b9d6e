//! The joint between two threads: holds the newest item, never a queue.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// What [`Slot::take`] gives.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken<T> {
    /// The newest item.
    Item(T),
    /// None came in the time given.
    Nothing,
    /// The slot is closed and empty: none will come.
    Closed,
}

struct State<T> {
    item: Option<T>,
    closed: bool,
}

/// Holds at most one item. A newer one replaces it, or waits for it to be taken.
pub struct Slot<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { state: Mutex::new(State { item: None, closed: false }), changed: Condvar::new() }
    }
}

impl<T> Slot<T> {
    /// Puts an item in; gives back the one it replaces, which nobody took. A closed slot gives back the
    /// item itself.
    pub fn replace(&self, item: T) -> Option<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return Some(item);
        }
        let replaced = state.item.replace(item);
        self.changed.notify_all();
        replaced
    }

    /// Puts an item in once the one before it was taken. Gives it back where the slot is closed.
    pub fn put(&self, item: T) -> Option<T> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self
            .changed
            .wait_while(state, |state| state.item.is_some() && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return Some(item);
        }
        state.item = Some(item);
        self.changed.notify_all();
        None
    }

    /// Takes the item, waiting for one up to `time`.
    pub fn take(&self, time: Duration) -> Taken<T> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, time, |state| state.item.is_none() && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        match state.item.take() {
            Some(item) => {
                self.changed.notify_all();
                Taken::Item(item)
            }
            None if state.closed => Taken::Closed,
            None => Taken::Nothing,
        }
    }

    /// Waits up to `time` until there is an item, which stays, or the slot is closed, or `met` says so: it is asked again
    /// at each [`Slot::ring`].
    pub fn wait(&self, time: Duration, mut met: impl FnMut() -> bool) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Neither what is inside nor how long it took tells the caller more than a look afterwards.
        drop(
            self.changed
                .wait_timeout_while(state, time, |state| state.item.is_none() && !state.closed && !met()),
        );
    }

    /// Waits up to `time` until `met` says so, which is asked again at each [`Slot::ring`], or the slot is closed.
    pub fn wait_for(&self, time: Duration, mut met: impl FnMut() -> bool) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_timeout_while(state, time, |state| !state.closed && !met()));
    }

    /// Wakes those who wait for something else too, in [`Slot::wait`].
    pub fn ring(&self) {
        // With the lock: whoever has looked and not yet waits would miss it.
        let _state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.changed.notify_all();
    }

    /// No more items; the one inside can still be taken.
    pub fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn the_newest_wins_and_the_old_one_comes_back() {
        let slot = Slot::default();
        assert_eq!(slot.replace(1), None);
        assert_eq!(slot.replace(2), Some(1));
        assert_eq!(slot.take(Duration::ZERO), Taken::Item(2));
        assert_eq!(slot.take(Duration::from_millis(1)), Taken::Nothing);
    }

    #[test]
    fn put_loses_nothing() {
        let slot = Arc::new(Slot::default());
        let producer = {
            let slot = slot.clone();
            std::thread::spawn(move || {
                for i in 0..1000 {
                    assert_eq!(slot.put(i), None);
                }
                slot.close();
            })
        };
        let mut seen = Vec::new();
        while let Taken::Item(i) = slot.take(Duration::from_secs(10)) {
            seen.push(i);
        }
        producer.join().unwrap();
        assert_eq!(seen, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn closing_frees_a_waiting_producer_but_keeps_the_item() {
        let slot = Arc::new(Slot::default());
        slot.put(1);
        let producer = {
            let slot = slot.clone();
            std::thread::spawn(move || slot.put(2))
        };
        std::thread::sleep(Duration::from_millis(20));
        slot.close();
        assert_eq!(producer.join().unwrap(), Some(2));
        assert_eq!(slot.take(Duration::ZERO), Taken::Item(1));
        assert_eq!(slot.take(Duration::ZERO), Taken::Closed);
        assert_eq!(slot.replace(3), Some(3));
    }
}
