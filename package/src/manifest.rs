//! The two manifests of a package, made from one `manifest.json`.
//!
//! The file is a manifest of schema 2, which AXIS OS knows from 12.10 on, and in its long-term version 11.11 from
//! 11.11.205 on (release notes of ACAP 4.15.2), and demands from 13. Others know schema 1 alone: it has no vendor's id,
//! no compatible versions and no deep learning processor, and names the version of the SDK's interface instead.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};

/// What a binary is made for, in the camera's own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// ARTPEC-8, ARTPEC-9, CV25.
    Aarch64,
    /// ARTPEC-7.
    Armv7hf,
    /// No camera: the simulator on a PC.
    X86_64,
}

impl Arch {
    /// Its name in manifests, package names and answers of cameras.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aarch64 => "aarch64",
            Self::Armv7hf => "armv7hf",
            Self::X86_64 => "x86_64",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Arch {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        [Self::Aarch64, Self::Armv7hf, Self::X86_64]
            .into_iter()
            .find(|arch| arch.name() == text)
            .ok_or_else(|| format!("\"{text}\" is no architecture; there are aarch64, armv7hf and x86_64"))
    }
}

/// The generation of a manifest's schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// 1.7.3, for AXIS OS 11.11 to 12.
    V1,
    /// 2.0.0, for AXIS OS 12.10 and later, and 11.11.205 and later.
    V2,
}

/// Whether an AXIS OS of this version (major, minor, patch) is known to take schema 2. Of 12.0 to 12.9 nothing is
/// said: their SDKs do not have it.
pub fn takes_schema_2(os: (u32, u32, u32)) -> bool {
    os >= (12, 10, 0) || (os.0, os.1) == (11, 11) && os.2 >= 205
}

/// The newest schema that SDK 12.10 and 1.15.2 have, and so the oldest systems that take schema 2 at all.
pub const V2_OLDEST: &str = "2.0.0";
/// The schema that AXIS OS 11.11 to 12 take.
const V1_VERSION: &str = "1.7.3";
/// What schema 1 asks for beside it.
const EMBEDDED_SDK: &str = "3.0";

/// A manifest that has an application's name, version and options where they belong.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    json: Value,
}

