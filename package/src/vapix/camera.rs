//! What is done with an application on a camera.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::answers::{self, About, Application, Asked};
use super::choose::Candidate;
use super::{Address, Client};
use crate::error::{Error, Result};

/// The application's own way to be asked for its health, through the camera's web server.
const HEALTH: &str = "api/healthz";
/// How long to wait before asking again.
const AGAIN: Duration = Duration::from_millis(500);
/// What parts a form; nothing in a gzip'd file is like it, since it is not all random.
const BOUNDARY: &str = "----spotter-package-0f8e1c7a5d3b9246";

/// What an application says of its health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether it finds things now.
    pub detecting: bool,
    /// `live`, `no-model`, …
    pub state: String,
    /// What is wrong, where something is.
    pub message: String,
}

/// A camera and an application on it, called `name`.
pub struct Camera {
    client: Client,
    name: String,
}

impl Camera {
    /// An application on this camera.
    pub fn new(client: Client, name: &str) -> Self {
        Self { client, name: name.to_owned() }
    }

    /// Where the camera is.
    pub fn address(&self) -> &Address {
        self.client.address()
    }

    /// The page that people open.
    pub fn page(&self) -> String {
        format!("{}/local/{}/index.html", self.address(), self.name)
    }

    /// What the camera is.
    ///
    /// # Errors
    /// Where it does not answer, or not as an Axis camera does.
    pub fn about(&mut self) -> Result<About> {
        let path = "/axis-cgi/basicdeviceinfo.cgi";
        let body = br#"{"apiVersion":"1.0","method":"getAllProperties"}"#;
        let answer = self.client.request("POST", path, Some(("application/json", body)))?;
        About::read(&self.client.good(path, answer)?)
    }

    /// Lets unsigned applications in.
    ///
    /// # Errors
    /// Where the camera does not.
    pub fn allow_unsigned(&mut self) -> Result<()> {
        let path = "/axis-cgi/applications/config.cgi?action=set&name=AllowUnsigned&value=true";
        answers::setting(&self.client.get(path)?)
    }

    /// Puts a package onto the camera. One that is there already is replaced, and keeps its settings.
    ///
    /// # Errors
    /// Where the camera refuses it, with what to do.
    pub fn upload(&mut self, package: &Candidate) -> Result<()> {
        let file = package.path.file_name().and_then(|name| name.to_str()).unwrap_or("package.eap");
        let mut form = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{file}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        )
        .into_bytes();
        form.extend(&package.bytes);
        form.extend(format!("\r\n--{BOUNDARY}--\r\n").into_bytes());
        let path = "/axis-cgi/applications/upload.cgi";
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        let answer = self.client.request("POST", path, Some((&kind, &form)))?;
        match answers::number(&self.client.good(path, answer)?)? {
            None => Ok(()),
            Some(number) => Err(Error::new(format!("{file}: {}", answers::explain(Asked::Upload, number)))),
        }
    }

    /// `start`, `stop`, `restart` or `remove`. That it is so already is no error.
    ///
    /// # Errors
    /// Where the camera refuses, with what to do.
    pub fn control(&mut self, action: &str) -> Result<()> {
        let path = format!("/axis-cgi/applications/control.cgi?action={action}&package={}", self.name);
        match (answers::number(&self.client.get(&path)?)?, action) {
            (None, _) | (Some(6), "start") | (Some(7), "stop") => Ok(()),
            (Some(number), _) => {
                let text = answers::explain(Asked::Control, number);
                Err(Error::new(format!("{action} {}: {text}", self.name)))
            }
        }
    }

    /// The application as the camera lists it; none where it is not installed.
    ///
    /// # Errors
    /// Where the camera does not answer with a list.
    pub fn application(&mut self) -> Result<Option<Application>> {
        answers::application(&self.client.get("/axis-cgi/applications/list.cgi")?, &self.name)
    }

    /// What the application has written into the camera's log.
    ///
    /// # Errors
    /// Where the camera does not answer.
    pub fn logs(&mut self) -> Result<String> {
        self.client.get(&format!("/axis-cgi/admin/systemlog.cgi?appname={}", self.name))
    }

    /// The application's health, or what the camera's web server says instead of it.
    ///
    /// # Errors
    /// Where the camera does not answer.
    pub fn health(&mut self) -> Result<std::result::Result<Health, String>> {
        let path = format!("/local/{}/{HEALTH}", self.name);
        let answer = self.client.request("GET", &path, None)?;
        if answer.status != 200 {
            return Ok(Err(format!("{HEALTH} gives status {}", answer.status)));
        }
        let json: Value = serde_json::from_str(&answer.text).unwrap_or_default();
        let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
        Ok(match json["detecting"].as_bool() {
            Some(detecting) => Ok(Health { detecting, state: text("state"), message: text("message") }),
            None => Err(format!("{HEALTH} is not the application's answer")),
        })
    }

    /// Waits until the application answers.
    ///
    /// # Errors
    /// Where it does not in this time.
    pub fn wait(&mut self, time: Duration) -> Result<Health> {
        let started = Instant::now();
        loop {
            let last = match self.health() {
                Ok(Ok(health)) => return Ok(health),
                Ok(Err(text)) => text,
                Err(error) => error.to_string(),
            };
            if started.elapsed() >= time {
                return Err(Error::new(format!(
                    "{} is installed and was started, but has not answered within {} s ({last}); its log may tell \
                     why: `./build.sh logs HOST`",
                    self.name,
                    time.as_secs()
                )));
            }
            std::thread::sleep(AGAIN);
        }
    }
}
