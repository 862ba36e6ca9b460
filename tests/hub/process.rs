//! A `forebay` process: started on free ports, waited for, killed by its id, started again where it was.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long anything may take before it counts as not happening. Machines that run tests are slow; a hub that hangs does not
/// come back.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How often a condition that cannot be waited for is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Looks until `condition` gives something; panics with `what` after [`PATIENCE`].
pub(crate) fn eventually<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, condition)
}

/// Looks until `condition` gives something; panics with `what` after `patience`.
pub(crate) fn within<T>(patience: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "not within {} s: {what}",
            patience.as_secs()
        );
        std::thread::sleep(LOOK_INTERVAL);
    }
}

/// The binary under test.
pub(crate) fn forebay() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_forebay"));
    command.stdin(Stdio::null());
    command
}

/// Runs `forebay` to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    run_in(Path::new("."), arguments)
}

/// Runs `forebay` in `directory` to its end; it is killed, and the test fails, if that does not come.
pub(crate) fn run_in(directory: &Path, arguments: &[&str]) -> Output {
    let child = forebay()
        .args(arguments)
        .current_dir(directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("forebay starts");
    let pid = Pid::from_child(&child);
    let (ended, has_ended) = channel();
    let waiting = std::thread::spawn(move || {
        let output = child.wait_with_output();
        // Nobody listens any more if it took too long.
        let _ = ended.send(());
        output
    });
    let in_time = has_ended.recv_timeout(PATIENCE).is_ok();
    if !in_time {
        // It may have ended at this moment.
        let _ = kill_process(pid, Signal::KILL);
    }
    let output = waiting
        .join()
        .expect("the waiting thread does not panic")
        .expect("the output can be read");
    assert!(in_time, "forebay {arguments:?} did not end: {output:?}");
    output
}

/// What a process wrote to standard output, line by line.
#[derive(Debug)]
struct Lines {
    seen: Arc<Mutex<String>>,
    next: Receiver<String>,
}

impl Lines {
    fn of(stdout: ChildStdout) -> Self {
        let seen = Arc::new(Mutex::new(String::new()));
        let (sender, next) = channel();
        let all = Arc::clone(&seen);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let Ok(line) = line else { return };
                writeln!(all.lock().expect("no panic under this lock"), "{line}")
                    .expect("text can be written to");
                // The rest is kept in `seen`, whoever waits for lines.
                let _ = sender.send(line);
            }
        });
        Self { seen, next }
    }
}

/// A process of ours, killed with this value.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    stdout: Lines,
    stderr: PathBuf,
}

impl Process {
    /// Starts `forebay ARGUMENTS`; standard error goes to the file `stderr`.
    pub(crate) fn start(arguments: &[String], stderr: &Path) -> Self {
        let mut command = forebay();
        command.args(arguments);
        Self::spawn(command, stderr)
    }

    /// Starts what becomes `forebay`; standard error goes to the file `stderr`.
    pub(crate) fn spawn(mut command: Command, stderr: &Path) -> Self {
        let file = File::options()
            .create(true)
            .append(true)
            .open(stderr)
            .expect("the file for standard error can be opened");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .expect("forebay starts");
        let stdout = Lines::of(child.stdout.take().expect("it is piped"));
        Self {
            child,
            stdout,
            stderr: stderr.to_owned(),
        }
    }

