//! The object-store sink: topics as Parquet, Avro, JSON lines, CSV or bytes in `file://` and `s3://`, exactly once, under the keys and
//! the class name of Confluent's S3 sink (its HDFS sink's too). What a file holds, `format.rs` says.
//!
//! Objects are named `<topics.dir>/<topic>/<encoded partition>/<topic>+<partition>+<start>+<end>.<ext>`: the range of offsets that
//! they stand for, both ends included. With the default partitioner (`partition=N`) offsets without a record (control batches,
//! records that a transform took) are in a range, too, so ranges follow each other without holes, and the store's own list says
//! where to go on: after the last end. With the others a range goes from an object's first record to its last one, several files
//! are open at once, the lowest offset that is in no object is committed, and what a folder's list covers is skipped when it is
//! read again. So whatever closes a file, be it a count, the records' time, the wall clock or want of memory, no record is
//! lost or repeated by it. Only if the wall clock says the folder (`timestamp.extractor=Wallclock`) a record may be stored twice.
//!
//! Those ranges are of one topic. Its id is noted beside each object, where the store has a place for it: metadata of the object
//! in S3 (`x-amz-meta-forebay-topic-id`), an extended attribute in a file system that has them (`user.forebay.topic-id`). A task
//! that is given another topic of that name (it was made anew, or the cluster was) is refused if the last object has a note of
//! another id, or if the topic ends before the objects do. Where the last object has no note (it was copied without its metadata, or
//! an older version or another sink made it) and the new topic is longer already, nothing tells: it is read from after the last end.
//!
//! The order that makes this true, and must hold: an object is complete before it has its name; it is durable before its
//! records' offsets are committed; objects of one folder and partition appear one after the other, never a later one first.
//!
//! What must not be here: anything of Kafka's protocol. Two tasks that overlap on one partition are fenced by the worker's intents
//! (`task/promise.rs`, docs/decisions/0005-intents.md); without them (`intents.enable=false`, a worker that keeps its offsets in a file) a
//! name protects only against the same range written twice.

mod budget;
mod clock;
mod config;
mod connector;
mod format;
mod name;
mod partitioner;
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
