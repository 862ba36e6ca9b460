//! A broker and a worker under measurement.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};

use crate::common::peer::{self, fresh_directory, kafka_script, listener_address};
use crate::common::process;
use crate::options::{Kind, Options};

const KAFKA_PORT: &str = "29592";
const KAFKA_REST_PORT: &str = "28593";

/// They, running.
pub(crate) struct Target {
    pub(crate) kind: Kind,
    pub(crate) bootstrap_servers: String,
    /// `HOST:PORT` of the worker's REST API.
    pub(crate) rest: String,
    /// `HOST:PORT` of the schema registry; empty where there is none.
    pub(crate) registry: String,
    /// For the files of the connectors, too.
    pub(crate) directory: PathBuf,
    processes: Vec<u32>,
    child: Option<Child>,
}

impl Target {
    /// `None`, after a line that says why, where this machine cannot run it.
    pub(crate) fn start(kind: Kind, options: &Options) -> anyhow::Result<Option<Self>> {
        match kind {
            Kind::Forebay => {
                let directory = fresh_directory(&options.directory, "forebay")?;
                Self::forebay(options, directory).map(Some)
            }
            Kind::Kafka if peer::has_kafka() => Self::kafka(options).map(Some),
            Kind::Kafka => Ok(None),
        }
    }

    /// Starts the hub on what is in `directory`, and waits for its `ready` line.
    pub(crate) fn forebay(options: &Options, directory: PathBuf) -> anyhow::Result<Self> {
        let mut command = Command::new(&options.binary);
        command.arg("start").arg("--data-dir").arg(directory.join("data"));
        peer::any_ports(&mut command);
        for setting in &options.overrides {
            command.arg("--override").arg(setting);
        }
        command.stdout(Stdio::piped()).stdin(Stdio::null());
        let mut child = command.spawn().context("cannot start forebay")?;
        let mut lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        let (mut broker, mut worker, mut registry) = (None, None, None);
        for line in lines.by_ref() {
            let line = line?;
            broker = broker.or(listener_address(&line, "broker"));
            worker = worker.or(listener_address(&line, "connect"));
            registry = registry.or(listener_address(&line, "registry"));
            if line.starts_with("ready in") {
                break;
            }
        }
        // Whoever does not read on lets the hub wait for its own log lines.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self {
            kind: Kind::Forebay,
            bootstrap_servers: broker.context("forebay stopped before it was ready")?,
            rest: worker.context("the hub named no worker")?,
            registry: registry.context("the hub named no schema registry")?,
            directory,
            processes: vec![child.id()],
            child: Some(child),
        })
    }

    fn kafka(options: &Options) -> anyhow::Result<Self> {
        let directory = fresh_directory(&options.directory, "kafka")?;
        let bootstrap_servers = kafka_script(&directory, &["up", "--port", KAFKA_PORT])?
            .trim()
            .to_owned();
        let rest = kafka_script(&directory, &["connect", "--rest-port", KAFKA_REST_PORT])?;
        let rest = rest.trim().trim_start_matches("http://").to_owned();
        let status = kafka_script(&directory, &["status"])?;
        let pids = status.split("pid ").skip(1);
        let pids = pids.filter_map(|rest| rest.split_whitespace().next()?.parse().ok());
        let processes: Vec<u32> = pids.collect();
        ensure!(processes.len() == 2, "a broker and a worker should run: {status}");
        Ok(Self {
            kind: Kind::Kafka,
            bootstrap_servers,
            rest,
            registry: String::new(),
            directory,
            processes,
            child: None,
        })
    }

    /// User and system CPU seconds of broker and worker.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.processes
            .iter()
            .filter_map(|pid| process::cpu_seconds(*pid))
            .sum()
    }

    /// The most bytes that were resident, of broker and worker together.
    pub(crate) fn peak_resident_bytes(&self) -> u64 {
        self.processes
            .iter()
            .filter_map(|pid| process::peak_resident_bytes(*pid))
            .sum()
    }

    /// A file of this target's own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Kills Forebay as a crash would; what is on disk stays.
    pub(crate) fn kill(mut self) -> anyhow::Result<PathBuf> {
        if let Some(child) = &mut self.child {
            child.kill()?;
            child.wait()?;
        }
        Ok(self.directory)
    }

    /// Stops it and deletes its data.
    pub(crate) fn stop(self) -> anyhow::Result<()> {
        if self.kind == Kind::Kafka {
            kafka_script(&self.directory, &["down", "--wipe"])?;
        }
        remove(&self.kill()?)
    }
}

/// Deletes a directory that may be gone.
pub(crate) fn remove(directory: &Path) -> anyhow::Result<()> {
    if directory.exists() {
        std::fs::remove_dir_all(directory)?;
    }
    Ok(())
}
