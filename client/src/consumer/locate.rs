//! Finding out where to begin: at the committed offset, else where `auto.offset.reset` says.

use forebay_protocol::{ErrorCode, TopicPartition};
use tokio::time::Instant;

use super::{
    Consumer, Event,
    partition::{Inquiry, Partition, Position},
};
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
        let inquiry = Inquiry(self.inquiries);
        for (topic_partition, partition) in &mut self.partitions {
            if partition.locating.is_some() || partition.offset().is_some() {
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
            partition.locating = Some(inquiry);
        }
        if committed.is_empty() && listed.is_empty() {
            return;
        }
        self.inquiries += 1;
        if !committed.is_empty() {
            self.locate_committed(inquiry, committed);
        }
        if !listed.is_empty() {
            let (cluster, isolation_level) = (self.cluster.clone(), self.config.isolation_level);
            self.spawn(async move {
                let result = offsets::list(&cluster, &listed, isolation_level).await;
                Event::Listed {
                    inquiry,
                    wanted: listed,
                    result,
                }
            });
        }
    }

    fn locate_committed(&mut self, inquiry: Inquiry, partitions: Vec<TopicPartition>) {
        let Some(group_id) = self.config.group_id.clone() else {
            // Nobody commits, so nothing is committed.
            self.located_committed(inquiry, &partitions, Ok(Offsets::new()));
            return;
        };
        let cluster = self.cluster.clone();
        self.spawn(async move {
            let result = group_offsets::fetch(&cluster, &group_id, Some(&partitions)).await;
            Event::OffsetsFetched {
                inquiry,
                partitions,
                result,
            }
        });
    }

    /// The partition that an inquiry was for, if it still waits for that one. It waits no more.
    fn located(&mut self, inquiry: Inquiry, topic_partition: &TopicPartition) -> Option<&mut Partition> {
        let partition = self.partitions.get_mut(topic_partition)?;
        let waits = partition.locating == Some(inquiry);
        waits.then(|| {
            partition.locating = None;
            partition
        })
    }

    pub(super) fn located_committed(
        &mut self,
        inquiry: Inquiry,
        partitions: &[TopicPartition],
        result: Result<Offsets, Error>,
    ) {
        let backoff = self.cluster.backoff();
        let reset = self.config.auto_offset_reset;
        let failure = result.as_ref().err().cloned();
        let offsets = result.unwrap_or_default();
        if let Some(error) = &failure {
            tracing::debug!("committed offsets: {error}");
            if !error.is_retriable() {
                self.errors.push_back(error.clone());
            }
        }
        for topic_partition in partitions {
            let Some(partition) = self.located(inquiry, topic_partition) else {
                continue;
            };
            match offsets.get(topic_partition) {
                _ if failure.is_some() => partition.failed(backoff),
                Some(committed) => partition.move_to(Position::At {
                    offset: committed.offset,
                    last_epoch: committed.leader_epoch,
                }),
                None if reset == AutoOffsetReset::None => {
                    partition.failed(backoff);
                    self.errors
                        .push_back(Error::NoOffsetForPartition(topic_partition.clone()));
                }
                None => self.reset(topic_partition, reset),
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
        inquiry: Inquiry,
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
            let Some(partition) = self.located(inquiry, &topic_partition) else {
                continue;
            };
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
        for topic_partition in wanted.keys() {
            // One that the answer left out is asked for again.
            self.located(inquiry, topic_partition);
        }
    }
}
