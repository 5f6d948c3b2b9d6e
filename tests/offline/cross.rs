//! The programs for cameras, on processors that this machine plays (qemu) and with a root as old as AXIS OS 11:
//! what `./build.sh eap` built is tried, and built here no more, because that takes a quarter of an hour.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::common::camera_front::Camera as Simulated;
use crate::common::process::{Finished, Running, command, run_command};
use crate::common::skip;

/// Foreign code runs ten to fifty times slower.
const LIMIT: Duration = Duration::from_secs(240);

struct Camera {
    arch: &'static str,
    qemu: &'static str,
    gnu: &'static str,
    program: PathBuf,
    sysroot: PathBuf,
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// When the file, or the youngest file below the folder, was changed.
fn newest(path: &Path) -> SystemTime {
    let own = path.metadata().unwrap();
    if own.is_file() {
        return own.modified().unwrap();
    }
    // What Python leaves behind is no source.
    let entries =
        std::fs::read_dir(path).unwrap().flatten().filter(|entry| entry.file_name() != "__pycache__");
    entries.map(|entry| newest(&entry.path())).max().unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The program for this processor, where it was built and can be run.
fn camera(arch: &'static str) -> Option<Camera> {
    let (target, gnu, qemu) = match arch {
        "aarch64" => ("aarch64-unknown-linux-gnu", "aarch64-linux-gnu", "qemu-aarch64-static"),
        _ => ("armv7-unknown-linux-gnueabihf", "arm-linux-gnueabihf", "qemu-arm-static"),
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let program = folder.join(target).join("camera/spotter");
    let sysroot = project().join("target/sysroots").join(arch).join("sysroot");
    if !program.is_file() || !sysroot.is_dir() {
        skip(&format!("{arch}: ./build.sh eap {arch} has not been run"));
        return None;
    }
    let built = program.metadata().and_then(|about| about.modified()).unwrap();
    if ["app", "models", "Cargo.toml", "Cargo.lock"].iter().any(|path| newest(&project().join(path)) > built)
    {
        skip(&format!("{arch}: its program is older than the sources; run ./build.sh eap {arch}"));
        return None;
    }
    if Command::new(qemu).arg("--version").output().is_err() {
        skip(&format!("{arch}: there is no {qemu}"));
        return None;
    }
    Some(Camera { arch, qemu, gnu, program, sysroot })
}

impl Camera {
    /// In Debian 11: the C library and GLib are as old as any camera's.
    fn run(&self, arguments: &[&str]) -> Finished {
        let mut qemu = command(self.qemu);
        qemu.arg("-L").arg(&self.sysroot).arg(&self.program).args(arguments);
        // Neither a runtime nor models of this machine.
        qemu.env("SPOTTER_TFLITE", "/absent/libtensorflowlite_c.so").env("XDG_CACHE_HOME", "/absent");
        qemu.current_dir(env!("CARGO_TARGET_TMPDIR"));
        run_command(qemu, LIMIT)
    }

    /// The program with the cross compiler's newer C library, which TensorFlow Lite asks for, and GLib as before, which
    /// is linked to from `folder`.
    fn with_tflite(&self, folder: &Path) -> Option<Command> {
        let library = self.sysroot.with_file_name("libtensorflowlite_c.so");
        let root = Path::new("/usr").join(self.gnu);
        if !library.is_file() || !root.join("lib/libstdc++.so.6").exists() {
            skip(&format!(
                "{}: no TensorFlow Lite for it in target/sysroots (./build.sh test gets it), or no libstdc++6-*-cross",
                self.arch
            ));
            return None;
        }
        for entry in self.glib() {
            let name = entry.file_name().unwrap();
            std::os::unix::fs::symlink(&entry, folder.join(name)).unwrap();
        }
        let mut qemu = command(self.qemu);
        qemu.arg("-L").arg(root).arg("-E").arg(format!("LD_LIBRARY_PATH={}", folder.display()));
        qemu.arg(&self.program);
        qemu.env("SPOTTER_TFLITE", &library).env("SPOTTER_STATE", folder);
        Some(qemu)
    }

    /// GLib and what it needs and no more: two C libraries in one process do not go together.
    fn glib(&self) -> Vec<PathBuf> {
        const GLIB: [&str; 10] = [
            "libglib-",
            "libgobject-",
            "libgmodule-",
            "libgio-",
            "libpcre",
            "libffi",
            "libz.",
            "libmount",
            "libblkid",
            "libselinux",
        ];
        let folders = ["usr/lib", "lib"].map(|place| self.sysroot.join(place).join(self.gnu));
        let entries = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap().flatten());
        let wanted = entries.map(|entry| entry.path()).filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            GLIB.iter().any(|start| name.starts_with(start)) && name.contains(".so.")
        });
        wanted.collect()
    }
}

