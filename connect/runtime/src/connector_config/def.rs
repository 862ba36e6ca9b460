//! The definitions of the keys that every connector has, as Kafka groups and orders them.

use std::collections::BTreeSet;
use std::sync::Arc;

use forebay_config::{
    ConfigDef, ConfigKey, ConfigType, Importance, Properties, Recommender, Validator, Value, Values, Width,
};
use forebay_connect_api::PluginType;

use super::restart::restart_keys;
use super::whole;
use crate::converter::{self, Role};

/// Of every plugin.
const VERSION: &str = env!("CARGO_PKG_VERSION");

const COMMON: &str = "Common";
const TRANSFORMS: &str = "Transforms";
const PREDICATES: &str = "Predicates";
pub(super) const ERRORS: &str = "Error Handling";
const TOPIC_CREATION: &str = "Topic Creation";
const EXACTLY_ONCE: &str = "Exactly Once Support";

/// The keys of every connector of a type, its own aside.
pub(crate) fn connector_def(plugin_type: PluginType) -> ConfigDef {
    let def = error_keys(common_keys());
    restart_keys(match plugin_type {
        PluginType::Source => queue_keys(source_keys(def)),
        PluginType::Sink => queue_keys(sink_keys(def)),
    })
}

/// A key in a form: where, how wide, under which label.
fn key(
    name: &str,
    config_type: ConfigType,
    place: (&str, i32),
    width: Width,
    display_name: &str,
) -> ConfigKey {
    ConfigKey::new(name, config_type)
        .group(place.0, place.1)
        .width(width)
        .display_name(display_name)
}

/// The keys of every connector of a type as a form shows them: with the worker's converters as defaults.
pub(crate) fn shown_def(plugin_type: PluginType, worker: &Properties) -> ConfigDef {
    let def = connector_def(plugin_type);
    let keys = def.keys().iter().map(|key| match worker.get(&key.name) {
        Some(class) if key.config_type == ConfigType::Class => key.clone().default(class.as_str()),
        _ if key.name.ends_with(".converter.plugin.version") => key.clone().default(VERSION),
        _ => key.clone(),
    });
    keys.fold(ConfigDef::new(), ConfigDef::define)
}

fn common_keys() -> ConfigDef {
    ConfigDef::new()
        .define(
            key("name", ConfigType::String, (COMMON, 1), Width::Medium, "Connector name")
                .validator(connector_name())
                .importance(Importance::High)
                .documentation("Globally unique name to use for this connector."),
        )
        .define(
            key("connector.class", ConfigType::String, (COMMON, 2), Width::Long, "Connector class")
                .importance(Importance::High)
                .documentation(
                    "Name or alias of the class for this connector: the full name of the Java class, its simple name, or that \
                     without \"Connector\", as in \"FileStreamSink\".",
                ),
        )
        .define(version_key("connector", 3, "Connector version")
                .default(VERSION)
                .width(Width::Medium)
                .importance(Importance::Medium))
        .define(
            key("tasks.max", ConfigType::Int, (COMMON, 4), Width::Short, "Tasks max")
                .default(1)
                .validator(Validator::at_least(1))
                .importance(Importance::High)
                .documentation("Maximum number of tasks to use for this connector."),
        )
        .define(
            key("tasks.max.enforce", ConfigType::Boolean, (COMMON, 5), Width::Short, "Enforce tasks max")
                .default(true)
                .documentation("(Deprecated) Whether a connector that generates more tasks than tasks.max fails."),
        )
        .define(converter_key("key.converter", 6, "Key converter class", Role::Key))
        .define(version_key("key.converter", 7, "Key converter version"))
        .define(converter_key("value.converter", 8, "Value converter class", Role::Value))
        .define(version_key("value.converter", 9, "Value converter version"))
        .define(converter_key("header.converter", 10, "Header converter class", Role::Header))
        .define(version_key("header.converter", 11, "Header converter version"))
        .define(
            aliases("transforms", (TRANSFORMS, 12), "Transforms", "unique transformation aliases")
                .documentation("Aliases of the transformations that records go through, in their order."),
        )
        .define(
            aliases("predicates", (PREDICATES, 13), "Predicates", "unique predicate aliases")
                .documentation("Aliases of the predicates that transformations use."),
        )
        .define(
            key("config.action.reload", ConfigType::String, (COMMON, 14), Width::Medium, "Reload Action")
                .default("restart")
                .validator(Validator::one_of(["none", "restart"]))
                .documentation("What to do when an external configuration provider changes a value: none, restart."),
        )
}

/// Keys beginning so are for converters and clients, which read them themselves.
pub(crate) const OPEN_PREFIXES: [&str; 7] = [
    "key.converter.",
    "value.converter.",
    "header.converter.",
    "producer.override.",
    "consumer.override.",
    "admin.override.",
    "topic.creation.",
];

