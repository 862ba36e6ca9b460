//! OffsetFetch: the committed offsets of one or several groups (KIP-709), by topic name or id (`KafkaApis.handleOffsetFetchRequest`).

use forebay_broker_controller::MetadataImage;
use forebay_broker_coordinator::{Command, Response, offset_fetch_groups, offset_fetch_response};
use forebay_protocol::messages::OffsetFetchRequest;
use forebay_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use forebay_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use forebay_protocol::{ErrorCode, Utf8Bytes, Uuid};
use forebay_records::{NO_LEADER_EPOCH, NO_OFFSET};

use super::coordinator_context;
use super::room::{ASK_AGAIN, NO_ROOM, Room};
use crate::call::{Call, Reply};

/// The first version that names topics by id.
const TOPIC_ID_VERSION: i16 = 10;

/// The first version that has an error of its own.
const ERROR_VERSION: i16 = 2;

/// Answers an OffsetFetch request.
pub(crate) async fn handle(call: &Call, request: OffsetFetchRequest) -> Reply {
    let require_stable = request.require_stable;
    let mut answers = Vec::new();
    let mut room = Room::default();
    for mut group in offset_fetch_groups(request, call.version) {
        let image = call.core.metadata.image();
        let is_named = group.topics.is_some();
        if !room.is_left() || (is_named && !room.has(least_bytes_of(&group))) {
            if let Some(hangup) = refuse(&mut answers, group.group_id, (&mut room, call.version)) {
                return hangup;
            }
            continue;
        }
        let unknown = if call.version >= TOPIC_ID_VERSION {
            name_topics(&image, &mut group)
        } else {
            identify_topics(&image, &mut group);
            Vec::new()
        };
        let id = group.group_id.clone();
        let command = Command::OffsetFetch {
            group,
            require_stable,
        };
        let Some(Response::OffsetFetch(mut answer)) = call
            .core
            .groups
            .ask(&id, coordinator_context(call), command)
            .await
        else {
            return Reply::STOPPING;
        };
        if call.version >= TOPIC_ID_VERSION {
            by_id(&image, &mut answer);
            if answer.error_code == 0 {
                answer.topics.extend(unknown);
            }
        } else {
            for topic in &mut answer.topics {
                topic.topic_id = Uuid::ZERO;
            }
        }
        let bytes = bytes_of(&answer);
        if is_named && !room.has(bytes) {
            if let Some(hangup) = refuse(&mut answers, answer.group_id, (&mut room, call.version)) {
                return hangup;
            }
            continue;
        }
        room.take(1, bytes);
        answers.push(answer);
    }
    offset_fetch_response(answers, call.version).into()
}

/// Fills in ids: offsets of a topic that had the name before may not be forgotten yet.
fn identify_topics(image: &MetadataImage, group: &mut OffsetFetchRequestGroup) {
    for topic in group.topics.iter_mut().flatten() {
        topic.topic_id = image.topic(&topic.name).map_or(Uuid::ZERO, |found| found.id());
    }
}

/// Fills in names; gives the answers for topics whose id is not known, which are taken out.
fn name_topics(image: &MetadataImage, group: &mut OffsetFetchRequestGroup) -> Vec<OffsetFetchResponseTopics> {
    let Some(topics) = &mut group.topics else {
        return Vec::new();
    };
    let mut unknown = Vec::new();
    topics.retain_mut(|topic| match image.topic_by_id(topic.topic_id) {
        Some(found) => {
            topic.name = found.name().clone();
            true
        }
        None => {
            unknown.push(failed(topic, ErrorCode::UnknownTopicId));
            false
        }
    });
    unknown
}

/// What an answer holds of the offsets of a group, whatever these are.
fn least_bytes_of(group: &OffsetFetchRequestGroup) -> usize {
    let topics = group.topics.iter().flatten();
    let partitions: usize = topics.map(|topic| topic.partition_indexes.len()).sum();
    partitions.saturating_mul(size_of::<OffsetFetchResponsePartitions>())
}

/// What it holds of these. Their metadata costs when it is sent.
fn bytes_of(group: &OffsetFetchResponseGroup) -> usize {
    let partitions = group.topics.iter().flat_map(|topic| &topic.partitions);
    partitions
        .map(|partition| {
            let metadata = partition.metadata.as_ref().map_or(0, |text| text.len());
            size_of::<OffsetFetchResponsePartitions>() + metadata
        })
        .sum()
}

/// There is no room for what a group has: that is for another request, or if there is nothing else in this one, for several.
fn refuse(
    answers: &mut Vec<OffsetFetchResponseGroup>,
    group_id: Utf8Bytes,
    (room, version): (&mut Room, i16),
) -> Option<Reply> {
    if version < ERROR_VERSION {
        return Some(Reply::Hangup("the answer has no room for so many offsets"));
    }
    let code = if answers.is_empty() { NO_ROOM } else { ASK_AGAIN };
    if room.tell() {
        answers.push(OffsetFetchResponseGroup {
            group_id,
            error_code: code.into(),
            ..OffsetFetchResponseGroup::default()
        });
    }
    None
}

fn failed(topic: &OffsetFetchRequestTopics, code: ErrorCode) -> OffsetFetchResponseTopics {
    let partitions = topic
        .partition_indexes
        .iter()
        .map(|index| OffsetFetchResponsePartitions {
            partition_index: *index,
            committed_offset: NO_OFFSET.0,
            committed_leader_epoch: NO_LEADER_EPOCH.0,
            metadata: Some(Utf8Bytes::default()),
            error_code: code.into(),
            ..OffsetFetchResponsePartitions::default()
        });
    OffsetFetchResponseTopics {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: partitions.collect(),
        ..OffsetFetchResponseTopics::default()
    }
}

/// Ids instead of names; offsets of topics that are no more have no id to be told under.
fn by_id(image: &MetadataImage, answer: &mut OffsetFetchResponseGroup) {
    answer.topics.retain_mut(|topic| {
        if topic.topic_id.is_zero() {
            topic.topic_id = image.topic(&topic.name).map_or(Uuid::ZERO, |found| found.id());
        }
        topic.name = Utf8Bytes::default();
        !topic.topic_id.is_zero()
    });
}
