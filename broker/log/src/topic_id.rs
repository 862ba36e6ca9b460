//! A topic's id: 16 bytes, which Kafka writes as 22 characters of URL-safe base64 (`Uuid.toString`).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The id of a topic; a topic that is deleted and made anew gets another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub [u8; 16]);

impl TopicId {
    /// No id is known (`Uuid.ZERO_UUID`).
    pub const NONE: TopicId = TopicId([0; 16]);
}

/// The text is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an id of 16 bytes in URL-safe base64")]
pub struct ParseTopicIdError {
    text: String,
}

impl fmt::Display for TopicId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl FromStr for TopicId {
    type Err = ParseTopicIdError;

    fn from_str(text: &str) -> Result<TopicId, ParseTopicIdError> {
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
        let bytes = bytes.ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(TopicId).ok_or_else(|| ParseTopicIdError {
            text: text.to_owned(),
        })
    }
}
