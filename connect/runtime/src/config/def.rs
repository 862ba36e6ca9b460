//! The definition of every key that the worker reads or knows to have no meaning here. Those of the client
//! (`bootstrap.servers`, …) are the client's.

mod group;

use forebay_config::{ConfigDef, ConfigKey, ConfigType, Importance, Validator, Value};

use crate::connector_config::known_converter;
use crate::converter::Role;

/// The definition of every key of the worker, without those of its clients.
pub fn config_def() -> ConfigDef {
    let def = group::keys(storage_keys(ConfigDef::new()));
    let def = rest_keys(timing_keys(policy_keys(converter_keys(def))));
    let prefixes = [
        "key.converter.",
        "value.converter.",
        "header.converter.",
        "producer.",
        "consumer.",
        "admin.",
        "config.providers.",
    ];
    let def = prefixes
        .into_iter()
        .fold(def, |def, prefix| def.open_prefix(prefix));
    MEANINGLESS
        .iter()
        .fold(def, |def, (key, instead)| def.meaningless(*key, *instead))
        .meaningless_below("listeners.https.", NO_TLS)
}

const NO_TLS: &str = "the worker has no TLS on its own port yet; put a proxy that has it before the worker";

const METRICS: &str = "metrics are at the console's /metrics";

const MEANINGLESS: [(&str, &str); 11] = [
    ("plugin.path", "the connectors are part of the binary"),
    ("plugin.discovery", "the connectors are part of the binary"),
    (
        "internal.key.converter",
        "internal topics are always JSON without schemas",
    ),
    (
        "internal.value.converter",
        "internal topics are always JSON without schemas",
    ),
    ("admin.listeners", "there is one listener, --connect-port"),
    ("rest.extension.classes", "there are no Java classes here"),
    (
        "response.http.headers.config",
        "no headers are added to answers yet",
    ),
    (
        "access.control.allow.origin",
        "pages of other sites are refused; allowed.hosts widens that",
    ),
    (
        "access.control.allow.methods",
        "pages of other sites are refused; allowed.hosts widens that",
    ),
    ("topic.creation.groups", "it is a key of connectors"),
    ("metrics.context.connect.group.id", METRICS),
];

fn storage_keys(mut def: ConfigDef) -> ConfigDef {
    def = def.define(
        ConfigKey::new("group.id", ConfigType::String)
            .default("connect-cluster")
            .validator(Validator::NonEmpty)
            .importance(Importance::High)
            .documentation(
                "A unique string that identifies the Connect cluster group this worker belongs to. Workers of one group have the \
                 same storage topics, and share their connectors and tasks; no consumer group may have its name.",
            ),
    );
    for (which, what, partitions) in [
        ("config", "connector configurations are", None),
        ("offset", "source connector offsets are", Some(25)),
        ("status", "connector and task status are", Some(5)),
    ] {
        def = def
            .define(
                ConfigKey::new(format!("{which}.storage.topic"), ConfigType::String)
                    .default(format!("connect-{which}{}", if which == "status" { "" } else { "s" }))
                    .validator(Validator::NonEmpty)
                    .importance(Importance::High)
                    .documentation(format!("The name of the Kafka topic where {what} stored.")),
            )
            .define(
                ConfigKey::new(format!("{which}.storage.replication.factor"), ConfigType::Short)
                    .default(-1)
                    .validator(replicas_or_partitions())
                    .documentation(format!(
                        "Replication factor used when creating the topic where {what} stored; -1 (the default here, \
                         3 in Kafka): the broker's."
                    )),
            );
        if let Some(partitions) = partitions {
            def = def.define(
                ConfigKey::new(format!("{which}.storage.partitions"), ConfigType::Int)
                    .default(partitions)
                    .validator(replicas_or_partitions())
                    .documentation(format!(
                        "The number of partitions used when creating the topic where {what} stored; -1: the broker's."
                    )),
            );
        }
    }
    def.define(
        ConfigKey::new("offset.storage.file.filename", ConfigType::String)
            .optional()
            .importance(Importance::High)
            .documentation(
                "The file in which a worker that runs alone (connect-standalone) keeps source connector offsets, as Kafka's does; \
                 workers of a group have offset.storage.topic.",
            ),
    )
}

fn replicas_or_partitions() -> Validator {
    Validator::custom(
        "Positive number, or -1 to use the broker's default",
        |_, value| {
            let number = match value {
                Some(Value::Short(number)) => i32::from(*number),
                Some(Value::Int(number)) => *number,
                _ => return Err("Value must be non-null".to_owned()),
            };
            if number == -1 || number > 0 {
                Ok(())
            } else {
                Err("Value must be either -1 or positive".to_owned())
            }
        },
    )
}

fn converter_keys(def: ConfigDef) -> ConfigDef {
    let json = "org.apache.kafka.connect.json.JsonConverter";
    let simple = "org.apache.kafka.connect.storage.SimpleHeaderConverter";
    def.define(
        ConfigKey::new("key.converter", ConfigType::Class)
            .default(json)
            .validator(known_converter(Role::Key))
            .importance(Importance::High)
            .documentation(
                "Converts keys between Connect's data and bytes, for connectors that name no other.",
            ),
    )
    .define(
        ConfigKey::new("value.converter", ConfigType::Class)
            .default(json)
            .validator(known_converter(Role::Value))
            .importance(Importance::High)
            .documentation(
                "Converts values between Connect's data and bytes, for connectors that name no other.",
            ),
    )
    .define(
        ConfigKey::new("header.converter", ConfigType::Class)
            .default(simple)
            .validator(known_converter(Role::Header))
            .documentation("Converts header values between Connect's data and bytes."),
    )
    .define(
        ConfigKey::new("schema.registry.url", ConfigType::String)
            .optional()
            .importance(Importance::Medium)
            .documentation(
                "The schema registry of converters that need one and name none; in the hub its own. \
                 (Not a key of Kafka's, which wants it with every converter.)",
            ),
    )
}