/// What is said of the setting `pointer`, for people.
fn shown(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

impl Manifest {
    /// Reads a manifest's text.
    ///
    /// # Errors
    /// Where it is no JSON object, or lacks what every application has.
    pub fn parse(text: &str) -> Result<Self> {
        let json: Value = serde_json::from_str(text)
            .map_err(|error| Error::new(format!("the manifest is no JSON ({error}); correct it")))?;
        let manifest = Self { json };
        manifest.schema()?;
        for key in ["appName", "version", "runMode"] {
            manifest.needed(&format!("/acapPackageConf/setup/{key}"))?;
        }
        manifest.version()?;
        Ok(manifest)
    }

    /// The text of the setting at this JSON pointer.
    pub fn text(&self, pointer: &str) -> Option<&str> {
        self.json.pointer(pointer)?.as_str()
    }

    /// The list at this JSON pointer; empty where there is none.
    pub fn list(&self, pointer: &str) -> &[Value] {
        self.json.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The value at this JSON pointer.
    pub fn value(&self, pointer: &str) -> Option<&Value> {
        self.json.pointer(pointer)
    }

    fn needed(&self, pointer: &str) -> Result<&str> {
        self.text(pointer)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| Error::new(format!("the manifest has no {}; add it", shown(pointer))))
    }

    /// The text of `acapPackageConf.setup.KEY`, empty where there is none.
    pub fn setup(&self, key: &str) -> &str {
        self.text(&format!("/acapPackageConf/setup/{key}")).unwrap_or_default()
    }

    /// The schema's generation.
    ///
    /// # Errors
    /// Where it is neither 1 nor 2.
    pub fn schema(&self) -> Result<Schema> {
        let version = self.needed("/schemaVersion")?;
        match version.split('.').next() {
            Some("1") => Ok(Schema::V1),
            Some("2") => Ok(Schema::V2),
            _ => Err(Error::new(format!(
                "the manifest's schemaVersion {version} is not known; there are 1.x and 2.x"
            ))),
        }
    }

    /// The application's version, three numbers.
    ///
    /// # Errors
    /// Where it is not three numbers with dots.
    pub fn version(&self) -> Result<[u32; 3]> {
        let text = self.needed("/acapPackageConf/setup/version")?;
        let parts: std::result::Result<Vec<u32>, _> = text.split('.').map(str::parse).collect();
        parts.ok().and_then(|parts| <[u32; 3]>::try_from(parts).ok()).ok_or_else(|| {
            Error::new(format!("the manifest's version \"{text}\" is not three numbers, like 1.2.3"))
        })
    }

    /// What the package is called, without its ending: `NAME_X_Y_Z_ARCH`.
    ///
    /// # Errors
    /// As for [`Self::version`].
    pub fn package_name(&self) -> Result<String> {
        let name = match self.setup("friendlyName") {
            "" => self.setup("appName"),
            name => name,
        };
        let [major, minor, patch] = self.version()?;
        let arch = self.setup("architecture");
        Ok(format!("{}_{major}_{minor}_{patch}_{arch}", name.replace(' ', "_")))
    }

    /// The manifest of this schema and architecture, made from one of schema 2; `options` are appended to the
    /// program's arguments.
    ///
    /// # Errors
    /// Where this is not a manifest of schema 2.
    pub fn derive(&self, schema: Schema, arch: Arch, options: &str) -> Result<Self> {
        if self.schema()? != Schema::V2 {
            return Err(Error::new(
                "manifest.json is not of schema 2; both manifests are made from such a one",
            ));
        }
        let mut json = self.json.clone();
        let setup = json
            .pointer_mut("/acapPackageConf/setup")
            .and_then(Value::as_object_mut)
            .ok_or_else(|| Error::new("the manifest has no acapPackageConf.setup; add it"))?;
        setup.insert("architecture".into(), json!(arch.name()));
        if !options.is_empty() {
            let before = setup.get("runOptions").and_then(Value::as_str).unwrap_or_default();
            let all = format!("{before} {options}").trim_start().to_owned();
            setup.insert("runOptions".into(), json!(all));
        }
        if schema == Schema::V1 {
            setup.shift_remove("vendorId");
            setup.shift_remove("compatibleOsVersions");
            setup.insert("embeddedSdkVersion".into(), json!(EMBEDDED_SDK));
            if let Some(resources) = json.pointer_mut("/resources").and_then(Value::as_object_mut) {
                resources.shift_remove("deepLearningProcessor");
            }
            json["schemaVersion"] = json!(V1_VERSION);
        }
        Ok(Self { json })
    }

    /// Its text as it lies in a package: indented by four, as the platform's own tools write it.
    pub fn to_text(&self) -> String {
        let mut bytes = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
        let mut writer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
        // A JSON value has no map with other keys than text, and memory does not refuse to be written.
        let written = serde::Serialize::serialize(&self.json, &mut writer);
        debug_assert!(written.is_ok());
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The top-level objects, for checks of what is there at all.
    pub fn top(&self) -> Option<&Map<String, Value>> {
        self.json.as_object()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Manifest {
        Manifest::parse(include_str!("../../manifest.json")).unwrap()
    }

    #[test]
    fn schema_1_lacks_what_came_with_schema_2() {
        let old = own().derive(Schema::V1, Arch::Armv7hf, "").unwrap();
        assert_eq!((old.schema().unwrap(), old.setup("architecture")), (Schema::V1, "armv7hf"));
        assert_eq!(old.setup("embeddedSdkVersion"), "3.0");
        for gone in ["/acapPackageConf/setup/vendorId", "/acapPackageConf/setup/compatibleOsVersions"] {
            assert!(own().value(gone).is_some() && old.value(gone).is_none(), "{gone}");
        }
        assert!(old.value("/resources/deepLearningProcessor").is_none());
        assert_eq!(old.list("/resources/linux/user/groups"), own().list("/resources/linux/user/groups"));
        assert!(old.derive(Schema::V2, Arch::Aarch64, "").is_err());
    }

    #[test]
    fn options_and_names_follow_what_is_packed() {
        let new = own().derive(Schema::V2, Arch::Aarch64, "--model models/a.tflite").unwrap();
        assert!(new.setup("runOptions").ends_with(" --model models/a.tflite"));
        let [major, minor, patch] = new.version().unwrap();
        assert_eq!(new.package_name().unwrap(), format!("Spotter_{major}_{minor}_{patch}_aarch64"));
        assert_eq!(Manifest::parse(&new.to_text()).unwrap(), new);
    }

    #[test]
    fn what_is_missing_is_named() {
        for (text, names) in [
            ("[", "no JSON"),
            ("{}", "schemaVersion"),
            (r#"{"schemaVersion":"3.0"}"#, "3.0"),
            (r#"{"schemaVersion":"2.0.0"}"#, "acapPackageConf.setup.appName"),
            (
                r#"{"schemaVersion":"2.0.0","acapPackageConf":{"setup":{"appName":"a","version":"1","runMode":"never"}}}"#,
                "three numbers",
            ),
        ] {
            let error = Manifest::parse(text).unwrap_err().to_string();
            assert!(error.contains(names), "{error}");
        }
    }
}
