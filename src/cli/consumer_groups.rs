//! `forebay consumer-groups` (Kafka's `ConsumerGroupCommand`, `kafka-consumer-groups.sh`). As Kafka's, it ends with exit code 0 also
//! where the cluster refuses what was asked: scripts that were written for Kafka's go on as they did.

mod delete;
mod describe;
mod plan_file;
mod reset;
mod tables;
mod time;

use std::collections::BTreeMap;
use std::process::ExitCode;

use forebay_client::Admin;
use forebay_client::admin::{GroupDescription, GroupListing};
use forebay_config::Properties;
use forebay_protocol::TopicPartition;

use super::options::{Argument, Flag, Options, Stop, Tool, switch, valued};

static TOOL: Tool = Tool {
    name: "consumer-groups",
    about: "Lists, describes, deletes and resets consumer groups.",
    flags: &[
        switch("all-groups", "All groups."),
        switch(
            "all-topics",
            "With --reset-offsets: all topics of which the group has committed offsets.",
        ),
        valued("bootstrap-server", "host:port,...", "REQUIRED: brokers to ask."),
        valued(
            "by-duration",
            "PnDTnHnMnS",
            "With --reset-offsets: to the time so long ago.",
        ),
        valued("command-config", "file", "Properties of the admin client."),
        switch("delete", "Delete groups that have no members."),
        switch(
            "delete-offsets",
            "Delete the offsets of a group for topics that no member reads.",
        ),
        switch(
            "describe",
            "Show a group: offsets and lag, or its members, or its state.",
        ),
        switch(
            "dry-run",
            "With --reset-offsets: only show what would be done; the default.",
        ),
        switch("execute", "With --reset-offsets: do it."),
        switch("export", "With --reset-offsets: print the offsets as CSV."),
        valued(
            "from-file",
            "file",
            "With --reset-offsets: to what a CSV file says, such as --export prints.",
        ),
        valued(
            "group",
            "id",
            "The group; with --describe and --delete as often as needed.",
        ),
        switch("list", "List all groups."),
        switch("members", "With --describe: the members."),
        switch("offsets", "With --describe: offsets and lag; the default."),
        switch("reset-offsets", "Set the offsets of a group that has no members."),
        valued(
            "shift-by",
            "count",
            "With --reset-offsets: so many records on, or back where negative.",
        ),
        Flag {
            name: "state",
            argument: Argument::Optional("states"),
            help: "With --describe: the state. With --list: show it, and only groups in these states.",
        },
        valued(
            "timeout",
            "ms",
            "How long to wait for an answer; 30000 unless given.",
        ),
        switch(
            "to-current",
            "With --reset-offsets: to the committed offsets, or the end where there is none.",
        ),
        valued(
            "to-datetime",
            "YYYY-MM-DDThh:mm:ss.sss",
            "With --reset-offsets: to the first record at or after a time, in UTC unless a zone stands behind it.",
        ),
        switch(
            "to-earliest",
            "With --reset-offsets: to the first records there are.",
        ),
        switch("to-latest", "With --reset-offsets: to the end."),
        valued("to-offset", "offset", "With --reset-offsets: to this offset."),
        valued(
            "topic",
            "name[:partitions]",
            "Of --reset-offsets and --delete-offsets: t, or t:0,1; as often as needed.",
        ),
        Flag {
            name: "type",
            argument: Argument::Optional("types"),
            help: "With --list: show the type, and only groups of these types.",
        },
        valued(
            "validate-regex",
            "regex",
            "Say whether a regular expression is valid.",
        ),
        switch("verbose", "With --describe: more columns."),
    ],
    gone: &[
        (
            "zookeeper",
            "there is no ZooKeeper any more; write --bootstrap-server with a broker's address, such as localhost:9092",
        ),
        ("new-consumer", "it is the only one; leave it out"),
        ("broker-list", "write --bootstrap-server"),
    ],
};

const ACTIONS: [&str; 6] = [
    "list",
    "describe",
    "delete",
    "reset-offsets",
    "delete-offsets",
    "validate-regex",
];

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    super::run_tool(&TOOL, arguments, |options| async move {
        check(&options)?;
        if let Some(regex) = options.value("validate-regex")? {
            say!("{}", validate(regex));
            return Ok(ExitCode::SUCCESS);
        }
        let server = options.required("bootstrap-server")?;
        match super::patiently(server, act(&options)).await {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(Stop::Failed(cause)) => {
                say!("\nError: Executing consumer group command failed due to {cause}");
                Ok(ExitCode::SUCCESS)
            }
            Err(stop) => Err(stop),
        }
    })
}

