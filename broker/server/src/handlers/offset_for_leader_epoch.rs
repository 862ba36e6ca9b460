//! OffsetForLeaderEpoch: where a leader's records end, so that a client notices a truncation (KIP-320).

use forebay_protocol::ErrorCode;
use forebay_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use forebay_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use forebay_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
use forebay_records::{LeaderEpoch, NO_LEADER_EPOCH, NO_OFFSET};

use crate::call::Call;
use crate::error_code::ToErrorCode;

/// Answers an OffsetForLeaderEpoch request.
pub(crate) fn handle(call: &Call, request: &OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.iter().map(|topic| OffsetForLeaderTopicResult {
        topic: topic.topic.clone(),
        partitions: topic
            .partitions
            .iter()
            .map(|partition| answer(call, &topic.topic, partition))
            .collect(),
        ..OffsetForLeaderTopicResult::default()
    });
    OffsetForLeaderEpochResponse {
        topics: topics.collect(),
        ..OffsetForLeaderEpochResponse::default()
    }
}

fn answer(call: &Call, topic: &str, asked: &OffsetForLeaderPartition) -> EpochEndOffset {
    let (code, leader_epoch, end_offset) = match look_up(call, topic, asked) {
        Ok(end) => (ErrorCode::None, end.leader_epoch, end.end_offset),
        Err(code) => (code, NO_LEADER_EPOCH, NO_OFFSET),
    };
    EpochEndOffset {
        error_code: code.into(),
        partition: asked.partition,
        leader_epoch: leader_epoch.0,
        end_offset: end_offset.0,
        ..EpochEndOffset::default()
    }
}

fn look_up(
    call: &Call,
    topic: &str,
    asked: &OffsetForLeaderPartition,
) -> Result<forebay_broker_partition::EpochEndOffset, ErrorCode> {
    let replica = call.core.replica(topic, asked.partition)?;
    let epochs = replica.epoch_entries();
    let current = Some(LeaderEpoch(asked.current_leader_epoch)).filter(|epoch| *epoch != NO_LEADER_EPOCH);
    let requested = LeaderEpoch(asked.leader_epoch);
    replica
        .with_partition(|partition| partition.offset_for_leader_epoch(current, requested, true, &epochs))
        .code()
}
