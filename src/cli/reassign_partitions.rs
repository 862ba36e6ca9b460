//! `forebay reassign-partitions` (Kafka's `ReassignPartitionsCommand`, `kafka-reassign-partitions.sh`): which brokers have replicas of
//! partitions. Moves between the log directories of a broker, and throttles, are not there yet.

mod current;
mod plan;
mod throttles;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use forebay_client::Admin;
use forebay_client::admin::PartitionReassignment;
use forebay_protocol::{NodeId, TopicPartition};

use super::options::{Options, Stop, Tool, switch, valued};
use current::{current, directories, present, topics};
use plan::{Directories, Plan, json};

static TOOL: Tool = Tool {
    name: "reassign-partitions",
    about: "Moves replicas of partitions between brokers.",
    flags: &[
        switch(
            "additional",
            "With --execute: beside reassignments that are under way.",
        ),
        valued("bootstrap-server", "host:port,...", "REQUIRED: brokers to ask."),
        valued("broker-list", "id,...", "With --generate: the brokers to use."),
        switch("cancel", "Cancel reassignments."),
        valued("command-config", "file", "Properties of the admin client."),
        switch(
            "disable-rack-aware",
            "With --generate: does nothing, racks are not looked at.",
        ),
        switch("execute", "Start reassignments."),
        switch("generate", "Propose a reassignment."),
        switch("list", "List reassignments that are under way."),
        switch(
            "preserve-throttles",
            "With --verify and --cancel: leave throttles as they are.",
        ),
        valued(
            "reassignment-json-file",
            "file",
            "{\"partitions\": [{\"topic\": \"foo\", \"partition\": 1, \"replicas\": [1,2,3]}], \"version\": 1}",
        ),
        valued(
            "timeout",
            "ms",
            "Does nothing: no replica is moved between log directories.",
        ),
        valued(
            "topics-to-move-json-file",
            "file",
            "{\"topics\": [{\"topic\": \"foo\"}], \"version\": 1}",
        ),
        switch(
            "verify",
            "Say how far reassignments are, and end throttles when they are done.",
        ),
    ],
    gone: &[
        (
            "zookeeper",
            "there is no ZooKeeper any more; write --bootstrap-server",
        ),
        ("throttle", "replication is not throttled here yet"),
        (
            "replica-alter-log-dirs-throttle",
            "replicas are not moved between log directories here yet",
        ),
        (
            "bootstrap-controller",
            "controllers take no requests of tools here; write --bootstrap-server",
        ),
    ],
};

const ACTIONS: [&str; 5] = ["generate", "execute", "verify", "cancel", "list"];

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    super::run_tool(&TOOL, arguments, |options| async move {
        let action = check(&options)?;
        let server = options.required("bootstrap-server")?;
        match super::patiently(server, act(action, &options)).await {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(Stop::Failed(message)) => {
                // Kafka's goes to standard output, too.
                say!("Error: {message}");
                Ok(ExitCode::FAILURE)
            }
            Err(stop) => Err(stop),
        }
    })
}

/// Which options go together (`validateAndParseArgs`).
fn check(options: &Options) -> Result<&'static str, Stop> {
    let given: Vec<&str> = ACTIONS.into_iter().filter(|action| options.has(action)).collect();
    let [action] = given.as_slice() else {
        return Err(Stop::usage(format!(
            "Command must include exactly one action: {}",
            ACTIONS.map(|action| format!("--{action}")).join(", ")
        )));
    };
    if !options.has("bootstrap-server") {
        return Err(Stop::usage("Please specify --bootstrap-server"));
    }
    let required: &[&str] = match *action {
        "generate" => &["broker-list", "topics-to-move-json-file"],
        "list" => &[],
        _ => &["reassignment-json-file"],
    };
    for name in required {
        options.required(name)?;
    }
    let allowed: &[&str] = match *action {
        "generate" => &["broker-list", "topics-to-move-json-file", "disable-rack-aware"],
        "execute" => &["additional", "reassignment-json-file", "timeout"],
        "verify" => &["preserve-throttles", "reassignment-json-file"],
        "cancel" => &["preserve-throttles", "reassignment-json-file", "timeout"],
        _ => &[],
    };
    let always = ["bootstrap-server", "command-config", *action];
    for flag in TOOL.flags {
        if options.has(flag.name) && !allowed.contains(&flag.name) && !always.contains(&flag.name) {
            return Err(Stop::usage(format!(
                "Option \"[{}]\" can't be used with action \"[{action}]\"",
                flag.name
            )));
        }
    }
    ACTIONS
        .into_iter()
        .find(|known| known == action)
        .ok_or_else(|| Stop::usage("no action"))
}

