//! Checks the batches that are about to be appended and collects what they change (Kafka's `ProducerAppendInfo`), apart
//! from the state itself: several requests are checked one after the other, each against what those before it would
//! change, and then written at once; if the write fails, all of it is dropped.

use std::collections::{BTreeSet, HashMap};

use forebay_records::{
    AppendOrigin, BatchHeader, ControlRecordType, EndTransactionMarker, NO_PRODUCER_EPOCH, Offset,
    ProducerEpoch, ProducerId, RecordBatch, Timestamp,
};

use super::ProducerStates;
use super::entry::{BatchMetadata, ProducerEntry};
use super::verification::{TransactionChecks, Verification, VerificationGuard};
use crate::error::{Error, Result};
use crate::topic_partition::TopicPartition;

/// A transaction that a marker ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CompletedTransaction {
    pub(crate) producer_id: ProducerId,
    pub(crate) first_offset: Offset,
    /// Offset of the marker.
    pub(crate) last_offset: Offset,
    pub(crate) aborted: bool,
}

/// What happens to transactions, in the order of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TransactionEvent {
    Started {
        producer_id: ProducerId,
        first_offset: Offset,
    },
    Completed(CompletedTransaction),
}

/// What some batches change.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProducerUpdate {
    pub(super) entries: HashMap<ProducerId, ProducerEntry>,
    pub(super) events: Vec<TransactionEvent>,
    /// Producers whose question to the coordinator is over: a batch or a marker of them was taken.
    pub(super) verified: BTreeSet<ProducerId>,
}

/// The epoch before which none is greater.
const PRODUCER_EPOCH_MAX: ProducerEpoch = ProducerEpoch(i16::MAX);
/// Since this `transaction.version` a producer's epoch grows with each transaction.
const RAISED_EPOCH_VERSION: u16 = 2;

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checks {
    origin: Option<AppendOrigin>,
    transaction: TransactionChecks,
    verification: bool,
}

impl Checks {
    /// Nothing: replication, and what is in the log already.
    pub(crate) const NONE: Checks = Checks {
        origin: None,
        transaction: TransactionChecks {
            guard: VerificationGuard::NONE,
            required: false,
            version: 0,
        },
        verification: false,
    };

    /// Epochs, and sequences as the origin asks; with `verification` also that a transaction's coordinator knows of it.
    pub(crate) const fn of(
        origin: AppendOrigin,
        transaction: TransactionChecks,
        verification: bool,
    ) -> Checks {
        Checks {
            origin: Some(origin),
            transaction,
            verification,
        }
    }

    fn are_on(&self) -> bool {
        self.origin.is_some()
    }
}

/// The end of a transaction as its control batch says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) coordinator_epoch: i32,
    pub(crate) commit: bool,
    pub(crate) timestamp: Timestamp,
}

impl Marker {
    /// The marker in a control batch; none if it is of another kind, or was emptied by compaction.
    pub(crate) fn parse(batch: &RecordBatch) -> std::result::Result<Option<Marker>, forebay_records::Error> {
        let mut records = batch.records()?;
        let Some(record) = records.next_ref().transpose()? else {
            return Ok(None);
        };
        let commit = match ControlRecordType::parse(record.key.unwrap_or_default())? {
            ControlRecordType::Commit => true,
            ControlRecordType::Abort => false,
            _ => return Ok(None),
        };
        let marker = EndTransactionMarker::parse(record.value.unwrap_or_default())?;
        let timestamp = record.timestamp;
        Ok(Some(Marker {
            coordinator_epoch: marker.coordinator_epoch,
            commit,
            timestamp,
        }))
    }
}

/// The state as it is with an update on top, and the partition for messages.
pub(crate) struct Pending<'a> {
    pub(crate) partition: &'a TopicPartition,
    pub(crate) states: &'a ProducerStates,
    pub(crate) update: &'a mut ProducerUpdate,
}

