//! One pass over the partitions of a fetch, within its bounds of bytes, and their waiting when that gave too little.

use std::sync::Arc;

use forebay_broker_log::{self as log, Read, ReadResult};
use forebay_broker_partition::{
    AwaitFetch, FetchAnswer, FetchBounds, FetchCheck, FetchIsolation, FetchWaiter,
};
use forebay_protocol::messages::fetch_response::{AbortedTransaction, EpochEndOffset, PartitionData};
use forebay_protocol::{Chunk, ErrorCode, FileRange, Records};
use forebay_records::{LeaderEpoch, NO_OFFSET, Offset};

use super::{Plan, PlannedPartition};
use crate::call::Call;
use crate::error_code::ToErrorCode;
use crate::replicas::Replica;

/// Consumers may read from any replica from this version on (KIP-392).
const ANY_REPLICA_VERSION: i16 = 11;
/// Old consumers do not know KAFKA_STORAGE_ERROR.
const STORAGE_ERROR_VERSION: i16 = 6;

/// What one pass over the partitions has given.
pub(super) struct Round {
    pub(super) answers: Vec<PartitionData>,
    bytes: usize,
    /// Something that is to be told at once.
    urgent: bool,
}

impl Round {
    /// Whether the fetch is to be answered now.
    pub(super) fn is_enough(&self, plan: &Plan<'_>) -> bool {
        self.urgent
            || plan.bounds.max_wait.is_zero()
            || self.bytes as u64 >= plan.bounds.min_bytes
            || self.answers.is_empty()
    }
}

/// Reads from each partition what it has, in order, while there is room.
pub(super) async fn read_all(plan: &Plan<'_>) -> Round {
    let mut round = Round {
        answers: Vec::with_capacity(plan.partitions.len()),
        bytes: 0,
        urgent: false,
    };
    for partition in &plan.partitions {
        let index = partition.key.partition;
        let answer = match &partition.replica {
            Ok(replica) => read_one(plan, partition, replica, round.bytes)
                .await
                .map_err(|code| failed(plan.version, index, code)),
            Err(code) => Err(not_there(plan.version, index, *code)),
        };
        match answer {
            Ok(answer) => {
                round.bytes += answer.records.as_ref().map_or(0, Records::len);
                round.urgent |= answer.diverging_epoch.epoch >= 0;
                round.answers.push(answer);
            }
            Err(answer) => {
                round.urgent = true;
                round.answers.push(answer);
            }
        }
    }
    round
}

async fn read_one(
    plan: &Plan<'_>,
    partition: &PlannedPartition<'_>,
    replica: &Replica,
    bytes_so_far: usize,
) -> Result<PartitionData, ErrorCode> {
    let (index, ask) = (partition.key.partition, &partition.ask);
    let bounds = match replica.check_fetch(&check(plan, partition)).code()? {
        FetchAnswer::Read(bounds) => bounds,
        FetchAnswer::Diverging { end, bounds } => {
            let mut answer = empty(plan, index, &bounds);
            answer.diverging_epoch = EpochEndOffset {
                epoch: end.leader_epoch.0,
                end_offset: end.end_offset.0,
                ..EpochEndOffset::default()
            };
            return Ok(answer);
        }
    };
    let mut answer = empty(plan, index, &bounds);
    let room = plan.bounds.max_bytes.saturating_sub(bytes_so_far);
    let offset = ask.fetch_offset;
    if offset >= bounds.end_offset || (room == 0 && bytes_so_far > 0) {
        return Ok(answer);
    }
    let read = Read {
        offset,
        up_to: bounds.end_offset,
        max_bytes: usize::try_from(ask.max_bytes).unwrap_or(0).min(room),
        min_one_batch: bytes_so_far == 0,
    };
    let result = match replica.read_cached(&read) {
        Some(result) => result,
        None => replica.read(read).await,
    };
    let result = result.code()?;
    if plan.bounds.isolation == FetchIsolation::TxnCommitted {
        answer.aborted_transactions = Some(aborted(replica, offset, &result).await?);
    }
    answer.records = Some(records(result));
    Ok(answer)
}

fn check(plan: &Plan<'_>, partition: &PlannedPartition<'_>) -> FetchCheck {
    let epoch = |epoch: LeaderEpoch| Some(epoch).filter(|epoch| epoch.is_some());
    FetchCheck {
        fetch_offset: partition.ask.fetch_offset,
        isolation: plan.bounds.isolation,
        current_leader_epoch: epoch(partition.ask.current_leader_epoch),
        last_fetched_epoch: epoch(partition.ask.last_fetched_epoch),
        replica: plan.bounds.replica,
        leader_only: plan.bounds.replica.is_some() || plan.version < ANY_REPLICA_VERSION,
    }
}

