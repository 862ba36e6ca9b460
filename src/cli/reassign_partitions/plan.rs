//! Reassignments as files give them and as they are printed; and how replicas are spread over brokers.

use std::collections::{BTreeMap, BTreeSet};

use forebay_protocol::{NodeId, TopicPartition};
use serde_json::{Value, json as object};

use super::super::options::Stop;
use super::super::partition_file;

/// The brokers of each partition, the preferred leader first.
pub(super) type Plan = BTreeMap<TopicPartition, Vec<NodeId>>;

fn failed<T>(message: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Failed(message.into()))
}

/// `--reassignment-json-file`: each partition as often as it is there.
pub(super) fn read(text: &str) -> Result<Vec<(TopicPartition, Vec<NodeId>)>, Stop> {
    let mut plan = Vec::new();
    for (partition, entry) in partition_file::read(text)? {
        let replicas = entry.get("replicas").and_then(Value::as_array);
        let ids = replicas.map(|ids| ids.iter().map(id).collect::<Option<Vec<NodeId>>>());
        let Some(Some(ids)) = ids else {
            return failed(format!("{partition}: replicas must be a list of broker ids"));
        };
        let directories = entry.get("log_dirs").and_then(Value::as_array);
        if directories.is_some_and(|directories| directories.iter().any(|directory| directory != "any")) {
            return failed(format!(
                "{partition}: replicas are not moved between log directories here yet; write \"any\""
            ));
        }
        plan.push((partition, ids));
    }
    Ok(plan)
}

/// What can be executed (`parseExecuteAssignmentArgs`).
pub(super) fn executable(parts: Vec<(TopicPartition, Vec<NodeId>)>) -> Result<Plan, Stop> {
    if parts.is_empty() {
        return failed("Partition reassignment list cannot be empty");
    }
    let mut plan = Plan::new();
    for (partition, ids) in parts {
        if ids.is_empty() {
            return failed(format!("Partition replica lists may not be empty: {partition}"));
        }
        if (1..ids.len()).any(|at| ids[..at].contains(&ids[at])) {
            return failed(format!(
                "Partition replica lists may not contain duplicate entries: {partition}"
            ));
        }
        if plan.insert(partition.clone(), ids).is_some() {
            return failed(format!(
                "Partition reassignment contains duplicate topic partitions: {partition}"
            ));
        }
    }
    Ok(plan)
}

fn id(value: &Value) -> Option<NodeId> {
    i32::try_from(value.as_i64()?).ok().map(NodeId)
}

/// `--topics-to-move-json-file`
pub(super) fn topics(text: &str) -> Result<Vec<String>, Stop> {
    let file: Value = serde_json::from_str(text)
        .map_err(|_| Stop::Failed("The input string is not a valid JSON".to_owned()))?;
    let named = |topic: &Value| Some(topic.get("topic")?.as_str()?.to_owned());
    let topics = file
        .get("topics")
        .and_then(Value::as_array)
        .map(|topics| topics.iter().map(named).collect());
    let Some(Some(topics)) = topics else {
        return failed("the file must have a list \"topics\", each with a \"topic\"");
    };
    let topics: Vec<String> = topics;
    match (1..topics.len()).find(|at| topics[..*at].contains(&topics[*at])) {
        Some(at) => failed(format!(
            "List of topics to reassign contains duplicate entries: [{}]",
            topics[at]
        )),
        None => Ok(topics),
    }
}

/// `--broker-list`
pub(super) fn brokers(text: &str) -> Result<Vec<NodeId>, Stop> {
    let id = |id: &str| id.trim().parse().map(NodeId);
    let ids: Result<Vec<NodeId>, _> = text.split(',').map(id).collect();
    let ids = ids.map_err(|_| Stop::Failed(format!("For input string: \"{text}\"")))?;
    match (1..ids.len()).find(|at| ids[..*at].contains(&ids[*at])) {
        Some(at) => failed(format!("Broker list contains duplicate entries: [{}]", ids[at])),
        None => Ok(ids),
    }
}