async fn act(action: &str, options: &Options) -> Result<(), Stop> {
    let admin = super::admin(options)?;
    if action == "list" {
        let under_way = admin.list_partition_reassignments(None).await?;
        super::print(&listing(&under_way));
        return Ok(());
    }
    if action == "generate" {
        return generate(&admin, options).await;
    }
    let text = super::text_file(options.required("reassignment-json-file")?)?;
    let parts = plan::read(&text)?;
    if action == "execute" {
        return execute(&admin, &plan::executable(parts)?, options.has("additional")).await;
    }
    let plan: Plan = parts.into_iter().collect();
    match action {
        "verify" => verify(&admin, &plan, options.has("preserve-throttles")).await,
        _ => cancel(&admin, &plan, options.has("preserve-throttles")).await,
    }
}

fn commas<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items
        .into_iter()
        .map(|item| item.to_string())
        .collect::<Vec<_>>()
        .join(",")
}

fn listing(under_way: &BTreeMap<TopicPartition, PartitionReassignment>) -> String {
    if under_way.is_empty() {
        return "No partition reassignments found.\n".to_owned();
    }
    let part = |title: &str, ids: &[NodeId]| match ids {
        [] => String::new(),
        ids => format!(" {title}: {}.", commas(ids)),
    };
    let line = |(partition, moved): (&TopicPartition, &PartitionReassignment)| {
        let replicas = commas(&moved.replicas);
        let (adding, removing) = (part("adding", &moved.adding), part("removing", &moved.removing));
        format!("{partition}: replicas: {replicas}.{adding}{removing}\n")
    };
    let lines: String = under_way.iter().map(line).collect();
    format!("Current partition reassignments:\n{lines}")
}

async fn generate(admin: &Admin, options: &Options) -> Result<(), Stop> {
    let brokers = plan::brokers(options.required("broker-list")?)?;
    let wanted = plan::topics(&super::text_file(options.required("topics-to-move-json-file")?)?)?;
    let names: BTreeSet<&str> = wanted.iter().map(String::as_str).collect();
    let present = present(admin, &names).await?;
    let proposed = plan::spread(&present, &brokers, &live(admin).await?)?;
    let directories = directories(admin, &present).await?;
    say!(
        "Current partition replica assignment\n{}\n",
        json(&present, &directories)
    );
    say!(
        "Proposed partition reassignment configuration\n{}",
        json(&proposed, &Directories::new())
    );
    Ok(())
}

/// The brokers that are there.
async fn live(admin: &Admin) -> Result<BTreeSet<NodeId>, Stop> {
    let cluster = admin.describe_cluster().await?;
    Ok(cluster.nodes.iter().map(|node| node.id).collect())
}

async fn execute(admin: &Admin, plan: &Plan, additional: bool) -> Result<(), Stop> {
    let under_way = admin.list_partition_reassignments(None).await?;
    if !additional && !under_way.is_empty() {
        return Err(Stop::Failed(
            "Cannot execute because there is an existing partition assignment.  Use --additional to override this and create a \
             new partition assignment in addition to the existing one. The --additional flag can also be used to change the \
             throttle by resubmitting the current reassignment."
                .to_owned(),
        ));
    }
    let known = live(admin).await?;
    if let Some(unknown) = plan.values().flatten().find(|id| !known.contains(id)) {
        return Err(Stop::Failed(format!("Unknown broker id {unknown}")));
    }
    let mut present = present(admin, &topics(plan)).await?;
    present.retain(|partition, _| plan.contains_key(partition));
    let missing: Vec<&TopicPartition> = plan
        .keys()
        .filter(|partition| !present.contains_key(*partition))
        .collect();
    if !missing.is_empty() {
        return Err(Stop::Failed(format!(
            "org.apache.kafka.common.errors.UnknownTopicOrPartitionException: Unable to find partition: {}",
            commas(missing)
        )));
    }
    say!(
        "Current partition replica assignment\n\n{}\n\nSave this to use as the --reassignment-json-file option during rollback",
        json(&present, &directories(admin, &present).await?)
    );
    let wanted = plan
        .iter()
        .map(|(partition, replicas)| (partition.clone(), Some(replicas.clone())));
    alter(admin, &wanted.collect(), "Error reassigning partition(s)").await?;
    let plural = if plan.len() == 1 { "" } else { "s" };
    say!(
        "Successfully started partition reassignment{plural} for {}",
        commas(plan.keys())
    );
    Ok(())
}

