//! The camera's answers, and what to do about its error numbers.

use serde_json::Value;

use crate::error::{Error, Result};

/// What was asked of the camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To install a package: `upload.cgi`.
    Upload,
    /// To start, stop or remove an application: `control.cgi`.
    Control,
}

/// The number in an answer that is `Error: N`; none in `OK`.
///
/// # Errors
/// Where the answer is neither.
pub fn number(text: &str) -> Result<Option<u32>> {
    let text = text.trim();
    if text == "OK" {
        return Ok(None);
    }
    let number = text.strip_prefix("Error:").and_then(|rest| rest.trim().parse().ok());
    number.map(Some).ok_or_else(|| {
        let start: String = text.chars().take(200).collect();
        Error::new(format!(
            "the camera answers \"{start}\", neither OK nor an error number; is it an Axis camera?"
        ))
    })
}

/// What an error number means, and what to do.
pub fn explain(asked: Asked, number: u32) -> String {
    let text = match (asked, number) {
        (Asked::Upload, 1) => {
            "the package is none that the camera can read; check it with `spotter-package lint`, and build it again"
        }
        (Asked::Upload, 2) => {
            "the camera takes signed applications only. On AXIS OS 12, add --allow-unsigned, or switch on \
             \"Allow unsigned apps\" on its page under Apps; AXIS OS 13 has no such switch: have the package signed \
             (docs/camera.md)"
        }
        (Asked::Upload, 3) => {
            "the package is too large for the camera, or its disk is full; remove applications that are not used, \
             or pack a smaller model"
        }
        (Asked::Upload, 5) => {
            "the package is not for this camera: its processor or its AXIS OS is another; `./build.sh status HOST` \
             tells both, aarch64 is for ARTPEC-8, ARTPEC-9 and CV25, armv7hf for ARTPEC-7"
        }
        (Asked::Upload, 12) => "the camera is installing another package; try again in a minute",
        (Asked::Upload, 13) => {
            "the camera cannot make the user or group that the manifest asks for; update its AXIS OS"
        }
        (Asked::Upload, 14) => {
            "an application is installed whose name differs in capital letters only; remove that first"
        }
        (Asked::Upload, 27) => {
            "the application that is installed comes from another vendor (vendorId); remove it first, which deletes \
             its settings: `./build.sh remove HOST`"
        }
        (Asked::Upload, 29) => {
            "the camera does not accept the manifest or package.conf: the AXIS OS may be too old for the schema. \
             For AXIS OS 11 and 12 take the package whose name ends in _os11.eap"
        }
        (Asked::Control, 4) => "the application is not installed; `./build.sh install HOST` installs it",
        (Asked::Control, 6) => "the application runs already",
        (Asked::Control, 7) => "the application does not run",
        (Asked::Control, 9) => "too many applications run; stop one of them",
        (_, 15) => "the camera took too long; try again, and restart the camera where that does not help",
        (_, 1 | 10) => {
            "the camera gives no reason; its log may tell it: `./build.sh logs HOST`, or System, Logs on its page"
        }
        _ => "this number is not documented; the camera's log may tell more: System, Logs on its page",
    };
    format!("{text} (Error {number})")
}

/// What the camera says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// `Q1656-LE`.
    pub product: String,
    /// `aarch64` or `armv7hf`.
    pub architecture: String,
    /// `Axis Artpec-8`.
    pub soc: String,
    /// The version of AXIS OS, `12.10.68`.
    pub version: String,
}

impl About {
    /// Reads the answer of `basicdeviceinfo.cgi`.
    ///
    /// # Errors
    /// Where it is another answer.
    pub fn read(text: &str) -> Result<Self> {
        let json: Value = serde_json::from_str(text).unwrap_or_default();
        let list = &json["data"]["propertyList"];
        if !list.is_object() {
            let why = json["error"]["message"].as_str().unwrap_or("no list of properties in the answer");
            return Err(Error::new(format!(
                "the camera does not say what it is ({why}); is it an Axis camera?"
            )));
        }
        let text = |key: &str| list[key].as_str().unwrap_or_default().to_owned();
        let product = [text("ProdNbr"), text("ProdShortName")].into_iter().find(|name| !name.is_empty());
        Ok(Self {
            product: product.unwrap_or_default(),
            architecture: text("Architecture"),
            soc: text("Soc"),
            version: text("Version"),
        })
    }

    /// The first three numbers of the version; the third is 0 where there is none.
    pub fn os(&self) -> Option<(u32, u32, u32)> {
        let mut parts = self.version.split('.').map(str::parse);
        Some((parts.next()?.ok()?, parts.next()?.ok()?, parts.next().and_then(|part| part.ok()).unwrap_or(0)))
    }
}

/// An application as the camera lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// Its version.
    pub version: String,
    /// `Running`, `Stopped` or `Idle`.
    pub status: String,
}

