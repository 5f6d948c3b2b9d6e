//! A simulated camera (`tests/camera/web`) and packages for it.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::browser::Browser;

/// The accounts of every camera here: name, password, role.
pub const USERS: [(&str, &str, &str); 3] =
    [("root", "pass", "admin"), ("operator", "steer", "operator"), ("viewer", "look", "viewer")];

/// The TensorFlow Lite library of this machine.
pub fn tflite() -> Option<PathBuf> {
    let named = std::env::var_os("SPOTTER_TFLITE").map(PathBuf::from);
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let data = data.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share")));
    let usual = data.map(|data| data.join("spotter/lib/libtensorflowlite_c.so"));
    [named, usual].into_iter().flatten().find(|path| path.is_file())
}

/// A camera that is running. Ended when dropped, with its applications.
pub struct Camera {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    /// 127.0.0.1:PORT.
    pub address: String,
    /// Its root.
    pub root: TempDir,
}

impl Camera {
    /// Starts a camera; `{root}` in an argument is its root. None, with a word, where curl or TensorFlow Lite is
    /// missing.
    pub fn start(arguments: &[&str]) -> Option<Self> {
        if Command::new("curl").arg("--version").output().is_err() {
            super::skip("the simulated camera: no curl");
            return None;
        }
        let Some(library) = tflite() else {
            super::skip("the simulated camera: no libtensorflowlite_c.so; run ./build.sh setup");
            return None;
        };
        let root = tempfile::tempdir().expect("a folder");
        let in_camera = root.path().join("usr/lib/libtensorflowlite_c.so");
        let mut command = Command::new(super::camera::build("sim-camera", "sim-camera"));
        command.args(["--until-eof", "--root"]).arg(root.path()).arg("--library").arg(&library);
        command.arg("--env").arg(format!("SPOTTER_TFLITE={}", in_camera.display()));
        for (name, password, role) in USERS {
            command.arg("--user").arg(format!("{name}:{password}:{role}"));
        }
        // The open pipe keeps it alive, and lets it end with this test whatever happens.
        command.args(arguments.iter().map(|one| one.replace("{root}", &root.path().display().to_string())));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the simulated camera starts");
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut first = String::new();
        output.read_line(&mut first).expect("it speaks UTF-8");
        let address = first.split("http://").nth(1).and_then(|rest| rest.split('/').next());
        let address = address.unwrap_or_else(|| panic!("no address in {first:?}")).to_owned();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = lines.clone();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                kept.lock().expect("no panic with it").push(line);
            }
        });
        Some(Self { child, lines, address, root })
    }

    /// The folder of the application.
    pub fn package(&self) -> PathBuf {
        self.root.path().join("usr/local/packages/spotter")
    }

    /// One request by curl, with Digest authentication. Returns status and body.
    pub fn curl(&self, user: &str, arguments: &[&str], path: &str) -> (u16, String) {
        let password =
            USERS.iter().find(|(name, ..)| *name == user).map_or("wrong", |(_, password, _)| password);
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--max-time", "60", "--write-out", "\n%{http_code}"]);
        if !user.is_empty() {
            command.args(["--anyauth", "--user", &format!("{user}:{password}")]);
        }
        let output = command.args(arguments).arg(format!("http://{}{path}", self.address)).output();
        let text = String::from_utf8_lossy(&output.expect("curl starts").stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').unwrap_or(("", "0"));
        (status.parse().expect("a status"), body.to_owned())
    }

    /// VAPIX as root: the body of the answer, without the line's end.
    pub fn vapix(&self, path: &str) -> String {
        let (status, body) = self.curl("root", &[], &format!("/axis-cgi/{path}"));
        assert_eq!(status, 200, "{path}: {body}");
        body.trim_end().to_owned()
    }

    /// Uploads a package as root: what the camera says.
    pub fn upload(&self, package: &Path) -> String {
        let form = format!("file=@{};type=application/octet-stream", package.display());
        let (status, body) = self.curl("root", &["--form", &form], "/axis-cgi/applications/upload.cgi");
        assert_eq!(status, 200, "{body}");
        body.trim_end().to_owned()
    }

    /// `control.cgi?action=…`.
    pub fn control(&self, action: &str) -> String {
        self.vapix(&format!("applications/control.cgi?action={action}&package=spotter"))
    }

    /// What the application's interface answers a viewer.
    pub fn get(&self, path: &str) -> Value {
        let (status, body) = self.curl("viewer", &[], &format!("/local/spotter/api/{path}"));
        if status == 200 { serde_json::from_str(&body).expect("JSON") } else { json!({ "http": status }) }
    }

    /// Waits until the application detects. Panics with the log when it takes too long.
    pub fn wait_until_detecting(&self, limit: Duration) {
        let begun = Instant::now();
        loop {
            let health = self.get("healthz");
            if health["detecting"] == true {
                return;
            }
            assert!(begun.elapsed() < limit, "{health}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The page in a browser in which this user types the password when it is opened, and never again. None where
    /// there is no browser.
    pub fn page(&self, user: &str, limit: Duration) -> Option<Browser> {
        let (_, password, _) = USERS.iter().find(|(name, ..)| *name == user).expect("it has an account");
        let mut browser = Browser::launch()?;
        browser.set_viewport(1280, 800, 1.0, false);
        browser.will_type(user, password);
        browser.navigate(&format!("http://{}/local/spotter/index.html", self.address));
        browser.wait_for("window.spotter?.framesShown > 3 && spotter.editable !== null", limit);
        let asked = browser.asked_for_password();
        assert_eq!(asked.len(), 1, "once, for the page itself: {asked:?}");
        Some(browser)
    }

    /// The id of the application's process, from the system log.
    pub fn process(&self) -> u32 {
        let log = self.vapix("admin/systemlog.cgi?appname=spotter");
        let last = log.lines().last().expect("it has said something");
        let id = last.split("spotter[").nth(1).and_then(|rest| rest.split(']').next());
        id.and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("no process in {last}"))
    }

    /// All that the camera has said.
    pub fn log(&self) -> String {
        self.lines.lock().expect("no panic with it").join("\n")
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        super::process::end(&mut self.child, Duration::from_secs(15));
    }
}

/// Packs the program that is tested, for this machine, by the recipe of Axis's tools. `change` may change what the
/// package says of itself.
pub fn pack(folder: &Path, options: &str, change: impl Fn(&mut Value)) -> PathBuf {
    pack_with(folder, options, &[], change)
}

/// The same with these files in the package's folder `models`.
pub fn pack_with(folder: &Path, options: &str, models: &[PathBuf], change: impl Fn(&mut Value)) -> PathBuf {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(project.join("manifest.json")).expect("the manifest is there");
    let mut manifest: Value = serde_json::from_str(&text).expect("the manifest is JSON");
    manifest["acapPackageConf"]["setup"]["runOptions"] = json!(options);
    if manifest["schemaVersion"].as_str().is_some_and(|schema| schema.starts_with('2')) {
        manifest["acapPackageConf"]["setup"]["architecture"] = json!(std::env::consts::ARCH);
    }
    change(&mut manifest);
    let setup = &manifest["acapPackageConf"]["setup"];
    let word = |key: &str| setup[key].as_str().unwrap_or("").to_owned();
    let name = word("appName");
    let staged = tempfile::tempdir_in(folder).expect("a folder");
    let at = |name: &str| staged.path().join(name);
    std::fs::copy(stripped(), at(&name)).expect("the program is there");
    std::fs::set_permissions(at(&name), PermissionsExt::from_mode(0o755)).expect("it is ours");
    let version: Vec<String> = word("version").split('.').map(str::to_owned).collect();
    let architecture = setup["architecture"].as_str().unwrap_or(std::env::consts::ARCH);
    let conf = format!(
        "PACKAGENAME=\"{}\"\nAPPTYPE=\"{architecture}\"\nAPPNAME=\"{name}\"\nAPPID=\"\"\nLICENSENAME=\"Available\"\n\
         LICENSEPAGE=\"none\"\nVENDOR=\"{}\"\nREQEMBDEVVERSION=\"2.0\"\nAPPMAJORVERSION=\"{}\"\n\
         APPMINORVERSION=\"{}\"\nAPPMICROVERSION=\"{}\"\nAPPGRP=\"sdk\"\nAPPUSR=\"sdk\"\nAPPOPTS=\"{options}\"\n\
         OTHERFILES=\"\"\nSETTINGSPAGEFILE=\"index.html\"\nSETTINGSPAGETEXT=\"\"\nVENDORHOMEPAGELINK=''\n\
         PREUPGRADESCRIPT=\"\"\nPOSTINSTALLSCRIPT=\"\"\nSTARTMODE=\"{}\"\nHTTPCGIPATHS=\"cgi.conf\"\n",
        word("friendlyName"),
        word("vendor"),
        version[0],
        version[1],
        version[2],
        word("runMode"),
    );
    let write = |name: &str, text: &str| std::fs::write(at(name), text).expect("a file can be written");
    write("package.conf", &conf);
    write("param.conf", "");
    write("cgi.conf", "");
    write("manifest.json", &manifest.to_string());
    std::fs::copy(project.join("LICENSE"), at("LICENSE")).expect("the licence is there");
    std::fs::create_dir(at("html")).expect("a folder can be made");
    for entry in std::fs::read_dir(project.join("html")).expect("the page is there").flatten() {
        std::fs::copy(entry.path(), at("html").join(entry.file_name())).expect("a file can be copied");
    }
    std::fs::create_dir(at("models")).expect("a folder can be made");
    for file in models {
        std::fs::copy(file, at("models").join(file.file_name().expect("it is a file")))
            .expect("a file can be copied");
    }
    let package = folder.join(format!("{name}_{}_{architecture}.eap", version.join("_")));
    let members =
        [&name, "package.conf", "param.conf", "LICENSE", "manifest.json", "html", "cgi.conf", "models"];
    let packed = Command::new("tar")
        .args(["--format", "gnu", "--owner", "0", "--group", "0", "--numeric-owner", "--sort", "name"])
        .args(["--use-compress-program", "gzip --no-name -1", "--create", "--file"])
        .arg(&package)
        .arg("--directory")
        .arg(staged.path())
        .args(members)
        .status();
    assert!(packed.expect("tar starts").success());
    package
}

/// The program that is tested, without what only a debugger reads: a tenth.
fn stripped() -> PathBuf {
    super::once::made("spotter-stripped", |path| {
        let program = env!("CARGO_BIN_EXE_spotter");
        let status = Command::new("strip").arg("-g").arg("-o").arg(path).arg(program).status();
        if !status.is_ok_and(|status| status.success()) {
            std::fs::copy(program, path).expect("the program is there");
        }
    })
}
