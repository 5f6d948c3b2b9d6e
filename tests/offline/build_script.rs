//! `build.sh` as a person uses it.

use std::process::{Command, Output};

fn command(command: &str) -> Command {
    let mut script = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/build.sh"));
    // From another folder: the script finds the repository by itself.
    script.arg(command).current_dir(std::env::temp_dir());
    script
}

fn build_sh(name: &str) -> Output {
    command(name).output().expect("build.sh starts")
}

#[test]
fn help_names_every_command() {
    let output = build_sh("help");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    for command in
        ["setup", "run", "eap", "install", "status|logs|remove", "camera", "test", "bench", "train", "help"]
    {
        assert!(text.contains(&format!("./build.sh {command}")), "{command} is not in\n{text}");
    }
}

#[test]
fn an_unknown_command_is_refused_in_one_line() {
    let output = build_sh("tset");
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("tset") && text.lines().count() == 1, "{text}");
}

/// A folder with programs in the place of apt's, of which one package is missing: `apt-get` is this script.
fn stand_in_for_apt(apt_get: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    let put = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, format!("#!/bin/bash\ncd '{path}'\n{text}\n")).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    };
    put("apt-get", &format!("echo \"$*\" >>calls\n{apt_get}"));
    // All are installed but one that has no command of its own.
    put(
        "dpkg-query",
        "for name in \"${@:4}\"; do [[ $name == libssl-dev && ! -e installed ]] || printf 'ii %s ' \"$name\"; done; printf 'ii '",
    );
    put("apt-cache", "printf 'Candidate: 1\\n'");
    put("sudo", "exec \"$@\"");
    folder
}

fn setup_with(folder: &tempfile::TempDir) -> Command {
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/build.sh"));
    let path = std::env::var("PATH").unwrap();
    command.arg("setup").env("PATH", format!("{}:{path}", folder.path().display()));
    command
}

fn needs_a_finished_setup() -> bool {
    let ready = std::env::var_os("SPOTTER_SETUP_DONE").is_some();
    if !ready {
        crate::common::skip(
            "setup with a stand-in for apt-get: the tests were not started with ./build.sh test",
        );
    }
    ready
}

#[test]
fn a_first_install_from_old_lists_fails_without_a_word() {
    if !needs_a_finished_setup() {
        return;
    }
    let old_lists = "case $* in *update*) touch updated ;; *) [[ -e updated ]] && touch installed || \
        { echo 'E: Failed to fetch libssl-dev 404 Not Found' >&2; exit 100; } ;; esac";
    let folder = stand_in_for_apt(old_lists);
    let output = setup_with(&folder).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    assert_eq!(stderr, "", "{stdout}");
    assert!(!stdout.contains("404") && stdout.ends_with("setup: done\n"), "{stdout}");
    let calls = std::fs::read_to_string(folder.path().join("calls")).unwrap();
    assert_eq!(calls.lines().count(), 3, "{calls}");
    assert!(calls.lines().all(|call| call.starts_with("-o DPkg::Lock::Timeout=600 ")), "{calls}");
    // Where the second one fails too, its words are shown.
    let never = "case $* in *update*) ;; *) echo 'E: Unable to locate package' >&2; exit 100 ;; esac";
    let folder = stand_in_for_apt(never);
    let output = setup_with(&folder).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr, "E: Unable to locate package\nbuild.sh: apt-get install failed\n");
}

#[test]
fn another_program_with_apts_lock_is_waited_for_and_told() {
    use std::io::{BufRead, BufReader};
    if !needs_a_finished_setup() {
        return;
    }
    // As apt says it: it waits by itself for dpkg's lock, and gives up at once at that of the lists.
    let locked = "case $* in
        *update*) [[ -e free ]] || { echo 'E: Could not get lock /var/lib/apt/lists/lock. It is held by process 42 (apt-get)'; exit 100; } ;;
        *) [[ -e free ]] || echo 'Waiting for cache lock: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 42 (apt-get)'
           until [[ -e free ]]; do sleep 0.05; done; touch installed ;;
        esac";
    for lists_are_old in [false, true] {
        let folder = stand_in_for_apt(locked);
        if lists_are_old {
            let nothing = folder.path().join("apt-cache");
            std::fs::write(nothing, "#!/bin/bash\n").unwrap();
        }
        let mut child = setup_with(&folder).stdout(std::process::Stdio::piped()).spawn().unwrap();
        let mut said = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if line.starts_with("setup: another program uses apt; waiting") {
                std::fs::write(folder.path().join("free"), "").unwrap();
            }
            said.push(line);
        }
        assert!(child.wait().unwrap().success(), "{said:#?}");
        let told = said.iter().filter(|line| line.contains("another program uses apt")).count();
        assert_eq!((told, said.last().unwrap().as_str()), (1, "setup: done"), "{said:#?}");
    }
}

