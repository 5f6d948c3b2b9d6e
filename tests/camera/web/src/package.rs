//! Packages: what is in an .eap, and why a camera refuses one.
//!
//! The error numbers are VAPIX's (applications/upload.cgi). Which of them a real camera gives for which mistake is
//! public for few of them; the rest are this simulator's choice.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use crate::auth::Role;

/// Modes in which a camera starts an application.
const RUN_MODES: [&str; 4] = ["never", "once", "respawn", "respawnOnFailure"];
/// Groups that schema 2 lets an application be in.
const GROUPS: [&str; 11] = [
    "admin", "audiod", "gpu", "hidraw", "operator", "pipewire", "ptzadm", "sdk", "storage", "video", "viewer",
];
/// Bytes that an unpacked package may take.
const UNPACKED_LIMIT: u64 = 512 << 20;

/// Why a package is refused: VAPIX's number, and why for the log.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// `Error: N`.
    pub code: u32,
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error: {} ({})", self.code, self.why)
    }
}

fn invalid(why: impl Into<String>) -> Refusal {
    Refusal { code: 1, why: why.into() }
}

fn bad_manifest(why: impl Into<String>) -> Refusal {
    Refusal { code: 29, why: why.into() }
}

fn incompatible(why: impl Into<String>) -> Refusal {
    Refusal { code: 5, why: why.into() }
}

/// A path that is passed on to the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Below `/local/<app>/`.
    pub path: String,
    /// The port on this machine.
    pub port: u16,
    /// Who may.
    pub access: Role,
}

/// What package.conf and manifest.json say.
#[derive(Clone, Debug)]
pub struct Package {
    /// APPNAME: the binary's name and the folder's.
    pub name: String,
    /// PACKAGENAME.
    pub nice_name: String,
    /// VENDOR.
    pub vendor: String,
    /// Of schema 2.
    pub vendor_id: Option<String>,
    /// x.y.z.
    pub version: String,
    /// APPOPTS.
    pub options: String,
    /// STARTMODE.
    pub run_mode: String,
    /// SETTINGSPAGEFILE.
    pub setting_page: String,
    /// Who may see html/.
    pub html: Role,
    /// What is passed on.
    pub proxies: Vec<Proxy>,
}

/// The camera that a package is to run on.
pub struct Target {
    /// The architecture of its processor.
    pub architecture: &'static str,
    /// AXIS OS: major, minor, patch.
    pub os: (u32, u32, u32),
}

/// Unpacks the archive into the empty folder `into`, everything read-only.
///
/// # Errors
/// 1 where it is no gzip'd tar or reaches out of its folder, 3 where it is too large.
pub fn unpack(bytes: &[u8], into: &Path) -> Result<(), Refusal> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes).take(UNPACKED_LIMIT));
    let broken = |error: std::io::Error| invalid(format!("no gzip'd tar archive: {error}"));
    let mut total = 0;
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let path = entry.path().map_err(broken)?.into_owned();
        if path.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(invalid(format!("{} leads out of the package", path.display())));
        }
        total += entry.size();
        if total > UNPACKED_LIMIT {
            return Err(Refusal { code: 3, why: "too large".to_owned() });
        }
        let kind = entry.header().entry_type();
        let place = into.join(&path);
        if kind.is_dir() {
            std::fs::create_dir_all(&place).map_err(broken)?;
        } else if kind.is_file() {
            std::fs::create_dir_all(place.parent().unwrap_or(into)).map_err(broken)?;
            let mut content = Vec::new();
            entry.read_to_end(&mut content).map_err(broken)?;
            std::fs::write(&place, content).map_err(broken)?;
            let executable = entry.header().mode().map_err(broken)? & 0o111 != 0;
            let mode = if executable { 0o555 } else { 0o444 };
            std::fs::set_permissions(&place, PermissionsExt::from_mode(mode)).map_err(broken)?;
        } else {
            return Err(invalid(format!("{} is neither file nor folder", path.display())));
        }
    }
    if total == 0 { Err(invalid("it is empty")) } else { Ok(()) }
}

/// The keys of a package.conf: `KEY="value"`, `KEY='value'`, `KEY=value`.
pub fn package_conf(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| {
            let value = value.trim();
            let quoted =
                ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
            (key.trim().to_owned(), quoted.unwrap_or(value).to_owned())
        })
        .collect()
}

