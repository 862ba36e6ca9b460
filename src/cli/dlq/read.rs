//! Reads a dead letter queue, from its beginning to where it ends now.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use forebay_client::Consumer;
use forebay_config::Properties;
use forebay_protocol::TopicPartition;
use forebay_records::Offset;

use super::letter::Letter;
use crate::cli::options::{Options, Stop};

/// How long one poll waits; what is read is there already.
const POLL: Duration = Duration::from_millis(500);

/// The letters of a queue, by partition in their order.
pub(super) struct Reader {
    consumer: Consumer,
    /// Where each partition ends, as far as it has not been read.
    ends: BTreeMap<TopicPartition, Offset>,
    waiting: VecDeque<Letter>,
}

impl Reader {
    pub(super) async fn new(options: &Options, queue: &str) -> Result<Self, Stop> {
        let given = match options.value("command-config")? {
            Some(path) => crate::cli::properties_file(path)?,
            None => Properties::new(),
        };
        let mut properties = given.clone();
        let own = [
            ("isolation.level", "read_committed"),
            ("auto.offset.reset", "earliest"),
            ("enable.auto.commit", "false"),
        ];
        properties.extend(own.map(|(key, value)| (key.to_owned(), value.to_owned())));
        let client = crate::cli::client(options.required("bootstrap-server")?)?;
        // Asked so that looking for a queue does not make it, as the consumer's question might.
        let topics = client.admin(&given)?.list_topics().await?;
        if !topics.iter().any(|topic| topic.name == queue) {
            return Err(Stop::Failed(format!("the topic {queue} does not exist")));
        }
        let mut consumer = client.consumer(&properties)?;
        let count = consumer.partition_count(queue).await?;
        let partitions: Vec<TopicPartition> = (0..count)
            .map(|number| TopicPartition::new(queue, number))
            .collect();
        let mut ends: BTreeMap<TopicPartition, Offset> =
            consumer.end_offsets(&partitions).await?.into_iter().collect();
        let begins = consumer.beginning_offsets(&partitions).await?;
        ends.retain(|partition, end| begins.get(partition).is_none_or(|begin| *begin < *end));
        consumer.assign(ends.keys().cloned())?;
        Ok(Self {
            consumer,
            ends,
            waiting: VecDeque::new(),
        })
    }

    /// The next letter, or `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Letter>, Stop> {
        loop {
            if let Some(letter) = self.waiting.pop_front() {
                return Ok(Some(letter));
            }
            // Behind the last letter there may be offsets without records, which only the position passes.
            let positions = self.consumer.positions();
            self.ends.retain(|partition, end| {
                positions
                    .get(partition)
                    .is_none_or(|position| position.offset < *end)
            });
            if self.ends.is_empty() {
                return Ok(None);
            }
            let ends = &self.ends;
            let polled = self.consumer.poll(POLL).await?.into_iter();
            let wanted = polled.filter(|record| {
                let end = ends.get(&record.topic_partition());
                end.is_some_and(|end| record.record.offset < *end)
            });
            let letters = wanted.map(|record| Letter::new(record.topic_partition().partition, record.record));
            self.waiting.extend(letters);
        }
    }
}
