//! What becomes of records that a sink cannot take: logged if wanted, and sent to the dead letter queue as they were consumed,
//! with headers that say where they came from and why they are there (KIP-298, KIP-610). No offset behind such a record is
//! committed before the queue has it; if it cannot have it, the task fails. A record that comes again to the same task, because
//! nothing behind it was committed before a rebalance, is not sent again; after a kill it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use forebay_client::consumer::FetchedBatch;
use forebay_client::producer::DeliveryFuture;
use forebay_client::{Error as ClientError, Producer, ProducerRecord};
use forebay_connect_api::{
    BoxFuture, ErrantRecordReporter, Error, NO_TIMESTAMP, Offset, Offsets, SinkBatch, SinkRecords, TaskId,
    TopicPartition,
};
use forebay_records::{Headers, Record};

use super::super::clients;
use super::super::context::Context;
use super::super::converters::Converters;
use super::super::dead_letters::{Fault, Header, header, headers, make_queue, not_made};
use super::super::progress::{Hold, Progress, because};
use super::super::stage::Stage;
use crate::connector_config::{ConnectorConfig, DeadLetterQueueConfig, ErrorHandling};

/// How many records may be on their way to the queue.
const PENDING_MAX: usize = 1_000;

/// How many records, sent and not committed, are remembered; those beyond may be sent again.
const REMEMBERED_MAX: usize = 100_000;

/// The dead letter queue.
struct Queue {
    producer: Producer,
    config: DeadLetterQueueConfig,
}

/// Reports for one task.
pub(super) struct Reporter {
    id: TaskId,
    errors: ErrorHandling,
    task_class: String,
    converters: Converters,
    queue: Option<Queue>,
    /// What the status says of holds.
    progress: Arc<Progress>,
    /// On their way to the queue.
    pending: Mutex<Vec<DeliveryFuture>>,
    /// Sent, and nothing behind them is committed.
    sent: Mutex<BTreeMap<TopicPartition, BTreeSet<Offset>>>,
    /// What the task was given last, as it was consumed.
    originals: Mutex<Vec<FetchedBatch>>,
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queue = self.queue.as_ref().map(|queue| &queue.config.topic);
        f.debug_struct("Reporter")
            .field("id", &self.id)
            .field("queue", &queue)
            .finish_non_exhaustive()
    }
}

/// Why a record is reported.
pub(super) struct Report<'a> {
    /// Where it failed.
    pub(super) stage: Stage,
    /// The Java class that failed, where the stage does not tell.
    pub(super) class: Option<&'static str>,
    /// The partition that it is from.
    pub(super) topic_partition: &'a TopicPartition,
    /// The record as it was consumed.
    pub(super) record: &'a Record,
    /// What was wrong.
    pub(super) error: Error,
}

impl Reporter {
    /// Makes sure of the queue, if there is to be one.
    pub(super) async fn new(
        context: &Context,
        config: &ConnectorConfig,
        progress: Arc<Progress>,
        task_class: String,
        converters: Converters,
    ) -> Result<Self, Error> {
        let id = progress.id().clone();
        let queue = match config.dead_letter_queue() {
            Some(queue) => Some(open(context, config, &id, queue).await?),
            None => None,
        };
        Ok(Self {
            id,
            progress,
            errors: config.errors.clone(),
            task_class,
            converters,
            queue,
            pending: Mutex::default(),
            sent: Mutex::default(),
            originals: Mutex::default(),
        })
    }

    /// Keeps what the task is given next.
    pub(super) fn keep(&self, originals: Vec<FetchedBatch>) {
        *self.originals.lock().expect("nobody panics with the originals") = originals;
    }

    /// Lets a record pass that was at fault.
    ///
    /// # Errors
    /// What the task fails with: the error itself, if the user tolerates none, or the queue's.
    pub(super) async fn report_record(&self, report: Report<'_>) -> Result<(), Error> {
        let Report {
            stage,
            class,
            topic_partition,
            record,
            error,
        } = report;
        let place = || format!("{topic_partition} offset {}", record.offset);
        let tolerated = self.errors.tolerate(&self.id, stage, error, place);
        let error = tolerated.map_err(|error| {
            let message = format!("a record cannot be taken: {} ({})", place(), stage.name());
            Error::fatal(message).with_source(error)
        })?;
        let Some(queue) = &self.queue else {
            return Ok(());
        };
        if self.is_sent(topic_partition, record.offset) {
            return Ok(());
        }
        let mut all: Vec<Header> = record
            .headers
            .iter()
            .map(|header| {
                let value = header.value.map(|value| record.headers.share(value));
                (header.key_text().into_owned(), value)
            })
            .collect();
        if queue.config.context_headers {
            all.extend(self.context_headers((stage, class), topic_partition, record.offset, &error));
        }
        let headers: Headers = all.into_iter().collect();
        self.errors.metrics.dead_letter();
        let delivery = queue.producer.send(ProducerRecord {
            topic: &queue.config.topic,
            partition: None,
            timestamp: Some(record.timestamp).filter(|timestamp| *timestamp != NO_TIMESTAMP),
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
        });
        let delivery = self.telling(delivery).await;
        let delivery = delivery.map_err(|error| self.not_queued(error))?;
        self.remember(topic_partition, record.offset);
        let is_full = {
            let mut pending = self.pending.lock().expect("nobody panics with them");
            pending.push(delivery);
            pending.len() >= PENDING_MAX
        };
        if is_full { self.flush().await } else { Ok(()) }
    }

