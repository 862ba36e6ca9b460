//! What the transaction coordinator answers and writes: Kafka's rules one by one, then everything at random.

mod add_partitions;
mod end_transaction;
mod failures;
mod init_producer_id;
mod list;
mod model;
mod over_time;
mod records;
mod support;
