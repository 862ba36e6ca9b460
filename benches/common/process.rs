//! What Linux tells of a process: CPU time, resident memory; and on which core it runs.

use std::process::Command;

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
