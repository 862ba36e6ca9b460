//! Kafka's command-line tools, one file each, over the client: they work against any Kafka cluster. What several tools share is
//! here: how one is run, its properties, and the clients it needs.

/// Prints a line to standard output. That nobody reads it any more (`| head`) is no error of ours.
macro_rules! say {
    ($($argument:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($argument)*);
    }};
}

mod acls;
mod broker_api_versions;
mod cluster;
mod commands;
mod configs;
mod console_consumer;
mod console_producer;
mod consumer_groups;
mod consumer_perf_test;
mod delete_records;
mod dlq;
mod dump_log;
mod features;
mod get_offsets;
mod groups;
mod java;
mod leader_election;
pub(crate) mod links;
mod log_dirs;
mod metadata_quorum;
mod options;
mod partition_file;
mod producer_perf_test;
mod reassign_partitions;
mod table;
mod topics;
mod transactions;

use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use forebay_client::{Admin, Client, ClientConfig};
use forebay_config::{Origin, Properties};

use options::{Options, Stop, Tool};

/// A tool: the names of Kafka's script that stand for it (without `.sh`), and what runs it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// Its subcommand.
    pub name: &'static str,
    /// Kafka's script.
    pub script: &'static str,
    /// One line for `forebay --help`.
    pub about: &'static str,
    /// Runs it with the arguments behind its name.
    pub run: fn(&[String]) -> ExitCode,
}

/// Every tool.
pub(crate) const TOOLS: &[Entry] = &[
    entry(
        "topics",
        "kafka-topics",
        "Create, list, describe, alter and delete topics",
        topics::run,
    ),
    entry(
        "console-producer",
        "kafka-console-producer",
        "Send the lines of standard input to a topic",
        console_producer::run,
    ),
    entry(
        "console-consumer",
        "kafka-console-consumer",
        "Print what a topic holds and receives",
        console_consumer::run,
    ),
    entry(
        "consumer-groups",
        "kafka-consumer-groups",
        "List, describe, delete and reset consumer groups",
        consumer_groups::run,
    ),
    entry("groups", "kafka-groups", "List groups of every type", groups::run),
    entry(
        "configs",
        "kafka-configs",
        "Show and change configurations and quotas",
        configs::run,
    ),
    entry(
        "get-offsets",
        "kafka-get-offsets",
        "Show an offset of each partition",
        get_offsets::run,
    ),
    entry(
        "delete-records",
        "kafka-delete-records",
        "Delete the records before an offset",
        delete_records::run,
    ),
    entry(
        "log-dirs",
        "kafka-log-dirs",
        "Show what lies in the log directories of brokers",
        log_dirs::run,
    ),
    entry(
        "transactions",
        "kafka-transactions",
        "Show transactions, and end those that hang",
        transactions::run,
    ),
    entry(
        "leader-election",
        "kafka-leader-election",
        "Elect leaders of partitions",
        leader_election::run,
    ),
    entry(
        "producer-perf-test",
        "kafka-producer-perf-test",
        "Send records as fast as they are taken",
        producer_perf_test::run,
    ),
    entry(
        "consumer-perf-test",
        "kafka-consumer-perf-test",
        "Read records as fast as they come",
        consumer_perf_test::run,
    ),
    entry(
        "reassign-partitions",
        "kafka-reassign-partitions",
        "Move replicas of partitions between brokers",
        reassign_partitions::run,
    ),
    entry(
        "cluster",
        "kafka-cluster",
        "Show the id and the brokers of a cluster",
        cluster::run,
    ),
    entry(
        "features",
        "kafka-features",
        "Show and change the features of a cluster",
        features::run,
    ),
    entry(
        "metadata-quorum",
        "kafka-metadata-quorum",
        "Show the quorum that keeps the metadata",
        metadata_quorum::run,
    ),
    entry(
        "broker-api-versions",
        "kafka-broker-api-versions",
        "Show what brokers speak",
        broker_api_versions::run,
    ),
    entry("acls", "kafka-acls", "Access lists (none yet)", acls::run),
    entry(
        "dlq",
        "forebay-dlq",
        "Show dead letters of connectors, and send them back",
        dlq::run,
    ),
    entry(
        "dump-log",
        "kafka-dump-log",
        "Print the files of a log",
        dump_log::run,
    ),
];

