//! Sink connectors: they take records from topics and write them to a system outside.

mod batch;
mod format;
mod intent;
mod record;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Instant};

use bytes::Bytes;

pub use batch::{RawRecords, SinkBatch, SinkRecords};
pub use format::{AvroReader, AvroSchemas, ReadError, ValueFormat, ValueReader};
pub use intent::{Intent, Intents};
pub use record::{SinkRecord, TopicPartition};

use crate::{Access, BoxFuture, Connector, Error, Offset, TaskId, config::Properties};

/// The next offset to consume per partition, as consumer groups commit it: everything before it is done.
pub type Offsets = BTreeMap<TopicPartition, Offset>;

/// A connector whose tasks write to a system outside.
pub trait SinkConnector: Connector {
    /// A task that has not started. Called on an instance that need not have started either.
    fn task(&self) -> Box<dyn SinkTask>;

    /// Judges offsets that a user wants to set while the connector is STOPPED (KIP-875): the next offset to consume per
    /// partition, `None` to forget it. `true`: the connector knows them and they are good. `false`: it has no opinion; the
    /// worker sets them and says so. Called on an instance that has not started; `access` is the worker's.
    ///
    /// # Errors
    /// What is wrong with them; nothing is set then.
    fn alter_offsets<'a>(
        &'a self,
        _access: &'a Access,
        _properties: &'a Properties,
        _offsets: &'a BTreeMap<TopicPartition, Option<Offset>>,
    ) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(std::future::ready(Ok(false)))
    }
}

/// A partition that a task is given, and how far its topic goes at that moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignedPartition {
    /// Which one.
    pub topic_partition: TopicPartition,
    /// Which topic of that name: its id, where the cluster has ids. One that is made anew has another, and other records at the
    /// same offsets.
    pub topic_id: Option<Arc<str>>,
    /// The next offset to consume, where the consumer group has one that is not of a log that is no more.
    pub committed: Option<Offset>,
    /// The offset with which the worker will begin unless the task calls [`SinkTaskContext::offset`].
    pub position: Offset,
    /// The first offset that the log still has.
    pub log_start_offset: Offset,
    /// The offset after the last record that may be read (with `read_committed`: the last stable offset).
    pub log_end_offset: Offset,
}

/// Writes records of the partitions that it is given.
///
/// # Contract
///
/// - The worker calls one method at a time and lets it finish, except that a process can be killed at any point.
/// - The order is `start`, `open`, then `put`, `on_deadline` and `pre_commit` in any order, `close` for partitions that go away
///   (after a last `pre_commit`), `open` for ones that come, and `stop`.
/// - **Only offsets that the store has durably taken may be returned by `pre_commit`.** A power loss right after it must
///   not lose a record before them.
/// - `put` gets the batches of a partition in order and without gaps: each begins where the one before ended, or where
///   [`SinkTaskContext::offset`] put it. After a retriable error the very same batch comes again: what the task took of it the
///   first time, it skips by offset.
/// - A record whose own data is at fault goes to the [`ErrantRecordReporter`], if the user wants one; else it fails the task.
pub trait SinkTask: Send {
    /// Prepares the task.
    ///
    /// # Errors
    /// The task is FAILED; a retriable error starts it again after a pause.
    fn start<'a>(
        &'a mut self,
        context: Arc<dyn SinkTaskContext>,
        properties: &'a Properties,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// Whether the task takes raw records, given that no transform is configured and values are as `format` says. If so, it gets
    /// only [`SinkRecords::Raw`] from then on, else only [`SinkRecords::Converted`]. Asked once, after `start`.
    fn takes_raw(&self, _format: &ValueFormat) -> bool {
        false
    }

    /// Whether the task says what it intends before it makes an object, and when it is done, so that no other task can make
    /// another one of the same records ([`Intents`]). If so, and if the worker can, [`SinkTaskContext::intents`] is there from
    /// then on. Asked once, after `start`.
    fn says_intents(&self) -> bool {
        false
    }

    /// Takes over partitions. Here a task looks at what its store already has, and moves the position accordingly by
    /// [`SinkTaskContext::offset`].
    ///
    /// # Errors
    /// The task is FAILED; after a retriable error it is called again after a pause.
    fn open<'a>(&'a mut self, partitions: &'a [AssignedPartition]) -> BoxFuture<'a, Result<(), Error>>;

    /// Takes records. They need not be durable when this returns.
    ///
    /// # Errors
    /// A retriable one: the same batch comes again after a pause. Else the task is FAILED.
    fn put<'a>(&'a mut self, batch: &'a SinkBatch) -> BoxFuture<'a, Result<(), Error>>;

