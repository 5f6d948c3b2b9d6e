//! Packages as the program writes them, and what it finds in damaged ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use spotter_package::archive::{self, Member};
use spotter_package::lint::{self, Level};

const TOOL: &str = env!("CARGO_BIN_EXE_spotter-package");

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Packs the packing tool itself: it is a program like another.
fn pack(out: &Path, extra: &[&str]) -> Output {
    let mut tool = Command::new(TOOL);
    tool.args(["pack", "--binary", TOOL]).arg("--project").arg(project()).arg("--out").arg(out).args(extra);
    tool.env_remove("SOURCE_DATE_EPOCH").output().unwrap()
}

fn packed(out: &Path, extra: &[&str]) -> Vec<PathBuf> {
    let output = pack(out, extra);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

fn version() -> String {
    let text = std::fs::read_to_string(project().join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    manifest["acapPackageConf"]["setup"]["version"].as_str().unwrap().replace('.', "_")
}

#[test]
fn both_packages_are_the_same_twice_and_good() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let files = packed(first.path(), &["--arch", "x86_64"]);
    let again = packed(second.path(), &["--arch", "x86_64"]);
    let stem = format!("Spotter_{}_x86_64", version());
    assert_eq!(
        files.iter().map(|file| name(file)).collect::<Vec<_>>(),
        [format!("{stem}.eap"), format!("{stem}_os11.eap")]
    );
    for (a, b) in files.iter().zip(&again) {
        assert!(std::fs::read(a).unwrap() == std::fs::read(b).unwrap(), "{} differs", name(a));
    }
    let lint = Command::new(TOOL).arg("lint").args(&files).output().unwrap();
    let said = String::from_utf8(lint.stdout).unwrap();
    assert!(lint.status.success(), "{said}");
    assert_eq!(said.matches(": good, ").count(), 2);
    assert!(said.contains("x86_64 is for the simulator only"), "{said}");
}

#[test]
fn members_come_in_the_order_and_with_the_modes_of_axis_tools() {
    let out = tempfile::tempdir().unwrap();
    let files = packed(out.path(), &["--arch", "x86_64"]);
    let members = archive::read(&std::fs::read(&files[0]).unwrap()).unwrap();
    let listed: Vec<(&str, u32)> = members.iter().map(|member| (member.path.as_str(), member.mode)).collect();
    assert_eq!(
        listed[..7],
        [
            ("spotter", 0o755),
            ("package.conf", 0o644),
            ("param.conf", 0o644),
            ("LICENSE", 0o644),
            ("manifest.json", 0o600),
            ("NOTICE", 0o644),
            ("html/", 0o755),
        ]
    );
    assert_eq!(*listed.last().unwrap(), ("cgi.conf", 0o644));
    let html: Vec<&str> = listed[7..listed.len() - 1].iter().map(|(path, _)| *path).collect();
    assert!(html.contains(&"html/index.html") && html.is_sorted(), "{html:?}");
    assert_eq!(members[0].bytes, std::fs::read(TOOL).unwrap());
    let manifest = String::from_utf8(members[4].bytes.clone()).unwrap();
    assert!(
        manifest.starts_with("{\n    \"schemaVersion\": \"2.")
            && manifest.contains("\"architecture\": \"x86_64\"")
    );
    let old = archive::read(&std::fs::read(&files[1]).unwrap()).unwrap();
    let manifest = String::from_utf8(old[4].bytes.clone()).unwrap();
    assert!(
        manifest.contains("\"schemaVersion\": \"1.7.3\"") && !manifest.contains("vendorId"),
        "{manifest}"
    );
}

#[test]
fn a_model_comes_along_and_its_licence_is_asked_for() {
    let out = tempfile::tempdir().unwrap();
    let model = project().join("models/demo_ssd_mobilenet_v2.tflite");
    let files =
        packed(out.path(), &["--arch", "x86_64", "--system", "new", "--model", model.to_str().unwrap()]);
    let package = std::fs::read(&files[0]).unwrap();
    let members = archive::read(&package).unwrap();
    let packed = members.iter().find(|member| member.path == "models/demo_ssd_mobilenet_v2.tflite").unwrap();
    assert!(packed.bytes == std::fs::read(&model).unwrap());
    let conf = &members.iter().find(|member| member.path == "package.conf").unwrap().bytes;
    let conf = String::from_utf8(conf.clone()).unwrap();
    assert!(conf.contains(" --model models/demo_ssd_mobilenet_v2.tflite\"\n"), "{conf}");
    assert!(conf.contains("OTHERFILES=\"NOTICE models/demo_ssd_mobilenet_v2.tflite\"\n"), "{conf}");
    let findings = lint::lint(name(&files[0]), &package).unwrap();
    assert!(findings.iter().all(|finding| finding.level == Level::Note), "{findings:?}");
    let notice =
        String::from_utf8(members.iter().find(|m| m.path == "NOTICE").unwrap().bytes.clone()).unwrap();
    let line = "\n- models/demo_ssd_mobilenet_v2.tflite, Apache-2.0: ";
    assert!(notice.contains(line), "{notice}");
    let missing = pack(out.path(), &["--arch", "x86_64", "--model", "absent.tflite"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("cannot read the model absent.tflite"));
}

#[test]
fn the_first_of_several_models_is_the_one_to_run() {
    let out = tempfile::tempdir().unwrap();
    // Nothing is known of these two, so nothing is asked.
    let [first, second] = ["m_edgetpu.tflite", "m.tflite"].map(|name| out.path().join(name));
    std::fs::write(&first, "compiled").unwrap();
    std::fs::write(&second, "twin").unwrap();
    let packages = tempfile::tempdir().unwrap();
    let models = [first.to_str().unwrap(), second.to_str().unwrap()];
    let files = packed(
        packages.path(),
        &["--arch", "x86_64", "--system", "new", "--model", models[0], "--model", models[1]],
    );
    let members = archive::read(&std::fs::read(&files[0]).unwrap()).unwrap();
    let text = |path: &str| {
        String::from_utf8(members.iter().find(|member| member.path == path).unwrap().bytes.clone()).unwrap()
    };
    let conf = text("package.conf");
    assert!(conf.contains("OTHERFILES=\"NOTICE models/m_edgetpu.tflite models/m.tflite\"\n"), "{conf}");
    assert!(conf.contains(" --model models/m_edgetpu.tflite\"\n"), "{conf}");
    assert_eq!(text("models/m.tflite"), "twin");
    assert!(text("NOTICE").contains("- models/m.tflite, licence not known to Spotter\n"));
}

#[test]
fn a_program_for_another_processor_is_refused() {
    let out = tempfile::tempdir().unwrap();
    let files = packed(out.path(), &["--arch", "aarch64", "--system", "new"]);
    let lint = Command::new(TOOL).arg("lint").arg(&files[0]).output().unwrap();
    let said = String::from_utf8(lint.stdout).unwrap();
    assert_eq!(lint.status.code(), Some(1), "{said}");
    assert!(said.contains("error: the program is made for x86_64, the manifest says aarch64"), "{said}");
}

/// What is done to a package, and the words that are to be found then.
type Damage = (&'static str, fn(&mut Vec<Member>));

fn edit(members: &mut [Member], path: &str, from: &str, to: &str) {
    let member = members.iter_mut().find(|member| member.path == path).unwrap();
    let text = String::from_utf8(member.bytes.clone()).unwrap();
    assert!(text.contains(from), "{path} has no {from}");
    member.bytes = text.replacen(from, to, 1).into_bytes();
}

fn drop_member(members: &mut Vec<Member>, path: &str) {
    let before = members.len();
    members.retain(|member| member.path != path);
    assert_eq!(members.len() + 1, before, "{path}");
}

const DAMAGES: &[Damage] = &[
    ("LICENSE is missing", |m| drop_member(m, "LICENSE")),
    ("manifest.json is missing", |m| drop_member(m, "manifest.json")),
    ("the program spotter is missing", |m| drop_member(m, "spotter")),
    ("html/index.html is not in the package", |m| drop_member(m, "html/index.html")),
    ("promises NOTICE, which is not", |m| drop_member(m, "NOTICE")),
    ("cgi.conf is not what", |m| drop_member(m, "cgi.conf")),
    ("LICENSE is empty", |m| m[3].bytes.clear()),
    ("not executable (mode 644)", |m| m[0].mode = 0o644),
    ("may be written by others", |m| m[5].mode = 0o666),
    ("cannot start: ", |m| m[0].bytes.truncate(100)),
    ("twice", |m| m.push(m[3].clone())),
    ("extra.txt is in the package, but not in OTHERFILES", |m| m.push(Member::file("extra.txt", 0o644, "x"))),
    ("lib/libglib-2.0.so.0 must be the camera's own", |m| {
        m.push(Member::file("lib/libglib-2.0.so.0", 0o644, "x"))
    }),
    ("lib/liblarod.so.1 must be the camera's own", |m| m.push(Member::file("lib/liblarod.so.1", 0o644, "x"))),
    ("STARTMODE=\"never\", the manifest says \"respawn\"", |m| {
        edit(m, "package.conf", "STARTMODE=\"respawn\"", "STARTMODE=\"never\"");
    }),
    ("package.conf has no APPUSR", |m| edit(m, "package.conf", "APPUSR=\"sdk\"\n", "")),
    ("no KEY=\"value\"", |m| edit(m, "package.conf", "APPID=\"\"", "APPID")),
    ("param.conf is not what", |m| m[2].bytes = b"A=1\n".to_vec()),
    ("the manifest is no JSON", |m| edit(m, "manifest.json", "{", "")),
    ("vendorId \"xyz\" is to be ten", |m| {
        let id = text(m, "vendorId");
        edit(m, "manifest.json", &id, "xyz");
    }),
    ("compatibleOsVersions has no min", |m| edit(m, "manifest.json", "\"min\"", "\"mim\"")),
    ("know schema 2 as 2.0.0 alone", |m| edit(m, "manifest.json", "\"2.0.0\"", "\"2.1.0\"")),
    ("ends before it begins", |m| edit(m, "manifest.json", "\"max\": \"13\"", "\"max\": \"11.10\"")),
    ("has a max that is no version", |m| edit(m, "manifest.json", "\"max\": \"13\"", "\"max\": \"all\"")),
    ("compatibleOsVersions has no min", |m| {
        edit(m, "manifest.json", "\"min\": \"11.11\"", "\"min\": \"old\"")
    }),
    ("setup.colour is no key of schema 2", |m| {
        edit(m, "manifest.json", "\"runMode\"", "\"colour\": \"red\", \"runMode\"");
    }),
    ("group \"wheel\" is none", |m| edit(m, "manifest.json", "\"video\"", "\"wheel\"")),
    ("group video is not asked for", |m| edit(m, "manifest.json", "\"video\"", "\"storage\"")),
    ("deepLearningProcessor is not enabled", |m| {
        edit(m, "manifest.json", "\"enabled\": true", "\"enabled\": false")
    }),
    ("runMode \"always\" is none", |m| edit(m, "manifest.json", "\"respawn\"", "\"always\"")),
    ("appName \"9x\" is to be", |m| {
        edit(m, "manifest.json", "\"appName\": \"spotter\"", "\"appName\": \"9x\"")
    }),
    ("refuses; leave setup.user out", |m| {
        edit(m, "manifest.json", "\"runMode\"", "\"user\": {\"username\": \"root\"}, \"runMode\"");
    }),
    ("embeddedSdkVersion is gone in schema 2", |m| {
        edit(m, "manifest.json", "\"runMode\"", "\"embeddedSdkVersion\": \"3.0\", \"runMode\"");
    }),
    ("vendorId is of schema 2", |m| {
        edit(m, "manifest.json", "\"schemaVersion\": \"2.", "\"schemaVersion\": \"1.")
    }),
    ("leads to port 27769", |m| edit(m, "manifest.json", "localhost:27768", "localhost:27769")),
    ("is no port of the camera itself", |m| edit(m, "manifest.json", "localhost:27768", "elsewhere:27768")),
    ("to be a path without '/'", |m| {
        edit(m, "manifest.json", "\"apiPath\": \"api\"", "\"apiPath\": \"/api\"")
    }),
    ("access \"everybody\" is none of", |m| {
        edit(m, "manifest.json", "\"access\": \"admin\"", "\"access\": \"everybody\"")
    }),
    ("open to anybody", |m| edit(m, "manifest.json", "\"access\": \"admin\"", "\"access\": \"anonymous\"")),
    ("html/ is for administrators alone", |m| {
        edit(m, "manifest.json", "\"type\": \"directory\"", "\"type\": \"transferCgi\"");
    }),
    ("its manifest says Spotter_7_7_7_x86_64.eap", |m| {
        let version = text(m, "version");
        edit(m, "manifest.json", &format!("\"version\": \"{version}\""), "\"version\": \"7.7.7\"");
    }),
];

/// The text of `setup.KEY` in the manifest.
fn text(members: &[Member], key: &str) -> String {
    let manifest = &members.iter().find(|member| member.path == "manifest.json").unwrap().bytes;
    let manifest: serde_json::Value = serde_json::from_slice(manifest).unwrap();
    manifest["acapPackageConf"]["setup"][key].as_str().unwrap().to_owned()
}

#[test]
fn every_damage_is_found_and_named() {
    let out = tempfile::tempdir().unwrap();
    let files = packed(out.path(), &["--arch", "x86_64", "--system", "new"]);
    let members = archive::read(&std::fs::read(&files[0]).unwrap()).unwrap();
    for (words, damage) in DAMAGES {
        let mut damaged = members.clone();
        damage(&mut damaged);
        let findings = lint::lint_members(name(&files[0]), &damaged, 1_000_000);
        let serious: Vec<String> =
            findings.iter().filter(|finding| finding.level > Level::Note).map(ToString::to_string).collect();
        assert!(serious.iter().any(|finding| finding.contains(words)), "{words}: {serious:#?}");
    }
    let renamed = lint::lint_members("other.eap", &members, 1_000_000);
    assert_eq!(renamed[0].level, Level::Warning);
    assert!(renamed[0].text.contains("is called other.eap"), "{renamed:?}");
    assert!(lint::lint("a.eap", b"PK\x03\x04").is_err());
}
