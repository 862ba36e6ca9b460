//! Committing offsets: when asked to, from time to time (`enable.auto.commit`), and before partitions are given up.

use std::{future::Future, time::Duration};

use forebay_protocol::{ErrorCode, TopicPartition};
use forebay_records::Offset;
use tokio::time::Instant;

use super::{Consumer, Event, GroupMetadata, OffsetAndMetadata};
use crate::{
    chore::sooner,
    cluster::{Attempts, gather},
    error::Error,
    group_offsets::{self, Offsets},
};

impl Consumer {
    /// The end of a partition, when it was fetched last, also if there was nothing new in it. `None`: it was not fetched yet.
    pub fn known_end(&self, topic_partition: &TopicPartition) -> Option<Offset> {
        self.partitions.get(topic_partition)?.end
    }

    /// The positions that are known: what [`Consumer::commit_positions`] would commit.
    pub fn positions(&self) -> Offsets {
        let known =
            self.partitions
                .iter()
                .filter_map(|(topic_partition, partition)| match partition.position {
                    super::partition::Position::At { offset, last_epoch } => {
                        let value = OffsetAndMetadata {
                            offset,
                            leader_epoch: last_epoch,
                            metadata: String::new(),
                        };
                        Some((topic_partition.clone(), value))
                    }
                    _ => None,
                });
        known.collect()
    }

    /// Commits these offsets for the group and waits for it.
    ///
    /// # Errors
    /// Of the call; when the member was replaced, the partitions belong to somebody else.
    pub async fn commit(&mut self, offsets: &Offsets) -> Result<(), Error> {
        if offsets.is_empty() {
            return Ok(());
        }
        self.check_group("commit offsets")?;
        self.commit_within(offsets.clone(), self.config.client.default_api_timeout)
            .await
    }

    /// Commits all positions and waits for it (Kafka's `commitSync()`).
    ///
    /// # Errors
    /// As [`Consumer::commit`].
    pub async fn commit_positions(&mut self) -> Result<(), Error> {
        let offsets = self.positions();
        self.commit(&offsets).await
    }

    /// Commits as who the member is now, whatever becomes of the consumer meanwhile.
    pub(super) fn commit_within(
        &self,
        offsets: Offsets,
        within: Duration,
    ) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        let cluster = self.cluster.clone();
        let shared = self.group.as_ref().map(|group| group.shared.clone());
        let member = self.member();
        async move {
            if shared.is_some() && member.generation_id < 0 {
                // A group with members takes offsets from members only.
                let action = format!("commit offsets for group {}", member.group_id);
                return Err(Error::broker(action, ErrorCode::UnknownMemberId));
            }
            let action = format!("commit offsets for group {}", member.group_id);
            let attempts = Attempts {
                action: &action,
                within,
                retries: u32::MAX,
            };
            let outcome = gather(&cluster, attempts, offsets.keys().cloned(), |pending| {
                let wanted = pending.into_iter().filter_map(|partition| {
                    let offset = offsets.get(&partition)?.clone();
                    Some((partition, offset))
                });
                let wanted: Offsets = wanted.collect();
                let (cluster, member) = (&cluster, &member);
                async move { group_offsets::commit(cluster, member, &wanted).await }
            });
            let failed = outcome.await?.into_values().find_map(Result::err);
            let Some(error) = failed else { return Ok(()) };
            if let (Some(shared), Some(code)) = (shared, error.code()) {
                shared.saw(code, member.generation_id);
            }
            Err(error)
        }
    }

    /// Who commits.
    fn member(&self) -> GroupMetadata {
        self.group_metadata().unwrap_or_else(|| GroupMetadata {
            group_id: self.config.group_id.clone().unwrap_or_default(),
            generation_id: -1,
            member_id: String::new(),
            group_instance_id: None,
        })
    }

    /// Commits the positions in the background when it is time.
    pub(super) fn auto_commit(&mut self, now: Instant, next: &mut Option<Instant>) {
        if !self.config.enable_auto_commit || self.partitions.is_empty() || self.auto_committing {
            return;
        }
        if self.auto_commit_at > now {
            sooner(next, self.auto_commit_at);
            return;
        }
        self.schedule_auto_commit(now);
        let offsets = self.positions();
        if offsets.is_empty() || self.member().generation_id < 0 && self.group.is_some() {
            return;
        }
        self.auto_committing = true;
        let commit = self.commit_within(offsets, self.config.client.default_api_timeout);
        self.spawn(async move { Event::AutoCommitted(commit.await) });
    }

    pub(super) fn auto_committed(&mut self, result: Result<(), Error>) {
        self.auto_committing = false;
        if let Err(error) = result {
            tracing::warn!("auto-commit: {error}");
        }
    }

    pub(super) fn schedule_auto_commit(&mut self, now: Instant) {
        self.auto_commit_at = now + self.config.auto_commit_interval;
    }
}