    /// Waits for a line of standard output that `find` finds something in; `Err` tells what the process said instead.
    pub(crate) fn line<T>(&mut self, mut find: impl FnMut(&str) -> Option<T>) -> Result<T, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self
                .stdout
                .next
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(line) => {
                    if let Some(found) = find(&line) {
                        return Ok(found);
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Err(format!("took too long\n{}", self.said())),
                Err(RecvTimeoutError::Disconnected) => return Err(format!("ended\n{}", self.said())),
            }
        }
    }

    /// Everything that it wrote so far.
    pub(crate) fn said(&self) -> String {
        let stdout = self.stdout.seen.lock().expect("no panic under this lock").clone();
        let stderr = std::fs::read(&self.stderr).unwrap_or_default();
        format!(
            "--- standard output\n{stdout}--- standard error\n{}",
            String::from_utf8_lossy(&stderr)
        )
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it runs.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// SIGKILL, and the wait for its end.
    pub(crate) fn kill(&mut self) {
        // Both fail only when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM; gives the exit status.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("the process runs");
        eventually("the process ends after SIGTERM", || {
            self.child.try_wait().expect("our child")
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            #[allow(clippy::print_stderr, reason = "it explains a failure")]
            {
                eprintln!("process {}:\n{}", self.id(), self.said());
            }
        }
    }
}

/// `forebay start` on a data directory; the ports that it found the first time are its ports from then on.
#[derive(Debug)]
pub(crate) struct Hub {
    directory: PathBuf,
    roles: String,
    overrides: Vec<String>,
    ports: BTreeMap<String, u16>,
    process: Process,
}

/// Each role and the flag of its port.
const PORTS: [(&str, &str); 5] = [
    ("broker", "--kafka-port"),
    ("registry", "--registry-port"),
    ("rest", "--rest-port"),
    ("connect", "--connect-port"),
    ("console", "--console-port"),
];

impl Hub {
    /// Starts `roles` (separated by commas) in `directory` and waits for `ready`. Groups form without Kafka's three seconds of
    /// grace; `overrides` are `ROLE.KEY=VALUE`.
    pub(crate) fn start(directory: &Path, roles: &str, overrides: &[&str]) -> Self {
        let overrides = std::iter::once("broker.group.initial.rebalance.delay.ms=0")
            .chain(overrides.iter().copied())
            .map(str::to_owned)
            .collect::<Vec<_>>();
        let (process, ports) = launch(directory, roles, &overrides, &BTreeMap::new())
            .unwrap_or_else(|said| panic!("forebay start: {said}"));
        Self {
            directory: directory.to_owned(),
            roles: roles.to_owned(),
            overrides,
            ports,
            process,
        }
    }

    /// A broker alone.
    pub(crate) fn broker(directory: &Path) -> Self {
        Self::start(directory, "broker", &[])
    }

    /// Starts again after an end, on the same ports.
    pub(crate) fn restart(&mut self) {
        assert!(!self.process.is_running(), "it still runs");
        let (process, ports) = launch(&self.directory, &self.roles, &self.overrides, &self.ports)
            .unwrap_or_else(|said| panic!("forebay start, again: {said}"));
        assert_eq!(ports, self.ports, "the ports of the first start");
        self.process = process;
    }

    /// The port of a role.
    pub(crate) fn port(&self, role: &str) -> u16 {
        self.ports[role]
    }

    /// Where a role listens, as it says.
    pub(crate) fn addresses(&self, role: &str) -> Vec<SocketAddr> {
        let said = self.process.said();
        let line = said
            .lines()
            .find(|line| listener(line).is_some_and(|(known, _)| known == role));
        let words = line.into_iter().flat_map(str::split_whitespace).skip(1);
        words.map(|word| word.parse().expect("an address")).collect()
    }

    /// `bootstrap.servers`.
    pub(crate) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port("broker"))
    }

    /// The URL of `path` at a role.
    pub(crate) fn url(&self, role: &str, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port(role))
    }

    /// `--data-dir`.
    pub(crate) fn data_dir(&self) -> PathBuf {
        data_dir(&self.directory)
    }

    /// The folder of a partition.
    pub(crate) fn partition_dir(&self, topic: &str, partition: i32) -> PathBuf {
        self.data_dir()
            .join("broker")
            .join(format!("{topic}-{partition}"))
    }

    /// The process.
    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The most memory that was ever resident, from `/proc`; `None` where that is not.
    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).ok()?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kibibytes: u64 = peak.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes << 10)
    }

    /// How long processors have worked for it, from `/proc`; `None` where that is not.
    pub(crate) fn processor_time(&self) -> Option<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        let per_second = rustix::param::clock_ticks_per_second();
        Some(Duration::from_secs_f64(ticks as f64 / per_second as f64))
    }

    /// Resident memory, from `/proc`; `None` where that is not.
    pub(crate) fn resident_bytes(&self) -> Option<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).ok()?;
        let pages: u64 = stat
            .rsplit_once(')')?
            .1
            .split_whitespace()
            .nth(21)?
            .parse()
            .ok()?;
        Some(pages * rustix::param::page_size() as u64)
    }
}

fn data_dir(directory: &Path) -> PathBuf {
    directory.join("data")
}

/// The arguments of `forebay start`; a role without a port in `ports` takes one that is free.
pub(crate) fn start_arguments(
    directory: &Path,
    roles: &str,
    overrides: &[String],
    ports: &BTreeMap<String, u16>,
) -> Vec<String> {
    let mut arguments = vec![
        "start".to_owned(),
        "--data-dir".to_owned(),
        data_dir(directory).display().to_string(),
        "--roles".to_owned(),
        roles.to_owned(),
    ];
    for (role, flag) in PORTS {
        // The flag is above the key.
        if role == "broker" && overrides.iter().any(|text| text.starts_with("broker.listeners=")) {
            continue;
        }
        let port = ports.get(role).copied().unwrap_or_default();
        arguments.extend([flag.to_owned(), port.to_string()]);
    }
    for text in overrides {
        arguments.extend(["--override".to_owned(), text.clone()]);
    }
    arguments
}

fn launch(
    directory: &Path,
    roles: &str,
    overrides: &[String],
    ports: &BTreeMap<String, u16>,
) -> Result<(Process, BTreeMap<String, u16>), String> {
    let arguments = start_arguments(directory, roles, overrides, ports);
    let mut process = Process::start(&arguments, &directory.join("stderr"));
    let mut found = BTreeMap::new();
    process.line(|line| {
        if line.starts_with("ready in ") {
            return Some(());
        }
        if let Some((role, port)) = listener(line) {
            found.insert(role, port);
        }
        None
    })?;
    for role in roles.split(',') {
        if !found.contains_key(role) {
            return Err(format!("no line for the listener of {role}\n{}", process.said()));
        }
    }
    Ok((process, found))
}

/// Role and port from `rest      http://127.0.0.1:8082  http://[::1]:8082`.
pub(crate) fn listener(line: &str) -> Option<(String, u16)> {
    let mut words = line.split_whitespace();
    let role = words
        .next()
        .filter(|role| PORTS.iter().any(|(known, _)| known == role))?;
    let address = words.next()?;
    let port = address.rsplit_once(':')?.1.parse().ok()?;
    Some((role.to_owned(), port))
}
