//! What a coordinator has decided to write, as a batch: plain, in a transaction, or the end of one.

use forebay_broker_coordinator::{Append, Record, TransactionPart};
use forebay_broker_log::{TransactionChecks, ValidatedBatch, VerificationGuard};
use forebay_broker_partition::RequiredAcks;
use forebay_records::{
    AppendOrigin, BatchBuilder, BatchOptions, Headers, NO_SEQUENCE, ProducerIdentity, RecordBatch,
    ValidationOptions, validate,
};

use crate::clock;
use crate::replicas::NewAppend;
use crate::transaction_markers;

/// Why there is none: more records than a batch takes.
type Error = Box<dyn std::error::Error + Send + Sync>;

/// An append as the partition's writer takes it; offsets are the log's to assign.
pub(super) fn of(append: Append) -> Result<NewAppend, Error> {
    let (batch, checks) = match append.transaction {
        None => (
            build(append.records, BatchOptions::default())?,
            TransactionChecks::default(),
        ),
        Some(TransactionPart::Records {
            producer_id,
            producer_epoch,
            verification,
        }) => {
            let options = BatchOptions {
                producer: ProducerIdentity {
                    id: producer_id,
                    epoch: producer_epoch,
                    base_sequence: NO_SEQUENCE,
                },
                transactional: true,
                ..BatchOptions::default()
            };
            let checks = TransactionChecks {
                guard: VerificationGuard::from_number(verification),
                ..TransactionChecks::default()
            };
            (build(append.records, options)?, checks)
        }
        Some(TransactionPart::End(end)) => return transaction_markers::append_of(end),
    };
    let options = ValidationOptions {
        origin: AppendOrigin::Coordinator,
        compacted: true,
        ..ValidationOptions::at(clock::now())
    };
    let validated = validate(&batch, &options)?;
    let batches = vec![ValidatedBatch { batch, validated }];
    Ok(NewAppend::new(batches, AppendOrigin::Coordinator, RequiredAcks::All).checked(checks))
}

fn build(records: Vec<Record>, options: BatchOptions) -> Result<RecordBatch, Error> {
    let now = clock::now();
    let mut builder = BatchBuilder::new(options);
    for record in records {
        builder.append(now, Some(&record.key), record.value.as_deref(), &Headers::EMPTY)?;
    }
    Ok(builder.build()?)
}