/// As Kafka has it, and without a slash, which no path of the REST API could name.
fn connector_name() -> Validator {
    Validator::All(vec![
        Validator::NonEmptyWithoutControlChars,
        Validator::custom("a name without /", |_, name| match name {
            Some(Value::String(name)) if name.contains('/') => {
                Err("String may not contain a slash: the REST API could not name the connector".to_owned())
            }
            Some(Value::String(name)) if name == "." || name == ".." => {
                Err("String may not be . or ..: the REST API could not name the connector".to_owned())
            }
            _ => Ok(()),
        }),
    ])
}

/// The name of a converter that is there.
pub(crate) fn known_converter(role: Role) -> Validator {
    let is_known = match role {
        Role::Header => converter::is_header_converter,
        Role::Key | Role::Value => converter::is_converter,
    };
    Validator::custom("a converter of this worker", move |_, class| match class {
        Some(Value::Class(class)) if !is_known(class) => Err(converter::not_found(role, class)),
        _ => Ok(()),
    })
}

fn converter_key(name: &str, order: i32, display_name: &str, role: Role) -> ConfigKey {
    key(
        name,
        ConfigType::Class,
        (COMMON, order),
        Width::Short,
        display_name,
    )
    .optional()
    .validator(known_converter(role))
    .recommender(Arc::new(Choices(ConfigType::Class, converter::names(role))))
    .documentation("Converts between Connect's data and bytes; the worker's, unless given.")
}

/// There is one version of each; the key is known because Kafka has it (KIP-891).
fn version_key(of: &str, order: i32, display_name: &str) -> ConfigKey {
    key(
        &format!("{of}.plugin.version"),
        ConfigType::String,
        (COMMON, order),
        Width::Short,
        display_name,
    )
    .optional()
    .recommender(Arc::new(Choices(ConfigType::String, vec![VERSION])))
    .documentation("There is one version of each plugin here, and it is taken whatever this says.")
}

