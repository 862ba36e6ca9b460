//! What every connector may be configured with beside its own keys (Kafka's `ConnectorConfig`, `SourceConnectorConfig`,
//! `SinkConnectorConfig`), and these keys read into structs for those who run connectors.

mod def;
mod restart;
pub(crate) mod topic_creation;

use std::sync::Arc;
use std::time::Duration;

use forebay_config::{Config as Parsed, Error, Errors, Properties, Source};
use forebay_connect_api::PluginType;
use regex::Regex;

use crate::metrics::ErrorMetrics;
pub(crate) use def::{OPEN_PREFIXES, connector_def, known_converter, shown_def};
pub(crate) use restart::{RestartPolicy, Verdict};
use topic_creation::TopicCreation;

/// What to do with records that cannot be converted or produced (`errors.*`).
#[derive(Debug, Clone)]
pub(crate) struct ErrorHandling {
    /// `errors.tolerance=all`
    pub(crate) tolerates: bool,
    /// `errors.retry.timeout`; `None`: for ever.
    pub(crate) retry_timeout: Option<Duration>,
    /// `errors.retry.delay.max.ms`
    pub(crate) retry_delay_max: Duration,
    /// `errors.log.enable`
    pub(crate) log: bool,
    /// `errors.log.include.messages`
    pub(crate) log_messages: bool,
    /// What the task counts of it.
    pub(crate) metrics: Arc<ErrorMetrics>,
}

/// Where records go that go no further (`errors.deadletterqueue.*`).
#[derive(Debug, Clone)]
pub(crate) struct DeadLetterQueueConfig {
    /// `errors.deadletterqueue.topic.name`
    pub(crate) topic: String,
    /// `errors.deadletterqueue.topic.replication.factor`; `None`: not given, and the broker's, as Kafka's default of 3 is more
    /// than many clusters have.
    pub(crate) replication_factor: Option<i16>,
    /// `errors.deadletterqueue.context.headers.enable`
    pub(crate) context_headers: bool,
}

/// The topics of a sink connector.
#[derive(Debug, Clone)]
pub(crate) enum Topics {
    /// `topics`
    Named(Vec<String>),
    /// `topics.regex`
    Matching(Regex),
}

/// The keys that every connector has.
#[derive(Debug, Clone)]
pub(crate) struct ConnectorConfig {
    /// `name`
    pub(crate) name: Arc<str>,
    /// `tasks.max`
    pub(crate) tasks_max: u32,
    /// `tasks.max.enforce`
    pub(crate) tasks_max_enforce: bool,
    /// `errors.*`
    pub(crate) errors: ErrorHandling,
    /// All keys, for converters and for what overrides client keys.
    pub(crate) originals: Arc<Properties>,
    /// `transaction.boundary` and its interval.
    pub(crate) boundary: TransactionBoundary,
    parsed: Parsed,
}

/// Where a source task's transactions end (Kafka's `TransactionBoundary`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransactionBoundary {
    /// With each batch that it gives.
    Poll,
    /// After so long; `None`: the worker's `offset.flush.interval.ms`.
    Interval(Option<Duration>),
    /// Where the task says.
    Connector,
}

impl ConnectorConfig {
    /// Reads a connector's configuration.
    ///
    /// # Errors
    /// Every value of the common keys that is wrong.
    pub(crate) fn new(plugin_type: PluginType, properties: Arc<Properties>) -> Result<Self, Errors> {
        let parsed = connector_def(plugin_type).parse(&properties)?;
        let milliseconds = |key| {
            u64::try_from(parsed.get_long(key))
                .ok()
                .map(Duration::from_millis)
        };
        let errors = ErrorHandling {
            tolerates: parsed.get_string("errors.tolerance") == "all",
            retry_timeout: milliseconds("errors.retry.timeout"),
            retry_delay_max: milliseconds("errors.retry.delay.max.ms").unwrap_or_default(),
            log: parsed.get_boolean("errors.log.enable"),
            log_messages: parsed.get_boolean("errors.log.include.messages"),
            metrics: Arc::default(),
        };
        Ok(Self {
            name: parsed.get_string("name").into(),
            tasks_max: parsed.get_int("tasks.max").unsigned_abs(),
            tasks_max_enforce: parsed.get_boolean("tasks.max.enforce"),
            errors,
            originals: properties,
            boundary: boundary(plugin_type, &parsed),
            parsed,
        })
    }

