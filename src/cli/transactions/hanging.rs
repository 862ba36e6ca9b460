//! `find-hanging`: transactions that partitions hold open for longer than any may last, and that no coordinator knows of.

use std::collections::{BTreeMap, BTreeSet};

use forebay_client::Admin;
use forebay_client::admin::{ProducerState, TransactionFilter};
use forebay_protocol::{ErrorCode, NodeId, TopicPartition};
use forebay_records::ProducerId;

use super::super::options::{Options, Stop};
use super::super::table::table;
use super::{failed, now_ms};

/// So many topics or partitions are asked for at once.
const ITEMS_PER_REQUEST: usize = 500;
const DEFAULT_TIMEOUT_MINUTES: i64 = 15;
const MINUTE_MS: i64 = 60_000;

const HEADER: [&str; 8] = [
    "Topic",
    "Partition",
    "ProducerId",
    "ProducerEpoch",
    "CoordinatorEpoch",
    "StartOffset",
    "LastTimestamp",
    "Duration(min)",
];

type Open = (TopicPartition, ProducerState);

pub(super) async fn find(admin: &Admin, options: &Options) -> Result<(), Stop> {
    let broker: Option<i32> = options.number("broker-id")?;
    if broker.is_none() && !options.has("topic") {
        return Err(Stop::Failed(
            "The `find-hanging` command requires either --topic or --broker-id to limit the scope of the search".to_owned(),
        ));
    }
    if options.has("partition") && !options.has("topic") {
        return Err(Stop::Failed(
            "The --partition argument requires --topic to be provided".to_owned(),
        ));
    }
    let minutes: Option<i64> = options.number("max-transaction-timeout")?;
    let longer_than_ms = minutes
        .unwrap_or(DEFAULT_TIMEOUT_MINUTES)
        .saturating_mul(MINUTE_MS);
    let broker = broker.map(NodeId);
    let partitions = partitions(admin, options, broker).await?;
    let now = now_ms();
    let mut open = Vec::new();
    for partitions in partitions.chunks(ITEMS_PER_REQUEST) {
        let described = admin.describe_producers(partitions, broker).await;
        for (partition, outcome) in described.map_err(|error| unanswered(partitions.len(), broker, &error))? {
            let producers = outcome.map_err(|error| unanswered(partitions.len(), broker, &error))?;
            let late = producers.into_iter().filter(|producer| {
                producer.transaction_start.is_some() && now - producer.last_timestamp.0 > longer_than_ms
            });
            open.extend(late.map(|producer| (partition.clone(), producer)));
        }
    }
    let hanging = unknown_to_coordinators(admin, open).await?;
    super::super::print(&report(&hanging, now));
    Ok(())
}

fn unanswered(count: usize, broker: Option<NodeId>, error: &forebay_client::Error) -> Stop {
    let broker = broker.map_or_else(|| "Optional.empty".to_owned(), |id| format!("Optional[{id}]"));
    failed(
        &format!("Failed to describe producers for {count} partitions on broker {broker}"),
        error,
    )
}

async fn partitions(
    admin: &Admin,
    options: &Options,
    broker: Option<NodeId>,
) -> Result<Vec<TopicPartition>, Stop> {
    let number: Option<i32> = options.number("partition")?;
    let topics = match (options.value("topic")?, number) {
        (Some(topic), Some(number)) => return Ok(vec![TopicPartition::new(topic, number)]),
        (Some(topic), None) => vec![topic.to_owned()],
        (None, _) => {
            let listed = admin
                .list_topics()
                .await
                .map_err(|error| failed("Failed to list topics", &error))?;
            listed.into_iter().map(|topic| topic.name).collect()
        }
    };
    let mut partitions = Vec::new();
    for topics in topics.chunks(ITEMS_PER_REQUEST) {
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let what = format!("Failed to describe {} topics", names.len());
        let described = admin
            .describe_topics(&names)
            .await
            .map_err(|error| failed(&what, &error))?;
        for (name, outcome) in described {
            let topic = outcome.map_err(|error| failed(&what, &error))?;
            let of_topic = topic.partitions.iter();
            let here = of_topic.filter(|partition| broker.is_none_or(|id| partition.replicas.contains(&id)));
            partitions.extend(here.map(|partition| TopicPartition::new(name.as_str(), partition.partition)));
        }
    }
    Ok(partitions)
}

/// Those that their coordinators know nothing of, or do not know to have written there.
async fn unknown_to_coordinators(admin: &Admin, open: Vec<Open>) -> Result<Vec<Open>, Stop> {
    if open.is_empty() {
        return Ok(open);
    }
    let producers: BTreeSet<ProducerId> = open.iter().map(|(_, producer)| producer.producer_id).collect();
    let filter = TransactionFilter {
        producer_ids: producers.iter().copied().collect(),
        ..Default::default()
    };
    let listed = admin.list_transactions(&filter).await.map_err(|error| {
        failed(
            &format!("Failed to list transactions for {} producers", producers.len()),
            &error,
        )
    })?;
    let ids: BTreeMap<ProducerId, String> = listed
        .into_values()
        .flatten()
        .map(|listing| (listing.producer_id, listing.transactional_id))
        .collect();
    let asked: Vec<&str> = ids.values().map(String::as_str).collect();
    let what = format!("Failed to describe {} transactions", asked.len());
    let mut known: BTreeMap<String, Vec<TopicPartition>> = BTreeMap::new();
    for (id, outcome) in admin
        .describe_transactions(&asked)
        .await
        .map_err(|error| failed(&what, &error))?
    {
        match outcome {
            Ok(transaction) => {
                known.insert(id, transaction.partitions);
            }
            Err(error) if error.code() == Some(ErrorCode::TransactionalIdNotFound) => {}
            Err(error) => return Err(failed(&what, &error)),
        }
    }
    let is_known = |(partition, producer): &Open| {
        let partitions = ids.get(&producer.producer_id).and_then(|id| known.get(id));
        partitions.is_some_and(|partitions| partitions.contains(partition))
    };
    Ok(open.into_iter().filter(|open| !is_known(open)).collect())
}

fn report(hanging: &[Open], now_ms: i64) -> String {
    let row = |(partition, producer): &Open| {
        vec![
            partition.topic.to_string(),
            partition.partition.to_string(),
            producer.producer_id.to_string(),
            producer.producer_epoch.to_string(),
            producer.coordinator_epoch.unwrap_or(-1).to_string(),
            producer
                .transaction_start
                .map_or(-1, |offset| offset.0)
                .to_string(),
            producer.last_timestamp.to_string(),
            ((now_ms - producer.last_timestamp.0) / MINUTE_MS).to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = hanging.iter().map(row).collect();
    table(&HEADER, &rows)
}
