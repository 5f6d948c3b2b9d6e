//! `package.conf`, `param.conf` and `cgi.conf`: what the camera's installer reads.
//!
//! Keys, their order and their defaults are those of Axis's packing tools.

use crate::error::{Error, Result};
use crate::manifest::Manifest;

/// Keys and values of `package.conf` in the order of the file. `others` are the files that the format does not
/// know by name.
///
/// # Errors
/// Where the manifest's version is none, or a value has a quote or line break, which the file cannot carry.
pub fn package_keys(manifest: &Manifest, others: &[String]) -> Result<Vec<(&'static str, String)>> {
    let or =
        |value: &str, default: &str| if value.is_empty() { default.to_owned() } else { value.to_owned() };
    let setup = |key: &str, default: &str| or(manifest.setup(key), default);
    let text = |pointer: &str, default: &str| or(manifest.text(pointer).unwrap_or_default(), default);
    let [major, minor, patch] = manifest.version()?.map(|part| part.to_string());
    let name = manifest.setup("appName");
    let cgi = if manifest.list(HTTP_CONFIG).is_empty() { "" } else { "cgi.conf" };
    let mut keys = vec![
        ("PACKAGENAME", setup("friendlyName", name)),
        ("APPTYPE", setup("architecture", "")),
        ("APPNAME", name.to_owned()),
        ("APPID", setup("appId", "")),
        ("LICENSENAME", "Available".to_owned()),
        ("LICENSEPAGE", text("/acapPackageConf/copyProtection/method", "none")),
    ];
    if let Some(options) = manifest.text("/acapPackageConf/copyProtection/customOptions") {
        keys.push(("LICENSE_CHECK_ARGS", options.to_owned()));
    }
    keys.extend([
        ("VENDOR", setup("vendor", "-")),
        ("REQEMBDEVVERSION", setup("embeddedSdkVersion", "2.0")),
        ("APPMAJORVERSION", major),
        ("APPMINORVERSION", minor),
        ("APPMICROVERSION", patch),
        ("APPGRP", text("/acapPackageConf/setup/user/group", "sdk")),
        ("APPUSR", text("/acapPackageConf/setup/user/username", "sdk")),
        ("APPOPTS", setup("runOptions", "")),
        ("OTHERFILES", others.join(" ")),
        ("SETTINGSPAGEFILE", text("/acapPackageConf/configuration/settingPage", "")),
        ("SETTINGSPAGETEXT", String::new()),
        (LINK, link(manifest.setup("vendorUrl"))),
        ("PREUPGRADESCRIPT", String::new()),
        ("POSTINSTALLSCRIPT", text("/acapPackageConf/installation/postInstallScript", "")),
        ("STARTMODE", setup("runMode", "never")),
        ("HTTPCGIPATHS", cgi.to_owned()),
    ]);
    for (key, value) in &keys {
        let quote = if *key == LINK { '\'' } else { '"' };
        if value.contains([quote, '\n', '\r']) {
            return Err(Error::new(format!(
                "{key} of package.conf cannot be {value:?}: no {quote} and no line break may be in it; \
                 change the manifest"
            )));
        }
    }
    Ok(keys)
}

const HTTP_CONFIG: &str = "/acapPackageConf/configuration/httpConfig";
/// The one key whose value has double quotes in it.
const LINK: &str = "VENDORHOMEPAGELINK";

