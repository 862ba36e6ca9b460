//! From fetched batches to the task: grouped by partition, converted unless the task takes them raw, and delivered again after
//! a retriable error.

use std::collections::BTreeMap;
use std::time::Duration;

use forebay_client::consumer::FetchedBatch;
use forebay_connect_api::{Error, Offset, RawRecords, SinkBatch, SinkRecord, SinkRecords, TopicPartition};
use tokio::time::Instant;

use super::partitions::{for_client, for_task};
use super::reporter::Report;
use super::{RETRY_DELAY, RETRY_DELAY_MAX, SinkTaskRunner, stopped};
use crate::store::status::TopicStatus;

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
        let mut by_partition: BTreeMap<TopicPartition, Vec<FetchedBatch>> = BTreeMap::new();
        for batch in batches {
            by_partition
                .entry(for_task(&batch.topic_partition))
                .or_default()
                .push(batch);
        }
        for (topic_partition, batches) in by_partition {
            let Some((first, last)) = batches.first().zip(batches.last()) else {
                continue;
            };
            let (first_offset, next_offset) = (first.first_offset, last.next_offset());
            // Given up, or moved by the task since it was fetched: then it is not what comes next.
            let Some(partition) = self.partitions.get(&topic_partition) else {
                continue;
            };
            if first_offset < partition.next {
                continue;
            }
            let begin = partition.next;
            let mut command = self.command.clone();
            let records = tokio::select! {
                records = self.records(&topic_partition, begin, next_offset, batches) => records?,
                () = stopped(&mut command) => return Ok(()),
            };
            let batch = SinkBatch {
                records,
                topic_partition,
                first_offset: begin,
                next_offset,
            };
            self.put(batch).await?;
        }
        Ok(())
    }

    /// Tells the task of offsets without records, such as those of control batches, that the consumer has passed.
    pub(super) async fn deliver_gaps(&mut self) -> Result<(), Error> {
        let positions = self.consumer.positions();
        let passed: Vec<(TopicPartition, Offset, Offset)> = self
            .partitions
            .iter()
            .filter_map(|(name, partition)| {
                let position = positions.get(&partition.client)?.offset;
                (position > partition.next).then(|| (name.clone(), partition.next, position))
            })
            .collect();
        for (topic_partition, first_offset, next_offset) in passed {
            let records = self
                .records(&topic_partition, first_offset, next_offset, Vec::new())
                .await?;
            self.put(SinkBatch {
                topic_partition,
                first_offset,
                next_offset,
                records,
            })
            .await?;
        }
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
            match self
                .converters
                .decode(&topic, partition, timestamp_type, &record)
                .await
            {
                Ok(record) => converted.push(record),
                Err(rejected) => {
                    let report = Report {
                        stage: rejected.stage,
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

    /// Puts a batch, again and again while the task says that this may help.
    async fn put(&mut self, batch: SinkBatch) -> Result<(), Error> {
        let mut delay = RETRY_DELAY;
        loop {
            match self.task.put(&batch).await {
                Ok(()) => break,
                Err(error) if error.is_retriable() => {
                    let partition = &batch.topic_partition;
                    tracing::warn!(task = %self.id, %partition, %error, "put failed; the same records are put again");
                    self.take_requests()?;
                    if !self.wait_to_redeliver(delay, &batch).await? {
                        return Ok(());
                    }
                    delay = (delay * 2).min(RETRY_DELAY_MAX);
                }
                Err(error) => return Err(error),
            }
        }
        self.delivered(&batch);
        self.take_requests()
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

    /// Stays a member of the group while nothing is fetched. `false`: the batch must not be put again, as its partition is gone
    /// or the task has gone elsewhere.
    async fn wait_to_redeliver(&mut self, delay: Duration, batch: &SinkBatch) -> Result<bool, Error> {
        let until = Instant::now() + delay;
        self.partitions.set_redelivering(true);
        self.apply_pauses()?;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let mut command = self.command.clone();
            let polled = tokio::select! {
                polled = self.consumer.poll_batches(left) => polled,
                () = stopped(&mut command) => return Ok(false),
            };
            match polled {
                // Everything is paused: nothing comes.
                Ok(_) => {}
                Err(error) if error.is_retriable() => {
                    tokio::time::sleep(left.min(RETRY_DELAY)).await;
                }
                Err(error) => return Err(Error::fatal("the task's consumer has failed").with_source(error)),
            }
            // Boxed: a rebalance commits, and so this is deep.
            Box::pin(self.rebalance()).await?;
        }
        self.partitions.set_redelivering(false);
        self.apply_pauses()?;
        let partition = self.partitions.get(&batch.topic_partition);
        Ok(partition.is_some_and(|partition| partition.next == batch.first_offset))
    }

    /// Does what the task asked for.
    pub(super) fn take_requests(&mut self) -> Result<(), Error> {
        let Some(requests) = self.requests.as_ref().map(|requests| requests.take()) else {
            return Ok(());
        };
        for (topic_partition, offset) in requests.offsets {
            let Some(partition) = self.partitions.get_mut(&topic_partition) else {
                tracing::warn!(task = %self.id, partition = %topic_partition, "the task moves a partition that it does not have");
                continue;
            };
            partition.next = offset;
            partition.has_moved = true;
            let sought = self.consumer.seek(&for_client(&topic_partition), offset);
            sought.map_err(|error| Error::fatal(format!("cannot go on at {offset}")).with_source(error))?;
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

    /// Tells the consumer which partitions flow.
    pub(super) fn apply_pauses(&mut self) -> Result<(), Error> {
        let (paused, flowing) = self.partitions.pauses();
        let applied = self
            .consumer
            .pause(&paused)
            .and_then(|()| self.consumer.resume(&flowing));
        applied.map_err(|error| Error::fatal("cannot pause or resume partitions").with_source(error))
    }
}
