//! What the metadata records mean and which commands make them: topics, partitions, configurations, brokers, producer ids.

mod activate;
mod alter_configs;
mod assignment;
mod broker_lifecycle;
mod broker_restart;
mod create_partitions;
mod create_topics;
mod delete_topics;
mod internal_topics;
mod partition_change;
mod placement;
mod producer_ids;
mod register_broker;

#[cfg(test)]
mod tests;

pub use activate::Activate;
pub use alter_configs::IncrementalAlterConfigs;
pub use broker_lifecycle::{BeginControlledShutdown, FenceBroker, UnfenceBroker, UnregisterBroker};
pub use create_partitions::CreatePartitions;
pub use create_topics::CreateTopics;
pub use delete_topics::DeleteTopics;
pub use internal_topics::{AutoCreateTopics, InternalTopic, InternalTopics};
pub use producer_ids::{AllocateProducerIds, PRODUCER_ID_BLOCK_SIZE, ProducerIdBlock};
pub use register_broker::RegisterBroker;