impl Pending<'_> {
    fn entry(&self, producer_id: ProducerId) -> ProducerEntry {
        let changed = self.update.entries.get(&producer_id);
        changed
            .or_else(|| self.states.entries.get(&producer_id))
            .copied()
            .unwrap_or(ProducerEntry::UNKNOWN)
    }

    /// The batch in the log, or about to be, that `header` repeats.
    pub(crate) fn find_duplicate(&self, header: &BatchHeader) -> Option<BatchMetadata> {
        let entry = self.entry(header.producer_id);
        entry.find_duplicate(
            header.producer_epoch,
            header.base_sequence,
            header.last_sequence(),
        )
    }

    /// Checks a batch of an idempotent producer, with its final offsets in `header`, and takes it into the update.
    /// `marker` is what a control batch says.
    pub(crate) fn add(&mut self, header: &BatchHeader, marker: Option<Marker>, checks: Checks) -> Result<()> {
        if !header.has_producer_id() {
            return Ok(());
        }
        let mut entry = self.entry(header.producer_id);
        match marker {
            Some(marker) => self.end_transaction(&mut entry, header, marker, checks)?,
            None if header.is_control() => return Ok(()),
            None => self.add_data(&mut entry, header, checks)?,
        }
        if header.is_transactional() {
            self.update.verified.insert(header.producer_id);
        }
        self.update.entries.insert(header.producer_id, entry);
        Ok(())
    }

    /// The question to the coordinator that is open for a producer.
    fn verification(&self, producer_id: ProducerId) -> Option<&Verification> {
        let verification = self.states.verifications.get(&producer_id)?;
        (!self.update.verified.contains(&producer_id)).then_some(verification)
    }

    /// The first batch of a transaction is taken only if its coordinator knows that this partition takes part: else nobody
    /// would end it.
    fn check_verified(&self, entry: &ProducerEntry, header: &BatchHeader, checks: Checks) -> Result<()> {
        if !(checks.verification || checks.transaction.required)
            || !header.is_transactional()
            || entry.is_in_transaction(header.producer_epoch)
        {
            return Ok(());
        }
        let asked = self.verification(header.producer_id).map(|one| one.guard);
        if asked.is_some_and(|guard| guard == checks.transaction.guard) {
            return Ok(());
        }
        Err(Error::Unverified {
            partition: self.partition.clone(),
            producer_id: header.producer_id,
        })
    }

    fn add_data(&mut self, entry: &mut ProducerEntry, header: &BatchHeader, checks: Checks) -> Result<()> {
        self.check_epoch(entry, header, checks)?;
        self.check_verified(entry, header, checks)?;
        if checks.origin == Some(AppendOrigin::Client) {
            self.check_first_sequence(entry, header)?;
            self.check_sequence(entry, header)?;
        }
        if entry.transaction_first_offset.is_some() && !header.is_transactional() {
            return Err(Error::InvalidTransactionState {
                partition: self.partition.clone(),
                producer_id: header.producer_id,
            });
        }
        entry.add_batch(
            header.producer_epoch,
            BatchMetadata {
                last_sequence: header.last_sequence(),
                last_offset: header.last_offset(),
                offset_delta: header.last_offset_delta,
                timestamp: header.max_timestamp,
            },
        );
        if header.is_transactional() && entry.transaction_first_offset.is_none() {
            entry.transaction_first_offset = Some(header.base_offset);
            let (producer_id, first_offset) = (header.producer_id, header.base_offset);
            self.update.events.push(TransactionEvent::Started {
                producer_id,
                first_offset,
            });
        }
        Ok(())
    }

    fn end_transaction(
        &mut self,
        entry: &mut ProducerEntry,
        header: &BatchHeader,
        marker: Marker,
        checks: Checks,
    ) -> Result<()> {
        if checks.are_on() {
            self.check_marker(entry, header, marker, checks)?;
        }
        entry.set_epoch(header.producer_epoch);
        entry.coordinator_epoch = marker.coordinator_epoch;
        entry.last_timestamp = marker.timestamp;
        // A marker without records before it decides nothing.
        if let Some(first_offset) = entry.transaction_first_offset.take() {
            self.update
                .events
                .push(TransactionEvent::Completed(CompletedTransaction {
                    producer_id: header.producer_id,
                    first_offset,
                    last_offset: header.last_offset(),
                    aborted: !marker.commit,
                }));
        }
        Ok(())
    }

    /// With transaction version 2 the marker's epoch is that of the next transaction, so that one of an older transaction, come
    /// late, cannot end this one. An equal epoch without a transaction is the same marker once more.
    fn check_marker(
        &self,
        entry: &ProducerEntry,
        header: &BatchHeader,
        marker: Marker,
        checks: Checks,
    ) -> Result<()> {
        let epoch = header.producer_epoch;
        let must_be_higher = checks.transaction.version >= RAISED_EPOCH_VERSION
            && entry.transaction_first_offset.is_some()
            && epoch != PRODUCER_EPOCH_MAX;
        if epoch < entry.epoch || (must_be_higher && epoch == entry.epoch) {
            return Err(self.invalid_epoch(entry, header.producer_id, epoch));
        }
        if entry.coordinator_epoch > marker.coordinator_epoch {
            return Err(Error::TransactionCoordinatorFenced {
                partition: self.partition.clone(),
                producer_id: header.producer_id,
                coordinator_epoch: marker.coordinator_epoch,
                last_coordinator_epoch: entry.coordinator_epoch,
            });
        }
        Ok(())
    }

    fn check_epoch(&self, entry: &ProducerEntry, header: &BatchHeader, checks: Checks) -> Result<()> {
        if header.producer_epoch >= entry.epoch || !checks.are_on() {
            return Ok(());
        }
        Err(self.invalid_epoch(entry, header.producer_id, header.producer_epoch))
    }

    fn invalid_epoch(&self, entry: &ProducerEntry, producer_id: ProducerId, epoch: ProducerEpoch) -> Error {
        Error::InvalidProducerEpoch {
            partition: self.partition.clone(),
            producer_id,
            epoch,
            last_epoch: entry.epoch,
        }
    }

    /// While the coordinator was asked, later batches may not pass the one that it was asked for; and a producer that raises
    /// its epoch begins with 0 where nothing is known of it.
    fn check_first_sequence(&self, entry: &ProducerEntry, header: &BatchHeader) -> Result<()> {
        let Some(verification) = self.verification(header.producer_id) else {
            return Ok(());
        };
        let sequence = header.base_sequence;
        let is_unknown = entry.last_batch().is_none();
        if sequence > verification.lowest_sequence
            || (verification.raises_epoch && is_unknown && sequence.value() != 0)
        {
            return Err(self.out_of_order(entry, header));
        }
        Ok(())
    }

    /// A known producer goes on where it was, and begins a new epoch with 0. Of an unknown one, all of whose batches
    /// may have been deleted, any sequence is taken.
    fn check_sequence(&self, entry: &ProducerEntry, header: &BatchHeader) -> Result<()> {
        let last_sequence = entry.last_sequence();
        let follows = if entry.epoch == NO_PRODUCER_EPOCH {
            true
        } else if header.producer_epoch != entry.epoch || last_sequence.is_none() {
            header.base_sequence.value() == 0
        } else {
            header.base_sequence == last_sequence.next()
        };
        if follows {
            return Ok(());
        }
        Err(self.out_of_order(entry, header))
    }

    fn out_of_order(&self, entry: &ProducerEntry, header: &BatchHeader) -> Error {
        Error::OutOfOrderSequence {
            partition: self.partition.clone(),
            producer_id: header.producer_id,
            sequence: header.base_sequence,
            last_sequence: entry.last_sequence(),
        }
    }
}
