//! Where viewers meet: the newest of everything, once for all of them.
//!
//! A viewer waits for something newer than it has seen. There are no queues, so a slow viewer skips and
//! neither detection nor another viewer waits for it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::base::error::{Error, Kind, Result};
use crate::scene::Scene;

/// Streams of one sort that are served at once; each costs a thread.
pub const VIEWER_LIMIT: usize = 64;

/// What a viewer watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Picture and scene in one message (the page).
    Live = 0,
    /// Pictures with the boxes drawn in.
    Mjpeg = 1,
    /// Scenes alone.
    Events = 2,
    /// One picture as it is.
    Still = 3,
}

/// A publication and its number.
#[derive(Debug)]
pub struct Published<T: ?Sized> {
    /// Greater than that of everything published before.
    pub version: u64,
    pub item: Arc<T>,
}

impl<T: ?Sized> Clone for Published<T> {
    fn clone(&self) -> Self {
        Self { version: self.version, item: self.item.clone() }
    }
}

/// A scene whose JSON is made when somebody first asks for it, and then once for all.
pub struct PublishedScene {
    scene: Arc<Scene>,
    json: OnceLock<String>,
}

impl PublishedScene {
    /// The frame's number.
    pub fn seq(&self) -> u64 {
        self.scene.seq
    }

    /// The scene as JSON.
    pub fn json(&self) -> &str {
        self.json.get_or_init(|| self.scene.to_json().to_string())
    }
}

#[derive(Default)]
struct State {
    version: u64,
    scene: Option<Arc<PublishedScene>>,
    live: Option<Published<[u8]>>,
    mjpeg: Option<Published<[u8]>>,
    still: Option<Published<[u8]>>,
    closed: bool,
}

/// The newest of everything.
#[derive(Default)]
pub struct Hub {
    state: Mutex<State>,
    changed: Condvar,
    viewers: [AtomicUsize; 4],
}

/// Counts a viewer for as long as it lives.
pub struct Viewer<'a> {
    count: &'a AtomicUsize,
}

