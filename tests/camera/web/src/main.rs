//! The web front of a simulated Axis camera: users, VAPIX for applications, the applications themselves, their
//! pages, and the reverse proxy to them. What is simulated and what is assumed: docs/camera.md.

mod apps;
mod auth;
mod chip;
mod front;
mod http;
mod package;
mod vapix;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use clap::Parser;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use apps::{Apps, System};
use auth::{Accounts, User};
use chip::Chip;
use front::Camera;
use vapix::{Allowed, Vapix};

/// The simulated camera's serial number, one of the range that is for documentation.
const SERIAL: &str = "ACCC8E000001";

/// Simulates an Axis camera's web front, and runs the applications that are installed in it.
#[derive(Debug, Parser)]
#[command(name = "sim-camera")]
struct Arguments {
    /// Address and port of the camera
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The camera's chip
    #[arg(long, value_enum, default_value = "artpec8")]
    chip: Chip,
    /// Give the camera this machine's processor: it says so, and takes packages for it instead of the chip's own
    #[arg(long)]
    native: bool,
    /// The version of AXIS OS
    #[arg(long, default_value = "12.11.72")]
    os: String,
    /// The folder that is the camera's root; must be readable by everyone
    #[arg(long)]
    root: PathBuf,
    /// An account, NAME:PASSWORD:ROLE with role admin, operator or viewer; may be given again
    #[arg(long = "user", required = true)]
    users: Vec<User>,
    /// A library of the camera (liblarod.so.1, …), copied into its usr/lib; may be given again
    #[arg(long = "library")]
    libraries: Vec<PathBuf>,
    /// What the camera sees, for the simulated capture: a clip, or demo, which is a drawn picture with its number
    #[arg(long, default_value = "demo")]
    source: String,
    /// A variable for the applications, NAME=VALUE; may be given again
    #[arg(long = "env")]
    environment: Vec<String>,
    /// Root of the libraries for packages of another architecture, which run under qemu-user
    #[arg(long)]
    sysroot: Option<PathBuf>,
    /// Use the applications' ports as their manifests have them
    #[arg(long)]
    keep_ports: bool,
    /// Pass the client's Host header on to applications
    #[arg(long)]
    preserve_host: bool,
    /// Pass requests on without X-Forwarded-For, -Host and -Server: Apache adds them by default (ProxyAddHeaders), and no
    /// document says what a camera's is set to
    #[arg(long)]
    no_forwarded: bool,
    /// The user that the web server passes requests on as, where this runs as root: no document says which it is
    #[arg(long, default_value_t = 33)]
    web_user: u32,
    /// Do not let WebSockets through: their requests reach the application as plain ones
    #[arg(long)]
    no_websocket: bool,
    /// Answer 403 to a user who may not, instead of asking for another password
    #[arg(long)]
    forbid: bool,
    /// Seconds for which a nonce of Digest authentication is good
    #[arg(long, default_value_t = 300)]
    nonce_life: u64,
    /// MiB that a package may have
    #[arg(long, default_value_t = 100)]
    package_limit: u64,
    /// End when standard input does: a program that started this one cannot leave it behind
    #[arg(long)]
    until_eof: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sim-camera: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A copy of `file` in the camera, for whoever runs there.
fn copy_in(file: &Path, folder: &Path) -> std::io::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let name = file.file_name().ok_or(std::io::ErrorKind::InvalidInput)?;
    let place = folder.join(name);
    std::fs::copy(file, &place)?;
    std::fs::set_permissions(&place, PermissionsExt::from_mode(0o644))?;
    Ok(place)
}

