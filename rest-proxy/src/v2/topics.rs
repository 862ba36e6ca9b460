//! `/topics` and `/brokers`: what is there.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State as Extract};
use axum::routing::get;
use forebay_client::admin::{ConfigResource, OffsetSpec, PartitionDescription, TopicDescription};
use forebay_client::config::IsolationLevel;
use forebay_protocol::{ErrorCode, NodeId, TopicPartition};
use serde_json::{Map, Value, json};

use super::{Answer, Result, State};
use crate::error::Error;
use crate::service::Shared;

pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/topics", get(list))
        .route("/topics/{topic}", get(topic))
        .route("/topics/{topic}/partitions", get(partitions))
        .route("/topics/{topic}/partitions/{partition}", get(partition))
        .route("/topics/{topic}/partitions/{partition}/offsets", get(offsets))
        .route("/brokers", get(brokers))
}

async fn list(Extract(shared): State) -> Result {
    let topics = shared.admin.list_topics().await?;
    let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    Ok(Answer::new(json!(names)))
}

async fn brokers(Extract(shared): State) -> Result {
    let cluster = shared.admin.describe_cluster().await?;
    let ids: Vec<i32> = cluster.nodes.iter().map(|node| node.id.0).collect();
    Ok(Answer::new(json!({ "brokers": ids })))
}

async fn topic(Extract(shared): State, Path(name): Path<String>) -> Result {
    let described = describe(&shared, &name).await?;
    let resource = ConfigResource::Topic(name.clone());
    let entries = shared
        .admin
        .describe_configs(&[resource])
        .await?
        .into_values()
        .next()
        .transpose()?;
    let configs: Map<String, Value> = entries
        .into_iter()
        .flatten()
        .map(|entry| (entry.name, json!(entry.value)))
        .collect();
    let partitions: Vec<Value> = described.partitions.iter().map(entity).collect();
    Ok(Answer::new(
        json!({ "name": name, "configs": configs, "partitions": partitions }),
    ))
}

async fn partitions(Extract(shared): State, Path(name): Path<String>) -> Result {
    let described = describe(&shared, &name).await?;
    Ok(Answer::new(json!(
        described.partitions.iter().map(entity).collect::<Vec<_>>()
    )))
}

async fn partition(Extract(shared): State, Path((name, number)): Path<(String, i32)>) -> Result {
    let described = describe(&shared, &name).await?;
    Ok(Answer::new(entity(find(&described, number)?)))
}

async fn offsets(Extract(shared): State, Path((name, number)): Path<(String, i32)>) -> Result {
    find(&describe(&shared, &name).await?, number)?;
    let partition = TopicPartition::new(name.as_str(), number);
    let mut found = Vec::new();
    for spec in [OffsetSpec::Earliest, OffsetSpec::Latest] {
        let asked = [(partition.clone(), spec)].into();
        let listed = shared
            .admin
            .list_offsets(&asked, IsolationLevel::ReadUncommitted)
            .await?;
        let listed = listed.into_values().next().transpose()?;
        found.push(listed.and_then(|listed| listed.offset).unwrap_or_default().0);
    }
    Ok(Answer::new(
        json!({ "beginning_offset": found[0], "end_offset": found[1] }),
    ))
}

async fn describe(shared: &Shared, name: &str) -> Result<TopicDescription> {
    match shared.admin.describe_topics(&[name]).await?.into_values().next() {
        Some(Ok(described)) => Ok(described),
        Some(Err(error)) if error.code() != Some(ErrorCode::UnknownTopicOrPartition) => Err(error.into()),
        Some(Err(_)) | None => Err(Error::TopicNotFound),
    }
}

fn find(described: &TopicDescription, number: i32) -> Result<&PartitionDescription> {
    described
        .partitions
        .iter()
        .find(|partition| partition.partition == number)
        .ok_or(Error::PartitionNotFound)
}

fn entity(partition: &PartitionDescription) -> Value {
    let replica = |broker: &NodeId| {
        json!({
            "broker": broker.0,
            "leader": partition.leader == Some(*broker),
            "in_sync": partition.in_sync_replicas.contains(broker),
        })
    };
    json!({
        "partition": partition.partition,
        "leader": partition.leader.map_or(-1, |leader| leader.0),
        "replicas": partition.replicas.iter().map(replica).collect::<Vec<_>>(),
    })
}
