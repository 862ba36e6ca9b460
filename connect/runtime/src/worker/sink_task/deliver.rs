//! From fetched batches to the task: grouped by partition, converted unless the task takes them raw, and delivered again after
//! a retriable error.
//!
//! While a batch waits to be delivered again, anything can happen to any partition. So whatever came from the consumer names
//! the generation of its partition, and is dropped if there is another one by now: whoever made that has also told the consumer
//! where to go on.

use std::collections::BTreeMap;
use std::time::Duration;

use forebay_client::consumer::FetchedBatch;
use forebay_connect_api::{Error, Offset, RawRecords, SinkBatch, SinkRecord, SinkRecords, TopicPartition};
use forebay_protocol::TopicPartition as ClientTopicPartition;
use tokio::time::Instant;

use super::super::progress::Hold;
use super::partitions::{Generation, for_task};
use super::reporter::Report;
use super::{POLL_MAX, RETRY_DELAY, RETRY_DELAY_MAX, SinkTaskRunner, stopped};
use crate::store::config::TargetState;
use crate::store::status::TopicStatus;

/// What one poll brought of one partition.
struct Polled {
    topic_partition: TopicPartition,
    /// The partition's at the poll.
    generation: Generation,
    /// In order, and none without a batch.
    batches: Vec<FetchedBatch>,
}

/// Whether the task goes on, or was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    GoesOn,
    Stops,
}

/// What becomes of a batch that the task did not take.
enum Redelivery {
    /// It is put again.
    Again,
    /// Its partition was given up or moved meanwhile: the consumer brings what comes next there.
    Dropped,
    /// The task is to stop.
    Stops,
}

impl SinkTaskRunner {
    /// Gives the task what was fetched, one partition after the other.
    pub(super) async fn deliver(&mut self, batches: Vec<FetchedBatch>) -> Result<(), Error> {
        if batches.is_empty() {
            return Ok(());
        }
        if self.raw.is_none()
            && let Some(reporter) = &self.reporter
        {
            reporter.keep(batches.clone());
        }
        for polled in self.by_partition(batches) {
            if self.deliver_polled(polled).await? == Progress::Stops {
                break;
            }
        }
        self.count_partitions();
        Ok(())
    }

    /// Tells how far behind the task is.
    fn count_partitions(&mut self) {
        // Also of partitions that have nothing new, such as all of them after a start.
        self.partitions.set_ends(|client| self.consumer.known_end(client));
        let count = self.partitions.iter().count();
        self.metrics.assigned(count, self.partitions.lag_max());
        self.metrics.active(self.partitions.uncommitted());
    }

    /// Sorts what a poll has brought, before anything can happen to the partitions.
    fn by_partition(&self, batches: Vec<FetchedBatch>) -> Vec<Polled> {
        let mut by_partition: BTreeMap<TopicPartition, Vec<FetchedBatch>> = BTreeMap::new();
        for batch in batches {
            by_partition
                .entry(for_task(&batch.topic_partition))
                .or_default()
                .push(batch);
        }
        let polled = by_partition.into_iter().filter_map(|(topic_partition, batches)| {
            let generation = self.partitions.get(&topic_partition)?.generation;
            Some(Polled {
                topic_partition,
                generation,
                batches,
            })
        });
        polled.collect()
    }

    async fn deliver_polled(&mut self, polled: Polled) -> Result<Progress, Error> {
        let Polled {
            topic_partition,
            generation,
            batches,
        } = polled;
        let Some((first, last)) = batches.first().zip(batches.last()) else {
            return Ok(Progress::GoesOn);
        };
        let (first_offset, next_offset) = (first.first_offset, last.next_offset());
        let (end, count) = (last.high_watermark, batches.iter().map(record_count).sum());
        // Given up or moved since the poll, by a rebalance or by the task: the consumer stands where it has to go on.
        let Some(partition) = self.partitions.current(&topic_partition, generation) else {
            return Ok(Progress::GoesOn);
        };
        let begin = partition.next;
        if !self.partitions.flows(partition) {
            // Paused since the poll: it comes again.
            let client = partition.client.clone();
            self.seek(&client, begin)?;
            return Ok(Progress::GoesOn);
        }
        if first_offset < begin {
            self.begin_anew(&topic_partition, first_offset).await?;
            return Ok(Progress::GoesOn);
        }
        let mut command = self.command.clone();
        let records = tokio::select! {
            records = self.records(&topic_partition, begin, next_offset, batches) => records?,
            () = stopped(&mut command) => return Ok(Progress::Stops),
        };
        let batch = SinkBatch {
            records,
            topic_partition,
            first_offset: begin,
            next_offset,
        };
        self.metrics.took(count, Duration::ZERO);
        if let Some(partition) = self.partitions.get_mut(&batch.topic_partition) {
            partition.end = Some(end);
        }
        self.put(batch, generation).await
    }

