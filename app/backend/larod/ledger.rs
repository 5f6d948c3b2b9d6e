//! How each device of the camera stands with one model: which runs it, and why the others do not.
//!
//! One ledger is shared by whoever loads the model, whoever runs it, and the page. It decides what a failed load
//! means: three lost connections in one load give the device up, want of memory lets it rest, all else is as
//! [`Fault::remedy`] says.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::device::{self, ModelFormat};
use super::fault::{Fault, Remedy, Want};
use super::given_up::{GivenUp, GivenUpFile};
use super::load_request::LoadRequest;
use crate::base::clock::Clock;
use crate::base::time::timestamp;
use crate::model::catalogue::hex;

/// So many connections may be lost in one load before the device is given up for the model.
const LOST_LIMIT: u32 = 3;
/// The waits after the first and the second of them: a service that was replaced or restarted by somebody else is up
/// again by then.
const AFTER_LOST: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
const MINUTE: Duration = Duration::from_secs(60);
/// When a device without memory for the model is asked again, in minutes; the last for ever.
const MEMORY_WAITS: [u32; 4] = [1, 2, 5, 10];

/// How a device stands.
#[derive(Clone, Debug, Default, PartialEq)]
enum Standing {
    /// It was not needed so far.
    #[default]
    Untried,
    Loading,
    Runs,
    /// Something failed that is being tried again.
    Failed(String),
    /// It has no power now.
    NoPower(String),
    /// No other attempt helps.
    Refused(String),
    /// It had no memory for the model, which others may give back.
    NoMemory {
        why: String,
        next: Instant,
    },
    /// The service fell over too often.
    GivenUp {
        why: String,
        at: String,
    },
}

#[derive(Clone, Debug, Default)]
struct Record {
    device: String,
    standing: Standing,
    /// Connections lost in this load.
    lost: u32,
    /// Loads that failed for want of memory.
    without_memory: u32,
}

#[derive(Default)]
struct State {
    listed: Vec<String>,
    /// Those that may take such a model, best first.
    records: Vec<Record>,
    /// Somebody asked to try all of them again.
    again: bool,
}

impl State {
    fn of(&mut self, device: &str) -> &mut Record {
        let found = self.records.iter().position(|record| record.device == device);
        let place = found.unwrap_or_else(|| {
            self.records.push(Record { device: device.to_owned(), ..Record::default() });
            self.records.len() - 1
        });
        &mut self.records[place]
    }

    fn runs(&self) -> Option<usize> {
        self.records.iter().position(|record| record.standing == Standing::Runs)
    }
}

/// What a failed load on one device means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The next device may take the model, over the same connection.
    Device,
    /// The whole list is tried again, over a new connection; after this time, where it is not the usual one.
    List(Option<Duration>),
}

/// What is to be done beside running the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// These devices are better than the one that runs, and may take the model now.
    Better(Vec<String>),
    /// None runs: all are tried again.
    All,
}

