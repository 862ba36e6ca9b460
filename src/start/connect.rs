//! `forebay connect worker.properties` and `forebay connect-standalone worker.properties [connector.properties|.json …]`: a
//! Connect worker alone, from the files that were written for Kafka's `connect-distributed` and `connect-standalone`.

mod connector_file;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use forebay_broker_server::Loggers;
use forebay_client::config::client_def;
use forebay_client::{Client, ClientConfig};
use forebay_config::{ConfigDef, ConfigKey, ConfigType, Importance, Origin, Properties};
use forebay_connect_runtime::{Config, NewConnector, Service};
use forebay_http::{BindError, Listeners, Options};

use super::hub::THREADS_WAIT;
use super::loggers::WorkerLoggers;
use super::settings::{Role, resolved};
use super::{listener_line, plugins, say, termination};

/// After so long without its cluster a worker that starts says so.
const SILENCE: Duration = Duration::from_secs(2);

/// The port of Kafka's workers.
const DEFAULT_PORT: u16 = 8083;

/// What `forebay connect` is given.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConnectArguments {
    /// The worker's keys, as in Kafka's config/connect-distributed.properties.
    #[arg(value_name = "worker.properties")]
    file: PathBuf,
}

/// What `forebay connect-standalone` is given.
#[derive(Debug, Clone, Args)]
pub(crate) struct StandaloneArguments {
    /// The worker's keys, as in Kafka's config/connect-standalone.properties.
    #[arg(value_name = "worker.properties")]
    file: PathBuf,
    /// Connectors to run: the keys of each in a file of its own, as properties or JSON.
    #[arg(value_name = "connector.properties")]
    connectors: Vec<PathBuf>,
}

/// One of a group of workers, until SIGINT or SIGTERM.
pub(crate) fn run_distributed(arguments: &ConnectArguments, loggers: Arc<Loggers>) -> anyhow::Result<()> {
    let began = Instant::now();
    let worker = Worker::read(&arguments.file)?;
    needs_all_of_a_group(&worker.own)?;
    let config = Config::new(&as_in_kafka(worker.own.clone()))?;
    let config = config.with_loggers(Arc::new(WorkerLoggers(loggers)));
    run(&worker, config, Vec::new(), began)
}

/// What Kafka's workers have to be told, too: with a name of ours in place of one that was left out or misspelt, a worker would share nothing with
/// those that it belongs to, or share it with others. The hub's own worker has defaults.
fn needs_all_of_a_group(own: &Properties) -> anyhow::Result<()> {
    let keys = [
        "group.id",
        "config.storage.topic",
        "offset.storage.topic",
        "status.storage.topic",
    ];
    let missing = keys.iter().filter(|key| !own.contains_key(**key));
    let missing: Vec<String> = missing
        .map(|key| {
            forebay_config::Error::Missing {
                key: (*key).to_owned(),
            }
            .to_string()
        })
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!("{}", missing.join("\n"))
}

/// A file that was written for Kafka's worker means what it means there: without the key, sources have no transactions, for which
/// the cluster's access lists may have no room. The hub has them.
fn as_in_kafka(mut own: Properties) -> Properties {
    let support = own.entry("exactly.once.source.support".to_owned());
    support.or_insert_with(|| "disabled".to_owned());
    own
}

/// A worker that runs alone and keeps its offsets in a file, until SIGINT or SIGTERM.
pub(crate) fn run_standalone(arguments: &StandaloneArguments, loggers: Arc<Loggers>) -> anyhow::Result<()> {
    let began = Instant::now();
    let worker = Worker::read(&arguments.file)?;
    let config = Config::standalone(&worker.own)?.with_loggers(Arc::new(WorkerLoggers(loggers)));
    let connectors = arguments.connectors.iter().map(|file| connector_file::read(file));
    let connectors = connectors.collect::<anyhow::Result<Vec<NewConnector>>>()?;
    run(&worker, config, connectors, began)
}

fn run(worker: &Worker, config: Config, connectors: Vec<NewConnector>, began: Instant) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("connect")
        .enable_all()
        .build()
        .context("cannot start the worker's threads")?;
    let ended = runtime.block_on(async {
        let listeners = worker.listen().await?;
        let client = Client::new(ClientConfig::new(&worker.client, Origin::Properties)?);
        let options = Options {
            allowed_hosts: worker.allowed_hosts.clone(),
            ..Options::default()
        };
        let service = Service::start(&client, config, plugins::all(), listeners, options);
        let service = or_say(Box::pin(service), &worker.client).await?;
        for connector in connectors {
            let name = connector.name.clone();
            if let Err(error) = service.create(connector).await {
                service.stop().await;
                return Err(error).with_context(|| format!("the connector {name} cannot be created"));
            }
        }
        say(&listener_line(Role::Connect, service.addresses()));
        say(&format!("ready in {} ms", began.elapsed().as_millis()));
        let signal = termination().await?;
        say(&format!("{signal}: shutting down"));
        tokio::spawn(super::end_at_a_second_signal());
        service.stop().await;
        Ok(())
    });
    // What a connector has blocked a thread with ends with the process.
    runtime.shutdown_timeout(THREADS_WAIT);
    ended
}

