//! DescribeProducers: who has written to partitions lately, and whose transactions are open there
//! (`KafkaApis.handleDescribeProducersRequest`, KIP-664).

use forebay_broker_log::{ActiveProducer, Log};
use forebay_protocol::messages::describe_producers_request::TopicRequest;
use forebay_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use forebay_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse};
use forebay_protocol::{ErrorCode, Utf8Bytes};
use forebay_records::{NO_OFFSET, Offset};

use super::room::Room;
use crate::call::Call;
use crate::error_code::ToErrorCode as _;

/// Answers a DescribeProducers request.
pub(crate) async fn handle(call: &Call, request: DescribeProducersRequest) -> DescribeProducersResponse {
    let mut response = DescribeProducersResponse::default();
    let mut room = Room::default();
    for topic in request.topics {
        response.topics.push(describe(call, topic, &mut room).await);
    }
    response
}

async fn describe(call: &Call, topic: TopicRequest, room: &mut Room) -> TopicResponse {
    let mut partitions = Vec::new();
    for partition_index in topic.partition_indexes {
        let found = if room.is_left() {
            producers(call, &topic.name, partition_index).await
        } else if room.tell() {
            // Admin clients look for the leader, and ask that for those that are left.
            Err(ErrorCode::NotLeaderOrFollower)
        } else {
            break;
        };
        let count = found.as_ref().map_or(0, Vec::len);
        room.take(1, count * size_of::<ProducerState>());
        partitions.push(match found {
            Ok(active_producers) => PartitionResponse {
                partition_index,
                active_producers,
                ..PartitionResponse::default()
            },
            Err(code) => PartitionResponse {
                partition_index,
                error_code: code.into(),
                error_message: Some(Utf8Bytes::from_static(code.message())),
                ..PartitionResponse::default()
            },
        });
    }
    TopicResponse {
        name: topic.name,
        partitions,
        ..TopicResponse::default()
    }
}

async fn producers(call: &Call, topic: &str, partition: i32) -> Result<Vec<ProducerState>, ErrorCode> {
    forebay_broker_log::validate_topic_name(topic).map_err(|_| ErrorCode::InvalidTopicException)?;
    let replica = call.core.replica(topic, partition)?;
    let active = replica
        .on_log(|log: &Log| Ok(log.active_producers()))
        .await
        .code()?;
    Ok(active.unwrap_or_default().into_iter().map(state).collect())
}

fn state(producer: ActiveProducer) -> ProducerState {
    ProducerState {
        producer_id: producer.id.0,
        producer_epoch: producer.epoch.0.into(),
        last_sequence: producer.last_sequence.0,
        last_timestamp: producer.last_timestamp.0,
        coordinator_epoch: producer.coordinator_epoch,
        current_txn_start_offset: producer
            .transaction_first_offset
            .map_or(NO_OFFSET.0, Offset::value),
        ..ProducerState::default()
    }
}