/// Which models go into a package, by a program that says what `spotter models` does.
#[test]
fn a_package_has_the_recommended_model_or_says_why_not() {
    let folder = tempfile::tempdir().unwrap();
    let stand_in = folder.path().join("spotter");
    let script = "#!/bin/bash\n[[ $1 == models ]] || exit 9\ncase $2 in fetch) [[ $3 != absent* ]] || \
        { echo 'spotter: error: there is no model absent' >&2; exit 2; } ;; path) echo \"/cache/$3.tflite\" ;; esac\n";
    std::fs::write(&stand_in, script).unwrap();
    std::fs::set_permissions(&stand_in, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let models = |spotter: &std::path::Path, arch: &str, model: &str| {
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/package/models.sh"));
        command.args([arch, model]).arg(spotter).current_dir(&folder);
        // A proxy that is not there: as without a network, whatever this machine has.
        for name in ["ALL_PROXY", "HTTPS_PROXY", "https_proxy", "all_proxy"] {
            command.env(name, "http://127.0.0.1:9");
        }
        command.env("XDG_CACHE_HOME", folder.path().join("cache"));
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let paths =
        |names: &[&str]| names.iter().map(|name| format!("/cache/{name}.tflite\n")).collect::<String>();
    let good = |arch: &str, model: &str| {
        let (code, stdout, stderr) = models(&stand_in, arch, model);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{arch} {model}");
        stdout
    };
    assert_eq!(good("aarch64", "recommended"), paths(&["ssd-mobilenet-v2-coco"]));
    // Not every ARTPEC-7 has an Edge TPU.
    let both = ["ssd-mobilenet-v2-coco-edgetpu", "ssd-mobilenet-v2-coco"];
    assert_eq!(good("armv7hf", "recommended"), paths(&both));
    assert_eq!(good("armv7hf", "mobilenet-v2-edgetpu"), paths(&["mobilenet-v2-edgetpu", "mobilenet-v2"]));
    assert_eq!((good("aarch64", "none"), good("aarch64", "x")), (String::new(), paths(&["x"])));
    assert_eq!(good("aarch64", "spotter"), "spotter\n", "a file is taken as it is");
    let (code, stdout, stderr) = models(&stand_in, "aarch64", "absent");
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert_eq!(stderr, "models.sh: there is no model absent to pack: there is no model absent\n");

    // The program itself knows all these names; without a network there is a package without a model, and a word.
    let spotter = std::path::Path::new(env!("CARGO_BIN_EXE_spotter"));
    for (arch, name) in [("aarch64", "ssd-mobilenet-v2-coco"), ("armv7hf", "ssd-mobilenet-v2-coco-edgetpu")] {
        let (code, stdout, stderr) = models(spotter, arch, "recommended");
        assert_eq!((code, stdout.as_str()), (Some(0), ""), "{stderr}");
        let first = format!(
            "warning: the package for {arch} has no model, for {name} cannot be had: cannot download {name} "
        );
        assert!(stderr.starts_with(&first), "{stderr}");
        assert!(stderr.contains(&format!("add it later with ./build.sh eap {arch}")), "{stderr}");
        assert_eq!(stderr.lines().count(), 2, "{stderr}");
    }
}

#[test]
fn setup_that_has_nothing_to_do_says_so_at_once() {
    if std::env::var_os("SPOTTER_SETUP_DONE").is_none() {
        crate::common::skip(
            "repeated setup: the tests were not started with ./build.sh test, setup could install",
        );
        return;
    }
    // What takes its time, and nothing of that is needed.
    let folder = tempfile::tempdir().unwrap();
    for name in ["apt-get", "sudo", "pip", "curl"] {
        let stub = folder.path().join(name);
        std::fs::write(&stub, format!("#!/bin/sh\necho {name} >>'{}/called'\n", folder.path().display()))
            .unwrap();
        std::fs::set_permissions(&stub, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let output = command("setup").env("PATH", path).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "setup: everything is in place\n");
    assert!(!folder.path().join("called").exists(), "something was to be installed");
}

/// A home without libraries, and a pip that has packages made here.
struct StandInForPip {
    folder: tempfile::TempDir,
}

impl StandInForPip {
    /// The file that `name` is taken to be, in a package of its own.
    fn with(libraries: [(&str, &str, Option<&std::path::Path>); 2]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        let make = "import sys, zipfile\nzipfile.ZipFile(sys.argv[1], 'w').write(sys.argv[2], sys.argv[3])\n";
        for (package, inside, library) in libraries {
            let Some(library) = library else { continue };
            let wheel = folder.path().join(format!("{package}.whl"));
            let mut python = Command::new("python3");
            python.args(["-c", make]).arg(&wheel).arg(library).arg(inside);
            assert!(python.status().unwrap().success());
        }
        // `-m pip download … --dest FOLDER --requirement FILE`: the package that the file names. The rest is Python's.
        let script = format!(
            "#!/bin/bash\n[[ $2 == pip ]] || exec {} \"$@\"\n[[ $3 == --version ]] && exit\n\
             echo \"$*\" >>'{path}/calls'\nwhile [[ $1 != --dest ]]; do shift; done\nname=$(cat \"$4\"); \
             cat \"$4\" >>'{path}/wanted'\n[[ -e '{path}'/${{name%%==*}}.whl ]] || {{ echo 'no such package' >&2; exit 1; }}\n\
             mkdir -p \"$2\" && cp '{path}'/\"${{name%%==*}}\".whl \"$2\"\n",
            which("python3").display()
        );
        std::fs::create_dir(folder.path().join("bin")).unwrap();
        let python = folder.path().join("bin/python3");
        std::fs::write(&python, script).unwrap();
        std::fs::set_permissions(&python, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        Self { folder }
    }

    fn setup(&self) -> (Option<i32>, String) {
        let path = std::env::var("PATH").unwrap();
        let mut setup = command("setup");
        setup.env("PATH", format!("{}:{path}", self.folder.path().join("bin").display()));
        let output = setup.env("XDG_DATA_HOME", self.folder.path()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    }

    /// What is where the program looks.
    fn installed(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.folder.path().join("spotter/lib")) else {
            return Vec::new();
        };
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }
}

fn which(program: &str) -> std::path::PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file()).unwrap()
}

#[test]
fn libraries_are_downloaded_checked_and_put_in_place_one_by_one() {
    use spotter::backend::tflite::litert::sys::LiteRt;
    let (Some(c_library), Ok(Some(litert))) = (crate::common::camera_front::tflite(), LiteRt::get()) else {
        return crate::common::skip("setup of the libraries: not both are here");
    };
    if !needs_a_finished_setup() {
        return;
    }
    let (litert, c_library) = (litert.path.as_path(), c_library.as_path());
    let packages = |litert, c_library| {
        StandInForPip::with([
            ("ai-edge-litert", "ai_edge_litert/libLiteRt.so", litert),
            ("pymicro-wakeword", "pymicro_wakeword/lib/libtensorflowlite_c.so", c_library),
        ])
    };
    let both = packages(Some(litert), Some(c_library));
    let (code, said) = both.setup();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("setup: LiteRT for ") && said.ends_with("setup: done\n"), "{said}");
    assert_eq!(both.installed(), ["libLiteRt.so", "libtensorflowlite_c.so"]);
    // pip itself holds the packages to their checksums.
    let wanted = both.read("wanted");
    assert!(wanted.lines().all(|line| line.contains(" --hash=sha256:")), "{wanted}");
    assert!(wanted.starts_with("ai-edge-litert==2.3.0 ") && wanted.lines().count() == 2, "{wanted}");
    assert!(both.read("calls").lines().all(|call| call.contains(" --require-hashes ")));
    assert_eq!(both.setup(), (Some(0), "setup: everything is in place\n".to_owned()));
    assert_eq!(both.read("calls").lines().count(), 2, "nothing is downloaded twice");

    // Another file in the right package: nothing is left of it.
    let wrong = packages(Some(c_library), Some(c_library));
    let (code, said) = wrong.setup();
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.ends_with("build.sh: the library in ai-edge-litert==2.3.0 is not the expected one\n"),
        "{said}"
    );
    assert_eq!(wrong.installed(), Vec::<String>::new());

    // A download that fails after the first one: the second run goes on there.
    let half = packages(Some(litert), None);
    let (code, said) = half.setup();
    assert_eq!(code, Some(1), "{said}");
    let end = "no such package\nbuild.sh: pip could not download pymicro-wakeword==2.5.0; run ./build.sh setup again, it \
               goes on from here\n";
    assert!(said.ends_with(end), "{said}");
    assert_eq!(half.installed(), ["libLiteRt.so"]);
    std::fs::copy(
        both.folder.path().join("pymicro-wakeword.whl"),
        half.folder.path().join("pymicro-wakeword.whl"),
    )
    .unwrap();
    let (code, said) = half.setup();
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("setup: LiteRT for") && said.contains("setup: TensorFlow Lite for"), "{said}");
    assert_eq!(half.installed(), ["libLiteRt.so", "libtensorflowlite_c.so"]);
}
