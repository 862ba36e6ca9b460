//! Partitions that come and go, and the commits between.

use std::collections::BTreeMap;

use forebay_client::consumer::{OffsetAndMetadata, RebalanceEvent};
use forebay_connect_api::{AssignedPartition, Error, Offset, TopicPartition};
use forebay_protocol::TopicPartition as ClientTopicPartition;
use tokio::time::Instant;

use super::partitions::{for_client, for_task};
use super::{RETRY_DELAY, RETRY_DELAY_MAX, SinkTaskRunner};

impl SinkTaskRunner {
    /// Follows what the last poll found out about the task's share of the partitions. What is revoked can still be committed,
    /// as it is given up with the next poll only.
    pub(super) async fn rebalance(&mut self) -> Result<(), Error> {
        for event in self.consumer.take_events() {
            match event {
                RebalanceEvent::Revoked(partitions) => self.give_up(&partitions, true).await?,
                RebalanceEvent::Lost(partitions) => self.give_up(&partitions, false).await?,
                RebalanceEvent::Assigned(partitions) => self.take_over(&partitions).await?,
            }
        }
        Ok(())
    }

    /// Gives everything up.
    pub(super) async fn close_all(&mut self, commit: bool) -> Result<(), Error> {
        let names = self.partitions.names();
        self.close(&names, commit).await
    }

    async fn give_up(&mut self, partitions: &[ClientTopicPartition], commit: bool) -> Result<(), Error> {
        let names: Vec<TopicPartition> = partitions.iter().map(for_task).collect();
        self.close(&names, commit).await
    }

    async fn close(&mut self, names: &[TopicPartition], commit: bool) -> Result<(), Error> {
        let names: Vec<TopicPartition> = names
            .iter()
            .filter(|name| self.partitions.get(name).is_some())
            .cloned()
            .collect();
        if names.is_empty() {
            return Ok(());
        }
        // A failed commit costs repeats, no more; a partition that is not closed costs its next owner.
        let committed = if commit {
            self.commit_of(Some(&names)).await
        } else {
            Ok(())
        };
        let closed = self.task.close(&names).await;
        for name in &names {
            self.partitions.remove(name);
        }
        committed.and(closed)
    }

    async fn take_over(&mut self, partitions: &[ClientTopicPartition]) -> Result<(), Error> {
        let mut delay = RETRY_DELAY;
        let assigned = loop {
            match self.look_at(partitions).await {
                Ok(assigned) => break assigned,
                Err(error) if error.is_retriable() => {
                    tracing::warn!(task = %self.id, %error, "new partitions cannot be looked at; trying again");
                    tokio::time::sleep(delay).await;
                    delay = (delay * 2).min(RETRY_DELAY_MAX);
                }
                Err(error) => return Err(Error::fatal("cannot look at new partitions").with_source(error)),
            }
        };
        for partition in &assigned {
            let name = partition.topic_partition.clone();
            self.partitions.add(name, partition.position, partition.committed);
        }
        let mut delay = RETRY_DELAY;
        loop {
            match self.task.open(&assigned).await {
                Ok(()) => break,
                Err(error) if error.is_retriable() => {
                    tracing::warn!(task = %self.id, %error, "the task cannot open new partitions; trying again");
                    tokio::time::sleep(delay).await;
                    delay = (delay * 2).min(RETRY_DELAY_MAX);
                }
                Err(error) => return Err(error),
            }
        }
        self.take_requests()?;
        self.apply_pauses()
    }

    /// Where new partitions begin, end, and go on.
    async fn look_at(
        &mut self,
        partitions: &[ClientTopicPartition],
    ) -> Result<Vec<AssignedPartition>, forebay_client::Error> {
        let committed = self.consumer.committed(partitions).await?;
        let starts = self.consumer.beginning_offsets(partitions).await?;
        let ends = self.consumer.end_offsets(partitions).await?;
        let mut assigned = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let position = self.consumer.position(partition).await?;
            assigned.push(AssignedPartition {
                topic_partition: for_task(partition),
                committed: committed.get(partition).map(|committed| committed.offset),
                position,
                log_start_offset: starts.get(partition).copied().unwrap_or(Offset(0)),
                log_end_offset: ends.get(partition).copied().unwrap_or(position),
            });
        }
        Ok(assigned)
    }

    /// Commits what the task says is durable.
    pub(super) async fn commit(&mut self) -> Result<(), Error> {
        self.commit_requested = false;
        self.commit_of(None).await
    }

    async fn commit_of(&mut self, names: Option<&[TopicPartition]>) -> Result<(), Error> {
        self.committed_at = Instant::now();
        let current = self.partitions.delivered(names);
        if current.is_empty() {
            return Ok(());
        }
        // Before the task is asked: what it reported meanwhile must be in the queue, or must fail it.
        if let Some(reporter) = &self.reporter {
            reporter.flush().await?;
        }
        let returned = match self.task.pre_commit(&current).await {
            Ok(returned) => returned,
            Err(error) if error.is_retriable() => {
                tracing::warn!(task = %self.id, %error, "the task cannot say what is durable; trying again");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.take_requests()?;
        let to_commit = self.partitions.to_commit(&returned);
        let for_consumer: BTreeMap<ClientTopicPartition, OffsetAndMetadata> = to_commit
            .iter()
            .map(|(name, offset)| (for_client(name), (*offset).into()))
            .collect();
        let committed = if for_consumer.is_empty() {
            Ok(())
        } else {
            self.consumer.commit(&for_consumer).await
        };
        if let Err(error) = committed {
            // A later commit covers it; if the partitions are somebody else's now, the next poll says so.
            tracing::warn!(task = %self.id, %error, "offsets cannot be committed; trying again");
            return Ok(());
        }
        for (name, next) in &current {
            if let Some(partition) = self.partitions.get_mut(name) {
                if let Some(offset) = to_commit.get(name) {
                    partition.committed = Some(*offset);
                }
                partition.has_moved = partition.next != *next;
            }
        }
        Ok(())
    }
}
