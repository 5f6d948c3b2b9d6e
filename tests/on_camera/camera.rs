//! Spotter as an application on a camera, which is simulated: installed through VAPIX, started as another user,
//! seen in a browser through the camera's own web server.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::common::camera_front::{Camera, pack};
use crate::common::process::{self, Running};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);

/// A camera that a package is installed in.
struct Profile {
    chip: &'static str,
    os: &'static str,
    soc: &'static str,
    /// How Spotter is started there.
    options: &'static str,
}

/// One is enough for what the web server does; `chips.rs` has one with each chip.
const PROFILES: [Profile; 1] = [Profile {
    chip: "artpec8",
    os: "12.11.72",
    soc: "Axis Artpec-8",
    options: "run --source demo:seed=15,size=640x360,fps=10 --listen 127.0.0.1:27768",
}];

fn started(profile: &Profile, more: &[&str]) -> Option<(Camera, PathBuf)> {
    let camera = Camera::start(&[&["--chip", profile.chip, "--os", profile.os, "--native"], more].concat())?;
    let package = pack(camera.root.path(), profile.options, |_| ());
    camera.vapix("applications/config.cgi?action=set&name=AllowUnsigned&value=true");
    assert_eq!(camera.upload(&package), "OK", "{}", camera.log());
    assert_eq!(camera.control("start"), "OK");
    camera.wait_until_detecting(LIMIT);
    Some((camera, package))
}

fn patch(camera: &Camera, user: &str, path: &str, body: &str) -> (u16, String) {
    camera.curl(user, &["--request", "PATCH", "--data", body], &format!("/local/spotter/{path}"))
}

