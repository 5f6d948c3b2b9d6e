//! The program as the tests start it.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_sim-camera"))
}

#[test]
fn it_says_where_it_is_asks_who_comes_and_ends_with_who_started_it() {
    let root = tempfile::tempdir().unwrap();
    let mut command = program();
    command
        .args(["--until-eof", "--user", "root:pass:admin", "--chip", "artpec7", "--root"])
        .arg(root.path());
    let mut camera = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(camera.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let address = first.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address");
    assert!(first.ends_with("(Axis Artpec-7, AXIS OS 12.11.72)\n"), "{first}");
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /axis-cgi/param.cgi HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("Digest "), "{answer}");
    drop(camera.stdin.take());
    assert_eq!(camera.wait().unwrap().code(), Some(0));
}

#[test]
fn it_says_what_it_does_not_take() {
    let root = tempfile::tempdir().unwrap();
    let mut command = program();
    command.args(["--user", "root:pass:admin", "--os", "twelve", "--root"]).arg(root.path());
    let ended = command.output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(said, "sim-camera: \"twelve\" is no version of AXIS OS; write 12.11.72\n");
}
