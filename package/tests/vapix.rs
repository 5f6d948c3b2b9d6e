//! The program against a camera's web server: passwords, certificates, packages, errors.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod fake;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use fake::{Asks, Fake, PASSWORD};
use spotter_package::archive::{self, EPOCH, Member};
use spotter_package::manifest::{Arch, Manifest, Schema};

struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(home.packages()).unwrap();
        home
    }

    fn packages(&self) -> PathBuf {
        self.folder.path().join("packages")
    }

    fn put(&self, file: &str, arch: Arch, schema: Schema) -> Vec<u8> {
        let text =
            std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifest.json")).unwrap();
        let manifest = Manifest::parse(&text).unwrap().derive(schema, arch, "").unwrap();
        // Bytes of all kinds: a form must carry them.
        let binary: Vec<u8> = (0..100_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let members = [
            Member::file("spotter", 0o755, binary),
            Member::file("manifest.json", 0o600, manifest.to_text()),
        ];
        let package = archive::write(&members, EPOCH, archive::Effort::Quick).unwrap();
        std::fs::write(self.packages().join(file), &package).unwrap();
        package
    }

    fn tool(&self, password: &str, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_spotter-package"))
            .args(args)
            .env("XDG_CONFIG_HOME", self.folder.path())
            .env("SPOTTER_PASSWORD", password)
            // Proxies are for the internet, not for cameras.
            .env("ALL_PROXY", "http://127.0.0.1:9")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn install(&self, fake: &Fake, extra: &[&str]) -> Output {
        let (packages, host) = (self.packages(), fake.host());
        let mut args = vec!["install", packages.to_str().unwrap(), &host];
        args.extend(extra);
        self.tool(PASSWORD, &args)
    }
}

fn out(output: &Output) -> String {
    assert!(output.status.success(), "{}", err(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_package_is_put_on_the_camera_started_and_waited_for() {
    let (home, fake) = (Home::new(), Fake::start(false));
    let package = home.put("Spotter_new.eap", Arch::Aarch64, Schema::V2);
    home.put("Spotter_old.eap", Arch::Aarch64, Schema::V1);
    home.put("Spotter_arm.eap", Arch::Armv7hf, Schema::V2);
    fake.state().late = 2;
    let output = home.install(&fake, &["--allow-unsigned"]);
    let said = out(&output);
    assert!(said.contains("camera   Q1656-LE, Axis Artpec-8 (aarch64), AXIS OS 12.10.68"), "{said}");
    assert!(said.contains("running  spotter 0.1.0, detecting, live"), "{said}");
    assert!(said.ends_with(&format!("page     {}/local/spotter/index.html\n", fake.host())), "{said}");
    assert!(err(&output).contains("is not encrypted"));
    let state = fake.state();
    let (name, uploaded) = state.uploaded.as_ref().unwrap();
    assert!(name == "Spotter_new.eap" && *uploaded == package, "{name}, {} bytes", uploaded.len());
    assert!(state.unsigned_allowed);
    let health = "GET /local/spotter/api/healthz";
    assert_eq!(
        state.requests,
        [
            "POST /axis-cgi/basicdeviceinfo.cgi",
            "GET /axis-cgi/applications/config.cgi?action=set&name=AllowUnsigned&value=true",
            "POST /axis-cgi/applications/upload.cgi",
            "GET /axis-cgi/applications/control.cgi?action=start&package=spotter",
            health,
            health,
            health
        ]
    );
    // One challenge was enough for all of it.
    assert_eq!(state.refused, 0);
}

#[test]
fn the_package_is_that_of_the_camera() {
    let (home, fake) = (Home::new(), Fake::start(false));
    home.put("Spotter_new.eap", Arch::Aarch64, Schema::V2);
    home.put("Spotter_old.eap", Arch::Aarch64, Schema::V1);
    for (architecture, version, file) in
        [("aarch64", "11.11.124", Some("Spotter_old.eap")), ("armv7hf", "12.11.1", None)]
    {
        (fake.state().architecture, fake.state().version) = (architecture, version);
        let output = home.install(&fake, &[]);
        match file {
            Some(file) => {
                out(&output);
                assert_eq!(fake.state().uploaded.take().unwrap().0, file);
            }
            None => {
                assert_eq!(output.status.code(), Some(2));
                assert!(
                    err(&output)
                        .contains("has no package for the camera (Q1656-LE, armv7hf, AXIS OS 12.11.1)")
                );
                assert!(fake.state().uploaded.is_none());
            }
        }
    }
}

#[test]
fn the_cameras_errors_become_sentences() {
    let (home, fake) = (Home::new(), Fake::start(false));
    home.put("Spotter.eap", Arch::Aarch64, Schema::V2);
    for (upload, control, words) in [
        ("Error: 2", "OK", "takes signed applications only"),
        ("Error: 3", "OK", "too large for the camera"),
        ("Error: 5", "OK", "not for this camera"),
        ("Error: 12", "OK", "installing another package"),
        ("Error: 27", "OK", "another vendor (vendorId)"),
        ("Error: 29", "OK", "does not accept the manifest"),
        (
            "Error: 77",
            "OK",
            "not documented; the camera's log may tell more: System, Logs on its page (Error 77)",
        ),
        ("<html>Busy</html>", "OK", "neither OK nor an error number"),
        ("OK", "Error: 9", "start spotter: too many applications"),
        ("OK", "Error: 4", "start spotter: the application is not installed"),
    ] {
        (fake.state().upload, fake.state().control) = (upload, control);
        let output = home.install(&fake, &[]);
        assert_eq!(output.status.code(), Some(2), "{upload} {control}");
        assert!(err(&output).contains(words), "{upload} {control}: {}", err(&output));
    }
    // It runs already: that is what was wanted.
    (fake.state().upload, fake.state().control) = ("OK", "Error: 6");
    out(&home.install(&fake, &[]));
    fake.state().late = 1000;
    let output = home.install(&fake, &["--wait", "1"]);
    assert!(
        err(&output).contains("has not answered within 1 s (api/healthz gives status 503)"),
        "{}",
        err(&output)
    );
}

#[test]
fn passwords_are_given_as_the_camera_asks() {
    let (home, fake) = (Home::new(), Fake::start(false));
    let host = fake.host();
    let wrong = home.tool("wrong", &["status", &host]);
    assert!(err(&wrong).contains("refuses the password of user root"), "{}", err(&wrong));
    let stranger = home.tool(PASSWORD, &["status", &host, "--user", "guest"]);
    assert!(err(&stranger).contains("refuses the password of user guest"), "{}", err(&stranger));
    // The stronger of the two is taken; a nonce that has had its day is replaced.
    (fake.state().asks, fake.state().nonce_life) = (Asks::Both, 1);
    let said = out(&home.tool(PASSWORD, &["status", &host]));
    assert!(said.contains("spotter 0.1.0, running\nhealth   detecting, live\npage "), "{said}");
    fake.state().asks = Asks::Basic;
    let clear = home.tool(PASSWORD, &["status", &host]);
    assert!(
        err(&clear).contains("asks for the password in clear (Basic) without encryption"),
        "{}",
        err(&clear)
    );
    let absent = home.tool(PASSWORD, &["status", "http://127.0.0.1:9"]);
    assert!(err(&absent).contains("http://127.0.0.1:9 does not answer"), "{}", err(&absent));
}

#[test]
fn a_certificate_is_shown_once_and_then_held_to() {
    let (home, fake) = (Home::new(), Fake::start(true));
    fake.state().asks = Asks::Basic;
    let host = fake.host();
    let unknown = home.tool(PASSWORD, &["status", &host]);
    let words = format!("is not known yet: SHA-256 {}. ", fake.fingerprint);
    assert!(err(&unknown).contains(&words), "{}", err(&unknown));
    assert!(fake.state().requests.is_empty() && fake.state().refused == 0, "nothing was said before");
    let other = format!("{}00", &fake.fingerprint[..fake.fingerprint.len() - 2]);
    let refused = home.tool(PASSWORD, &["status", &host, "--fingerprint", &other]);
    assert!(err(&refused).contains("shows another certificate"), "{}", err(&refused));
    out(&home.tool(PASSWORD, &["status", &host, "--fingerprint", &fake.fingerprint.to_lowercase()]));
    // From now on it is known.
    assert!(err(&home.tool(PASSWORD, &["status", &host])).is_empty());
    let file = home.folder.path().join("spotter/cameras.json");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(&fake.fingerprint), "{text}");
    // Another camera at the same address.
    std::fs::write(&file, text.replace(&fake.fingerprint, &other)).unwrap();
    let changed = home.tool(PASSWORD, &["status", &host]);
    assert!(err(&changed).contains("shows another certificate than before"), "{}", err(&changed));
}

#[test]
fn applications_are_stopped_removed_and_read() {
    let (home, fake) = (Home::new(), Fake::start(true));
    let host = fake.host();
    let of = |command: &str| out(&home.tool(PASSWORD, &[command, &host, "--fingerprint", &fake.fingerprint]));
    assert_eq!(of("start"), "spotter runs\n");
    assert_eq!(of("stop"), "spotter is stopped\n");
    assert_eq!(of("logs"), "2026 spotter[1]: page http://127.0.0.1:27768/\n");
    assert_eq!(of("remove"), "spotter is removed, with its settings\n");
    let requests = fake.state().requests.clone();
    assert!(
        requests.contains(&"GET /axis-cgi/admin/systemlog.cgi?appname=spotter".to_owned()),
        "{requests:?}"
    );
    assert!(requests.iter().any(|request| request.ends_with("action=remove&package=spotter")));
    let unknown = home.tool(PASSWORD, &["status", &host, "--app", "other"]);
    assert!(out(&unknown).contains("other is not installed"));
}