/// "12.11.72" → (12, 11, 72).
pub fn os_version(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.split('.').map(|part| part.parse().ok());
    let mut next = || parts.next().unwrap_or(Some(0));
    Some((next()?, next()?, next()?))
}

/// "Minimum AXIS OS version: 11.11.205", "introducing manifest schema version 2" (release notes of ACAP 4.15.2); on the
/// newer track it came with SDK 12.10. Nothing public says that 12.0 to 12.9 take it, so here they do not.
pub fn takes_schema_2(os: (u32, u32, u32)) -> bool {
    os >= (12, 10, 0) || (os.0, os.1) == (11, 11) && os.2 >= 205
}

/// Reads and checks an unpacked package.
///
/// # Errors
/// What a camera says: 1, 5, 13 or 29.
pub fn check(folder: &Path, target: &Target) -> Result<Package, Refusal> {
    let read = |name: &str| {
        std::fs::read_to_string(folder.join(name)).map_err(|error| invalid(format!("{name}: {error}")))
    };
    let conf = package_conf(&read("package.conf")?);
    let manifest: Value = serde_json::from_str(&read("manifest.json")?)
        .map_err(|error| bad_manifest(format!("manifest.json: {error}")))?;
    if read("LICENSE")?.trim().is_empty() {
        return Err(invalid("LICENSE is empty"));
    }
    read("param.conf")?;
    let get =
        |key: &str| conf.get(key).cloned().ok_or_else(|| bad_manifest(format!("package.conf has no {key}")));
    let package_conf = &manifest["acapPackageConf"];
    let (setup, configuration) = (&package_conf["setup"], &package_conf["configuration"]);
    check_schema(&manifest, target)?;

    let name = get("APPNAME")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !(2..=26).contains(&name.len())
        || !name.starts_with(|c: char| c.is_ascii_alphabetic())
        || !name.chars().all(plain)
    {
        return Err(bad_manifest(format!("APPNAME \"{name}\" is no name of 2 to 26 letters, digits and _")));
    }
    let binary = folder.join(&name);
    let executable =
        binary.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0);
    if !executable {
        return Err(invalid(format!("there is no executable file {name}")));
    }
    let architecture = get("APPTYPE")?;
    if ![target.architecture, "all"].contains(&architecture.as_str()) {
        return Err(incompatible(format!(
            "it is for {architecture}, and this camera is {}",
            target.architecture
        )));
    }
    let version = [get("APPMAJORVERSION")?, get("APPMINORVERSION")?, get("APPMICROVERSION")?].join(".");
    // What both say must be the same.
    let twice = [
        ("appName", &name),
        ("version", &version),
        ("vendor", &get("VENDOR")?),
        ("runMode", &get("STARTMODE")?),
        ("runOptions", &get("APPOPTS")?),
    ];
    for (key, value) in twice {
        let said = setup[key].as_str().unwrap_or("");
        let default = if key == "runMode" && said.is_empty() { "never" } else { said };
        if default != value {
            return Err(bad_manifest(format!(
                "{key} is \"{said}\" in manifest.json and \"{value}\" in package.conf"
            )));
        }
    }
    if let Some(said) = setup["architecture"].as_str()
        && said != architecture
    {
        return Err(bad_manifest(format!(
            "architecture is {said} in manifest.json, {architecture} in package.conf"
        )));
    }
    let run_mode = get("STARTMODE")?;
    if !RUN_MODES.contains(&run_mode.as_str()) {
        return Err(bad_manifest(format!("\"{run_mode}\" is no run mode")));
    }
    if get("APPUSR")? == "root" || get("APPGRP")? == "root" {
        return Err(Refusal { code: 13, why: "applications do not run as root".to_owned() });
    }
    Ok(Package {
        nice_name: get("PACKAGENAME")?,
        vendor: get("VENDOR")?,
        vendor_id: setup["vendorId"].as_str().map(str::to_owned),
        options: get("APPOPTS")?,
        setting_page: conf.get("SETTINGSPAGEFILE").cloned().unwrap_or_default(),
        html: html_access(configuration)?,
        proxies: proxies(configuration)?,
        name,
        version,
        run_mode,
    })
}

/// The keys of `acapPackageConf.setup` that schema 2 takes; others are errors (`additionalProperties: false`).
const SETUP_KEYS: [&str; 12] = [
    "appName",
    "appId",
    "architecture",
    "compatibleOsVersions",
    "friendlyName",
    "user",
    "runMode",
    "runOptions",
    "vendor",
    "vendorId",
    "vendorUrl",
    "version",
];