/// A worker waits for its cluster for a while before it gives up: whoever has started it should not have to wonder.
async fn or_say<T>(mut start: impl Future<Output = T> + Unpin, client: &Properties) -> T {
    if let Ok(started) = tokio::time::timeout(SILENCE, &mut start).await {
        return started;
    }
    let brokers = client
        .get("bootstrap.servers")
        .map_or("localhost:9092", String::as_str);
    say(&format!("waiting for the cluster at {brokers}"));
    start.await
}

/// A worker's file, read.
#[derive(Debug)]
struct Worker {
    /// The keys of the worker itself.
    own: Properties,
    /// Those of its clients.
    client: Properties,
    allowed_hosts: Vec<String>,
    listener: Option<Listener>,
}

/// Where the REST API is to be.
#[derive(Debug, PartialEq, Eq)]
struct Listener {
    /// Empty: everywhere.
    host: String,
    port: u16,
}

impl Worker {
    fn read(file: &Path) -> anyhow::Result<Self> {
        let name = file.display().to_string();
        let bytes = std::fs::read(file).with_context(|| format!("cannot read {name}"))?;
        Self::new(&name, &bytes)
    }

    fn new(name: &str, bytes: &[u8]) -> anyhow::Result<Self> {
        let entries = resolved(&forebay_config::properties::parse(name, bytes)?)?;
        let (client, rest) = (client_def(), rest_def());
        let def = Role::Connect.definition().extend(&rest);
        for warning in entries.warnings(&def) {
            tracing::warn!("{warning}");
        }
        let parsed = entries.parse(&def)?;
        let given = entries.to_properties();
        let only = |is_wanted: &dyn Fn(&str) -> bool| -> Properties {
            let wanted = given.iter().filter(|(key, _)| is_wanted(key));
            wanted.map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        let is_http = |key: &str| rest.reads(key) || key == "allowed.hosts";
        Ok(Self {
            own: only(&|key| !client.reads(key) && !is_http(key)),
            client: only(&|key| client.reads(key)),
            allowed_hosts: parsed.config.get_list("allowed.hosts").to_vec(),
            listener: listener(parsed.config.get_list("listeners"))?,
        })
    }

    async fn listen(&self) -> anyhow::Result<Listeners> {
        self.bind().await.map_err(|error| match error.downcast_ref() {
            Some(BindError::InUse { port, .. }) => anyhow!(
                "port {port} is in use by another process; stop that one, or choose another with listeners=http://localhost:PORT"
            ),
            _ => error,
        })
    }

    async fn bind(&self) -> anyhow::Result<Listeners> {
        let role = Role::Connect.name();
        let Some(Listener { host, port }) = &self.listener else {
            return Ok(Listeners::loopback(role, DEFAULT_PORT).await?);
        };
        if host == "localhost" {
            return Ok(Listeners::loopback(role, *port).await?);
        }
        let address = if host.is_empty() {
            SocketAddr::new(IpAddr::from([0, 0, 0, 0]), *port)
        } else {
            let mut addresses = tokio::net::lookup_host((host.as_str(), *port)).await;
            let found = addresses.as_mut().ok().and_then(Iterator::next);
            found.with_context(|| format!("listeners: the host {host} has no address"))?
        };
        Ok(Listeners::on(role, address).await?)
    }
}

/// Keys of Kafka's REST server that a worker alone has; in the hub there are flags for them.
fn rest_def() -> ConfigDef {
    ConfigDef::new().define(
        ConfigKey::new("listeners", ConfigType::List)
            .default("")
            .importance(Importance::Low)
            .documentation(
                "Where the REST API listens, such as http://0.0.0.0:8083; unless given, on this machine only, on port 8083. Kafka's \
                 default is everywhere.",
            ),
    )
}

/// The first listener.
fn listener(listeners: &[String]) -> anyhow::Result<Option<Listener>> {
    let Some(first) = listeners.first() else {
        return Ok(None);
    };
    let wrong = || format!("listeners={first}: write it as http://HOST:PORT");
    let (scheme, place) = first.split_once("://").with_context(wrong)?;
    if !scheme.eq_ignore_ascii_case("http") {
        bail!("listeners={first}: only http is supported; put a proxy before it for TLS");
    }
    if listeners.len() > 1 {
        bail!(
            "listeners={}: only one listener is supported",
            listeners.join(",")
        );
    }
    let (host, port) = place.trim_end_matches('/').rsplit_once(':').with_context(wrong)?;
    Ok(Some(Listener {
        host: host.trim_matches(['[', ']']).to_owned(),
        port: port.parse().with_context(wrong)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys of the files that Kafka 4.3.1 comes with.
    const DISTRIBUTED: &str = "bootstrap.servers=localhost:9092\ngroup.id=connect-cluster\n\
        key.converter=org.apache.kafka.connect.json.JsonConverter\nvalue.converter=org.apache.kafka.connect.json.JsonConverter\n\
        key.converter.schemas.enable=true\nvalue.converter.schemas.enable=true\noffset.storage.topic=connect-offsets\n\
        offset.storage.replication.factor=1\nconfig.storage.topic=connect-configs\nconfig.storage.replication.factor=1\n\
        status.storage.topic=connect-status\nstatus.storage.replication.factor=1\noffset.flush.interval.ms=10000\n\
        plugin.path=/usr/local/share/java\n";
    const STANDALONE: &str = "bootstrap.servers=localhost:9092\nkey.converter=org.apache.kafka.connect.json.JsonConverter\n\
        value.converter=org.apache.kafka.connect.json.JsonConverter\nkey.converter.schemas.enable=true\n\
        value.converter.schemas.enable=true\noffset.storage.file.filename=/tmp/connect.offsets\noffset.flush.interval.ms=10000\n";

    fn read(text: &str) -> anyhow::Result<Worker> {
        Worker::new("worker.properties", text.as_bytes())
    }

    #[test]
    fn a_member_of_a_group_is_told_which_and_where_it_keeps_its_state() {
        assert!(needs_all_of_a_group(&read(DISTRIBUTED).unwrap().own).is_ok());
        let misspelt = DISTRIBUTED.replace("config.storage.topic", "config.storage.topci");
        let error = needs_all_of_a_group(&read(&misspelt).unwrap().own).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Missing required configuration \"config.storage.topic\" which has no default value."
        );
        let wrong = DISTRIBUTED.replace("JsonConverter", "JsonConvertor");
        let worker = read(&wrong).map(|worker| Config::new(&worker.own).is_ok());
        assert!(!worker.is_ok_and(|is_taken| is_taken));
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_told_with_the_key_that_the_file_has() {
        let taken = Listeners::loopback("other", 0).await.unwrap();
        let worker = read(&format!(
            "bootstrap.servers=a:1\nlisteners=http://localhost:{}\n",
            taken.port()
        ))
        .unwrap();
        let error = worker.listen().await.unwrap_err().to_string();
        assert!(error.contains("listeners=http://localhost:PORT"), "{error}");
    }

    #[test]
    fn the_files_that_kafka_ships_are_taken_as_they_are() {
        let worker = read(DISTRIBUTED).unwrap();
        assert_eq!(worker.client["bootstrap.servers"], "localhost:9092");
        assert_eq!(worker.own["group.id"], "connect-cluster");
        assert_eq!(worker.listener, None);
        assert!(
            !Config::new(&as_in_kafka(worker.own.clone()))
                .unwrap()
                .is_exactly_once()
        );
        let asking = [("exactly.once.source.support".to_owned(), "enabled".to_owned())];
        assert!(
            Config::new(&as_in_kafka(asking.into()))
                .unwrap()
                .is_exactly_once()
        );
        let worker = read(STANDALONE).unwrap();
        Config::standalone(&worker.own).unwrap();
        Config::standalone(&read(DISTRIBUTED).unwrap().own).expect_err("it names no file");
    }

    #[test]
    fn listeners_are_kafkas() {
        let at = |host: &str, port| {
            Some(Listener {
                host: host.to_owned(),
                port,
            })
        };
        for (text, expected) in [
            ("http://:8083", at("", 8083)),
            ("HTTP://localhost:0", at("localhost", 0)),
            ("http://10.0.0.1:80/", at("10.0.0.1", 80)),
            ("http://[::1]:8084", at("::1", 8084)),
        ] {
            let text = format!("bootstrap.servers=a:1\nlisteners={text}\n");
            assert_eq!(read(&text).unwrap().listener, expected, "{text}");
        }
        for (text, cure) in [
            ("https://:8443", "put a proxy before it for TLS"),
            ("http://a:1,http://b:2", "only one"),
            ("8083", "http://HOST:PORT"),
            ("http://a:x", "http://HOST:PORT"),
        ] {
            let error = format!(
                "{:#}",
                read(&format!("bootstrap.servers=a:1\nlisteners={text}\n")).expect_err(text)
            );
            assert!(error.contains(cure), "{error}");
        }
        let text = "bootstrap.servers=a:1\nrest.advertised.listener=https\n";
        let error = format!("{:#}", read(text).expect_err("there is no TLS"));
        assert!(
            error.contains("put a proxy that has it before the worker"),
            "{error}"
        );
    }
}
