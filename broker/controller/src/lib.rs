//! The cluster's metadata as a pure state machine over Kafka's metadata records: topics, partitions, configurations, brokers.
