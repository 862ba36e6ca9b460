//! Every command against Kafka's answers, the logs that Kafka wrote, and random commands against what replay makes of them.

mod brokers;
mod configs;
mod fixture;
mod kafka_logs;
mod partitions;
mod random_commands;
mod topics;
