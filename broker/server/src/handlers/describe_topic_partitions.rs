//! DescribeTopicPartitions: topics in pages, by name (KIP-966; `DescribeTopicPartitionsRequestHandler`).

use std::collections::BTreeSet;
use std::sync::Arc;

use forebay_broker_controller::{TopicImage, is_internal_topic, validate_topic_name};
use forebay_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use forebay_protocol::messages::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};
use forebay_protocol::{ErrorCode, Utf8Bytes};

use crate::authorized_operations;
use crate::call::{Call, Reply};
use crate::listener_view::{NO_LEADER, View, numbers};

/// Answers a DescribeTopicPartitions request.
pub(crate) fn handle(call: &Call, request: &DescribeTopicPartitionsRequest) -> Reply {
    if let Some(code) = refuse(request) {
        let topic = |name: &Utf8Bytes| DescribeTopicPartitionsResponseTopic {
            topic_authorized_operations: authorized_operations::UNKNOWN,
            ..failed(name, code)
        };
        let topics = request.topics.iter().map(|asked| topic(&asked.name)).collect();
        return DescribeTopicPartitionsResponse {
            topics,
            ..Default::default()
        }
        .into();
    }
    let image = call.core.metadata.image();
    let view = View::new(call, &image);
    let from = request.cursor.as_ref().map_or("", |cursor| &cursor.topic_name);
    let all = request.topics.is_empty();
    let names: BTreeSet<&str> = if all {
        image.topics_from(from).map(|topic| &**topic.name()).collect()
    } else {
        request
            .topics
            .iter()
            .map(|topic| &*topic.name)
            .filter(|name| *name >= from)
            .collect()
    };
    let limit = usize::try_from(request.response_partition_limit).unwrap_or(0);
    let mut page = Page {
        view,
        left: limit.min(call.core.config.request_partitions_max).max(1),
        response: DescribeTopicPartitionsResponse::default(),
    };
    for name in names {
        let start = match &request.cursor {
            Some(cursor) if *cursor.topic_name == *name => {
                usize::try_from(cursor.partition_index).unwrap_or(0)
            }
            _ => 0,
        };
        if !page.add(name, image.topic(name), start) {
            break;
        }
    }
    page.response.into()
}

/// What is wrong with the request as a whole.
fn refuse(request: &DescribeTopicPartitionsRequest) -> Option<ErrorCode> {
    let cursor = request.cursor.as_ref()?;
    let listed =
        request.topics.is_empty() || request.topics.iter().any(|topic| topic.name == cursor.topic_name);
    (!listed || cursor.partition_index < 0).then_some(ErrorCode::InvalidRequest)
}

struct Page<'a> {
    view: View<'a>,
    /// How many partitions may still be listed.
    left: usize,
    response: DescribeTopicPartitionsResponse,
}

impl Page<'_> {
    /// Adds a topic; false when the page is full.
    fn add(&mut self, name: &str, topic: Option<&Arc<TopicImage>>, start: usize) -> bool {
        if self.left == 0 {
            self.next_cursor(name, 0);
            return false;
        }
        let Some(topic) = topic else {
            let code = match validate_topic_name(name) {
                Ok(()) => ErrorCode::UnknownTopicOrPartition,
                Err(_) => ErrorCode::InvalidTopicException,
            };
            self.response.topics.push(failed(&name.into(), code));
            return true;
        };
        let end = topic.partition_count().min(start.saturating_add(self.left));
        let partitions: Vec<_> = (start..end)
            .filter_map(|index| self.partition(topic, index))
            .collect();
        self.left -= partitions.len();
        self.response.topics.push(DescribeTopicPartitionsResponseTopic {
            name: Some(topic.name().clone()),
            topic_id: topic.id(),
            is_internal: topic.is_internal(),
            partitions,
            topic_authorized_operations: authorized_operations::TOPIC,
            ..DescribeTopicPartitionsResponseTopic::default()
        });
        if end < topic.partition_count() {
            self.next_cursor(name, end);
            return false;
        }
        true
    }

    fn next_cursor(&mut self, topic_name: &str, partition: usize) {
        self.response.next_cursor = Some(Cursor {
            topic_name: topic_name.into(),
            partition_index: i32::try_from(partition).unwrap_or(i32::MAX),
            ..Cursor::default()
        });
    }

    fn partition(
        &self,
        topic: &TopicImage,
        index: usize,
    ) -> Option<DescribeTopicPartitionsResponsePartition> {
        let index = i32::try_from(index).ok()?;
        let partition = topic.partition(index)?;
        Some(DescribeTopicPartitionsResponsePartition {
            partition_index: index,
            leader_id: self.view.leader(partition).map_or(NO_LEADER, |id| id.0),
            leader_epoch: partition.leader_epoch.0,
            replica_nodes: numbers(&partition.replicas),
            isr_nodes: numbers(&partition.isr),
            eligible_leader_replicas: Some(numbers(&partition.elr)),
            last_known_elr: Some(numbers(&partition.last_known_elr)),
            offline_replicas: self.view.offline(partition),
            ..DescribeTopicPartitionsResponsePartition::default()
        })
    }
}

fn failed(name: &Utf8Bytes, code: ErrorCode) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic {
        error_code: code.into(),
        name: Some(name.clone()),
        is_internal: is_internal_topic(name),
        topic_authorized_operations: authorized_operations::TOPIC,
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}
