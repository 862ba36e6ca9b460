//! The codecs of a batch and their levels, as Kafka's `CompressionType` names and bounds them, and compressing as Kafka does:
//! gzip, snappy in snappy-java's framing, LZ4 frames of independent 64 KiB blocks, zstd.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// A codec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CompressionType {
    /// The records as they are.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy blocks, in snappy-java's framing or one bare.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// Zstandard, RFC 8878.
    Zstd,
}

impl CompressionType {
    /// All, in the order of their ids.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The number in a batch's attributes.
    #[must_use]
    pub const fn id(self) -> u8 {
        self as u8
    }

    /// The codec of a number; none for 5 and above.
    #[must_use]
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.get(usize::from(id)).copied()
    }

    /// Kafka's name, as in `compression.type`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The levels that `compression.<name>.level` takes; none where the codec has no levels. Gzip takes -1 (its default) too.
    #[must_use]
    pub const fn levels(self) -> Option<RangeInclusive<i32>> {
        match self {
            Self::None | Self::Snappy => None,
            Self::Gzip => Some(1..=9),
            Self::Lz4 => Some(1..=17),
            Self::Zstd => Some(-131_072..=22),
        }
    }

    /// The level without configuration; none where the codec has no levels.
    #[must_use]
    pub const fn default_level(self) -> Option<i32> {
        match self {
            Self::None | Self::Snappy => None,
            Self::Gzip => Some(-1),
            Self::Lz4 => Some(9),
            Self::Zstd => Some(3),
        }
    }
}

impl fmt::Display for CompressionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name or level that no codec has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not one of Kafka's names.
    #[error("{name:?} is not a compression type; there are none, gzip, snappy, lz4 and zstd")]
    UnknownName {
        /// As given.
        name: String,
    },
    /// Outside the codec's levels.
    #[error("{compression} does not support level {level}")]
    Level {
        /// The codec.
        compression: CompressionType,
        /// As given.
        level: i32,
    },
}

impl FromStr for CompressionType {
    type Err = Error;
    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL
            .into_iter()
            .find(|compression| compression.name() == name);
        found.ok_or_else(|| Error::UnknownName {
            name: name.to_owned(),
        })
    }
}

/// A codec and its level: what a producer compresses with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compression {
    compression_type: CompressionType,
    level: Option<i32>,
}

impl Compression {
    /// No compression.
    pub const NONE: Self = Self {
        compression_type: CompressionType::None,
        level: None,
    };

    /// The codec at its default level.
    #[must_use]
    pub const fn of(compression_type: CompressionType) -> Self {
        Self {
            compression_type,
            level: compression_type.default_level(),
        }
    }

    /// The codec at a level. LZ4 has one encoder here, a fast one: its levels are checked, and make no difference.
    ///
    /// # Errors
    /// [`Error::Level`] outside [`CompressionType::levels`].
    pub fn with_level(compression_type: CompressionType, level: i32) -> Result<Self, Error> {
        let in_range = compression_type
            .levels()
            .is_some_and(|levels| levels.contains(&level));
        if in_range || compression_type.default_level() == Some(level) {
            Ok(Self {
                compression_type,
                level: Some(level),
            })
        } else {
            Err(Error::Level {
                compression: compression_type,
                level,
            })
        }
    }

    /// The codec.
    #[must_use]
    pub const fn compression_type(self) -> CompressionType {
        self.compression_type
    }

    /// The level; none where the codec has no levels.
    #[must_use]
    pub const fn level(self) -> Option<i32> {
        self.level
    }
}

impl From<CompressionType> for Compression {
    fn from(compression_type: CompressionType) -> Self {
        Self::of(compression_type)
    }
}
