//! Source connectors: they read a system outside and give records to be produced.

mod offset;
mod progress;

use std::{fmt, sync::Arc};

pub use offset::{OffsetMap, OffsetValue};
pub use progress::{Progress, ProgressUnit};

use crate::{
    Access, BoxFuture, Connector, Error, Headers, SchemaAndValue, TaskId, Timestamp, config::Properties,
};

/// Whether a source connector can avoid repeating records, given a configuration (Kafka's `ExactlyOnceSupport`, KIP-618).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExactlyOnceSupport {
    /// A task that is started at a record's source offset goes on with the very next record.
    Supported,
    /// It may repeat some.
    Unsupported,
}

/// One source partition and the offset to set for it; `None` forgets it.
pub type AlteredOffset = (OffsetMap, Option<OffsetMap>);

/// A connector whose tasks read a system outside.
pub trait SourceConnector: Connector {
    /// A task that has not started. Called on an instance that need not have started either.
    fn task(&self) -> Box<dyn SourceTask>;

    /// Whether it can avoid repeating records.
    fn exactly_once_support(&self, _properties: &Properties) -> ExactlyOnceSupport {
        ExactlyOnceSupport::Unsupported
    }

    /// Whether its tasks can say where transactions end ([`TransactionContext`]), given a configuration
    /// (`transaction.boundary=connector`; Kafka's `ConnectorTransactionBoundaries`).
    fn can_define_transaction_boundaries(&self, _properties: &Properties) -> bool {
        false
    }

    /// Judges offsets that a user wants to set while the connector is STOPPED (KIP-875). `true`: the connector knows them and
    /// they are good. `false`: it has no opinion; the worker sets them and says so. Called on an instance that has not started;
    /// `access` is the worker's.
    ///
    /// # Errors
    /// What is wrong with them; nothing is set then.
    fn alter_offsets<'a>(
        &'a self,
        _access: &'a Access,
        _properties: &'a Properties,
        _offsets: &'a [AlteredOffset],
    ) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(std::future::ready(Ok(false)))
    }
}

/// One record and where to go on after it.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceRecord {
    /// The part of the outside system that it comes from (`{"filename":"/tmp/a"}`).
    pub source_partition: Arc<OffsetMap>,
    /// Where a task goes on after this record (`{"position":42}`). `None`, as from standard input: there is no such place.
    pub source_offset: Option<OffsetMap>,
    /// The topic to produce it to.
    pub topic: Arc<str>,
    /// The partition to produce it to; `None`: the producer's partitioner decides.
    pub partition: Option<i32>,
    /// The key.
    pub key: SchemaAndValue,
    /// The value.
    pub value: SchemaAndValue,
    /// When it happened; `None`: the producer's clock says.
    pub timestamp: Option<Timestamp>,
    /// The headers.
    pub headers: Headers,
    /// Why it cannot be produced, of one that the task leaves out: it is given in its place for the dead letter queue, if there is one and
    /// errors are tolerated, with the text or bytes that it was to be made of, and for its source offset. It is neither transformed nor
    /// converted.
    pub fault: Option<Arc<str>>,
    /// It is no record, but says that the worker may forget its source partition; see [`SourceRecord::forgetting`].
    pub forgets: bool,
}

impl SourceRecord {
    /// A record with a value only.
    pub fn new(
        source_partition: Arc<OffsetMap>,
        source_offset: Option<OffsetMap>,
        topic: Arc<str>,
        value: SchemaAndValue,
    ) -> Self {
        Self {
            source_partition,
            source_offset,
            topic,
            partition: None,
            key: SchemaAndValue::default(),
            value,
            timestamp: None,
            headers: Headers::new(),
            fault: None,
            forgets: false,
        }
    }

    /// No record, but that a source partition is over and will never come back: once all before it in that source partition is
    /// acknowledged, the worker deletes the committed source offset, in its transaction if there are some. In the offset topic that is the
    /// tombstone that Kafka's worker writes for a source offset of null. [`SourceTask::commit`] does not tell of it.
    pub fn forgetting(source_partition: Arc<OffsetMap>) -> Self {
        Self {
            forgets: true,
            ..Self::new(source_partition, None, Arc::default(), SchemaAndValue::default())
        }
    }

    /// One that the task leaves out, and why; see [`SourceRecord::fault`].
    #[must_use]
    pub fn left_out(mut self, why: impl Into<Arc<str>>) -> Self {
        self.fault = Some(why.into());
        self
    }
}

