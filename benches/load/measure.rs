//! One round on one broker: memory at rest, then throughput, then single records, then latency, so that every figure of a
//! column comes from the same process.

use std::time::Duration;

use crate::common::peer::fresh_directory;
use crate::common::process;
use crate::common::report::Report;
use crate::disk;
use crate::floor::Floor;
use crate::memory::WarmMemory;
use crate::options::{Kind, Options, Workload};
use crate::target::Target;
use crate::workload::{self, Transfer, Work};

const MIB: f64 = (1 << 20) as f64;

/// Everything that is measured on a broker.
pub(crate) fn broker(
    target: &mut Target,
    options: &Options,
    warm: &mut WarmMemory,
    report: &mut Report,
) -> anyhow::Result<()> {
    let name = target.kind.name();
    if let Some(bytes) = target.resident_bytes() {
        report.add("resident memory, idle (MiB)", name, bytes as f64 / MIB);
    }
    for workload in &options.workloads {
        match workload {
            Workload::HundredByte => throughput(target, options, &Work::of(100), warm, report)?,
            Workload::OneKilobyte => throughput(target, options, &Work::of(1024), warm, report)?,
            Workload::Idempotent => throughput(target, options, &Work::idempotent(1024), warm, report)?,
            Workload::OneRecord => single_records(target, options, warm, report)?,
            Workload::Latency => latency(target, options, report)?,
        }
    }
    if let Some(bytes) = target.peak_resident_bytes() {
        report.add("resident memory, most of all (MiB)", name, bytes as f64 / MIB);
    }
    Ok(())
}

fn latency(target: &Target, options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let latency = workload::latency(target, options)?;
    for (what, percentiles) in [
        ("acknowledgement", latency.acknowledgement),
        ("end to end", latency.end_to_end),
    ] {
        for (which, value) in [("p50", percentiles.p50_ms), ("p99", percentiles.p99_ms)] {
            let quantity = format!("{what} {which} at 1,000 records/s (ms)");
            report.add(&quantity, target.kind.name(), value);
        }
    }
    Ok(())
}

/// The floors, and the disk's own syncs.
pub(crate) fn floor(options: &Options, warm: &mut WarmMemory, report: &mut Report) -> anyhow::Result<()> {
    let name = Kind::Floor.name();
    let directory = fresh_directory(&options.directory, "floor")?;
    let floor = Floor::start(options, &directory)?;
    let cpu = || process::cpu_seconds(floor.pid()).unwrap_or(0.0);
    floor.append(Duration::from_secs(1))?;
    warm.fill()?;
    let before = cpu();
    let (bytes, elapsed) = floor.append(options.duration)?;
    let gigabytes = bytes as f64 / 1e9;
    report.add(
        "produce 1 KB (MB/s)",
        name,
        gigabytes * 1e3 / elapsed.as_secs_f64(),
    );
    report.add(
        "produce 1 KB (broker CPU s per GB)",
        name,
        (cpu() - before) / gigabytes,
    );
    let before = cpu();
    let elapsed = floor.send(bytes)?;
    report.add(
        "consume 1 KB (MB/s)",
        name,
        gigabytes * 1e3 / elapsed.as_secs_f64(),
    );
    report.add(
        "consume 1 KB (broker CPU s per GB)",
        name,
        (cpu() - before) / gigabytes,
    );
    floor.stop()?;
    let syncs = disk::sync_times(&directory, options.latency_duration / 2)?;
    report.add("append 4 KiB and sync p50 (ms)", name, syncs.p50_ms);
    report.add("append 4 KiB and sync p99 (ms)", name, syncs.p99_ms);
    std::fs::remove_dir_all(directory)?;
    Ok(())
}

/// Runs `work`, and adds its CPU per GB and how busy the load's core was: near 1, and the client is the limit.
///
/// What the core did counts, not what the client's process was charged with: interrupts are on no process's account.
fn measured(
    target: &Target,
    what: &str,
    report: &mut Report,
    run: impl FnOnce(&Target) -> anyhow::Result<Transfer>,
) -> anyhow::Result<Transfer> {
    let name = target.kind.name();
    let before = target.cpu_seconds();
    let transfer = run(target)?;
    let after = target.cpu_seconds();
    report.add(&format!("{what} (MB/s)"), name, transfer.megabytes_per_second());
    report.add(
        &format!("{what} (thousand records/s)"),
        name,
        transfer.records_per_second() / 1e3,
    );
    if let (Some(before), Some(after)) = (before, after) {
        report.add(
            &format!("{what} (broker CPU s per GB)"),
            name,
            (after - before) / transfer.gigabytes(),
        );
        report.add(
            &format!("{what} (broker CPU µs per record)"),
            name,
            (after - before) * 1e6 / transfer.records as f64,
        );
    }
    if let Some(busy) = transfer.load_busy {
        report.add(&format!("{what} (load's core busy)"), name, busy);
    }
    Ok(transfer)
}

fn throughput(
    target: &Target,
    options: &Options,
    work: &Work,
    warm: &mut WarmMemory,
    report: &mut Report,
) -> anyhow::Result<()> {
    let label = work.label();
    let topic = format!("load-{label}").replace([' ', ','], "-");
    // The first seconds of a JVM are not its speed, and the first of a file system are not its own.
    workload::produce(target, &format!("warm-{topic}"), work, Duration::from_secs(1))?;
    warm.fill()?;
    let produced = measured(target, &format!("produce {label}"), report, |target| {
        workload::produce(target, &topic, work, options.duration)
    })?;
    // The mock keeps only the last few megabytes; idempotent records are read as any others.
    if target.kind == Kind::Mock || work.idempotent {
        return Ok(());
    }
    workload::consume(target, &format!("warm-{topic}"), produced.records / 10, work)?;
    measured(target, &format!("consume {label}"), report, |target| {
        workload::consume(target, &topic, produced.records, work)
    })?;
    Ok(())
}

/// Batches of one record, each in a request of its own: what a batch costs.
fn single_records(
    target: &Target,
    options: &Options,
    warm: &mut WarmMemory,
    report: &mut Report,
) -> anyhow::Result<()> {
    let work = Work::single(100);
    workload::produce(target, "warm-single", &work, Duration::from_secs(1))?;
    warm.fill()?;
    measured(target, "produce one-record batches", report, |target| {
        workload::produce(target, "load-single", &work, options.duration)
    })?;
    Ok(())
}
