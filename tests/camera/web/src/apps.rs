//! Installed applications: folders, processes, what they say.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getuid, kill_process_group};

use crate::package::{Package, Refusal, elf_architecture, walk};

/// Lines of the system log that are kept.
const LOG_LINES: usize = 20_000;
/// systemd waits so long before it starts an application again.
const RESTART: Duration = Duration::from_secs(1);
/// After SIGTERM an application has this long.
const LAST_WAIT: Duration = Duration::from_secs(10);
/// The first user of those that systemd gives away for the time that an application runs.
const FIRST_USER: u32 = 61_184;
/// Group `addon`; the number is this simulator's own.
const GROUP: u32 = 61_183;

/// What all applications of a camera share.
pub struct System {
    /// The simulated root folder.
    pub root: PathBuf,
    /// The camera's name in the log.
    pub host: String,
    /// Sysroot for binaries of another architecture, which run under qemu-user.
    pub sysroot: Option<PathBuf>,
    /// Environment of every application.
    pub environment: Vec<(String, String)>,
    /// Passes the port in the manifest on as it is, instead of one that is free.
    pub keep_ports: bool,
    /// Lines of the system log: application, line.
    log: Mutex<VecDeque<(String, String)>>,
    /// Say each line on standard output as well.
    pub echo: bool,
}

impl System {
    /// A system without applications.
    pub fn new(root: PathBuf, host: String) -> Self {
        Self {
            root,
            host,
            sysroot: None,
            environment: Vec::new(),
            keep_ports: false,
            log: Mutex::default(),
            echo: true,
        }
    }

    /// Where applications are installed.
    pub fn packages(&self) -> PathBuf {
        self.root.join("usr/local/packages")
    }

    /// The camera's own libraries.
    pub fn libraries(&self) -> PathBuf {
        self.root.join("usr/lib")
    }

    /// Its own programs.
    pub fn programs(&self) -> PathBuf {
        self.root.join("usr/bin")
    }

    /// One line into the system log.
    pub fn say(&self, app: &str, pid: u32, line: &str) {
        let line = format!("{} {} [ INFO    ] {app}[{pid}]: {line}", timestamp(), self.host);
        if self.echo {
            use std::io::Write;
            // Nobody may listen any more.
            let _ = writeln!(std::io::stdout(), "{line}");
        }
        let mut log = lock(&self.log);
        log.push_back((app.to_owned(), line));
        if log.len() > LOG_LINES {
            log.pop_front();
        }
    }

    /// The system log, or one application's part of it.
    pub fn log(&self, app: Option<&str>) -> String {
        let log = lock(&self.log);
        log.iter()
            .filter(|(of, _)| app.is_none_or(|app| app == of))
            .map(|(_, line)| format!("{line}\n"))
            .collect()
    }
}

/// No thread of ours panics while it holds a lock; if one did, what it held is still whole.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Now, RFC 3339 in UTC (the civil date by Howard Hinnant's algorithm).
fn timestamp() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let (seconds, days) = (now.as_secs() % 86_400, (now.as_secs() / 86_400) as i64 + 719_468);
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{:02}T{:02}:{:02}:{:02}.{:03}+00:00",
        of_year - (153 * shifted + 2) / 5 + 1,
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        now.subsec_millis()
    )
}

#[derive(Default)]
struct Run {
    /// Whether it is to run.
    wanted: bool,
    /// The process, and with it its group.
    process: Option<u32>,
    /// A thread looks after it.
    watched: bool,
}

/// One installed application.
pub struct App {
    /// What its package says.
    pub package: Package,
    system: Arc<System>,
    /// Port in the manifest → port that is really used.
    ports: BTreeMap<u16, u16>,
    user: u32,
    run: Mutex<Run>,
    changed: Condvar,
}

impl App {
    /// Its folder.
    pub fn folder(&self) -> PathBuf {
        self.system.packages().join(&self.package.name)
    }

    /// The port where a proxy entry leads to.
    pub fn port(&self, in_manifest: u16) -> u16 {
        self.ports.get(&in_manifest).copied().unwrap_or(in_manifest)
    }

