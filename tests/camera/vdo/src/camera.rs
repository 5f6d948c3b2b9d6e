//! The camera: what it can, what is wrong with it, and its sensor's thread.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use crate::os::{self, Os};
use crate::picture::{Picture, Source};
use crate::stream::Stream;

/// Frames that the sensor gives a second where nobody says.
const RATE: u64 = 30;

/// Which processor the camera has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chip {
    Artpec7,
    Artpec8,
    Artpec9,
    Cv25,
}

/// What is wrong at the moment.
#[derive(Debug, Default)]
pub struct Faults {
    pub no_data: bool,
    pub stall: bool,
    pub interface_down: bool,
    pub busy: bool,
    pub no_jpeg: bool,
    /// The input that is no longer there; 0 where all are.
    pub gone: u32,
    pub no_rgb: bool,
    pub no_sizes: Vec<(u32, u32)>,
    pub max_rate: Option<u32>,
    pub max_streams: Option<u32>,
    pub rotation: u32,
    pub late_jpeg: Duration,
}

/// What has been counted.
#[derive(Debug, Default)]
pub struct Counts {
    pub made: u64,
    pub given: u64,
    pub returned: u64,
    pub starved: u64,
}

pub struct Camera {
    pub chip: Chip,
    pub size: (u32, u32),
    pub rate: u64,
    pub memory: String,
    pub pitch: usize,
    /// How many sensors it has.
    pub sensors: u32,
    pub os: Os,
    /// Whether a setting that the version does not know is refused.
    pub refuses: bool,
    /// Whether a picture with bars lies in the middle of them.
    pub centred: bool,
    folder: Option<PathBuf>,
    streams: Mutex<Vec<Weak<Stream>>>,
    counts: Mutex<Counts>,
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Microseconds of the monotonic clock.
pub fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1000
}

/// When frame `number` is captured, on that clock.
pub fn time_of(number: u64, rate: u64) -> u64 {
    number * 1_000_000 / rate
}

fn size_of(text: &str) -> Option<(u32, u32)> {
    let (width, height) = text.split_once('x')?;
    Some((width.parse().ok()?, height.parse().ok()?))
}

/// The camera of this process.
pub fn camera() -> &'static Camera {
    static CAMERA: OnceLock<Camera> = OnceLock::new();
    static SENSOR: OnceLock<()> = OnceLock::new();
    let camera = CAMERA.get_or_init(|| {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let chip = match variable("SPOTTER_SIM_CHIP").as_deref() {
            Some("artpec7") => Chip::Artpec7,
            Some("artpec9") => Chip::Artpec9,
            Some("cv25") => Chip::Cv25,
            _ => Chip::Artpec8,
        };
        let size = variable("SPOTTER_SIM_SIZE").and_then(|text| size_of(&text));
        Camera {
            chip,
            size: size.unwrap_or((1280, 720)),
            rate: variable("SPOTTER_SIM_RATE").and_then(|text| text.parse().ok()).unwrap_or(RATE).max(1),
            memory: variable("SPOTTER_SIM_MEMORY").unwrap_or_else(|| "memfd".to_owned()),
            pitch: variable("SPOTTER_SIM_PITCH").and_then(|text| text.parse().ok()).unwrap_or(64).max(1),
            sensors: variable("SPOTTER_SIM_SENSORS").and_then(|text| text.parse().ok()).unwrap_or(1).max(1),
            os: variable("SPOTTER_SIM_OS").and_then(|text| Os::parse(&text)).unwrap_or(os::DEFAULT),
            refuses: variable("SPOTTER_SIM_UNKNOWN").is_some_and(|text| text == "refuse"),
            centred: variable("SPOTTER_SIM_BARS").is_none_or(|text| text != "below"),
            folder: variable("SPOTTER_SIM_DIR").map(PathBuf::from),
            streams: Mutex::default(),
            counts: Mutex::default(),
        }
    });
    SENSOR.get_or_init(|| {
        let thread = std::thread::Builder::new().name("sim-sensor".to_owned());
        if let Err(error) = thread.spawn(|| sensor(camera)) {
            eprintln!("simulated camera: no thread: {error}");
        }
    });
    camera
}

