//! The driver of the transaction coordinators, one for each partition of `__transaction_state` that this broker leads: what they
//! need besides what `coordinators` gives every kind.

mod driver;
mod markers;
#[cfg(test)]
pub(crate) mod sabotage;

use std::sync::{Arc, Weak};

use forebay_broker_controller::TRANSACTION_STATE;
use forebay_broker_coordinator::RequestContext;
use forebay_broker_coordinator::transaction::{AddPartitions, Command, Config, Response, TransactionVersion};
use forebay_protocol::{ErrorCode, TopicPartition, Utf8Bytes};
use forebay_records::{ProducerEpoch, ProducerId};

use crate::coordinators::{Coordinators, Surroundings};
use crate::core::Core;
use crate::verification::{self, Answers};
pub(crate) use driver::TransactionDriver;

/// The version of AddPartitionsToTxn whose words a partition's leader understands.
const ADD_PARTITIONS_VERSION: i16 = 5;

/// The coordinators of this broker.
pub(crate) type Transactions = Coordinators<TransactionDriver>;

impl Transactions {
    /// No coordinator yet. The broker that it is part of is looked for when there is something to do in it.
    pub(crate) fn of_broker(config: Config, surroundings: Surroundings, core: Weak<Core>) -> Self {
        let metadata = Arc::clone(&surroundings.metadata);
        let driver = move || TransactionDriver::new(config.clone(), Arc::clone(&metadata), core.clone());
        Self::new(TRANSACTION_STATE, surroundings, driver)
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