    /// VAPIX's word: Running, Stopped, or Idle while it waits to be started again.
    pub fn state(&self) -> &'static str {
        let run = lock(&self.run);
        match (run.wanted, run.process) {
            (_, Some(_)) => "Running",
            (true, None) => "Idle",
            (false, None) => "Stopped",
        }
    }

    /// Starts it, and again as its run mode says. False where it runs already.
    pub fn start(self: &Arc<Self>) -> bool {
        {
            let mut run = lock(&self.run);
            if run.wanted {
                return false;
            }
            // The thread before may still be on its way out.
            while run.watched {
                run = self.changed.wait(run).unwrap_or_else(std::sync::PoisonError::into_inner);
            }
            (run.wanted, run.watched) = (true, true);
        }
        let app = self.clone();
        std::thread::spawn(move || {
            app.watch();
            let mut run = lock(&app.run);
            run.watched = false;
            app.changed.notify_all();
        });
        true
    }

    /// Starts it again and again.
    fn watch(&self) {
        let name = &self.package.name;
        while lock(&self.run).wanted {
            let ended = match self.spawn() {
                Ok(mut child) => {
                    let id = child.id();
                    lock(&self.run).process = Some(id);
                    // A stop that came before the process was known.
                    if !lock(&self.run).wanted {
                        signal(id, Signal::TERM);
                    }
                    self.listen(&mut child);
                    let status = child.wait();
                    // Nothing of it stays behind.
                    signal(id, Signal::KILL);
                    lock(&self.run).process = None;
                    self.changed.notify_all();
                    match status {
                        Ok(status) if status.success() => Ok(()),
                        Ok(status) => {
                            Err(status.signal().map_or(status.to_string(), |s| format!("signal {s}")))
                        }
                        Err(error) => Err(error.to_string()),
                    }
                }
                Err(error) => Err(format!("cannot be started: {error}")),
            };
            let mut run = lock(&self.run);
            if !run.wanted {
                return;
            }
            let again = match self.package.run_mode.as_str() {
                "respawn" => true,
                "respawnOnFailure" => ended.is_err(),
                _ => false,
            };
            let how = ended.map_or_else(|how| how, |()| "without an error".to_owned());
            self.system.say("systemd", 1, &format!("sdk{name}.service: the process ended: {how}"));
            if !again {
                run.wanted = false;
                return;
            }
            let until = Instant::now() + RESTART;
            while run.wanted
                && let Some(left) = until.checked_duration_since(Instant::now())
            {
                run =
                    self.changed.wait_timeout(run, left).unwrap_or_else(std::sync::PoisonError::into_inner).0;
            }
        }
    }

    fn spawn(&self) -> std::io::Result<Child> {
        let (folder, system) = (self.folder(), &self.system);
        let binary = folder.join(&self.package.name);
        let mut command = match elf_architecture(&binary) {
            Some(machine) if machine != std::env::consts::ARCH => {
                let mut command = Command::new(format!("qemu-{machine}-static"));
                if let Some(sysroot) = &system.sysroot {
                    command.arg("-L").arg(sysroot);
                }
                command.arg(&binary);
                command
            }
            _ => Command::new(&binary),
        };
        let mut options = self.package.options.clone();
        for (old, new) in &self.ports {
            for host in ["127.0.0.1", "localhost"] {
                options = options.replace(&format!("{host}:{old}"), &format!("{host}:{new}"));
            }
        }
        command
            .args(options.split_whitespace())
            .current_dir(&folder)
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", system.programs().display()))
            // As systemd has it for users that it makes up.
            .env("HOME", "/")
            .env("LD_LIBRARY_PATH", system.libraries())
            .envs(system.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        if getuid().is_root() {
            command.uid(self.user).gid(GROUP);
        }
        command.spawn()
    }

    /// Takes what it says into the log until it has nothing more to say.
    fn listen(&self, child: &mut Child) {
        let id = child.id();
        let read = |stream: Box<dyn Read + Send>| {
            let (system, name) = (self.system.clone(), self.package.name.clone());
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream);
                let mut line = Vec::new();
                while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                    system.say(&name, id, String::from_utf8_lossy(&line).trim_end());
                    line.clear();
                }
            })
        };
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        // The streams stay open for as long as anything that it has started; its own end is what counts.
        let _ = stdout.map(|stream| read(Box::new(stream)));
        let _ = stderr.map(|stream| read(Box::new(stream)));
    }

    /// Ends it: SIGTERM, and SIGKILL after ten seconds. False where it did not run.
    pub fn stop(&self) -> bool {
        let mut run = lock(&self.run);
        if !std::mem::replace(&mut run.wanted, false) {
            return false;
        }
        self.changed.notify_all();
        if let Some(id) = run.process {
            signal(id, Signal::TERM);
        }
        let until = Instant::now() + LAST_WAIT;
        let mut killed = false;
        while run.watched {
            let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(100));
            run = self.changed.wait_timeout(run, left).unwrap_or_else(std::sync::PoisonError::into_inner).0;
            if Instant::now() >= until && !killed {
                killed = true;
                if let Some(id) = run.process {
                    signal(id, Signal::KILL);
                }
            }
        }
        true
    }
}

