//! Client of a Confluent-compatible schema registry, ours or another: identifiers and schemas cached, and the wire
//! format in which serializers put a schema's identifier before the data.

mod cache;
mod client;
mod references;
pub mod wire;

pub use client::{Client, Error, Options, RegisteredSchema, SchemaId, SubjectVersion};