/// What differs between the manifests of AXIS OS 11 and 12 (schema 1) and of newer ones (schema 2).
fn check_schema(manifest: &Value, target: &Target) -> Result<(), Refusal> {
    let schema = manifest["schemaVersion"].as_str().unwrap_or("");
    let package_conf = &manifest["acapPackageConf"];
    let setup = &package_conf["setup"];
    if !package_conf["resources"].is_null() {
        return Err(bad_manifest("resources must be at the top of the manifest"));
    }
    let groups = manifest["resources"]["linux"]["user"]["groups"].as_array().cloned().unwrap_or_default();
    if let Some(group) = groups.iter().filter_map(Value::as_str).find(|group| !GROUPS.contains(group)) {
        return Err(Refusal { code: 13, why: format!("no application may be in group {group}") });
    }
    match schema.split('.').next() {
        Some("1") if target.os.0 >= 13 => {
            Err(incompatible(format!("AXIS OS {} asks for schema 2", target.os.0)))
        }
        Some("1") => {
            for key in ["vendorId", "compatibleOsVersions"] {
                if !setup[key].is_null() {
                    return Err(bad_manifest(format!("schema {schema} has no {key}")));
                }
            }
            if !manifest["resources"]["deepLearningProcessor"].is_null() {
                return Err(bad_manifest(format!("schema {schema} has no deepLearningProcessor")));
            }
            Ok(())
        }
        Some("2") if !takes_schema_2(target.os) => {
            Err(bad_manifest("schema 2 came with AXIS OS 12.10, and with 11.11.205"))
        }
        // "It acts as an agreement between the ACAP and the AXIS OS": what came with SDK 12.11 an older system does not know.
        Some("2") if schema != "2.0.0" && target.os < (12, 11, 0) => {
            Err(bad_manifest(format!("schema {schema} came with AXIS OS 12.11")))
        }
        Some("2") => {
            let vendor = setup["vendorId"].as_str().unwrap_or("");
            if vendor.len() != 10 || !vendor.chars().all(|c| c.is_ascii_hexdigit()) {
                return Err(bad_manifest("vendorId is not 10 hexadecimal digits"));
            }
            if !setup["embeddedSdkVersion"].is_null() || !setup["architecture"].is_string() {
                return Err(bad_manifest("schema 2 has architecture and no embeddedSdkVersion"));
            }
            let keys = setup.as_object().into_iter().flat_map(|setup| setup.keys());
            if let Some(key) = keys.into_iter().find(|key| !SETUP_KEYS.contains(&key.as_str())) {
                return Err(bad_manifest(format!("schema 2 has no setup.{key}")));
            }
            let versions = setup["compatibleOsVersions"].as_array().filter(|versions| !versions.is_empty());
            let versions = versions.ok_or_else(|| bad_manifest("compatibleOsVersions is missing"))?;
            let fits = versions.iter().any(|range| {
                let bound = |key: &str| range[key].as_str();
                let min = bound("min").is_none_or(|min| os_version(min).is_some_and(|min| min <= target.os));
                // "13" is all of 13, "13.2" that and older.
                let max = bound("max").is_none_or(|max| match os_version(max) {
                    Some(at) if max.contains('.') => (target.os.0, target.os.1) <= (at.0, at.1),
                    Some(at) => target.os.0 <= at.0,
                    None => false,
                });
                min && max
            });
            if fits { Ok(()) } else { Err(incompatible("compatibleOsVersions does not name this AXIS OS")) }
        }
        _ => Err(bad_manifest(format!("schemaVersion \"{schema}\" is not known"))),
    }
}

/// Who may see html/: administrators alone, where the manifest says nothing.
fn html_access(configuration: &Value) -> Result<Role, Refusal> {
    let entries = configuration["httpConfig"].as_array().cloned().unwrap_or_default();
    match entries.iter().find(|entry| entry["type"] == "directory") {
        None => Ok(Role::Admin),
        Some(entry) => entry["access"]
            .as_str()
            .and_then(Role::named)
            .ok_or_else(|| bad_manifest(format!("httpConfig: {} is no access", entry["access"]))),
    }
}