/// What is said of an expression; it is no failure of the tool's if it is invalid.
fn validate(regex: &str) -> String {
    match regex::Regex::new(regex) {
        Ok(_) => format!("The regular expression `{regex}` is valid."),
        Err(error) => {
            // The last of several lines that show where.
            let error = error.to_string();
            let reason = error.lines().last().unwrap_or_default();
            let reason = reason.strip_prefix("error: ").unwrap_or(reason);
            format!("The regular expression `{regex}` is invalid: {reason}.")
        }
    }
}

/// Which options go together (`ConsumerGroupCommandOptions.checkArgs`).
fn check(options: &Options) -> Result<(), Stop> {
    if ACTIONS.iter().filter(|action| options.has(action)).count() != 1 {
        let actions: Vec<String> = ACTIONS.iter().map(|action| format!("--{action}")).collect();
        return Err(Stop::usage(format!(
            "Command must include exactly one action: {}",
            actions.join(", ")
        )));
    }
    if options.has("validate-regex") {
        return Ok(());
    }
    options.required("bootstrap-server")?;
    for action in ["describe", "delete", "reset-offsets"] {
        if options.has(action) && !options.has("group") && !options.has("all-groups") {
            return Err(Stop::usage(format!(
                "Option [{action}] takes one of these options: [group], [all-groups]"
            )));
        }
    }
    if options.has("describe") {
        if ["members", "offsets", "state"]
            .iter()
            .filter(|view| options.has(view))
            .count()
            > 1
        {
            return Err(Stop::usage(
                "Option [describe] takes at most one of these options: [members], [offsets], [state]",
            ));
        }
        if options.value("state")?.is_some() {
            return Err(Stop::usage("Option [describe] does not take a value for [state]"));
        }
    }
    if options.has("delete") && options.has("topic") {
        return Err(Stop::usage(
            "The consumer does not support topic-specific offset deletion from a consumer group.",
        ));
    }
    if options.has("delete-offsets") && !(options.has("group") && options.has("topic")) {
        return Err(Stop::usage(
            "Option [delete-offsets] takes the following options: [group], [topic]",
        ));
    }
    if options.has("reset-offsets") {
        reset::check(options)?;
    }
    options.exclude("group", &["all-groups", "list"])?;
    options.exclude("topic", &["list", "describe"])
}

async fn act(options: &Options) -> Result<(), Stop> {
    let mut properties = match options.value("command-config")? {
        Some(path) => super::properties_file(path)?,
        None => Properties::new(),
    };
    let timeout_ms: i32 = options.number("timeout")?.unwrap_or(30_000);
    properties.insert("default.api.timeout.ms".to_owned(), timeout_ms.to_string());
    let client = super::client(options.required("bootstrap-server")?)?;
    let admin = client
        .admin(&properties)
        .map_err(|error| Stop::Failed(error.to_string()))?;
    if options.has("list") {
        list(&admin, options).await
    } else if options.has("describe") {
        describe::describe(&admin, options).await
    } else if options.has("delete") {
        delete::groups(&admin, &groups(&admin, options).await?).await
    } else if options.has("delete-offsets") {
        delete::offsets(&admin, options).await
    } else {
        reset::reset(&admin, options).await
    }
}

/// The groups that `--group` names, or all.
async fn groups(admin: &Admin, options: &Options) -> Result<Vec<String>, Stop> {
    if !options.has("all-groups") {
        return Ok(options
            .values("group")
            .into_iter()
            .map(ToOwned::to_owned)
            .collect());
    }
    Ok(listed(admin)
        .await?
        .into_iter()
        .map(|group| group.group_id)
        .collect())
}

/// Groups as they are described; one that is not of consumers ends it all, as in Kafka.
async fn described(admin: &Admin, groups: &[String]) -> Result<BTreeMap<String, GroupDescription>, Stop> {
    let ids: Vec<&str> = groups.iter().map(String::as_str).collect();
    let mut described = BTreeMap::new();
    for (id, outcome) in admin.describe_groups(&ids).await? {
        let group = outcome?;
        check_consumers(&id, &group.protocol_type)?;
        described.insert(id, group);
    }
    Ok(described)
}

