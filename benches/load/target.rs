//! A broker under measurement: started fresh, asked for its CPU time and memory, stopped.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use anyhow::{Context, bail};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use crate::common::peer::{self, fresh_directory, kafka_script, listener_address};
use crate::common::process;
use crate::options::{Kind, Options};

/// The port of the real Kafka; its controller listens 500 above.
const KAFKA_PORT: u16 = 29392;

/// A running broker.
pub(crate) struct Target {
    pub(crate) kind: Kind,
    pub(crate) bootstrap_servers: String,
    running: Running,
}

enum Running {
    Forebay {
        child: Child,
        directory: PathBuf,
    },
    Kafka {
        directory: PathBuf,
        pid: u32,
    },
    Mock {
        _cluster: MockCluster<'static, DefaultProducerContext>,
    },
}

impl Target {
    /// `None`, after a line that says why, where this machine cannot run it.
    pub(crate) fn start(kind: Kind, options: &Options) -> anyhow::Result<Option<Self>> {
        match kind {
            Kind::Forebay => start_forebay(kind, options, "9223372036854775807").map(Some),
            Kind::ForebaySynced => start_forebay(kind, options, "1").map(Some),
            Kind::Kafka => start_kafka(options),
            Kind::Floor => bail!("the floor is no broker"),
            Kind::Mock => {
                let cluster = MockCluster::new(1)?;
                let bootstrap_servers = cluster.bootstrap_servers();
                Ok(Some(Self {
                    kind,
                    bootstrap_servers,
                    running: Running::Mock { _cluster: cluster },
                }))
            }
        }
    }

    /// CPU seconds that the broker has used; `None` for the mock, which shares this process.
    pub(crate) fn cpu_seconds(&self) -> Option<f64> {
        process::cpu_seconds(self.pid()?)
    }

    /// Resident bytes of the broker.
    pub(crate) fn resident_bytes(&self) -> Option<u64> {
        process::resident_bytes(self.pid()?)
    }

    fn pid(&self) -> Option<u32> {
        match &self.running {
            Running::Forebay { child, .. } => Some(child.id()),
            Running::Kafka { pid, .. } => Some(*pid),
            Running::Mock { .. } => None,
        }
    }

    /// The most bytes of the broker that were resident at once.
    pub(crate) fn peak_resident_bytes(&self) -> Option<u64> {
        process::peak_resident_bytes(self.pid()?)
    }

    /// Stops the broker and deletes its data.
    pub(crate) fn stop(self) -> anyhow::Result<()> {
        match self.running {
            Running::Forebay { mut child, directory } => {
                child.kill()?;
                child.wait()?;
                std::fs::remove_dir_all(directory)?;
            }
            Running::Kafka { directory, .. } => kafka_script(&directory, &["down", "--wipe"]).map(drop)?,
            Running::Mock { .. } => {}
        }
        Ok(())
    }
}

/// Starts the binary of this build with all roles and waits for its `ready` line.
fn start_forebay(kind: Kind, options: &Options, flush_messages: &str) -> anyhow::Result<Target> {
    let directory = fresh_directory(&options.directory, "forebay")?;
    let program = options.binary.to_str().context("the program's path is no text")?;
    let mut command = process::command_on(options.broker_cpu, program);
    command.arg("start").arg("--data-dir").arg(directory.join("data"));
    peer::any_ports(&mut command);
    command
        .arg("--override")
        .arg(format!("broker.log.flush.interval.messages={flush_messages}"));
    for setting in &options.overrides {
        command.arg("--override").arg(setting);
    }
    let mut child = command
        .stdout(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .context("cannot start forebay")?;
    let lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
    let mut bootstrap_servers = None;
    for line in lines {
        let line = line?;
        if let Some(address) = listener_address(&line, "broker") {
            bootstrap_servers = Some(address);
        }
        if line.starts_with("ready in") {
            break;
        }
    }
    let Some(bootstrap_servers) = bootstrap_servers else {
        bail!("forebay stopped before it was ready")
    };
    Ok(Target {
        kind,
        bootstrap_servers,
        running: Running::Forebay { child, directory },
    })
}

fn start_kafka(options: &Options) -> anyhow::Result<Option<Target>> {
    if !peer::has_kafka() {
        return Ok(None);
    }
    let directory = fresh_directory(&options.directory, "kafka")?;
    let port = KAFKA_PORT.to_string();
    let mut arguments = vec!["up", "--port", &port];
    let cpu = options.broker_cpu.map(|cpu| cpu.to_string());
    if let Some(cpu) = &cpu {
        arguments.extend(["--cpu", cpu]);
    }
    let bootstrap_servers = kafka_script(&directory, &arguments)?.trim().to_owned();
    let status = kafka_script(&directory, &["status"])?;
    let pid = status
        .split("pid ")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next());
    let pid = pid.context("no broker in the status of the peer")?.parse()?;
    let running = Running::Kafka { directory, pid };
    Ok(Some(Target {
        kind: Kind::Kafka,
        bootstrap_servers,
        running,
    }))
}