/// To a process and all that it has started.
fn signal(id: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        // It may be gone already.
        let _ = kill_process_group(pid, signal);
    }
}

/// All applications of a camera.
pub struct Apps {
    system: Arc<System>,
    installed: Mutex<BTreeMap<String, Arc<App>>>,
}

impl Apps {
    /// None yet.
    pub fn new(system: Arc<System>) -> Self {
        Self { system, installed: Mutex::default() }
    }

    /// The one of this name.
    pub fn get(&self, name: &str) -> Option<Arc<App>> {
        lock(&self.installed).get(name).cloned()
    }

    /// All, by name.
    pub fn all(&self) -> Vec<Arc<App>> {
        lock(&self.installed).values().cloned().collect()
    }

    /// Puts a package that has been unpacked into `staged` in its place. `localdata` of the version before stays,
    /// and an application that ran is started again.
    ///
    /// # Errors
    /// 14 and 27 where another application is in the way, 10 where the disk is.
    pub fn install(&self, package: Package, staged: &Path) -> Result<(), Refusal> {
        let name = package.name.clone();
        let before = self.get(&name);
        if let Some(other) = self.all().iter().find(|app| app.package.name.eq_ignore_ascii_case(&name))
            && other.package.name != name
        {
            let why =
                format!("{} is installed, which differs in upper and lower case alone", other.package.name);
            return Err(Refusal { code: 14, why });
        }
        if let Some(before) = &before
            && let (Some(old), Some(new)) = (&before.package.vendor_id, &package.vendor_id)
            && old != new
        {
            return Err(Refusal { code: 27, why: "the version before is of another vendor".to_owned() });
        }
        let ran = before.as_ref().is_some_and(|app| app.stop());
        let next_user = || self.all().iter().map(|app| app.user + 1).max().unwrap_or(FIRST_USER);
        let user = before.as_ref().map_or_else(next_user, |app| app.user);
        let ports = self.ports(&package);
        let app = App {
            package,
            system: self.system.clone(),
            ports,
            user,
            run: Mutex::default(),
            changed: Condvar::new(),
        };
        let app = Arc::new(app);
        place(staged, &app.folder(), user).map_err(|error| Refusal { code: 10, why: error.to_string() })?;
        self.system.say("systemd", 1, &format!("installed {name} {}", app.package.version));
        lock(&self.installed).insert(name, app.clone());
        if ran {
            app.start();
        }
        Ok(())
    }

    /// A free port for each that the manifest names, so that many cameras can be simulated at once.
    fn ports(&self, package: &Package) -> BTreeMap<u16, u16> {
        let wanted = package.proxies.iter().map(|proxy| proxy.port);
        let free =
            || TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).map(|a| a.port());
        wanted.filter(|_| !self.system.keep_ports).filter_map(|port| Some((port, free().ok()?))).collect()
    }

    /// Stops and removes an application with all that it kept. False where there is none.
    pub fn remove(&self, name: &str) -> bool {
        let Some(app) = lock(&self.installed).remove(name) else { return false };
        app.stop();
        let _ = make_writable(&app.folder());
        let _ = std::fs::remove_dir_all(app.folder());
        true
    }

    /// Stops them all.
    pub fn stop_all(&self) {
        for app in self.all() {
            app.stop();
        }
    }
}

fn make_writable(folder: &Path) -> std::io::Result<()> {
    for path in walk(folder).iter().filter(|path| path.is_dir()) {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755))?;
    }
    Ok(())
}

/// Moves the unpacked package to its place, read-only but for `localdata`, which is `user`'s and is kept.
fn place(staged: &Path, folder: &Path, user: u32) -> std::io::Result<()> {
    let kept = folder.join("localdata");
    let staged_data = staged.join("localdata");
    if folder.exists() {
        make_writable(folder)?;
        if kept.is_dir() {
            if staged_data.exists() {
                std::fs::remove_dir_all(&staged_data)?;
            }
            std::fs::rename(&kept, &staged_data)?;
        }
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(&staged_data)?;
    std::fs::rename(staged, folder)?;
    let as_root = getuid().is_root();
    for path in walk(folder).iter().filter(|path| !path.starts_with(&kept)) {
        if path.is_dir() {
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o555))?;
        }
        if as_root {
            chown(path, Some(0), Some(0))?;
        }
    }
    std::fs::set_permissions(&kept, PermissionsExt::from_mode(0o750))?;
    if as_root {
        for path in walk(&kept) {
            chown(path, Some(user), Some(GROUP))?;
        }
    }
    Ok(())
}
