//! An open-loop load generator over librdkafka: the same work against Forebay, Apache Kafka and librdkafka's
//! in-process mock broker, in alternating rounds, printed side by side with ratios.
//!
//! `cargo bench --bench load -- --help` lists the options. Absolute figures mean little on a shared machine;
//! the ratios of one run do. See `benches/README.md`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that people run and read"
)]

mod options;
mod process;
mod report;
mod start;
mod statistics;
mod target;
mod workload;

use std::time::Duration;

use options::Options;
use report::Report;
use target::Target;

fn main() -> anyhow::Result<()> {
    let Some(options) = Options::from_arguments()? else {
        return Ok(());
    };
    if let Some(cpu) = options.load_cpu {
        process::pin_this_process(cpu)?;
    }
    let mut report = Report::default();
    for round in 1..=options.rounds {
        for kind in &options.targets {
            eprintln!("round {round} of {}: {}", options.rounds, kind.name());
            let Some(mut target) = Target::start(*kind, &options)? else {
                continue;
            };
            measure(&mut target, &options, &mut report)?;
            target.stop()?;
        }
    }
    if options.start_times {
        start::measure(&options, &mut report)?;
    }
    report.print(&options);
    Ok(())
}

/// One round on one target: memory at rest, then throughput, then latency, so that every figure of a column
/// comes from the same process.
fn measure(target: &mut Target, options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let name = target.kind.name();
    if let Some(bytes) = target.resident_bytes() {
        report.add(
            "resident memory, idle (MiB)",
            name,
            bytes as f64 / f64::from(1 << 20),
        );
    }
    for record_bytes in [100, 1024] {
        throughput(target, options, record_bytes, report)?;
    }
    let latency = workload::latency(target, options)?;
    report.add(
        "acknowledgement p50 at 1,000 records/s (ms)",
        name,
        latency.acknowledgement.p50_ms,
    );
    report.add(
        "acknowledgement p99 at 1,000 records/s (ms)",
        name,
        latency.acknowledgement.p99_ms,
    );
    report.add(
        "end to end p50 at 1,000 records/s (ms)",
        name,
        latency.end_to_end.p50_ms,
    );
    report.add(
        "end to end p99 at 1,000 records/s (ms)",
        name,
        latency.end_to_end.p99_ms,
    );
    if let Some(bytes) = target.resident_bytes() {
        report.add(
            "resident memory, after load (MiB)",
            name,
            bytes as f64 / f64::from(1 << 20),
        );
    }
    Ok(())
}

fn throughput(
    target: &mut Target,
    options: &Options,
    record_bytes: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    let name = target.kind.name();
    let label = if record_bytes == 1024 {
        "1 KB".to_owned()
    } else {
        format!("{record_bytes} B")
    };
    let topic = format!("load-{record_bytes}");
    // The first seconds of a JVM are not its speed, and the first of a file system are not its own.
    workload::produce(
        target,
        &format!("warm-{record_bytes}"),
        record_bytes,
        Duration::from_secs(1),
    )?;
    let before = target.cpu_seconds();
    let produced = workload::produce(target, &topic, record_bytes, options.duration)?;
    report.add(
        &format!("produce {label} (MB/s)"),
        name,
        produced.megabytes_per_second(),
    );
    report.add(
        &format!("produce {label} (thousand records/s)"),
        name,
        produced.records_per_second() / 1e3,
    );
    if let (Some(before), Some(after)) = (before, target.cpu_seconds()) {
        report.add(
            &format!("produce {label} (broker CPU s per GB)"),
            name,
            (after - before) / produced.gigabytes(),
        );
    }
    if target.kind == options::Kind::Mock {
        return Ok(()); // it keeps only the last few megabytes
    }
    let before = target.cpu_seconds();
    let consumed = workload::consume(target, &topic, produced.records, record_bytes)?;
    report.add(
        &format!("consume {label} (MB/s)"),
        name,
        consumed.megabytes_per_second(),
    );
    report.add(
        &format!("consume {label} (thousand records/s)"),
        name,
        consumed.records_per_second() / 1e3,
    );
    if let (Some(before), Some(after)) = (before, target.cpu_seconds()) {
        report.add(
            &format!("consume {label} (broker CPU s per GB)"),
            name,
            (after - before) / consumed.gigabytes(),
        );
    }
    Ok(())
}
