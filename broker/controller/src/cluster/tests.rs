//! Every command against Kafka's answers, the logs that Kafka wrote, and random commands against what replay makes of them.

mod brokers;
mod configs;
mod elections;
mod features;
mod fixture;
mod kafka_logs;
mod legacy_configs;
mod partitions;
mod quotas;
mod random_commands;
mod scram;
mod snapshots;
mod topics;