fn link(url: &str) -> String {
    if url.is_empty() {
        return String::new();
    }
    let name = url.trim_start_matches("https://").trim_start_matches("http://");
    format!(r#"<a href="{url}" target="_blank">{name}</a>"#)
}

/// The text of `package.conf`.
///
/// # Errors
/// As for [`package_keys`].
pub fn package_conf(manifest: &Manifest, others: &[String]) -> Result<String> {
    let keys = package_keys(manifest, others)?;
    let line = |(key, value): &(&str, String)| {
        let quote = if *key == LINK { '\'' } else { '"' };
        format!("{key}={quote}{value}{quote}\n")
    };
    Ok(keys.iter().map(line).collect())
}

/// Reads a `package.conf`: keys and values in the order of the file.
///
/// # Errors
/// Where a line is no `KEY="value"`.
pub fn read_package_conf(text: &str) -> Result<Vec<(String, String)>> {
    let line = |line: &str| -> Option<(String, String)> {
        let (key, value) = line.split_once('=')?;
        let quote = if key == LINK { '\'' } else { '"' };
        Some((key.to_owned(), value.strip_prefix(quote)?.strip_suffix(quote)?.to_owned()))
    };
    text.lines()
        .map(|text| {
            line(text)
                .ok_or_else(|| Error::new(format!("package.conf has the line {text:?}, no KEY=\"value\"")))
        })
        .collect()
}

/// The text of `param.conf`: parameters that the camera keeps. Spotter has none, and the file is there all the
/// same.
pub fn param_conf(manifest: &Manifest) -> String {
    let line = |param: &serde_json::Value| {
        let [name, default, kind] =
            ["name", "default", "type"].map(|key| param[key].as_str().unwrap_or_default());
        match kind {
            "" => format!("{name}={default}\n"),
            kind => format!("{name}=\"{default}\" type=\"{kind}\"\n"),
        }
    };
    manifest.list("/acapPackageConf/configuration/paramConfig").iter().map(line).collect()
}

/// The text of `cgi.conf`, none where the manifest has no `httpConfig`. Folders are not listed in it.
pub fn cgi_conf(manifest: &Manifest) -> Option<String> {
    let entries = manifest.list(HTTP_CONFIG);
    if entries.is_empty() {
        return None;
    }
    let line = |entry: &serde_json::Value| {
        let [kind, access, name] =
            ["type", "access", "name"].map(|key| entry[key].as_str().unwrap_or_default());
        match kind {
            "directory" => String::new(),
            "fastCgi" => format!("{access} /{name} fastCgi\n"),
            _ => format!("{access} /{name}\n"),
        }
    };
    Some(entries.iter().map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Arch, Schema};

    fn manifest(schema: Schema) -> Manifest {
        let own = Manifest::parse(include_str!("../../manifest.json")).unwrap();
        own.derive(schema, Arch::Aarch64, "").unwrap()
    }

    /// Line by line what Axis's tools write for this manifest.
    #[test]
    fn package_conf_is_that_of_the_platforms_tools() {
        let conf = package_conf(&manifest(Schema::V1), &["NOTICE".into(), "models/a.tflite".into()]).unwrap();
        let expected = r#"PACKAGENAME="Spotter"
APPTYPE="aarch64"
APPNAME="spotter"
APPID=""
LICENSENAME="Available"
LICENSEPAGE="none"
VENDOR="Spotter"
REQEMBDEVVERSION="3.0"
APPMAJORVERSION="0"
APPMINORVERSION="1"
APPMICROVERSION="0"
APPGRP="sdk"
APPUSR="sdk"
APPOPTS="run --listen 127.0.0.1:27768"
OTHERFILES="NOTICE models/a.tflite"
SETTINGSPAGEFILE="index.html"
SETTINGSPAGETEXT=""
VENDORHOMEPAGELINK=''
PREUPGRADESCRIPT=""
POSTINSTALLSCRIPT=""
STARTMODE="respawn"
HTTPCGIPATHS="cgi.conf"
"#;
        let options = manifest(Schema::V1).setup("runOptions").to_owned();
        let version = manifest(Schema::V1).version().unwrap();
        let expected = expected
            .replace("run --listen 127.0.0.1:27768", &options)
            .replace("MAJORVERSION=\"0", &format!("MAJORVERSION=\"{}", version[0]))
            .replace("MINORVERSION=\"1", &format!("MINORVERSION=\"{}", version[1]))
            .replace("MICROVERSION=\"0", &format!("MICROVERSION=\"{}", version[2]));
        assert_eq!(conf, expected);
        let read = read_package_conf(&conf).unwrap();
        assert_eq!(read[0], ("PACKAGENAME".to_owned(), "Spotter".to_owned()));
        assert_eq!(read.len(), 22);
        let new = package_conf(&manifest(Schema::V2), &[]).unwrap();
        assert!(new.contains("REQEMBDEVVERSION=\"2.0\"\n") && new.contains("OTHERFILES=\"\"\n"));
    }

    #[test]
    fn parameters_pages_and_links_have_their_lines() {
        let text = r#"{"schemaVersion":"1.7.3","acapPackageConf":{
            "setup":{"appName":"a","version":"1.2.3","runMode":"never","vendorUrl":"https://a.example/b"},
            "configuration":{
                "paramConfig":[{"name":"T","default":"25","type":"int:min=0"},{"name":"U","default":"x","type":""}],
                "httpConfig":[{"type":"directory","access":"viewer"},{"type":"fastCgi","access":"admin","name":"f.cgi"},
                              {"type":"transferCgi","access":"operator","name":"t.cgi"}]}}}"#;
        let manifest = Manifest::parse(text).unwrap();
        assert_eq!(param_conf(&manifest), "T=\"25\" type=\"int:min=0\"\nU=x\n");
        assert_eq!(cgi_conf(&manifest).unwrap(), "admin /f.cgi fastCgi\noperator /t.cgi\n");
        let link = "VENDORHOMEPAGELINK='<a href=\"https://a.example/b\" target=\"_blank\">a.example/b</a>'\n";
        let conf = package_conf(&manifest, &[]).unwrap();
        assert!(conf.contains(link) && conf.contains("PACKAGENAME=\"a\"\n"), "{conf}");
        assert_eq!(read_package_conf(&conf).unwrap().len(), 22);
    }

    #[test]
    fn values_that_break_the_file_are_refused() {
        let text = r#"{"schemaVersion":"1.7.3","acapPackageConf":{"setup":
            {"appName":"a","version":"1.2.3","runMode":"never","runOptions":"--x \"y\""}}}"#;
        let error = package_conf(&Manifest::parse(text).unwrap(), &[]).unwrap_err().to_string();
        assert!(error.starts_with("APPOPTS of package.conf cannot be "), "{error}");
        assert!(read_package_conf("A=b\n").is_err());
    }
}