    /// Tells the task of offsets without records, such as those of control batches, that the consumer has passed.
    pub(super) async fn deliver_gaps(&mut self) -> Result<(), Error> {
        let positions = self.consumer.positions();
        let passed: Vec<(TopicPartition, Generation, Offset)> = self
            .partitions
            .iter()
            .filter_map(|(name, partition)| {
                let position = positions.get(&partition.client)?.offset;
                (position > partition.next).then(|| (name.clone(), partition.generation, position))
            })
            .collect();
        for (topic_partition, generation, next_offset) in passed {
            let current = self.partitions.current(&topic_partition, generation);
            let Some(partition) = current.filter(|partition| self.partitions.flows(partition)) else {
                continue;
            };
            let first_offset = partition.next;
            let records = self
                .records(&topic_partition, first_offset, next_offset, Vec::new())
                .await?;
            let batch = SinkBatch {
                topic_partition,
                first_offset,
                next_offset,
                records,
            };
            if self.put(batch, generation).await? == Progress::Stops {
                break;
            }
        }
        self.count_partitions();
        Ok(())
    }

    async fn records(
        &mut self,
        topic_partition: &TopicPartition,
        first_offset: Offset,
        next_offset: Offset,
        batches: Vec<FetchedBatch>,
    ) -> Result<SinkRecords, Error> {
        if let Some(format) = self.raw.clone() {
            let batches = batches.into_iter().map(|batch| batch.batch).collect();
            let raw = RawRecords::new(format, first_offset, next_offset, batches);
            return Ok(SinkRecords::Raw(raw));
        }
        let mut converted = Vec::new();
        for batch in &batches {
            self.convert(topic_partition, batch, &mut converted).await?;
        }
        Ok(SinkRecords::Converted(converted))
    }

    async fn convert(
        &mut self,
        topic_partition: &TopicPartition,
        batch: &FetchedBatch,
        converted: &mut Vec<SinkRecord>,
    ) -> Result<(), Error> {
        let damaged = |error| {
            let message = format!(
                "the records of {topic_partition} from offset {} on cannot be read",
                batch.first_offset
            );
            Error::fatal(message).with_source(error)
        };
        let topic = self.partitions.shared_topic(topic_partition);
        let timestamp_type = batch.batch.header().attributes.timestamp_type();
        for record in batch.records().map_err(damaged)? {
            let record = record.map_err(damaged)?;
            let partition = topic_partition.partition;
            let decoded = self
                .converters
                .decode(&topic, partition, timestamp_type, &record)
                .await;
            match decoded.and_then(|record| self.transformations.sink(record)) {
                Ok(record) => converted.extend(record),
                Err(rejected) => {
                    let report = Report {
                        stage: rejected.stage,
                        class: rejected.class,
                        topic_partition,
                        record: &record,
                        error: rejected.error,
                    };
                    let reporter = self.reporter.as_ref().expect("made when the task was started");
                    reporter.report_record(report).await?;
                }
            }
        }
        Ok(())
    }

    /// Puts a batch of a partition of that generation, again and again while the task says that this may help and the
    /// partition stays what it is.
    async fn put(&mut self, batch: SinkBatch, generation: Generation) -> Result<Progress, Error> {
        let mut delay = RETRY_DELAY;
        loop {
            let began = Instant::now();
            let put = self.task.put(&batch).await;
            self.metrics.put(began.elapsed());
            match put {
                Ok(()) => break,
                Err(error) if error.is_retriable() => {
                    self.metrics.errors.retried();
                    let partition = &batch.topic_partition;
                    let why = || format!("records of {partition} are put again: {}", error.trace());
                    self.progress.fails(Hold::Task, why);
                    tracing::warn!(task = %self.id, %partition, %error, "put failed; the same records are put again");
                    self.take_requests()?;
                    match self.wait_to_redeliver(delay, partition, generation).await? {
                        Redelivery::Again => {}
                        Redelivery::Dropped => return Ok(Progress::GoesOn),
                        Redelivery::Stops => return Ok(Progress::Stops),
                    }
                    delay = (delay * 2).min(RETRY_DELAY_MAX);
                }
                Err(error) => return Err(error),
            }
        }
        self.progress.works(Hold::Task);
        self.delivered(&batch);
        self.metrics.gave(sent_count(&batch));
        self.take_requests()?;
        Ok(Progress::GoesOn)
    }

