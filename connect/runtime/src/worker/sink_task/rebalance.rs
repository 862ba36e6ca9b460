//! Partitions that come and go, and the commits between.

use std::collections::BTreeMap;

use forebay_client::consumer::{OffsetAndMetadata, RebalanceEvent};
use forebay_connect_api::{Error, Offset, TopicPartition};
use forebay_protocol::TopicPartition as ClientTopicPartition;
use tokio::time::Instant;

use super::super::progress::{Hold, SAID_AFTER};
use super::SinkTaskRunner;
use super::opening::Cause;
use super::partitions::{for_client, for_task};
use crate::metrics::Commit;

impl SinkTaskRunner {
    /// Follows what the last poll found out about the task's share of the partitions, and opens what waits for that. What is
    /// revoked can still be committed, as it is given up with the next poll only.
    pub(super) async fn rebalance(&mut self) -> Result<(), Error> {
        self.tell_group();
        for event in self.consumer.take_events() {
            match event {
                RebalanceEvent::Revoked(partitions) => self.give_up(&partitions, true).await?,
                RebalanceEvent::Lost(partitions) => self.give_up(&partitions, false).await?,
                RebalanceEvent::Assigned(partitions) => self.take_over(&partitions, Cause::Assigned)?,
            }
        }
        self.reopen_lost().await?;
        self.open_waiting().await
    }

    /// Takes over anew what the task was refused to speak of. If it is somebody else's by now, a poll says so before.
    async fn reopen_lost(&mut self) -> Result<(), Error> {
        let lost = self.intents.as_ref().map(|intents| intents.take_lost());
        for name in lost.into_iter().flatten() {
            let Some(partition) = self.partitions.get(&name) else {
                continue;
            };
            let (client, from) = (partition.client.clone(), partition.opened);
            tracing::info!(task = %self.id, partition = %name, "the partition is opened anew, from where the group has it");
            self.task.close(std::slice::from_ref(&name)).await?;
            self.partitions.remove(&name);
            self.waiting.add_later(client, Cause::Refused { from });
        }
        self.apply_pauses()
    }

    /// Gives everything up.
    pub(super) async fn close_all(&mut self, commit: bool) -> Result<(), Error> {
        self.waiting.clear();
        let names = self.partitions.names();
        self.close(&names, commit).await
    }

    async fn give_up(&mut self, partitions: &[ClientTopicPartition], commit: bool) -> Result<(), Error> {
        for partition in partitions {
            self.waiting.remove(partition);
        }
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
        if let Some(intents) = &self.intents {
            intents.give_up(&names);
        }
        for name in &names {
            self.partitions.remove(name);
        }
        committed.and(closed)
    }

    /// The log of a partition goes on before what the task has had: its topic was made anew, or the log was cut. The task opens
    /// the partition again, at `position`, and judges for itself.
    pub(super) async fn begin_anew(
        &mut self,
        topic_partition: &TopicPartition,
        position: Offset,
    ) -> Result<(), Error> {
        let next = self
            .partitions
            .get(topic_partition)
            .map(|partition| partition.next);
        let next = next.unwrap_or_default();
        tracing::warn!(
            task = %self.id, partition = %topic_partition, %next, %position,
            "the log goes on before what was to come next: its topic was made anew, or the log was cut"
        );
        // Nothing is committed: the offsets are those of a log that is no more.
        self.task.close(std::slice::from_ref(topic_partition)).await?;
        self.partitions.remove(topic_partition);
        if let Some(reporter) = &self.reporter {
            reporter.forget(topic_partition);
        }
        let client = for_client(topic_partition);
        self.seek(&client, position)?;
        self.take_over(&[client], Cause::BegunAnew)?;
        self.open_waiting().await
    }

    /// Commits what the task says is durable.
    pub(super) async fn commit(&mut self) -> Result<(), Error> {
        self.commit_requested = false;
        self.commit_of(None).await
    }

    async fn commit_of(&mut self, names: Option<&[TopicPartition]>) -> Result<(), Error> {
        let began = Instant::now();
        self.committed_at = began;
        let current = self.partitions.delivered(names);
        if current.is_empty() {
            return Ok(());
        }
        // Before the task is asked: what it reported meanwhile must be in the queue, or must fail it.
        if let Some(reporter) = &self.reporter {
            reporter.flush().await?;
        }
        if let Some(results) = &self.results {
            results.flush().await?;
        }
        let returned = match self.task.pre_commit(&current).await {
            Ok(returned) => returned,
            Err(error) if error.is_retriable() => {
                let why = || {
                    format!(
                        "what it has is not durable yet, and is tried again: {}",
                        error.trace()
                    )
                };
                self.progress.fails(Hold::Flush, why);
                if self.flushing.begins() {
                    tracing::warn!(task = %self.id, %error, "the task cannot say what is durable; trying again");
                }
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.progress.works(Hold::Flush);
        if let Some(lasted) = self.flushing.ends() {
            tracing::info!(task = %self.id, ?lasted, "the task says again what is durable");
        }
        self.take_requests()?;
        let to_commit = self.partitions.to_commit(&returned);
        let for_consumer: BTreeMap<ClientTopicPartition, OffsetAndMetadata> = to_commit
            .iter()
            .map(|(name, offset)| (for_client(name), (*offset).into()))
            .collect();
        let committed = if for_consumer.is_empty() {
            Ok(())
        } else {
            let why = || "offsets cannot be committed yet".to_owned();
            let commit = self.consumer.commit(&for_consumer);
            self.progress.telling(Hold::Offsets, why, commit).await
        };
        if let Err(error) = committed {
            // A later commit covers it; if the partitions are somebody else's now, the next poll says so.
            let why = || format!("offsets cannot be committed: {error}");
            if began.elapsed() < SAID_AFTER {
                self.progress.fails(Hold::Offsets, why);
            } else {
                self.progress.stalls(Hold::Offsets, why);
            }
            if self.committing.begins() {
                tracing::warn!(task = %self.id, %error, "offsets cannot be committed; trying again");
            }
            self.metrics.committed(began.elapsed(), Commit::Failed);
            return Ok(());
        }
        if !for_consumer.is_empty() {
            self.metrics.committed(began.elapsed(), Commit::Done);
        }
        self.progress.works(Hold::Offsets);
        if let Some(lasted) = self.committing.ends().filter(|_| !for_consumer.is_empty()) {
            tracing::info!(task = %self.id, ?lasted, "offsets are committed again");
        }
        if let Some(reporter) = &self.reporter {
            reporter.committed(&to_commit);
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
