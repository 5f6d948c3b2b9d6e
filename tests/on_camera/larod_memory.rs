//! Spotter on the simulated larod under valgrind: no invalid read, write or free over loads, changes of the model and
//! lost connections, in both ways of keeping what the documentation of `larod.h` leaves open. First its layers over
//! liblarod in a process of their own, then (`--ignored`) the real program.
#![allow(unsafe_code, reason = "calls the simulated C libraries as a program in C does")]

use std::ffi::{c_int, c_ulong};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::camera::{self, Bench};
use crate::common::process::{self, Running, http};
use crate::common::{say, skip};

/// valgrind runs a program thirty times slower, and other tests run beside this one.
const LIMIT: Duration = Duration::from_secs(300);
/// Changes of the model and lost connections; `$SPOTTER_TEST_VALGRIND_ROUNDS` gives another number.
const ROUNDS: usize = 3;
/// Both of bytes: valgrind multiplies those sooner than floats.
const MODELS: [&str; 2] = ["demo_ssd_mobilenet_v2_per_channel.tflite", "demo_ssd_mobilenet_v2.tflite"];
/// The clock by which the program waits for larod: a job has 5 s of it, of which valgrind makes more.
const CLOCK: &str = "0.2";
/// What valgrind's process ends with where it found something.
const FOUND: &str = "--error-exitcode=99";

/// `PR_GET_AUXV` of linux/prctl.h.
const GET_AUXV: u32 = 0x4155_5856;

/// One step of a filter of system calls: `struct sock_filter` of linux/filter.h.
#[repr(C)]
struct Step(u16, u8, u8, u32);
/// `struct sock_fprog`.
#[repr(C)]
struct Filter(u16, *const Step);

unsafe extern "C" {
    fn prctl(option: c_int, ...) -> c_int;
}

