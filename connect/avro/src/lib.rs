//! Connect's data in Avro and back, as Confluent's `AvroData` has it: records, optional as union with null, arrays, maps, enums as
//! strings, fixed as bytes, the logical types, and `connect.*` properties for what Avro cannot say. Used by the Avro converter and
//! by sinks that write Avro files. Knows neither registries nor files.

pub mod data;
mod error;
pub mod from_avro;
pub mod to_avro;

pub use error::Error;

#[cfg(test)]
mod tests;
