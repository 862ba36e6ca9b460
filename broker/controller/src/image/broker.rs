//! Registered brokers (Kafka's `BrokerRegistration`).

use forebay_protocol::{NodeId, Utf8Bytes, Uuid};

use super::topic::{LOST_DIRECTORY, MIGRATING_DIRECTORY, UNASSIGNED_DIRECTORY};

/// Where a listener of a broker is reached, as clients are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The name of the listener, `PLAINTEXT`.
    pub listener: Utf8Bytes,
    /// The advertised host.
    pub host: Utf8Bytes,
    /// The advertised port.
    pub port: u16,
    /// Kafka's number of the security protocol: 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
    pub security_protocol: i16,
}

/// A broker as it registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerImage {
    /// Its id.
    pub id: NodeId,
    /// The epoch of this registration: the offset of its record. Requests with another are stale.
    pub epoch: i64,
    /// The process that registered.
    pub incarnation_id: Uuid,
    /// Its listeners.
    pub endpoints: Vec<Endpoint>,
    /// Its rack (`broker.rack`).
    pub rack: Option<Utf8Bytes>,
    /// Whether clients are kept away from it: it has not caught up yet, or is gone.
    pub fenced: bool,
    /// Whether it is handing over its leaderships before it stops.
    pub in_controlled_shutdown: bool,
    /// The ids of its log directories that are online.
    pub directories: Vec<Uuid>,
    /// Log directories that get no new partitions (KIP-1066).
    pub cordoned_directories: Vec<Uuid>,
    /// The features it supports: name, lowest and highest level.
    pub features: Vec<(Utf8Bytes, i16, i16)>,
}

impl BrokerImage {
    /// Whether it may lead and be in sync.
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    /// The endpoint of a listener.
    pub fn endpoint(&self, listener: &str) -> Option<&Endpoint> {
        self.endpoints
            .iter()
            .find(|endpoint| endpoint.listener == *listener)
    }

    /// Whether a replica in this directory can be reached (`BrokerRegistration.hasOnlineDir`).
    pub(crate) fn has_online_directory(&self, directory: Uuid) -> bool {
        if directory == UNASSIGNED_DIRECTORY || directory == MIGRATING_DIRECTORY {
            return true;
        }
        directory != LOST_DIRECTORY && (self.directories.is_empty() || self.directories.contains(&directory))
    }

    /// The directory that a new replica is put down for (`ClusterControlManager.defaultDir`): the only one there is, else
    /// the broker chooses.
    pub(crate) fn default_directory(&self) -> Uuid {
        match self.directories.as_slice() {
            [] => MIGRATING_DIRECTORY,
            [only] => *only,
            _ => UNASSIGNED_DIRECTORY,
        }
    }

    /// Whether new replicas may be placed on it: some directory is not cordoned.
    pub(crate) fn takes_replicas(&self) -> bool {
        self.directories.is_empty()
            || self
                .directories
                .iter()
                .any(|directory| !self.cordoned_directories.contains(directory))
    }
}
