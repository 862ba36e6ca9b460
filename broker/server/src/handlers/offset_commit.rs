//! OffsetCommit: offsets of topics that exist go to the group's coordinator (`KafkaApis.handleOffsetCommitRequest`).

use forebay_broker_controller::MetadataImage;
use forebay_broker_coordinator::{Command, Response};
use forebay_protocol::ErrorCode;
use forebay_protocol::messages::offset_commit_request::OffsetCommitRequestTopic;
use forebay_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use forebay_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};

use super::coordinator_context;
use crate::call::{Call, Reply};

/// The first version that names topics by id.
const TOPIC_ID_VERSION: i16 = 10;

/// Answers an OffsetCommit request.
pub(crate) async fn handle(call: &Call, mut request: OffsetCommitRequest) -> Reply {
    let image = call.core.metadata.image();
    let mut refused = Vec::new();
    let topics = std::mem::take(&mut request.topics);
    for mut topic in topics {
        match resolve(&image, &mut topic, call.version) {
            Ok(()) => {
                let unknown = split(&image, &mut topic);
                refused.extend((!unknown.partitions.is_empty()).then_some(unknown));
                if !topic.partitions.is_empty() {
                    request.topics.push(topic);
                }
            }
            Err(code) => refused.push(refuse(&topic, code)),
        }
    }
    let mut response = if request.topics.is_empty() && !refused.is_empty() {
        OffsetCommitResponse::default()
    } else {
        let group = request.group_id.clone();
        match call
            .core
            .groups
            .ask(&group, coordinator_context(call), Command::OffsetCommit(request))
            .await
        {
            Some(Response::OffsetCommit(response)) => response,
            _ => return Reply::STOPPING,
        }
    };
    for topic in refused {
        add(&mut response, topic);
    }
    for topic in &mut response.topics {
        if call.version >= TOPIC_ID_VERSION {
            topic.name = forebay_protocol::Utf8Bytes::default();
        } else {
            topic.topic_id = forebay_protocol::Uuid::ZERO;
        }
    }
    response.into()
}

/// Fills in the name or the id of a topic that exists.
fn resolve(
    image: &MetadataImage,
    topic: &mut OffsetCommitRequestTopic,
    version: i16,
) -> Result<(), ErrorCode> {
    if version >= TOPIC_ID_VERSION {
        let found = image
            .topic_by_id(topic.topic_id)
            .ok_or(ErrorCode::UnknownTopicId)?;
        topic.name = found.name().clone();
    } else {
        let found = image
            .topic(&topic.name)
            .ok_or(ErrorCode::UnknownTopicOrPartition)?;
        topic.topic_id = found.id();
    }
    Ok(())
}

/// Takes the partitions that do not exist out of a topic.
fn split(image: &MetadataImage, topic: &mut OffsetCommitRequestTopic) -> OffsetCommitResponseTopic {
    let (known, unknown) = std::mem::take(&mut topic.partitions)
        .into_iter()
        .partition(|partition| image.partition(&topic.name, partition.partition_index).is_some());
    let unknown = OffsetCommitRequestTopic {
        partitions: unknown,
        ..topic.clone()
    };
    topic.partitions = known;
    refuse(&unknown, ErrorCode::UnknownTopicOrPartition)
}

fn refuse(topic: &OffsetCommitRequestTopic, code: ErrorCode) -> OffsetCommitResponseTopic {
    let partitions = topic
        .partitions
        .iter()
        .map(|partition| OffsetCommitResponsePartition {
            partition_index: partition.partition_index,
            error_code: code.into(),
            ..OffsetCommitResponsePartition::default()
        });
    OffsetCommitResponseTopic {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: partitions.collect(),
        ..OffsetCommitResponseTopic::default()
    }
}

/// Adds refused partitions to those of the same topic that were committed.
fn add(response: &mut OffsetCommitResponse, topic: OffsetCommitResponseTopic) {
    let same =
        |one: &&mut OffsetCommitResponseTopic| one.name == topic.name && one.topic_id == topic.topic_id;
    match response.topics.iter_mut().find(same) {
        Some(committed) => committed.partitions.extend(topic.partitions),
        None => response.topics.push(topic),
    }
}