/// As many replicas as there are, one broker further with each partition. Of the brokers only those count that are there.
pub(super) fn spread(present: &Plan, brokers: &[NodeId], live: &BTreeSet<NodeId>) -> Result<Plan, Stop> {
    let brokers: Vec<NodeId> = brokers.iter().copied().filter(|id| live.contains(id)).collect();
    if brokers.is_empty() {
        return failed("All brokers are currently fenced, or have all their log directories cordoned.");
    }
    let mut proposed = Plan::new();
    for (partition, replicas) in present {
        if replicas.len() > brokers.len() {
            return failed(format!(
                "Unable to replicate the partition {} time(s): The target replication factor of {} cannot be reached because \
                 only {} broker(s) are registered.",
                replicas.len(),
                replicas.len(),
                brokers.len()
            ));
        }
        let first = usize::try_from(partition.partition).unwrap_or_default();
        let ids = (0..replicas.len()).map(|index| brokers[(first + index) % brokers.len()]);
        proposed.insert(partition.clone(), ids.collect());
    }
    Ok(proposed)
}

/// Where replicas are, as far as it is known.
pub(super) type Directories = BTreeMap<(TopicPartition, NodeId), String>;

/// As Kafka prints it.
pub(super) fn json(plan: &Plan, directories: &Directories) -> Value {
    let partition = |(partition, replicas): (&TopicPartition, &Vec<NodeId>)| {
        let ids: Vec<i32> = replicas.iter().map(|id| id.0).collect();
        let place = |id: &NodeId| {
            directories
                .get(&(partition.clone(), *id))
                .map_or("any", String::as_str)
        };
        let directories: Vec<&str> = replicas.iter().map(place).collect();
        object!({"topic": &*partition.topic, "partition": partition.partition, "replicas": ids, "log_dirs": directories})
    };
    object!({"version": 1, "partitions": plan.iter().map(partition).collect::<Vec<Value>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_read_printed_and_made() {
        let text = r#"{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[1,2],"log_dirs":["any","any"]}]}"#;
        let plan = read(text).and_then(executable).expect("valid");
        assert_eq!(json(&plan, &Directories::new()).to_string(), text);
        let three = [NodeId(1), NodeId(2), NodeId(3)];
        let present: Plan = (0..3)
            .map(|number| (TopicPartition::new("t", number), vec![NodeId(9), NodeId(1)]))
            .collect();
        let (live, named) = (BTreeSet::from(three), [1, 7, 2, 3].map(NodeId));
        let proposed = spread(&present, &named, &live).expect("enough");
        let proposed: Vec<Vec<NodeId>> = proposed.into_values().collect();
        assert_eq!(
            proposed,
            [
                [NodeId(1), NodeId(2)],
                [NodeId(2), NodeId(3)],
                [NodeId(3), NodeId(1)]
            ]
        );
        assert!(spread(&present, &three[..1], &live).is_err());
        assert_eq!(
            spread(&present, &[NodeId(7)], &live),
            failed("All brokers are currently fenced, or have all their log directories cordoned.")
        );
        let cases = [
            (
                r#"{"partitions":[]}"#,
                "Partition reassignment list cannot be empty",
            ),
            (
                r#"{"partitions":[{"topic":"t","partition":0,"replicas":[]}]}"#,
                "Partition replica lists may not be empty: t-0",
            ),
            (
                r#"{"partitions":[{"topic":"t","partition":0,"replicas":[1,1]}]}"#,
                "Partition replica lists may not contain duplicate entries: t-0",
            ),
            (
                r#"{"partitions":[{"topic":"t","partition":0,"replicas":[1]},{"topic":"t","partition":0,"replicas":[2]}]}"#,
                "Partition reassignment contains duplicate topic partitions: t-0",
            ),
            (
                r#"{"partitions":[{"topic":"t","partition":0,"replicas":[1],"log_dirs":["/data"]}]}"#,
                "t-0: replicas are not moved between log directories here yet; write \"any\"",
            ),
        ];
        for (text, message) in cases {
            assert_eq!(read(text).and_then(executable), failed(message), "{text}");
        }
        // What cannot be executed may be verified, or taken back.
        assert_eq!(read(r#"{"partitions":[]}"#), Ok(Vec::new()));
        assert_eq!(
            topics(r#"{"topics":[{"topic":"a"},{"topic":"b"}]}"#),
            Ok(vec!["a".to_owned(), "b".to_owned()])
        );
        assert_eq!(
            brokers("1,2,1"),
            failed("Broker list contains duplicate entries: [1]")
        );
    }
}
