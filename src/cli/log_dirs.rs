//! `forebay log-dirs` (Kafka's `LogDirsCommand`, `kafka-log-dirs.sh`): what lies in the log directories of brokers, as JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use forebay_client::admin::LogDirDescription;
use forebay_protocol::NodeId;
use serde_json::{Value, json};

use super::options::{Options, Stop, Tool, switch, valued};

static TOOL: Tool = Tool {
    name: "log-dirs",
    about: "Shows what lies in the log directories of brokers.",
    flags: &[
        valued("bootstrap-server", "host:port,...", "REQUIRED: brokers to ask."),
        valued("broker-list", "id,...", "Only these brokers."),
        valued("command-config", "file", "Properties of the admin client."),
        switch("describe", "REQUIRED: what it does."),
        valued("topic-list", "topic,...", "Only these topics."),
    ],
    gone: &[],
};

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    super::run_tool(&TOOL, arguments, |options| async move {
        let server = options.required("bootstrap-server")?;
        if !options.has("describe") {
            return Err(Stop::usage("Missing required argument \"[describe]\""));
        }
        super::patiently(server, describe(&options)).await?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn describe(options: &Options) -> Result<(), Stop> {
    let admin = super::admin(options)?;
    let topics: BTreeSet<&str> = listed(options, "topic-list")?;
    let number = |text: &str| match text.parse() {
        Ok(id) => Ok(NodeId(id)),
        Err(_) => Err(Stop::usage(format!("For input string: \"{text}\""))),
    };
    let asked: BTreeSet<NodeId> = listed(options, "broker-list")?
        .into_iter()
        .map(number)
        .collect::<Result<_, _>>()?;
    let known: BTreeSet<NodeId> = admin
        .describe_cluster()
        .await?
        .nodes
        .iter()
        .map(|node| node.id)
        .collect();
    let missing: Vec<NodeId> = asked.difference(&known).copied().collect();
    let known: Vec<NodeId> = known.into_iter().collect();
    if !missing.is_empty() {
        return Err(Stop::Failed(format!(
            "ERROR: The given brokers do not exist from --broker-list: {}. Current existent brokers: {}",
            commas(&missing),
            commas(&known)
        )));
    }
    let brokers: Vec<NodeId> = if asked.is_empty() {
        known
    } else {
        asked.into_iter().collect()
    };
    say!("Querying brokers for log directories information");
    let mut described = BTreeMap::new();
    for (id, outcome) in admin.describe_log_dirs(&brokers).await? {
        described.insert(id, outcome?);
    }
    say!(
        "Received log directory information from brokers {}",
        commas(&brokers)
    );
    say!("{}", report(&described, &topics));
    Ok(())
}

fn listed<'a>(options: &'a Options, name: &str) -> Result<BTreeSet<&'a str>, Stop> {
    let given = options.value(name)?.unwrap_or_default();
    Ok(given.split(',').filter(|item| !item.is_empty()).collect())
}

fn commas(ids: &[NodeId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn report(brokers: &BTreeMap<NodeId, BTreeMap<String, LogDirDescription>>, topics: &BTreeSet<&str>) -> Value {
    let directory = |(path, directory): (&String, &LogDirDescription)| {
        let shown = directory
            .replicas
            .iter()
            .filter(|(partition, _)| topics.is_empty() || topics.contains(&*partition.topic));
        let partitions: Vec<Value> = shown
            .map(|(partition, replica)| {
                json!({"partition": partition.to_string(), "size": replica.size_bytes, "offsetLag": replica.offset_lag,
                       "isFuture": replica.is_future})
            })
            .collect();
        // Kafka names the class of the exception.
        let error = directory.error.as_ref().map(super::java::exception);
        let error = error.and_then(|error| error.split(':').next().map(ToOwned::to_owned));
        json!({"partitions": partitions, "error": error, "logDir": path})
    };
    let broker = |(id, directories): (&NodeId, &BTreeMap<String, LogDirDescription>)| json!({"broker": id.0, "logDirs": directories.iter().map(directory).collect::<Vec<Value>>()});
    json!({"brokers": brokers.iter().map(broker).collect::<Vec<Value>>(), "version": 1})
}

#[cfg(test)]
mod tests {
    use forebay_client::admin::ReplicaInfo;
    use forebay_protocol::TopicPartition;

    use super::*;

    #[test]
    fn the_report_is_kafkas() {
        let replica = ReplicaInfo {
            size_bytes: 7,
            offset_lag: 0,
            is_future: false,
        };
        let directory = LogDirDescription {
            error: None,
            replicas: [("a", 0), ("b", 1)]
                .map(|(topic, number)| (TopicPartition::new(topic, number), replica))
                .into(),
            total_bytes: None,
            usable_bytes: None,
        };
        let brokers = BTreeMap::from([(NodeId(0), BTreeMap::from([("/data".to_owned(), directory)]))]);
        assert_eq!(
            report(&brokers, &BTreeSet::from(["b"])).to_string(),
            "{\"brokers\":[{\"broker\":0,\"logDirs\":[{\"partitions\":[{\"partition\":\"b-1\",\"size\":7,\"offsetLag\":0,\
             \"isFuture\":false}],\"error\":null,\"logDir\":\"/data\"}]}],\"version\":1}"
        );
    }
}
