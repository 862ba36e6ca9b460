//! Kafka's messages at every version: generated from the tables under `schema/` by `cargo xtask generate-protocol`, with the
//! readers and writers that they share. Decoders borrow from the frame and trust no count or length in it; encoders give a list
//! of [`Chunk`]s, so that records go to the socket uncopied. Pure: knows no socket, no clock, and of files only their handle.

pub mod api_key;
pub mod chunk;
pub mod decode;
pub mod encode;
pub mod error_code;
pub mod header;
pub mod identifiers;
pub mod internal_record;
#[cfg(feature = "json")]
mod json;
pub mod message;
pub mod messages;
pub mod records;
pub mod tagged_fields;
pub mod utf8_bytes;
pub mod uuid;

pub use api_key::ApiKey;
pub use chunk::{Chunk, FileRange};
pub use decode::Reader;
pub use encode::Writer;
pub use error_code::ErrorCode;
pub use identifiers::{NodeId, TopicPartition};
#[cfg(feature = "json")]
pub use json::{java_double, java_json};
pub use message::{ApiRequest, ApiResponse, Message};
pub use messages::apis::{Request, Response};
pub use records::Records;
pub use tagged_fields::TaggedFields;
pub use utf8_bytes::Utf8Bytes;
pub use uuid::Uuid;
