//! The producer's transactions, once, against a live cluster: committed, aborted, with a group's offsets, fenced by a successor and
//! by an admin. Prints what it has checked; ends with status 1 at the first thing that is not as it should be.
//!
//! `cargo run -p forebay-client --example transactions -- 127.0.0.1:9092`
#![allow(clippy::print_stdout)] // It is a program for people to watch.

use std::{
    error::Error,
    process::ExitCode,
    time::{Duration, Instant, SystemTime},
};

use forebay_client::{
    Admin, Client, ClientConfig, Producer, ProducerRecord, admin::NewTopic, consumer::GroupMetadata,
};
use forebay_config::Properties;
use forebay_protocol::TopicPartition;
use forebay_records::Offset;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// How many transactions follow each other.
const ROUNDS: usize = 50;

struct Tour {
    client: Client,
    admin: Admin,
    name: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("NOT as it should be: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Outcome {
    let servers = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:9092".to_owned());
    let client = Client::new(ClientConfig::bootstrap(&servers)?);
    let unique = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)?
        .as_millis();
    let tour = Tour {
        admin: client.admin(&Properties::new())?,
        client,
        name: format!("transactions-{unique}"),
    };
    let features = tour.admin.describe_features(None).await?.finalized_features;
    let level = features.get("transaction.version").copied().unwrap_or_default();
    println!("transaction.version is {level}");
    let created = tour
        .admin
        .create_topics(&[NewTopic::new(&tour.name).partitions(2)], false)
        .await?;
    created.into_values().collect::<Result<Vec<_>, _>>()?;
    tour.commit_and_abort().await?;
    tour.successors().await?;
    tour.many().await?;
    let deleted = tour.admin.delete_topics(&[&tour.name]).await?;
    deleted.into_values().collect::<Result<Vec<_>, _>>()?;
    println!("all is well");
    Ok(())
}

fn properties(pairs: &[(&str, &str)]) -> Properties {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn check(is_so: bool, what: &str) -> Outcome {
    if !is_so {
        return Err(what.into());
    }
    println!("ok: {what}");
    Ok(())
}

impl Tour {
    async fn producer(&self) -> Outcome<Producer> {
        let keys = properties(&[("transactional.id", &self.name), ("client.id", "tour")]);
        let producer = self.client.producer(&keys)?;
        producer.init_transactions().await?;
        Ok(producer)
    }

    async fn send(&self, producer: &Producer, value: &str) -> Outcome {
        for partition in 0..2 {
            let record = ProducerRecord::new(&self.name, None, Some(value.as_bytes())).partition(partition);
            drop(producer.send(record).await?);
        }
        Ok(())
    }

    /// What a reader of what is committed finds in the first partition, once it has found this many.
    async fn committed(&self, count: usize) -> Outcome<Vec<String>> {
        let keys = [
            ("isolation.level", "read_committed"),
            ("auto.offset.reset", "earliest"),
            ("enable.auto.commit", "false"),
        ];
        let mut consumer = self.client.consumer(&properties(&keys))?;
        consumer.assign([TopicPartition::new(self.name.as_str(), 0)])?;
        let (mut values, began) = (Vec::new(), Instant::now());
        while values.len() < count && began.elapsed() < Duration::from_secs(20) {
            for record in consumer.poll(Duration::from_millis(500)).await? {
                let value = record.record.value.unwrap_or_default();
                values.push(String::from_utf8(value.to_vec())?);
            }
        }
        Ok(values)
    }

    async fn commit_and_abort(&self) -> Outcome {
        let (producer, source) = (self.producer().await?, TopicPartition::new(self.name.as_str(), 1));
        let group = GroupMetadata {
            group_id: self.name.clone(),
            generation_id: -1,
            member_id: String::new(),
            group_instance_id: None,
        };
        for (value, offset, commits) in [("a", 7, true), ("b", 8, false), ("c", 9, true), ("d", 10, false)] {
            producer.begin_transaction()?;
            self.send(&producer, value).await?;
            producer.flush().await;
            let offsets = [(source.clone(), Offset(offset).into())].into();
            producer.send_offsets_to_transaction(&offsets, &group).await?;
            if commits {
                producer.commit_transaction().await?;
            } else {
                producer.abort_transaction().await?;
            }
        }
        producer.close().await;
        let values = self.committed(2).await?;
        check(
            values == ["a", "c"],
            &format!("what is committed is read, and nothing else: {values:?}"),
        )?;
        let offsets = self.admin.list_group_offsets(&self.name, None).await?;
        let offset = offsets.get(&source).map(|one| one.offset);
        check(
            offset == Some(Offset(9)),
            &format!("the group's offset is that of the last commit: {offset:?}"),
        )
    }

    async fn successors(&self) -> Outcome {
        let first = self.producer().await?;
        first.begin_transaction()?;
        self.send(&first, "zombie").await?;
        first.flush().await;
        let began = Instant::now();
        let second = self.producer().await?;
        check(
            began.elapsed() < Duration::from_secs(10),
            "a successor does not wait for the time-out",
        )?;
        let fenced = first.commit_transaction().await;
        check(
            fenced
                .as_ref()
                .is_err_and(forebay_client::Error::is_fatal_for_producer),
            &format!(
                "the one before is fenced: {}",
                fenced.err().map_or_else(String::new, |error| error.to_string())
            ),
        )?;
        second.begin_transaction()?;
        self.send(&second, "e").await?;
        second.commit_transaction().await?;
        second.begin_transaction()?;
        self.send(&second, "another zombie").await?;
        second.flush().await;
        let fenced = self
            .admin
            .fence_producers(&[&self.name, "nobody-has-this-id"])
            .await?;
        check(
            fenced.values().all(Result::is_ok),
            "an admin fences, also ids that nobody has",
        )?;
        check(
            second.commit_transaction().await.is_err(),
            "who was fenced by an admin commits nothing",
        )?;
        let values = self.committed(3).await?;
        check(
            values == ["a", "c", "e"],
            &format!("zombies leave nothing: {values:?}"),
        )
    }

    async fn many(&self) -> Outcome {
        let (producer, began) = (self.producer().await?, Instant::now());
        for round in 0..ROUNDS {
            producer.begin_transaction()?;
            self.send(&producer, &round.to_string()).await?;
            if round % 10 == 9 {
                producer.abort_transaction().await?;
            } else {
                producer.commit_transaction().await?;
            }
        }
        let took = began.elapsed();
        producer.close().await;
        let expected: Vec<String> = (0..ROUNDS)
            .filter(|round| round % 10 != 9)
            .map(|round| round.to_string())
            .collect();
        let values = self.committed(3 + expected.len()).await?;
        check(
            values[3.min(values.len())..] == expected,
            &format!("{ROUNDS} transactions in {} ms", took.as_millis()),
        )
    }
}
