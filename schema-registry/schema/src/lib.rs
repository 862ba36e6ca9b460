//! Schemas as a registry sees them: Avro parsing, canonical text and compatibility. Pure.
