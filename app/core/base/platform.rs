//! What a camera says of itself: its AXIS OS and its system on a chip. Asked for once.
//!
//! The camera's own program `parhandclient` reads its parameters; Axis' acap-runtime asks it by `get`. That an
//! application's user may start it on every AXIS OS is assumed: where it cannot, both are unknown.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The program on a camera that tells its parameters, and how long it may take.
const PROGRAM: &str = "parhandclient";
const TIME_LIMIT: Duration = Duration::from_secs(2);

/// What is known of the camera.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Platform {
    /// The version of AXIS OS, "12.7.61".
    pub os: Option<String>,
    /// Its own name for its system on a chip, "Axis Artpec-8".
    pub soc: Option<String>,
}

static PLATFORM: OnceLock<Platform> = OnceLock::new();

/// What the camera says of itself; nothing on a desktop. The first time it may take four seconds.
pub fn get() -> &'static Platform {
    PLATFORM.get_or_init(|| Platform {
        os: parameter("Properties.Firmware.Version"),
        soc: parameter("Properties.System.Soc"),
    })
}

/// The same, where somebody has asked already.
pub fn known() -> Option<&'static Platform> {
    PLATFORM.get()
}

impl Platform {
    /// The first two numbers of the version of AXIS OS: (12, 7).
    pub fn os_version(&self) -> Option<(u32, u32)> {
        let mut numbers = self.os.as_deref()?.split('.');
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }
}

/// One parameter below `root`; `None` where there is nobody to ask, or no such parameter.
fn parameter(name: &str) -> Option<String> {
    let mut child = Command::new(PROGRAM)
        .args(["get", &format!("root.{name}")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let end = Instant::now() + TIME_LIMIT;
    let ended = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status.success(),
            Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(5)),
            _ => break false,
        }
    };
    if !ended {
        let _ = child.kill();
        let _ = child.wait();
        return None;
    }
    let mut said = String::new();
    child.stdout.take()?.take(4096).read_to_string(&mut said).ok()?;
    value_in(&said, name)
}

/// The value alone, or behind the parameter's name, as groups are told; with or without quotes.
fn value_in(said: &str, name: &str) -> Option<String> {
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let value = lines.into_iter().find_map(|line| match line.split_once('=') {
        Some((key, value)) => key.ends_with(name).then_some(value),
        None => Some(line),
    })?;
    let value = value.trim().trim_matches('"').trim();
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_read_however_it_is_told() {
        let (soc, os) = ("Properties.System.Soc", "Properties.Firmware.Version");
        for (said, name, value) in [
            ("root.Properties.System.Soc=Axis Artpec-8\n", soc, Some("Axis Artpec-8")),
            ("Properties.System.Soc=\"Ambarella CV25\"", soc, Some("Ambarella CV25")),
            ("\"12.7.61\"\n", os, Some("12.7.61")),
            ("11.11.73", os, Some("11.11.73")),
            ("# Error: no such group", soc, None),
            ("root.Properties.System.Soc=\n", soc, None),
            ("root.Brand.ProdNbr=Q1728\n", os, None),
            ("", os, None),
        ] {
            assert_eq!(value_in(said, name).as_deref(), value, "{said}");
        }
        // No such program on a desktop: nobody is waited for.
        assert_eq!(parameter(soc), None);
    }

    #[test]
    fn the_version_is_numbers() {
        let of = |os: Option<&str>| Platform { os: os.map(str::to_owned), soc: None }.os_version();
        assert_eq!(of(Some("12.10.73")), Some((12, 10)));
        assert_eq!(of(Some("11.11")), Some((11, 11)));
        assert_eq!(of(Some("weekly")), None);
        assert_eq!(of(None), None);
    }
}
