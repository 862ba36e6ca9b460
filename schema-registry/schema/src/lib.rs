//! Schemas as a registry sees them: parsing, canonical text and compatibility. Pure: no network, no store.
//!
//! Avro only so far; JSON Schema and Protobuf have their place as siblings of [`avro`].

pub mod avro;
pub mod compatibility;
