use super::*;
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;

const BODY: &[u8] = b"hello";

fn pin() -> Pin {
    // `printf hello | git hash-object --stdin`
    Pin { git_blob: Some("b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0".into()), ..Pin::default() }
}

/// Answers `requests` requests on 127.0.0.1; gives its address.
fn serve(requests: usize, answer: impl Fn(tiny_http::Request) + Send + 'static) -> String {
    let server = tiny_http::Server::http("127.0.0.1:0").unwrap();
    let url = format!("http://{}/m.tflite", server.server_addr());
    thread::spawn(move || {
        for _ in 0..requests {
            match server.recv_timeout(Duration::from_secs(10)) {
                Ok(Some(request)) => answer(request),
                _ => return,
            }
        }
    });
    url
}

/// Sends each answer as it is on a connection of its own, then closes it; gives the address and what
/// was asked.
fn serve_raw(answers: Vec<Vec<u8>>) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/m.tflite", listener.local_addr().unwrap());
    let (asked, requests) = mpsc::channel();
    thread::spawn(move || {
        for answer in answers {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                head.push(byte[0]);
            }
            let _ = asked.send(String::from_utf8_lossy(&head).to_ascii_lowercase());
            let _ = stream.write_all(&answer);
        }
    });
    (url, requests)
}

fn get(url: &str, target: &Path, pin: &Pin) -> Result<()> {
    fetch(&agent(Security::Any), url, target, pin, &mut Progress::silent())
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn the_right_file_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("cache/deep/m.tflite");
    let url = serve(1, |r| r.respond(tiny_http::Response::from_data(BODY)).unwrap());
    get(&url, &target, &pin()).unwrap();
    assert_eq!(std::fs::read(&target).unwrap(), BODY);
    assert_eq!(files(target.parent().unwrap()), ["m.tflite"]);
}

#[test]
fn a_wrong_sum_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("m.tflite");
    let url = serve(1, |r| r.respond(tiny_http::Response::from_data(&b"hellO"[..])).unwrap());
    let error = get(&url, &target, &pin()).unwrap_err();
    assert_eq!(error.kind(), Kind::Download);
    assert_eq!(error.to_string(), format!("what {url} sent has the wrong checksum and was deleted"));
    assert!(files(folder.path()).is_empty());
}

#[test]
fn nothing_known_of_a_file_is_no_reason_to_trust_it() {
    let folder = tempfile::tempdir().unwrap();
    let url = serve(1, |r| r.respond(tiny_http::Response::from_data(BODY)).unwrap());
    assert!(get(&url, &folder.path().join("m.tflite"), &Pin::default()).is_err());
    assert!(files(folder.path()).is_empty());
}

#[test]
fn a_status_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let url = serve(1, |r| r.respond(tiny_http::Response::empty(404)).unwrap());
    let error = get(&url, &folder.path().join("m.tflite"), &pin()).unwrap_err();
    assert_eq!(error.to_string(), format!("{url} answered with status 404"));
    assert!(files(folder.path()).is_empty());
}

#[test]
fn a_cut_connection_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("m.tflite");
    let (url, requests) = serve_raw(vec![
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel".to_vec(),
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 3-4/5\r\nContent-Length: 2\r\n\r\nlo".to_vec(),
    ]);
    get(&url, &target, &pin()).unwrap();
    assert_eq!(std::fs::read(&target).unwrap(), BODY);
    assert!(!requests.recv().unwrap().contains("range:"));
    assert!(requests.recv().unwrap().contains("range: bytes=3-\r\n"));
    assert_eq!(files(folder.path()), ["m.tflite"]);
}

#[test]
fn a_download_goes_on_in_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("m.tflite");
    let cut = || {
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 3-4/5\r\nContent-Length: 2\r\n\r\n".to_vec()
    };
    std::fs::write(folder.path().join("m.tflite.part"), "hel").unwrap();
    let (url, _requests) = serve_raw(vec![cut(), cut(), cut()]);
    let error = get(&url, &target, &pin()).unwrap_err();
    assert!(error.to_string().contains("was cut off after 3"), "{error}");
    assert_eq!(files(folder.path()), ["m.tflite.part"]);
    let rest = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 3-4/5\r\nContent-Length: 2\r\n\r\nlo";
    let (url, _requests) = serve_raw(vec![rest.to_vec()]);
    get(&url, &target, &pin()).unwrap();
    assert_eq!(files(folder.path()), ["m.tflite"]);
}

#[test]
fn a_complete_part_needs_no_request() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("m.tflite");
    std::fs::write(folder.path().join("m.tflite.part"), BODY).unwrap();
    get("http://127.0.0.1:9/m", &target, &pin()).unwrap();
    assert_eq!(files(folder.path()), ["m.tflite"]);
}