fn starts(arch: &'static str) {
    let Some(camera) = camera(arch) else { return };
    let version = camera.run(&["--version"]);
    assert_eq!(
        (version.code, version.stdout.trim()),
        (Some(0), concat!("spotter ", env!("CARGO_PKG_VERSION")))
    );
    let help = camera.run(&["run", "--help"]);
    assert!(help.code == Some(0) && help.stdout.contains("--listen"), "{help:?}");
    // The very words that the desktop's program has for this model, to the last digit.
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/models/demo_ssd_mobilenet_v2.tflite");
    let inspected = camera.run(&["inspect", model, "--json"]);
    let here = crate::common::process::run(["inspect", model, "--json"], LIMIT);
    assert_eq!(inspected.code, Some(0), "{}", inspected.stderr);
    assert!(inspected.stdout == here.stdout, "inspect says something else than on a desktop");
    for (arguments, words) in [
        (&["detect", "a.jpg"][..], "this build of Spotter is for a camera and has `run` and `inspect` alone"),
        (
            &["inspect", "deeplab-mobilenet-v2-pascal"],
            "this build of Spotter cannot download deeplab-mobilenet-v2-pascal",
        ),
        (&["run", "--source", "demo"], "this build of Spotter is for a camera and has no demo scene"),
        (&["inspect", "spotter-demo"], "this build of Spotter cannot download spotter-demo"),
    ] {
        let refused = camera.run(arguments);
        assert!(refused.code.is_some_and(|code| code > 1 && code < 100), "{refused:?}");
        assert!(refused.stderr.contains(words), "{words}: {}", refused.stderr);
    }
}

/// A picture of the demo scene, from the desktop's program: a camera's has no scene.
fn street(folder: &Path) -> PathBuf {
    let desktop = Running::start(["--source", "demo:seed=15,size=640x360,fps=5"], LIMIT);
    let answer = desktop.http_get("/api/v1/snapshot.jpg");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let file = folder.join("street.jpg");
    std::fs::write(&file, &answer.body).unwrap();
    desktop.stop(LIMIT);
    file
}

/// The model of the demo scene, which a camera's program gets as a file.
fn model() -> PathBuf {
    project().join("models").join(spotter::model::catalogue::demo::FILE)
}

/// A picture of the demo scene through its model to the first scenes, and a picture for the page.
fn finds_things(arch: &'static str) {
    let Some(camera) = camera(arch) else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some(mut qemu) = camera.with_tflite(folder.path()) else { return };
    qemu.args(["run", "--conf", "0.3", "--listen", "127.0.0.1:0", "--source"]).arg(street(folder.path()));
    qemu.arg("--model").arg(model());
    let running = Running::start_command(qemu, LIMIT);
    let (mut after, mut found) = (0, 0);
    for _ in 0..5 {
        let scene = loop {
            let answer = running.http_get(&format!("/api/scene?after={after}&timeout_ms=20000"));
            if answer.status == 200 {
                break answer.body;
            }
        };
        let scene: serde_json::Value = serde_json::from_slice(&scene).unwrap();
        let frame = &scene["frame"];
        after = frame["seq"].as_u64().unwrap();
        assert_eq!((frame["width"].as_u64(), frame["height"].as_u64()), (Some(640), Some(360)));
        found += frame["observations"].as_array().unwrap().len();
    }
    assert!(found > 0, "five times a street with nobody in it");
    let finished = running.stop(LIMIT);
    crate::common::say(&format!("{arch}: {found} things in 5 scenes; {}", finished.stdout.trim()));
}

/// The package with a picture of a street as its source and the model that knows it: the libraries for capture and
/// inference of the simulated camera are this machine's and cannot be opened by another processor's program.
fn with_street(package: &Path, folder: &Path) -> PathBuf {
    let inside = folder.join("package");
    std::fs::create_dir(&inside).unwrap();
    let unpacked = Command::new("tar").arg("-xzf").arg(package).arg("-C").arg(&inside).status();
    assert!(unpacked.unwrap().success());
    std::fs::create_dir_all(inside.join("models")).unwrap();
    let (street, model) = (street(folder), model());
    let names = [&street, &model].map(|file| file.file_name().unwrap().to_str().unwrap());
    for file in [&street, &model] {
        std::fs::copy(file, inside.join("models").join(file.file_name().unwrap())).unwrap();
    }
    let listen = "run --listen 127.0.0.1:27768";
    for name in ["manifest.json", "package.conf"] {
        let text = std::fs::read_to_string(inside.join(name)).unwrap();
        let (before, after) = text.split_once(listen).unwrap();
        // In the place of a model that the package may have.
        let (_, after) = after.split_once('"').unwrap();
        let text =
            format!("{before}{listen} --source models/{} --model models/{}\"{after}", names[0], names[1]);
        std::fs::write(inside.join(name), text).unwrap();
    }
    let changed = folder.join(package.file_name().unwrap());
    let packed = Command::new("tar").arg("-czf").arg(&changed).arg("-C").arg(&inside).arg(".").status();
    assert!(packed.unwrap().success());
    changed
}

