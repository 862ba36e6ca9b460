//! Kafka's `Uuid`: 16 bytes that are written as 22 characters of URL-safe base64. Topics, directories and clusters have one.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// 16 bytes that name a thing for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub [u8; 16]);

/// The id of a topic; a topic that is deleted and made anew gets another.
pub type TopicId = Uuid;

/// The id of a data directory (KIP-858).
pub type DirectoryId = Uuid;

impl Uuid {
    /// None is known (`Uuid.ZERO_UUID`).
    pub const NONE: Uuid = Uuid([0; 16]);
}

/// The text is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an id of 16 bytes in URL-safe base64")]
pub struct ParseUuidError {
    text: String,
}

impl fmt::Display for Uuid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl FromStr for Uuid {
    type Err = ParseUuidError;

    fn from_str(text: &str) -> Result<Uuid, ParseUuidError> {
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
        let bytes = bytes.ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Uuid).ok_or_else(|| ParseUuidError {
            text: text.to_owned(),
        })
    }
}
