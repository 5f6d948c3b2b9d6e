//! The command line: arguments → command → exit code.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::archive::{self, Effort};
use crate::elf::Program;
use crate::error::{Error, Result};
use crate::lint::{self, Level};
use crate::manifest::{Arch, Manifest, Schema};
use crate::pack::{self, Parts};
use crate::vapix::answers::About;
use crate::vapix::camera::Health;
use crate::vapix::choose::choose;
use crate::vapix::trust::Known;
use crate::vapix::{Address, Camera, Client, Login};

/// Packs Spotter for Axis cameras, checks packages, installs them.
#[derive(Debug, Parser)]
#[command(name = "spotter-package", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Put packages together: one for AXIS OS 12.10 and later (and 11.11.205 and later), one for 11.11 to 12
    Pack(PackArgs),
    /// Check packages against what cameras demand; exit code 1 where one is refused
    Lint {
        /// Packages
        #[arg(required = true, value_name = "FILE.eap")]
        files: Vec<PathBuf>,
    },
    /// Put a package onto a camera, start it, and wait until it answers. One that is there is replaced and keeps
    /// its settings
    Install(InstallArgs),
    /// Start the application on a camera
    Start(CameraArgs),
    /// Stop the application on a camera
    Stop(CameraArgs),
    /// Take the application and its settings off a camera
    Remove(CameraArgs),
    /// Tell what a camera is, and whether the application runs on it
    Status(CameraArgs),
    /// Print what the application has written into the camera's log
    Logs(CameraArgs),
}

#[derive(Clone, Debug, Args)]
struct CameraArgs {
    /// The camera: a name or IP address, with :PORT where it is unusual; http://HOST goes without encryption
    #[arg(value_name = "HOST")]
    address: Address,
    /// An administrator of the camera; the password comes from SPOTTER_PASSWORD, or is asked for
    #[arg(long, value_name = "NAME", default_value = "root")]
    user: String,
    /// The SHA-256 fingerprint of the camera's certificate [default: the one that was accepted before]
    #[arg(long, value_name = "SHA256")]
    fingerprint: Option<String>,
    /// The application
    #[arg(long, value_name = "NAME", default_value = "spotter")]
    app: String,
}

#[derive(Clone, Debug, Args)]
struct InstallArgs {
    /// A package, or a folder with packages, of which that for the camera is taken
    #[arg(value_name = "PACKAGE")]
    package: PathBuf,
    #[command(flatten)]
    camera: CameraArgs,
    /// Let unsigned applications in first (AXIS OS 12)
    #[arg(long)]
    allow_unsigned: bool,
    /// How long to wait for the application's answer
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
}

#[derive(Debug, Args)]
struct PackArgs {
    /// What the program is made for: aarch64, armv7hf, or x86_64 for the simulator
    #[arg(long)]
    arch: Arch,
    /// The program
    #[arg(long, value_name = "FILE")]
    binary: PathBuf,
    /// Only the package for these systems
    #[arg(long, value_enum)]
    system: Option<System>,
    /// The project's folder, with manifest.json, LICENSE, NOTICE and html/
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    project: PathBuf,
    /// A model that comes with the package: a .tflite file, or a .bin with its .json beside it. The first is the one to
    /// run, others lie beside it
    #[arg(long, value_name = "FILE")]
    model: Vec<PathBuf>,
    /// Accept the licence of a model that asks for it, for example AGPL-3.0
    #[arg(long, value_name = "LICENCE")]
    accept_license: Vec<String>,
    /// Make the packages as small as can be; takes some ten seconds for each
    #[arg(long)]
    smallest: bool,
    /// Where the packages go
    #[arg(long, value_name = "FOLDER", default_value = "target/acap")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum System {
    /// AXIS OS 12.10 and later, and 11.11.205 and later
    New,
    /// AXIS OS 11.11 to 12
    Old,
}

/// Seconds since 1970 that `SOURCE_DATE_EPOCH` says, so that packages are the same wherever they are built.
fn epoch() -> Result<u64> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text.parse().map_err(|_| {
            Error::new(format!(
                "SOURCE_DATE_EPOCH is \"{text}\", not seconds since 1970; unset or correct it"
            ))
        }),
        Err(_) => Ok(archive::EPOCH),
    }
}

fn pack_all(args: &PackArgs) -> Result<()> {
    let schemas = match args.system {
        None => vec![Schema::V2, Schema::V1],
        Some(System::New) => vec![Schema::V2],
        Some(System::Old) => vec![Schema::V1],
    };
    for schema in schemas {
        let parts = Parts {
            project: args.project.clone(),
            binary: args.binary.clone(),
            arch: args.arch,
            schema,
            models: args.model.clone(),
            accepted: args.accept_license.clone(),
            epoch: epoch()?,
            effort: if args.smallest { Effort::Smallest } else { Effort::Quick },
        };
        let (path, package) = pack::pack_into(&parts, &args.out)?;
        let licence = match package.licences.is_empty() {
            true => String::new(),
            false => format!(", its model under {}", package.licences.join(", ")),
        };
        println!("{} ({} bytes{licence})", path.display(), package.bytes.len());
    }
    Ok(())
}

