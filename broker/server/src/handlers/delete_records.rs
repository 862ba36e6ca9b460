//! DeleteRecords: a partition starts later from now on (`ReplicaManager.deleteRecords`). The answer leaves after the new
//! starts are on the disk, so that deleted records do not come back; the segments that nobody can read go at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use forebay_broker_controller::is_internal_topic;
use forebay_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use forebay_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use forebay_protocol::{ErrorCode, Utf8Bytes};
use forebay_records::Offset;

use crate::call::Call;
use crate::clock;
use crate::error_code::{HasErrorCode, ToErrorCode};
use crate::replicas::Replica;

/// Kafka's number of the high watermark (`DeleteRecordsRequest.HIGH_WATERMARK`).
const HIGH_WATERMARK: i64 = -1;
/// Beside an error (`DeleteRecordsResponse.INVALID_LOW_WATERMARK`).
const NO_LOW_WATERMARK: i64 = -1;

/// What became of a partition.
type Deleted = Result<(Arc<Replica>, Offset), ErrorCode>;

/// Answers a DeleteRecords request.
pub(crate) async fn handle(call: &Call, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    // As in Kafka, of a partition that is named twice the last counts.
    let mut asked: BTreeMap<Utf8Bytes, BTreeMap<i32, i64>> = BTreeMap::new();
    for topic in request.topics {
        let partitions = asked.entry(topic.name).or_default();
        partitions.extend(
            topic
                .partitions
                .into_iter()
                .map(|partition| (partition.partition_index, partition.offset)),
        );
    }
    let mut deleted: Vec<(Utf8Bytes, Vec<(i32, Deleted)>)> = Vec::with_capacity(asked.len());
    for (topic, partitions) in asked {
        let mut results = Vec::with_capacity(partitions.len());
        for (index, offset) in partitions {
            results.push((index, delete(call, &topic, index, offset).await));
        }
        deleted.push((topic, results));
    }
    let changed = deleted
        .iter()
        .flat_map(|(_, results)| results)
        .filter_map(|(_, result)| Some(Arc::clone(&result.as_ref().ok()?.0)));
    let lasts = make_last(call, changed.collect()).await;
    let topics = deleted
        .into_iter()
        .map(|(name, results)| DeleteRecordsTopicResult {
            name,
            partitions: results
                .into_iter()
                .map(|(index, result)| answer(index, &result, lasts))
                .collect(),
            ..DeleteRecordsTopicResult::default()
        });
    DeleteRecordsResponse {
        topics: topics.collect(),
        ..DeleteRecordsResponse::default()
    }
}

async fn delete(call: &Call, topic: &Utf8Bytes, index: i32, offset: i64) -> Deleted {
    if call.core.metadata.image().partition(topic, index).is_none() {
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    if is_internal_topic(topic) {
        return Err(ErrorCode::InvalidTopicException);
    }
    let replica = call.core.replica(topic, index)?;
    if !replica.config().delete {
        return Err(ErrorCode::PolicyViolation);
    }
    let offset = match offset {
        HIGH_WATERMARK => None,
        ..0 => return Err(ErrorCode::OffsetOutOfRange),
        offset => Some(Offset(offset)),
    };
    let low_watermark = replica.delete_records(offset).await.code()?;
    Ok((replica, low_watermark))
}

/// Writes the starts down, and removes what lies before them. An error means that the records may come back.
async fn make_last(call: &Call, changed: Vec<Arc<Replica>>) -> Result<(), ErrorCode> {
    if changed.is_empty() {
        return Ok(());
    }
    let shared = Arc::clone(call.core.replicas.shared());
    let pool = shared.reads.clone();
    let job = move || {
        shared.directory.checkpoint_log_starts()?;
        for replica in changed {
            replica.delete_segments_before_start(clock::now());
        }
        Ok(())
    };
    match pool.run(job).await {
        Ok(written) => written.map_err(|error: forebay_broker_log::Error| error.error_code()),
        Err(_lost) => Err(ErrorCode::KafkaStorageError),
    }
}

fn answer(
    partition_index: i32,
    result: &Deleted,
    lasts: Result<(), ErrorCode>,
) -> DeleteRecordsPartitionResult {
    let low_watermark = result
        .as_ref()
        .map_err(|code| *code)
        .and_then(|(_, offset)| lasts.map(|()| *offset));
    DeleteRecordsPartitionResult {
        partition_index,
        low_watermark: low_watermark.map_or(NO_LOW_WATERMARK, |offset| offset.0),
        error_code: low_watermark.err().unwrap_or(ErrorCode::None).into(),
        ..DeleteRecordsPartitionResult::default()
    }
}
