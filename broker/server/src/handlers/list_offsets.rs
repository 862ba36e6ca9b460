//! ListOffsets: the first, the last, or the offset of a time (`ReplicaManager.fetchOffset`).

use std::collections::HashSet;
use std::sync::Arc;

use forebay_broker_partition::FetchIsolation;
use forebay_protocol::messages::list_offsets_request::ListOffsetsPartition;
use forebay_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use forebay_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use forebay_protocol::{ErrorCode, Utf8Bytes};
use forebay_records::{LeaderEpoch, NO_LEADER_EPOCH, NO_OFFSET, NO_TIMESTAMP, Offset, Timestamp};

use crate::call::Call;
use crate::error_code::ToErrorCode;
use crate::replicas::Replica;

/// Kafka's numbers of what may be asked for instead of a time (`ListOffsetsRequest`).
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// The replica id of consumers, and of tools that may ask any replica.
const CONSUMER: i32 = -1;
const DEBUGGING: i32 = -2;
/// Kafka's number of `read_committed`.
const READ_COMMITTED: i8 = 1;

struct Found {
    offset: Offset,
    timestamp: Timestamp,
    leader_epoch: LeaderEpoch,
}

/// Answers a ListOffsets request.
pub(crate) async fn handle(call: &Call, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let isolation = match (request.replica_id, request.isolation_level) {
        (CONSUMER, READ_COMMITTED) => FetchIsolation::TxnCommitted,
        (CONSUMER, _) => FetchIsolation::HighWatermark,
        _ => FetchIsolation::LogEnd,
    };
    let leader_only = request.replica_id != DEBUGGING;
    let repeated = repeated(&request);
    let mut told = HashSet::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let name = (topic.name.clone(), partition.partition_index);
            let is_repeated = repeated.contains(&name);
            // As Kafka: refused, and told of once.
            if is_repeated && !told.insert(name) {
                continue;
            }
            let found = if is_repeated {
                Err(ErrorCode::InvalidRequest)
            } else if call.version < first_version(partition.timestamp) {
                Err(ErrorCode::UnsupportedVersion)
            } else {
                look_up(call, &topic.name, &partition, isolation, leader_only).await
            };
            partitions.push(answer(partition.partition_index, found, call.version));
        }
        topics.push(ListOffsetsTopicResponse {
            name: topic.name,
            partitions,
            ..Default::default()
        });
    }
    ListOffsetsResponse {
        topics,
        ..ListOffsetsResponse::default()
    }
}

/// Partitions that are asked for more than once.
fn repeated(request: &ListOffsetsRequest) -> HashSet<(Utf8Bytes, i32)> {
    let mut seen = HashSet::new();
    let all = request.topics.iter().flat_map(|topic| {
        topic
            .partitions
            .iter()
            .map(|partition| (topic.name.clone(), partition.partition_index))
    });
    all.filter(|partition| !seen.insert(partition.clone())).collect()
}

/// The first version that knows what the timestamp stands for.
fn first_version(timestamp: i64) -> i16 {
    match timestamp {
        0.. | LATEST | EARLIEST => 1,
        MAX_TIMESTAMP => 7,
        EARLIEST_LOCAL => 8,
        LATEST_TIERED => 9,
        EARLIEST_PENDING_UPLOAD => 11,
        _ => i16::MAX,
    }
}

async fn look_up(
    call: &Call,
    topic: &str,
    partition: &ListOffsetsPartition,
    isolation: FetchIsolation,
    leader_only: bool,
) -> Result<Option<Found>, ErrorCode> {
    let replica = call.core.replica(topic, partition.partition_index)?;
    let epoch = Some(LeaderEpoch(partition.current_leader_epoch)).filter(|epoch| *epoch != NO_LEADER_EPOCH);
    let (bounds, latest) = replica
        .with_partition(|state| {
            let bounds = state.check_list_offsets(epoch, isolation, leader_only)?;
            Ok::<_, forebay_broker_partition::Error>((bounds, state.check_latest_available()))
        })
        .code()?;
    let found = match partition.timestamp {
        LATEST => {
            latest.code()?;
            let end = Found {
                offset: bounds.end_offset,
                timestamp: NO_TIMESTAMP,
                leader_epoch: bounds.leader_epoch,
            };
            return Ok(Some(end));
        }
        EARLIEST | EARLIEST_LOCAL => {
            let leader_epoch = earliest_epoch(&replica, bounds.log_start_offset);
            return Ok(Some(Found {
                offset: bounds.log_start_offset,
                timestamp: NO_TIMESTAMP,
                leader_epoch,
            }));
        }
        // Nothing is kept elsewhere.
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => {
            return Ok(Some(Found {
                offset: NO_OFFSET,
                timestamp: NO_TIMESTAMP,
                leader_epoch: NO_LEADER_EPOCH,
            }));
        }
        MAX_TIMESTAMP => replica
            .on_log(move |log| log.max_timestamp())
            .await
            .code()?
            .flatten(),
        timestamp => {
            let from = Timestamp(timestamp);
            replica
                .on_log(move |log| log.offset_for_timestamp(from))
                .await
                .code()?
                .flatten()
        }
    };
    match found {
        Some(found) if found.offset < bounds.end_offset => Ok(Some(Found {
            offset: found.offset,
            timestamp: found.timestamp,
            leader_epoch: found.leader_epoch,
        })),
        // Not to be seen yet, or nothing is that young.
        _ => latest.code().map(|()| None),
    }
}

/// The epoch of the log's first record, if it is known.
fn earliest_epoch(replica: &Arc<Replica>, log_start_offset: Offset) -> LeaderEpoch {
    replica
        .epoch_entries()
        .first()
        .filter(|first| first.start_offset <= log_start_offset)
        .map_or(NO_LEADER_EPOCH, |first| first.epoch)
}

fn answer(
    partition_index: i32,
    found: Result<Option<Found>, ErrorCode>,
    version: i16,
) -> ListOffsetsPartitionResponse {
    // "No match" is -1 and -1, never a time without an offset.
    let none = ListOffsetsPartitionResponse {
        partition_index,
        timestamp: NO_TIMESTAMP.0,
        offset: NO_OFFSET.0,
        leader_epoch: NO_LEADER_EPOCH.0,
        ..ListOffsetsPartitionResponse::default()
    };
    match found {
        Ok(None) => none,
        Ok(Some(found)) => ListOffsetsPartitionResponse {
            timestamp: found.timestamp.0,
            offset: found.offset.0,
            leader_epoch: if version >= 4 {
                found.leader_epoch.0
            } else {
                NO_LEADER_EPOCH.0
            },
            ..none
        },
        Err(ErrorCode::OffsetNotAvailable) if version < 5 => ListOffsetsPartitionResponse {
            error_code: ErrorCode::LeaderNotAvailable.into(),
            ..none
        },
        Err(code) => ListOffsetsPartitionResponse {
            error_code: code.into(),
            ..none
        },
    }
}
