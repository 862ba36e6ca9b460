//! The ends of transactions, written into the partitions that take part (`KafkaApis.handleWriteTxnMarkersRequest`): whoever
//! coordinates a transaction calls [`write`], in this process or through the API.

use forebay_broker_log::{TransactionChecks, ValidatedBatch};
use forebay_broker_partition::RequiredAcks;
use forebay_protocol::{ErrorCode, TopicPartition};
use forebay_records::{
    AppendOrigin, BatchBuilder, BatchOptions, ControlRecordType, EndTransactionMarker, NO_SEQUENCE,
    ProducerEpoch, ProducerId, ProducerIdentity, ValidationOptions, validate,
};

use crate::clock;
use crate::core::Core;
use crate::error_code::ToErrorCode as _;
use crate::replicas::NewAppend;

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

/// Writes the end of a transaction into its partitions and waits until it is committed in each. The answers are in the order of
/// `partitions`. Writing it once more is harmless.
pub(crate) async fn write(
    core: &Core,
    marker: Marker,
    partitions: Vec<TopicPartition>,
) -> Vec<(TopicPartition, Result<(), ErrorCode>)> {
    let mut written = Vec::with_capacity(partitions.len());
    // All are in their queues before any is waited for.
    for partition in partitions {
        let queued = append(core, marker, &partition);
        written.push((partition, queued));
    }
    let mut answers = Vec::with_capacity(written.len());
    for (partition, queued) in written {
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

type Queued = tokio::sync::oneshot::Receiver<Result<forebay_broker_log::Appended, crate::replicas::Error>>;

fn append(core: &Core, marker: Marker, partition: &TopicPartition) -> Result<Queued, ErrorCode> {
    let replica = core.replica(&partition.topic, partition.partition)?;
    let batch = control_batch(marker).map_err(|error| {
        tracing::error!(%error, "the end of a transaction cannot be encoded");
        ErrorCode::UnknownServerError
    })?;
    let checks = TransactionChecks {
        version: marker.transaction_version,
        ..TransactionChecks::default()
    };
    let append = NewAppend::new(vec![batch], AppendOrigin::Coordinator, RequiredAcks::All);
    replica.append(append.checked(checks)).code()
}

/// The control batch that ends a transaction; its offset is the log's to assign.
fn control_batch(marker: Marker) -> Result<ValidatedBatch, Box<dyn std::error::Error>> {
    let now = clock::now();
    let options = BatchOptions {
        producer: ProducerIdentity {
            id: marker.producer_id,
            epoch: marker.producer_epoch,
            base_sequence: NO_SEQUENCE,
        },
        transactional: true,
        ..BatchOptions::default()
    };
    let kind = if marker.commit {
        ControlRecordType::Commit
    } else {
        ControlRecordType::Abort
    };
    let end = EndTransactionMarker {
        coordinator_epoch: marker.coordinator_epoch,
    };
    let batch = BatchBuilder::end_transaction(options, now, kind, end)?;
    let validated = validate(
        &batch,
        &ValidationOptions {
            origin: AppendOrigin::Coordinator,
            ..ValidationOptions::at(now)
        },
    )?;
    Ok(ValidatedBatch { batch, validated })
}
