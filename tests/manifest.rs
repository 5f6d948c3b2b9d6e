//! The camera's manifest says what the package says, and has the keys that AXIS OS asks for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use serde_json::Value;

fn manifest() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/manifest.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).expect("manifest.json is JSON")
}

#[test]
fn it_agrees_with_cargo() {
    let manifest = manifest();
    let setup = &manifest["acapPackageConf"]["setup"];
    assert_eq!(setup["version"], env!("CARGO_PKG_VERSION"));
    // The camera starts the file that is called as the application.
    assert_eq!(setup["appName"], env!("CARGO_PKG_NAME"));
    assert!(!include_str!("../LICENSE").is_empty(), "an empty licence is refused");
}

#[test]
fn it_has_the_keys_of_schema_1() {
    let manifest = manifest();
    let setup = &manifest["acapPackageConf"]["setup"];
    // Schema 1.x is for AXIS OS 11 and 12; reverseProxy came with 1.5.0.
    let schema: Vec<u32> =
        manifest["schemaVersion"].as_str().unwrap().split('.').map(|part| part.parse().unwrap()).collect();
    assert!(schema.len() == 3 && schema[0] == 1 && schema[1] >= 5, "{schema:?}");

    let name = setup["appName"].as_str().unwrap();
    assert!((2..=26).contains(&name.len()) && name.starts_with(|c: char| c.is_ascii_alphabetic()));
    assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
    assert_eq!(setup["vendor"], "Spotter");
    assert_eq!(setup["runMode"], "respawn");
    assert_eq!(setup["embeddedSdkVersion"], "3.0");
    // No setup.user: AXIS OS gives the application a user of its own. Schema 2's keys are not known here.
    for key in ["user", "vendorId", "compatibleOsVersions"] {
        assert!(setup.get(key).is_none(), "{key}");
    }
    let groups = manifest["resources"]["linux"]["user"]["groups"].as_array().unwrap();
    assert!(groups.iter().any(|group| group == "video"), "VDO and larod are for group video");
}

#[test]
fn the_proxy_leads_to_where_the_program_listens() {
    let manifest = manifest();
    let package = &manifest["acapPackageConf"];
    let page = package["configuration"]["settingPage"].as_str().unwrap();
    assert_eq!(page, "index.html");
    for entry in package["configuration"]["httpConfig"].as_array().unwrap() {
        assert_eq!(entry["type"], "directory");
        assert_eq!(entry["access"], "viewer", "else only administrators see the page");
    }
    let proxies = package["configuration"]["reverseProxy"].as_array().unwrap();
    assert!(!proxies.is_empty());
    let options = package["setup"]["runOptions"].as_str().unwrap();
    for proxy in proxies {
        let path = proxy["apiPath"].as_str().unwrap();
        assert!(!path.is_empty() && !path.starts_with('/') && !path.ends_with('/'), "{path}");
        let access = proxy["access"].as_str().unwrap();
        assert!(["admin", "operator", "viewer"].contains(&access), "{access}");
        let port = proxy["target"].as_str().unwrap().strip_prefix("http://localhost:").unwrap();
        // Only the camera's own web server may talk to the program.
        assert!(options.contains(&format!("--listen 127.0.0.1:{port}")), "{options}");
    }
}
