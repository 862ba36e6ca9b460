//! `forebay topics` (Kafka's `TopicCommand`, `kafka-topics.sh`).

mod describe;

use std::collections::BTreeMap;
use std::process::ExitCode;

use forebay_client::Admin;
use forebay_client::admin::{NewPartitions, NewTopic};
use forebay_protocol::{ErrorCode, NodeId};
use regex::Regex;

use super::options::{Options, Stop, Tool, switch, valued};

static TOOL: Tool = Tool {
    name: "topics",
    about: "Creates, lists, describes, alters and deletes topics.",
    flags: &[
        switch("alter", "Add partitions to a topic."),
        switch(
            "at-min-isr-partitions",
            "Describe only partitions with just as many in-sync replicas as they must have.",
        ),
        valued("bootstrap-server", "host:port,...", "REQUIRED: brokers to ask."),
        valued("command-config", "file", "Properties of the admin client."),
        valued(
            "config",
            "name=value",
            "With --create: a configuration of the topic; as often as needed.",
        ),
        switch("create", "Create a topic."),
        switch("delete", "Delete topics."),
        valued("delete-config", "name", "Does nothing, as in Kafka 4."),
        switch("describe", "Show topics and their partitions."),
        switch(
            "exclude-internal",
            "Leave internal topics out when listing or describing.",
        ),
        switch(
            "if-exists",
            "With --alter, --delete, --describe: do nothing if the topic does not exist.",
        ),
        switch("if-not-exists", "With --create: do nothing if the topic exists."),
        switch("list", "List topics."),
        valued(
            "partition-size-limit-per-response",
            "count",
            "Does nothing: answers are asked for page by page anyway.",
        ),
        valued("partitions", "count", "How many partitions the topic is to have."),
        valued(
            "replica-assignment",
            "id:id,id:id,...",
            "The brokers of each partition, the leader first, instead of --partitions and --replication-factor.",
        ),
        valued(
            "replication-factor",
            "count",
            "How many replicas each partition is to have.",
        ),
        valued(
            "topic",
            "name",
            "The topic; except with --create, a regular expression for the whole name.",
        ),
        valued("topic-id", "id", "With --describe: the id of the topic."),
        switch(
            "topics-with-overrides",
            "Describe only topics that have a configuration of their own, without partitions.",
        ),
        switch(
            "unavailable-partitions",
            "Describe only partitions without a leader that is up.",
        ),
        switch(
            "under-min-isr-partitions",
            "Describe only partitions with fewer in-sync replicas than they must have.",
        ),
        switch(
            "under-replicated-partitions",
            "Describe only partitions with replicas out of sync.",
        ),
    ],
    gone: &[
        (
            "zookeeper",
            "there is no ZooKeeper any more; write --bootstrap-server with a broker's address, such as localhost:9092",
        ),
        ("broker-list", "write --bootstrap-server"),
        ("force", "it is not needed any more"),
        (
            "disable-rack-aware",
            "racks are taken into account where brokers have one",
        ),
    ],
};

const ACTIONS: [&str; 5] = ["alter", "create", "describe", "list", "delete"];
const REPORTS: [&str; 4] = [
    "under-replicated-partitions",
    "under-min-isr-partitions",
    "at-min-isr-partitions",
    "unavailable-partitions",
];

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    super::run_tool(&TOOL, arguments, |options| async move {
        check(&options)?;
        if options.has("delete-config") {
            eprintln!(
                "delete-config option is no longer supported and deprecated since version 4.0. The config will be fully removed \
                 in future releases."
            );
        }
        let server = options.required("bootstrap-server")?;
        match super::patiently(server, act(&options)).await {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(error) => {
                // Kafka's goes to standard output, too.
                say!("Error while executing topic command : {error}");
                Ok(ExitCode::FAILURE)
            }
        }
    })
}