#[test]
fn a_camera_takes_starts_upgrades_and_removes_the_application() {
    for profile in &PROFILES {
        let arguments = ["--chip", profile.chip, "--os", profile.os, "--native"];
        let Some(camera) = Camera::start(&arguments) else { return };
        assert_eq!(
            camera.vapix("param.cgi?action=list&group=root.Properties.System.Soc"),
            format!("root.Properties.System.Soc={}", profile.soc)
        );
        // Unsigned packages need an administrator's word.
        let package = pack(camera.root.path(), profile.options, |_| ());
        let upload = "/axis-cgi/applications/upload.cgi";
        assert_eq!(camera.curl("viewer", &["--form", "file=@/dev/null"], upload).0, 401);
        assert_eq!(camera.curl("nobody", &["--form", "file=@/dev/null"], upload).0, 401);
        assert_eq!(camera.upload(&package), "Error: 2");
        let set = "applications/config.cgi?action=set&name=AllowUnsigned&value=true";
        assert!(camera.vapix(set).contains("<param name=\"AllowUnsigned\" value=\"true\"/>"));
        assert_eq!(camera.control("start"), "Error: 4");
        assert_eq!(camera.upload(&package), "OK", "{}", camera.log());

        // Not started by being installed; the page is there, what is behind the proxy is not.
        let list = camera.vapix("applications/list.cgi");
        assert!(list.contains("Name=\"spotter\"") && list.contains("Status=\"Stopped\""), "{list}");
        assert_eq!(camera.curl("viewer", &[], "/local/spotter/index.html").0, 200);
        assert_eq!(camera.curl("viewer", &[], "/local/spotter/api/healthz").0, 503);
        assert_eq!((camera.control("stop"), camera.control("start")), ("Error: 7".into(), "OK".into()));
        camera.wait_until_detecting(LIMIT);
        // The application has asked the camera itself, by the camera's own program.
        let told = camera.get("status")["camera"].clone();
        assert_eq!((&told["axis_os"], &told["soc"]), (&json!(profile.os), &json!(profile.soc)), "{told}");
        assert_eq!(camera.control("start"), "Error: 6");
        assert!(camera.vapix("applications/list.cgi").contains("Status=\"Running\""));

        // Not as root, from a folder that it cannot write to.
        let id = camera.process();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let user = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap().trim();
        assert_ne!(user.split_whitespace().next(), Some("0"), "{user}");
        assert_eq!(std::fs::read_link(format!("/proc/{id}/cwd")).unwrap(), camera.package());
        let mode = std::os::unix::fs::MetadataExt::mode(&camera.package().metadata().unwrap());
        assert_eq!(mode & 0o222, 0, "{mode:o}");

        // It dies, and is back.
        assert!(
            std::process::Command::new("kill").args(["-KILL", &id.to_string()]).status().unwrap().success()
        );
        let begun = Instant::now();
        while camera.get("status")["uptime_s"]
            .as_f64()
            .is_none_or(|uptime| uptime > begun.elapsed().as_secs_f64())
        {
            assert!(begun.elapsed() < LIMIT, "{}", camera.log());
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_ne!(camera.process(), id);

        // What was set outlives an upgrade, which starts it again.
        assert_eq!(patch(&camera, "root", "admin/settings", r#"{"confidence":0.3}"#).0, 200);
        let newer = pack(camera.root.path(), profile.options, |manifest| {
            manifest["acapPackageConf"]["setup"]["version"] = json!("9.8.7");
        });
        assert_eq!(camera.upload(&newer), "OK");
        camera.wait_until_detecting(LIMIT);
        assert_eq!(camera.get("settings")["confidence"], 0.3, "{}", camera.log());
        assert!(camera.vapix("applications/list.cgi").contains("Version=\"9.8.7\""));

        assert_eq!(camera.control("remove"), "OK");
        assert!(!camera.package().exists());
        assert!(!camera.vapix("applications/list.cgi").contains("spotter"));
        assert_eq!(camera.curl("viewer", &[], "/local/spotter/index.html").0, 404);
        assert!(!Path::new(&format!("/proc/{id}")).exists());
    }
}

#[test]
fn settings_that_cannot_be_written_hold_are_told_and_are_written_once_they_can() {
    let Some((camera, _)) = started(&PROFILES[0], &[]) else { return };
    let localdata = camera.package().join("localdata");
    let before = localdata.metadata().unwrap().permissions();
    std::fs::set_permissions(&localdata, std::os::unix::fs::PermissionsExt::from_mode(0o555)).unwrap();
    assert_eq!(patch(&camera, "root", "admin/settings", r#"{"confidence":0.3}"#).0, 200);
    let until = |what: &str, limit: Duration, met: &dyn Fn(&Value) -> bool| {
        let begun = Instant::now();
        loop {
            let status = camera.get("status");
            if met(&status) {
                return status;
            }
            assert!(begun.elapsed() < limit, "{what}: {status}\n{}", camera.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    let status = until("it is said", LIMIT, &|status| status["notices"] != json!([]));
    let said = status["notices"][0].as_str().unwrap();
    assert!(said.contains("settings.json (Permission denied") && said.contains("storage"), "{said}");
    // Detection goes on, with what was set.
    let inferred = status["frames"]["inferred"].as_u64().unwrap();
    until("frames go on", LIMIT, &|status| status["frames"]["inferred"].as_u64().unwrap() > inferred + 5);
    assert_eq!((&status["state"], &status["settings"]["confidence"]), (&json!("live"), &json!(0.3)));

    std::fs::set_permissions(&localdata, before).unwrap();
    until("it is written", LIMIT, &|status| status["notices"] == json!([]));
    let kept = std::fs::read_to_string(localdata.join("settings.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&kept).unwrap()["confidence"], 0.3);
}

#[test]
fn packages_that_do_not_fit_are_refused_by_number() {
    let Some(camera) = Camera::start(&["--chip", "artpec7", "--native"]) else { return };
    camera.vapix("applications/config.cgi?action=set&name=AllowUnsigned&value=true");
    let refused = |change: &dyn Fn(&mut Value)| camera.upload(&pack(camera.root.path(), "run", change));
    let setup =
        |manifest: &mut Value, key: &str, value: Value| manifest["acapPackageConf"]["setup"][key] = value;
    assert_eq!(refused(&|manifest| setup(manifest, "architecture", json!("mipsisa32r2el"))), "Error: 5");
    let mixed = |manifest: &mut Value| {
        manifest["schemaVersion"] = json!("1.7.3");
        setup(manifest, "vendorId", json!("0123456789"));
    };
    assert_eq!(refused(&mixed), "Error: 29", "schema 1 has no vendorId");
    assert_eq!(refused(&|manifest| manifest["schemaVersion"] = json!("3.0.0")), "Error: 29");
    let nothing = camera.root.path().join("nothing.eap");
    std::fs::write(&nothing, "no archive").unwrap();
    assert_eq!(camera.upload(&nothing), "Error: 1");
    let why = "package refused: Error: 5 (it is for mipsisa32r2el, and this camera is ";
    assert!(camera.log().contains(why), "{}", camera.log());
    // A chip's camera takes packages for the chip's processor alone.
    let Some(camera) = Camera::start(&["--chip", "artpec7"]) else { return };
    camera.vapix("applications/config.cgi?action=set&name=AllowUnsigned&value=true");
    assert_eq!(camera.upload(&pack(camera.root.path(), "run", |_| ())), "Error: 5");
}

#[test]
fn viewers_look_and_administrators_change() {
    let Some((camera, _)) = started(&PROFILES[0], &[]) else { return };
    // Nobody unknown gets in, anywhere.
    for path in ["index.html", "api/status", "admin/access", "api/stream.mjpg"] {
        let (status, body) = camera.curl("", &[], &format!("/local/spotter/{path}"));
        assert_eq!(status, 401, "{path}: {body}");
    }
    assert_eq!(camera.get("access"), json!({ "may_change": false }));
    assert_eq!(camera.curl("viewer", &[], "/local/spotter/admin/access").0, 401);
    let (status, body) = camera.curl("root", &[], "/local/spotter/admin/access");
    assert_eq!((status, body.as_str()), (200, r#"{"may_change":true}"#));

    // A change below api/ is refused to everybody, by the program itself.
    let body = r#"{"confidence":0.2}"#;
    for user in ["viewer", "root"] {
        let (status, said) = patch(&camera, user, "api/settings", body);
        assert_eq!(status, 403);
        assert!(said.contains("only an administrator of the camera may change this"), "{said}");
        for (method, path) in [("POST", "api/model"), ("DELETE", "api/model"), ("PUT", "api/status")] {
            let arguments = ["--request", method, "--data", "{}"];
            assert_eq!(
                camera.curl(user, &arguments, &format!("/local/spotter/{path}")).0,
                403,
                "{method} {path}"
            );
        }
    }
    assert_eq!(patch(&camera, "viewer", "admin/settings", body).0, 401);
    // Nor is there a way around by a path that the camera resolves.
    assert_eq!(patch(&camera, "viewer", "api/..%2fadmin/settings", body).0, 404);
    let arguments = ["--path-as-is", "--request", "PATCH", "--data", body];
    assert_eq!(camera.curl("viewer", &arguments, "/local/spotter/api/../admin/settings").0, 401);
    assert_eq!(camera.get("settings")["confidence"], 0.5);
    assert_eq!(patch(&camera, "root", "admin/settings", body).0, 200);
    assert_eq!(camera.get("settings")["confidence"], 0.2);

    // Another site's page may use neither an administrator's password nor a viewer's, whose pictures a WebSocket
    // would give to it.
    let foreign = ["--request", "PATCH", "--data", body, "--header", "Origin: http://evil.example"];
    assert_eq!(camera.curl("root", &foreign, "/local/spotter/admin/settings").0, 403);
    let own = format!("Origin: http://{}", camera.address);
    let arguments = ["--request", "PATCH", "--data", body, "--header", &own];
    assert_eq!(camera.curl("root", &arguments, "/local/spotter/admin/settings").0, 200);
    let socket = |origin: &str| {
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
        let arguments = [
            "--http1.1",
            "--header",
            "Connection: Upgrade",
            "--header",
            "Upgrade: websocket",
            "--header",
            key,
            "--header",
            "Sec-WebSocket-Version: 13",
            "--header",
            origin,
            "--max-time",
            "3",
            "--output",
            "/dev/null",
        ];
        camera.curl("viewer", &arguments, "/local/spotter/api/live").0
    };
    assert_eq!((socket("Origin: http://evil.example"), socket(&own)), (403, 101));
}

/// Where the application listens: the simulated camera gives each a port of its own.
fn port(camera: &Camera) -> u16 {
    let log = camera.log();
    let port = log.split("page     http://127.0.0.1:").nth(1).and_then(|rest| rest.split('/').next());
    port.and_then(|port| port.parse().ok()).unwrap_or_else(|| panic!("no page in {log}"))
}

/// A program of this user asks the application itself, past the web server.
fn ask_as(user: u32, port: u16, arguments: &[&str], path: &str) -> (u16, String) {
    let mut curl = std::process::Command::new("curl");
    curl.args(["--silent", "--max-time", "20", "--write-out", "\n%{http_code}"]).args(arguments);
    curl.arg(format!("http://127.0.0.1:{port}{path}")).uid(user);
    let output = curl.output().expect("curl starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap_or(("", "0"));
    (status.parse().unwrap(), body.to_owned())
}

/// Users of other applications, of the system, and root.
const OTHER_APPLICATION: u32 = 61_399;
const SYSTEM: u32 = 77;

#[test]
fn another_application_of_the_camera_changes_nothing() {
    if !rustix::process::getuid().is_root() {
        crate::common::skip("a foreign program on a camera: only root can be another user");
        return;
    }
    let Some((camera, _)) = started(&PROFILES[0], &[]) else { return };
    let port = port(&camera);
    let change = |marks: &[&'static str]| {
        let mut all = vec!["--request", "PATCH", "--data", r#"{"confidence":0.9}"#];
        all.extend(marks.iter().flat_map(|mark| ["--header", mark]));
        all
    };
    // What the web server adds anybody can write; neither helps the other application.
    let marks = ["X-Forwarded-For: 192.0.2.1", "X-Forwarded-Host: camera", "X-Forwarded-Server: camera"];
    let forged = ["X-Spotter-Caller: system", "X-Requested-With: spotter"];
    for marks in [&[][..], &marks, &forged] {
        let (status, said) = ask_as(OTHER_APPLICATION, port, &change(marks), "/local/spotter/admin/settings");
        assert_eq!(status, 403, "{said}");
        assert!(
            said.contains(&format!("another application of the camera (user {OTHER_APPLICATION})")),
            "{said}"
        );
    }
    let access = ask_as(OTHER_APPLICATION, port, &[], "/local/spotter/admin/access");
    assert_eq!(access, (200, r#"{"may_change":false}"#.to_owned()));
    for (method, path) in
        [("POST", "admin/model"), ("DELETE", "admin/v1/settings"), ("PUT", "admin/v1/zones")]
    {
        let path = format!("/local/spotter/{path}");
        let (status, said) = ask_as(OTHER_APPLICATION, port, &["--request", method, "--data", "[]"], &path);
        assert_eq!(status, 403, "{method} {path}: {said}");
    }
    // Nobody gets past the path that the web server keeps for administrators.
    for user in [OTHER_APPLICATION, SYSTEM, 0] {
        for path in ["/api/settings", "/admin/settings", "/local/spotter/api/settings"] {
            assert_eq!(ask_as(user, port, &change(&[]), path).0, 403, "{user} {path}");
        }
    }
    assert_eq!(camera.get("settings")["confidence"], 0.5);
    let told = format!("another application of this camera (user {OTHER_APPLICATION}) asks for changes");
    assert_eq!(camera.log().matches(&told).count(), 1, "{}", camera.log());
    // The web server may be root's or have a user of its own.
    for user in [SYSTEM, 0] {
        assert_eq!(ask_as(user, port, &change(&[]), "/local/spotter/admin/settings").0, 200, "{user}");
    }
    assert_eq!(patch(&camera, "root", "admin/settings", r#"{"confidence":0.4}"#).0, 200);
}

#[test]
fn a_port_that_another_application_has_is_waited_for() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let Some(camera) = Camera::start(&["--chip", "artpec8", "--native", "--keep-ports"]) else { return };
    let options = format!("run --source demo:seed=15,size=640x360,fps=10 --listen 127.0.0.1:{port}");
    let package = pack(camera.root.path(), &options, |manifest| {
        for proxy in manifest["acapPackageConf"]["configuration"]["reverseProxy"].as_array_mut().unwrap() {
            proxy["target"] = json!(format!("http://localhost:{port}"));
        }
    });
    camera.vapix("applications/config.cgi?action=set&name=AllowUnsigned&value=true");
    assert_eq!(camera.upload(&package), "OK", "{}", camera.log());
    assert_eq!(camera.control("start"), "OK");
    let told = format!("has port {port}, so the page cannot be reached");
    let until = |words: &str| {
        let begun = Instant::now();
        while !camera.log().contains(words) {
            assert!(begun.elapsed() < LIMIT, "{words}: {}", camera.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    until(&told);
    // Detection begins all the same, and the process stays.
    until("backend  ");
    let id = camera.process();
    drop(taken);
    camera.wait_until_detecting(LIMIT);
    until(&format!("port {port} is free again"));
    assert_eq!(camera.process(), id, "{}", camera.log());
    assert_eq!(camera.log().matches(&told).count(), 1, "{}", camera.log());
}

/// Opens a WebSocket as a browser does: the status of the answer.
fn socket(camera: &Camera, path: &str, headers: &[&str]) -> u16 {
    let fixed = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ];
    let mut arguments = vec!["--http1.1", "--max-time", "3", "--output", "/dev/null"];
    arguments.extend(fixed.iter().chain(headers).flat_map(|header| ["--header", header]));
    camera.curl("viewer", &arguments, &format!("/local/spotter/{path}")).0
}

/// Whether the proxy says for which host it was asked or not, and whether it passes that host on: the page's own changes
/// and WebSockets get through, those of other sites do not.
#[test]
fn own_pages_are_known_whatever_the_proxy_says() {
    for (forwarded, preserved) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut arguments = Vec::new();
        arguments.extend((!forwarded).then_some("--no-forwarded"));
        arguments.extend(preserved.then_some("--preserve-host"));
        let Some((camera, _)) = started(&PROFILES[0], &arguments) else { return };
        let told = forwarded || preserved;
        let own = format!("Origin: http://{}", camera.address);
        let evil = "Origin: http://evil.example";
        let change = |headers: &[&str]| {
            let mut all = vec!["--request", "PATCH", "--data", r#"{"confidence":0.6}"#];
            all.extend(headers.iter().flat_map(|header| ["--header", header]));
            camera.curl("root", &all, "/local/spotter/admin/settings").0
        };
        let mark = "X-Requested-With: spotter";
        let case = format!("{arguments:?}");
        assert_eq!(change(&[]), 200, "{case}: a program is no browser");
        assert_eq!(change(&[&own, mark]), 200, "{case}");
        assert_eq!(change(&[&own]), if told { 200 } else { 403 }, "{case}");
        assert_eq!(change(&[&own, "Sec-Fetch-Site: same-origin"]), 200, "{case}");
        for foreign in [
            &[evil][..],
            &["Origin: null"],
            &[evil, "Sec-Fetch-Site: same-site"],
            &[evil, mark, "Sec-Fetch-Site: cross-site"],
        ] {
            assert_eq!(change(foreign), 403, "{case} {foreign:?}");
        }
        // A ticket is what another site cannot read.
        let ticket = || {
            let ticket = camera.get("v1/ticket")["ticket"].as_str().unwrap().to_owned();
            format!("api/live?ticket={ticket}")
        };
        let with_ticket = ticket();
        assert_eq!(socket(&camera, &with_ticket, &[&own]), 101, "{case}");
        assert_eq!(socket(&camera, &with_ticket, &[evil]), 403, "{case}: it was good once");
        assert_eq!(socket(&camera, "api/live", &[&own]), if told { 101 } else { 403 }, "{case}");
        assert_eq!(socket(&camera, "api/live", &[]), 101, "{case}: a program is no browser");
        for foreign in [&[evil][..], &[evil, mark], &["Origin: null"], &["Sec-Fetch-Site: cross-site"]] {
            assert_eq!(socket(&camera, "api/live", foreign), 403, "{case} {foreign:?}");
        }
        assert_eq!(socket(&camera, "api/live?ticket=0", &[evil]), 403, "{case}");
    }
}

/// A page of another origin, served by this test, to which the browser gives the camera's password as to the camera's own.
fn foreign_page() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Ends with the test's process.
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            use std::io::{Read, Write};
            let _ = stream.read(&mut [0; 4096]);
            let body = "<!doctype html><meta charset=utf-8><link rel=icon href='data:,'><title>other</title>";
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    address
}

#[test]
fn the_page_works_behind_a_proxy_that_says_nothing_and_another_sites_does_not() {
    let Some((camera, _)) = started(&PROFILES[0], &["--no-forwarded"]) else { return };
    let Some(mut browser) = camera.page("root", LIMIT) else { return };
    browser.wait_for("spotter.transport === 'websocket' && spotter.editable", LIMIT);
    browser.eval("confidence.value = 0.7; confidence.dispatchEvent(new Event('input', { bubbles: true }))");
    let begun = Instant::now();
    while camera.get("settings")["confidence"] != 0.7 {
        assert!(begun.elapsed() < LIMIT, "{}", camera.get("settings"));
        browser.wait_for("true", LIMIT);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(browser.eval("spotter.transport"), json!("websocket"));
    assert_eq!(browser.console_problems(), Vec::<String>::new());

    let before = camera.get("model");
    browser.navigate(&format!("http://{}/", foreign_page()));
    let there = format!("http://{}/local/spotter", camera.address);
    let tries = format!(
        r#"window.said = {{}};
        const body = JSON.stringify({{ model: 'spotter-demo' }});
        const own = {{ 'X-Requested-With': 'spotter' }};
        const note = (name, promise) => promise.then((a) => said[name] = a.type, () => said[name] = 'failed');
        const post = {{ method: 'POST', body, credentials: 'include' }};
        note('plain', fetch('{there}/admin/v1/model', {{ ...post, mode: 'no-cors' }}));
        note('marked', fetch('{there}/admin/v1/model', {{ ...post, headers: own }}));
        note('patch', fetch('{there}/admin/v1/settings', {{ method: 'PATCH', body: '{{"confidence":0.1}}', credentials: 'include' }}));
        note('ticket', fetch('{there}/api/v1/ticket', {{ credentials: 'include' }}));
        const socket = new WebSocket('{there}/api/live'.replace('http', 'ws'));
        socket.onopen = () => said.socket = 'open';
        socket.onerror = () => said.socket ??= 'failed';
        const frame = document.createElement('iframe');
        frame.name = 'answer';
        frame.onload = () => said.form = 'answered';
        document.body.append(frame);
        const form = document.createElement('form');
        form.method = 'post'; form.target = 'answer'; form.enctype = 'text/plain'; form.action = '{there}/admin/v1/model';
        const field = document.createElement('input');
        field.name = '{{"model":"spotter-demo","a":"'; field.value = '"}}';
        form.append(field); document.body.append(form);
        delete said.form; form.submit(); 0"#
    );
    browser.eval(&tries);
    browser.wait_for(
        "['plain', 'marked', 'patch', 'ticket', 'socket', 'form'].every((name) => said[name])",
        LIMIT,
    );
    let said = browser.eval("said");
    for (name, outcome) in [
        // It goes, and Spotter refuses it; Cross-Origin-Resource-Policy keeps even that from the page.
        ("plain", "failed"),
        ("marked", "failed"),
        ("patch", "failed"),
        ("ticket", "failed"),
        ("socket", "failed"),
    ] {
        assert_eq!(said[name], outcome, "{name}: {said}");
    }
    assert_eq!((camera.get("model"), &camera.get("settings")["confidence"]), (before, &json!(0.7)));
}

#[test]
fn without_a_camera_both_ways_change() {
    let running = Running::start(["--source", "demo:size=320x192,fps=5"], LIMIT);
    let ask = |method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]| {
        process::http(&running.address, method, path, headers, body).unwrap()
    };
    for (path, confidence) in
        [("/api/settings", 0.3), ("/admin/settings", 0.4), ("/local/spotter/admin/settings", 0.6)]
    {
        let body = json!({ "confidence": confidence }).to_string();
        assert_eq!(ask("PATCH", path, &[], body.as_bytes()).status, 200, "{path}");
        assert_eq!(running.http_get("/api/settings").json()["confidence"], confidence);
    }
    assert_eq!(running.http_get("/api/access").json(), json!({ "may_change": true }));
    assert_eq!(running.http_get("/api/healthz").status, 200);
    let refused = ask("PATCH", "/local/spotter/api/settings", &[], b"{}");
    assert_eq!((refused.status, refused.header("content-type")), (403, Some("application/problem+json")));
    // Where several proxies are on the way, each adds the host it was asked for.
    let through = [("Origin", "http://camera"), ("X-Forwarded-Host", "camera, inner")];
    assert_eq!(ask("PATCH", "/admin/settings", &through, b"{}").status, 200);
    let foreign = [("Origin", "http://camera.evil"), ("X-Forwarded-Host", "camera, inner")];
    assert_eq!(ask("PATCH", "/admin/settings", &foreign, b"{}").status, 403);
    let bytes = process::stream(&running.address, "/local/spotter/api/stream.mjpg", 20_000);
    assert!(String::from_utf8_lossy(&bytes).contains("multipart/x-mixed-replace"));
}

const DISABLED: &str = "document.querySelector('#confidence').disabled";

#[test]
fn the_page_behind_the_proxy() {
    let Some((camera, _)) = started(&PROFILES[0], &["--nonce-life", "2"]) else { return };
    // Nonces get old meanwhile, as they do where a page stays open for hours.
    // A viewer sees boxes, and why nothing can be changed; no dialog asks for an administrator's password.
    let Some(mut browser) = camera.page("viewer", LIMIT) else { return };
    browser.wait_for("spotter.shown.boxes.length > 0", LIMIT);
    assert_eq!(browser.eval("[spotter.transport, spotter.editable]"), json!(["websocket", false]));
    assert_eq!(browser.eval(DISABLED), json!(true));
    let why = "document.querySelector('#access').innerText";
    browser.wait_for(&format!("{why}.includes('An administrator of the camera may change')"), LIMIT);
    browser.eval("document.querySelector('#models-open').click()");
    browser.wait_for("document.querySelectorAll('#models-list button').length > 0", LIMIT);
    let enabled = "[...document.querySelectorAll('#models-list button, #models-file')].filter((one) => !one.disabled).length";
    assert_eq!(browser.eval(enabled), json!(0));
    browser.screenshot(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("camera_viewer.png"));
    assert_eq!(browser.console_problems(), Vec::<String>::new());

    // The application dies; the page finds it again.
    let begin = "spotter.status.now_ms - 1000 * spotter.status.uptime_s";
    let (id, begun) = (camera.process(), browser.eval(begin));
    assert!(std::process::Command::new("kill").args(["-KILL", &id.to_string()]).status().unwrap().success());
    browser.wait_for(&format!("{begin} > {begun} + 500"), LIMIT);
    browser.wait_for("badge.dataset.level === 'green' && spotter.transport === 'websocket'", LIMIT);
    assert_eq!(browser.asked_for_password(), Vec::<String>::new());
    // What the browser itself says about the time without Spotter.
    let own: Vec<String> = browser
        .console_problems()
        .into_iter()
        .filter(|problem| !problem.contains("/local/spotter/api/"))
        .collect();
    assert_eq!(own, Vec::<String>::new());

    // The viewer asks for an administrator to sign in: this is when the dialog comes.
    browser.eval("document.querySelector('#sign-in').click()");
    let said = "document.getElementById('access-said').textContent";
    browser.wait_for(&format!("{said} === 'This is not an administrator of the camera.'"), LIMIT);
    // After a refusal the browser has forgotten the viewer's password too, and may ask for it at any address.
    let asked = browser.asked_for_password();
    assert!(asked.first().is_some_and(|address| address.ends_with("/admin/access")), "{asked:?}");
    // So the first dialogs may be for something else that the page looks at; the administrator types into each.
    browser.will_always_type("root", "pass");
    browser.eval("document.querySelector('#sign-in').click()");
    browser.wait_for("spotter.editable === true", LIMIT);
    assert_eq!(browser.eval(DISABLED), json!(false));
}

#[test]
fn an_administrator_sets_and_sends_through_the_proxy() {
    let Some((camera, _)) = started(&PROFILES[0], &[]) else { return };
    let Some(mut browser) = camera.page("root", LIMIT) else { return };
    assert_eq!((browser.eval("spotter.editable"), browser.eval(DISABLED)), (json!(true), json!(false)));
    assert_eq!(browser.eval("document.querySelector('#access').hidden"), json!(true));
    browser.eval("confidence.value = 0.7; confidence.dispatchEvent(new Event('input', { bubbles: true }))");
    let begun = Instant::now();
    while camera.get("settings")["confidence"] != 0.7 {
        assert!(begun.elapsed() < LIMIT, "{}", camera.get("settings"));
        browser.wait_for("true", LIMIT); // lets its requests through
        std::thread::sleep(Duration::from_millis(50));
    }
    // What is outside of the only zone does not count.
    let gate = r#"[{"name":"gate","points":[{"x":0,"y":0},{"x":0.01,"y":0},{"x":0.01,"y":0.01}]}]"#;
    let put = ["--request", "PUT", "--data", gate];
    for (user, status) in [("viewer", 401), ("root", 200)] {
        assert_eq!(camera.curl(user, &put, "/local/spotter/admin/v1/zones").0, status, "{user}");
    }
    browser.wait_for("spotter.shown.boxes.length === 0", LIMIT);
    browser.eval("document.querySelector('#dropped').click()");
    let outside = r#"spotter.shown.dropped.some((box) => box.reason === 'outside zone "gate"')"#;
    browser.wait_for(outside, LIMIT);
    // Their own model file, by the page's own control.
    browser.eval("document.querySelector('#models-open').click()");
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo_yolov5.tflite");
    let root = browser.call("DOM.getDocument", json!({}))["root"]["nodeId"].clone();
    let node = browser.call("DOM.querySelector", json!({ "nodeId": root, "selector": "#models-file" }));
    browser.call("DOM.setFileInputFiles", json!({ "nodeId": node["nodeId"], "files": [model] }));
    let said = "document.querySelector('#models-said').textContent";
    browser.wait_for(&format!("{said}.includes(' runs.')"), LIMIT);
    let name = model.file_name().unwrap().to_str().unwrap();
    assert_eq!(camera.get("model")["name"], name);
    assert_eq!(browser.asked_for_password(), Vec::<String>::new());
    assert_eq!(browser.console_problems(), Vec::<String>::new());

    // All are there again after a restart, and lie where the camera lets them.
    assert_eq!(camera.control("restart"), "OK");
    camera.wait_until_detecting(LIMIT);
    assert_eq!(
        (&camera.get("settings")["confidence"], &camera.get("model")["name"]),
        (&json!(0.7), &json!(name))
    );
    assert_eq!(camera.get("v1/zones")[0]["name"], "gate");
    assert!(camera.package().join("localdata/settings.json").exists());
}

#[test]
fn pictures_stream_where_websockets_do_not_get_through() {
    let Some((camera, _)) = started(&PROFILES[0], &["--no-websocket"]) else { return };
    let Some(mut browser) = camera.page("viewer", LIMIT) else { return };
    assert_eq!(browser.eval("spotter.transport"), json!("fetch"));
    // The password may stand in the address as well.
    browser.navigate(&format!("http://viewer:look@{}/local/spotter/index.html", camera.address));
    browser.wait_for("window.spotter?.framesShown > 3 && spotter.editable === false", LIMIT);
    let shown = browser.eval("spotter.framesShown").as_u64().unwrap();
    browser.wait_for(&format!("spotter.framesShown > {}", shown + 10), LIMIT);
    assert_eq!(browser.asked_for_password(), Vec::<String>::new());
}
