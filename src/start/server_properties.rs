//! `forebay broker server.properties`: a broker alone, from the file that was written for Kafka's `kafka-server-start`
//! (`kafka.Kafka`): the file as it is, then `--override property=value`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;
use forebay_broker_server as broker;
use forebay_config::Entries;

use super::settings::{Role, Settings, entry};

/// What `forebay broker` is given.
#[derive(Debug, Clone, Args)]
pub(crate) struct BrokerArguments {
    /// The broker's keys, as in Kafka's config/server.properties.
    #[arg(value_name = "server.properties")]
    file: PathBuf,
    /// A property that is stronger than the file's.
    #[arg(long, value_name = "property=value")]
    r#override: Vec<String>,
}

/// Runs until SIGINT or SIGTERM.
pub(crate) fn run(arguments: &BrokerArguments, loggers: Arc<broker::Loggers>) -> anyhow::Result<()> {
    let began = Instant::now();
    super::serve(&settings(arguments)?, loggers, began)
}

fn settings(arguments: &BrokerArguments) -> anyhow::Result<Settings> {
    let entries = entries(arguments)?;
    refuse_other_roles(&entries)?;
    let parsed = entries.parse(broker::definition())?;
    for warning in parsed.warnings {
        tracing::warn!("{warning}");
    }
    let data_dir = parsed.config.get_list("log.dirs").first().map(PathBuf::from);
    Ok(Settings {
        roles: vec![Role::Broker],
        data_dir: data_dir.unwrap_or_default(),
        broker: parsed.config,
        sections: BTreeMap::new(),
        ports: BTreeMap::new(),
    })
}

fn entries(arguments: &BrokerArguments) -> anyhow::Result<Entries> {
    let name = arguments.file.display().to_string();
    let bytes = std::fs::read(&arguments.file).with_context(|| format!("cannot read {name}"))?;
    let mut entries = forebay_config::properties::parse(&name, &bytes)?;
    for text in &arguments.r#override {
        let Some((key, value)) = text.split_once('=') else {
            bail!("--override {text}: write property=value, such as log.retention.hours=24");
        };
        entries.push(entry(key.trim(), value.trim(), "--override"));
    }
    Ok(entries)
}

/// A node of Kafka that is no broker, or one of several voters, would be something else here than the file says.
fn refuse_other_roles(entries: &Entries) -> anyhow::Result<()> {
    if let Some(roles) = entries.get("process.roles")
        && !roles.split(',').any(|role| role.trim() == "broker")
    {
        bail!("process.roles={roles}: a controller without a broker is not supported yet; add broker");
    }
    for key in ["controller.quorum.voters", "controller.quorum.bootstrap.servers"] {
        if let Some(voters) = entries.get(key)
            && voters.split(',').count() > 1
        {
            bail!("{key}={voters}: a quorum of several nodes is not supported yet; name this node only");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, overrides: &[&str]) -> anyhow::Result<Settings> {
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("server.properties");
        std::fs::write(&file, text)?;
        settings(&BrokerArguments {
            file,
            r#override: overrides.iter().map(|&text| text.to_owned()).collect(),
        })
    }

    /// The keys of the file that Kafka 4.3.1 comes with.
    const SHIPPED: &str = "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.bootstrap.servers=localhost:9093\n\
        listeners=PLAINTEXT://:9092,CONTROLLER://:9093\ninter.broker.listener.name=PLAINTEXT\n\
        advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\ncontroller.listener.names=CONTROLLER\n\
        listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL\n\
        num.network.threads=3\nnum.io.threads=8\nsocket.send.buffer.bytes=102400\nsocket.receive.buffer.bytes=102400\n\
        socket.request.max.bytes=104857600\nlog.dirs=/tmp/kraft-combined-logs\nnum.partitions=1\n\
        num.recovery.threads.per.data.dir=2\noffsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\n\
        transaction.state.log.min.isr=1\nlog.retention.hours=168\nlog.segment.bytes=1073741824\n\
        log.retention.check.interval.ms=300000\n";

    #[test]
    fn the_file_that_kafka_ships_is_taken_as_it_is() {
        let found = read(SHIPPED, &["log.retention.hours=24"]).unwrap();
        assert_eq!(found.data_dir, PathBuf::from("/tmp/kraft-combined-logs"));
        assert_eq!(found.broker.get_int("log.retention.hours"), 24);
        let config = broker::BrokerConfig::from_values(found.broker).unwrap();
        assert_eq!(config.node_id.0, 1);
        assert_eq!(config.listeners.len(), 1);
    }

    #[test]
    fn what_would_be_something_else_here_is_refused() {
        for (text, overrides, cure) in [
            ("process.roles=controller", [].as_slice(), "add broker"),
            ("controller.quorum.voters=1@a:1,2@b:1", &[], "this node only"),
            ("min.insync.replica=2", &[], "min.insync.replicas"),
            ("", &["nonsense"], "property=value"),
            ("", &["log.retention.hour=2"], "log.retention.hours"),
        ] {
            let error = format!("{:#}", read(text, overrides).map(|_| ()).expect_err(text));
            assert!(error.contains(cure), "{text} {overrides:?}: {error}");
        }
    }
}