async fn alter(
    admin: &Admin,
    wanted: &BTreeMap<TopicPartition, Option<Vec<NodeId>>>,
    what: &str,
) -> Result<(), Stop> {
    let mut failed = Vec::new();
    for (partition, outcome) in admin.alter_partition_reassignments(wanted).await? {
        if let Err(error) = outcome {
            failed.push(format!("{partition}: {}", super::reason(&error)));
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Stop::Failed(format!("{what}:\n{}", failed.join("\n"))))
}

async fn verify(admin: &Admin, plan: &Plan, preserve_throttles: bool) -> Result<(), Stop> {
    let under_way = admin.list_partition_reassignments(None).await?;
    let present = current(admin, &topics(plan)).await?;
    say!("Status of partition reassignment:");
    for (partition, wanted) in plan {
        let found = present.get(partition).map_or(&[][..], Vec::as_slice);
        if under_way.contains_key(partition) {
            say!("Reassignment of partition {partition} is still in progress.");
        } else if found == wanted {
            say!("Reassignment of partition {partition} is completed.");
        } else {
            say!(
                "There is no active reassignment of partition {partition}, but replica set is {} rather than {}.",
                commas(found),
                commas(wanted)
            );
        }
    }
    say!("");
    if under_way.is_empty() && !preserve_throttles {
        throttles::clear(admin, plan).await?;
    }
    Ok(())
}

async fn cancel(admin: &Admin, plan: &Plan, preserve_throttles: bool) -> Result<(), Stop> {
    let under_way = admin.list_partition_reassignments(None).await?;
    let those: Vec<&TopicPartition> = plan
        .keys()
        .filter(|partition| under_way.contains_key(*partition))
        .collect();
    if those.is_empty() {
        say!("None of the specified partition reassignments are active.");
    } else {
        let wanted = those
            .iter()
            .map(|partition| ((*partition).clone(), None))
            .collect();
        alter(admin, &wanted, "Error cancelling partition reassignment(s) for").await?;
        let plural = if those.len() == 1 { "" } else { "s" };
        say!(
            "Successfully cancelled partition reassignment{plural} for: {}",
            commas(those)
        );
    }
    // Without an end of line, as Kafka's.
    super::print("None of the specified partition moves are active.");
    if !preserve_throttles {
        throttles::clear(admin, plan).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_take_their_own_options() {
        let checked = |arguments: &str| {
            let arguments: Vec<String> = arguments.split(' ').map(Into::into).collect();
            check(&TOOL.parse(&arguments).expect("reads"))
        };
        let cases = [
            (
                "--bootstrap-server b",
                "Command must include exactly one action: --generate, --execute, --verify, --cancel, --list",
            ),
            ("--list", "Please specify --bootstrap-server"),
            (
                "--bootstrap-server b --verify",
                "Missing required argument \"[reassignment-json-file]\"",
            ),
            (
                "--bootstrap-server b --list --broker-list 1",
                "Option \"[broker-list]\" can't be used with action \"[list]\"",
            ),
        ];
        for (arguments, message) in cases {
            assert_eq!(checked(arguments), Err(Stop::usage(message)), "{arguments}");
        }
        assert_eq!(checked("--bootstrap-server b --list"), Ok("list"));
    }

    #[test]
    fn what_is_under_way_is_listed_as_kafka_lists_it() {
        assert_eq!(listing(&BTreeMap::new()), "No partition reassignments found.\n");
        let moved = PartitionReassignment {
            replicas: vec![NodeId(1), NodeId(2)],
            adding: vec![NodeId(2)],
            removing: Vec::new(),
        };
        let under_way = BTreeMap::from([(TopicPartition::new("t", 3), moved)]);
        assert_eq!(
            listing(&under_way),
            "Current partition reassignments:\nt-3: replicas: 1,2. adding: 2.\n"
        );
    }
}
