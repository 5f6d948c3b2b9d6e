//! `spotter run`: a source in, live detections on a web page out.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::RunArgs;
use super::signals::stop_on_signals;
use crate::base::clock::{Stop, SystemClock};
use crate::base::error::{Error, Kind, Result};
use crate::base::folders::localdata;
use crate::base::platform;
use crate::capture::supervisor::{LONGEST_WAIT, LONGEST_WAIT_HERE, Policy};
use crate::capture::vdo::frame_rate::Workload;
use crate::capture::vdo::sensors::Choice;
use crate::capture::{self, Pace, SourceKind, SourceSpec, SpecOpener, gst_source};
use crate::detect::loader::{LOADING_LIMIT, LoadSpec};
use crate::live::history;
use crate::live::model_choice::Keeper;
use crate::live::model_slot::Model;
use crate::live::model_switch::{self, Switch};
use crate::live::pipeline::{Parts, Pipeline};
#[cfg(feature = "desktop")]
use crate::live::publisher::Recorder;
use crate::live::stats::STAGES;
use crate::live::status::{ModelAbout, SourceAbout, Status};
use crate::model::catalogue::Scope;
use crate::model::catalogue::demo;
use crate::publish::jsonl::JsonLines;
#[cfg(feature = "desktop")]
use crate::publish::record::Record;
use crate::settings::file::SettingsFile;
use crate::settings::{Settings, Values};
use crate::web::WebServer;
use crate::web::auth::access::Access;

/// After a signal the threads have this long; a source that hangs in the network is then left behind.
const LAST_WAIT: Duration = Duration::from_millis(700);

/// Runs until the source has ended for good or a signal comes.
///
/// # Errors
/// Whatever keeps it from starting, and a source that cannot be played at all.
pub fn run(args: &RunArgs) -> Result<()> {
    gst_source::init()?;
    let source = args.source.clone().unwrap_or_else(SourceSpec::of_this_machine);
    let on_camera = localdata(Path::new(""));
    if on_camera.is_some() {
        // For the page, whatever runs the model.
        platform::get();
    }
    // A camera would start it again and again, and nobody could read why on the page: what is lost is waited for.
    if on_camera.is_none() || source.kind() != SourceKind::Camera {
        source.check()?;
    }
    let access = Access::new(args.listen, args.token_file.as_deref(), &args.hosts, on_camera.is_some())?;
    let drawn = source.kind() == SourceKind::Demo;
    let base = LoadSpec { drawn, ..LoadSpec::from(&args.model) };
    let keeper = Keeper::from_env();
    let (mut model, chosen) = match model_switch::start(&base, keeper.as_ref()) {
        Ok((loaded, chosen)) => (Model::load(&loaded)?, chosen),
        Err(error) if base.model.is_none() && error.kind() == Kind::Download => {
            let (name, how) = (source.name(), no_default(&base));
            let text = format!("there is no model for {name}: {error}");
            // Whoever looks at the page can choose another model; a clip that is played once is to give a
            // result.
            if args.once {
                return Err(Error::new(Kind::Download, format!("{text}; {how}")));
            }
            log::error!("{text}");
            (Model::none(how), None)
        }
        Err(error) => return Err(error),
    };
    if args.once {
        model.detector.wait_until_ready(LOADING_LIMIT)?;
    }
    let output = args.output.as_deref().map(|path| JsonLines::create(path, args.output_limit)).transpose()?;
    #[cfg(feature = "desktop")]
    let record = args.record.as_deref().map(recorder).transpose()?;
    #[cfg(not(feature = "desktop"))]
    let record = None;
    let about = model.about.clone();
    let origin = SourceAbout { name: source.name(), kind: source.kind().word() };
    let sensor = match &source {
        SourceSpec::Vdo(spec) => Some(spec.view),
        _ => None,
    };
    let given = Values { confidence: args.confidence, iou: args.iou, sensor: sensor.unwrap_or_default() };
    let file = args.settings.clone().or_else(|| Some(on_camera?.join("settings.json")));
    let (mut kept, settings) = match file.clone().map(|path| SettingsFile::open(path, given)) {
        Some((file, settings)) => (Some(file), settings),
        None => (None, Settings::new(given)),
    };
    // What was chosen on the page holds over restarts.
    let sensor = sensor.map(|_| Arc::new(Choice::new(settings.values().sensor)));
    let mut status = Status::new(origin, about.clone(), settings);
    status.sensor.clone_from(&sensor);
    status.settings_file = file;
    let status = Arc::new(status);
    if let Some(output) = &output {
        // Nobody else sets it.
        let _ = status.output.set(output.output());
    }
    status.set_unsaved(kept.as_ref().and_then(SettingsFile::trouble));
    let switch = Arc::new(Switch::new(status.clone(), base, keeper, chosen));
    let server = WebServer::start(args.listen, access, status.clone(), switch, Arc::new(SystemClock))?;
    let stop = Stop::new();
    stop_on_signals(&stop)?;
    history::start(status.clone(), stop.clone())?;

    log::info!("source   {source}");
    if let Some(chosen) =
        sensor.as_ref().map(|sensor| sensor.wanted()).filter(|chosen| *chosen != given.sensor)
    {
        log::info!("sensor   {chosen}, chosen on the page");
    }
    match &about.missing {
        Some(why) => {
            log::warn!("model    none yet: the page shows the picture alone and offers models; {why}")
        }
        None => {
            log::info!("model    {about}");
            log::info!("backend  {} ({})", about.backend_name, about.backend_detail);
        }
    }
    if let Some(warning) = misfit(&about, drawn) {
        log::warn!("{warning}");
    }
    if server.listens() {
        log::info!("page     {}", page(server.address()));
    }

    let kind = source.kind();
    let longest_wait = if kind == SourceKind::Camera { LONGEST_WAIT_HERE } else { LONGEST_WAIT };
    let policy = Policy { once: args.once, live: kind != SourceKind::File, longest_wait };
    let source = source.suited_to(model.detector.input());
    let workload = Arc::new(Workload::default());
    let pictures = capture::pictures(&source, sensor.as_ref());
    let parts = Parts {
        opener: Box::new(SpecOpener {
            spec: source,
            pace: Pace::Real,
            workload: Some(workload.clone()),
            sensor: sensor.clone(),
        }),
        policy,
        lossless: false,
        model,
        output,
        record,
        pictures,
        workload,
        clock: Arc::new(SystemClock),
    };
    let started = Instant::now();
    let pipeline = Pipeline::start(parts, status.clone(), &stop)?;
    while !stop.is_set() && !pipeline.done.is_set() {
        stop.wait(Duration::from_millis(50));
        if let Some(sensor) = &sensor {
            sensor.want(status.settings.values().sensor);
        }
        if let Some(kept) = &mut kept {
            kept.keep(&status.settings.document(), Instant::now());
            status.set_unsaved(kept.trouble());
        }
    }
    if let Some(kept) = &mut kept {
        kept.keep_now(&status.settings.document());
    }
    let ended = if stop.is_set() { pipeline.done.wait(LAST_WAIT) } else { true };
    let result = if ended { pipeline.join() } else { pipeline.outcome() };
    if args.once || stop.is_set() {
        println!("{}", summary(&status, started.elapsed()));
    }
    result
}

