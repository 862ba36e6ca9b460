//! Partitions that come and go, and the commits between.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use forebay_client::consumer::{OffsetAndMetadata, RebalanceEvent};
use forebay_connect_api::{AssignedPartition, Error, Offset, TopicPartition};
use forebay_protocol::{ErrorCode, TopicPartition as ClientTopicPartition};
use tokio::time::Instant;

use super::deliver::Progress;
use super::partitions::{for_client, for_task};
use super::{RETRY_DELAY, RETRY_DELAY_MAX, SinkTaskRunner, stopped};
use crate::outage::Outage;

impl SinkTaskRunner {
    /// Follows what the last poll found out about the task's share of the partitions. What is revoked can still be committed,
    /// as it is given up with the next poll only.
    pub(super) async fn rebalance(&mut self) -> Result<(), Error> {
        for event in self.consumer.take_events() {
            match event {
                RebalanceEvent::Revoked(partitions) => self.give_up(&partitions, true).await?,
                RebalanceEvent::Lost(partitions) => self.give_up(&partitions, false).await?,
                RebalanceEvent::Assigned(partitions) => drop(self.take_over(&partitions).await?),
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
        self.absent.retain(|partition| !partitions.contains(partition));
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
        let assigned = self.take_over(&[client]).await?;
        for one in assigned {
            let end = one.log_end_offset;
            let moved = self
                .partitions
                .get(topic_partition)
                .map(|partition| partition.next);
            if let Some(next) = moved.filter(|next| *next > end) {
                return Err(Error::fatal(format!(
                    "the task wants to go on at offset {next} of {topic_partition}, which ends at {end}: its topic was made anew, or its log \
                     was cut. Move away what the task wrote before, or give the connector another name or target"
                )));
            }
        }
        Ok(())
    }

    /// Gives the task new partitions; gives how they were found, none if the task was told to stop first.
    async fn take_over(
        &mut self,
        partitions: &[ClientTopicPartition],
    ) -> Result<Vec<AssignedPartition>, Error> {
        let mut partitions = partitions.to_vec();
        let (mut delay, mut outage) = (RETRY_DELAY, Outage::default());
        let assigned = loop {
            match self.look_at(&partitions).await {
                Ok(assigned) => break assigned,
                Err(error) if self.leave_out_absent(&mut partitions, &error) => {}
                Err(error) if error.is_retriable() => {
                    if outage.begins() {
                        tracing::warn!(task = %self.id, %error, "new partitions cannot be looked at; trying again");
                    }
                    if self.rest(&mut delay).await == Progress::Stops {
                        return Ok(Vec::new());
                    }
                }
                Err(error) => return Err(Error::fatal("cannot look at new partitions").with_source(error)),
            }
        };
        if assigned.is_empty() {
            self.apply_pauses()?;
            return Ok(assigned);
        }
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
                    if self.rest(&mut delay).await == Progress::Stops {
                        // They are not open, and so not to be committed or closed.
                        for partition in &assigned {
                            self.partitions.remove(&partition.topic_partition);
                        }
                        return Ok(Vec::new());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        self.take_requests()?;
        self.apply_pauses()?;
        Ok(assigned)
    }

    /// Leaves those out whose topic was deleted before the group could know, if that is what failed: they must not hold the
    /// others up. The group takes them away, or they come back.
    fn leave_out_absent(
        &mut self,
        partitions: &mut Vec<ClientTopicPartition>,
        error: &forebay_client::Error,
    ) -> bool {
        let is_unknown = matches!(
            error.code(),
            Some(ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId)
        );
        if !is_unknown {
            return false;
        }
        let before = partitions.len();
        for partition in partitions.extract_if(.., |partition| !self.consumer.knows(partition)) {
            tracing::warn!(task = %self.id, %partition, "a new partition is not there; going on without it");
            self.absent.push(partition);
        }
        partitions.len() < before
    }

    /// Takes partitions over whose topic was not there and is there now.
    pub(super) async fn look_for_absent(&mut self) -> Result<(), Error> {
        let known = |partition: &mut ClientTopicPartition| self.consumer.knows(partition);
        let back: Vec<ClientTopicPartition> = self.absent.extract_if(.., known).collect();
        if !back.is_empty() {
            self.take_over(&back).await?;
        }
        Ok(())
    }

    /// Waits before another attempt, longer each time.
    async fn rest(&mut self, delay: &mut Duration) -> Progress {
        let mut command = self.command.clone();
        tokio::select! {
            () = tokio::time::sleep(*delay) => {
                *delay = (*delay * 2).min(RETRY_DELAY_MAX);
                Progress::GoesOn
            }
            () = stopped(&mut command) => Progress::Stops,
        }
    }

    /// Where new partitions begin, end, and go on.
    async fn look_at(
        &mut self,
        partitions: &[ClientTopicPartition],
    ) -> Result<Vec<AssignedPartition>, forebay_client::Error> {
        let committed = self.consumer.committed(partitions).await?;
        let starts = self.consumer.beginning_offsets(partitions).await?;
        let ends = self.consumer.end_offsets(partitions).await?;
        // After the ends: they are of these topics, or of ones that were made anew before and have no other id since.
        let topics: BTreeSet<&str> = partitions.iter().map(|partition| &*partition.topic).collect();
        let topics: Vec<&str> = topics.into_iter().collect();
        let ids = self.consumer.topic_ids(&topics).await?;
        let mut assigned = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let position = self.consumer.position(partition).await?;
            let log_end_offset = ends.get(partition).copied().unwrap_or(position);
            let committed = committed.get(partition).map(|committed| committed.offset);
            assigned.push(AssignedPartition {
                topic_partition: for_task(partition),
                topic_id: ids.get(&*partition.topic).map(|id| id.to_string().into()),
                // Not one of a log that is no more, which the consumer has left already.
                committed: committed.filter(|offset| *offset <= position.max(log_end_offset)),
                position,
                log_start_offset: starts.get(partition).copied().unwrap_or(Offset(0)),
                log_end_offset,
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
            if self.committing.begins() {
                tracing::warn!(task = %self.id, %error, "offsets cannot be committed; trying again");
            }
            return Ok(());
        }
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