/// Reads a part of a system outside.
///
/// # Contract
///
/// - The worker calls one method at a time. `start` comes first and once, `stop` last; a killed process calls no `stop`.
/// - **`poll` waits until it has something**, and may be dropped at any `.await`, for a pause, a stop or a change of the
///   configuration: no record may be lost by that. What is under way (a read on another thread) belongs into the task,
///   not into the future. So the worker never waits for a task that waits for data.
/// - A batch is bounded by the connector's configuration, and the last records are not held back for a batch to fill.
/// - Records of one source partition come in its order. A source offset says everything that is needed to go on after its
///   record: tasks keep no other state.
/// - The worker produces batches in the order of `poll`, and commits a source offset only when its record and all before it in its source
///   partition are acknowledged. It may poll again before it has produced a batch; a batch that it has not produced when it stops is lost, and
///   comes again by the offsets.
pub trait SourceTask: Send {
    /// Prepares the task; where to go on is in [`SourceTaskContext::offset_reader`].
    ///
    /// # Errors
    /// The task is FAILED; a retriable error starts it again after a pause.
    fn start<'a>(
        &'a mut self,
        context: Arc<dyn SourceTaskContext>,
        properties: &'a Properties,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// Waits for the next records; see the contract. Never empty, so that nobody polls in circles.
    ///
    /// # Errors
    /// A retriable error: polled again after a pause. Else the task is FAILED, once what it gave before is produced and committed;
    /// a transaction that is open then because the boundary is an interval or the connector's is aborted, and its records come again.
    fn poll(&mut self) -> BoxFuture<'_, Result<Vec<SourceRecord>, Error>>;

    /// Learns that source offsets have been committed, for sources that keep data until then: the last one of each source
    /// partition that moved. Its failure is logged, as what it concerns is done.
    ///
    /// # Errors
    /// If the outside system could not be told.
    fn commit<'a>(
        &'a mut self,
        _offsets: &'a [(Arc<OffsetMap>, OffsetMap)],
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Releases what the task holds. Called after `start` failed, too.
    fn stop(&mut self) -> BoxFuture<'_, ()>;
}

/// What a source task can ask of its worker.
pub trait SourceTaskContext: fmt::Debug + Send + Sync {
    /// Which task it is.
    fn task_id(&self) -> &TaskId;

    /// What the worker allows connectors to reach.
    fn access(&self) -> &Access;

    /// The committed source offsets of this connector.
    fn offset_reader(&self) -> &dyn OffsetReader;

    /// Where the task says how transactions end; only with exactly-once support and `transaction.boundary=connector`.
    fn transaction_context(&self) -> Option<&dyn TransactionContext> {
        None
    }

    /// Takes how far a task is that has an end, for people who wait for it. Told whenever it changes, also while [`SourceTask::poll`]
    /// waits; a task without an end says nothing.
    fn report_progress(&self, _progress: Progress) {}

    /// Takes what the task waits for before it can go on, such as a server that does not answer, and `None` when that is over. What lasts
    /// for some seconds is shown in the task's status, which stays RUNNING.
    fn report_waiting(&self, _why: Option<&str>) {}
}

/// How a task says where transactions end (Kafka's `TransactionContext`, KIP-618): during `poll`, about the batch that it is
/// about to give. Records are named by their place in it, from 0. An aborted transaction's records are dropped, and their source
/// offsets are committed all the same, so that they do not come again; where both are asked for at one place, it is aborted.
pub trait TransactionContext: Send + Sync {
    /// Commits once the batch is sent.
    fn commit_transaction(&self);

    /// Commits once the record at this place of the batch is sent.
    fn commit_transaction_on(&self, place: usize);

    /// Aborts once the batch is sent.
    fn abort_transaction(&self);

    /// Aborts once the record at this place of the batch is sent.
    fn abort_transaction_on(&self, place: usize);
}

/// Reads committed source offsets (Kafka's `OffsetStorageReader`).
pub trait OffsetReader: Send + Sync {
    /// The committed offset of each of these source partitions, in their order; `None`: there is none.
    ///
    /// # Errors
    /// If the offsets cannot be had.
    fn offsets<'a>(
        &'a self,
        partitions: &'a [OffsetMap],
    ) -> BoxFuture<'a, Result<Vec<Option<OffsetMap>>, Error>>;

    /// Every committed source partition of this connector with its offset, for sources that do not know beforehand which there
    /// are. Kafka's reader has no such call.
    ///
    /// # Errors
    /// If the offsets cannot be had, or the worker has no such call either.
    fn all(&self) -> BoxFuture<'_, Result<Vec<(OffsetMap, OffsetMap)>, Error>> {
        let error = Error::fatal("this worker cannot list the source offsets of a connector");
        Box::pin(std::future::ready(Err(error)))
    }
}
