//! What a transaction coordinator needs of the broker besides its partition.

use std::sync::{Arc, Weak};

use forebay_broker_controller::TRANSACTION_VERSION;
use forebay_broker_coordinator::transaction::{
    Action, Command, Config, Features, TransactionCoordinator, TransactionVersion,
};

use super::markers;
use crate::coordinators::shard::{self, Driver, Work};
use crate::core::Core;
use crate::metadata::Metadata;
use crate::replicas::Replica;

/// A transaction coordinator and what drives it.
pub(super) type Shard = shard::Shard<TransactionDriver>;

/// What is finalized by the metadata.
#[derive(Debug)]
struct FinalizedFeatures(Arc<Metadata>);

impl Features for FinalizedFeatures {
    fn transaction_version(&self) -> TransactionVersion {
        TransactionVersion::from_level(self.0.image().feature_level(TRANSACTION_VERSION))
    }
}

/// What it needs.
pub(crate) struct TransactionDriver {
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
    const MAY_ABANDON: bool = false;

    fn coordinator(&self, replica: &Arc<Replica>) -> TransactionCoordinator {
        let config = Config {
            append_bytes_max: replica.config().max_message_bytes,
            ..self.config.clone()
        };
        let epoch = replica.with_partition(forebay_broker_partition::Partition::leader_epoch);
        let features = Arc::new(FinalizedFeatures(Arc::clone(&self.metadata)));
        TransactionCoordinator::new(config, epoch.0, features)
    }

    fn loaded(_shard: &Arc<Shard>, _coordinator: &TransactionCoordinator) {}

    fn perform(&self, action: Action) -> Option<Work<Self>> {
        // Without it the broker has stopped.
        let core = self.core.upgrade()?;
        Some(Box::pin(async move { carry_out(&core, action).await }))
    }
}

/// Does what the coordinator wants done; what it is told came of that.
async fn carry_out(core: &Core, action: Action) -> Command {
    match action {
        Action::WriteMarkers(markers) => {
            let results = markers::write(core, &markers).await;
            Command::MarkersWritten { markers, results }
        }
        Action::AllocateProducerId => {
            Command::ProducerIdAllocated(core.producer_ids.next(&core.metadata).await)
        }
    }
}
