//! Kafka's messages at every version: schema tables, decoders that trust no length, encoders. Pure.
