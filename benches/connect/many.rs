//! How soon the connectors of a hub run again after it was killed.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
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
        let all = rest::call(&target.rest, "GET", "/connectors?expand=status", &Value::Null);
        // 409 or 500 while the group settles.
        let all = all.unwrap_or_default();
        let running = all.as_object().map_or(0, |all| {
            all.values().filter(|one| is_running(&one["status"])).count()
        });
        if running == connectors {
            return Ok(());
        }
        if began.elapsed() > TIMEOUT {
            let other = all.as_object().context("no answer")?;
            let other = other.values().find(|one| !is_running(&one["status"]));
            bail!("{running} of {connectors} connectors run; {other:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn is_running(status: &Value) -> bool {
    let tasks = status["tasks"].as_array();
    status["connector"]["state"] == "RUNNING"
        && tasks.is_some_and(|tasks| !tasks.is_empty() && tasks.iter().all(|task| task["state"] == "RUNNING"))
}
