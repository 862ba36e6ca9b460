//! The cluster's metadata as a pure state machine over Kafka's own metadata records (KIP-500, KIP-631; Kafka's
//! `QuorumController` and [`MetadataImage`]): topics, partitions, configurations, brokers, feature levels, producer ids.
//! No clock, socket, lock, `.await` or chance in here: time, the next offset of the log and fresh random bits come in with
//! each call ([`Context`]), so one node, a cluster and a seeded simulation run the same code.
//!
//! `cluster/` holds what the records mean. `quorum/` will hold who may write them (KRaft: KIP-595, KIP-630, KIP-853) when
//! the replicated cluster comes; until then the one voter's driver writes the log itself, as the contract below says.
//!
//! # The contract with the driver
//!
//! 1. **Load.** [`Controller::replay`] gets every data record of `__cluster_metadata-0` (of the newest snapshot first, if
//!    there is one) with its offset, oldest first; control batches are only counted ([`Controller::skip_to`]).
//! 2. **Activate.** `handle(Activate, ..)` gives the bootstrap records of an empty log, or ends a transaction that the last
//!    leader left open; then `handle(RegisterBroker{..})` and, once the node can serve, `handle(UnfenceBroker{..})`.
//! 3. **Decide.** `controller.handle(command, context) -> Outcome { records, response }` changes nothing.
//! 4. **Append and replay.** The driver appends the records as ONE batch beginning at `context.next_offset` (each
//!    [`Record`]'s value is [`Record::to_bytes`], no key) and gives each to `replay`, before it asks for the next decision.
//! 5. **Commit.** When the batch is synced (later: when the quorum's high watermark has passed it), the driver publishes the
//!    [`MetadataImage`] that it took after the replay (`controller.image()`, an `Arc`, O(1)) and sends the response. An
//!    append that fails before the replay is forgotten; a sync that fails after it takes the log away from this controller: the
//!    driver drops it and answers what waits with NOT_CONTROLLER.
//!
//! # Commands
//!
//! Each command is a struct with its own response: [`Activate`], [`RegisterBroker`], [`UnfenceBroker`], [`FenceBroker`],
//! [`BeginControlledShutdown`], [`UnregisterBroker`], [`AllocateProducerIds`], [`CreateTopics`], [`AutoCreateTopics`] (Metadata's and
//! the coordinators' auto-creation), [`DeleteTopics`], [`CreatePartitions`], [`IncrementalAlterConfigs`],
//! [`AlterConfigs`], [`AlterClientQuotas`], [`AlterUserScramCredentials`], [`ElectLeaders`], [`AlterPartitionReassignments`], [`UpdateFeatures`]. Requests and responses
//! are the messages of `forebay-protocol`, complete: duplicates, invalid names and errors of single items are decided here, with
//! Kafka 4.3.1's codes and texts. Who may ask for what, and quotas, are the server's business.
//!
//! # Readers
//!
//! [`MetadataImage`] is immutable and shares structure with its successor: a change costs O(log n), a produce nothing.
//! [`ConfigSchema::describe_topic`] and its siblings give each entry with its source and synonyms, for DescribeConfigs.

mod api_error;
mod cluster;
mod controller;
mod image;
mod random;
mod record;
mod schema;
mod topic_name;

pub use api_error::ApiError;
pub use cluster::{
    Activate, AllocateProducerIds, AlterClientQuotas, AlterConfigs, AlterPartitionReassignments,
    AlterUserScramCredentials, AutoCreateTopics, BeginControlledShutdown, CreatePartitions, CreateTopics,
    DeleteTopics, ElectLeaders, FenceBroker, IncrementalAlterConfigs, InternalTopic, InternalTopics,
    LOG_LEVELS, PRODUCER_ID_BLOCK_SIZE, ProducerIdBlock, ROOT_LOGGER, RegisterBroker, UnfenceBroker,
    UnregisterBroker, UpdateFeatures,
};
pub use controller::{
    Cluster, Command, Context, Controller, Error, Options, Outcome, RECORDS_PER_REQUEST_MAX,
};
pub use image::{
    BrokerImage, ClientQuotaEntity, ClientQuotas, ConfigResource, ELIGIBLE_LEADER_REPLICAS_VERSION, Endpoint,
    Error as ImageError, GROUP_VERSION, LeaderRecoveryState, METADATA_VERSION, MetadataImage,
    MetadataVersion, PartitionImage, ResourceType, SUPPORTED_FEATURES, ScramCredential, ScramMechanism,
    SupportedFeature, TRANSACTION_VERSION, TopicImage,
};
pub use record::Record;
pub use schema::{BrokerCheck, ConfigEntry, ConfigSchema, ConfigSource, GroupCheck, TopicCheck};
pub use topic_name::{
    CLUSTER_METADATA, CONSUMER_OFFSETS, Error as TopicNameError, NAME_LENGTH_MAX, SHARE_GROUP_STATE,
    TRANSACTION_STATE, is_internal_topic, validate_topic_name,
};
