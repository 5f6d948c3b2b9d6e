//! Models on devices: what they take, and what they give for it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::device::{Device, Role};
use crate::home::Home;
use crate::objects::{Map, Value};
use crate::pool::Text;
use crate::preprocess::Pictures;
use crate::tflite::{About, Interpreter, Quantisation};
use crate::{Answer, code, failed, settings};

/// What a model for CV25 begins with here; a TensorFlow Lite model follows.
pub const CV25_MARK: &[u8] = b"SPOTTER-SIM-CV25";
/// Rows on CV25 begin at multiples of this.
const CV25_ROW: usize = 32;
const UINT8: i32 = 3;
const INT8: i32 = 4;
const FLOAT32: i32 = 12;
/// Layouts by larod's numbers.
pub const UNSPECIFIED: i32 = 1;
pub const NHWC: i32 = 2;
pub const NCHW: i32 = 3;
pub const SEMIPLANAR: i32 = 4;

/// A tensor as a model has it.
#[derive(Clone)]
pub struct Spec {
    pub name: String,
    pub dims: Vec<usize>,
    pub pitches: Vec<usize>,
    pub kind: i32,
    pub layout: i32,
}

impl Spec {
    /// Bytes, padding included.
    pub fn bytes(&self) -> usize {
        self.pitches.first().copied().unwrap_or(0)
    }
}

/// What runs.
enum Work {
    Net { interpreter: Mutex<Interpreter>, quantisation: Vec<Quantisation>, role: Role },
    Pictures(Pictures),
}

/// A loaded model.
pub struct Core {
    pub id: u64,
    pub name: Text,
    pub home: Arc<Home>,
    pub device: *const Device,
    pub size: usize,
    pub inputs: Vec<Spec>,
    pub outputs: Vec<Spec>,
    pub role: Role,
    /// False once its connection has ended or it was deleted.
    pub alive: Arc<AtomicBool>,
    work: Work,
}

// SAFETY: the device is only handed on, never looked into; all else is behind locks.
unsafe impl Send for Core {}
// SAFETY: as above.
unsafe impl Sync for Core {}

fn element(kind: i32) -> usize {
    match kind {
        2..=4 => 1,
        5 | 6 | 11 => 2,
        7 | 8 | 12 => 4,
        _ => 8,
    }
}

/// Pitches without gaps, but with rows that begin at multiples of `row`.
fn pitches(dims: &[usize], kind: i32, row: usize) -> Vec<usize> {
    let mut bytes = element(kind);
    let mut all: Vec<usize> = Vec::new();
    for (place, size) in dims.iter().rev().enumerate() {
        bytes *= size;
        if place == 0 {
            bytes = bytes.next_multiple_of(row);
        }
        all.push(bytes);
    }
    all.reverse();
    all
}

fn spec(about: &About) -> Spec {
    let layout = if about.dims.len() == 4 { NHWC } else { UNSPECIFIED };
    let pitches = pitches(&about.dims, about.kind, 1);
    Spec { name: about.name.clone(), dims: about.dims.clone(), pitches, kind: about.kind, layout }
}

/// An input of CV25: planes, rows padded.
fn planar(about: &About) -> Answer<Spec> {
    let [1, height, width, 3] = about.dims[..] else {
        return failed(code::LOAD_MODEL, format!("{:?} is no picture", about.dims));
    };
    let dims = vec![1, 3, height, width];
    let pitches = pitches(&dims, UINT8, CV25_ROW);
    Ok(Spec { name: about.name.clone(), dims, pitches, kind: UINT8, layout: NCHW })
}

/// An output of CV25: floats, rows padded. Scores of classes are a row each.
fn padded(about: &About) -> Spec {
    let dims = match about.dims[..] {
        [1, classes] => vec![1, classes, 1, 1],
        [rows, columns] => vec![1, 1, rows, columns],
        [one, rows, columns] => vec![one, 1, rows, columns],
        _ => about.dims.clone(),
    };
    // Axis' example object-detection-cv25 reads its outputs as 1917 * 4 and 1917 * 91 floats without gaps; the
    // documentation of the chip pads rows. So both.
    let row = if settings::get("SPOTTER_SIM_CV25_ROWS").as_deref() == Some("packed") { 1 } else { CV25_ROW };
    let pitches = pitches(&dims, FLOAT32, row);
    Spec { name: about.name.clone(), dims, pitches, kind: FLOAT32, layout: NCHW }
}