    /// Waits until the queue has everything that was reported.
    ///
    /// # Errors
    /// If it cannot have it; the task fails.
    pub(super) async fn flush(&self) -> Result<(), Error> {
        let pending = std::mem::take(&mut *self.pending.lock().expect("nobody panics with them"));
        if pending.is_empty() {
            return Ok(());
        }
        let all = async {
            for delivery in pending {
                delivery.await?;
            }
            Ok(())
        };
        self.telling(all).await.map_err(|error| self.not_queued(error))
    }

    /// Waits for the queue; if that takes long, the status says so.
    async fn telling<T>(&self, work: impl Future<Output = T>) -> T {
        let why = || match &self.queue {
            Some(queue) => {
                let because = because(&queue.producer);
                format!(
                    "the dead letter queue {} takes no letters{because}",
                    queue.config.topic
                )
            }
            None => String::new(),
        };
        self.progress.telling(Hold::Letters, why, work).await
    }

    /// What is before these offsets does not come again.
    pub(super) fn committed(&self, offsets: &Offsets) {
        let mut sent = self.sent();
        for (topic_partition, offset) in offsets {
            if let Some(of_partition) = sent.get_mut(topic_partition) {
                *of_partition = of_partition.split_off(offset);
            }
        }
        sent.retain(|_, of_partition| !of_partition.is_empty());
    }

    /// A partition's offsets stand for other records from now on.
    pub(super) fn forget(&self, topic_partition: &TopicPartition) {
        self.sent().remove(topic_partition);
    }

    fn is_sent(&self, topic_partition: &TopicPartition, offset: Offset) -> bool {
        let sent = self.sent();
        sent.get(topic_partition)
            .is_some_and(|of_partition| of_partition.contains(&offset))
    }

    fn remember(&self, topic_partition: &TopicPartition, offset: Offset) {
        let mut sent = self.sent();
        if sent.values().map(BTreeSet::len).sum::<usize>() < REMEMBERED_MAX {
            sent.entry(topic_partition.clone()).or_default().insert(offset);
        }
    }

    fn sent(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, BTreeSet<Offset>>> {
        self.sent.lock().expect("nobody panics with what is sent")
    }

    fn not_queued(&self, error: ClientError) -> Error {
        self.errors.metrics.dead_letter_failed();
        let topic = self
            .queue
            .as_ref()
            .map_or("", |queue| queue.config.topic.as_str());
        let message = format!("Could not produce message to dead letter queue. topic={topic}");
        Error::fatal(message).with_source(error)
    }

    fn context_headers(
        &self,
        (stage, class): (Stage, Option<&'static str>),
        topic_partition: &TopicPartition,
        offset: Offset,
        error: &Error,
    ) -> impl Iterator<Item = Header> + use<> {
        let class = class.or_else(|| self.converters.class(stage));
        let class = class.unwrap_or(&self.task_class);
        let place = [
            header("topic", topic_partition.topic.to_string()),
            header("partition", topic_partition.partition.to_string()),
            header("offset", offset.to_string()),
        ];
        place
            .into_iter()
            .chain(headers(&self.id, Fault { stage, class, error }))
    }

    /// The record at `offset` of a batch as it was consumed; one that is there no more is made again from what it was converted to.
    async fn original(&self, batch: &SinkBatch, offset: Offset) -> Result<Record, Error> {
        let missing = || {
            Error::fatal(format!(
                "there is no record at offset {offset} of {}",
                batch.topic_partition
            ))
        };
        let records = match &batch.records {
            SinkRecords::Raw(raw) => {
                let mut found = None;
                raw.try_for_each(|record| {
                    if record.offset == offset {
                        found = Some(owned(&record));
                    }
                    Ok::<(), Error>(())
                })?;
                return found.ok_or_else(missing);
            }
            SinkRecords::Converted(records) => records,
        };
        if let Some(kept) = self.kept(&batch.topic_partition, offset) {
            return Ok(kept);
        }
        let record = records
            .iter()
            .find(|record| record.offset == offset)
            .ok_or_else(missing)?;
        self.converters
            .encode_again(record)
            .await
            .map_err(|rejected| rejected.error)
    }

    fn kept(&self, topic_partition: &TopicPartition, offset: Offset) -> Option<Record> {
        let originals = self.originals.lock().expect("nobody panics with the originals");
        let batch = originals.iter().find(|batch| {
            batch.topic_partition.partition == topic_partition.partition
                && *batch.topic_partition.topic == *topic_partition.topic
                && (batch.first_offset..batch.next_offset()).contains(&offset)
        })?;
        let mut records = batch.records().ok()?;
        records.find_map(|record| record.ok().filter(|record| record.offset == offset))
    }
}

fn owned(record: &forebay_connect_api::RecordRef<'_>) -> Record {
    let headers = record.headers.map(|header| (header.key_text(), header.value));
    Record {
        offset: record.offset,
        timestamp: record.timestamp,
        key: record.key.map(Bytes::copy_from_slice),
        value: record.value.map(Bytes::copy_from_slice),
        headers: headers.collect(),
    }
}

impl ErrantRecordReporter for Reporter {
    fn report<'a>(
        &'a self,
        batch: &'a SinkBatch,
        offset: Offset,
        error: Error,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let record = self.original(batch, offset).await?;
            self.report_record(Report {
                stage: Stage::TaskPut,
                class: None,
                topic_partition: &batch.topic_partition,
                record: &record,
                error,
            })
            .await
        })
    }
}

/// Makes the queue, if it is missing.
async fn open(
    context: &Context,
    config: &ConnectorConfig,
    id: &TaskId,
    queue: DeadLetterQueueConfig,
) -> Result<Queue, Error> {
    make_queue(context, config, &queue).await?;
    let producer = clients::dead_letter_queue_producer(context, config, id);
    Ok(Queue {
        producer: producer.map_err(|error| not_made(&queue.topic, error))?,
        config: queue,
    })
}