const fn entry(
    name: &'static str,
    script: &'static str,
    about: &'static str,
    run: fn(&[String]) -> ExitCode,
) -> Entry {
    Entry {
        name,
        script,
        about,
        run,
    }
}

/// Reads the arguments, and runs `body` with them on a runtime of its own; `body` says how it ended. A mistake in the arguments goes
/// to standard error, with exit code 1, as with Kafka's tools.
fn run_tool<F>(tool: &'static Tool, arguments: &[String], body: impl FnOnce(Options) -> F) -> ExitCode
where
    F: Future<Output = Result<ExitCode, Stop>>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let ended = match (tool.parse(arguments), runtime) {
        (Ok(options), Ok(runtime)) => {
            let ended = runtime.block_on(body(options));
            // A read of standard input cannot be interrupted: the thread that waits in it ends with the process.
            runtime.shutdown_background();
            ended
        }
        (Err(stop), _) => Err(stop),
        (_, Err(error)) => Err(Stop::Failed(format!("cannot start: {error}"))),
    };
    ended.unwrap_or_else(|stop| stop.report(tool))
}

/// Prints text that ends its own lines, as [`say!`] does.
fn print(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Reads a file of properties that an option names, such as `--command-config`.
fn properties_file(path: &str) -> anyhow::Result<Properties> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {path}"))?;
    Ok(forebay_config::properties::parse(path, &bytes)?.to_properties())
}

/// The standard library seeds its hash maps by chance.
fn random_number() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(std::process::id())
}

/// `key=value` pairs as options give them; `key` alone is an empty value.
fn pairs(arguments: &[&str]) -> Properties {
    let pair = |argument: &&str| match argument.split_once('=') {
        Some((key, value)) => (key.to_owned(), value.to_owned()),
        None => ((*argument).to_owned(), String::new()),
    };
    arguments.iter().map(pair).collect()
}

/// After how long without an answer the user is told that we still wait.
const PATIENCE: Duration = Duration::from_secs(5);

/// Waits for `work`, and says so on standard error when it takes long: the usual reason is a wrong address.
async fn patiently<T>(bootstrap_server: &str, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        done = &mut work => return done,
        () = tokio::time::sleep(PATIENCE) => {}
    }
    eprintln!("no answer from {bootstrap_server} yet; waiting on");
    work.await
}

/// What makes clients for a cluster.
fn client(bootstrap_server: &str) -> anyhow::Result<Client> {
    let shared = Properties::from([("bootstrap.servers".to_owned(), bootstrap_server.to_owned())]);
    Ok(Client::new(ClientConfig::new(&shared, Origin::CommandLine)?))
}

/// An admin client, as `--bootstrap-server` and `--command-config` say.
fn admin(options: &Options) -> Result<Admin, Stop> {
    let properties = match options.value("command-config")? {
        Some(path) => properties_file(path)?,
        None => Properties::new(),
    };
    admin_with(options, &properties)
}

/// An admin client with these properties.
fn admin_with(options: &Options, properties: &Properties) -> Result<Admin, Stop> {
    let client = client(options.required("bootstrap-server")?)?;
    client
        .admin(properties)
        .map_err(|error| Stop::Failed(error.to_string()))
}

/// A file that an option names.
fn text_file(path: &str) -> Result<String, Stop> {
    let text = std::fs::read_to_string(path);
    text.map_err(|error| Stop::Failed(format!("cannot read {path}: {error}")))
}

/// Waits for Ctrl-C or SIGTERM; gives the exit code by which a shell knows it.
async fn interrupted() -> ExitCode {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            return tokio::select! {
                _ = terminate.recv() => ExitCode::from(128 + 15),
                _ = tokio::signal::ctrl_c() => ExitCode::from(128 + 2),
            };
        }
    }
    // Without a handler the signal ends the process by itself.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
    ExitCode::from(128 + 2)
}

/// What went wrong, as Kafka's tools put it: what the broker said of it, else the message of its code, else our own words.
fn reason(error: &forebay_client::Error) -> String {
    match (error, error.broker_message(), error.code()) {
        (_, Some(message), _) if !message.is_empty() => message.to_owned(),
        (forebay_client::Error::Broker { .. }, _, Some(code)) => code.message().to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_may_lack_a_value_and_hold_an_equals_sign() {
        let expected =
            [("a", "b=c"), ("d", ""), ("e", "")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(pairs(&["a=b=c", "d=", "e"]), Properties::from(expected));
    }
}