fn prepare(arguments: &Arguments) -> Result<System, String> {
    let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let root = &arguments.root;
    std::fs::create_dir_all(root).map_err(|error| failed(root, error))?;
    let root = root.canonicalize().map_err(|error| failed(root, error))?;
    std::fs::set_permissions(&root, PermissionsExt::from_mode(0o755))
        .map_err(|error| failed(&root, error))?;
    let mut system = System::new(root, format!("axis-{}", SERIAL.to_lowercase()));
    for library in &arguments.libraries {
        copy_in(library, &system.libraries()).map_err(|error| failed(library, error))?;
    }
    let parameters = [
        ("Properties.Firmware.Version", arguments.os.as_str()),
        ("Properties.System.Soc", arguments.chip.profile(arguments.native).soc),
    ];
    let programs = system.programs();
    parameter_program(&programs, &parameters).map_err(|error| failed(&programs, error))?;
    let simulated = system.root.join("sim");
    std::fs::create_dir_all(&simulated).map_err(|error| failed(&simulated, error))?;
    // Whoever runs an application: the libraries keep what they count and have compiled here.
    std::fs::set_permissions(&simulated, PermissionsExt::from_mode(0o1777))
        .map_err(|error| failed(&simulated, error))?;
    let source = Path::new(&arguments.source);
    let source = if source.is_file() {
        copy_in(source, &simulated).map_err(|error| failed(source, error))?.display().to_string()
    } else {
        arguments.source.clone()
    };
    for (name, value) in [
        ("SPOTTER_SIM_CHIP", arguments.chip.profile(arguments.native).name.to_owned()),
        ("SPOTTER_SIM_SOURCE", source),
        ("SPOTTER_SIM_DIR", simulated.display().to_string()),
    ] {
        system.environment.push((name.to_owned(), value));
    }
    for variable in &arguments.environment {
        let pair = variable.split_once('=').ok_or_else(|| format!("\"{variable}\" is not NAME=VALUE"))?;
        system.environment.push((pair.0.to_owned(), pair.1.to_owned()));
    }
    system.sysroot.clone_from(&arguments.sysroot);
    system.keep_ports = arguments.keep_ports;
    Ok(system)
}

/// The camera's program that tells its parameters, for those that applications ask for.
fn parameter_program(folder: &Path, parameters: &[(&str, &str)]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let cases: String =
        parameters.iter().map(|(name, value)| format!("root.{name}) echo '\"{value}\"' ;;\n")).collect();
    let program = folder.join("parhandclient");
    let text = format!("#!/bin/sh\n[ \"$1\" = get ] || exit 1\ncase \"$2\" in\n{cases}*) exit 1 ;;\nesac\n");
    std::fs::write(&program, text)?;
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755))
}

/// Sixteen bytes that nobody can guess.
fn secret() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn run(arguments: Arguments) -> Result<(), String> {
    let os_version = package::os_version(&arguments.os)
        .ok_or_else(|| format!("\"{}\" is no version of AXIS OS; write 12.11.72", arguments.os))?;
    let system = Arc::new(prepare(&arguments)?);
    let listener = TcpListener::bind(arguments.listen)
        .map_err(|error| format!("cannot listen on {}: {error}", arguments.listen))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let camera = Arc::new(Camera {
        accounts: Accounts {
            realm: format!("AXIS_{SERIAL}"),
            users: arguments.users,
            secret: secret().map_err(|error| format!("/dev/urandom: {error}"))?,
            nonce_life: arguments.nonce_life,
            forbid: arguments.forbid,
        },
        vapix: Vapix {
            profile: arguments.chip.profile(arguments.native),
            os: arguments.os,
            os_version,
            serial: SERIAL.to_owned(),
            package_limit: arguments.package_limit << 20,
            // AXIS OS 11 takes unsigned packages without being asked.
            allowed: Mutex::new(Allowed { unsigned: os_version.0 < 12, root: false }),
            installing: Mutex::new(()),
        },
        apps: Apps::new(system.clone()),
        system,
        preserve_host: arguments.preserve_host,
        forwarded: !arguments.no_forwarded,
        web_user: rustix::process::getuid().is_root().then_some(arguments.web_user),
        no_websocket: arguments.no_websocket,
    });
    let serving = camera.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let camera = serving.clone();
            // Where there is no thread, the client sees a closed connection and comes again.
            let _ = std::thread::Builder::new().spawn(move || camera.serve(stream));
        }
    });
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(|error| error.to_string())?;
    if arguments.until_eof {
        std::thread::spawn(|| {
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            // SIGTERM to oneself: one way out only.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM);
        });
    }
    println!("camera: http://{address}/ ({}, AXIS OS {})", camera.vapix.profile.soc, camera.vapix.os);
    let _ = std::io::stdout().flush();
    signals.forever().next();
    camera.apps.stop_all();
    Ok(())
}
