//! The flags of a batch.

use std::fmt;
use std::str::FromStr;

use crate::CompressionType;
use crate::error::Error;

/// Who sets the timestamps of a topic's records (`message.timestamp.type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TimestampType {
    /// The producer.
    #[default]
    CreateTime,
    /// The broker, when it appends.
    LogAppendTime,
}

impl fmt::Display for TimestampType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CreateTime => "CreateTime",
            Self::LogAppendTime => "LogAppendTime",
        })
    }
}

/// The text is no timestamp type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is neither CreateTime nor LogAppendTime")]
pub struct ParseTimestampTypeError {
    text: String,
}

impl FromStr for TimestampType {
    type Err = ParseTimestampTypeError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "CreateTime" => Ok(Self::CreateTime),
            "LogAppendTime" => Ok(Self::LogAppendTime),
            _ => Err(ParseTimestampTypeError {
                text: text.to_owned(),
            }),
        }
    }
}

/// The 16 bits of flags: codec (0-2), timestamp type (3), transactional (4), control (5), delete horizon (6).
/// Bits 7-15 are unused; as in Kafka they are neither looked at nor refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attributes(pub i16);

impl Attributes {
    const COMPRESSION: i16 = 0x07;
    const LOG_APPEND_TIME: i16 = 0x08;
    const TRANSACTIONAL: i16 = 0x10;
    const CONTROL: i16 = 0x20;
    const DELETE_HORIZON: i16 = 0x40;

    /// Only the codec is set.
    #[must_use]
    pub const fn new(compression: CompressionType) -> Self {
        Self(compression.id() as i16)
    }

    /// # Errors
    /// [`Error::UnsupportedCompression`] for the ids 5 to 7.
    pub fn compression_type(self) -> Result<CompressionType, Error> {
        #[expect(clippy::cast_sign_loss, reason = "three bits")]
        let id = (self.0 & Self::COMPRESSION) as u8;
        CompressionType::from_id(id).ok_or(Error::UnsupportedCompression { id })
    }

    /// Who set the timestamps.
    #[must_use]
    pub const fn timestamp_type(self) -> TimestampType {
        if self.0 & Self::LOG_APPEND_TIME == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Part of a transaction.
    #[must_use]
    pub const fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// Written by a broker for brokers and clients, not for applications.
    #[must_use]
    pub const fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// The base timestamp is the time from which tombstones and markers of this batch may go (KIP-534).
    #[must_use]
    pub const fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }

    /// The same with the timestamp type set; unused bits cleared, as Kafka does when it rewrites attributes.
    #[must_use]
    pub const fn with_timestamp_type(self, timestamp_type: TimestampType) -> Self {
        let others =
            self.0 & (Self::COMPRESSION | Self::TRANSACTIONAL | Self::CONTROL | Self::DELETE_HORIZON);
        match timestamp_type {
            TimestampType::CreateTime => Self(others),
            TimestampType::LogAppendTime => Self(others | Self::LOG_APPEND_TIME),
        }
    }

    /// The same with the transactional flag as given.
    #[must_use]
    pub const fn with_transactional(self, transactional: bool) -> Self {
        Self(if transactional {
            self.0 | Self::TRANSACTIONAL
        } else {
            self.0 & !Self::TRANSACTIONAL
        })
    }

    /// The same with the control flag as given.
    #[must_use]
    pub const fn with_control(self, control: bool) -> Self {
        Self(if control {
            self.0 | Self::CONTROL
        } else {
            self.0 & !Self::CONTROL
        })
    }

    /// The same with the delete-horizon flag as given.
    #[must_use]
    pub const fn with_delete_horizon(self, delete_horizon: bool) -> Self {
        Self(if delete_horizon {
            self.0 | Self::DELETE_HORIZON
        } else {
            self.0 & !Self::DELETE_HORIZON
        })
    }
}
