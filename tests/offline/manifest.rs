//! The camera's manifest says what the package says, and has the keys that AXIS OS asks for.

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
    assert!(!include_str!("../../LICENSE").is_empty(), "an empty licence is refused");
}

#[test]
fn it_is_of_schema_2_from_which_both_packages_are_made() {
    let manifest = manifest();
    let setup = &manifest["acapPackageConf"]["setup"];
    // The one that the oldest systems with schema 2 know; no key here came later.
    assert_eq!(manifest["schemaVersion"], "2.0.0");
    assert_eq!(setup["vendor"], "Spotter");
    assert_eq!(setup["runMode"], "respawn");
    let versions = setup["compatibleOsVersions"].as_array().unwrap();
    assert_eq!(versions.iter().map(|range| range["min"].as_str()).collect::<Vec<_>>(), [Some("11.11")]);
    // No setup.user: AXIS OS gives the application a user of its own. The architecture is the packer's to say.
    for key in ["user", "architecture", "embeddedSdkVersion"] {
        assert!(setup.get(key).is_none(), "{key}");
    }
    let groups = manifest["resources"]["linux"]["user"]["groups"].as_array().unwrap();
    assert!(groups.iter().any(|group| group == "video"), "VDO and larod are for group video");
    let processor = &manifest["resources"]["deepLearningProcessor"];
    assert_eq!((&processor["enabled"], &processor["required"]), (&Value::Bool(true), &Value::Bool(false)));
}

/// Who may look may not change anything: two ways to the program, one for each.
#[test]
fn viewers_and_administrators_have_ways_of_their_own() {
    let manifest = manifest();
    let proxies = manifest["acapPackageConf"]["configuration"]["reverseProxy"].as_array().unwrap();
    let ways: Vec<_> =
        proxies.iter().map(|proxy| (proxy["apiPath"].as_str(), proxy["access"].as_str())).collect();
    assert_eq!(ways, [(Some("api"), Some("viewer")), (Some("admin"), Some("admin"))]);
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
    let access =
        |path: &str| proxies.iter().find(|proxy| proxy["apiPath"] == path).map(|proxy| &proxy["access"]);
    // As app/web/router.rs has it: changes are taken below admin/ alone.
    assert_eq!((access("api"), access("admin")), (Some(&"viewer".into()), Some(&"admin".into())));
    let options = package["setup"]["runOptions"].as_str().unwrap();
    for proxy in proxies {
        let path = proxy["apiPath"].as_str().unwrap();
        assert!(!path.is_empty() && !path.starts_with('/') && !path.ends_with('/'), "{path}");
        let access = proxy["access"].as_str().unwrap();
        assert!(["admin", "operator", "viewer"].contains(&access), "{access}");
        // Socket targets have one protocol each (apiType http, ws or fcgi), TCP ones all: the page's WebSocket needs that.
        assert!(proxy.get("apiType").is_none());
        let port = proxy["target"].as_str().unwrap().strip_prefix("http://localhost:").unwrap();
        // Only the camera's own web server may talk to the program.
        assert!(options.contains(&format!("--listen 127.0.0.1:{port}")), "{options}");
        let port: u16 = port.parse().unwrap();
        // Not the port of Axis's own examples, none that needs rights, none that the kernel gives to clients.
        assert!(port != 2001 && (1024..32_768).contains(&port), "{port}");
    }
}