#[test]
fn a_server_without_ranges_sends_all_again() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("m.tflite");
    std::fs::write(folder.path().join("m.tflite.part"), "an older and longer file").unwrap();
    let url = serve(1, |r| r.respond(tiny_http::Response::from_data(BODY)).unwrap());
    get(&url, &target, &pin()).unwrap();
    assert_eq!(std::fs::read(&target).unwrap(), BODY);

    std::fs::write(folder.path().join("m.tflite.part"), "stale").unwrap();
    let (url, _requests) = serve_raw(vec![
        b"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_vec(),
    ]);
    get(&url, &target, &pin()).unwrap();
    assert_eq!(std::fs::read(&target).unwrap(), BODY);
}

#[test]
fn endless_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (url, _requests) =
        serve_raw(vec![b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nx".to_vec()]);
    let error = get(&url, &folder.path().join("m.tflite"), &pin()).unwrap_err();
    assert_eq!(error.to_string(), format!("{url} sends more than 200 MiB"));
    assert!(files(folder.path()).is_empty());
}

#[test]
fn http_is_refused_and_so_is_a_second_writer() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("m.tflite");
    let secure = agent(Security::HttpsOnly);
    let error = fetch(&secure, "http://127.0.0.1:9/m", &target, &pin(), &mut Progress::silent()).unwrap_err();
    assert_eq!(error.kind(), Kind::Download);
    let other = File::create(folder.path().join("m.tflite.part")).unwrap();
    other.lock().unwrap();
    let error = get("http://127.0.0.1:9/m", &target, &pin()).unwrap_err();
    assert_eq!(error.kind(), Kind::Busy);
}

/// What the test below runs in a terminal: not a test of its own.
#[test]
#[ignore = "run by a_terminal_shows_a_bar"]
fn download_for_a_terminal() {
    let [url, target] = ["SPOTTER_TEST_URL", "SPOTTER_TEST_TARGET"].map(|name| std::env::var(name).unwrap());
    let git_blob = std::env::var("SPOTTER_TEST_BLOB").ok();
    let pin = Pin { git_blob, ..Pin::default() };
    fetch(&agent(Security::Any), &url, Path::new(&target), &pin, &mut Progress::on_stderr("model")).unwrap();
}

#[test]
fn a_terminal_shows_a_bar() {
    // script(1) gives a program a terminal and writes down what it drew there.
    if std::process::Command::new("script").arg("--version").output().is_err() {
        crate::testdata::said::skip("a terminal shows a bar: there is no script command");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("m.tflite");
    let body = vec![7u8; 3_000_000];
    let blob = crate::catalogue::hex(&{
        use sha1::Digest;
        sha1::Sha1::new_with_prefix(format!("blob {}\0", body.len())).chain_update(&body).finalize()
    });
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/m.tflite", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n");
        // Slow enough for the bar to be drawn in between.
        for part in body.chunks(500_000) {
            let _ = stream.write_all(part);
            thread::sleep(Duration::from_millis(150));
        }
    });
    let program = std::env::current_exe().unwrap();
    // Names of tests leave out the crate's.
    let (_, here) = module_path!().split_once("::").unwrap();
    let arguments = format!("--exact {here}::download_for_a_terminal --ignored --nocapture --test-threads=1");
    let run = std::process::Command::new("script")
        .args(["-qec", &format!("stty cols 72; '{}' {arguments}", program.display()), "/dev/null"])
        .env("SPOTTER_TEST_URL", &url)
        .env("SPOTTER_TEST_TARGET", &target)
        .env("SPOTTER_TEST_BLOB", &blob)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let drawn = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && target.exists(), "{drawn}");
    let bars: Vec<&str> = drawn.split('\r').filter(|line| line.starts_with("model  ")).collect();
    assert!(bars.len() >= 4, "{drawn:?}");
    assert!(bars[0].starts_with("model  [------"), "{bars:?}");
    assert!(bars.iter().any(|bar| bar.contains(" %  1.") && bar.contains("MB/s")), "{bars:?}");
    assert!(bars.iter().all(|bar| bar.chars().count() <= 72 + "\x1b[K".len()), "{bars:?}");
    assert!(bars.last().unwrap().starts_with("model  3.0 MB in "), "{bars:?}");
}

#[test]
fn what_is_taken_on_trust_is_taken_from_its_first_byte_on() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("m.bin");
    // The rest of another file.
    std::fs::write(folder.path().join("m.bin.part"), "of another time").unwrap();
    let (url, requests) = serve_raw(vec![b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_vec()]);
    fetch_on_trust(&agent(Security::Any), &url, &target, &mut Progress::silent()).unwrap();
    assert!(!requests.recv().unwrap().contains("range:"));
    assert_eq!(std::fs::read(&target).unwrap(), b"hello");
    assert_eq!(files(folder.path()), ["m.bin"]);
}
