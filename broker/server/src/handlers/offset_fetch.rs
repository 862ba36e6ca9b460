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
use super::repetitions::{Numbers, REPEATED, Repetitions};
use crate::call::{Call, Reply};

/// The first version that names topics by id.
const TOPIC_ID_VERSION: i16 = 10;

/// Answers an OffsetFetch request.
pub(crate) async fn handle(call: &Call, request: OffsetFetchRequest) -> Reply {
    let require_stable = request.require_stable;
    let mut answers = Vec::new();
    let mut asked = Asked::default();
    for mut group in offset_fetch_groups(request, call.version) {
        let image = call.core.metadata.image();
        let repeated = asked.take_repeated(&mut group);
        if group.topics.is_none() && !asked.allow_all(&group.group_id) {
            if asked.groups.tell() {
                answers.push(refused(group.group_id));
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
        if answer.error_code == 0 {
            answer.topics.extend(repeated);
        }
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

/// What a request asks for more than once: partitions of a group, or all of its offsets.
#[derive(Default)]
struct Asked {
    names: Numbers,
    partitions: Repetitions<(usize, usize, Uuid, i32)>,
    groups: Repetitions<usize>,
}

impl Asked {
    /// Takes partitions out that were asked for too often; gives their answers.
    fn take_repeated(&mut self, group: &mut OffsetFetchRequestGroup) -> Vec<OffsetFetchResponseTopics> {
        let of = self.names.of(&group.group_id);
        let mut repeated = Vec::new();
        for topic in group.topics.iter_mut().flatten() {
            let name = self.names.of(&topic.name);
            let id = topic.topic_id;
            let indexes = std::mem::take(&mut topic.partition_indexes);
            let allow = |index: &i32| self.partitions.allow((of, name, id, *index));
            let (wanted, mut refused): (_, Vec<i32>) = indexes.into_iter().partition(allow);
            topic.partition_indexes = wanted;
            refused.retain(|_| self.partitions.tell());
            if !refused.is_empty() {
                let refused = OffsetFetchRequestTopics {
                    name: topic.name.clone(),
                    topic_id: id,
                    partition_indexes: refused,
                    ..OffsetFetchRequestTopics::default()
                };
                repeated.push(failed(&refused, REPEATED));
            }
        }
        repeated
    }

    fn allow_all(&mut self, group: &Utf8Bytes) -> bool {
        let of = self.names.of(group);
        self.groups.allow(of)
    }
}

fn refused(group_id: Utf8Bytes) -> OffsetFetchResponseGroup {
    OffsetFetchResponseGroup {
        group_id,
        error_code: REPEATED.into(),
        ..OffsetFetchResponseGroup::default()
    }
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
