//! VAPIX, as far as applications and those who install them need it.

use std::sync::Mutex;

use serde_json::{Value, json};

use crate::apps::{Apps, System, lock};
use crate::auth::{Role, User};
use crate::chip::Profile;
use crate::http::{Answer, Request, form_file};
use crate::package::{self, Refusal, Target};

/// A camera's settings for applications.
#[derive(Debug)]
pub struct Allowed {
    /// Packages without a signature.
    pub unsigned: bool,
    /// Applications that run as root.
    pub root: bool,
}

/// What the addresses below /axis-cgi/ work on.
pub struct Vapix {
    /// The camera's chip and product.
    pub profile: Profile,
    /// AXIS OS as it is written, "12.11.72".
    pub os: String,
    /// The same, major and minor.
    pub os_version: (u32, u32, u32),
    /// The camera's number.
    pub serial: String,
    /// The largest package in bytes.
    pub package_limit: u64,
    /// What an administrator has allowed.
    pub allowed: Mutex<Allowed>,
    /// Held while a package is installed.
    pub installing: Mutex<()>,
}

/// Who may ask for an address below /axis-cgi/; none where there is nothing.
pub fn access(path: &str) -> Option<Role> {
    match path {
        "/axis-cgi/applications/upload.cgi"
        | "/axis-cgi/applications/control.cgi"
        | "/axis-cgi/applications/list.cgi"
        | "/axis-cgi/applications/config.cgi"
        | "/axis-cgi/applications/info.cgi"
        | "/axis-cgi/admin/systemlog.cgi" => Some(Role::Admin),
        "/axis-cgi/usergroup.cgi" => Some(Role::Viewer),
        "/axis-cgi/basicdeviceinfo.cgi" | "/axis-cgi/param.cgi" => Some(Role::Operator),
        _ => None,
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}

impl Vapix {
    /// Answers a request of a user who may ask.
    pub fn answer(
        &self,
        path: &str,
        request: &mut Request,
        user: Option<&User>,
        apps: &Apps,
        system: &System,
    ) -> Answer {
        match path {
            "/axis-cgi/usergroup.cgi" => Answer::text(user.map_or_else(String::new, User::groups)),
            "/axis-cgi/applications/upload.cgi" => match self.upload(request, apps, system) {
                Ok(()) => Answer::text("OK\r\n"),
                Err(refusal) => {
                    system.say("applications", 1, &format!("package refused: {refusal}"));
                    Answer::text(format!("Error: {}\r\n", refusal.code))
                }
            },
            "/axis-cgi/applications/control.cgi" => self.control(request, apps),
            "/axis-cgi/applications/list.cgi" => list(apps),
            "/axis-cgi/applications/config.cgi" => self.config(request),
            "/axis-cgi/applications/info.cgi" => self.info(),
            "/axis-cgi/admin/systemlog.cgi" => {
                Answer::text(system.log(request.parameter("appname").as_deref()))
            }
            "/axis-cgi/basicdeviceinfo.cgi" => self.device_info(request),
            "/axis-cgi/param.cgi" => self.parameters(request),
            _ => Answer::error(404),
        }
    }

    fn upload(&self, request: &mut Request, apps: &Apps, system: &System) -> Result<(), Refusal> {
        let refusal = |code: u32, why: &str| Refusal { code, why: why.to_owned() };
        let Ok(_alone) = self.installing.try_lock() else {
            return Err(refusal(12, "another upload is under way"));
        };
        if request.method != "POST" {
            return Err(refusal(10, "packages are sent with POST"));
        }
        // Room for the form around it.
        let body =
            request.body(self.package_limit + 4096).map_err(|error| refusal(10, &error.to_string()))?;
        let body = body.ok_or_else(|| refusal(3, "the package is too large for this camera"))?;
        let kind = request.header("Content-Type").unwrap_or("").to_owned();
        let file = form_file(&kind, &body, &["file", "packfil"]);
        let file = file.ok_or_else(|| refusal(1, "the form has no field \"file\""))?;
        // How a signature looks is not public: every package counts as unsigned.
        if !lock(&self.allowed).unsigned {
            return Err(refusal(2, "it is not signed, and unsigned applications are not allowed"));
        }
        let disk = |error: std::io::Error| Refusal { code: 10, why: error.to_string() };
        std::fs::create_dir_all(system.packages()).map_err(disk)?;
        let staged = system.packages().join(".new");
        let _ = std::fs::remove_dir_all(&staged);
        std::fs::create_dir(&staged).map_err(disk)?;
        let target = Target { architecture: self.profile.architecture, os: self.os_version };
        let installed = package::unpack(file, &staged)
            .and_then(|()| package::check(&staged, &target))
            .and_then(|package| apps.install(package, &staged));
        let _ = std::fs::remove_dir_all(&staged);
        installed
    }

    fn control(&self, request: &Request, apps: &Apps) -> Answer {
        let error = |code: u32| Answer::text(format!("Error: {code}\r\n"));
        let ok = || Answer::text("OK\r\n");
        let (Some(action), Some(name)) = (request.parameter("action"), request.parameter("package")) else {
            return error(10);
        };
        let Some(app) = apps.get(&name) else { return error(4) };
        match action.as_str() {
            "start" if app.start() => ok(),
            "start" => error(6),
            "stop" if app.stop() => ok(),
            "stop" => error(7),
            "restart" => {
                app.stop();
                app.start();
                ok()
            }
            "remove" if apps.remove(&name) => ok(),
            "remove" => error(4),
            _ => error(10),
        }
    }

    fn config(&self, request: &Request) -> Answer {
        let error = |kind: u32, message: &str| {
            Answer::xml(format!(
                "<reply result=\"error\"><error type=\"{kind}\" message=\"{message}\"/></reply>"
            ))
        };
        let name = request.parameter("name").unwrap_or_default();
        let mut allowed = lock(&self.allowed);
        let target = match name.as_str() {
            // AXIS OS 13 has no switch any more, and root is banned from 12 on.
            "AllowUnsigned" if self.os_version.0 < 13 => &mut allowed.unsigned,
            "AllowRoot" if self.os_version.0 < 12 => &mut allowed.root,
            _ => return error(1, "Invalid parameter"),
        };
        match (request.parameter("action").as_deref(), request.parameter("value").as_deref()) {
            (Some("get"), _) => {}
            (Some("set"), Some("true")) => *target = true,
            (Some("set"), Some("false")) => *target = false,
            _ => return error(1, "Invalid value"),
        }
        Answer::xml(format!("<reply result=\"ok\"><param name=\"{name}\" value=\"{target}\"/></reply>"))
    }

    fn info(&self) -> Answer {
        let schemas = if package::takes_schema_2(self.os_version) { "1 2" } else { "1" };
        Answer::xml(format!(
            "<reply result=\"ok\"><supportedSdks><sdk name=\"ACAP\" version=\"{}\"/></supportedSdks>\
             <supportedSchemas>{schemas}</supportedSchemas></reply>",
            escape(&self.os)
        ))
    }

    fn device_info(&self, request: &mut Request) -> Answer {
        let body = request.body(64 << 10).ok().flatten().unwrap_or_default();
        let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
        let fail = |code: u32, message: &str| json!({ "apiVersion": "1.3", "error": { "code": code, "message": message } });
        let answer = match asked["method"].as_str() {
            Some("getAllProperties") => json!({ "apiVersion": "1.3", "data": { "propertyList": {
                "Architecture": self.profile.architecture, "Brand": "AXIS", "ProdNbr": self.profile.product,
                "ProdShortName": format!("AXIS {}", self.profile.product),
                "ProdFullName": format!("AXIS {} (simulated)", self.profile.product),
                "SerialNumber": self.serial, "Soc": self.profile.soc, "Version": self.os,
            } } }),
            Some("getSupportedVersions") => json!({ "data": { "apiVersions": ["1.3"] } }),
            Some(_) => fail(2001, "Method not supported"),
            None => fail(4000, "Invalid JSON"),
        };
        Answer::new(200, "application/json", answer.to_string())
    }

    fn parameters(&self, request: &Request) -> Answer {
        let all = [
            ("root.Brand.ProdNbr", self.profile.product),
            ("root.Properties.Firmware.Version", &self.os),
            ("root.Properties.System.Architecture", self.profile.architecture),
            ("root.Properties.System.SerialNumber", &self.serial),
            ("root.Properties.System.Soc", self.profile.soc),
        ];
        if request.parameter("action").as_deref() != Some("list") {
            return Answer::text("# Error: this camera's parameters can be listed only\r\n");
        }
        let group = request.parameter("group").unwrap_or_else(|| "root".to_owned());
        let mut text = String::new();
        for group in group.split(',') {
            let group = if group.starts_with("root") { group.to_owned() } else { format!("root.{group}") };
            let found = all.iter().filter(|(name, _)| {
                name.strip_prefix(&*group).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            });
            let lines: String = found.map(|(name, value)| format!("{name}={value}\r\n")).collect();
            if lines.is_empty() {
                text += &format!("# Error: Error -1 getting param in group '{group}'\r\n");
            }
            text += &lines;
        }
        Answer::text(text)
    }
}

fn list(apps: &Apps) -> Answer {
    let mut entries = String::new();
    for app in apps.all() {
        let package = &app.package;
        let page = match package.setting_page.as_str() {
            "" => String::new(),
            page => format!(" ConfigurationPage=\"local/{}/{}\"", package.name, escape(page)),
        };
        entries += &format!(
            " <application Name=\"{}\" NiceName=\"{}\" Vendor=\"{}\" Version=\"{}\" ApplicationID=\"\" \
             License=\"None\" Status=\"{}\"{page}/>\n",
            package.name,
            escape(&package.nice_name),
            escape(&package.vendor),
            escape(&package.version),
            app.state(),
        );
    }
    Answer::xml(format!("<reply result=\"ok\">\n{entries}</reply>"))
}
