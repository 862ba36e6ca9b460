//! The part of a Fetch that concerns its session: what it asks for by what is remembered, and which partitions are worth
//! telling. What a session is stands in `forebay-broker-partition`.

use std::sync::PoisonError;

use forebay_broker_partition::{
    FetchAsk, FetchContext, FetchFinished, FetchFound, FetchKey, FetchSessions, SessionError, SessionRequest,
};
use forebay_protocol::messages::fetch_response::PartitionData;
use forebay_protocol::messages::{FetchRequest, FetchResponse};
use forebay_protocol::{ErrorCode, NodeId, Utf8Bytes, Uuid};
use forebay_records::{LeaderEpoch, Offset};

use super::TOPIC_ID_VERSION;
use crate::call::Call;
use crate::clock;
use crate::random::random_bits;

/// Says what is to be read.
///
/// # Errors
/// When the request belongs to a session that is not, or not so, kept.
pub(super) fn begin(
    call: &Call,
    request: FetchRequest,
    follower: Option<NodeId>,
) -> Result<FetchContext, SessionError> {
    let mut partitions = Vec::new();
    for topic in request.topics {
        for asked in topic.partitions {
            let ask = FetchAsk {
                fetch_offset: Offset(asked.fetch_offset),
                max_bytes: asked.partition_max_bytes,
                current_leader_epoch: LeaderEpoch(asked.current_leader_epoch),
                last_fetched_epoch: LeaderEpoch(asked.last_fetched_epoch),
                log_start_offset: Offset(asked.log_start_offset),
            };
            partitions.push((key(&topic.topic, topic.topic_id, asked.partition), ask));
        }
    }
    let mut forgotten = Vec::new();
    for topic in &request.forgotten_topics_data {
        let keys = topic
            .partitions
            .iter()
            .map(|one| key(&topic.topic, topic.topic_id, *one));
        forgotten.extend(keys);
    }
    let session = SessionRequest {
        session_id: request.session_id,
        epoch: request.session_epoch,
        uses_topic_ids: call.version >= TOPIC_ID_VERSION,
        privileged: follower.is_some(),
        partitions,
        forgotten,
    };
    with(call, |sessions| sessions.begin(session, clock::now()))
}

/// Says which of the partitions the answer names, and the session to go on with.
///
/// # Errors
/// When another request has gone on with the session meanwhile.
pub(super) fn finish(
    call: &Call,
    context: &FetchContext,
    answers: &[PartitionData],
) -> Result<FetchFinished, SessionError> {
    let found: Vec<FetchFound> = answers.iter().map(found).collect();
    let new_id = || (random_bits() as i32) & i32::MAX;
    with(call, |sessions| {
        sessions.finish(context, &found, clock::now(), new_id)
    })
}

/// The answer to a request that is not one of its session's.
pub(super) fn refused(error: SessionError) -> FetchResponse {
    let (code, session_id) = match error {
        SessionError::NotFound => (ErrorCode::FetchSessionIdNotFound, 0),
        SessionError::InvalidEpoch { session_id } => (ErrorCode::InvalidFetchSessionEpoch, session_id),
        SessionError::TopicIds => (ErrorCode::FetchSessionTopicIdError, 0),
    };
    FetchResponse {
        error_code: code.into(),
        session_id,
        ..FetchResponse::default()
    }
}

fn key(topic: &Utf8Bytes, topic_id: Uuid, partition: i32) -> FetchKey {
    FetchKey {
        topic: topic.clone(),
        topic_id,
        partition,
    }
}

fn found(answer: &PartitionData) -> FetchFound {
    let records = answer.records.as_ref().is_some_and(|records| !records.is_empty());
    FetchFound {
        news: records || answer.diverging_epoch.epoch >= 0 || answer.preferred_read_replica >= 0,
        records,
        failed: answer.error_code != i16::from(ErrorCode::None),
        high_watermark: Offset(answer.high_watermark),
        last_stable_offset: Offset(answer.last_stable_offset),
        log_start_offset: Offset(answer.log_start_offset),
    }
}

/// Nothing panics while the sessions are held.
fn with<T>(call: &Call, work: impl FnOnce(&mut FetchSessions) -> T) -> T {
    let sessions = &call.core.fetch_sessions;
    work(&mut sessions.lock().unwrap_or_else(PoisonError::into_inner))
}
