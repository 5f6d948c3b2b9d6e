//! `build.sh` as a person uses it.

use std::process::{Command, Output};

fn command(command: &str) -> Command {
    let mut script = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/build.sh"));
    // From another folder: the script finds the repository by itself.
    script.arg(command).current_dir(std::env::temp_dir());
    script
}

fn build_sh(name: &str) -> Output {
    command(name).output().expect("build.sh starts")
}

#[test]
fn help_names_every_command() {
    let output = build_sh("help");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    for command in
        ["setup", "run", "eap", "install", "status|logs|remove", "camera", "test", "bench", "train", "help"]
    {
        assert!(text.contains(&format!("./build.sh {command}")), "{command} is not in\n{text}");
    }
}

#[test]
fn an_unknown_command_is_refused_in_one_line() {
    let output = build_sh("tset");
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("tset") && text.lines().count() == 1, "{text}");
}

#[test]
fn setup_that_has_nothing_to_do_says_so_at_once() {
    if std::env::var_os("SPOTTER_SETUP_DONE").is_none() {
        crate::common::skip(
            "repeated setup: the tests were not started with ./build.sh test, setup could install",
        );
        return;
    }
    // What takes its time, and nothing of that is needed.
    let folder = tempfile::tempdir().unwrap();
    for name in ["apt-get", "sudo", "pip", "curl"] {
        let stub = folder.path().join(name);
        std::fs::write(&stub, format!("#!/bin/sh\necho {name} >>'{}/called'\n", folder.path().display()))
            .unwrap();
        std::fs::set_permissions(&stub, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let output = command("setup").env("PATH", path).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "setup: everything is in place\n");
    assert!(!folder.path().join("called").exists(), "something was to be installed");
}