impl Camera {
    pub fn faults(&self) -> Faults {
        let mut faults = Faults::default();
        let Some(folder) = &self.folder else { return faults };
        let text = std::fs::read_to_string(folder.join("faults")).unwrap_or_default();
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = || words.get(2).and_then(|word| word.parse::<u32>().ok()).unwrap_or_default();
            match words.get(..2) {
                Some(["vdo", "no-data"]) => faults.no_data = true,
                Some(["vdo", "stall"]) => faults.stall = true,
                Some(["vdo", "interface-down"]) => faults.interface_down = true,
                Some(["vdo", "busy"]) => faults.busy = true,
                Some(["vdo", "no-rgb"]) => faults.no_rgb = true,
                Some(["vdo", "no-size"]) => {
                    faults.no_sizes.extend(words.get(2).and_then(|word| size_of(word)));
                }
                Some(["vdo", "max-rate"]) => faults.max_rate = Some(number()),
                Some(["vdo", "max-streams"]) => faults.max_streams = Some(number()),
                Some(["vdo", "no-jpeg"]) => faults.no_jpeg = true,
                Some(["vdo", "gone"]) => faults.gone = number(),
                Some(["vdo", "rotation"]) => faults.rotation = number(),
                Some(["vdo", "late-jpeg"]) => faults.late_jpeg = Duration::from_millis(number().into()),
                _ => {}
            }
        }
        faults
    }

    /// The input behind a description: "The description map must contain exactly one \[of\] the following keys: view,
    /// warp, input, channel". Channel 0 is an overview, which here is the first sensor's; view areas are not simulated,
    /// so that from 1 on a channel is the input of its number.
    pub fn input(&self, input: Option<u32>, channel: Option<u32>) -> Option<u32> {
        let number = match (input, channel) {
            (Some(number @ 1..), None) | (None, Some(number)) => number.max(1),
            _ => return None,
        };
        self.inputs().contains(&number).then_some(number)
    }

    /// The numbers of the inputs that are there.
    pub fn inputs(&self) -> Vec<u32> {
        let gone = self.faults().gone;
        (1..=self.sensors).filter(|number| *number != gone).collect()
    }

    pub fn add(&self, stream: &Arc<Stream>) {
        lock(&self.streams).push(Arc::downgrade(stream));
        self.count(|counts| counts.made += 1);
    }

    pub fn streams(&self) -> Vec<Arc<Stream>> {
        let mut streams = lock(&self.streams);
        streams.retain(|stream| stream.strong_count() > 0);
        streams.iter().filter_map(Weak::upgrade).collect()
    }

    pub fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut lock(&self.counts));
    }

    /// Writes what was counted, whole or not at all.
    fn report(&self) {
        let Some(folder) = &self.folder else { return };
        let streams = self.streams();
        let rates: Vec<String> = streams.iter().map(|stream| format!("{}", stream.rate())).collect();
        let Counts { made, given, returned, starved } = *lock(&self.counts);
        let text = format!(
            "{{\"streams\":{},\"rates\":[{}],\"made\":{made},\"given\":{given},\"returned\":{returned},\"starved\":{starved}}}\n",
            streams.len(),
            rates.join(","),
        );
        let new = folder.join("vdo.json.new");
        if std::fs::write(&new, text).is_ok() {
            let _ = std::fs::rename(new, folder.join("vdo.json"));
        }
    }
}

/// Gives a frame each thirtieth of a second to all streams.
fn sensor(camera: &'static Camera) {
    let mut picture = Picture::new(camera.size.0 as usize, camera.size.1 as usize);
    let mut source = Source::of_environment(&picture);
    let mut number = now() * camera.rate / 1_000_000 + 1;
    loop {
        let due = time_of(number, camera.rate);
        let wait = due.saturating_sub(now());
        std::thread::sleep(Duration::from_micros(wait));
        if number.is_multiple_of(3) {
            camera.report();
        }
        let faults = camera.faults();
        let streams = camera.streams();
        for stream in &streams {
            stream.deliver_late();
        }
        if !faults.stall && streams.iter().any(|stream| stream.wants(number)) {
            source.next(number, &mut picture);
            for stream in streams.iter().filter(|stream| stream.wants(number)) {
                stream.offer(number, &picture, &faults);
            }
        }
        for stream in &streams {
            stream.wake_if_down(&faults);
        }
        // A machine that is too slow leaves frames out, for all streams alike.
        number = (number + 1).max(now() * camera.rate / 1_000_000);
    }
}