/// Prints what is to be said of a package; true where a camera takes it.
fn lint_file(path: &Path) -> Result<bool> {
    let bytes = std::fs::read(path).map_err(|error| Error::file("read", path, error))?;
    let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let findings =
        lint::lint(file, &bytes).map_err(|error| Error::new(format!("{}: {error}", path.display())))?;
    let good = findings.iter().all(|finding| finding.level != Level::Error);
    println!(
        "{}: {}, {} bytes{}",
        path.display(),
        if good { "good" } else { "refused" },
        bytes.len(),
        about(&bytes)
    );
    for finding in findings {
        println!("  {finding}");
    }
    Ok(good)
}

/// What the program in a package asks for, for people: empty where there is none to be read.
fn about(package: &[u8]) -> String {
    let about = || {
        let members = archive::read(package).ok()?;
        let bytes = |path: &str| Some(&members.iter().find(|member| member.path == path)?.bytes);
        let manifest = Manifest::parse(&String::from_utf8_lossy(bytes("manifest.json")?)).ok()?;
        let binary = bytes(manifest.setup("appName"))?;
        let program = Program::read(binary).ok()?;
        let floor = program.floor("GLIBC_").map_or(String::new(), |(a, b)| format!(", GLIBC_{a}.{b}"));
        Some(format!(
            "; {} bytes for {}{floor}; needs {}",
            binary.len(),
            program.arch?,
            program.needed.join(" ")
        ))
    };
    about().unwrap_or_default()
}

fn connect(args: &CameraArgs) -> Result<Camera> {
    let password = match std::env::var("SPOTTER_PASSWORD") {
        Ok(password) => password,
        Err(_) => rpassword::prompt_password(format!("Password of {} at {}: ", args.user, args.address))
            .map_err(|error| {
                Error::new(format!(
                    "the password cannot be asked for ({error}); put it into SPOTTER_PASSWORD"
                ))
            })?,
    };
    let login = Login { user: args.user.clone(), password };
    let known = Known::from_env();
    let client = Client::connect(args.address.clone(), login, args.fingerprint.as_deref(), &known)?;
    Ok(Camera::new(client, &args.app))
}

fn described(about: &About) -> String {
    format!("{}, {} ({}), AXIS OS {}", about.product, about.soc, about.architecture, about.version)
}

fn health(health: &Health) -> String {
    let state = if health.detecting { "detecting" } else { "not detecting" };
    let parts = [state, &health.state, &health.message];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

fn install(args: &InstallArgs) -> Result<()> {
    let mut camera = connect(&args.camera)?;
    let about = camera.about()?;
    println!("camera   {}", described(&about));
    let package = choose(&args.package, &about)?;
    if args.allow_unsigned {
        camera.allow_unsigned()?;
    }
    println!("package  {} ({} bytes)", package.path.display(), package.bytes.len());
    camera.upload(&package)?;
    camera.control("start")?;
    let answer = camera.wait(Duration::from_secs(args.wait))?;
    println!("running  {} {}, {}", package.name(), package.version(), health(&answer));
    println!("page     {}", camera.page());
    Ok(())
}

fn status(args: &CameraArgs) -> Result<()> {
    let mut camera = connect(args)?;
    println!("camera   {}", described(&camera.about()?));
    let Some(application) = camera.application()? else {
        println!("{} is not installed", args.app);
        return Ok(());
    };
    println!("{} {}, {}", args.app, application.version, application.status.to_lowercase());
    if application.status == "Running" {
        let said = camera.health()?.map_or_else(|text| text, |said| health(&said));
        println!("health   {said}");
        println!("page     {}", camera.page());
    }
    Ok(())
}

fn control(args: &CameraArgs, action: &str, done: &str) -> Result<()> {
    connect(args)?.control(action)?;
    println!("{} {done}", args.app);
    Ok(())
}

fn execute(cli: Cli) -> Result<bool> {
    match cli.command {
        Command::Pack(args) => pack_all(&args),
        Command::Install(args) => install(&args),
        Command::Start(args) => control(&args, "start", "runs"),
        Command::Stop(args) => control(&args, "stop", "is stopped"),
        Command::Remove(args) => control(&args, "remove", "is removed, with its settings"),
        Command::Status(args) => status(&args),
        Command::Logs(args) => connect(&args)?.logs().map(|text| print!("{text}")),
        Command::Lint { files } => {
            let mut good = true;
            for path in &files {
                good &= lint_file(path)?;
            }
            return Ok(good);
        }
    }
    .map(|()| true)
}

/// Parses, runs, reports: the whole program. Returns the exit code: 0, 1 where a package is refused, 2 for
/// everything else.
pub fn main() -> u8 {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout and are no failure; clap formats both.
            let code = if error.use_stderr() { 2 } else { 0 };
            let _ = error.print();
            return code;
        }
    };
    match execute(cli) {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(error) => {
            eprintln!("spotter-package: {error}");
            2
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_flags_fit_together() {
        Cli::command().debug_assert();
    }
}