/// Lets the kernel not tell this process and its children where the vDSO is. valgrind takes the vDSO away and says so
/// in the auxiliary vector that it shows, but lets the newer call for that vector through; rustix would look there.
fn hide_the_vdso() -> std::io::Result<()> {
    const NO_NEW_PRIVILEGES: c_int = 38;
    const SECCOMP: c_int = 22;
    const FILTER: c_ulong = 2;
    let call = if cfg!(target_arch = "x86_64") { 157 } else { 167 };
    let (load, equal, end) = (0x20, 0x15, 0x06);
    let steps = [
        Step(load, 0, 0, 0),
        Step(equal, 0, 3, call),
        Step(load, 0, 0, 16),
        Step(equal, 0, 1, GET_AUXV),
        // EINVAL, as of a kernel that does not know it.
        Step(end, 0, 0, 0x0005_0016),
        Step(end, 0, 0, 0x7fff_0000),
    ];
    let filter = Filter(6, steps.as_ptr());
    // SAFETY: the kernel reads the filter's six steps during the call.
    let done = unsafe {
        prctl(NO_NEW_PRIVILEGES, 1 as c_ulong, 0 as c_ulong, 0 as c_ulong, 0 as c_ulong) == 0
            && prctl(SECCOMP, FILTER, &raw const filter) == 0
    };
    if done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

fn rounds() -> usize {
    let set = std::env::var("SPOTTER_TEST_VALGRIND_ROUNDS").ok().filter(|value| !value.is_empty());
    set.map_or(ROUNDS, |value| value.parse().expect("SPOTTER_TEST_VALGRIND_ROUNDS is a number"))
}

fn is_here(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

fn wait_until_detecting(running: &Running, model: &str) {
    let begun = Instant::now();
    loop {
        let status = running.http_get("/api/status").json();
        let detects = running.http_get("/healthz").json()["detecting"] == true;
        if detects && status["state"] == "live" && status["model"]["name"] == model {
            return;
        }
        assert!(begun.elapsed() < LIMIT, "{model} does not run: {status:#}\n{:#?}", running.lines());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A command that runs a program under valgrind; says why not where that cannot be.
fn valgrind(program: &str) -> Option<Command> {
    if !is_here("valgrind") {
        skip("valgrind is not installed: invalid accesses of liblarod's memory are not looked for");
        return None;
    }
    if !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        skip("the number of prctl is not known on this processor, so valgrind cannot run it");
        return None;
    }
    let mut command = process::command("valgrind");
    command.args(["--quiet", FOUND, "--undef-value-errors=no", "--leak-check=no", "--fair-sched=yes"]);
    command.arg(concat!("--suppressions=", env!("CARGO_MANIFEST_DIR"), "/tests/on_camera/valgrind.supp"));
    command.arg(program);
    // SAFETY: it makes system calls and allocates nothing.
    unsafe { command.pre_exec(hide_the_vdso) };
    Some(command)
}

/// The program's own layers over liblarod in a child under valgrind, where nothing depends on time: each round loads a
/// model, runs it and changes it, and loses a connection.
fn survive_in_a_child(arrays: &str, buffers: &str) {
    let program = std::env::current_exe().unwrap();
    let Some(mut command) = valgrind(program.to_str().unwrap()) else { return };
    let (rounds, begun) = (rounds(), Instant::now());
    command.args([
        "--exact",
        "larod_library::memory::a_child_under_valgrind",
        "--nocapture",
        "--test-threads=1",
    ]);
    command.env("SPOTTER_TEST_VALGRIND_CHILD", format!("{arrays} {buffers} {rounds}"));
    let ended = command.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && !said.contains("Invalid"), "{:?}\n{said}", ended.status);
    assert!(said.contains(&format!("{rounds} rounds are done")), "{said}");
    say(&format!(
        "{rounds} models and {rounds} connections under valgrind, arrays {arrays}, buffers {buffers}: nothing \
         invalid, in {:.0} s",
        begun.elapsed().as_secs_f64()
    ));
}

#[test]
fn nothing_invalid_where_a_connection_keeps_its_arrays() {
    survive_in_a_child("kept", "destroy");
}

#[test]
fn nothing_invalid_where_arrays_are_made_anew_and_memory_is_the_callers() {
    survive_in_a_child("rebuilt", "caller");
}

fn survive(arrays: &str, buffers: &str) {
    let Some(mut command) = valgrind(env!("CARGO_BIN_EXE_spotter")) else { return };
    let (bench, state, rounds, begun) =
        (Bench::new(), tempfile::tempdir().unwrap(), rounds(), Instant::now());
    command.args(["run", "--source", "demo:size=320x192,fps=2", "--backend", "larod", "--threads", "1"]);
    command.args(["--listen", "127.0.0.1:0"]);
    command.env("SPOTTER_LAROD", camera::larod()).env("SPOTTER_SIM_CHIP", "artpec7");
    command.env("SPOTTER_SIM_DIR", bench.path()).env("SPOTTER_STATE", state.path());
    command.env("SPOTTER_SIM_ARRAYS", arrays).env("SPOTTER_SIM_BUFFERS", buffers);
    command.env("SPOTTER_SIM_CLOCK", CLOCK);
    let running = Running::start_command(command, LIMIT);
    wait_until_detecting(&running, MODELS[1]);
    for round in 0..rounds {
        let name = MODELS[round % 2];
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name);
        let path = format!("/api/model?name={name}");
        let kind = [("Content-Type", "application/octet-stream")];
        let (asked, file) = (Instant::now(), std::fs::read(file).unwrap());
        loop {
            // Nor does an answer come in the time that others wait for one.
            let Ok(answer) = http(&running.address, "POST", &path, &kind, &file) else {
                assert!(asked.elapsed() < LIMIT, "{name} is not answered: {:#?}", running.lines());
                continue;
            };
            if answer.status == 200 {
                break;
            }
            // A model is given up whose job takes too long, which is what valgrind may make of it.
            assert_eq!(answer.status, 503, "{}", answer.text());
            assert!(asked.elapsed() < LIMIT, "{}", answer.text());
        }
        wait_until_detecting(&running, name);
    }
    let name = if rounds == 0 { MODELS[1] } else { MODELS[(rounds - 1) % 2] };
    for _ in 0..rounds {
        bench.faults("larod restart");
        let lost = Instant::now();
        while running.http_get("/api/status").json()["state"] != "backend-failed" {
            assert!(lost.elapsed() < LIMIT, "the lost connection is not said: {:#?}", running.lines());
            std::thread::sleep(Duration::from_millis(50));
        }
        bench.faults("");
        wait_until_detecting(&running, name);
    }
    let finished = running.stop(LIMIT);
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    assert!(!finished.stderr.contains("Invalid"), "{finished:#?}");
    say(&format!(
        "{rounds} models and {rounds} connections under valgrind, arrays {arrays}, buffers {buffers}: nothing \
         invalid, in {:.0} s",
        begun.elapsed().as_secs_f64()
    ));
}

#[test]
#[ignore = "takes a minute: run it with --ignored after changes at the border to larod"]
fn nothing_invalid_in_the_program_where_a_connection_keeps_its_arrays() {
    survive("kept", "destroy");
}

#[test]
#[ignore = "takes a minute: run it with --ignored after changes at the border to larod"]
fn nothing_invalid_in_the_program_where_arrays_are_made_anew_and_memory_is_the_callers() {
    survive("rebuilt", "caller");
}
