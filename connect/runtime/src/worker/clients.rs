//! The properties of the clients that tasks use: what the task's guarantees need, above them the worker's `producer.`,
//! `consumer.` and `admin.` keys, above them the connector's `….override.` keys, but for those that would break a guarantee.

use forebay_client::{Admin, Consumer, Error, Producer};
use forebay_config::Properties;
use forebay_connect_api::TaskId;
use forebay_protocol::TopicPartition;

use super::context::Context;
use crate::connector_config::ConnectorConfig;
use crate::guarantees::{self, Client, Level};

/// How many records a sink task is given at once, at most; batches stay whole, so this is cheap to have large.
const SINK_POLL_RECORDS_MAX: &str = "5000";

/// How long a sink task may take to see a topic that was made after it started, or that a regular expression matches now.
const SINK_METADATA_AGE_MAX_MS: &str = "2000";

fn properties(pairs: &[(&str, &str)]) -> Properties {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// Under which prefixes a client's keys are given.
struct Prefixes {
    worker: &'static str,
    connector: &'static str,
    /// Whose guarantees they may not break.
    client: Option<Client>,
}

const PRODUCER: Prefixes = Prefixes {
    worker: "producer.",
    connector: "producer.override.",
    client: Some(Client::Producer),
};

const CONSUMER: Prefixes = Prefixes {
    worker: "consumer.",
    connector: "consumer.override.",
    client: Some(Client::Consumer),
};

const ADMIN: Prefixes = Prefixes {
    worker: "admin.",
    connector: "admin.override.",
    client: None,
};

/// What breaks a guarantee is refused when it is given; what was stored before that was so is left out here.
fn merged(base: Properties, prefixes: &Prefixes, context: &Context, config: &ConnectorConfig) -> Properties {
    let mut merged = base;
    let of_worker = context.config.with_prefix(prefixes.worker);
    let of_connector = config.with_prefix(prefixes.connector);
    for (level, given) in [(Level::Worker, of_worker), (Level::Connector, of_connector)] {
        for (key, value) in given {
            let refusal = prefixes.client;
            let refusal = refusal.and_then(|client| guarantees::refusal(client, level, &key, &value));
            if let Some(reason) = refusal {
                tracing::warn!(connector = %config.name, "{key}={value} of its clients is left out: it {reason}");
            } else {
                merged.insert(key, value);
            }
        }
    }
    merged
}

fn patient_producer() -> Properties {
    properties(&[
        ("acks", "all"),
        ("enable.idempotence", "true"),
        ("delivery.timeout.ms", "2147483647"),
        ("max.block.ms", "9223372036854775807"),
    ])
}

/// The producer of a source task: it never gives up by itself, so that a cluster that is away delays the task and no more.
pub(crate) fn source_producer(
    context: &Context,
    config: &ConnectorConfig,
    id: &TaskId,
) -> Result<Producer, Error> {
    let mut base = patient_producer();
    base.insert("client.id".to_owned(), format!("connector-producer-{id}"));
    let merged = merged(base, &PRODUCER, context, config);
    context.client.producer(&merged)
}

/// How long a transaction of a source task may take: longer than a broker is away for a restart, after which a task whose
/// transaction was ended meanwhile would fail. A task that dies does not leave its own open for so long: its successor ends it.
const TRANSACTION_TIMEOUT_MS: &str = "300000";

/// The transactional id of a source task (Kafka's `Worker.taskTransactionalId`).
pub(crate) fn transactional_id(group_id: &str, connector: &str, task: u32) -> String {
    format!("{group_id}-{connector}-{task}")
}

/// The producer of a source task that writes records and offsets in transactions.
pub(crate) fn transactional_producer(
    context: &Context,
    config: &ConnectorConfig,
    id: &TaskId,
) -> Result<Producer, Error> {
    let mut base = patient_producer();
    base.insert("client.id".to_owned(), format!("connector-producer-{id}"));
    base.insert(
        "transaction.timeout.ms".to_owned(),
        TRANSACTION_TIMEOUT_MS.to_owned(),
    );
    let transactional_id = transactional_id(&context.config.group_id, &id.connector, id.task);
    base.insert("transactional.id".to_owned(), transactional_id);
    let merged = merged(base, &PRODUCER, context, config);
    if merged.contains_key("bootstrap.servers") {
        // Offsets are in the transaction, so they would go there, and be looked for here.
        let reason = "a producer of its own cluster (producer.override.bootstrap.servers) cannot be had with exactly-once support yet: \
                      set exactly.once.source.support=disabled for the worker, or remove the key";
        return Err(Error::IllegalState(reason.into()));
    }
    context.client.producer(&merged)
}

/// The producer of a sink task's dead letter queue. It never gives up either: what it lost would be lost, or fail the task.
pub(crate) fn dead_letter_queue_producer(
    context: &Context,
    config: &ConnectorConfig,
    id: &TaskId,
) -> Result<Producer, Error> {
    let mut base = patient_producer();
    base.insert("client.id".to_owned(), format!("connector-dlq-producer-{id}"));
    let merged = merged(base, &PRODUCER, context, config);
    context.client.producer(&merged)
}

/// The producer of what a sink task tells of records.
pub(crate) fn results_producer(
    context: &Context,
    config: &ConnectorConfig,
    id: &TaskId,
) -> Result<Producer, Error> {
    let mut base = patient_producer();
    base.insert("client.id".to_owned(), format!("connector-results-producer-{id}"));
    let merged = merged(base, &PRODUCER, context, config);
    context.client.producer(&merged)
}

/// The consumer of a sink task. Its membership is static under a name that is always the same, so that a task that comes back
/// after its process was killed gets its partitions at once.
pub(crate) fn sink_consumer(
    context: &Context,
    config: &ConnectorConfig,
    id: &TaskId,
) -> Result<Consumer, Error> {
    let mut base = properties(&[
        ("enable.auto.commit", "false"),
        ("auto.offset.reset", "earliest"),
        ("isolation.level", "read_committed"),
        ("max.poll.records", SINK_POLL_RECORDS_MAX),
        ("metadata.max.age.ms", SINK_METADATA_AGE_MAX_MS),
    ]);
    base.insert("group.id".to_owned(), format!("connect-{}", config.name));
    base.insert("group.instance.id".to_owned(), instance_id(id));
    base.insert("client.id".to_owned(), format!("connector-consumer-{id}"));
    let merged = merged(base, &CONSUMER, context, config);
    context.client.consumer(&merged)
}

/// How long a transaction of intents may be open; whoever reads them may have to wait so long.
const INTENTS_TRANSACTION_TIMEOUT_MS: &str = "15000";

/// The transactional id under which a sink task says what it intends of a partition: one per connector and partition, whichever
/// of its tasks has that.
pub(crate) fn intents_id(config: &ConnectorConfig, partition: &TopicPartition) -> String {
    let group = config.with_prefix("consumer.override.");
    let group = group.get("group.id").cloned();
    let group = group.unwrap_or_else(|| format!("connect-{}", config.name));
    format!("{group}/{}-{}", partition.topic, partition.partition)
}

/// Of which partition such an id of a group's connector is. A topic's name has no slash, as another group's may have.
pub(crate) fn intents_partition(group: &str, id: &str) -> Option<TopicPartition> {
    let (topic, partition) = id.strip_prefix(group)?.strip_prefix('/')?.rsplit_once('-')?;
    let partition = partition.parse().ok().filter(|partition| *partition >= 0)?;
    let is_topic = !topic.is_empty() && !topic.contains('/');
    is_topic.then(|| TopicPartition::new(topic, partition))
}

/// The producer with which a sink task says what it intends of a partition.
pub(crate) fn intents_producer(
    context: &Context,
    config: &ConnectorConfig,
    id: &TaskId,
    partition: &TopicPartition,
) -> Result<Producer, Error> {
    let mut base = properties(&[("linger.ms", "0")]);
    base.insert("client.id".to_owned(), format!("connector-intents-producer-{id}"));
    let mut merged = merged(base, &PRODUCER, context, config);
    for (key, value) in [
        ("acks", "all"),
        ("enable.idempotence", "true"),
        ("transaction.timeout.ms", INTENTS_TRANSACTION_TIMEOUT_MS),
    ] {
        merged.insert(key.to_owned(), value.to_owned());
    }
    merged.insert("transactional.id".to_owned(), intents_id(config, partition));
    context.client.producer(&merged)
}

/// The `group.instance.id` of a sink task.
pub(crate) fn instance_id(id: &TaskId) -> String {
    format!("connect-{id}")
}

/// The admin of a task.
pub(crate) fn admin(context: &Context, config: &ConnectorConfig) -> Result<Admin, Error> {
    let merged = merged(Properties::new(), &ADMIN, context, config);
    context.client.admin(&merged)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use forebay_connect_api::PluginType;

    use super::*;

    #[test]
    fn partitions_of_connectors_have_a_transactional_id_each_whoever_their_task_is() {
        let config = |name: &str, more: &[(&str, &str)]| {
            let keys = [("name", name), ("connector.class", "Sink"), ("topics", "t")];
            let keys = keys.iter().chain(more);
            let keys: Properties = keys
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect();
            ConnectorConfig::new(PluginType::Sink, Arc::new(keys)).expect("sound")
        };
        let (c, own) = (
            config("c", &[]),
            config("c", &[("consumer.override.group.id", "g")]),
        );
        let of = |config: &ConnectorConfig, topic: &str, number| {
            intents_id(config, &TopicPartition::new(topic, number))
        };
        assert_eq!(of(&c, "t", 0), "connect-c/t-0");
        assert_eq!(of(&c, "t", 11), "connect-c/t-11");
        assert_eq!(of(&c, "u-1", 1), "connect-c/u-1-1");
        assert_eq!(of(&own, "t", 0), "g/t-0");
        for (group, id, partition) in [
            ("connect-c", "connect-c/t-0", Some(("t", 0))),
            ("connect-c", "connect-c/u-1-11", Some(("u-1", 11))),
            ("connect-c", "connect-c/d/t-0", None),
            ("connect-c/d", "connect-c/d/t-0", Some(("t", 0))),
            ("connect-c", "connect-cc/t-0", None),
            ("connect-c", "connect-c-0", None),
            ("connect-c", "connect-c/t-x", None),
            ("connect-c", "connect-c/-1", None),
            ("connect-c", "connect-c/t--1", Some(("t-", 1))),
        ] {
            let partition = partition.map(|(topic, number)| TopicPartition::new(topic, number));
            assert_eq!(intents_partition(group, id), partition, "{group} {id}");
        }
    }
}
