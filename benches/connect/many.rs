//! How soon the connectors of a hub run again after it was killed.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::{Value, json};

use crate::common::report::Report;
use crate::options::{Kind, Options};
use crate::rest;
use crate::target::Target;

const TIMEOUT: Duration = Duration::from_secs(120);

/// Makes the connectors, kills the hub, starts it again.
pub(crate) fn measure(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let Some(target) = Target::start(Kind::Forebay, options)? else {
        return Ok(());
    };
    for number in 0..options.connectors {
        let path = target.path(&format!("{number}.txt"));
        std::fs::write(&path, "a line\n")?;
        let config = json!({
            "connector.class": "FileStreamSource",
            "file": path,
            "topic": format!("topic-{}", number % 10),
        });
        let name = format!("/connectors/file-{number}/config");
        rest::call(&target.rest, "PUT", &name, &config)?;
    }
    wait(&target, options.connectors)?;
    let directory = target.kill()?;
    let began = Instant::now();
    let target = Target::forebay(options, directory)?;
    let ready = began.elapsed();
    wait(&target, options.connectors)?;
    let running = began.elapsed() - ready;
    let name = Kind::Forebay.name();
    let what = format!(
        "{} connectors: exec to ready after a kill (ms)",
        options.connectors
    );
    report.add(&what, name, ready.as_secs_f64() * 1e3);
    report.add(MANY, name, running.as_secs_f64());
    let resident = target.peak_resident_bytes() as f64 / f64::from(1 << 20);
    report.add(
        &format!("{} connectors: most resident memory (MiB)", options.connectors),
        name,
        resident,
    );
    target.stop()
}

/// The row of the goal.
pub(crate) const MANY: &str = "all connectors and their tasks RUNNING after ready (s)";

fn wait(target: &Target, connectors: usize) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        // States were said before the kill, too; what a task of this process counts was not.
        let metrics = rest::text(&target.rest, "GET", "/metrics", &Value::Null).unwrap_or_default();
        let running = metrics.lines().filter(|line| runs(line)).count();
        if running == connectors {
            return Ok(());
        }
        ensure!(began.elapsed() < TIMEOUT, "{running} of {connectors} tasks run");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a line says that a task has been running in this process.
fn runs(line: &str) -> bool {
    let ratio = line
        .strip_prefix("kafka_connect_connector_task_metrics_running_ratio{")
        .and_then(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok());
    ratio.is_some_and(|ratio| ratio > 0.0)
}
