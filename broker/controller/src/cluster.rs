//! What the metadata records mean and which commands make them: topics, partitions, configurations, brokers, producer ids.

mod activate;
mod alter_client_quotas;
mod alter_configs;
mod alter_partition_reassignments;
mod alter_user_scram_credentials;
mod assignment;
mod broker_lifecycle;
mod broker_restart;
mod create_partitions;
mod create_topics;
mod delete_topics;
mod elect_leaders;
mod internal_topics;
mod partition_change;
mod placement;
mod producer_ids;
mod register_broker;
mod update_features;

#[cfg(test)]
mod tests;

pub use activate::Activate;
pub use alter_client_quotas::AlterClientQuotas;
pub use alter_configs::{AlterConfigs, IncrementalAlterConfigs, LOG_LEVELS, ROOT_LOGGER};
pub use alter_partition_reassignments::AlterPartitionReassignments;
pub use alter_user_scram_credentials::AlterUserScramCredentials;
pub use broker_lifecycle::{BeginControlledShutdown, FenceBroker, UnfenceBroker, UnregisterBroker};
pub use create_partitions::CreatePartitions;
pub use create_topics::CreateTopics;
pub use delete_topics::DeleteTopics;
pub use elect_leaders::ElectLeaders;
pub use internal_topics::{AutoCreateTopics, InternalTopic, InternalTopics};
pub use producer_ids::{AllocateProducerIds, PRODUCER_ID_BLOCK_SIZE, ProducerIdBlock};
pub use register_broker::RegisterBroker;
pub use update_features::UpdateFeatures;