/// What a form offers.
struct Choices(ConfigType, Vec<&'static str>);

impl Recommender for Choices {
    fn valid_values(&self, _key: &str, _parsed: &Values) -> Vec<Value> {
        let choices = self.1.iter();
        choices.filter_map(|choice| self.0.parse(choice).ok()).collect()
    }

    fn visible(&self, _key: &str, _parsed: &Values) -> bool {
        true
    }
}

/// A key that lists names, each once.
fn aliases(name: &str, place: (&str, i32), display_name: &str, what: &str) -> ConfigKey {
    key(name, ConfigType::List, place, Width::Long, display_name)
        .default("")
        .validator(unique(what))
}

fn error_keys(def: ConfigDef) -> ConfigDef {
    def.define(
        key("errors.retry.timeout", ConfigType::Long, (ERRORS, 1), Width::Medium, "Retry Timeout for Errors")
            .default(0)
            .importance(Importance::Medium)
            .documentation(
                "The maximum duration in milliseconds that a failed operation will be reattempted. The default is 0, which \
                 means no retries will be attempted. Use -1 for infinite retries.",
            ),
    )
    .define(
        key(
            "errors.retry.delay.max.ms",
            ConfigType::Long,
            (ERRORS, 2),
            Width::Medium,
            "Maximum Delay Between Retries for Errors",
        )
        .default(60_000)
        .importance(Importance::Medium)
        .documentation("The maximum duration in milliseconds between consecutive retry attempts."),
    )
    .define(
        key("errors.tolerance", ConfigType::String, (ERRORS, 3), Width::Short, "Error Tolerance")
            .default("none")
            .validator(Validator::one_of(["none", "all"]))
            .guards()
            .importance(Importance::Medium)
            .documentation(
                "Behavior for tolerating errors during connector operation. 'none' is the default value and signals that any \
                 error will result in an immediate connector task failure; 'all' changes the behavior to skip over \
                 problematic records.",
            ),
    )
    .define(
        key("errors.log.enable", ConfigType::Boolean, (ERRORS, 4), Width::Short, "Log Errors")
            .default(false)
            .importance(Importance::Medium)
            .documentation("If true, write each error and the details of the failed operation to the log."),
    )
    .define(
        key("errors.log.include.messages", ConfigType::Boolean, (ERRORS, 5), Width::Short, "Log Error Details")
            .default(false)
            .importance(Importance::Medium)
            .documentation("Whether to include in the log the Connect record that resulted in a failure."),
    )
}

fn sink_keys(def: ConfigDef) -> ConfigDef {
    def.define(
        key("topics", ConfigType::List, (COMMON, 4), Width::Long, "Topics")
            .default("")
            .importance(Importance::High)
            .documentation("List of topics to consume, separated by commas"),
    )
    .define(
        key("topics.regex", ConfigType::String, (COMMON, 4), Width::Long, "Topics regex")
            .default("")
            .validator(regular_expressions())
            .importance(Importance::High)
            .documentation(
                "Regular expression giving topics to consume; it must match the whole name. Only one of topics or topics.regex \
                 should be specified.",
            ),
    )
}

/// Kafka has these of sinks only.
fn queue_keys(def: ConfigDef) -> ConfigDef {
    def.define(
        key(
            "errors.deadletterqueue.topic.name",
            ConfigType::String,
            (ERRORS, 6),
            Width::Medium,
            "Dead Letter Queue Topic Name",
        )
        .default("")
        .guards()
        .importance(Importance::Medium)
        .documentation(
            "The name of the topic to be used as the dead letter queue (DLQ) for messages that result in an error when \
             processed by this connector, or its transformations or converters. The topic name is blank by default, \
             which means that no messages are to be recorded in the DLQ.",
        ),
    )
    .define(
        key(
            "errors.deadletterqueue.topic.replication.factor",
            ConfigType::Short,
            (ERRORS, 7),
            Width::Medium,
            "Dead Letter Queue Topic Replication Factor",
        )
        .default(3)
        .importance(Importance::Medium)
        .documentation(
            "Replication factor used to create the dead letter queue topic when it doesn't already exist. Where it is not \
             given and the cluster has fewer brokers, the broker's own default is used.",
        ),
    )
    .define(
        key(
            "errors.deadletterqueue.context.headers.enable",
            ConfigType::Boolean,
            (ERRORS, 8),
            Width::Medium,
            "Enable Error Context Headers",
        )
        .default(false)
        .importance(Importance::Medium)
        .documentation(
            "If true, add headers containing error context to the messages written to the dead letter queue; their keys \
             start with __connect.errors.",
        ),
    )
}

fn source_keys(def: ConfigDef) -> ConfigDef {
    def.define(
        key("topic.creation.groups", ConfigType::List, (TOPIC_CREATION, 1), Width::Long, "Topic Creation Groups")
            .default("")
            .validator(unique("unique topic creation groups"))
            .documentation("Groups of configurations for topics created by source connectors"),
    )
    .define(
        key("exactly.once.support", ConfigType::String, (EXACTLY_ONCE, 2), Width::Short, "Exactly once support")
            .default("requested")
            .validator(Validator::one_of_ignoring_case(["requested", "required"]))
            .guards()
            .importance(Importance::Medium)
            .documentation(
                "Permitted values are requested, required. With required, a connector is only accepted if it says that it can avoid \
                 repeating records with its configuration, and the worker has exactly.once.source.support enabled. A connector \
                 that can and does not say so is asked for requested.",
            ),
    )
    .define(
        key("transaction.boundary", ConfigType::String, (EXACTLY_ONCE, 3), Width::Short, "Transaction Boundary")
            .default("poll")
            .validator(Validator::one_of_ignoring_case(["poll", "interval", "connector"]))
            .importance(Importance::Medium)
            .documentation(
                "Where the transactions of tasks end, with exactly-once support. Permitted values are: poll (with every batch of \
                 records that a task gives; batches that it gives while a transaction is committed share the next one), interval (after transaction.boundary.interval.ms), connector (where the task says, if \
                 its connector can).",
            ),
    )
    .define(
        key(
            "transaction.boundary.interval.ms",
            ConfigType::Long,
            (EXACTLY_ONCE, 4),
            Width::Short,
            "Transaction boundary interval",
        )
        .optional()
        .validator(Validator::custom("[0,...]", |_, interval| match interval {
            Some(Value::Long(interval)) if *interval < 0 => Err("Value must be at least 0".to_owned()),
            _ => Ok(()),
        }))
        .documentation(
            "The interval of transaction.boundary=interval; the worker's offset.flush.interval.ms unless given. Without effect for \
             other boundaries.",
        ),
    )
    .define(
        key("offsets.storage.topic", ConfigType::String, ("offsets.topic", 1), Width::Long, "Offsets topic")
            .optional()
            .documentation(
                "The name of a separate offsets topic to use for this connector, made if it is missing; the worker's unless given. \
                 Its offsets hold before those in the worker's, which has a copy of them.",
            ),
    )
}

fn unique(what: &str) -> Validator {
    Validator::custom(what, |_, aliases| match aliases {
        Some(Value::List(aliases)) if aliases.iter().collect::<BTreeSet<_>>().len() < aliases.len() => {
            Err("Duplicate alias provided.".to_owned())
        }
        _ => Ok(()),
    })
}

/// Every string must be a regular expression.
pub(super) fn regular_expressions() -> Validator {
    Validator::custom("valid regex", |_, patterns| {
        let patterns: Vec<&String> = match patterns {
            Some(Value::String(pattern)) => vec![pattern],
            Some(Value::List(patterns)) => patterns.iter().collect(),
            _ => Vec::new(),
        };
        patterns
            .into_iter()
            .try_for_each(|pattern| whole(pattern).map(drop))
    })
}
