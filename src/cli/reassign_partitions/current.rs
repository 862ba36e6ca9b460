//! Where replicas are now: on which brokers, and in which of their directories.

use std::collections::BTreeSet;

use forebay_client::Admin;
use forebay_protocol::{ErrorCode, NodeId, TopicPartition};

use super::plan::{Directories, Plan};
use crate::cli::options::Stop;

/// Who has replicas of partitions now; of those that are not there, nobody.
pub(super) async fn current(admin: &Admin, topics: &BTreeSet<&str>) -> Result<Plan, Stop> {
    let names: Vec<&str> = topics.iter().copied().collect();
    let mut current = Plan::new();
    for (name, outcome) in admin.describe_topics(&names).await? {
        match outcome {
            Ok(topic) => current.extend(topic.partitions.into_iter().map(|partition| {
                (
                    TopicPartition::new(name.as_str(), partition.partition),
                    partition.replicas,
                )
            })),
            Err(error) if error.code() == Some(ErrorCode::UnknownTopicOrPartition) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(current)
}

/// As above, where a topic that is not there is an error.
pub(super) async fn present(admin: &Admin, names: &BTreeSet<&str>) -> Result<Plan, Stop> {
    let present = current(admin, names).await?;
    match names.iter().find(|name| !topics(&present).contains(**name)) {
        Some(missing) => Err(Stop::Failed(format!(
            "org.apache.kafka.common.errors.UnknownTopicOrPartitionException: Topic {missing} not found."
        ))),
        None => Ok(present),
    }
}

/// In which log directory each replica of partitions is.
pub(super) async fn directories(admin: &Admin, present: &Plan) -> Result<Directories, Stop> {
    let brokers: BTreeSet<NodeId> = present.values().flatten().copied().collect();
    let brokers: Vec<NodeId> = brokers.into_iter().collect();
    let mut found = Directories::new();
    for (id, outcome) in admin.describe_log_dirs(&brokers).await? {
        // What a broker does not tell is anywhere.
        for (path, directory) in outcome.unwrap_or_default() {
            let here = directory
                .replicas
                .into_iter()
                .filter(|(_, replica)| !replica.is_future);
            found.extend(here.map(|(partition, _)| ((partition, id), path.clone())));
        }
    }
    Ok(found)
}

pub(super) fn topics(plan: &Plan) -> BTreeSet<&str> {
    plan.keys().map(|partition| &*partition.topic).collect()
}
