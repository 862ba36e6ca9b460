//! The whole sink, against stores in memory, on disk and behind S3's protocol.

mod bench;
mod contract;
mod lane;
mod names;
mod overlap;
mod partitions;
mod raw;
mod rules;
mod s3;
