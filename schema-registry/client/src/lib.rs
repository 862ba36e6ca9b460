//! Client of a Confluent-compatible schema registry: identifiers and schemas cached, the Confluent wire format.