/// Which options go together (`TopicCommandOptions.checkArgs`).
fn check(options: &Options) -> Result<(), Stop> {
    if ACTIONS.iter().filter(|action| options.has(action)).count() != 1 {
        return Err(Stop::usage(
            "Command must include exactly one action: --list, --describe, --create, --alter or --delete",
        ));
    }
    if !options.has("bootstrap-server") {
        return Err(Stop::usage("--bootstrap-server must be specified"));
    }
    if options.has("describe")
        && options.has("if-exists")
        && !options.has("topic")
        && !options.has("topic-id")
    {
        return Err(Stop::usage(
            "--topic or --topic-id is required to describe a topic",
        ));
    }
    if !options.has("list") && !options.has("describe") {
        options.required("topic")?;
    }
    if options.has("alter") {
        if options.has("config") {
            return Err(Stop::usage(
                "Option combination \"[[bootstrap-server], [config]]\" can't be used with option \"[alter]\" (To alter \
                 topic configurations, the kafka-configs tool can be used.)",
            ));
        }
        options.required("partitions")?;
    }
    let only_with = |option: &str, allowed: &[&str]| {
        let others: Vec<&str> = ACTIONS
            .iter()
            .copied()
            .filter(|action| !allowed.contains(action))
            .collect();
        options.exclude(option, &others)
    };
    only_with("config", &["alter", "create"])?;
    only_with("partitions", &["alter", "create"])?;
    only_with("replication-factor", &["create"])?;
    only_with("replica-assignment", &["alter", "create"])?;
    if options.has("create") {
        options.exclude("replica-assignment", &["partitions", "replication-factor"])?;
    }
    for report in REPORTS {
        only_with(report, &["describe"])?;
        options.exclude(report, &["topics-with-overrides"])?;
    }
    only_with("topics-with-overrides", &["describe"])?;
    only_with("if-exists", &["alter", "delete", "describe"])?;
    only_with("if-not-exists", &["create"])?;
    only_with("exclude-internal", &["list", "describe"])
}

/// Why a topic command failed: what the user is told behind `Error while executing topic command : `.
#[derive(Debug)]
pub(super) struct Failure(String);

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<forebay_client::Error> for Failure {
    fn from(error: forebay_client::Error) -> Self {
        Self(super::reason(&error))
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self(format!("{error:#}"))
    }
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Usage(message) | Stop::Failed(message) => Self(message),
            Stop::Help | Stop::Version | Stop::Nothing => Self(String::new()),
        }
    }
}

async fn act(options: &Options) -> Result<(), Failure> {
    let admin = super::admin(options)?;
    if options.has("create") {
        create(&admin, options).await
    } else if options.has("alter") {
        alter(&admin, options).await
    } else if options.has("list") {
        say!("{}", found(&admin, options).await?.join("\n"));
        Ok(())
    } else if options.has("describe") {
        describe::describe(&admin, options).await
    } else {
        delete(&admin, options).await
    }
}

async fn create(admin: &Admin, options: &Options) -> Result<(), Failure> {
    let topic = new_topic(options)?;
    if topic.name.contains(['.', '_']) {
        say!(
            "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. \
             To avoid issues it is best to use either, but not both."
        );
    }
    let outcomes = admin.create_topics(std::slice::from_ref(&topic), false).await?;
    for (name, outcome) in outcomes {
        match outcome {
            Ok(_) => say!("Created topic {name}."),
            Err(error)
                if error.code() == Some(ErrorCode::TopicAlreadyExists) && options.has("if-not-exists") => {}
            Err(error) => return Err(creation_failure(admin, &topic, &error).await),
        }
    }
    Ok(())
}

/// Too many replicas are told as Kafka told it before it had KRaft, which is what every course and answer shows.
async fn creation_failure(admin: &Admin, topic: &NewTopic, error: &forebay_client::Error) -> Failure {
    if error.code() == Some(ErrorCode::InvalidReplicationFactor)
        && let Some(factor) = topic.replication_factor
        && let Ok(cluster) = admin.describe_cluster().await
        && usize::from(factor.unsigned_abs()) > cluster.nodes.len()
    {
        let brokers = cluster.nodes.len();
        return Failure(format!(
            "replication factor: {factor} larger than available brokers: {brokers}"
        ));
    }
    Failure(super::reason(error))
}

/// What `--create` asks for.
fn new_topic(options: &Options) -> Result<NewTopic, Failure> {
    let mut topic = NewTopic::new(options.required("topic")?);
    topic.configs = configs(&options.values("config"))?;
    if let Some(assignments) = options.value("replica-assignment")? {
        topic.replica_assignments = (0..).zip(replica_assignment(assignments)?).collect();
    }
    topic.partitions = options.number("partitions")?;
    if topic.partitions.is_some_and(|count| count < 1) {
        return Err(Failure("The partitions must be greater than 0".to_owned()));
    }
    let factor: Option<i32> = options.number("replication-factor")?;
    let in_range = |factor: i32| i16::try_from(factor).ok().filter(|factor| *factor > 0);
    let out_of_range = || {
        Failure(format!(
            "The replication factor must be between 1 and {} inclusive",
            i16::MAX
        ))
    };
    topic.replication_factor = factor
        .map(|factor| in_range(factor).ok_or_else(out_of_range))
        .transpose()?;
    Ok(topic)
}

