//! `transaction.version`: how a transaction is run (Kafka's `TransactionVersion`, KIP-890).

use std::fmt;

/// Where a coordinator learns which level is finalized. It asks once at the beginning of a call, and decides on that.
pub trait Features: fmt::Debug + Send + Sync {
    /// The level now.
    fn transaction_version(&self) -> TransactionVersion;
}

/// A level that stays.
impl Features for TransactionVersion {
    fn transaction_version(&self) -> TransactionVersion {
        *self
    }
}

/// A level of the feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum TransactionVersion {
    /// As before KIP-890.
    #[default]
    V0,
    /// Records of `__transaction_state` have tagged fields.
    V1,
    /// The producer's epoch is raised with every transaction, and partitions are added by producing to them.
    V2,
}

impl TransactionVersion {
    /// That of a feature level; what is higher than we know is the highest that we know.
    #[must_use]
    pub const fn from_level(level: i16) -> Self {
        match level {
            ..=0 => Self::V0,
            1 => Self::V1,
            _ => Self::V2,
        }
    }

    /// Its number.
    #[must_use]
    pub const fn level(self) -> u8 {
        self as u8
    }

    /// Whether the end of a transaction raises the producer's epoch.
    #[must_use]
    pub(crate) const fn raises_epoch(self) -> bool {
        matches!(self, Self::V2)
    }

    /// The version of `TransactionLogValue` to write.
    pub(crate) const fn log_value_version(self) -> i16 {
        match self {
            Self::V0 => 0,
            Self::V1 | Self::V2 => 1,
        }
    }
}
