//! `spotter run`: a source in, live detections on a web page out.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::args::RunArgs;
use super::signals::stop_on_signals;
use crate::base::clock::{Stop, SystemClock};
use crate::base::error::{Error, Kind, Result};
use crate::base::folders::localdata;
use crate::base::platform;
use crate::capture::supervisor::{LONGEST_WAIT, LONGEST_WAIT_HERE, Policy};
use crate::capture::vdo::frame_rate::Workload;
use crate::capture::vdo::sensors::SensorChoice;
use crate::capture::vdo::spec::View;
use crate::capture::{self, Pace, SourceKind, SourceSpec, SpecOpener, gst_source};
use crate::detect::loader::{LOADING_LIMIT, LoadSpec};
use crate::detect::model_info::ModelInfo;
use crate::live::context::Context;
use crate::live::history;
use crate::live::model_choice::{Keeper, ModelChoice};
use crate::live::model_slot::RunningModel;
use crate::live::model_switch::{self, Switch};
use crate::live::pipeline::{Parts, Pipeline};
use crate::live::stats::{STAGES, Stats};
use crate::live::status::SourceInfo;
use crate::model::catalogue::Scope;
use crate::model::catalogue::demo;
use crate::publish::jsonl::JsonLines;
#[cfg(feature = "desktop")]
use crate::publish::record::Record;
use crate::publish::recorder::Recorder;
use crate::settings::Overrides;
use crate::settings::file::SettingsFile;
use crate::settings::shared::SharedSettings;
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
    let base = LoadSpec { drawn: source.kind() == SourceKind::Demo, ..LoadSpec::from(&args.model) };
    let keeper = Keeper::from_env();
    let (mut model, chosen) = first_model(&base, keeper.as_ref(), &source, args.once)?;
    if args.once {
        model.detector.wait_until_ready(LOADING_LIMIT)?;
    }
    let output = args.output.as_deref().map(|path| JsonLines::create(path, args.output_limit)).transpose()?;
    #[cfg(feature = "desktop")]
    let record = args.record.as_deref().map(recorder).transpose()?;
    #[cfg(not(feature = "desktop"))]
    let record = None;
    let (mut kept, settings) = settings(args, &source, on_camera);
    let context = Arc::new(Context {
        settings_file: kept.as_ref().map(|kept| kept.path().to_owned()),
        output: output.as_ref().map(JsonLines::output),
        // What was chosen on the page holds over restarts.
        sensor: given_sensor(&source).map(|_| Arc::new(SensorChoice::new(settings.now().sensor))),
        ..Context::new(SourceInfo::of(&source), model.about.clone(), settings)
    });
    context.status.set_unsaved(kept.as_ref().and_then(SettingsFile::trouble));
    let switch = Arc::new(Switch::new(context.clone(), base, keeper, chosen));
    let server = WebServer::start(args.listen, access, context.clone(), switch, Arc::new(SystemClock))?;
    let stop = Stop::new();
    stop_on_signals(&stop)?;
    history::start(context.stats.clone(), context.history.clone(), stop.clone())?;
    announce(&source, &context, &server);

    let started = Instant::now();
    let parts = parts(args.once, source, model, output, record, context.sensor.as_ref());
    let pipeline = Pipeline::start(parts, context.clone(), &stop)?;
    while !stop.is_set() && !pipeline.done.is_set() {
        stop.wait(Duration::from_millis(50));
        if let Some(sensor) = &context.sensor {
            sensor.want(context.settings.now().sensor);
        }
        if let Some(kept) = &mut kept {
            kept.keep(&context.settings.revision(), Instant::now());
            context.status.set_unsaved(kept.trouble());
        }
    }
    if let Some(kept) = &mut kept {
        kept.keep_now(&context.settings.revision());
    }
    let ended = if stop.is_set() { pipeline.done.wait(LAST_WAIT) } else { true };
    let result = if ended { pipeline.join() } else { pipeline.outcome() };
    if args.once || stop.is_set() {
        println!("{}", summary(&context.stats, started.elapsed()));
    }
    result
}

