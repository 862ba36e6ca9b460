//! What a connector author sees, after Kafka Connect's `api` module but batch-minded: [`SourceConnector`] and [`SourceTask`],
//! [`SinkConnector`] and [`SinkTask`], data with schemas ([`Schema`], [`Value`]), configuration definitions, the [`Plugin`]
//! table. Knows neither a client nor a runtime: futures are boxed, what a task asks of its worker goes through a context.
//!
//! The delivery contract is split like this. A source task says with every record where to go on after it; the worker commits
//! that only when the record and all before it in its source partition are acknowledged. A sink task says in
//! [`SinkTask::pre_commit`] which offsets its store has durably taken; the worker commits these and nothing else.

mod access;
#[cfg(feature = "conformance")]
pub mod conformance;
mod connector;
mod error;
mod future;
mod headers;
mod plugin;
pub mod schema;
mod simple;
mod sink;
mod source;
mod text;
pub mod value;

// Connectors depend on this crate alone, so the words of lower rooms that they need come through here.
pub use forebay_config as config;
pub use forebay_records::{NO_TIMESTAMP, Offset, RecordBatch, RecordRef, Timestamp, TimestampType};
pub use forebay_schema_registry_schema::avro;

pub use access::{Access, is_private};
pub use connector::{Connector, ConnectorContext, TaskId};
pub use error::{BoxError, Error};
pub use future::BoxFuture;
pub use headers::{Header, Headers};
pub use plugin::{Constructor, NotFound, Plugin, PluginType, Plugins};
pub use schema::{Field, Schema, SchemaBuilder};
pub use simple::{SimpleSink, SimpleSource};
pub use sink::{
    AssignedPartition, AvroReader, AvroSchemas, ErrantRecordReporter, Intent, Intents, Offsets, RawRecords,
    ReadError, ResultRecord, SinkBatch, SinkConnector, SinkRecord, SinkRecords, SinkTask, SinkTaskContext,
    TopicPartition, ValueFormat, ValueReader,
};
pub use source::{
    AlteredOffset, ExactlyOnceSupport, OffsetMap, OffsetReader, OffsetValue, Progress, ProgressUnit,
    SourceConnector, SourceRecord, SourceTask, SourceTaskContext, TransactionContext,
};
pub use text::Text;
pub use value::{SchemaAndValue, Struct, Value};
