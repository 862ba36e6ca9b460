//! Reads exactly the offsets of a plan, as Arrow arrays of bounded size.

use std::time::Duration;

use arrow_array::BinaryArray;
use arrow_array::builder::BinaryBuilder;
use forebay_client::admin::OffsetSpec;
use forebay_client::config::IsolationLevel;
use forebay_client::{Admin, Client, Consumer};
use forebay_config::Properties;
use forebay_protocol::{ErrorCode, TopicPartition};
use forebay_records::Offset;

use crate::Error;
use crate::plan::{Offsets, Plan, StartingOffsets};

/// About how many bytes of lines one array has.
const ARRAY_BYTES: usize = 4 * 1024 * 1024;

/// How long the query rests after the cluster gave no answer.
pub(crate) const RETRY_DELAY: Duration = Duration::from_secs(1);

/// How long one poll waits. The records of a plan exist, so this only bounds how late a stop is noticed.
const POLL_MAX: Duration = Duration::from_millis(500);

/// One topic of a cluster.
#[derive(Debug)]
pub(crate) struct Source {
    topic: String,
    /// Offsets are those of the topic with this id. One of the same name that is made anew has others, even if it is longer.
    topic_id: String,
    /// Where the checkpoint is, which an error names.
    checkpoint: String,
    admin: Admin,
    consumer: Consumer,
}

