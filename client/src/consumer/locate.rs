//! Finding out where to begin: at the committed offset, else where `auto.offset.reset` says.

use forebay_protocol::{ErrorCode, TopicPartition};
use tokio::time::Instant;

use super::{Consumer, Event, partition::Position};
use crate::{
    admin::{ListedOffset, OffsetSpec},
    chore::sooner,
    cluster::Results,
    config::AutoOffsetReset,
    error::Error,
    group_offsets::{self, Offsets},
    offsets::{self, Wanted},
};

impl Consumer {
    /// Begins to find out the positions that are not known.
    pub(super) fn locate(&mut self, now: Instant, next: &mut Option<Instant>) {
        let (mut committed, mut listed) = (Vec::new(), Wanted::new());
        for (topic_partition, partition) in &mut self.partitions {
            if partition.locating || partition.offset().is_some() {
                continue;
            }
            if let Some(moment) = partition.waits_until(now) {
                sooner(next, moment);
                continue;
            }
            match partition.position {
                Position::Committed => committed.push(topic_partition.clone()),
                Position::Listed(spec) => drop(listed.insert(topic_partition.clone(), spec)),
                Position::At { .. } => continue,
            }
            partition.locating = true;
        }
        if !committed.is_empty() {
            self.locate_committed(committed);
        }
        if !listed.is_empty() {
            let (cluster, isolation_level) = (self.cluster.clone(), self.config.isolation_level);
            self.spawn(async move {
                let result = offsets::list(&cluster, &listed, isolation_level).await;
                Event::Listed {
                    wanted: listed,
                    result,
                }
            });
        }
    }

    fn locate_committed(&mut self, partitions: Vec<TopicPartition>) {
        let Some(group_id) = self.config.group_id.clone() else {
            // Nobody commits, so nothing is committed.
            self.located_committed(&partitions, Ok(Offsets::new()));
            return;
        };
        let cluster = self.cluster.clone();
        self.spawn(async move {
            let result = group_offsets::fetch(&cluster, &group_id, Some(&partitions)).await;
            Event::OffsetsFetched { partitions, result }
        });
    }

    pub(super) fn located_committed(
        &mut self,
        partitions: &[TopicPartition],
        result: Result<Offsets, Error>,
    ) {
        let backoff = self.cluster.backoff();
        let failure = result.as_ref().err().cloned();
        let offsets = result.unwrap_or_default();
        if let Some(error) = &failure {
            tracing::debug!("committed offsets: {error}");
            if !error.is_retriable() {
                self.errors.push_back(error.clone());
            }
        }
        for topic_partition in partitions {
            let waiting =
                |partition: &&mut super::partition::Partition| partition.position == Position::Committed;
            let Some(partition) = self.partitions.get_mut(topic_partition).filter(waiting) else {
                continue;
            };
            partition.locating = false;
            match offsets.get(topic_partition) {
                _ if failure.is_some() => partition.failed(backoff),
                Some(committed) => partition.move_to(Position::At {
                    offset: committed.offset,
                    last_epoch: committed.leader_epoch,
                }),
                None if self.config.auto_offset_reset == AutoOffsetReset::None => {
                    partition.failed(backoff);
                    self.errors
                        .push_back(Error::NoOffsetForPartition(topic_partition.clone()));
                }
                None => self.reset(topic_partition, self.config.auto_offset_reset),
            }
        }
    }

    /// Begins at an end.
    pub(super) fn reset(&mut self, topic_partition: &TopicPartition, reset: AutoOffsetReset) {
        let spec = match reset {
            AutoOffsetReset::Earliest => OffsetSpec::Earliest,
            AutoOffsetReset::Latest | AutoOffsetReset::None => OffsetSpec::Latest,
        };
        if let Some(partition) = self.partitions.get_mut(topic_partition) {
            partition.move_to(Position::Listed(spec));
        }
    }

    pub(super) fn located_listed(
        &mut self,
        wanted: &Wanted,
        result: Result<Results<TopicPartition, ListedOffset>, Error>,
    ) {
        let results = match result {
            Ok(results) => results,
            Err(error) => wanted
                .keys()
                .map(|partition| (partition.clone(), Err(error.clone())))
                .collect(),
        };
        let backoff = self.cluster.backoff();
        for (topic_partition, result) in results {
            let Some(spec) = wanted.get(&topic_partition) else {
                continue;
            };
            let waiting =
                |partition: &&mut super::partition::Partition| partition.position == Position::Listed(*spec);
            let Some(partition) = self.partitions.get_mut(&topic_partition).filter(waiting) else {
                continue;
            };
            partition.locating = false;
            match result {
                Ok(ListedOffset {
                    offset: Some(offset), ..
                }) => {
                    tracing::debug!("{topic_partition} begins at {offset}");
                    partition.move_to(Position::At {
                        offset,
                        last_epoch: None,
                    });
                }
                Ok(_) => partition.failed(backoff),
                Err(error) => {
                    tracing::debug!("{error}");
                    partition.failed(backoff);
                    self.metadata_wanted = true;
                    let unknown = error.code() == Some(ErrorCode::UnknownTopicOrPartition);
                    if !error.is_retriable() && !unknown {
                        self.errors.push_back(error);
                    }
                }
            }
        }
        for (topic_partition, spec) in wanted {
            // One that the answer left out is asked for again.
            if let Some(partition) = self.partitions.get_mut(topic_partition)
                && partition.position == Position::Listed(*spec)
            {
                partition.locating = false;
            }
        }
    }
}