    /// When the task next wants [`SinkTask::on_deadline`] to be called, such as when a file that waits for records has to be
    /// closed. Asked after each call.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// The time of [`SinkTask::deadline`] has come. It may be called early, and then finds nothing to do.
    ///
    /// # Errors
    /// A retriable one: called again after a pause. Else the task is FAILED.
    fn on_deadline(&mut self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Makes everything durable that was put, for tasks that keep the default [`SinkTask::pre_commit`].
    ///
    /// # Errors
    /// Nothing is committed then.
    fn flush<'a>(&'a mut self, _current: &'a Offsets) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Which offsets may be committed, given those that were delivered so far. Unless overridden: all of them, after
    /// [`SinkTask::flush`]. A partition that is left out keeps its committed offset.
    ///
    /// # Errors
    /// Nothing is committed then; a retriable error is tried again at the next commit, else the task is FAILED.
    fn pre_commit<'a>(&'a mut self, current: &'a Offsets) -> BoxFuture<'a, Result<Offsets, Error>> {
        Box::pin(async move {
            self.flush(current).await?;
            Ok(current.clone())
        })
    }

    /// Gives partitions up. What is not committed yet is delivered again to the next owner: open files are thrown away.
    ///
    /// # Errors
    /// The task is FAILED.
    fn close<'a>(&'a mut self, _partitions: &'a [TopicPartition]) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Releases what the task holds. Called after `start` failed, too.
    fn stop(&mut self) -> BoxFuture<'_, ()>;
}

/// What a sink task can ask of its worker. Requests take effect when the method that makes them has returned.
pub trait SinkTaskContext: fmt::Debug + Send + Sync {
    /// Which task it is.
    fn task_id(&self) -> &TaskId;

    /// What the worker allows connectors to reach.
    fn access(&self) -> &Access;

    /// Goes on with this offset in that partition, back or forward (Kafka's `offset`). Records in flight before are dropped.
    fn offset(&self, topic_partition: &TopicPartition, offset: Offset);

    /// Stops delivering these partitions until they are resumed.
    fn pause(&self, partitions: &[TopicPartition]);

    /// Delivers these partitions again.
    fn resume(&self, partitions: &[TopicPartition]);

    /// Asks for a commit soon instead of at the next `offset.flush.interval.ms`.
    fn request_commit(&self);

    /// Where the task says what it intends; `None`: it does not ([`SinkTask::says_intents`]), or the worker cannot hear it.
    fn intents(&self) -> Option<&dyn Intents> {
        None
    }

    /// Takes what the task waits for before it can go on, such as a server that does not answer, and `None` when that is over. What lasts
    /// for some seconds is shown in the task's status, which stays RUNNING. For tasks that try again by themselves: of a retriable
    /// error the worker says so.
    fn report_waiting(&self, _why: Option<&str>) {}

    /// Tells of what became of records, such as what a server answered, in topics of the sink's own cluster. When it returns, the
    /// results may be taken as told: the worker commits no offset after it before the cluster has them. A result may be
    /// told again, as its records may be delivered again. A topic that is missing is made, of one partition.
    ///
    /// # Errors
    /// If they cannot be told; the task fails with this error.
    fn report_results(&self, _records: Vec<ResultRecord>) -> BoxFuture<'_, Result<(), Error>> {
        let error = Error::fatal("this worker has no topics for results");
        Box::pin(std::future::ready(Err(error)))
    }

    /// Where records at fault go; `None`: the configuration wants the task to fail on them (`errors.tolerance=none`).
    fn errant_record_reporter(&self) -> Option<&dyn ErrantRecordReporter>;
}

/// What a sink task has to tell of records, as it goes to a topic: bytes, without a converter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultRecord {
    /// Which topic.
    pub topic: Arc<str>,
    /// The key.
    pub key: Option<Bytes>,
    /// The value.
    pub value: Option<Bytes>,
    /// The headers.
    pub headers: Vec<(String, Bytes)>,
}

/// Takes records that a task cannot write, to log them and to send them to the dead letter queue (KIP-610).
pub trait ErrantRecordReporter: Send + Sync {
    /// Reports the record at `offset` of a batch. When it returns, the record may be taken as done: the worker commits no offset
    /// after it before the dead letter queue has it.
    ///
    /// # Errors
    /// If it cannot be reported; the task fails with this error.
    fn report<'a>(
        &'a self,
        batch: &'a SinkBatch,
        offset: Offset,
        error: Error,
    ) -> BoxFuture<'a, Result<(), Error>>;
}
