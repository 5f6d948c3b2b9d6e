//! Pictures of many scenes, as a model sees them.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::available_parallelism;
use std::time::Duration;

use super::args::DemoArgs;
use super::coco::{Truth, unwritten};
use crate::base::atomic_file::Part;
use crate::base::clock::Stop;
use crate::base::error::{Error, Kind, Result};
use crate::capture::demo::{frame, spec::SIZE};
use crate::cli::answers::Progress;
use crate::cli::signals::stop_on_signals;
use crate::demo::random::Random;
use crate::demo::{Demo, SCENE_SECONDS, TrueBox};
use crate::preprocess::Preprocessor;
use crate::vision::geometry::Fit;
use crate::vision::tensor::{DataType, TensorInfo};

/// How many pictures there are where nobody says.
const FRAMES: u32 = 1000;
/// Pictures that each thread draws ahead.
const AHEAD: usize = 4;

/// A picture, and what is in it.
struct Drawn {
    time: Duration,
    pixels: Vec<u8>,
    truths: Vec<TrueBox>,
}

/// When picture `index` is: at some moment of scene `index`.
fn moment(seed: u64, index: u64) -> Duration {
    let scene = Duration::from_secs(SCENE_SECONDS);
    let within = f64::from(Random::of(&[seed, index]).unit());
    Duration::from_secs(SCENE_SECONDS * index) + scene.mul_f64(within)
}

/// Draws pictures of a seed and makes a model's input of them.
struct Painter {
    seed: u64,
    demo: Demo,
    scaler: Preprocessor,
}

impl Painter {
    fn new(seed: u64, (width, height): (u32, u32), fit: Fit) -> Result<Self> {
        let input = TensorInfo {
            name: "picture".to_owned(),
            shape: vec![1, height as usize, width as usize, 3],
            dtype: DataType::U8,
            quantisation: None,
        };
        Ok(Self { seed, demo: Demo::new(seed, SIZE.0, SIZE.1), scaler: Preprocessor::new(&input, fit)? })
    }

    fn draw(&mut self, index: u64) -> Result<Drawn> {
        let time = moment(self.seed, index);
        let mut pixels = vec![0; self.scaler.tensor_bytes()];
        self.scaler.run(&frame(&mut self.demo, time), &mut pixels)?;
        Ok(Drawn { time, pixels, truths: self.demo.truths().to_vec() })
    }
}

/// Writes the pictures and their truth; both or, where it fails or is stopped, neither.
///
/// # Errors
/// [`Kind::Output`] where they cannot be written or a signal comes.
pub(super) fn write(args: &DemoArgs, folder: &Path) -> Result<()> {
    let stop = Stop::new();
    stop_on_signals(&stop)?;
    let (images, truths) = (folder.join("images.u8"), folder.join("truth.json"));
    let failed = |error| unwritten(&images, error);
    let part = Part::new(&images).map_err(failed)?;
    let mut file = BufWriter::new(File::create(part.path()).map_err(failed)?);
    let mut truth = Truth::new(args.seed);
    let mut progress = Progress::new(frames(args) as usize);
    let threads = available_parallelism().map_or(1, usize::from);
    paint(args, threads, |index, drawn| {
        if stop.is_set() {
            return Err(Error::new(Kind::Output, "stopped by a signal; nothing was written"));
        }
        progress.at(index);
        truth.add(SIZE, drawn.time, &drawn.truths);
        file.write_all(&drawn.pixels).map_err(failed)
    })?;
    file.into_inner().map_err(|error| failed(error.into_error()))?;
    let truth_part = truth.part(&truths)?;
    part.place().map_err(failed)?;
    truth_part.place().map_err(|error| unwritten(&truths, error))?;
    drop(progress);
    log::info!("{} pictures in {}", truth.pictures(), folder.display());
    Ok(())
}

fn frames(args: &DemoArgs) -> u32 {
    args.frames.unwrap_or(FRAMES)
}

/// Draws all pictures on so many threads and gives them to `each` in their order, the same for any number
/// of threads.
fn paint(args: &DemoArgs, threads: usize, mut each: impl FnMut(usize, Drawn) -> Result<()>) -> Result<()> {
    let (size, fit, frames) = (args.size.unwrap_or(SIZE), args.fit.unwrap_or(Fit::Stretch), frames(args));
    std::thread::scope(|scope| {
        let mut painters: Vec<Receiver<Result<Drawn>>> = Vec::new();
        for first in 0..threads as u64 {
            let (sender, receiver) = sync_channel(AHEAD);
            let mut painter = Painter::new(args.seed, size, fit)?;
            std::thread::Builder::new()
                .name("painter".to_owned())
                .spawn_scoped(scope, move || {
                    for index in (first..u64::from(frames)).step_by(threads) {
                        // Whoever takes the pictures has stopped at an error.
                        if sender.send(painter.draw(index)).is_err() {
                            return;
                        }
                    }
                })
                .map_err(|error| {
                    Error::new(Kind::Internal, "cannot start a thread that draws").caused_by(error)
                })?;
            painters.push(receiver);
        }
        for index in 0..frames as usize {
            let drawn = painters[index % threads].recv();
            each(index, drawn.map_err(|_| Error::new(Kind::Internal, "a thread that draws has ended"))??)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(seed: u64, fit: Fit) -> DemoArgs {
        DemoArgs {
            save: None,
            truth: None,
            seconds: None,
            fps: None,
            dataset: None,
            frames: Some(7),
            fit: Some(fit),
            size: Some((96, 64)),
            seed,
        }
    }

    fn painted(args: &DemoArgs, threads: usize) -> Vec<Drawn> {
        let mut all = Vec::new();
        let each = |index, drawn| {
            assert_eq!(index, all.len());
            all.push(drawn);
            Ok(())
        };
        paint(args, threads, each).unwrap();
        all
    }

    #[test]
    fn pictures_are_the_same_on_any_number_of_threads() {
        let args = args(5, Fit::Stretch);
        let one = painted(&args, 1);
        for threads in [2, 3, 9] {
            for (one, other) in one.iter().zip(painted(&args, threads)) {
                assert!(one.time == other.time && one.pixels == other.pixels && one.truths == other.truths);
            }
        }
        assert_eq!((one.len(), one[0].pixels.len()), (7, 96 * 64 * 3));
    }

    #[test]
    fn each_picture_is_of_another_scene_and_follows_from_the_seed() {
        for index in 0..1000 {
            let time = moment(3, index);
            assert_eq!(time.as_secs() / SCENE_SECONDS, index, "{time:?}");
            assert_ne!(time, moment(4, index));
        }
    }

    #[test]
    fn a_letterbox_has_bars_and_the_error_of_a_taker_ends_all() {
        let boxed = painted(&args(5, Fit::Letterbox), 2);
        // 16:9 in 96×64: 54 rows, 5 above and below.
        for (row, bar) in [(0, true), (4, true), (5, false), (58, false), (59, true), (63, true)] {
            let pixels = &boxed[1].pixels[row * 96 * 3..][..96 * 3];
            assert_eq!(pixels.iter().all(|value| *value == 114), bar, "row {row}");
        }
        let mut taken = 0;
        let result = paint(&args(5, Fit::Stretch), 2, |_, _| {
            taken += 1;
            Err(Error::new(Kind::Output, "full"))
        });
        assert_eq!((result.unwrap_err().to_string(), taken), ("full".to_owned(), 1));
    }
}
