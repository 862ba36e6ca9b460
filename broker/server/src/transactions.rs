//! The driver of the transaction coordinators, one for each partition of `__transaction_state` that this broker leads: what they
//! need besides what `coordinators` gives every kind.

mod driver;
mod markers;
#[cfg(test)]
mod sabotage;

use std::sync::{Arc, Weak};
use std::time::Duration;

use forebay_broker_controller::{MetadataImage, TRANSACTION_STATE, TRANSACTION_VERSION};
use forebay_broker_coordinator::RequestContext;
use forebay_broker_coordinator::transaction::{AddPartitions, Command, Config, Response, TransactionVersion};
use forebay_protocol::{ErrorCode, TopicPartition, Utf8Bytes};
use forebay_records::{ProducerEpoch, ProducerId};

use crate::coordinators::{Coordinators, Surroundings};
use crate::core::Core;
use crate::verification::{self, Answers};
use driver::{Shard, TransactionDriver};

/// How long to wait before a coordinator that loads is told again.
const LOADING_PAUSE: Duration = Duration::from_millis(100);
/// The version of AddPartitionsToTxn whose words a partition's leader understands.
const ADD_PARTITIONS_VERSION: i16 = 5;

/// The coordinators of this broker.
#[derive(Debug)]
pub(crate) struct Transactions {
    coordinators: Coordinators<TransactionDriver>,
}

impl Transactions {
    /// No coordinator yet. The broker that it is part of is looked for when there is something to do in it.
    pub(crate) fn new(config: Config, surroundings: Surroundings, core: Weak<Core>) -> Self {
        let metadata = Arc::clone(&surroundings.metadata);
        let driver = move || TransactionDriver::new(config.clone(), Arc::clone(&metadata), core.clone());
        Self {
            coordinators: Coordinators::new(TRANSACTION_STATE, surroundings, driver),
        }
    }

    /// As [`Coordinators::start`]: transactions that were decided before are carried through.
    pub(crate) fn start(&self) {
        self.coordinators.start();
    }

    /// Asks the coordinator of a transactional id; `None` if the broker stops first.
    pub(crate) async fn ask(
        &self,
        transactional_id: &str,
        context: RequestContext,
        command: Command,
    ) -> Option<Response> {
        self.coordinators.ask(transactional_id, context, command).await
    }

    /// As [`Coordinators::ask_each`].
    pub(crate) async fn ask_each(
        &self,
        transactional_ids: Vec<Utf8Bytes>,
        context: &RequestContext,
        command: impl Fn(Vec<Utf8Bytes>) -> Command,
    ) -> Vec<Response> {
        self.coordinators
            .ask_each(transactional_ids, context, command)
            .await
    }

    /// Asks every coordinator of this broker.
    pub(crate) async fn ask_all(
        &self,
        context: &RequestContext,
        command: impl Fn() -> Command,
    ) -> Vec<Response> {
        self.coordinators.ask_all(context, command).await
    }

    /// Asks, for a partition's leader, whether partitions take part in a producer's transaction, or has them take part
    /// (`AddPartitionsToTxnManager`, KIP-890). The answers are Kafka's for AddPartitionsToTxn: what a producer is told is the leader's
    /// to say.
    pub(crate) async fn add_partitions(
        &self,
        transactional_id: &str,
        producer_id: ProducerId,
        producer_epoch: ProducerEpoch,
        partitions: Vec<TopicPartition>,
        verify_only: bool,
    ) -> Vec<(TopicPartition, ErrorCode)> {
        let context = RequestContext {
            api_version: ADD_PARTITIONS_VERSION,
            client_id: Utf8Bytes::default(),
            client_host: Utf8Bytes::default(),
        };
        let command = Command::AddPartitions(AddPartitions {
            transactional_id: transactional_id.into(),
            producer_id,
            producer_epoch,
            partitions: partitions.clone(),
            verify_only,
            client_version: TransactionVersion::V2,
        });
        match self.ask(transactional_id, context, command).await {
            Some(Response::AddPartitions(results)) => results,
            // The broker stops.
            _ => {
                let refused = |one| (one, ErrorCode::CoordinatorNotAvailable);
                partitions.into_iter().map(refused).collect()
            }
        }
    }

    /// Tells the coordinators what `transaction.version` is finalized, from now to the end of the broker.
    pub(crate) async fn follow_version(self: Arc<Self>) {
        let Surroundings {
            metadata, shutdown, ..
        } = self.coordinators.surroundings();
        let mut images = metadata.subscribe();
        let mut known = version(&images.borrow_and_update());
        let shutdown = shutdown.clone().requested();
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => return,
                changed = images.changed() => if changed.is_err() { return },
            }
            let now = version(&images.borrow_and_update());
            if now != known {
                known = now;
                for shard in self.coordinators.all() {
                    tokio::spawn(tell_version(shard, now));
                }
            }
        }
    }

    /// Answers everything that waits: the broker stops.
    pub(crate) fn resign(&self) {
        self.coordinators.resign();
    }
}

impl verification::AddPartitions for Transactions {
    fn add_partitions<'a>(
        &'a self,
        transactional_id: &'a str,
        producer_id: ProducerId,
        producer_epoch: ProducerEpoch,
        partitions: Vec<TopicPartition>,
        verify_only: bool,
    ) -> Answers<'a> {
        Box::pin(self.add_partitions(
            transactional_id,
            producer_id,
            producer_epoch,
            partitions,
            verify_only,
        ))
    }
}

/// One that is made from now on knows; one that loads may have looked before.
async fn tell_version(shard: Arc<Shard>, version: TransactionVersion) {
    let command = || Command::TransactionVersion(version);
    while let Some(Response::Noted(Err(ErrorCode::CoordinatorLoadInProgress))) =
        shard.request_of_its_own(command()).await
    {
        tokio::time::sleep(LOADING_PAUSE).await;
    }
}

/// How transactions are run.
fn version(image: &MetadataImage) -> TransactionVersion {
    TransactionVersion::from_level(image.feature_level(TRANSACTION_VERSION))
}
