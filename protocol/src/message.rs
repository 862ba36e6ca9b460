//! What all messages have in common, and what the requests and responses of an API add to it.

use std::fmt::Debug;
use std::ops::RangeInclusive;

use bytes::Bytes;

use crate::messages::apis::{Request, Response};
use crate::{ApiKey, Reader, Writer, decode, encode};

/// A message of Kafka's: a request, a response, a header, or the key or value of a record in an internal topic.
/// `Default` has Kafka's defaults.
pub trait Message: Sized + Clone + Debug + Default + PartialEq {
    /// Kafka's name of it, as `ProduceRequest`.
    const NAME: &'static str;

    /// The versions that Kafka 4.3.1 reads and writes.
    const VERSIONS: RangeInclusive<i16>;

    /// Reads one message from where `reader` stands. What follows it is left unread: see [`Reader::finish`].
    fn decode(reader: &mut Reader, version: i16) -> Result<Self, decode::Error>;

    /// Writes the message. After an error the writer holds a part of it and is good for nothing.
    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), encode::Error>;

    /// The message as Kafka's JsonConverter writes it; of records it tells only that they are there.
    #[cfg(feature = "json")]
    fn to_json(&self, version: i16) -> serde_json::Value;

    /// Reads a message that is all of `bytes`.
    fn from_bytes(bytes: Bytes, version: i16) -> Result<Self, decode::Error> {
        let mut reader = Reader::new(bytes);
        let message = Self::decode(&mut reader, version)?;
        reader.finish()?;
        Ok(message)
    }

    /// Writes the message alone into one piece of memory. Fails when its records lie in a file.
    fn to_bytes(&self, version: i16) -> Result<Bytes, encode::Error> {
        let mut writer = Writer::new();
        self.encode(&mut writer, version)?;
        writer.finish_bytes()
    }
}

/// A request, and the response that answers it.
pub trait ApiRequest: Message + Into<Request> {
    /// The API that it calls.
    const API_KEY: ApiKey;
    /// What the broker answers.
    type Response: ApiResponse;
}

/// A response; `TryFrom` gives back the [`Response`] of another API.
pub trait ApiResponse: Message + Into<Response> + TryFrom<Response, Error = Box<Response>> {
    /// The API that it answers.
    const API_KEY: ApiKey;
}