fn is_edge_tpu(bytes: &[u8]) -> bool {
    let mark = b"edgetpu-custom-op";
    bytes.windows(mark.len()).any(|window| window == mark)
}

/// Compiles: takes its time when the model is new to the device.
fn compile(bytes: &[u8], device: &Device) {
    let mut hasher = DefaultHasher::new();
    (bytes, device.name).hash(&mut hasher);
    let time = settings::milliseconds("SPOTTER_SIM_LOAD_MS");
    if time.is_zero() || device.role == Role::Processor {
        return;
    }
    let cached =
        settings::folder().map(|folder| folder.join("larod-cache").join(format!("{:016x}", hasher.finish())));
    if cached.as_ref().is_some_and(|path| path.exists()) {
        return;
    }
    std::thread::sleep(time);
    if let Some(path) = cached {
        // Without a cache it is compiled again the next time.
        let _ = std::fs::create_dir_all(path.with_file_name(""));
        let _ = std::fs::write(path, "");
    }
}

static IDS: AtomicU64 = AtomicU64::new(1);

impl Core {
    /// Loads a model file.
    pub fn of_file(mut bytes: Vec<u8>, device: &Device, name: &str) -> Answer<Self> {
        let (size, role) = (bytes.len(), device.role);
        let refused = |why: &str| failed(code::LOAD_MODEL, format!("{}: {why}", device.name));
        if bytes.is_empty() {
            return refused("the file is empty");
        }
        match role {
            Role::CvFlow if bytes.starts_with(CV25_MARK) => drop(bytes.drain(..CV25_MARK.len())),
            Role::CvFlow => return refused("it is no model for CVflow"),
            Role::Processor | Role::Integer | Role::NoisyInteger | Role::EdgeTpu => {}
            Role::Closed => return refused("it is no native model"),
            _ => return refused("the device does not run models"),
        }
        if is_edge_tpu(&bytes) {
            if role != Role::EdgeTpu {
                return refused("Encountered unresolved custom op: edgetpu-custom-op");
            }
            let twin = settings::get("SPOTTER_SIM_TWIN").and_then(|path| std::fs::read(path).ok());
            match twin {
                Some(twin) => bytes = twin,
                None => {
                    return refused(
                        "the simulator needs the model's twin for the processor (SPOTTER_SIM_TWIN)",
                    );
                }
            }
        }
        compile(&bytes, device);
        let interpreter = Interpreter::new(bytes)?;
        let (ins, outs) = (interpreter.about(true)?, interpreter.about(false)?);
        let integer = ins.iter().all(|input| matches!(input.kind, UINT8 | INT8));
        if role != Role::Processor && !integer {
            return refused("the model is not fully integer");
        }
        let (inputs, outputs) = match role {
            Role::CvFlow => {
                (ins.iter().map(planar).collect::<Answer<Vec<_>>>()?, outs.iter().map(padded).collect())
            }
            _ => (ins.iter().map(spec).collect(), outs.iter().map(spec).collect()),
        };
        let quantisation = outs.iter().map(|out| out.quantisation).collect();
        let work = Work::Net { interpreter: Mutex::new(interpreter), quantisation, role };
        Ok(Self::made(device, name, size, inputs, outputs, work))
    }

    /// A preprocessing model.
    pub fn of_params(device: &Device, name: &str, params: &Map) -> Answer<Self> {
        let pictures = Pictures::new(device.role, params)?;
        let (inputs, outputs) = (vec![pictures.input.clone()], vec![pictures.output.clone()]);
        Ok(Self::made(device, name, 0, inputs, outputs, Work::Pictures(pictures)))
    }

    fn made(
        device: &Device,
        name: &str,
        size: usize,
        inputs: Vec<Spec>,
        outputs: Vec<Spec>,
        work: Work,
    ) -> Self {
        Self {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            name: Text::new(name),
            home: device.home.clone(),
            device: std::ptr::from_ref(device),
            size,
            inputs,
            outputs,
            role: device.role,
            alive: Arc::new(AtomicBool::new(true)),
            work,
        }
    }

