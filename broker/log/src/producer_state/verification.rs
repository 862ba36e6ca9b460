//! Asking the transaction coordinator before the first batch of a transaction is appended (KIP-890; Kafka's
//! `VerificationGuard`, `VerificationStateEntry`). The guard ties the answer to the question: a marker that is written in
//! between takes it away, so that no batch opens a transaction of which nobody knows the end.

use forebay_records::{ProducerEpoch, Sequence, Timestamp};

/// Names one question to the coordinator. Unique in a log for as long as that is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VerificationGuard(pub(super) u64);

impl VerificationGuard {
    /// Nobody was asked.
    pub const NONE: VerificationGuard = VerificationGuard(0);

    /// As a number, for those who only pass it on.
    pub fn to_number(self) -> u64 {
        self.0
    }

    /// The guard that [`VerificationGuard::to_number`] gave.
    pub fn from_number(number: u64) -> VerificationGuard {
        VerificationGuard(number)
    }
}

/// What an append brings along for the checks of its transaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TransactionChecks {
    /// With which the coordinator was asked.
    pub guard: VerificationGuard,
    /// The coordinator must have been asked, whatever `transaction.partition.verification.enable` says: it is the broker that tells
    /// it of the partition.
    pub required: bool,
    /// The `transaction.version` by which a marker was decided: with 2, its epoch is higher than that of the records.
    pub version: u16,
}

/// Which batch asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerificationRequest {
    /// The epoch of the batch.
    pub epoch: ProducerEpoch,
    /// Its first sequence; none for offsets of groups.
    pub sequence: Sequence,
    /// The client raises its epoch with each transaction (transaction version 2), and begins each with sequence 0.
    pub raises_epoch: bool,
}

/// A question that is open, or answered with its batch not appended yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verification {
    pub(super) guard: VerificationGuard,
    /// Batches behind it are refused: were they appended, the one that has to be asked for again never could be.
    pub(super) lowest_sequence: Sequence,
    epoch: ProducerEpoch,
    pub(super) raises_epoch: bool,
    pub(super) since: Timestamp,
}

impl Verification {
    pub(super) fn new(
        guard: VerificationGuard,
        request: VerificationRequest,
        now: Timestamp,
    ) -> Verification {
        Verification {
            guard,
            lowest_sequence: request.sequence,
            epoch: request.epoch,
            raises_epoch: request.raises_epoch,
            since: now,
        }
    }

    /// The same question for another batch of the producer.
    pub(super) fn join(&mut self, request: VerificationRequest) {
        let lower = request.epoch == self.epoch && request.sequence < self.lowest_sequence;
        if lower || request.epoch > self.epoch {
            self.epoch = request.epoch;
            self.lowest_sequence = request.sequence;
        }
    }
}
