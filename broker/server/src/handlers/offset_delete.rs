//! OffsetDelete: forgets committed offsets of topics that nobody in the group consumes (KIP-496).

use forebay_broker_coordinator::{Command, Response};
use forebay_protocol::ErrorCode;
use forebay_protocol::messages::OffsetDeleteRequest;
use forebay_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};

use super::coordinator_context;
use crate::call::{Call, Reply};

/// Answers an OffsetDelete request.
pub(crate) async fn handle(call: &Call, mut request: OffsetDeleteRequest) -> Reply {
    let image = call.core.metadata.image();
    let mut unknown: Vec<OffsetDeleteResponseTopic> = Vec::new();
    for topic in &mut request.topics {
        let (known, missing): (Vec<_>, Vec<_>) = std::mem::take(&mut topic.partitions)
            .into_iter()
            .partition(|partition| image.partition(&topic.name, partition.partition_index).is_some());
        topic.partitions = known;
        if missing.is_empty() {
            continue;
        }
        let partitions = missing.iter().map(|partition| OffsetDeleteResponsePartition {
            partition_index: partition.partition_index,
            error_code: ErrorCode::UnknownTopicOrPartition.into(),
        });
        unknown.push(OffsetDeleteResponseTopic {
            name: topic.name.clone(),
            partitions: partitions.collect(),
        });
    }
    request.topics.retain(|topic| !topic.partitions.is_empty());
    let group = request.group_id.clone();
    match call
        .core
        .groups
        .ask(&group, coordinator_context(call), Command::OffsetDelete(request))
        .await
    {
        Some(Response::OffsetDelete(mut response)) => {
            if response.error_code == 0 {
                for topic in unknown {
                    match response.topics.iter_mut().find(|one| one.name == topic.name) {
                        Some(deleted) => deleted.partitions.extend(topic.partitions),
                        None => response.topics.push(topic),
                    }
                }
            }
            response.into()
        }
        _ => Reply::STOPPING,
    }
}