/// `name=value` pairs; a value cannot hold an equals sign, as in Kafka.
fn configs(arguments: &[&str]) -> Result<BTreeMap<String, String>, Failure> {
    let pair = |argument: &&str| {
        let parts: Vec<&str> = argument.split('=').map(str::trim).collect();
        match parts.as_slice() {
            [name, value] if !value.is_empty() => Ok(((*name).to_owned(), (*value).to_owned())),
            _ => Err(Failure(
                "requirement failed: Invalid topic config: all configs to be added must be in the format \"key=val\"."
                    .to_owned(),
            )),
        }
    };
    arguments.iter().map(pair).collect()
}

/// `0:1,1:2`: the brokers of each partition.
fn replica_assignment(text: &str) -> Result<Vec<Vec<NodeId>>, Failure> {
    let mut assignments: Vec<Vec<NodeId>> = Vec::new();
    for (index, partition) in text.split(',').enumerate() {
        let id = |id: &str| {
            let parsed = id.trim().parse().map(NodeId);
            parsed.map_err(|_| Failure(format!("For input string: \"{}\"", id.trim())))
        };
        let brokers: Vec<NodeId> = partition.split(':').map(id).collect::<Result<_, _>>()?;
        let repeated: Vec<String> = (0..brokers.len())
            .filter(|at| brokers[..*at].contains(&brokers[*at]))
            .map(|at| brokers[at].to_string())
            .collect();
        if !repeated.is_empty() {
            let repeated = repeated.join(",");
            return Err(Failure(format!(
                "Partition replica lists may not contain duplicate entries: {repeated}"
            )));
        }
        if assignments
            .first()
            .is_some_and(|first| first.len() != brokers.len())
        {
            let brokers: Vec<String> = brokers.iter().map(ToString::to_string).collect();
            let brokers = brokers.join(", ");
            return Err(Failure(format!(
                "Partition {index} has different replication factor: [{brokers}]"
            )));
        }
        assignments.push(brokers);
    }
    Ok(assignments)
}

async fn alter(admin: &Admin, options: &Options) -> Result<(), Failure> {
    let total_count = options.number("partitions")?.unwrap_or_default();
    let assignment = options
        .value("replica-assignment")?
        .map(replica_assignment)
        .transpose()?;
    let names = existing(admin, options).await?;
    let mut requests = BTreeMap::new();
    for name in &names {
        let assignments = match &assignment {
            Some(all) => {
                let description = admin.describe_topics(&[name]).await?.remove(name).transpose()?;
                let present = description.map_or(0, |topic| topic.partitions.len());
                Some(all.iter().skip(present).cloned().collect())
            }
            None => None,
        };
        requests.insert(
            name.clone(),
            NewPartitions {
                total_count,
                assignments,
            },
        );
    }
    if !requests.is_empty() {
        for outcome in admin.create_partitions(&requests, false).await?.into_values() {
            outcome?;
        }
    }
    Ok(())
}

async fn delete(admin: &Admin, options: &Options) -> Result<(), Failure> {
    let names = existing(admin, options).await?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    if !names.is_empty() {
        for outcome in admin.delete_topics(&names).await?.into_values() {
            outcome?;
        }
    }
    Ok(())
}

/// The topics that `--topic` means; that there is none is an error unless `--if-exists` says otherwise.
async fn existing(admin: &Admin, options: &Options) -> Result<Vec<String>, Failure> {
    let names = found(admin, options).await?;
    match options.value("topic")? {
        Some(topic) if !topic.is_empty() && names.is_empty() && !options.has("if-exists") => {
            Err(Failure(format!("Topic '{topic}' does not exist as expected")))
        }
        _ => Ok(names),
    }
}

/// The topics that `--topic` means, or all, sorted.
async fn found(admin: &Admin, options: &Options) -> Result<Vec<String>, Failure> {
    let pattern = options.value("topic")?.map(include_list).transpose()?;
    let mut names: Vec<String> = admin
        .list_topics()
        .await?
        .into_iter()
        .filter(|topic| !(topic.is_internal && options.has("exclude-internal")))
        .filter(|topic| {
            pattern
                .as_ref()
                .is_none_or(|pattern| pattern.is_match(&topic.name))
        })
        .map(|topic| topic.name)
        .collect();
    names.sort_unstable();
    Ok(names)
}

/// A regular expression for whole names, where a comma separates alternatives (`IncludeList`).
pub(super) fn include_list(text: &str) -> Result<Regex, Failure> {
    let quotes = |character| matches!(character, '"' | '\'');
    let alternatives = text.trim().replace(',', "|").replace(' ', "");
    let pattern = alternatives.trim_matches(quotes);
    Regex::new(&format!("^(?:{pattern})$")).map_err(|_| Failure(format!("{text} is an invalid regex.")))
}

#[cfg(test)]
mod tests;
