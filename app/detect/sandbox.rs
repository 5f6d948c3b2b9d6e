//! Tries a model file in a process of its own, before it is run in this one.
//!
//! TensorFlow Lite checks the structure of a file, not every number in it: a damaged or hostile one can
//! end the process that runs it, or keep it busy for ever. The program therefore starts itself once more
//! with the hidden command `try-model`, which loads the file and runs it on a made-up picture under limits;
//! what happens to that process is known before this one touches the file.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::backend::Backend;
use crate::backend::edgetpu::EdgeTpuBackend;
use crate::backend::tflite::threads::Threads;
use crate::backend::tflite::{c_api, processor};
use crate::base::error::{Error, Kind, Result};
use crate::model::decode::head::Head;
use crate::model::decode::{Output, Thresholds};
use crate::model::format::file::ModelFile;
use crate::vision::predictions::Predictions;

/// The name of the hidden command.
pub const COMMAND: &str = "try-model";
/// A model that takes longer for one picture is of no use for live video.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// Address space of the trying process; far more than any model for a camera needs.
const MEMORY_LIMIT: u64 = 8 << 30;
/// Bytes of an answer that are read.
const ANSWER_LIMIT: u64 = 4096;
/// How often the process is looked at.
const POLL: Duration = Duration::from_millis(5);

/// What the file is tried on: the error of a breakdown says who is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// TensorFlow Lite on the processor.
    Cpu,
    /// TensorFlow Lite with libedgetpu.
    EdgeTpu,
}

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Says that this process is the `spotter` program, which can be started once more. Without it, as in the
/// tests of the library, [`check`] does nothing.
pub fn enable() {
    if let Ok(path) = std::env::current_exe() {
        PROGRAM.get_or_init(|| path);
    }
}

/// Kills the process where it is not done.
struct Trial(Child);

impl Drop for Trial {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Loads and runs the model file in a process of its own.
///
/// # Errors
/// [`Kind::Model`] where that process breaks down, takes too long or refuses the model, with what it said;
/// [`Kind::Backend`] where it is libedgetpu that breaks down.
pub fn check(path: &Path, on: On) -> Result<()> {
    let Some(program) = PROGRAM.get() else { return Ok(()) };
    let shown = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into());
    let failed = |doing: &str, error: std::io::Error| {
        Error::new(Kind::Internal, format!("cannot {doing} the process that tries {shown}")).caused_by(error)
    };
    let child = Command::new(program)
        .arg(COMMAND)
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed("start", error))?;
    let mut trial = Trial(child);
    let end = Instant::now() + TIME_LIMIT;
    let status = loop {
        match trial.0.try_wait().map_err(|error| failed("watch", error))? {
            Some(status) => break status,
            None if Instant::now() > end => {
                let text = format!(
                    "{shown} takes more than {} s for one picture; give a smaller model",
                    TIME_LIMIT.as_secs()
                );
                return Err(Error::new(Kind::Model, text));
            }
            None => std::thread::sleep(POLL),
        }
    };
    if status.success() {
        return Ok(());
    }
    let mut said = Vec::new();
    if let Some(stdout) = trial.0.stdout.take() {
        // What cannot be read was not said.
        let _ = stdout.take(ANSWER_LIMIT).read_to_end(&mut said);
    }
    Err(verdict(&shown, on, status, String::from_utf8_lossy(&said).trim()))
}

/// What the end of the trying process means.
fn verdict(shown: &str, on: On, status: ExitStatus, said: &str) -> Error {
    use std::os::unix::process::ExitStatusExt;
    if !said.is_empty() {
        let backend = status.code() == Some(i32::from(Kind::Backend.exit_code()));
        return Error::new(if backend { Kind::Backend } else { Kind::Model }, said);
    }
    let how = match status.signal() {
        Some(signal) => format!("signal {signal}"),
        None => status.to_string(),
    };
    if on == On::EdgeTpu {
        // The version is known once the library is open, which it need not be here.
        let _ = c_api::load();
        let version = c_api::version_text();
        let text = format!(
            "libedgetpu breaks down with TensorFlow Lite {version} ({how}) when it runs {shown}; install a libedgetpu that was built for this version"
        );
        return Error::new(Kind::Backend, text);
    }
    broken_down(shown, &how)
}

fn broken_down(shown: &str, how: &str) -> Error {
    let text = format!(
        "{shown} makes TensorFlow Lite break down ({how}), so it is not used; the file is damaged: convert or download it again"
    );
    Error::new(Kind::Model, text)
}

/// The hidden command: loads the model, runs it on made-up pictures and reads its outputs. What is wrong
/// is said in one line on standard output.
///
/// # Errors
/// What is wrong with the model.
pub fn try_model(path: &Path) -> Result<()> {
    limit_process();
    let outcome = run_once(path);
    if let Err(error) = &outcome {
        println!("{error}");
    }
    outcome
}

/// Live detection goes before a trial, no core is dumped, and memory is bounded.
fn limit_process() {
    use rustix::process::{Resource, Rlimit, nice, setrlimit};
    let _ = nice(10);
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let _ = setrlimit(Resource::Core, none);
    let memory = Rlimit { current: Some(MEMORY_LIMIT), maximum: Some(MEMORY_LIMIT) };
    let _ = setrlimit(Resource::As, memory);
}

fn run_once(path: &Path) -> Result<()> {
    let file = ModelFile::open(path)?;
    let mut backend: Box<dyn Backend> = if file.needs_edge_tpu() {
        file.check_runnable_on_edge_tpu()?;
        match EdgeTpuBackend::new(file.bytes.clone(), Threads::fixed(1)) {
            // Most likely by the process that wants to know; it opens it again.
            Err(error) if error.kind() == Kind::Busy => return Ok(()),
            outcome => Box::new(outcome?),
        }
    } else {
        file.check_runnable_on_cpu()?;
        processor::open(file.bytes.clone(), Threads::fixed(1)).map_err(|error| error.context(&file.name))?
    };
    let head = Head::recognise(&file)?;
    let mut decoder = head.decoder(&file.signature)?;
    // Bytes of all values: grey levels for quantised inputs, and floats that are mostly senseless.
    let mut state = 1u32;
    for byte in backend.input_mut()? {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = (state >> 24) as u8;
    }
    backend.run().map_err(|error| error.context(&file.name))?;
    let infos = &file.signature.outputs;
    let outputs: Vec<Output<'_>> = infos
        .iter()
        .enumerate()
        .map(|(index, info)| match backend.output(index) {
            Ok(data) => Ok(Output { info, data }),
            // A damaged file that makes the library read beside its memory does not always end the process.
            Err(error) if !file.needs_edge_tpu() => Err(broken_down(&file.name, &error.to_string())),
            Err(error) => Err(error),
        })
        .collect::<Result<_>>()?;
    let thresholds = Thresholds::live(0.5, 0.5);
    decoder.decode(&outputs, &thresholds, &mut Predictions::default())
}
