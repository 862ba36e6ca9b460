//! The message types of the crate, by name.

use std::ops::RangeInclusive;

use bytes::Bytes;
use forebay_protocol::{Message, decode, encode, messages};
use serde_json::Value;

/// What the tests do with a type.
pub(crate) struct Type {
    pub(crate) name: &'static str,
    pub(crate) versions: RangeInclusive<i16>,
    /// Reads a message and drops it.
    pub(crate) decode: fn(Bytes, i16) -> Result<(), decode::Error>,
    /// Reads a message, and gives it again in both forms.
    pub(crate) transcode: fn(Bytes, i16) -> Result<Transcoded, decode::Error>,
}

/// A message that was read, as it is written.
pub(crate) struct Transcoded {
    pub(crate) bytes: Result<Bytes, encode::Error>,
    pub(crate) json: Value,
}

fn decode<M: Message>(bytes: Bytes, version: i16) -> Result<(), decode::Error> {
    M::from_bytes(bytes, version).map(drop)
}

fn transcode<M: Message>(bytes: Bytes, version: i16) -> Result<Transcoded, decode::Error> {
    let message = M::from_bytes(bytes, version)?;
    Ok(Transcoded {
        bytes: message.to_bytes(version),
        json: message.to_json(version),
    })
}

macro_rules! types {
    ($($message:ident),*) => {
        pub(crate) const TYPES: &[Type] = &[$(Type {
            name: <messages::$message as Message>::NAME,
            versions: <messages::$message as Message>::VERSIONS,
            decode: decode::<messages::$message>,
            transcode: transcode::<messages::$message>,
        }),*];
    };
}

forebay_protocol::every_message!(types);
