//! Sends letters back. Each transaction has some letters and, for a group of the queue's own, which letters those were: see `replayed`.

use std::collections::BTreeMap;

use forebay_client::consumer::{GroupMetadata, OffsetAndMetadata};
use forebay_client::{Producer, ProducerRecord};
use forebay_config::Properties;
use forebay_protocol::TopicPartition;
use forebay_records::Offset;

use super::letter::{Letter, Selection};
use super::read::Reader;
use super::replayed::Replayed;
use crate::cli::options::{Options, Stop};

/// How many letters one transaction has at most.
const LETTERS_MAX: usize = 500;

/// How many letters that are left out are told one by one.
const TOLD_MAX: usize = 20;

/// What is sent back, and to where.
struct Replay<'a> {
    queue: &'a str,
    producer: Producer,
    /// Of this group are the offsets that say what was replayed; its name is the transactional id, too.
    group: String,
    replayed: BTreeMap<i32, Replayed>,
    /// The letter before in each partition, if it has been replayed: what lies between the two is no letter.
    before: BTreeMap<i32, Option<Offset>>,
    to_topic: Option<&'a str>,
    partitions: BTreeMap<String, i32>,
}

/// How many letters there were.
#[derive(Debug, Default)]
struct Counts {
    sent: usize,
    before: usize,
    left_out: usize,
}

pub(super) async fn replay(options: &Options) -> Result<(), Stop> {
    let (queue, selection) = (options.required("topic")?, Selection::new(options)?);
    let (again, raw, dry_run) = (options.has("again"), options.has("raw"), options.has("dry-run"));
    let mut replay = Replay::new(options, queue, dry_run).await?;
    let mut reader = Reader::new(options, queue).await?;
    let (mut counts, mut batch) = (Counts::default(), Vec::new());
    while let Some(letter) = reader.next().await? {
        let was_replayed = replay.passes(&letter);
        if !selection.has(&letter) {
            continue;
        }
        let place = format!("{queue}-{} at {}", letter.partition, letter.record.offset);
        let why_not = match letter.context("topic").or(replay.to_topic) {
            _ if was_replayed && !again => {
                counts.before += 1;
                continue;
            }
            _ if letter.is_raw() && !raw => {
                Some("it is not in the form of its topic; --raw sends it all the same")
            }
            None => Some("it does not say from which topic it is; name one with --to-topic"),
            Some(topic) if topic == queue => Some("it would be sent to the queue itself"),
            Some(_) => None,
        };
        if let Some(why_not) = why_not {
            counts.left_out += 1;
            if counts.left_out <= TOLD_MAX {
                eprintln!("{place} is left out: {why_not}");
            }
            continue;
        }
        counts.sent += 1;
        if dry_run {
            say!("{place} would be sent to {}", replay.target(&letter));
            continue;
        }
        batch.push(letter);
        if batch.len() >= LETTERS_MAX {
            replay.send(std::mem::take(&mut batch)).await?;
        }
    }
    replay.send(batch).await?;
    replay.producer.close().await;
    let verb = if dry_run { "to be replayed" } else { "replayed" };
    say!(
        "{} letters {verb}, {} replayed before, {} left out",
        counts.sent,
        counts.before,
        counts.left_out
    );
    Ok(())
}

impl<'a> Replay<'a> {
    async fn new(options: &'a Options, queue: &'a str, dry_run: bool) -> Result<Self, Stop> {
        let mut properties = match options.value("command-config")? {
            Some(path) => crate::cli::properties_file(path)?,
            None => Properties::new(),
        };
        let client = crate::cli::client(options.required("bootstrap-server")?)?;
        let group = format!("forebay-dlq-{queue}");
        let admin = client.admin(&properties)?;
        properties.insert("transactional.id".to_owned(), group.clone());
        let producer = client.producer(&properties)?;
        if !dry_run {
            // Whoever else replays this queue is fenced, and what it has committed is there before it is read.
            producer.init_transactions().await?;
        }
        let mut replayed = BTreeMap::new();
        for (partition, committed) in admin.list_group_offsets(&group, None).await? {
            if &*partition.topic != queue {
                continue;
            }
            let parsed = Replayed::parse(committed.offset, &committed.metadata)?;
            replayed.insert(partition.partition, parsed);
        }
        Ok(Self {
            queue,
            producer,
            group,
            replayed,
            before: BTreeMap::new(),
            to_topic: options.value("to-topic")?,
            partitions: BTreeMap::new(),
        })
    }

