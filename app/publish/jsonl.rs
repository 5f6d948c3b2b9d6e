//! Scenes as JSON lines in a file, written by a thread of its own.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::scene::Scene;

/// Scenes that may wait for a slow disk: half a minute at 30 a second.
const QUEUE: usize = 1024;
/// Lines reach the file at least this often.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);

/// Writes one scene a line. Neither a slow nor a full disk holds anyone up.
pub struct JsonLines {
    path: PathBuf,
    sender: Option<SyncSender<Arc<Scene>>>,
    thread: Option<JoinHandle<u64>>,
    skipped: u64,
}

impl JsonLines {
    /// Creates the file (an existing one is replaced) and the thread that writes it.
    ///
    /// # Errors
    /// `Kind::Output` where the file cannot be created.
    pub fn create(path: &Path) -> Result<Self> {
        let fail = |error: std::io::Error| {
            let message = format!("cannot write {}; check the folder and its permissions", path.display());
            Error::new(Kind::Output, message).caused_by(error)
        };
        let file = File::create(path).map_err(fail)?;
        let (sender, receiver) = sync_channel::<Arc<Scene>>(QUEUE);
        let shown = path.to_owned();
        let thread = std::thread::Builder::new()
            .name("output".to_owned())
            .spawn(move || {
                let mut writer = BufWriter::new(file);
                let mut lost = 0;
                loop {
                    let result = match receiver.recv_timeout(FLUSH_INTERVAL) {
                        Ok(scene) => writeln!(writer, "{}", scene.to_json()),
                        Err(RecvTimeoutError::Timeout) => writer.flush(),
                        Err(RecvTimeoutError::Disconnected) => break,
                    };
                    if let Err(error) = result {
                        if lost == 0 {
                            log::error!(
                                "cannot write {}: {error}; its lines are lost until it works again",
                                shown.display()
                            );
                        }
                        lost += 1;
                    }
                }
                if let Err(error) = writer.flush() {
                    log::error!("cannot write {}: {error}", shown.display());
                    lost += 1;
                }
                lost
            })
            .map_err(fail)?;
        Ok(Self { path: path.to_owned(), sender: Some(sender), thread: Some(thread), skipped: 0 })
    }

    /// Hands a scene over without waiting. With `wait`, waits for room instead of leaving it out.
    pub fn write(&mut self, scene: Arc<Scene>, wait: bool) {
        let Some(sender) = &self.sender else { return };
        let lost = if wait {
            sender.send(scene).is_err()
        } else {
            matches!(sender.try_send(scene), Err(TrySendError::Full(_) | TrySendError::Disconnected(_)))
        };
        if lost {
            self.skipped += 1;
            if self.skipped == 1 {
                log::error!(
                    "{} cannot be written as fast as scenes come; some are left out",
                    self.path.display()
                );
            }
        }
    }

    /// Writes what is left and closes the file.
    ///
    /// # Errors
    /// `Kind::Output` where lines were lost.
    pub fn finish(mut self) -> Result<()> {
        self.sender = None;
        let lost = self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or(0) + self.skipped;
        if lost > 0 {
            let message = format!("{lost} lines could not be written to {}", self.path.display());
            return Err(Error::new(Kind::Output, message));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Frame, FrameLayout, OwnedPixels, PixelFormat};
    use crate::model::labels::Labels;

    fn scene(seq: u64) -> Arc<Scene> {
        let pixels = OwnedPixels { planes: Vec::new() };
        let frame = Frame::now(seq, FrameLayout::new(PixelFormat::Gray8, 1, 1), Box::new(pixels));
        Arc::new(Scene::of(&frame, Arc::new(Labels::numbers(Some(1)))))
    }

    #[test]
    fn every_scene_is_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scenes.jsonl");
        let mut lines = JsonLines::create(&path).unwrap();
        for i in 0..3000 {
            lines.write(scene(i), true);
        }
        lines.finish().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 3000);
        let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(last["frame"]["seq"], 2999);
    }

    #[test]
    fn a_full_disk_is_told_and_ends_nothing() {
        let path = Path::new("/dev/full");
        if !path.exists() {
            println!("skipped: no /dev/full here");
            return;
        }
        let mut lines = JsonLines::create(path).unwrap();
        for _ in 0..10 {
            lines.write(scene(0), true);
        }
        let error = lines.finish().unwrap_err();
        assert_eq!(error.kind(), Kind::Output);
        assert!(error.to_string().contains("could not be written to /dev/full"));
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_sentence() {
        let error = JsonLines::create(Path::new("/nonexistent/a.jsonl")).err().unwrap();
        assert!(error.to_string().starts_with("cannot write /nonexistent/a.jsonl; check"));
    }
}