/// Finds an application in the answer of `list.cgi`.
///
/// # Errors
/// Where the answer is not such a list.
pub fn application(text: &str, name: &str) -> Result<Option<Application>> {
    let broken =
        |why: String| Error::new(format!("the camera's list of applications cannot be read ({why})"));
    let document = roxmltree::Document::parse(text).map_err(|error| broken(error.to_string()))?;
    let root = document.root_element();
    if root.attribute("result") != Some("ok") {
        return Err(broken("it is no list".to_owned()));
    }
    let of = |node: &roxmltree::Node, key: &str| node.attribute(key).unwrap_or_default().to_owned();
    Ok(root
        .descendants()
        .find(|node| node.has_tag_name("application") && node.attribute("Name") == Some(name))
        .map(|node| Application { version: of(&node, "Version"), status: of(&node, "Status") }))
}

/// Whether the answer of `config.cgi` says that a setting was taken.
///
/// # Errors
/// With the camera's own words where it was not.
pub fn setting(text: &str) -> Result<()> {
    let document = roxmltree::Document::parse(text).ok();
    let root = document.as_ref().map(roxmltree::Document::root_element);
    if root.is_some_and(|root| root.attribute("result") == Some("ok")) {
        return Ok(());
    }
    let message = root
        .and_then(|root| root.descendants().find_map(|node| node.attribute("message")))
        .unwrap_or("no reason given");
    Err(Error::new(format!(
        "the camera does not let unsigned applications in ({message}); AXIS OS 13 never does: have the package signed \
         (docs/camera.md)"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_number_says_what_to_do() {
        for known in [1, 2, 3, 5, 10, 12, 13, 14, 15, 27, 29] {
            let text = explain(Asked::Upload, known);
            assert!(
                text.ends_with(&format!("(Error {known})")) && !text.contains("not documented"),
                "{text}"
            );
        }
        for known in [1, 4, 6, 7, 9, 10, 15] {
            assert!(!explain(Asked::Control, known).contains("not documented"), "{known}");
        }
        assert!(explain(Asked::Upload, 99).contains("not documented"));
        assert!(explain(Asked::Upload, 2).contains("--allow-unsigned"));
        assert!(explain(Asked::Control, 4).contains("install"));
    }

    #[test]
    fn ok_numbers_and_nonsense_are_told_apart() {
        assert_eq!(number("OK\n").unwrap(), None);
        assert_eq!(number("Error: 29\r\n").unwrap(), Some(29));
        for bad in ["", "<html>", "Error: x"] {
            assert!(number(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_camera_says_what_it_is() {
        let text = r#"{"apiVersion":"1.3","data":{"propertyList":{"Architecture":"aarch64","ProdNbr":"Q1656-LE",
            "Soc":"Axis Artpec-8","Version":"12.10.68"}}}"#;
        let about = About::read(text).unwrap();
        assert_eq!((about.architecture.as_str(), about.os()), ("aarch64", Some((12, 10, 68))));
        let error = r#"{"error":{"code":2000,"message":"Invalid request"}}"#;
        assert!(About::read(error).unwrap_err().to_string().contains("Invalid request"));
        assert!(About::read("<html>").is_err());
        assert_eq!(About { version: "x".into(), ..About::default() }.os(), None);
    }

    #[test]
    fn applications_are_found_in_both_forms_of_the_list() {
        let old = r#"<reply result="ok"><application Name="vmd" Version="4.5" Status="Running"/>
            <application Name="spotter" NiceName="Spotter" Version="0.1.0" Status="Stopped" License="None"/></reply>"#;
        let new = r#"<?xml version="1.0"?><reply result="ok"><application Name="spotter" Version="0.2.0" Status="Running">
            <Resources/><CompatibleOsVersions><x/></CompatibleOsVersions></application></reply>"#;
        let found = application(old, "spotter").unwrap().unwrap();
        assert_eq!((found.version.as_str(), found.status.as_str()), ("0.1.0", "Stopped"));
        assert_eq!(application(new, "spotter").unwrap().unwrap().version, "0.2.0");
        assert_eq!(application(r#"<reply result="ok"></reply>"#, "spotter").unwrap(), None);
        assert!(application("<reply result=\"error\"/>", "spotter").is_err());
        assert!(application("nothing", "spotter").is_err());
    }

    #[test]
    fn settings_are_taken_or_refused() {
        setting(r#"<reply result="ok"><param name="AllowUnsigned" value="true"/></reply>"#).unwrap();
        let error =
            setting(r#"<reply result="error"><error type="1" message="Not allowed"/></reply>"#).unwrap_err();
        assert!(error.to_string().contains("(Not allowed)"), "{error}");
        assert!(setting("").is_err());
    }
}