    /// Whether a letter has been replayed. To be asked of each in its order, as those between two are known to be none.
    fn passes(&mut self, letter: &Letter) -> bool {
        let replayed = self.replayed.entry(letter.partition).or_default();
        let offset = letter.record.offset;
        let is_replayed = replayed.has(offset);
        let before = self
            .before
            .insert(letter.partition, is_replayed.then_some(offset))
            .flatten();
        if let Some(before) = before.filter(|_| is_replayed) {
            replayed.add(before.0..offset.0);
        }
        is_replayed
    }

    fn target<'b>(&'b self, letter: &'b Letter) -> &'b str {
        self.to_topic.or(letter.context("topic")).unwrap_or_default()
    }

    /// Sends letters in one transaction.
    async fn send(&mut self, letters: Vec<Letter>) -> Result<(), Stop> {
        if letters.is_empty() {
            return Ok(());
        }
        self.producer.begin_transaction()?;
        let sent = self.send_all(&letters).await;
        match sent {
            Ok(()) => Ok(self.producer.commit_transaction().await?),
            Err(stop) => {
                // The first error is the one that counts.
                let _ = self.producer.abort_transaction().await;
                Err(stop)
            }
        }
    }

    async fn send_all(&mut self, letters: &[Letter]) -> Result<(), Stop> {
        let mut deliveries = Vec::new();
        for letter in letters {
            let topic = self.target(letter).to_owned();
            let headers = letter.headers();
            let record = ProducerRecord {
                topic: &topic,
                partition: self.partition(letter, &topic).await?,
                timestamp: Some(letter.record.timestamp).filter(|timestamp| timestamp.0 >= 0),
                key: letter.record.key.as_deref(),
                value: letter.record.value.as_deref(),
                headers: &headers,
            };
            let place = format!("{}-{} at {}", self.queue, letter.partition, letter.record.offset);
            let sent = self.producer.send(record).await;
            let what = format!("{place} cannot be sent to {topic}");
            match sent {
                Ok(delivery) => deliveries.push((delivery, what)),
                Err(error) => return Err(failed(&what, &error)),
            }
        }
        self.producer.flush().await;
        for (delivery, what) in deliveries {
            delivery.await.map_err(|error| failed(&what, &error))?;
        }
        let group = GroupMetadata {
            group_id: self.group.clone(),
            generation_id: -1,
            member_id: String::new(),
            group_instance_id: None,
        };
        let offsets = self.offsets(letters)?;
        Ok(self
            .producer
            .send_offsets_to_transaction(&offsets, &group)
            .await?)
    }

    /// Where it was before, as long as the topic has that partition.
    async fn partition(&mut self, letter: &Letter, topic: &str) -> Result<Option<i32>, Stop> {
        let before = letter
            .context("partition")
            .and_then(|number| number.parse::<i32>().ok());
        let Some(before) = before.filter(|_| letter.context("topic") == Some(topic)) else {
            return Ok(None);
        };
        let count = match self.partitions.get(topic) {
            Some(count) => *count,
            None => self.producer.partition_count(topic).await?,
        };
        self.partitions.insert(topic.to_owned(), count);
        Ok(Some(before).filter(|before| (0..count).contains(before)))
    }

    /// What is to be committed once these are replayed.
    fn offsets(&mut self, letters: &[Letter]) -> Result<BTreeMap<TopicPartition, OffsetAndMetadata>, Stop> {
        let mut offsets = BTreeMap::new();
        for letter in letters {
            let offset = letter.record.offset.0;
            self.replayed
                .entry(letter.partition)
                .or_default()
                .add(offset..offset + 1);
        }
        for letter in letters {
            let (offset, metadata) = self.replayed[&letter.partition].to_commit()?;
            let committed = OffsetAndMetadata {
                metadata,
                ..OffsetAndMetadata::from(offset)
            };
            offsets.insert(TopicPartition::new(self.queue, letter.partition), committed);
        }
        Ok(offsets)
    }
}

fn failed(what: &str, error: &forebay_client::Error) -> Stop {
    let reason = crate::cli::reason(error);
    Stop::Failed(format!("{what}: {reason}; nothing of its transaction is"))
}