impl Source {
    /// The topic as it is now, for a query with that checkpoint.
    pub(crate) async fn open(
        client: &Client,
        topic: &str,
        checkpoint: &std::path::Path,
    ) -> Result<Self, Error> {
        let properties: Properties = [
            ("isolation.level", "read_committed"),
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", "none"),
            ("max.poll.records", "100000"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        let (admin, consumer) = (client.admin(&Properties::new())?, client.consumer(&properties)?);
        let mut source = Self {
            topic: topic.to_owned(),
            topic_id: String::new(),
            checkpoint: checkpoint.display().to_string(),
            admin,
            consumer,
        };
        source.topic_id = source.id_now().await?;
        Ok(source)
    }

    /// The topic's id.
    pub(crate) fn topic_id(&self) -> &str {
        &self.topic_id
    }

    /// That the topic is still the one of which everything was read. Ids never come back, so what was read before is of that
    /// topic, too. While the cluster is away or does not know the topic, this waits.
    pub(crate) async fn check_topic(&self) -> Result<(), Error> {
        loop {
            let now = match self.id_now().await {
                Ok(now) => now,
                Err(error) if error.may_pass() => {
                    tracing::warn!(topic = self.topic, %error, "the topic cannot be looked at; trying again");
                    tokio::time::sleep(RETRY_DELAY).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if now == self.topic_id {
                return Ok(());
            }
            return Err(Error::OtherTopic {
                topic: self.topic.clone(),
                directory: self.checkpoint.clone(),
                then: self.topic_id.clone(),
                now,
            });
        }
    }

    /// The id that the topic has now, and that it exists.
    async fn id_now(&self) -> Result<String, Error> {
        let described = self
            .admin
            .describe_topics(&[&self.topic])
            .await?
            .into_values()
            .next();
        match described {
            Some(Ok(topic)) => Ok(topic.topic_id.to_string()),
            Some(Err(forebay_client::Error::Broker {
                code: ErrorCode::UnknownTopicOrPartition,
                ..
            }))
            | None => Err(Error::NoTopic {
                topic: self.topic.clone(),
            }),
            Some(Err(error)) => Err(error.into()),
        }
    }

    /// How far each partition goes now.
    pub(crate) async fn latest(&self) -> Result<Offsets, Error> {
        self.offsets(OffsetSpec::Latest).await
    }

    /// Where a query begins, and where partitions begin that were added since.
    pub(crate) async fn start(&self, starting: StartingOffsets) -> Result<Offsets, Error> {
        match starting {
            StartingOffsets::Earliest => self.offsets(OffsetSpec::Earliest).await,
            StartingOffsets::Latest => self.offsets(OffsetSpec::Latest).await,
        }
    }

    async fn offsets(&self, spec: OffsetSpec) -> Result<Offsets, Error> {
        let described = self
            .admin
            .describe_topics(&[&self.topic])
            .await?
            .into_values()
            .next();
        let Some(described) = described.transpose()? else {
            return Err(Error::NoTopic {
                topic: self.topic.clone(),
            });
        };
        let partitions = described
            .partitions
            .iter()
            .map(|it| (self.partition(it.partition), spec))
            .collect();
        let listed = self
            .admin
            .list_offsets(&partitions, IsolationLevel::ReadCommitted)
            .await?;
        listed
            .into_iter()
            .map(|(partition, listed)| Ok((partition.partition, listed?.offset.unwrap_or(Offset(0)))))
            .collect()
    }

    fn partition(&self, partition: i32) -> TopicPartition {
        TopicPartition::new(self.topic.as_str(), partition)
    }

    /// Gives the values of every record of the plan to `fold`. Returns how many records there were.
    pub(crate) async fn read(
        &mut self,
        plan: &Plan,
        mut fold: impl FnMut(&BinaryArray) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        let wanted: Vec<(TopicPartition, Offset, Offset)> = plan
            .end
            .iter()
            .map(|(partition, end)| {
                (
                    *partition,
                    plan.start.get(partition).copied().unwrap_or(Offset(0)),
                    *end,
                )
            })
            .filter(|(_, start, end)| start < end)
            .map(|(partition, start, end)| (self.partition(partition), start, end))
            .collect();
        self.consumer
            .assign(wanted.iter().map(|(partition, ..)| partition.clone()))?;
        for (partition, start, _) in &wanted {
            self.consumer.seek(partition, *start)?;
        }
        // A partition that stays assigned stays paused, too, if an earlier plan ended in it before the others.
        self.consumer.resume(&self.consumer.assignment())?;
        let mut lines = Lines::default();
        loop {
            let positions = self.consumer.positions();
            let position = |partition| positions.get(partition).map(|position| position.offset);
            let open = wanted
                .iter()
                .filter(|(partition, _, end)| position(partition).is_none_or(|at| at < *end));
            let finished: Vec<TopicPartition> = wanted
                .iter()
                .filter(|(partition, _, end)| position(partition).is_some_and(|at| at >= *end))
                .map(|(partition, ..)| partition.clone())
                .collect();
            if open.count() == 0 {
                break;
            }
            self.consumer.pause(&finished)?;
            // The records of a plan exist, unless the topic is another one by now, which may never have as many.
            if !self.poll(&wanted, &mut lines, &mut fold).await? {
                self.check_topic().await?;
            }
        }
        lines.flush(&mut fold)?;
        Ok(lines.records)
    }

    /// Whether anything came.
    async fn poll(
        &mut self,
        wanted: &[(TopicPartition, Offset, Offset)],
        lines: &mut Lines,
        fold: &mut impl FnMut(&BinaryArray) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        let batches = match self.consumer.poll_batches(POLL_MAX).await {
            Ok(batches) => batches,
            Err(forebay_client::Error::OffsetOutOfRange {
                topic_partition,
                offset,
            }) => {
                return Err(self.lost(topic_partition, offset).await);
            }
            Err(error) if error.is_retriable() => {
                tracing::warn!(topic = self.topic, %error, "the topic cannot be read; trying again");
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        };
        let any_came = !batches.is_empty();
        for batch in batches {
            let Some((_, _, end)) = wanted
                .iter()
                .find(|(partition, ..)| *partition == batch.topic_partition)
            else {
                continue;
            };
            let damaged = |source| Error::Batch {
                partition: batch.topic_partition.clone(),
                offset: batch.batch.base_offset(),
                source,
            };
            let mut records = batch.batch.records().map_err(damaged)?;
            while let Some(record) = records.next_ref() {
                let record = record.map_err(damaged)?;
                if record.offset >= batch.first_offset && record.offset < *end {
                    lines.push(record.value, fold)?;
                }
            }
        }
        Ok(any_came)
    }

    /// The error for records that are gone; says where the topic begins now, if that can be found out.
    async fn lost(&self, partition: TopicPartition, from: Offset) -> Error {
        let earliest = self.offsets(OffsetSpec::Earliest).await.ok();
        let to = earliest
            .and_then(|earliest| earliest.get(&partition.partition).copied())
            .unwrap_or(from);
        Error::DataLoss { partition, from, to }
    }
}

/// Lines on their way into an array.
#[derive(Default)]
struct Lines {
    builder: BinaryBuilder,
    bytes: usize,
    records: u64,
}

impl Lines {
    fn push(
        &mut self,
        value: Option<&[u8]>,
        fold: &mut impl FnMut(&BinaryArray) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.records += 1;
        self.bytes += value.map_or(0, <[u8]>::len) + size_of::<i32>();
        self.builder.append_option(value);
        if self.bytes >= ARRAY_BYTES {
            self.flush(fold)
        } else {
            Ok(())
        }
    }

    fn flush(&mut self, fold: &mut impl FnMut(&BinaryArray) -> Result<(), Error>) -> Result<(), Error> {
        self.bytes = 0;
        fold(&self.builder.finish())
    }
}
