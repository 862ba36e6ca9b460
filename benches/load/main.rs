//! An open-loop load generator over librdkafka: the same work against Forebay, Apache Kafka, librdkafka's in-process mock
//! broker and a floor that does only what no broker can leave out, in alternating rounds, side by side, with ratios and goals.
//!
//! `cargo bench --bench load -- --help` lists the options. Absolute figures mean little on a shared machine;
//! the ratios of one run do. See `benches/README.md`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that people run and read"
)]

#[path = "../common/lib.rs"]
#[allow(dead_code, reason = "each benchmark needs another part of it")]
mod common;
mod disk;
mod floor;
mod goals;
mod measure;
mod memory;
mod options;
mod start;
mod target;
mod workload;

use common::{process, report::Report};
use memory::WarmMemory;
use options::{Kind, Options};
use target::Target;

fn main() -> anyhow::Result<()> {
    let Some(options) = Options::from_arguments()? else {
        return Ok(());
    };
    if let Some(directory) = &options.floor_server {
        return floor::serve(directory);
    }
    if let Some(cpu) = options.load_cpu {
        process::pin_this_process(cpu)?;
    }
    let mut report = Report::default();
    let mut warm = WarmMemory::new(&options.directory, options.warm_memory_bytes)?;
    for round in 1..=options.rounds {
        for kind in &options.targets {
            eprintln!("round {round} of {}: {}", options.rounds, kind.name());
            if *kind == Kind::Floor {
                measure::floor(&options, &mut warm, &mut report)?;
                continue;
            }
            let Some(mut target) = Target::start(*kind, &options)? else {
                continue;
            };
            let measured = measure::broker(&mut target, &options, &mut warm, &mut report);
            target.stop()?;
            measured?;
        }
    }
    if options.start_times {
        start::measure(&options, &mut report)?;
    }
    let columns: Vec<_> = options.targets.iter().map(|kind| kind.name()).collect();
    let peers = [Kind::Kafka, Kind::Floor, Kind::Mock].map(Kind::name);
    report.print(options.rounds, &columns, Kind::Forebay.name(), &peers);
    goals::print(&report);
    Ok(())
}