    fn delivered(&mut self, batch: &SinkBatch) {
        if let Some(partition) = self.partitions.get_mut(&batch.topic_partition) {
            partition.next = batch.next_offset;
            partition.has_moved = true;
        }
        if self.context.config.topic_tracking {
            self.context.statuses.put_topic(&TopicStatus {
                topic: batch.topic_partition.topic.to_string(),
                connector: self.id.connector.to_string(),
                task: self.id.task,
                discover_timestamp: super::super::now(),
            });
        }
    }

    /// Stays a member of the group, and does what the user wants, while nothing is fetched.
    async fn wait_to_redeliver(
        &mut self,
        delay: Duration,
        topic_partition: &TopicPartition,
        generation: Generation,
    ) -> Result<Redelivery, Error> {
        let until = Instant::now() + delay;
        self.partitions.set_redelivering(true);
        self.apply_pauses()?;
        loop {
            // Boxed, as the rebalance below: both commit, and so this is deep.
            let Some(state) = Box::pin(self.follow()).await? else {
                return Ok(Redelivery::Stops);
            };
            let wait = match state {
                TargetState::Started => until.saturating_duration_since(Instant::now()),
                _ => POLL_MAX,
            };
            if wait.is_zero() {
                break;
            }
            let mut command = self.command.clone();
            let polled = tokio::select! {
                polled = self.consumer.poll_batches(wait) => polled,
                _ = command.changed() => continue,
            };
            match polled {
                // Everything is paused: nothing comes.
                Ok(_) => self.tell_group(),
                Err(error) if error.is_retriable() => tokio::time::sleep(wait.min(RETRY_DELAY)).await,
                Err(error) => return Err(Error::fatal("the task's consumer has failed").with_source(error)),
            }
            Box::pin(self.rebalance()).await?;
        }
        self.partitions.set_redelivering(false);
        self.apply_pauses()?;
        let is_current = self.partitions.current(topic_partition, generation).is_some();
        Ok(if is_current {
            Redelivery::Again
        } else {
            Redelivery::Dropped
        })
    }

    /// Does what the task asked for.
    pub(super) fn take_requests(&mut self) -> Result<(), Error> {
        let Some(requests) = self.requests.as_ref().map(|requests| requests.take()) else {
            return Ok(());
        };
        for (topic_partition, offset) in requests.offsets {
            let Some(partition) = self.partitions.move_to(&topic_partition, offset) else {
                tracing::warn!(task = %self.id, partition = %topic_partition, "the task moves a partition that it does not have");
                continue;
            };
            let client = partition.client.clone();
            self.seek(&client, offset)?;
        }
        let committed = self.intents.as_ref().map(|intents| intents.take_committed());
        for (topic_partition, offset) in committed.into_iter().flatten() {
            if let Some(partition) = self.partitions.get_mut(&topic_partition) {
                partition.committed = Some(offset);
            }
        }
        self.commit_requested |= requests.commit;
        if !requests.pauses.is_empty() {
            for (topic_partition, paused) in requests.pauses {
                self.partitions.set_paused(&topic_partition, paused);
            }
            self.apply_pauses()?;
        }
        Ok(())
    }

    pub(super) fn seek(&mut self, partition: &ClientTopicPartition, offset: Offset) -> Result<(), Error> {
        let sought = self.consumer.seek(partition, offset);
        sought.map_err(|error| Error::fatal(format!("cannot go on at {offset}")).with_source(error))
    }

    /// Tells the consumer which partitions flow.
    pub(super) fn apply_pauses(&mut self) -> Result<(), Error> {
        let (mut paused, flowing) = self.partitions.pauses();
        paused.extend(self.waiting.names().cloned());
        let applied = self
            .consumer
            .pause(&paused)
            .and_then(|()| self.consumer.resume(&flowing));
        applied.map_err(|error| Error::fatal("cannot pause or resume partitions").with_source(error))
    }
}

/// As its header says, and so with records before the first offset that is looked at.
fn record_count(batch: &FetchedBatch) -> usize {
    usize::try_from(batch.batch.header().count).unwrap_or(0)
}

fn sent_count(batch: &SinkBatch) -> usize {
    match &batch.records {
        SinkRecords::Converted(records) => records.len(),
        SinkRecords::Raw(raw) => raw.batches_count(),
    }
}
