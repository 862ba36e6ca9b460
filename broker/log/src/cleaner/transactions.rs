//! Which transactions are aborted, which are over, and whether any of their records is still there (Kafka's
//! `CleanedTransactionMetadata`): a marker may go only when nothing is left that it decides.

use std::collections::{BTreeMap, HashMap};

use forebay_records::{BatchHeader, ControlRecordType, Error, Offset, ProducerId, RecordBatch};

use super::Broken;
use crate::transaction_index::AbortedTransaction;

/// Goes along with a reader of batches, from the log's beginning or from a later offset.
#[derive(Debug, Clone, Default)]
pub(crate) struct Transactions {
    /// Records before it are deleted, and what was known of their transactions may be.
    start: Offset,
    /// Aborted ones that have not begun where the reader is, by their first offset and producer.
    to_come: BTreeMap<(Offset, ProducerId), AbortedTransaction>,
    /// Aborted ones that have begun, and whether a batch of them was seen.
    aborted: HashMap<ProducerId, (AbortedTransaction, bool)>,
    /// Others of which a batch was seen, and whether one that has records.
    others: HashMap<ProducerId, bool>,
}

/// What a marker means for what was read before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker {
    /// It decides something that is still there; if it is the end of an aborted transaction, that.
    Needed(Option<AbortedTransaction>),
    /// Nothing is left of its transaction.
    Needless,
    /// It aborts records of which the transaction index does not know, so that they were taken for committed.
    Contradicts,
}

impl Transactions {
    /// Of a log that starts at `start`.
    pub(crate) fn of_log(start: Offset) -> Transactions {
        Transactions {
            start,
            ..Transactions::default()
        }
    }

    /// More aborted transactions; those that are known already are passed over.
    pub(crate) fn add_aborted(&mut self, aborted: Vec<AbortedTransaction>) {
        for one in aborted {
            self.to_come.insert((one.first_offset, one.producer_id), one);
        }
    }

    /// Whether a batch of records belongs to an aborted transaction.
    pub(crate) fn on_batch(&mut self, header: &BatchHeader) -> bool {
        self.advance(header.last_offset());
        if !header.is_transactional() {
            return false;
        }
        if let Some((_, seen)) = self.aborted.get_mut(&header.producer_id) {
            *seen = true;
            return !Broken::AbortedCounts.is_on();
        }
        let has_records = self.others.entry(header.producer_id).or_default();
        *has_records |= header.count > 0 && header.next_offset() > self.start;
        false
    }

    /// What a control batch decides.
    ///
    /// # Errors
    /// If its record cannot be read.
    pub(crate) fn on_control_batch(&mut self, batch: &RecordBatch) -> Result<Marker, Error> {
        self.advance(batch.last_offset());
        let producer_id = batch.header().producer_id;
        let mut records = batch.records()?;
        let Some(record) = records.next_ref().transpose()? else {
            // It was emptied, because nothing was left of its transaction. Its producer's next one begins behind it, whatever an
            // entry of the transaction index says that a crash has left.
            self.aborted.remove(&producer_id);
            self.others.remove(&producer_id);
            return Ok(Marker::Needless);
        };
        Ok(match ControlRecordType::parse(record.key.unwrap_or_default())? {
            ControlRecordType::Abort => {
                match (
                    self.aborted.remove(&producer_id),
                    self.others.remove(&producer_id),
                ) {
                    (_, Some(true)) => Marker::Contradicts,
                    (Some((aborted, true)), _) => Marker::Needed(Some(aborted)),
                    (_, Some(false)) => Marker::Needed(None),
                    _ => Marker::Needless,
                }
            }
            ControlRecordType::Commit if self.others.remove(&producer_id).is_some() => Marker::Needed(None),
            ControlRecordType::Commit => Marker::Needless,
            _ => Marker::Needed(None),
        })
    }

    /// The reader has come to `offset`.
    fn advance(&mut self, offset: Offset) {
        while let Some(next) = self.to_come.first_entry() {
            if next.key().0 > offset {
                break;
            }
            let aborted = next.remove();
            self.aborted
                .entry(aborted.producer_id)
                .or_insert((aborted, false));
        }
    }
}

#[cfg(test)]
mod tests {
    use forebay_records::{
        BatchBuilder, BatchOptions, EndTransactionMarker, Headers, ProducerEpoch, ProducerIdentity, Sequence,
    };

    use super::*;
    use crate::testing::NOW;

    fn options(producer_id: i64, base_sequence: i32) -> BatchOptions {
        BatchOptions {
            producer: ProducerIdentity {
                id: ProducerId(producer_id),
                epoch: ProducerEpoch(0),
                base_sequence: Sequence(base_sequence),
            },
            transactional: true,
            ..BatchOptions::default()
        }
    }

    /// A crash can leave the entry of a transaction whose marker was emptied since.
    #[test]
    fn an_emptied_marker_ends_what_an_old_entry_has_begun() {
        let coordinator = EndTransactionMarker { coordinator_epoch: 0 };
        let marker =
            BatchBuilder::end_transaction(options(7, -1), NOW, ControlRecordType::Abort, coordinator);
        let emptied = marker.expect("builds").without_records();
        let mut builder = BatchBuilder::new(options(7, 0));
        builder
            .append(NOW, Some(b"k"), Some(b"v"), &Headers::EMPTY)
            .expect("fits");
        let next = builder.build().expect("builds");
        let mut transactions = Transactions::default();
        transactions.add_aborted(vec![AbortedTransaction {
            producer_id: ProducerId(7),
            first_offset: Offset(0),
            last_offset: Offset(0),
            last_stable_offset: Offset(0),
        }]);
        let marker = transactions.on_control_batch(&emptied).expect("readable");
        assert_eq!(marker, Marker::Needless);
        assert!(
            !transactions.on_batch(next.header()),
            "another transaction, not aborted"
        );
    }
}