/// See the module.
pub struct Ledger {
    clock: Arc<dyn Clock>,
    name: String,
    /// The SHA-256 of the model file.
    model: String,
    form: ModelFormat,
    /// The one device that is wanted, where one is named.
    only: Option<String>,
    memory: Option<GivenUpFile>,
    state: Mutex<State>,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Ledger {
    /// A ledger for what is to be loaded; `memory` knows what was given up before.
    pub fn of(wanted: &LoadRequest, clock: Arc<dyn Clock>, memory: Option<GivenUpFile>) -> Self {
        let named = (wanted.name.as_str(), hex(&Sha256::digest(&wanted.bytes)));
        Self::new(clock, named, wanted.form, wanted.device.as_deref(), memory)
    }

    /// A ledger for the model `name` with this SHA-256, which may run on `only` where that is named.
    pub fn new(
        clock: Arc<dyn Clock>,
        (name, model): (&str, String),
        form: ModelFormat,
        only: Option<&str>,
        memory: Option<GivenUpFile>,
    ) -> Self {
        let (name, only) = (name.to_owned(), only.map(str::to_owned));
        Self { clock, name, model, form, only, memory, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The camera lists these devices, and none runs the model: those that may be tried now, best first.
    pub fn begin(&self, listed: &[String]) -> Vec<String> {
        let mut state = self.lock();
        if state.listed != listed {
            state.listed = listed.to_vec();
            let candidates = match &self.only {
                Some(only) => vec![only.clone()],
                None => device::candidates(listed, self.form),
            };
            let old = std::mem::take(&mut state.records);
            let kept = |device: &String| old.iter().find(|record| record.device == *device).cloned();
            let fresh = |device: String| Record { device, ..Record::default() };
            state.records =
                candidates.into_iter().map(|device| kept(&device).unwrap_or_else(|| fresh(device))).collect();
            for given_up in self.memory.iter().flat_map(|memory| memory.of(&self.model)) {
                if state.records.iter().any(|record| record.device == given_up.device) {
                    let GivenUp { device, why, at, .. } = given_up;
                    log::warn!("{}: {device} was given up {at}: {why}; the page has a way back", self.name);
                    state.of(&device).standing = Standing::GivenUp { why, at };
                }
            }
        }
        let now = self.clock.now();
        for record in &mut state.records {
            if record.standing == Standing::Runs {
                record.standing = Standing::Untried;
            }
        }
        let may = |record: &&Record| match &record.standing {
            Standing::Refused(_) | Standing::GivenUp { .. } => false,
            Standing::NoMemory { next, .. } => *next <= now,
            _ => true,
        };
        state.records.iter().filter(may).map(|record| record.device.clone()).collect()
    }

    /// Of these devices those that may be tried: none of them was refused or given up meanwhile.
    pub fn among(&self, devices: &[String]) -> Vec<String> {
        let mut state = self.lock();
        let over = |standing: &Standing| {
            matches!(standing, Standing::Refused(_) | Standing::NoMemory { .. } | Standing::GivenUp { .. })
        };
        devices.iter().filter(|device| !over(&state.of(device).standing)).cloned().collect()
    }

    /// A device begins to load the model.
    pub fn loads(&self, device: &str) {
        self.lock().of(device).standing = Standing::Loading;
    }

    /// A device runs the model, and none else does from now on.
    pub fn runs(&self, device: &str) {
        let mut state = self.lock();
        for record in &mut state.records {
            if record.standing == Standing::Runs {
                record.standing = Standing::Untried;
            }
        }
        let record = state.of(device);
        *record = Record { device: record.device.clone(), standing: Standing::Runs, ..Record::default() };
    }

    /// A device did not load the model.
    pub fn failed(&self, device: &str, fault: &Fault) -> Next {
        let now = self.clock.now();
        let mut state = self.lock();
        let why = fault.to_string();
        let record = state.of(device);
        let rests = |record: &mut Record| {
            let step = MEMORY_WAITS.get(record.without_memory as usize).or(MEMORY_WAITS.last());
            let wait = MINUTE * step.copied().unwrap_or(1);
            record.without_memory += 1;
            record.standing = Standing::NoMemory { why: why.clone(), next: now + wait };
            Next::Device
        };
        match fault.want_of_memory() {
            Want::Sure => return rests(record),
            Want::Perhaps if (record.without_memory as usize) < MEMORY_WAITS.len() => return rests(record),
            Want::Perhaps | Want::No => {}
        }
        if fault.is_lost_connection() {
            record.lost += 1;
            let lost = record.lost;
            if lost < LOST_LIMIT {
                record.standing = Standing::Failed(why);
                return Next::List(AFTER_LOST.get(lost as usize - 1).copied());
            }
            let at = timestamp(SystemTime::now());
            let why = format!("the larod service fell over {lost} times while it loaded the model ({why})");
            log::error!("{}: {device} is given up for this model: {why}; the page has a way back", self.name);
            record.standing = Standing::GivenUp { why: why.clone(), at: at.clone() };
            let (model, name) = (self.model.clone(), self.name.clone());
            let given_up = GivenUp { model, name, device: device.to_owned(), why, at };
            drop(state);
            if let Some(Err(error)) = self.memory.as_ref().map(|memory| memory.keep(given_up)) {
                log::error!(
                    "that {device} was given up cannot be kept: {error}; the next start tries it again"
                );
            }
            return Next::List(None);
        }
        match fault.remedy() {
            Remedy::Refused | Remedy::OtherInput => {
                record.standing = Standing::Refused(why);
                Next::Device
            }
            _ => {
                record.standing = match fault.is_want_of_power() {
                    true => Standing::NoPower(why),
                    false => Standing::Failed(why),
                };
                Next::List(None)
            }
        }
    }

    /// The device that may take the model later, where no device takes it now: why it does not, and how long it rests.
    pub fn resting(&self) -> Option<(String, Duration)> {
        let now = self.clock.now();
        let state = self.lock();
        let resting = state.records.iter().filter_map(|record| match &record.standing {
            Standing::NoMemory { why, next } => Some((why, next.saturating_duration_since(now))),
            _ => None,
        });
        resting.min_by_key(|(_, wait)| *wait).map(|(why, wait)| (why.clone(), wait))
    }

    /// Why the devices that were given up were, where that is why none is left.
    pub fn given_up(&self) -> Option<String> {
        let state = self.lock();
        state.records.iter().find_map(|record| match &record.standing {
            Standing::GivenUp { why, .. } => Some(format!("{} was given up: {why}", record.device)),
            _ => None,
        })
    }

    /// What is to be done beside running the model; asked before each frame.
    pub fn call(&self) -> Option<Call> {
        let mut state = self.lock();
        let runs = state.runs();
        if std::mem::take(&mut state.again) {
            return match runs {
                None => Some(Call::All),
                // The best of all runs already.
                Some(0) => None,
                Some(runs) => {
                    let better = state.records.iter().take(runs).map(|record| record.device.clone());
                    Some(Call::Better(better.collect()))
                }
            };
        }
        let runs = runs.filter(|runs| *runs > 0)?;
        let now = self.clock.now();
        let due = |record: &&mut Record| match &record.standing {
            Standing::NoMemory { next, .. } => *next <= now,
            _ => false,
        };
        let record = state.records.iter_mut().take(runs).find(due)?;
        record.standing = Standing::Loading;
        Some(Call::Better(vec![record.device.clone()]))
    }

    /// Forgets what was given up, refused or had no memory, here and in the state folder: all of it is tried again.
    ///
    /// # Errors
    /// Where the state folder cannot be written: then it is tried again, and remembered after a restart.
    pub fn try_again(&self) -> std::io::Result<()> {
        let mut state = self.lock();
        for record in &mut state.records {
            if !matches!(record.standing, Standing::Runs | Standing::Loading) {
                *record = Record { device: std::mem::take(&mut record.device), ..Record::default() };
            }
        }
        state.again = true;
        drop(state);
        self.memory.as_ref().map_or(Ok(()), |memory| memory.forget(&self.model))
    }

    /// All devices of the camera in its own order, as JSON: `name`, `state`, `says` (a sentence's end), `why`,
    /// `retry_in_s`.
    pub fn to_json(&self) -> Value {
        let now = self.clock.now();
        let state = self.lock();
        let runs = state.runs();
        let named = state.records.iter().map(|record| &record.device);
        let strangers = named.filter(|device| !state.listed.contains(device));
        let devices = state.listed.iter().chain(strangers).map(|name| {
            let place = state.records.iter().position(|record| record.device == *name);
            let record = place.and_then(|place| state.records.get(place));
            let mut retry = None;
            let (word, says, why) = match record.map(|record| &record.standing) {
                None => match device::purpose(name) {
                    device::Purpose::Pictures => {
                        ("pictures", "prepares pictures, runs no models".to_owned(), None)
                    }
                    device::Purpose::Native => {
                        ("other-models", "is for models of another kind".to_owned(), None)
                    }
                    device::Purpose::Models => match self.only {
                        Some(_) => ("spare", "is not the device that was named".to_owned(), None),
                        None => ("other-models", "is not for models of this kind".to_owned(), None),
                    },
                    device::Purpose::Unknown => ("unused", "is not known to Spotter".to_owned(), None),
                },
                Some(Standing::Runs) => ("runs", "runs the model".to_owned(), None),
                Some(Standing::Loading) => ("loading", "loads the model".to_owned(), None),
                Some(Standing::Untried) => match (runs, place) {
                    (Some(runs), Some(place)) if runs < place => {
                        ("spare", "is not needed: a better one runs the model".to_owned(), None)
                    }
                    _ => ("spare", "has not been tried yet".to_owned(), None),
                },
                Some(Standing::Failed(why)) => ("failed", "failed, and is tried again".to_owned(), Some(why)),
                Some(Standing::NoPower(why)) => {
                    ("no-power", "has no power now, and is tried again".to_owned(), Some(why))
                }
                Some(Standing::Refused(why)) => ("refused", "does not take this model".to_owned(), Some(why)),
                Some(Standing::NoMemory { why, next }) => {
                    let left = next.saturating_duration_since(now);
                    retry = Some(left.as_secs());
                    let says = "has no memory for the model now, perhaps because another application uses it";
                    ("no-memory", format!("{says}; tried again {}", words(left)), Some(why))
                }
                Some(Standing::GivenUp { why, at }) => {
                    ("given-up", format!("was given up for this model {at}"), Some(why))
                }
            };
            json!({ "name": name, "state": word, "says": says, "why": why, "retry_in_s": retry })
        });
        json!(devices.collect::<Vec<Value>>())
    }

    /// Whether there is anything that [`Ledger::try_again`] changes.
    pub fn has_second_thoughts(&self) -> bool {
        let changes = |record: &Record| {
            let standing = &record.standing;
            matches!(standing, Standing::Refused(_) | Standing::NoMemory { .. } | Standing::GivenUp { .. })
        };
        self.lock().records.iter().any(changes)
    }

    /// What a person should know although detection goes on: a better device does not run the model, and why.
    pub fn notice(&self) -> Option<String> {
        let state = self.lock();
        let runs = state.runs().filter(|runs| *runs > 0)?;
        let on = &state.records.get(runs)?.device;
        state.records.iter().take(runs).find_map(|record| {
            let device = &record.device;
            match &record.standing {
                Standing::GivenUp { why, .. } => Some(format!(
                    "{device} was given up for this model, which runs on {on}: {why}; \"Try again\" below Health tries it again"
                )),
                Standing::NoMemory { why, .. } => Some(format!(
                    "{device} has no memory for this model now, which runs on {on} meanwhile: {why}; it is tried again by itself"
                )),
                _ => None,
            }
        })
    }
}

/// "in 3 minutes".
pub fn words(time: Duration) -> String {
    match time.as_secs().div_ceil(60) {
        0 | 1 => "within a minute".to_owned(),
        minutes => format!("in {minutes} minutes"),
    }
}

#[cfg(test)]
mod tests;
