//! What a transaction coordinator needs of the broker besides its partition.

use std::sync::{Arc, Weak};

use forebay_broker_coordinator::transaction::{Action, Command, Config, TransactionCoordinator};

use super::{markers, version};
use crate::coordinators::shard::{self, Driver};
use crate::core::Core;
use crate::metadata::Metadata;
use crate::replicas::Replica;

/// A transaction coordinator and what drives it.
pub(super) type Shard = shard::Shard<TransactionDriver>;

/// What it needs.
pub(super) struct TransactionDriver {
    config: Config,
    metadata: Arc<Metadata>,
    core: Weak<Core>,
}

impl TransactionDriver {
    pub(super) fn new(config: Config, metadata: Arc<Metadata>, core: Weak<Core>) -> Self {
        Self {
            config,
            metadata,
            core,
        }
    }
}

impl Driver for TransactionDriver {
    type Coordinator = TransactionCoordinator;

    const WHAT: &'static str = "transaction";

    fn coordinator(&self, replica: &Arc<Replica>) -> TransactionCoordinator {
        let config = Config {
            append_bytes_max: replica.config().max_message_bytes,
            ..self.config.clone()
        };
        let epoch = replica.with_partition(forebay_broker_partition::Partition::leader_epoch);
        TransactionCoordinator::new(config, epoch.0, version(&self.metadata.image()))
    }

    fn loaded(_shard: &Arc<Shard>, _coordinator: &TransactionCoordinator) {}

    fn perform(shard: &Arc<Shard>, action: Action) {
        // Without it the broker has stopped.
        if let Some(core) = shard.driver().core.upgrade() {
            tokio::spawn(carry_out(core, Arc::clone(shard), action));
        }
    }
}

/// Does what the coordinator wants done, and tells it what came of that.
async fn carry_out(core: Arc<Core>, shard: Arc<Shard>, action: Action) {
    let command = match action {
        Action::WriteMarkers(markers) => {
            let results = markers::write(&core, &markers).await;
            Command::MarkersWritten { markers, results }
        }
        Action::AllocateProducerId => {
            Command::ProducerIdAllocated(core.producer_ids.next(&core.metadata).await)
        }
    };
    // One that has resigned since has a successor, which finds in the log what is left to be done.
    let _noted = shard.request_of_its_own(command).await;
}