fn check_consumers(group: &str, protocol_type: &str) -> Result<(), Stop> {
    match protocol_type {
        "consumer" | "" => Ok(()),
        other => Err(Stop::Failed(format!(
            "java.lang.IllegalArgumentException: GroupId {group} is not a consumer group ({other})."
        ))),
    }
}

/// The groups of consumers: what Connect's workers and others have together is not one.
async fn listed(admin: &Admin) -> Result<Vec<GroupListing>, Stop> {
    let mut groups = admin.list_groups().await?;
    groups.retain(|group| matches!(group.protocol_type.as_str(), "consumer" | ""));
    groups.sort_unstable_by(|one, other| one.group_id.cmp(&other.group_id));
    Ok(groups)
}

const STATES: [&str; 7] = [
    "PreparingRebalance",
    "CompletingRebalance",
    "Stable",
    "Dead",
    "Empty",
    "Assigning",
    "Reconciling",
];
const TYPES: [&str; 2] = ["Consumer", "Classic"];

async fn list(admin: &Admin, options: &Options) -> Result<(), Stop> {
    let states = selection(options.value("state")?, &STATES, "states", "state")?;
    let types = selection(options.value("type")?, &TYPES, "types", "types")?;
    let mut groups = listed(admin).await?;
    let is_among = |wanted: &[&str], found: &Option<String>| {
        wanted.is_empty()
            || found
                .as_deref()
                .is_some_and(|found| wanted.iter().any(|one| one.eq_ignore_ascii_case(found)))
    };
    groups.retain(|group| is_among(&states, &group.state) && is_among(&types, &group.group_type));
    if options.has("state") || options.has("type") {
        crate::cli::print(&tables::listing(
            &groups,
            options.has("type"),
            options.has("state"),
        ));
    } else {
        for group in groups {
            say!("{}", group.group_id);
        }
    }
    Ok(())
}

/// `--state Stable,Empty`: some of the names that there are, in any case.
fn selection(
    given: Option<&str>,
    known: &[&'static str],
    plural: &str,
    kind: &str,
) -> Result<Vec<&'static str>, Stop> {
    let Some(given) = given.filter(|given| !given.is_empty()) else {
        return Ok(Vec::new());
    };
    let find = |name: &str| {
        known
            .iter()
            .copied()
            .find(|known| known.eq_ignore_ascii_case(name.trim()))
    };
    let invalid = || {
        Stop::usage(format!(
            "Invalid {kind} list '{given}'. Valid {plural} are: {}",
            known.join(", ")
        ))
    };
    given
        .split(',')
        .map(|name| find(name).ok_or_else(invalid))
        .collect()
}

/// What `--topic` means: `t:0,1` are partitions, `t` alone is all there are. The topics that are not there come second.
async fn topic_partitions(
    admin: &Admin,
    topics: &[&str],
) -> Result<(Vec<TopicPartition>, BTreeMap<String, forebay_client::Error>), Stop> {
    let mut partitions = Vec::new();
    let mut whole = Vec::new();
    for topic in topics {
        if topic.contains(':') {
            partitions.extend(named_partitions(topic)?);
        } else {
            whole.push(*topic);
        }
    }
    let mut unknown = BTreeMap::new();
    if !whole.is_empty() {
        for (name, outcome) in admin.describe_topics(&whole).await? {
            match outcome {
                Ok(topic) => {
                    let of_topic = topic.partitions.iter();
                    partitions.extend(
                        of_topic.map(|partition| TopicPartition::new(name.as_str(), partition.partition)),
                    );
                }
                Err(error) => {
                    unknown.insert(name, error);
                }
            }
        }
    }
    partitions.sort_unstable();
    partitions.dedup();
    Ok((partitions, unknown))
}

fn named_partitions(argument: &str) -> Result<Vec<TopicPartition>, Stop> {
    let parts: Vec<&str> = argument.split(':').collect();
    let [topic, numbers] = parts.as_slice() else {
        return Err(Stop::usage(format!(
            "Invalid topic arg '{argument}', expected topic name and partitions"
        )));
    };
    let partition = |number: &str| match number.parse() {
        Ok(number) => Ok(TopicPartition::new(*topic, number)),
        Err(_) => Err(Stop::usage(format!(
            "Invalid partition '{number}' specified in topic arg '{argument}''"
        ))),
    };
    numbers.split(',').map(partition).collect()
}

#[cfg(test)]
mod tests;
