//! What handlers share: the configuration and the rooms below.

use std::sync::{Arc, Mutex};

use forebay_broker_controller::ConfigSchema;
use forebay_broker_log::TOPIC_NAME_LENGTH_MAX;
use forebay_broker_partition::FetchSessions;
use forebay_protocol::{ErrorCode, Utf8Bytes, Uuid};
use forebay_records::Timestamp;
use tokio::sync::Semaphore;

use crate::broker::Startup;
use crate::config::BrokerConfig;
use crate::groups::Groups;
use crate::loggers::Loggers;
use crate::metadata::Metadata;
use crate::producer_ids::ProducerIds;
use crate::quotas::Quotas;
use crate::replicas::{Replica, Replicas};
use crate::shutdown::Shutdown;
use crate::transactions::Transactions;

/// The broker behind the router.
#[derive(Debug)]
pub(crate) struct Core {
    /// What it was told to be.
    pub(crate) config: BrokerConfig,
    /// The cluster that it is.
    pub(crate) cluster_id: Utf8Bytes,
    /// What may be configured.
    pub(crate) schema: Arc<ConfigSchema>,
    /// Topics, brokers, configurations.
    pub(crate) metadata: Arc<Metadata>,
    /// The partitions on this broker.
    pub(crate) replicas: Arc<Replicas>,
    /// Incremental fetch sessions; held for a moment before a fetch and after it.
    pub(crate) fetch_sessions: Mutex<FetchSessions>,
    /// Who may use how much.
    pub(crate) quotas: Arc<Quotas>,
    /// The group coordinators of this broker.
    pub(crate) groups: Arc<Groups>,
    /// The transaction coordinators of this broker.
    pub(crate) transactions: Arc<Transactions>,
    /// Whose turn it is to hold transactional ids against a pattern.
    pub(crate) listing: Arc<Semaphore>,
    /// Whose turn it is to have a regular expression judged.
    pub(crate) judging: Arc<Semaphore>,
    /// What logs in this process, if its levels may change.
    pub(crate) loggers: Option<Arc<Loggers>>,
    /// Ids for idempotent producers.
    pub(crate) producer_ids: ProducerIds,
    /// Seen by everything that waits.
    pub(crate) shutdown: Shutdown,
    /// When it began to serve.
    pub(crate) started: Timestamp,
    /// How far the logs were loaded.
    pub(crate) startup: Startup,
}

impl Core {
    /// A partition that exists and is on this broker.
    ///
    /// # Errors
    /// Kafka's code if it is not.
    pub(crate) fn replica(&self, topic: &str, partition: i32) -> Result<Arc<Replica>, ErrorCode> {
        // A name stands once in a request for many partitions: one that no topic can have is not looked up for each.
        if topic.len() > TOPIC_NAME_LENGTH_MAX {
            return Err(ErrorCode::UnknownTopicOrPartition);
        }
        match self.replicas.get(topic, partition) {
            Some(replica) => Ok(replica),
            None if self.metadata.image().partition(topic, partition).is_some() => {
                Err(ErrorCode::NotLeaderOrFollower)
            }
            None => Err(ErrorCode::UnknownTopicOrPartition),
        }
    }

    /// As [`Core::replica`], of the topic with this id: one of the same name that was made since is another.
    ///
    /// # Errors
    /// Kafka's code if it is not here.
    pub(crate) fn replica_by_id(
        &self,
        topic_id: Uuid,
        name: &str,
        partition: i32,
    ) -> Result<Arc<Replica>, ErrorCode> {
        let replica = self.replica(name, partition)?;
        if replica.topic_id() == topic_id {
            Ok(replica)
        } else {
            Err(ErrorCode::UnknownTopicId)
        }
    }
}