/// Transactions that were aborted within what is answered; consumers skip their records.
async fn aborted(
    replica: &Replica,
    from: Offset,
    result: &ReadResult,
) -> Result<Vec<AbortedTransaction>, ErrorCode> {
    let Some(log) = replica.log() else {
        return Ok(Vec::new());
    };
    let up_to = result.next_offset;
    let found = if log.may_have_aborted_transactions(from) {
        let found = replica.on_log(move |log| log.aborted_transactions(from, up_to));
        found.await.code()?.unwrap_or_default()
    } else {
        Vec::new()
    };
    // What was known of them has gone with records that were deleted since they were read: without it they must not be given out.
    if from < log.log_start_offset() {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    let transaction = |one: log::AbortedTransaction| AbortedTransaction {
        producer_id: one.producer_id.0,
        first_offset: one.first_offset.0,
        ..AbortedTransaction::default()
    };
    Ok(found.into_iter().map(transaction).collect())
}

/// No records: zero bytes, not null, which librdkafka refuses.
fn empty(plan: &Plan<'_>, partition_index: i32, bounds: &FetchBounds) -> PartitionData {
    PartitionData {
        partition_index,
        high_watermark: bounds.high_watermark.0,
        last_stable_offset: bounds.last_stable_offset.0,
        log_start_offset: bounds.log_start_offset.0,
        aborted_transactions: (plan.bounds.isolation == FetchIsolation::TxnCommitted).then(Vec::new),
        preferred_read_replica: -1,
        records: Some(Records::EMPTY),
        ..PartitionData::default()
    }
}

/// Kafka looks topics up before it reads, and answers with an empty list there where it has none for an error of the read.
pub(super) fn not_there(version: i16, partition_index: i32, code: ErrorCode) -> PartitionData {
    let looked_up = code != ErrorCode::NotLeaderOrFollower;
    PartitionData {
        aborted_transactions: looked_up.then(Vec::new),
        ..failed(version, partition_index, code)
    }
}

fn failed(version: i16, partition_index: i32, code: ErrorCode) -> PartitionData {
    let code = match code {
        ErrorCode::KafkaStorageError if version < STORAGE_ERROR_VERSION => ErrorCode::NotLeaderOrFollower,
        code => code,
    };
    PartitionData {
        partition_index,
        error_code: code.into(),
        high_watermark: NO_OFFSET.0,
        last_stable_offset: NO_OFFSET.0,
        log_start_offset: NO_OFFSET.0,
        aborted_transactions: None,
        preferred_read_replica: -1,
        records: Some(Records::EMPTY),
        ..PartitionData::default()
    }
}

fn records(result: ReadResult) -> Records {
    let mut chunks: Vec<Chunk> = result.chunks.into_iter().map(chunk).collect();
    match (chunks.pop(), chunks.is_empty()) {
        (None, _) => Records::EMPTY,
        (Some(Chunk::Bytes(bytes)), true) => Records::Memory(bytes),
        (Some(Chunk::File(range)), true) => Records::File(range),
        (Some(last), false) => {
            chunks.push(last);
            Records::Chunks(chunks)
        }
    }
}

fn chunk(chunk: log::Chunk) -> Chunk {
    match chunk {
        log::Chunk::Bytes(bytes) => Chunk::Bytes(bytes),
        log::Chunk::File(range) => Chunk::File(FileRange {
            file: range.file,
            position: range.position,
            length: u32::try_from(range.length)
                .expect("a read is bounded by fetch.max.bytes or one batch, an i32 each"),
        }),
    }
}

/// A fetch that waits at its partitions; they forget it when this is dropped, also if the caller is.
pub(super) struct Waiting<'a> {
    call: &'a Call,
    waiter: FetchWaiter,
    replicas: Vec<&'a Arc<Replica>>,
}

impl<'a> Waiting<'a> {
    /// Registers at each partition. One that has moved since it was read says so at once.
    pub(super) fn begin(call: &'a Call, plan: &'a Plan<'a>, waiter: FetchWaiter) -> Self {
        let mut replicas = Vec::new();
        for (index, partition) in plan.partitions.iter().enumerate() {
            let Ok(replica) = &partition.replica else { continue };
            let leader_epoch = replica.with_partition(forebay_broker_partition::Partition::leader_epoch);
            replica.await_fetch(AwaitFetch {
                waiter,
                index,
                fetch_offset: partition.ask.fetch_offset,
                isolation: plan.bounds.isolation,
                bytes_max: u64::try_from(partition.ask.max_bytes).unwrap_or(0),
                leader_epoch,
            });
            replicas.push(replica);
        }
        Self {
            call,
            waiter,
            replicas,
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.call.core.replicas.shared().fetch_waits.cancel(self.waiter);
        for replica in &self.replicas {
            replica.cancel_fetch(self.waiter);
        }
    }
}