fn proxies(configuration: &Value) -> Result<Vec<Proxy>, Refusal> {
    let entries = configuration["reverseProxy"].as_array().cloned().unwrap_or_default();
    entries
        .iter()
        .map(|entry| {
            let path = entry["apiPath"].as_str().unwrap_or("").trim_matches('/').to_owned();
            let target = entry["target"].as_str().unwrap_or("");
            let port = ["http://localhost:", "http://127.0.0.1:"]
                .iter()
                .find_map(|start| target.strip_prefix(start)?.trim_end_matches('/').parse().ok());
            let access = entry["access"].as_str().and_then(Role::named);
            match (path.is_empty(), port, access) {
                (false, Some(port), Some(access)) => Ok(Proxy { path, port, access }),
                _ => Err(bad_manifest(format!(
                    "reverseProxy {entry} is not simulated: it needs apiPath, access and target http://localhost:PORT"
                ))),
            }
        })
        .collect()
}

/// The machine that an ELF file is for, as Rust names it; none for other files.
pub fn elf_architecture(path: &Path) -> Option<&'static str> {
    let mut head = [0; 20];
    std::fs::File::open(path).ok()?.read_exact(&mut head).ok()?;
    if !head.starts_with(b"\x7fELF") {
        return None;
    }
    match u16::from_le_bytes([head[18], head[19]]) {
        40 => Some("arm"),
        62 => Some("x86_64"),
        183 => Some("aarch64"),
        _ => None,
    }
}

