//! `build.sh` as a person uses it.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

fn build_sh(command: &str) -> Output {
    // From another folder: the script finds the repository by itself.
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/build.sh");
    Command::new(script).arg(command).current_dir(std::env::temp_dir()).output().expect("build.sh starts")
}

#[test]
fn help_names_every_command() {
    let output = build_sh("help");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    for command in ["setup", "run", "eap", "install", "status|logs|remove", "camera", "test", "train", "help"]
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
    let started = Instant::now();
    let output = build_sh("setup");
    let took = started.elapsed();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "setup: everything is in place\n");
    assert!(took < Duration::from_secs(3), "{took:?}");
}
