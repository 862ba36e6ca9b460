//! The object-store sink: topics as Parquet or JSON lines in `file://` and `s3://`, exactly once, under the keys and the class name
//! of Confluent's S3 sink (its HDFS sink's too).
//!
//! Objects are named `<topics.dir>/<topic>/partition=N/<topic>+<partition>+<start>+<end>.<ext>`: the range of offsets that they stand
//! for, both ends included. Offsets without a record (control batches, records that a transform took) are in a range, too, so
//! ranges follow each other without holes. The store's own list says where to go on: after the last end. So whatever closes a
//! file, be it a count, the records' time, the wall clock or want of memory, no record is lost or repeated by it.
//!
//! The order that makes this true, and must hold: an object is complete before it has its name; it is durable before its
//! records' offsets are committed; objects of one partition appear one after the other, never a later one first.
//!
//! What must not be here: anything of Kafka's protocol. Two tasks that overlap on one partition are fenced by the worker's
//! intents, once it has them; until then a name protects only against the same range written twice.

mod clock;
mod config;
mod connector;
mod format;
mod name;
mod resume;
mod rotation;
mod store;
mod task;

pub use connector::ObjectStoreSinkConnector;

use forebay_connect_api::Plugin;

/// The connector, for the worker's table.
pub fn plugins() -> [Plugin; 1] {
    let plugin = Plugin::sink(
        "io.confluent.connect.s3.S3SinkConnector",
        env!("CARGO_PKG_VERSION"),
        ObjectStoreSinkConnector::default,
    );
    [plugin.aliases(&[
        "io.confluent.connect.hdfs.HdfsSinkConnector",
        "io.confluent.connect.hdfs3.Hdfs3SinkConnector",
        "ObjectStoreSinkConnector",
    ])]
}
