//! What is remembered of one idempotent producer in one partition (Kafka's `ProducerStateEntry`): its epoch and its last
//! batches, inline, so that updating it allocates nothing.

use forebay_records::{
    NO_PRODUCER_EPOCH, NO_SEQUENCE, NO_TIMESTAMP, Offset, ProducerEpoch, Sequence, Timestamp,
};

/// So many batches are remembered, which is how many a producer may have in flight (`NUM_BATCHES_TO_RETAIN`).
pub(crate) const BATCHES_RETAINED: usize = 5;

/// No coordinator has written a marker.
pub(crate) const NO_COORDINATOR_EPOCH: i32 = -1;

/// A batch as far as recognising it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchMetadata {
    pub(crate) last_sequence: Sequence,
    pub(crate) last_offset: Offset,
    /// Last offset minus first; also last sequence minus first.
    pub(crate) offset_delta: i32,
    pub(crate) timestamp: Timestamp,
}

impl BatchMetadata {
    pub(crate) fn first_sequence(&self) -> Sequence {
        self.last_sequence.minus(self.offset_delta)
    }

    pub(crate) fn first_offset(&self) -> Offset {
        self.last_offset - i64::from(self.offset_delta)
    }
}

/// The state of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProducerEntry {
    pub(crate) epoch: ProducerEpoch,
    /// Of the transaction coordinator that wrote the last marker; -1 for none.
    pub(crate) coordinator_epoch: i32,
    /// Of the last batch's records, or of the last marker; what Kafka keeps in snapshots.
    pub(crate) last_timestamp: Timestamp,
    /// When its last batch was appended; when the log was opened if that was later. Not kept on disk.
    pub(crate) last_heard: Timestamp,
    /// Where the open transaction begins.
    pub(crate) transaction_first_offset: Option<Offset>,
    batches: [Option<BatchMetadata>; BATCHES_RETAINED],
}

impl ProducerEntry {
    /// A producer of which nothing is known: any sequence may come first.
    pub(crate) const UNKNOWN: ProducerEntry = ProducerEntry {
        epoch: NO_PRODUCER_EPOCH,
        coordinator_epoch: NO_COORDINATOR_EPOCH,
        last_timestamp: NO_TIMESTAMP,
        last_heard: NO_TIMESTAMP,
        transaction_first_offset: None,
        batches: [None; BATCHES_RETAINED],
    };

    /// The same, heard of `now`.
    pub(crate) fn heard_at(self, now: Timestamp) -> ProducerEntry {
        ProducerEntry {
            last_heard: now,
            ..self
        }
    }

    /// Whether a transaction of this epoch is open.
    pub(crate) fn is_in_transaction(&self, epoch: ProducerEpoch) -> bool {
        self.transaction_first_offset.is_some() && self.epoch == epoch
    }

    /// The last batch of the current epoch.
    pub(crate) fn last_batch(&self) -> Option<&BatchMetadata> {
        self.batches.iter().rev().flatten().next()
    }

    /// Sequence of the last record of the current epoch.
    pub(crate) fn last_sequence(&self) -> Sequence {
        self.last_batch().map_or(NO_SEQUENCE, |batch| batch.last_sequence)
    }

    /// The batch with exactly this epoch and these sequences.
    pub(crate) fn find_duplicate(
        &self,
        epoch: ProducerEpoch,
        first: Sequence,
        last: Sequence,
    ) -> Option<BatchMetadata> {
        let mut batches = self.batches.iter().flatten().filter(|_| epoch == self.epoch);
        batches
            .find(|batch| batch.first_sequence() == first && batch.last_sequence == last)
            .copied()
    }

    /// Remembers a batch; the oldest is forgotten.
    pub(crate) fn add_batch(&mut self, epoch: ProducerEpoch, batch: BatchMetadata) {
        self.set_epoch(epoch);
        self.batches.rotate_left(1);
        self.batches[BATCHES_RETAINED - 1] = Some(batch);
        self.last_timestamp = batch.timestamp;
    }

    /// A new epoch has no batches yet.
    pub(crate) fn set_epoch(&mut self, epoch: ProducerEpoch) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batches = [None; BATCHES_RETAINED];
        }
    }
}