    /// What was given under keys with this prefix, the prefix cut off: `producer.override.`.
    pub(crate) fn with_prefix(&self, prefix: &str) -> Properties {
        self.parsed.originals_with_prefix(prefix)
    }

    /// The offset topic of a source connector's own (`offsets.storage.topic`).
    pub(crate) fn offsets_topic(&self) -> Option<&str> {
        self.parsed
            .get_optional::<&str>("offsets.storage.topic")
            .map(str::trim)
            .filter(|topic| !topic.is_empty())
    }

    /// The topics of a sink connector.
    ///
    /// # Errors
    /// If `topics.regex` is no regular expression.
    pub(crate) fn topics(&self) -> Result<Topics, Errors> {
        let regex = self.parsed.get_string("topics.regex");
        if regex.is_empty() {
            return Ok(Topics::Named(topics_list(self.parsed.get_list("topics"))));
        }
        let regex = whole(regex).map_err(|reason| Error::invalid("topics.regex", regex, reason))?;
        Ok(Topics::Matching(regex))
    }

    /// The dead letter queue of a connector.
    pub(crate) fn dead_letter_queue(&self) -> Option<DeadLetterQueueConfig> {
        let key = |suffix: &str| format!("errors.deadletterqueue.{suffix}");
        let topic = self.parsed.get_string(&key("topic.name"));
        let replicas = key("topic.replication.factor");
        (!topic.is_empty()).then(|| DeadLetterQueueConfig {
            topic: topic.to_owned(),
            replication_factor: Some(self.parsed.get_short(&replicas))
                .filter(|_| *self.parsed.source(&replicas) == Source::Given),
            context_headers: self.parsed.get_boolean(&key("context.headers.enable")),
        })
    }

    /// How a source connector's topics are made; `None`: by the broker.
    ///
    /// # Errors
    /// Every value of `topic.creation.*` that is wrong.
    pub(crate) fn topic_creation(&self) -> Result<Option<TopicCreation>, Errors> {
        TopicCreation::new(&self.originals)
    }
}

fn boundary(plugin_type: PluginType, parsed: &Parsed) -> TransactionBoundary {
    if plugin_type == PluginType::Sink {
        return TransactionBoundary::Poll;
    }
    match &*parsed.get_string("transaction.boundary").to_ascii_lowercase() {
        "interval" => {
            let interval = parsed.get_optional::<i64>("transaction.boundary.interval.ms");
            TransactionBoundary::Interval(interval.map(|ms| Duration::from_millis(ms.unsigned_abs())))
        }
        "connector" => TransactionBoundary::Connector,
        _ => TransactionBoundary::Poll,
    }
}

/// The topics that a list names, each once.
pub(crate) fn topics_list(list: &[String]) -> Vec<String> {
    let mut topics: Vec<String> = Vec::new();
    for topic in list {
        if !topic.is_empty() && !topics.contains(topic) {
            topics.push(topic.clone());
        }
    }
    topics
}

/// A regular expression that must match all of a name, as Java's `Matcher.matches` has it.
pub(crate) fn whole(pattern: &str) -> Result<Regex, String> {
    Regex::new(&format!("^(?:{pattern})$")).map_err(|_| {
        // The crate's own message is about the pattern with our frame around it, so ask again for the user's.
        let error = Regex::new(pattern).err().map(|error| error.to_string());
        let reason = error.unwrap_or_else(|| "its parentheses do not match".to_owned());
        format!("Syntax error in regular expression: {reason}")
    })
}