impl Drop for Viewer<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more viewer.
    ///
    /// # Errors
    /// `Kind::Busy` where there are too many already.
    pub fn join(&self, watch: Watch) -> Result<Viewer<'_>> {
        let count = &self.viewers[watch as usize];
        if count.fetch_add(1, Ordering::AcqRel) >= VIEWER_LIMIT {
            count.fetch_sub(1, Ordering::AcqRel);
            let message = format!("{VIEWER_LIMIT} viewers are watching already; close one and try again");
            return Err(Error::new(Kind::Busy, message));
        }
        Ok(Viewer { count })
    }

    /// How many watch.
    pub fn viewers(&self, watch: Watch) -> usize {
        self.viewers[watch as usize].load(Ordering::Acquire)
    }

    /// How many watch what, as JSON.
    pub fn viewers_json(&self) -> Value {
        json!({
            "live": self.viewers(Watch::Live),
            "mjpeg": self.viewers(Watch::Mjpeg),
            "events": self.viewers(Watch::Events),
        })
    }

    pub fn publish_scene(&self, scene: Arc<Scene>) -> Arc<PublishedScene> {
        let published = Arc::new(PublishedScene { scene, json: OnceLock::new() });
        self.lock().scene = Some(published.clone());
        self.changed.notify_all();
        published
    }

    /// Publishes a message for the page, or a picture for others.
    pub fn publish_bytes(&self, watch: Watch, bytes: Vec<u8>) {
        let mut state = self.lock();
        state.version += 1;
        let published = Some(Published { version: state.version, item: bytes.into() });
        match watch {
            Watch::Live => state.live = published,
            Watch::Mjpeg => state.mjpeg = published,
            Watch::Still => state.still = published,
            Watch::Events => {}
        }
        self.changed.notify_all();
    }

    /// The newest scene, where there is one.
    pub fn scene(&self) -> Option<Arc<PublishedScene>> {
        self.lock().scene.clone()
    }

    fn wait<T>(&self, time: Duration, mut find: impl FnMut(&State) -> Option<T>) -> Option<T> {
        let state = self.lock();
        let (state, _) = self
            .changed
            .wait_timeout_while(state, time, |state| !state.closed && find(state).is_none())
            .unwrap_or_else(PoisonError::into_inner);
        find(&state)
    }

    /// A scene of a later frame than `seq`, or of any frame (`None`), waiting for it up to `time`.
    pub fn wait_scene(&self, seq: Option<u64>, time: Duration) -> Option<Arc<PublishedScene>> {
        self.wait(time, |state| {
            state.scene.clone().filter(|published| seq.is_none_or(|seq| published.seq() > seq))
        })
    }

    /// Bytes published after version `seen`, waiting for them up to `time`.
    pub fn wait_bytes(&self, watch: Watch, seen: u64, time: Duration) -> Option<Published<[u8]>> {
        self.wait(time, |state| {
            let published = match watch {
                Watch::Live => state.live.as_ref(),
                Watch::Mjpeg => state.mjpeg.as_ref(),
                Watch::Still => state.still.as_ref(),
                Watch::Events => None,
            };
            published.filter(|published| published.version > seen).cloned()
        })
    }

    /// Forgets pictures that nobody watches any more, so that a later viewer does not get an old one.
    pub fn forget_unwatched(&self) {
        let mut state = self.lock();
        if self.viewers(Watch::Live) == 0 {
            state.live = None;
        }
        if self.viewers(Watch::Mjpeg) == 0 {
            state.mjpeg = None;
        }
        if self.viewers(Watch::Still) == 0 {
            state.still = None;
        }
    }

    /// No more publications: wakes everyone who waits.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::model::labels::Labels;
    use crate::vision::frame::{Frame, FrameLayout, OwnedPixels, PixelFormat};

    const SHORT: Duration = Duration::from_millis(5);

    fn scene(seq: u64) -> Arc<Scene> {
        let pixels = OwnedPixels { planes: Vec::new() };
        let frame = Frame::now(seq, FrameLayout::new(PixelFormat::Gray8, 1, 1), Box::new(pixels));
        Arc::new(Scene::of(&frame, Arc::new(Labels::numbers(Some(1))), Arc::default()))
    }

    #[test]
    fn a_viewer_gets_the_newest_once() {
        let hub = Hub::default();
        assert!(hub.wait_bytes(Watch::Live, 0, SHORT).is_none());
        hub.publish_bytes(Watch::Live, vec![1]);
        hub.publish_bytes(Watch::Live, vec![2]);
        let got = hub.wait_bytes(Watch::Live, 0, SHORT).unwrap();
        assert_eq!(&*got.item, [2]);
        assert!(hub.wait_bytes(Watch::Live, got.version, SHORT).is_none());
        assert!(hub.wait_bytes(Watch::Mjpeg, 0, SHORT).is_none());
    }

    #[test]
    fn scenes_are_waited_for_by_frame_number() {
        let hub = Hub::default();
        hub.publish_scene(scene(7));
        assert_eq!(hub.wait_scene(None, SHORT).unwrap().seq(), 7);
        assert_eq!(hub.wait_scene(Some(6), SHORT).unwrap().seq(), 7);
        assert!(hub.wait_scene(Some(7), SHORT).is_none());
        assert!(hub.scene().unwrap().json().contains("\"seq\":7"));
    }

    #[test]
    fn viewers_are_counted_and_limited() {
        let hub = Hub::default();
        let viewers: Vec<_> = (0..VIEWER_LIMIT).map(|_| hub.join(Watch::Live).unwrap()).collect();
        assert_eq!(hub.join(Watch::Live).err().unwrap().kind(), Kind::Busy);
        assert_eq!(hub.viewers(Watch::Live), VIEWER_LIMIT);
        assert!(hub.join(Watch::Mjpeg).is_ok());
        drop(viewers);
        assert_eq!(hub.viewers(Watch::Live), 0);
    }

    #[test]
    fn a_late_viewer_gets_no_old_picture() {
        let hub = Hub::default();
        let viewer = hub.join(Watch::Live).unwrap();
        hub.publish_bytes(Watch::Live, vec![1]);
        hub.forget_unwatched();
        assert!(hub.wait_bytes(Watch::Live, 0, SHORT).is_some());
        drop(viewer);
        hub.forget_unwatched();
        assert!(hub.wait_bytes(Watch::Live, 0, SHORT).is_none());
    }

    #[test]
    fn closing_wakes_who_waits() {
        let hub = Arc::new(Hub::default());
        let waiter = {
            let hub = hub.clone();
            std::thread::spawn(move || hub.wait_scene(None, Duration::from_secs(60)))
        };
        hub.close();
        assert!(waiter.join().unwrap().is_none());
    }
}
