//! What Linux tells of a process: CPU time, resident memory; and on which core it runs.

use std::process::Command;
use std::time::Instant;

use anyhow::Context;

/// User plus system CPU seconds of process `pid`, all threads; `None` where `/proc` has it not.
pub(crate) fn cpu_seconds(pid: u32) -> Option<f64> {
    let fields = stat_fields(pid)?;
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Resident bytes of process `pid`.
pub(crate) fn resident_bytes(pid: u32) -> Option<u64> {
    let pages: u64 = stat_fields(pid)?.get(21)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// The most bytes that were resident at once since process `pid` started.
pub(crate) fn peak_resident_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// The fields of `/proc/PID/stat` after the command name, which may itself hold blanks.
fn stat_fields(pid: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(
        text.rsplit_once(')')?
            .1
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
    )
}

/// How busy the one core is on which the calling thread may run.
pub(crate) struct CoreMeter {
    cpu: usize,
    idle_seconds: f64,
    began: Instant,
}

impl CoreMeter {
    /// Begins to measure; `None` where the thread may run on several cores, or `/proc` does not tell.
    pub(crate) fn start() -> Option<Self> {
        let cpus = rustix::thread::sched_getaffinity(None).ok()?;
        let mut allowed = (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| cpus.is_set(*cpu));
        let (Some(cpu), None) = (allowed.next(), allowed.next()) else {
            return None;
        };
        Some(Self {
            cpu,
            idle_seconds: idle_seconds(cpu)?,
            began: Instant::now(),
        })
    }

    /// The share of the time since [`Self::start`] in which the core did something.
    pub(crate) fn busy(&self) -> Option<f64> {
        let idle = idle_seconds(self.cpu)? - self.idle_seconds;
        Some(1.0 - idle / self.began.elapsed().as_secs_f64())
    }
}

/// Seconds since the start of the system in which `cpu` had nothing to do, also those in which somebody waited for a disk.
fn idle_seconds(cpu: usize) -> Option<f64> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    let name = format!("cpu{cpu}");
    let mut lines = text.lines().map(str::split_ascii_whitespace);
    let mut fields = lines.find_map(|mut fields| (fields.next() == Some(&*name)).then_some(fields))?;
    let ticks = fields.nth(3)?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Keeps this process, and every thread that it starts from now on, on one core.
pub(crate) fn pin_this_process(cpu: usize) -> anyhow::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(cpu);
    rustix::thread::sched_setaffinity(None, &set)
        .with_context(|| format!("cannot pin the load to core {cpu}"))
}

/// A command that runs `program` on `cpu` where one is named.
pub(crate) fn command_on(cpu: Option<usize>, program: &str) -> Command {
    match cpu {
        Some(cpu) => {
            let mut command = Command::new("taskset");
            command.args(["-c", &cpu.to_string(), program]);
            command
        }
        None => Command::new(program),
    }
}
