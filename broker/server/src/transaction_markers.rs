//! The ends of transactions, written into the partitions that take part (`KafkaApis.handleWriteTxnMarkersRequest`): whoever
//! coordinates a transaction calls [`write`], in this process or through the API.

use std::error::Error;

use forebay_broker_controller::CONSUMER_OFFSETS;
use forebay_broker_coordinator::EndOfTransaction;
use forebay_broker_log::{Appended, TransactionChecks, ValidatedBatch};
use forebay_broker_partition::RequiredAcks;
use forebay_protocol::{ErrorCode, TopicPartition};
use forebay_records::{
    AppendOrigin, BatchBuilder, BatchOptions, ControlRecordType, EndTransactionMarker, NO_SEQUENCE,
    ProducerEpoch, ProducerId, ProducerIdentity, ValidationOptions, validate,
};
use tokio::sync::oneshot;

use crate::clock;
use crate::core::Core;
use crate::error_code::ToErrorCode as _;
use crate::replicas::{self, NewAppend};

/// The end of a transaction, as its coordinator decided it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marker {
    /// Whose transaction.
    pub(crate) producer_id: ProducerId,
    /// The producer's epoch; with transaction version 2 the one after that of the transaction's records.
    pub(crate) producer_epoch: ProducerEpoch,
    /// Committed, or aborted.
    pub(crate) commit: bool,
    /// The epoch of the coordinator: an older one is fenced by what a newer one wrote.
    pub(crate) coordinator_epoch: i32,
    /// The `transaction.version` by which the transaction was run (KIP-890): 0, 1 or 2.
    pub(crate) transaction_version: u16,
}

impl From<Marker> for EndOfTransaction {
    fn from(marker: Marker) -> Self {
        Self {
            producer_id: marker.producer_id,
            producer_epoch: marker.producer_epoch,
            coordinator_epoch: marker.coordinator_epoch,
            transaction_version: marker.transaction_version,
            commit: marker.commit,
        }
    }
}

/// Writes the end of a transaction into its partitions and waits until it is committed in each. Writing it once more is harmless.
pub(crate) async fn write(
    core: &Core,
    marker: Marker,
    partitions: Vec<TopicPartition>,
) -> Vec<(TopicPartition, Result<(), ErrorCode>)> {
    let (groups, data): (Vec<_>, Vec<_>) = partitions
        .into_iter()
        .partition(|partition| partition.topic == *CONSUMER_OFFSETS);
    // All are in their queues before any is waited for.
    let queued: Vec<_> = data
        .into_iter()
        .map(|partition| (queue(core, marker, &partition), partition))
        .collect();
    let mut answers = Vec::with_capacity(queued.len() + groups.len());
    for partition in groups {
        let answer = end_in_groups(core, marker, partition.partition).await;
        answers.push((partition, answer));
    }
    for (queued, partition) in queued {
        let answer = match queued {
            Ok(receiver) => match receiver.await {
                Ok(result) => result.map(drop).code(),
                // A writer that is gone without a word: the broker stops.
                Err(_gone) => Err(ErrorCode::NotLeaderOrFollower),
            },
            Err(code) => Err(code),
        };
        answers.push((partition, answer));
    }
    answers
}

type Queued = oneshot::Receiver<Result<Appended, replicas::Error>>;

fn queue(core: &Core, marker: Marker, partition: &TopicPartition) -> Result<Queued, ErrorCode> {
    let replica = core.replica(&partition.topic, partition.partition)?;
    let append = append_of(marker.into()).map_err(|error| {
        tracing::error!(%error, "the end of a transaction cannot be encoded");
        ErrorCode::UnknownServerError
    })?;
    replica.append(append).code()
}

/// Where groups keep their offsets the coordinator over the partition writes the marker, in its turn.
async fn end_in_groups(core: &Core, marker: Marker, partition: i32) -> Result<(), ErrorCode> {
    let _here = core.replica(CONSUMER_OFFSETS, partition)?;
    core.groups.end_transaction(partition, marker.into()).await
}

/// The marker that ends a transaction, for the writer of a partition.
///
/// # Errors
/// None that is known: a marker always fits into a batch.
pub(crate) fn append_of(end: EndOfTransaction) -> Result<NewAppend, Box<dyn Error + Send + Sync>> {
    let now = clock::now();
    let options = BatchOptions {
        producer: ProducerIdentity {
            id: end.producer_id,
            epoch: end.producer_epoch,
            base_sequence: NO_SEQUENCE,
        },
        transactional: true,
        ..BatchOptions::default()
    };
    let kind = if end.commit {
        ControlRecordType::Commit
    } else {
        ControlRecordType::Abort
    };
    let marker = EndTransactionMarker {
        coordinator_epoch: end.coordinator_epoch,
    };
    let batch = BatchBuilder::end_transaction(options, now, kind, marker)?;
    let options = ValidationOptions {
        origin: AppendOrigin::Coordinator,
        ..ValidationOptions::at(now)
    };
    let validated = validate(&batch, &options)?;
    let checks = TransactionChecks {
        version: end.transaction_version,
        ..TransactionChecks::default()
    };
    let batches = vec![ValidatedBatch { batch, validated }];
    Ok(NewAppend::new(batches, AppendOrigin::Coordinator, RequiredAcks::All).checked(checks))
}