/// All files below `folder`, folders first.
pub fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    let mut at = 0;
    while at < found.len() {
        if let Ok(entries) = std::fs::read_dir(&found[at])
            && !found[at].is_symlink()
        {
            found.extend(entries.flatten().map(|entry| entry.path()));
        }
        at += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const CONF: &str = "PACKAGENAME=\"Some App\"\nAPPTYPE=\"aarch64\"\nAPPNAME=\"some\"\nVENDOR=\"V\"\n\
        APPMAJORVERSION=\"1\"\nAPPMINORVERSION=\"2\"\nAPPMICROVERSION=\"3\"\nAPPGRP=\"sdk\"\nAPPUSR=\"sdk\"\n\
        APPOPTS=\"run --listen 127.0.0.1:2001\"\nSTARTMODE=\"respawn\"\nSETTINGSPAGEFILE=\"index.html\"\n\
        VENDORHOMEPAGELINK='<a href=\"x\">y</a>'\n";
    const A8: Target = Target { architecture: "aarch64", os: (12, 11, 0) };

    fn manifest() -> Value {
        json!({ "schemaVersion": "1.7.3", "resources": { "linux": { "user": { "groups": ["video"] } } },
            "acapPackageConf": {
                "setup": { "appName": "some", "vendor": "V", "version": "1.2.3", "runMode": "respawn",
                    "runOptions": "run --listen 127.0.0.1:2001", "embeddedSdkVersion": "3.0" },
                "configuration": {
                    "httpConfig": [{ "type": "directory", "access": "viewer" }],
                    "reverseProxy": [{ "apiPath": "api", "target": "http://localhost:2001", "access": "viewer" }] } } })
    }

    fn second() -> Value {
        let mut manifest = manifest();
        manifest["schemaVersion"] = json!("2.1.0");
        let setup = manifest["acapPackageConf"]["setup"].as_object_mut().unwrap();
        setup.remove("embeddedSdkVersion");
        setup.insert("vendorId".into(), json!("0123456789"));
        setup.insert("architecture".into(), json!("aarch64"));
        setup.insert("compatibleOsVersions".into(), json!([{ "min": "12.10", "max": "13" }]));
        manifest
    }

    fn checked(conf: &str, manifest: &Value, target: &Target) -> Result<Package, u32> {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("package.conf", conf);
        write("manifest.json", &manifest.to_string());
        write("LICENSE", "text");
        write("param.conf", "");
        write("some", "#!/bin/sh");
        std::fs::set_permissions(folder.path().join("some"), PermissionsExt::from_mode(0o755)).unwrap();
        check(folder.path(), target).map_err(|refusal| refusal.code)
    }

    #[test]
    fn a_right_package_is_read() {
        let package = checked(CONF, &manifest(), &A8).unwrap();
        assert_eq!((package.name.as_str(), package.version.as_str()), ("some", "1.2.3"));
        assert_eq!(package.nice_name, "Some App");
        assert_eq!(package.html, Role::Viewer);
        assert_eq!(package.proxies, [Proxy { path: "api".into(), port: 2001, access: Role::Viewer }]);
        let mut quiet = manifest();
        quiet["acapPackageConf"]["configuration"] = json!({});
        assert_eq!(checked(CONF, &quiet, &A8).unwrap().html, Role::Admin, "administrators alone by default");
        assert!(checked(CONF, &second(), &A8).is_ok());
        assert!(checked(CONF, &second(), &Target { os: (13, 2, 0), ..A8 }).is_ok());
    }

    #[test]
    fn each_mistake_has_its_number() {
        let conf = |from: &str, to: &str| checked(&CONF.replace(from, to), &manifest(), &A8).unwrap_err();
        assert_eq!(conf("aarch64", "armv7hf"), 5);
        assert_eq!(conf("\"1\"", "\"2\""), 29, "versions that differ");
        assert_eq!(conf("APPUSR=\"sdk\"", "APPUSR=\"root\""), 13);
        assert_eq!(conf("APPNAME=\"some\"", "APPNAME=\"other\""), 1, "no such binary");
        assert_eq!(conf("APPNAME=\"some\"", "APPNAME=\"so-me\""), 29);
        assert_eq!(conf("STARTMODE=\"respawn\"\n", ""), 29);
        let with = |key: &str, value: Value, mut manifest: Value, target: &Target| {
            manifest["acapPackageConf"]["setup"][key] = value;
            checked(CONF, &manifest, target).map(|package| package.version).unwrap_err()
        };
        assert_eq!(with("vendorId", json!("0123456789"), manifest(), &A8), 29);
        assert_eq!(with("vendorId", json!("xyz"), second(), &A8), 29);
        assert_eq!(with("compatibleOsVersions", json!([]), second(), &A8), 29);
        assert_eq!(with("compatibleOsVersions", json!([{ "min": "13.0" }]), second(), &A8), 5);
        assert_eq!(with("architecture", json!("armv7hf"), second(), &A8), 29);
        assert_eq!(checked(CONF, &manifest(), &Target { os: (13, 0, 0), ..A8 }).unwrap_err(), 5);
        for os in [(11, 11, 0), (11, 11, 204), (12, 0, 0), (12, 9, 99), (12, 10, 0)] {
            let on = Target { os, ..A8 };
            assert_eq!(checked(CONF, &second(), &on).unwrap_err(), 29, "{os:?}: 2.1.0 came with 12.11");
        }
        let mut oldest = second();
        oldest["schemaVersion"] = json!("2.0.0");
        oldest["acapPackageConf"]["setup"]["compatibleOsVersions"] = json!([{ "min": "11.11", "max": "13" }]);
        for (os, fits) in [
            ((11, 11, 204), false),
            ((11, 11, 205), true),
            ((12, 9, 0), false),
            ((12, 10, 0), true),
            ((13, 1, 0), true),
        ] {
            let on = Target { os, ..A8 };
            assert_eq!(checked(CONF, &oldest, &on).is_ok(), fits, "{os:?}");
        }
        assert_eq!(checked(CONF, &oldest, &Target { os: (14, 0, 0), ..A8 }).unwrap_err(), 5);
        assert_eq!(with("colour", json!("red"), second(), &A8), 29);
        let mut grouped = manifest();
        grouped["resources"]["linux"]["user"]["groups"] = json!(["root"]);
        assert_eq!(checked(CONF, &grouped, &A8).unwrap_err(), 13);
        let mut misplaced = manifest();
        misplaced["acapPackageConf"]["resources"] = json!({});
        assert_eq!(checked(CONF, &misplaced, &A8).unwrap_err(), 29);
    }

    #[test]
    fn an_archive_cannot_reach_out_of_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let packed = |name: &str, kind: tar::EntryType| {
            let mut header = tar::Header::new_gnu();
            header.set_size(1);
            header.set_entry_type(kind);
            header.set_mode(0o644);
            // The crate's own way refuses such names.
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            let mut archive = tar::Builder::new(gzip);
            archive.append(&header, &b"x"[..]).unwrap();
            archive.into_inner().unwrap().finish().unwrap()
        };
        let code = |bytes: &[u8]| unpack(bytes, folder.path()).map_err(|refusal| refusal.code);
        assert_eq!(code(&packed("a", tar::EntryType::Regular)), Ok(()));
        assert_eq!(code(&packed("../b", tar::EntryType::Regular)), Err(1));
        assert_eq!(code(&packed("/tmp/b", tar::EntryType::Regular)), Err(1));
        assert_eq!(code(&packed("c", tar::EntryType::Symlink)), Err(1));
        assert_eq!(code(b"nothing"), Err(1));
        assert_eq!(code(b""), Err(1));
    }
}