/// The model to start with, and the choice that names it where one was made on the page. None is no error where it
/// cannot be downloaded: whoever looks at the page can choose another; but a clip that is played once is to give a
/// result.
fn first_model(
    base: &LoadSpec,
    keeper: Option<&Keeper>,
    source: &SourceSpec,
    once: bool,
) -> Result<(RunningModel, Option<ModelChoice>)> {
    match model_switch::start(base, keeper) {
        Ok((loaded, chosen)) => Ok((RunningModel::load(&loaded)?, chosen)),
        Err(error) if base.model.is_none() && error.kind() == Kind::Download => {
            let (name, how) = (source.name(), no_default(base));
            let text = format!("there is no model for {name}: {error}");
            if once {
                return Err(Error::new(Kind::Download, format!("{text}; {how}")));
            }
            log::error!("{text}");
            Ok((RunningModel::none(how), None))
        }
        Err(error) => Err(error),
    }
}

/// The sensor that the command line names.
fn given_sensor(source: &SourceSpec) -> Option<View> {
    match source {
        SourceSpec::Vdo(spec) => Some(spec.view),
        _ => None,
    }
}

/// The settings to start with, and the file that keeps them: one that is named, else on a camera one in `localdata`.
fn settings(
    args: &RunArgs,
    source: &SourceSpec,
    localdata: Option<PathBuf>,
) -> (Option<SettingsFile>, SharedSettings) {
    let sensor = given_sensor(source).unwrap_or_default();
    let overrides = Overrides { confidence: args.confidence, iou: args.iou, sensor };
    let path = args.settings.clone().or_else(|| Some(localdata?.join("settings.json")));
    match path.map(|path| SettingsFile::open(path, overrides)) {
        Some((file, settings)) => (Some(file), settings),
        None => (None, SharedSettings::new(overrides)),
    }
}

/// Tells the log what runs on what, and where the page is.
fn announce(source: &SourceSpec, context: &Context, server: &WebServer) {
    log::info!("source   {source}");
    let sensor = context.sensor.as_ref().map(|sensor| sensor.wanted());
    if let Some(chosen) = sensor.filter(|chosen| Some(*chosen) != given_sensor(source)) {
        log::info!("sensor   {chosen}, chosen on the page");
    }
    let model = context.status.model();
    match &model.missing {
        Some(why) => {
            log::warn!("model    none yet: the page shows the picture alone and offers models; {why}")
        }
        None => {
            log::info!("model    {model}");
            log::info!("backend  {} ({})", model.backend_name, model.backend_detail);
        }
    }
    if let Some(warning) = misfit(&model, source.kind() == SourceKind::Demo) {
        log::warn!("{warning}");
    }
    if server.listens() {
        log::info!("page     {}", page(server.address()));
    }
}

/// What the pipeline is made of.
fn parts(
    once: bool,
    source: SourceSpec,
    model: RunningModel,
    output: Option<JsonLines>,
    record: Option<Box<dyn Recorder>>,
    sensor: Option<&Arc<SensorChoice>>,
) -> Parts {
    let kind = source.kind();
    let longest_wait = if kind == SourceKind::Camera { LONGEST_WAIT_HERE } else { LONGEST_WAIT };
    let policy = Policy { once, live: kind != SourceKind::File, longest_wait };
    let spec = source.suited_to(model.detector.input());
    let (workload, pictures) = (Arc::new(Workload::default()), capture::pictures(&spec, sensor));
    Parts {
        opener: Box::new(SpecOpener {
            spec,
            pace: Pace::Real,
            workload: Some(workload.clone()),
            sensor: sensor.cloned(),
        }),
        policy,
        lossless: false,
        model,
        output,
        record,
        pictures,
        workload,
        clock: Arc::new(SystemClock),
    }
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
fn misfit(model: &ModelInfo, drawn: bool) -> Option<String> {
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
fn summary(stats: &Stats, time: Duration) -> String {
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