#[cfg(feature = "desktop")]
fn recorder(path: &Path) -> Result<Box<dyn Recorder>> {
    Ok(Box::new(Record::new(path)?))
}

/// Where the page is, as something to open in a browser.
fn page(address: SocketAddr) -> String {
    let port = address.port();
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => {
            format!("http://127.0.0.1:{port}/ and under every other address of this machine")
        }
        IpAddr::V6(ip) if ip.is_unspecified() => {
            format!("http://[::1]:{port}/ and under every other address of this machine")
        }
        _ => format!("http://{address}/"),
    }
}

/// What to do where the default model is not here and cannot be downloaded.
fn no_default(base: &LoadSpec) -> String {
    let name = base.name();
    if cfg!(feature = "desktop") {
        format!(
            "{name} could not be downloaded; once there is internet, get it with: spotter models fetch {name}"
        )
    } else {
        "this package brings no model for it; send one on the page, or build the package with --model"
            .to_owned()
    }
}

/// What a model and a source have against each other, where one of them is drawn and the other real.
fn misfit(model: &ModelAbout, drawn: bool) -> Option<String> {
    let name = &model.title;
    match (model.scope, drawn) {
        (Some(Scope::Demo), false) => Some(format!(
            "{name} knows the drawn figures of the demo scene only; choose another with --model"
        )),
        (None, true) => Some(format!(
            "{name} is not made for drawn figures; --model {} knows those of the demo scene",
            demo::NAME
        )),
        _ => None,
    }
}

/// One line: frames, rate, stage times.
fn summary(status: &Status, time: Duration) -> String {
    let stats = &status.stats;
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let inferred = count(&stats.inferred);
    let skipped = count(&stats.skipped);
    let skipped = if skipped > 0 { format!(", skipped {skipped}") } else { String::new() };
    let mut line = format!(
        "captured {}, inferred {inferred}, dropped {}{skipped}; {:.1} fps; p50/p95 ms:",
        count(&stats.captured),
        count(&stats.dropped),
        inferred as f64 / time.as_secs_f64().max(1e-9),
    );
    for (index, name) in STAGES.iter().enumerate() {
        let [p50, p95] = stats.stage(index).quantiles([0.5, 0.95]).map(|time| time.as_secs_f64() * 1e3);
        line.push_str(&format!(" {name} {p50:.2}/{p95:.2}"));
    }
    line
}
