//! The configurations that throttle replication while replicas move.

use forebay_client::Admin;
use forebay_client::admin::{AlterConfig, ConfigResource};

use super::commas;
use super::current::topics;
use super::plan::Plan;
use crate::cli::options::Stop;

/// Takes back what an earlier `--throttle` of Kafka's own tool has set.
pub(super) async fn clear(admin: &Admin, plan: &Plan) -> Result<(), Stop> {
    const OF_BROKERS: [&str; 3] = [
        "leader.replication.throttled.rate",
        "follower.replication.throttled.rate",
        "replica.alter.log.dirs.io.max.bytes.per.second",
    ];
    const OF_TOPICS: [&str; 2] = [
        "leader.replication.throttled.replicas",
        "follower.replication.throttled.replicas",
    ];
    let mut brokers = super::live(admin).await?;
    brokers.extend(plan.values().flatten().copied());
    let delete = |keys: &[&str]| {
        keys.iter()
            .map(|key| AlterConfig::Delete((*key).to_owned()))
            .collect()
    };
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    say!(
        "Clearing broker-level throttles on broker{} {}",
        plural(brokers.len()),
        commas(&brokers)
    );
    let of_brokers: Vec<ConfigResource> = brokers.into_iter().map(ConfigResource::Broker).collect();
    let topics = topics(plan);
    let of_topics: Vec<ConfigResource> = topics
        .iter()
        .map(|topic| ConfigResource::Topic((*topic).to_owned()))
        .collect();
    for (resources, keys, topics) in [
        (of_brokers, &OF_BROKERS[..], None),
        (of_topics, &OF_TOPICS[..], Some(topics)),
    ] {
        if let Some(topics) = topics {
            say!(
                "Clearing topic-level throttles on topic{} {}",
                plural(topics.len()),
                commas(&topics)
            );
        }
        let changes = resources
            .into_iter()
            .map(|resource| (resource, delete(keys)))
            .collect();
        for outcome in admin.alter_configs(&changes, false).await?.into_values() {
            outcome.map_err(|error| Stop::Failed(crate::cli::java::exception(&error)))?;
        }
    }
    Ok(())
}
