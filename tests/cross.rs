//! The programs for cameras, on processors that this machine plays (qemu) and with a root as old as AXIS OS 11:
//! what `./build.sh eap` built is tried, and built here no more, because that takes a quarter of an hour.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use common::process::{Finished, Running, command, run_command};
use common::skip;

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
        // Only GLib and what it needs: two C libraries in one process do not go together.
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
        for place in ["usr/lib", "lib"] {
            for entry in std::fs::read_dir(self.sysroot.join(place).join(self.gnu)).unwrap().flatten() {
                let name = entry.file_name().into_string().unwrap();
                if GLIB.iter().any(|start| name.starts_with(start)) && name.contains(".so.") {
                    std::os::unix::fs::symlink(entry.path(), folder.join(name)).unwrap();
                }
            }
        }
        let mut qemu = command(self.qemu);
        qemu.arg("-L").arg(root).arg("-E").arg(format!("LD_LIBRARY_PATH={}", folder.display()));
        qemu.arg(&self.program);
        qemu.env("SPOTTER_TFLITE", &library).env("SPOTTER_STATE", folder);
        Some(qemu)
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
    let here = common::process::run(["inspect", model, "--json"], LIMIT);
    assert_eq!(inspected.code, Some(0), "{}", inspected.stderr);
    assert!(inspected.stdout == here.stdout, "inspect says something else than on a desktop");
    for (arguments, words) in [
        (&["detect", "a.jpg"][..], "this build of Spotter is for a camera and has `run` and `inspect` alone"),
        (
            &["inspect", "deeplab-mobilenet-v2-pascal"],
            "this build of Spotter cannot download deeplab-mobilenet-v2-pascal",
        ),
        (&["run", "--source", "demo"], "no TensorFlow Lite at hand"),
    ] {
        let refused = camera.run(arguments);
        assert!(refused.code.is_some_and(|code| code > 1 && code < 100), "{refused:?}");
        assert!(refused.stderr.contains(words), "{words}: {}", refused.stderr);
    }
}

/// The demo scene through the model inside the program to the first scenes, and a picture for the page.
fn finds_things(arch: &'static str) {
    let Some(camera) = camera(arch) else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some(mut qemu) = camera.with_tflite(folder.path()) else { return };
    qemu.args(["run", "--source", "demo:size=640x360,fps=2", "--conf", "0.3", "--listen", "127.0.0.1:0"]);
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
    assert!(found > 0, "five frames of a street with nobody in it");
    let finished = running.stop(LIMIT);
    common::say(&format!("{arch}: {found} things in 5 scenes; {}", finished.stdout.trim()));
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
fn aarch64_finds_things_in_the_demo_scene() {
    finds_things("aarch64");
}

#[test]
fn armv7hf_finds_things_in_the_demo_scene() {
    finds_things("armv7hf");
}
