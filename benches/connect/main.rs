//! The Connect worker beside Apache Kafka's own: the same files into topics and topics into files, each worker with a broker of
//! its own, on the same cores, in alternating rounds; and how soon two hundred connectors run after a restart.
//!
//! `cargo bench --bench connect -- --help` lists the options. The ratios of one run count. See `benches/README.md`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that people run and read"
)]

#[path = "../common/lib.rs"]
#[allow(dead_code, reason = "each benchmark needs another part of it")]
mod common;
mod goals;
mod many;
mod options;
mod parquet;
mod rest;
mod target;
mod work;

use common::report::Report;
use options::{Kind, Options};
use target::Target;

fn main() -> anyhow::Result<()> {
    let Some(options) = Options::from_arguments() else {
        return Ok(());
    };
    let mut report = Report::default();
    for round in 1..=options.rounds {
        for kind in &options.targets {
            eprintln!("round {round} of {}: {}", options.rounds, kind.name());
            if let Some(target) = Target::start(*kind, &options)? {
                let measured = work::measure(&target, &options, &mut report);
                target.stop()?;
                measured?;
            }
        }
    }
    if options.targets.contains(&Kind::Forebay) && options.connectors > 0 {
        for _ in 0..options.rounds {
            many::measure(&options, &mut report)?;
        }
    }
    let columns: Vec<_> = options.targets.iter().map(|kind| kind.name()).collect();
    report.print(
        options.rounds,
        &columns,
        Kind::Forebay.name(),
        &[Kind::Kafka.name()],
    );
    goals::print(&report);
    Ok(())
}