fn policy_keys(def: ConfigDef) -> ConfigDef {
    def.define(
        ConfigKey::new("connector.client.config.override.policy", ConfigType::String)
            .default("All")
            .validator(Validator::one_of(["All", "None", "Principal"]))
            .guards()
            .importance(Importance::Medium)
            .documentation("Which client keys connectors may set by producer.override., consumer.override., admin.override."),
    )
    .define(
        ConfigKey::new("connect.allowed.paths", ConfigType::List)
            .optional()
            .guards()
            .importance(Importance::Medium)
            .documentation(
                "Directories that connectors may read and write, those below included. Unless given: all while the worker \
                 listens on loopback only, else none. (Not a key of Kafka's.)",
            ),
    )
    .define(
        ConfigKey::new("connect.allowed.private.addresses", ConfigType::Boolean)
            .optional()
            .guards()
            .importance(Importance::Medium)
            .documentation(
                "Whether connectors may connect to this machine and to private networks. Unless given: while the worker \
                 listens on loopback only. (Not a key of Kafka's.)",
            ),
    )
    .define(
        ConfigKey::new("topic.creation.enable", ConfigType::Boolean)
            .default(true)
            .documentation("Whether topics of source connectors are created as their topic.creation.* keys say."),
    )
    .define(
        ConfigKey::new("topic.tracking.enable", ConfigType::Boolean)
            .default(true)
            .documentation("Whether the active topics of each connector are kept track of."),
    )
    .define(
        ConfigKey::new("topic.tracking.allow.reset", ConfigType::Boolean)
            .default(true)
            .documentation("Whether users may reset the active topics of a connector."),
    )
    .define(
        ConfigKey::new("config.providers", ConfigType::List)
            .default("")
            .guards()
            .documentation(
                "Names of config providers, which references as ${name:path:key} in configurations mean; config.providers.NAME.class says \
                 which: FileConfigProvider, DirectoryConfigProvider or EnvVarConfigProvider, and config.providers.NAME.param.* what it \
                 may read (allowed.paths, allowlist.pattern).",
            ),
    )
    .define(
        ConfigKey::new("exactly.once.source.support", ConfigType::String)
            .default("enabled")
            .validator(Validator::one_of_ignoring_case(["disabled", "preparing", "enabled"]))
            .guards()
            .importance(Importance::High)
            .documentation(
                "Whether source tasks write their records and source offsets in one transaction, so that neither a crash nor a task \
                 that was taken for dead repeats a record. The default is enabled, which gives way to disabled where the cluster has \
                 no transactions; of forebay connect FILE it is disabled, as in Kafka, whose files it reads; forebay \
                 connect-standalone has no transactions. Permitted values are disabled, preparing, enabled. With both \
                 of the latter the leader of the workers writes to the config topic in transactions, so that one that was deposed writes \
                 nothing any more; preparing leaves tasks without: for a group of workers that is upgraded one by one.",
            ),
    )
}

fn timing_keys(def: ConfigDef) -> ConfigDef {
    let milliseconds = |name: &str, default: i64, documentation: &str| {
        ConfigKey::new(name, ConfigType::Long)
            .default(default)
            .validator(Validator::at_least(0))
            .documentation(documentation)
    };
    def.define(milliseconds(
        "offset.flush.interval.ms",
        60_000,
        "After how long at most offsets of tasks are committed. They are committed earlier where that is cheap: those of \
         sources shortly after records are acknowledged, those of sinks when nothing more is there to read.",
    ))
    .define(milliseconds(
        "offset.flush.timeout.ms",
        5_000,
        "How long to wait for records to be acknowledged and offsets to be committed before that is tried again.",
    ))
    .define(milliseconds(
        "task.shutdown.graceful.timeout.ms",
        5_000,
        "How long to wait in all for tasks to stop by themselves.",
    ))
    .define(milliseconds(
        "storage.init.timeout.ms",
        60_000,
        "How long the start waits for the storage topics to be created and read. (Not a key of Kafka's.)",
    ))
    .define(milliseconds(
        "rest.request.timeout.ms",
        90_000,
        "How long a request may take before it is answered with what the worker is doing. (Fixed in Kafka.)",
    ))
}

fn rest_keys(def: ConfigDef) -> ConfigDef {
    def.define(
        ConfigKey::new("rest.advertised.host.name", ConfigType::String)
            .optional()
            .documentation("The host in the worker's id."),
    )
    .define(
        ConfigKey::new("rest.advertised.port", ConfigType::Int)
            .optional()
            .documentation("The port in the worker's id."),
    )
    .define(
        ConfigKey::new("rest.advertised.listener", ConfigType::String)
            .optional()
            .guards()
            .validator(Validator::custom("http or null", |_, value| match value {
                Some(Value::String(listener))
                    if !listener.is_empty() && !listener.eq_ignore_ascii_case("http") =>
                {
                    Err(format!("workers reach each other over http only: {NO_TLS}"))
                }
                _ => Ok(()),
            }))
            .documentation("The listener that the other workers use: http, as there is no other."),
    )
}
