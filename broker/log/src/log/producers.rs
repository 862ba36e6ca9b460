//! What a log knows of its producers, for those outside: who is active, and the questions to transaction coordinators.

use forebay_records::{ProducerId, Timestamp};

use super::Log;
use crate::error::Result;
use crate::locks::lock;
use crate::producer_state::{ActiveProducer, VerificationGuard, VerificationRequest};

impl Log {
    /// Forgets the producers that have been silent for `producer.id.expiration.ms`. Of those that were silent since the log was opened no
    /// more is known than how old the segment with their last batch is.
    pub fn remove_expired_producers(&self, now: Timestamp) {
        let expiration_ms = self.config().producer_id_expiration_ms;
        lock(&self.writer).producers.remove_expired(now, expiration_ms);
    }

    /// Number of producers that the log knows.
    pub fn producer_count(&self) -> usize {
        lock(&self.writer).producers.len()
    }

    /// The producers that the log knows, in the order of their ids. May wait for a write.
    pub fn active_producers(&self) -> Vec<ActiveProducer> {
        lock(&self.writer).producers.active()
    }

    /// Begins to ask the transaction coordinator about a transactional batch that is to be appended: with the guard that this
    /// gives, and once the coordinator has said yes, it may be. None if its transaction is open here already; then nobody needs
    /// to be asked. May wait for a write.
    ///
    /// # Errors
    /// [`crate::Error::InvalidProducerEpoch`] if a newer incarnation of the producer has written.
    pub fn begin_verification(
        &self,
        producer_id: ProducerId,
        request: VerificationRequest,
        now: Timestamp,
    ) -> Result<Option<VerificationGuard>> {
        let mut writer = lock(&self.writer);
        writer
            .producers
            .begin_verification(&self.partition, producer_id, request, now)
    }

    /// The coordinator has said no, and will not say yes when it is asked again. May wait for a write.
    pub fn end_verification(&self, producer_id: ProducerId, guard: VerificationGuard) {
        lock(&self.writer).producers.end_verification(producer_id, guard);
    }
}