/// The package that `./build.sh eap` made, installed in a simulated camera with such a processor, to its fifth scene
/// through the camera's own web server.
fn package_runs(arch: &'static str, chip: &str) {
    let Some(camera) = camera(arch) else { return };
    let scratch = tempfile::tempdir().unwrap();
    if camera.with_tflite(scratch.path()).is_none() {
        return;
    }
    let version = env!("CARGO_PKG_VERSION").replace('.', "_");
    let package = project().join(format!("target/acap/Spotter_{version}_{arch}.eap"));
    if !package.is_file() || newest(&package) < newest(&camera.program) {
        skip(&format!("{arch}: no package of this program in target/acap; run ./build.sh eap {arch}"));
        return;
    }
    let sysroot = Path::new("/usr").join(camera.gnu).display().to_string();
    let libraries =
        camera.glib().into_iter().chain([camera.sysroot.with_file_name("libtensorflowlite_c.so")]);
    let libraries: Vec<String> = libraries.map(|path| path.display().to_string()).collect();
    let mut arguments = vec!["--chip", chip, "--sysroot", &sysroot];
    arguments.extend(libraries.iter().flat_map(|library| ["--library", library]));
    let Some(simulated) = Simulated::start(&arguments) else { return };
    simulated.vapix("applications/config.cgi?action=set&name=AllowUnsigned&value=true");
    // As it is it lives: a camera without capture (its library cannot be opened) is waited for, on the page.
    assert_eq!(simulated.upload(&package), "OK", "{}", simulated.log());
    assert_eq!(simulated.control("start"), "OK");
    let begun = std::time::Instant::now();
    while simulated.get("status")["source"]["kind"] != "camera" {
        assert!(begun.elapsed() < LIMIT, "{}", simulated.log());
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(!simulated.log().contains("the process ended"), "{}", simulated.log());
    assert_eq!(simulated.upload(&with_street(&package, scratch.path())), "OK", "{}", simulated.log());
    simulated.wait_until_detecting(LIMIT);
    let (mut after, mut found) = (0, 0);
    for _ in 0..5 {
        let scene = loop {
            let scene = simulated.get(&format!("scene?after={after}&timeout_ms=20000"));
            if scene["http"].is_null() {
                break scene;
            }
            assert_eq!(scene["http"], 204, "{scene}\n{}", simulated.log());
        };
        after = scene["frame"]["seq"].as_u64().unwrap();
        found += scene["frame"]["observations"].as_array().unwrap().len();
    }
    crate::common::say(&format!("{arch}: {found} things in 5 scenes of the package on a simulated {chip}"));
    assert!(found > 0, "five times a street with nobody in it");
    assert_eq!(simulated.control("stop"), "OK");
}

/// Where a package was made here it is as small as package/sizes.txt says, whatever else is checked.
fn is_small(arch: &str) {
    let version = env!("CARGO_PKG_VERSION").replace('.', "_");
    let package = project().join(format!("target/acap/Spotter_{version}_{arch}.eap"));
    let Ok(about) = package.metadata() else {
        skip(&format!("{arch}: no package in target/acap; run ./build.sh eap {arch} --model none"));
        return;
    };
    let list = Command::new("tar").arg("-tzf").arg(&package).output().unwrap();
    if String::from_utf8_lossy(&list.stdout).lines().any(|member| member.starts_with("models/")) {
        skip(&format!(
            "{arch}: the package in target/acap has a model; run ./build.sh eap {arch} --model none"
        ));
        return;
    }
    let sizes = std::fs::read_to_string(project().join("package/sizes.txt")).unwrap();
    let most = sizes.lines().find_map(|line| line.strip_prefix(arch)).unwrap().trim().parse::<u64>().unwrap();
    assert!(about.len() <= most && most <= 1_800_000, "{arch}: {} bytes of at most {most}", about.len());
}

#[test]
fn packages_without_a_model_are_small() {
    is_small("aarch64");
    is_small("armv7hf");
}

#[test]
fn the_package_for_aarch64_runs_on_a_simulated_camera() {
    package_runs("aarch64", "artpec8");
}

#[test]
fn the_package_for_armv7hf_runs_on_a_simulated_camera() {
    package_runs("armv7hf", "artpec7");
}

#[test]
fn aarch64_starts_on_a_system_as_old_as_debian_11() {
    starts("aarch64");
}

#[test]
fn armv7hf_starts_on_a_system_as_old_as_debian_11() {
    starts("armv7hf");
}

#[test]
fn aarch64_finds_things_in_a_picture() {
    finds_things("aarch64");
}

#[test]
fn armv7hf_finds_things_in_a_picture() {
    finds_things("armv7hf");
}