    /// Whether it is a preprocessing model.
    pub fn prepares(&self) -> bool {
        matches!(self.work, Work::Pictures(_))
    }

    /// Outputs for inputs.
    pub fn run(&self, inputs: &[Vec<u8>], params: &Map) -> Answer<Vec<Vec<u8>>> {
        match &self.work {
            Work::Pictures(pictures) => {
                let crop = match params.get("image.input.crop") {
                    Ok(Value::Four(crop)) => Some(*crop),
                    _ => None,
                };
                Ok(vec![pictures.run(&inputs[0], crop)?])
            }
            Work::Net { interpreter, quantisation, role } => {
                let mut interpreter = interpreter.lock().unwrap_or_else(PoisonError::into_inner);
                for (index, (bytes, spec)) in inputs.iter().zip(&self.inputs).enumerate() {
                    let into = interpreter.input(index);
                    if *role == Role::CvFlow {
                        interleave(bytes, spec, into)
                    } else {
                        into.copy_from_slice(bytes)
                    }
                }
                interpreter.run()?;
                let outputs = self.outputs.iter().enumerate().map(|(index, spec)| {
                    let bytes = interpreter.output(index);
                    match role {
                        Role::CvFlow => pad(bytes, spec, quantisation[index]),
                        Role::NoisyInteger => noisy(bytes, spec, index),
                        _ => bytes.to_vec(),
                    }
                });
                Ok(outputs.collect())
            }
        }
    }
}

/// Planes with padded rows as interleaved pixels.
fn interleave(planes: &[u8], spec: &Spec, into: &mut [u8]) {
    let (height, width, pitch) = (spec.dims[2], spec.dims[3], spec.pitches[3]);
    for (index, pixel) in into.chunks_exact_mut(3).enumerate() {
        let (y, x) = (index / width, index % width);
        for (plane, to) in pixel.iter_mut().enumerate() {
            *to = planes[(plane * height + y) * pitch + x];
        }
    }
}

/// Real numbers in padded rows.
fn pad(bytes: &[u8], spec: &Spec, quantisation: Quantisation) -> Vec<u8> {
    let columns = spec.dims[3];
    let count: usize = spec.dims.iter().product();
    let real = |index: usize| -> f32 {
        if bytes.len() == 4 * count {
            f32::from_ne_bytes([
                bytes[4 * index],
                bytes[4 * index + 1],
                bytes[4 * index + 2],
                bytes[4 * index + 3],
            ])
        } else {
            (i32::from(bytes[index]) - quantisation.zero_point) as f32 * quantisation.scale
        }
    };
    // What is between rows is nobody's: filled so that it is noticed where it is read.
    let mut padded = vec![0xAB; spec.bytes()];
    for index in 0..count {
        let at = index / columns * spec.pitches[3] + index % columns * 4;
        padded[at..at + 4].copy_from_slice(&real(index).to_ne_bytes());
    }
    padded
}

/// One step more or less here and there, the same each time. Of floats, which the processor made behind the
/// accelerator, a step of 1/256 in scores and boxes; classes and counts are whole numbers and stay.
fn noisy(bytes: &[u8], spec: &Spec, output: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9u32 ^ output as u32;
    let mut step = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) % 3
    };
    match spec.kind {
        UINT8 | INT8 => bytes
            .iter()
            .map(|byte| match (step(), spec.kind) {
                (0, UINT8) => byte.saturating_sub(1),
                (2, UINT8) => byte.saturating_add(1),
                (0, _) => (*byte as i8).saturating_sub(1) as u8,
                (2, _) => (*byte as i8).saturating_add(1) as u8,
                _ => *byte,
            })
            .collect(),
        FLOAT32 => bytes
            .chunks_exact(4)
            .flat_map(|four| {
                let value = f32::from_ne_bytes([four[0], four[1], four[2], four[3]]);
                let whole = value.fract() == 0.0;
                let moved = if whole { value } else { value + (step() as f32 - 1.0) / 512.0 };
                moved.to_ne_bytes()
            })
            .collect(),
        _ => bytes.to_vec(),
    }
}
