//! Feature levels (KIP-584, KIP-1022): which records a log may hold, and which features brokers must have.

/// The feature whose level says which metadata records are written.
pub const METADATA_VERSION: &str = "metadata.version";
/// The feature that switches eligible leader replicas on (KIP-966).
pub const ELIGIBLE_LEADER_REPLICAS_VERSION: &str = "eligible.leader.replicas.version";

/// The feature whose level says how transactions are run (KIP-890).
pub const TRANSACTION_VERSION: &str = "transaction.version";
/// The feature that says that consumer groups of KIP-848 are served.
pub const GROUP_VERSION: &str = "group.version";

/// A feature and the levels of it that a node can work with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SupportedFeature {
    /// Its name.
    pub name: &'static str,
    /// The lowest level.
    pub min: i16,
    /// The highest level.
    pub max: i16,
}

/// What a log may have finalized for this node to open it: Kafka 4.3.1's ranges, so that its logs open here. A finalized
/// feature is not yet a served one: what clients are offered is the server's business.
pub const SUPPORTED_FEATURES: [SupportedFeature; 7] = [
    SupportedFeature {
        name: GROUP_VERSION,
        min: 0,
        max: 1,
    },
    SupportedFeature {
        name: "kraft.version",
        min: 0,
        max: 1,
    },
    SupportedFeature {
        name: METADATA_VERSION,
        min: MetadataVersion::MINIMUM.0,
        max: MetadataVersion::LATEST.0,
    },
    SupportedFeature {
        name: "share.version",
        min: 0,
        max: 1,
    },
    SupportedFeature {
        name: "streams.version",
        min: 0,
        max: 1,
    },
    SupportedFeature {
        name: TRANSACTION_VERSION,
        min: 0,
        max: 2,
    },
    SupportedFeature {
        name: ELIGIBLE_LEADER_REPLICAS_VERSION,
        min: 0,
        max: 1,
    },
];

/// The level of `metadata.version` (Kafka's `MetadataVersion`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MetadataVersion(i16);

impl MetadataVersion {
    /// 3.3-IV3, the first of KRaft: what a log is in that says nothing.
    pub const MINIMUM: Self = Self(7);
    /// 4.3-IV0, what Kafka 4.3.1 writes.
    pub const LATEST: Self = Self(30);

    const MIGRATION: Self = Self(8);
    const SCRAM: Self = Self(11);
    const TRANSACTIONS: Self = Self(13);
    const DIRECTORIES: Self = Self(17);
    const ELIGIBLE_LEADER_REPLICAS: Self = Self(23);

    pub(crate) fn of(level: i16) -> Self {
        Self(level).max(Self::MINIMUM)
    }

    /// The number that the log has.
    pub const fn level(self) -> i16 {
        self.0
    }

    /// Whether a leader epoch is raised when the in-sync set shrinks (before 3.6-IV0, KAFKA-15021).
    pub(crate) fn raises_leader_epoch_on_shrink(self) -> bool {
        self < Self(12)
    }

    /// Whether records may be framed by a transaction (3.6-IV1, KIP-868).
    pub(crate) fn has_transactions(self) -> bool {
        self >= Self::TRANSACTIONS
    }

    /// Whether passwords can be kept (3.5-IV2, KIP-900).
    pub(crate) fn has_scram(self) -> bool {
        self >= Self::SCRAM
    }

    /// Whether partitions know their directories (3.7-IV2, KIP-858).
    pub(crate) fn has_directories(self) -> bool {
        self >= Self::DIRECTORIES
    }

    /// Whether eligible leader replicas can be written (4.0-IV1, KIP-966).
    pub(crate) fn has_eligible_leader_replicas(self) -> bool {
        self >= Self::ELIGIBLE_LEADER_REPLICAS
    }

    /// The version of `RegisterBrokerRecord` to write.
    pub(crate) fn register_broker_record(self) -> i16 {
        match self {
            level if level >= Self::LATEST => 4,
            level if level >= Self::DIRECTORIES => 3,
            level if level >= Self::MIGRATION => 2,
            _ => 1,
        }
    }

    /// The version of `PartitionRecord` and `PartitionChangeRecord` to write.
    pub(crate) fn partition_record(self) -> i16 {
        if self.has_eligible_leader_replicas() {
            2
        } else {
            i16::from(self.has_directories())
        }
    }
}
