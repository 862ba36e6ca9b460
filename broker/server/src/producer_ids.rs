//! Producer ids of this broker: given out one by one from a block, of which the controller's log knows that it is taken
//! (KIP-730). After a restart the rest of a block is lost, so that no id is given out twice.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use forebay_broker_controller::{AllocateProducerIds, PRODUCER_ID_BLOCK_SIZE};
use forebay_protocol::{ErrorCode, NodeId};
use forebay_records::ProducerId;
use tokio::sync::Mutex as AsyncMutex;

use crate::metadata::Metadata;

/// The ids that are left of the current block.
#[derive(Debug)]
pub(crate) struct ProducerIds {
    broker_id: NodeId,
    broker_epoch: i64,
    left: Mutex<std::ops::Range<i64>>,
    /// Held by whoever fetches the next block.
    refill: AsyncMutex<()>,
}

impl ProducerIds {
    /// No block yet. The epoch is that of the broker's registration.
    pub(crate) fn new(broker_id: NodeId, broker_epoch: i64) -> Self {
        Self {
            broker_id,
            broker_epoch,
            left: Mutex::new(0..0),
            refill: AsyncMutex::new(()),
        }
    }

    /// An id that was never given out before.
    ///
    /// # Errors
    /// Kafka's code when no block can be had.
    pub(crate) async fn next(&self, metadata: &Arc<Metadata>) -> Result<ProducerId, ErrorCode> {
        if let Some(id) = self.left().next() {
            return Ok(ProducerId(id));
        }
        let _turn = self.refill.lock().await;
        // Whoever had the turn before may have fetched a block.
        if let Some(id) = self.left().next() {
            return Ok(ProducerId(id));
        }
        let command = AllocateProducerIds {
            broker_id: self.broker_id,
            broker_epoch: self.broker_epoch,
        };
        let block = metadata
            .submit(command)
            .await
            .map_err(|error| error.error_code())?
            .map_err(|error| error.code)?;
        let mut left = self.left();
        *left = block.first.0..block.first.0 + PRODUCER_ID_BLOCK_SIZE;
        left.next().map(ProducerId).ok_or(ErrorCode::UnknownServerError)
    }

    /// A range is good at any time.
    fn left(&self) -> MutexGuard<'_, std::ops::Range<i64>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
