//! Scenes as JSON lines in a file, written by a thread of its own, a new file begun where one is full.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::base::error::{Error, Kind, Result};
use crate::scene::Scene;

/// Scenes that may wait for a slow disk: half a minute at 30 a second.
const QUEUE: usize = 1024;
/// Lines reach the file at least this often.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);
/// Bytes that reach the file at once when lines come fast.
const BLOCK: usize = 64 * 1024;
/// Bytes of lines that wait while the file cannot be written; the oldest are lost first.
const WAITING_LIMIT: usize = 1 << 20;
/// How often a file that cannot be written is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Files that are kept: the one that is written, and full ones before it.
pub const FILES: usize = 3;
/// Bytes after which a file is full, unless the user says otherwise.
pub const DEFAULT_LIMIT: u64 = 100_000_000;

/// How the output is, for whoever asks.
#[derive(Debug, Default)]
pub struct Output {
    /// Lines in the file.
    pub written: AtomicU64,
    /// Lines that never came there.
    pub lost: AtomicU64,
    trouble: Mutex<Option<String>>,
}

impl Output {
    /// While the file cannot be written: why, and what that means.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// True where that is news.
    fn set_trouble(&self, trouble: Option<String>) -> bool {
        let mut current = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let news = current.is_some() != trouble.is_some();
        *current = trouble;
        news
    }
}

/// Writes one scene a line. Neither a slow nor a full disk holds anyone up.
pub struct JsonLines {
    path: PathBuf,
    sender: Option<SyncSender<Arc<Scene>>>,
    thread: Option<JoinHandle<()>>,
    output: Arc<Output>,
    skipped: bool,
}

impl JsonLines {
    /// Creates the file (an existing one is replaced) and the thread that writes it. Where it would grow beyond
    /// `limit` bytes, it becomes `FILE.1`, what was that `FILE.2`, and what was that is removed.
    ///
    /// # Errors
    /// `Kind::Output` where the file cannot be created.
    pub fn create(path: &Path, limit: u64) -> Result<Self> {
        let fail = |error: io::Error| {
            let message = format!("cannot write {}; check the folder and its permissions", path.display());
            Error::new(Kind::Output, message).caused_by(error)
        };
        let output = Arc::new(Output::default());
        let mut writer = Writer {
            file: LineFile::create(path, limit).map_err(fail)?,
            waiting: VecDeque::new(),
            bytes: 0,
            retry_at: None,
            output: output.clone(),
        };
        let (sender, receiver) = sync_channel::<Arc<Scene>>(QUEUE);
        let thread = std::thread::Builder::new()
            .name("output".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(fail)?;
        Ok(Self { path: path.to_owned(), sender: Some(sender), thread: Some(thread), output, skipped: false })
    }

    /// How the output is; goes on being told while this is used elsewhere.
    pub fn output(&self) -> Arc<Output> {
        self.output.clone()
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
            self.output.lost.fetch_add(1, Ordering::Relaxed);
            if !self.skipped {
                log::error!(
                    "{} cannot be written as fast as scenes come; some are left out",
                    self.path.display()
                );
            }
            self.skipped = true;
        }
    }

    /// Writes what is left and closes the file.
    ///
    /// # Errors
    /// `Kind::Output` where lines were lost.
    pub fn finish(mut self) -> Result<()> {
        self.sender = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            return Err(Error::new(Kind::Internal, "the output thread broke down"));
        }
        let lost = self.output.lost.load(Ordering::Relaxed);
        if lost > 0 {
            let message = format!("{lost} lines could not be written to {}", self.path.display());
            return Err(Error::new(Kind::Output, message));
        }
        Ok(())
    }
}

/// The output thread's work.
struct Writer {
    file: LineFile,
    /// Lines that are not in the file yet, oldest first.
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
    /// After a failure.
    retry_at: Option<Instant>,
    output: Arc<Output>,
}

