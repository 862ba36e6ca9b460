//! Control records: what brokers write into partitions for brokers and clients. The key names version and type; the value of
//! a transaction marker is here, the values of the quorum's records are messages of their own.

use crate::error::{Error, InvalidBatch};

/// What a control record says (Kafka's `ControlRecordType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ControlRecordType {
    /// A transaction's records are to be ignored.
    Abort,
    /// A transaction's records are valid.
    Commit,
    /// A quorum's new leader; the value is a `LeaderChangeMessage`.
    LeaderChange,
    /// The first record of a metadata snapshot.
    SnapshotHeader,
    /// The last record of a metadata snapshot.
    SnapshotFooter,
    /// The version of the quorum's protocol.
    KraftVersion,
    /// The quorum's voters.
    KraftVoters,
    /// A newer type, which is to be skipped.
    Unknown(i16),
}

const KEY_VERSION: i16 = 0;
const KEY_BYTES: usize = 4;
const MARKER_VERSION: i16 = 0;

impl ControlRecordType {
    /// The number in the key.
    #[must_use]
    pub const fn id(self) -> i16 {
        match self {
            Self::Abort => 0,
            Self::Commit => 1,
            Self::LeaderChange => 2,
            Self::SnapshotHeader => 3,
            Self::SnapshotFooter => 4,
            Self::KraftVersion => 5,
            Self::KraftVoters => 6,
            Self::Unknown(id) => id,
        }
    }

    /// The type of a number.
    #[must_use]
    pub const fn from_id(id: i16) -> Self {
        match id {
            0 => Self::Abort,
            1 => Self::Commit,
            2 => Self::LeaderChange,
            3 => Self::SnapshotHeader,
            4 => Self::SnapshotFooter,
            5 => Self::KraftVersion,
            6 => Self::KraftVoters,
            id => Self::Unknown(id),
        }
    }

    /// The key of such a record.
    #[must_use]
    pub fn key(self) -> [u8; KEY_BYTES] {
        let mut key = [0; KEY_BYTES];
        key[..2].copy_from_slice(&KEY_VERSION.to_be_bytes());
        key[2..].copy_from_slice(&self.id().to_be_bytes());
        key
    }

    /// Reads a control record's key; later versions may only add to it.
    ///
    /// # Errors
    /// [`InvalidBatch::ControlRecord`] if it is shorter than 4 bytes or its version negative.
    pub fn parse(key: &[u8]) -> Result<Self, Error> {
        let [v0, v1, t0, t1] = *key
            .first_chunk::<KEY_BYTES>()
            .ok_or(InvalidBatch::ControlRecord {
                reason: "its key has fewer than 4 bytes",
            })?;
        if i16::from_be_bytes([v0, v1]) < 0 {
            return Err(InvalidBatch::ControlRecord {
                reason: "its key has a negative version",
            }
            .into());
        }
        Ok(Self::from_id(i16::from_be_bytes([t0, t1])))
    }
}

/// The value of a transaction's `Commit` or `Abort` record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTransactionMarker {
    /// Epoch of the transaction coordinator that ended it; a lower one than seen is a zombie's.
    pub coordinator_epoch: i32,
}

impl EndTransactionMarker {
    /// Bytes of the value.
    pub const BYTES: usize = 6;

    /// The value of the record.
    #[must_use]
    pub fn encode(self) -> [u8; Self::BYTES] {
        let mut value = [0; Self::BYTES];
        value[..2].copy_from_slice(&MARKER_VERSION.to_be_bytes());
        value[2..].copy_from_slice(&self.coordinator_epoch.to_be_bytes());
        value
    }

    /// Reads a marker's value; later versions may only add to it.
    ///
    /// # Errors
    /// [`InvalidBatch::ControlRecord`] if it is shorter than 6 bytes or its version negative.
    pub fn parse(value: &[u8]) -> Result<Self, Error> {
        let [v0, v1, epoch @ ..] =
            *value
                .first_chunk::<{ Self::BYTES }>()
                .ok_or(InvalidBatch::ControlRecord {
                    reason: "its value has fewer than 6 bytes",
                })?;
        if i16::from_be_bytes([v0, v1]) < 0 {
            return Err(InvalidBatch::ControlRecord {
                reason: "its value has a negative version",
            }
            .into());
        }
        Ok(Self {
            coordinator_epoch: i32::from_be_bytes(epoch),
        })
    }
}