impl Writer {
    fn run(&mut self, receiver: &Receiver<Arc<Scene>>) {
        let mut flushed = Instant::now();
        loop {
            match receiver.recv_timeout(FLUSH_INTERVAL) {
                Ok(scene) => self.add(&scene),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let now = Instant::now();
            let due = self.bytes >= BLOCK || now.duration_since(flushed) >= FLUSH_INTERVAL;
            if due && self.retry_at.is_none_or(|at| now >= at) {
                self.flush();
                flushed = now;
            }
        }
        self.flush();
        // Whoever reads the file later finds whole lines only, also where it cannot be written to the last.
        let _ = self.file.cut_back();
        self.output.lost.fetch_add(self.waiting.len() as u64, Ordering::Relaxed);
    }

    fn add(&mut self, scene: &Scene) {
        let line = format!("{}\n", scene.to_json()).into_bytes();
        self.bytes += line.len();
        self.waiting.push_back(line);
        while self.bytes > WAITING_LIMIT
            && let Some(oldest) = self.waiting.pop_front()
        {
            self.bytes -= oldest.len();
            self.output.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes what waits, in blocks of whole lines.
    fn flush(&mut self) {
        let mut block = Vec::new();
        while !self.waiting.is_empty() {
            block.clear();
            let lines = self.file.room_for(self.waiting.iter().map(Vec::len));
            self.waiting.iter().take(lines).for_each(|line| block.extend_from_slice(line));
            match self.file.append(&block) {
                Ok(()) => {
                    self.waiting.drain(..lines);
                    self.bytes -= block.len();
                    self.output.written.fetch_add(lines as u64, Ordering::Relaxed);
                }
                Err(error) => return self.failed(&error),
            }
        }
        self.retry_at = None;
        if self.output.set_trouble(None) {
            log::info!("{} can be written again", self.file.path.display());
        }
    }

    fn failed(&mut self, error: &io::Error) {
        self.retry_at = Some(Instant::now() + RETRY);
        let trouble = format!(
            "cannot write {} ({error}): scenes that find no room in memory meanwhile are lost; check the disk's space \
             and permissions",
            self.file.path.display()
        );
        if self.output.set_trouble(Some(trouble.clone())) {
            log::error!("{trouble}");
        }
    }
}

/// A file of whole lines that makes room for the next.
struct LineFile {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines in it.
    length: u64,
    limit: u64,
    /// Something may stand behind them that is no whole line.
    torn: bool,
    /// A device or a pipe has no end to cut off and no room to make.
    regular: bool,
}

/// `path` with its number behind it.
fn numbered(path: &Path, number: usize) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    name.into()
}

impl LineFile {
    fn create(path: &Path, limit: u64) -> io::Result<Self> {
        let file = File::create(path)?;
        let regular = file.metadata()?.is_file();
        Ok(Self { path: path.to_owned(), file, length: 0, limit, torn: false, regular })
    }

    fn is_full_with(&self, bytes: usize) -> bool {
        self.regular && self.length + bytes as u64 > self.limit
    }

    /// How many of these lines are written next: at least one, a block at most, no more than fit into the file.
    fn room_for(&self, lengths: impl Iterator<Item = usize>) -> usize {
        let (mut lines, mut bytes) = (0, 0);
        for length in lengths {
            bytes += length;
            // A first line that does not fit begins a new file; what follows it is measured there.
            if lines > 0 && (bytes > BLOCK || self.is_full_with(bytes)) {
                break;
            }
            lines += 1;
        }
        lines
    }

    /// Appends whole lines; none of them are there where this fails.
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.cut_back()?;
        if self.length > 0 && self.is_full_with(lines.len()) {
            self.rotate()?;
        }
        let result = self.file.write_all(lines);
        self.torn = result.is_err() && self.regular;
        match result {
            Ok(()) => self.length += lines.len() as u64,
            // At once: others read the file while the disk is full. What fails here is tried again before the next
            // write, and at the end.
            Err(_) => drop(self.cut_back()),
        }
        result
    }

    /// Takes away what stands behind the whole lines.
    fn cut_back(&mut self) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.length)?;
            self.file.seek(SeekFrom::Start(self.length))?;
            self.torn = false;
        }
        Ok(())
    }

    /// The file becomes number 1, that number 2; a new one is begun.
    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..FILES).rev() {
            let older = numbered(&self.path, number);
            let newer = if number == 1 { self.path.clone() } else { numbered(&self.path, number - 1) };
            match std::fs::rename(&newer, &older) {
                // Somebody may have taken one away.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.file = OpenOptions::new().write(true).create(true).truncate(true).open(&self.path)?;
        (self.length, self.torn) = (0, false);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::labels::Labels;
    use crate::vision::frame::{Frame, FrameLayout, OwnedPixels, PixelFormat};

    fn scene(seq: u64) -> Arc<Scene> {
        let pixels = OwnedPixels { planes: Vec::new() };
        let frame = Frame::now(seq, FrameLayout::new(PixelFormat::Gray8, 1, 1), Box::new(pixels));
        Arc::new(Scene::of(&frame, Arc::new(Labels::numbers(Some(1))), Arc::default()))
    }

    /// The frame numbers in a file of whole lines.
    fn numbers(path: &Path) -> Vec<u64> {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "the last line of {} is torn", path.display());
        let number =
            |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["frame"]["seq"].as_u64();
        text.lines().map(|line| number(line).unwrap()).collect()
    }

    #[test]
    fn every_scene_is_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scenes.jsonl");
        let mut lines = JsonLines::create(&path, DEFAULT_LIMIT).unwrap();
        let output = lines.output();
        for i in 0..3000 {
            lines.write(scene(i), true);
        }
        lines.finish().unwrap();
        assert_eq!(numbers(&path), (0..3000).collect::<Vec<_>>());
        assert_eq!((output.written.load(Ordering::Relaxed), output.trouble()), (3000, None));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn full_files_are_numbered_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scenes.jsonl");
        let limit = 20_000;
        let mut lines = JsonLines::create(&path, limit).unwrap();
        for i in 0..500 {
            lines.write(scene(i), true);
        }
        lines.finish().unwrap();
        let files = [numbered(&path, 2), numbered(&path, 1), path.clone()];
        let found: Vec<u64> = files.iter().flat_map(|file| numbers(file)).collect();
        // The newest ones without a gap.
        assert_eq!(found, (500 - found.len() as u64..500).collect::<Vec<_>>());
        for full in &files[..2] {
            let size = std::fs::metadata(full).unwrap().len();
            assert!((limit - 1000..=limit).contains(&size), "{size}");
        }
        assert!(std::fs::metadata(&path).unwrap().len() <= limit);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), FILES);
    }

    #[test]
    fn a_limit_below_a_line_gives_files_of_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scenes.jsonl");
        let mut lines = JsonLines::create(&path, 1).unwrap();
        (0..5).for_each(|i| lines.write(scene(i), true));
        lines.finish().unwrap();
        let files = [numbered(&path, 2), numbered(&path, 1), path];
        assert_eq!(files.map(|file| numbers(&file)), [[2], [3], [4]]);
    }

    #[test]
    fn a_full_disk_is_told_and_ends_nothing() {
        let path = Path::new("/dev/full");
        if !path.exists() {
            crate::said::skip("a full disk of --output: no /dev/full here");
            return;
        }
        let mut lines = JsonLines::create(path, DEFAULT_LIMIT).unwrap();
        let output = lines.output();
        for _ in 0..10 {
            lines.write(scene(0), true);
        }
        let begun = Instant::now();
        while output.trouble().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(20), "nobody was told");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(output.trouble().unwrap().starts_with("cannot write /dev/full ("), "{:?}", output.trouble());
        let error = lines.finish().unwrap_err();
        assert_eq!(error.kind(), Kind::Output);
        assert_eq!(error.to_string(), "10 lines could not be written to /dev/full");
    }

    #[test]
    fn after_trouble_lines_are_whole_and_those_that_waited_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scenes.jsonl");
        let mut file = LineFile::create(&path, 25).unwrap();
        file.append(b"one\ntwo\n").unwrap();
        // A disk that was full in the middle of a line, and could not even be cut back then.
        file.file.write_all(b"thr").unwrap();
        file.torn = true;
        file.append(b"three\nfour\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\nfour\n");
        // A folder in the way of the full file: nothing is written, nothing is lost.
        let in_the_way = numbered(&path, 1);
        std::fs::create_dir_all(in_the_way.join("inside")).unwrap();
        std::fs::write(numbered(&path, 2), "").unwrap();
        let output = Arc::new(Output::default());
        let mut writer =
            Writer { file, waiting: VecDeque::new(), bytes: 0, retry_at: None, output: output.clone() };
        writer.add(&scene(1));
        writer.flush();
        assert!(
            output.trouble().is_some_and(|text| text.contains("check the disk's space"))
                && writer.waiting.len() == 1
        );
        std::fs::remove_dir_all(&in_the_way).unwrap();
        writer.flush();
        assert_eq!((output.trouble(), numbers(&path)), (None, vec![1]));
        assert_eq!(std::fs::read_to_string(&in_the_way).unwrap(), "one\ntwo\nthree\nfour\n");
        assert_eq!(writer.bytes, 0);
    }

    #[test]
    fn what_waits_for_a_disk_is_bounded() {
        let output = Arc::new(Output::default());
        let folder = tempfile::tempdir().unwrap();
        let file = LineFile::create(&folder.path().join("a.jsonl"), DEFAULT_LIMIT).unwrap();
        let mut writer =
            Writer { file, waiting: VecDeque::new(), bytes: 0, retry_at: None, output: output.clone() };
        for i in 0..20_000 {
            writer.add(&scene(i));
        }
        assert!(writer.bytes <= WAITING_LIMIT && writer.bytes > WAITING_LIMIT - 1000, "{}", writer.bytes);
        assert_eq!(writer.waiting.iter().map(Vec::len).sum::<usize>(), writer.bytes);
        assert_eq!(output.lost.load(Ordering::Relaxed) as usize, 20_000 - writer.waiting.len());
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_sentence() {
        let error = JsonLines::create(Path::new("/nonexistent/a.jsonl"), DEFAULT_LIMIT).err().unwrap();
        assert!(error.to_string().starts_with("cannot write /nonexistent/a.jsonl; check"));
    }
}
