//! What every client needs: where the cluster is, how long to wait, how to retry (Kafka's `CommonClientConfigs`).

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use forebay_config::{
    Config, ConfigDef, ConfigKey, ConfigType, Errors, Importance, Origin, Properties, Validator, Value,
};

use super::{milliseconds, read};

/// The keys that every client has.
pub fn client_def() -> ConfigDef {
    let def = connection_keys(ConfigDef::new());
    let def = retry_keys(def);
    security_keys(def)
        .meaningless(
            "client.dns.lookup",
            "all addresses of a name are tried, as with use_all_dns_ips",
        )
        .meaningless(
            "send.buffer.bytes",
            "the operating system sizes its socket buffers itself",
        )
        .meaningless(
            "receive.buffer.bytes",
            "the operating system sizes its socket buffers itself",
        )
        .meaningless(
            "metadata.recovery.strategy",
            "the bootstrap addresses are always asked again, as with rebootstrap",
        )
        .meaningless(
            "metadata.recovery.rebootstrap.trigger.ms",
            "the bootstrap addresses are asked as soon as no broker answers",
        )
        .meaningless("enable.metrics.push", "metrics are at the console's /metrics")
        .meaningless("metric.reporters", "metrics are at the console's /metrics")
        .meaningless("metrics.num.samples", "metrics are at the console's /metrics")
        .meaningless("metrics.recording.level", "metrics are at the console's /metrics")
        .meaningless(
            "metrics.sample.window.ms",
            "metrics are at the console's /metrics",
        )
        .meaningless(
            "auto.include.jmx.reporter",
            "metrics are at the console's /metrics",
        )
        .meaningless("interceptor.classes", "there are no Java classes here")
}

fn connection_keys(def: ConfigDef) -> ConfigDef {
    def.define(
        ConfigKey::new("bootstrap.servers", ConfigType::List)
            .alias("metadata.broker.list")
            .validator(Validator::All(vec![
                Validator::NonEmptyList,
                Validator::custom("host:port, …", |_, servers| addresses(servers)),
            ]))
            .importance(Importance::High)
            .documentation("Addresses host:port of brokers to ask first; the others are found through them."),
    )
    .define(
        ConfigKey::new("client.id", ConfigType::String)
            .default("")
            .importance(Importance::Medium)
            .documentation("The name under which the broker logs this client's requests."),
    )
    .define(
        ConfigKey::new("request.timeout.ms", ConfigType::Int)
            .default(30_000)
            .validator(Validator::at_least(0))
            .importance(Importance::Medium)
            .documentation("How long to wait for one answer."),
    )
    .define(
        ConfigKey::new("default.api.timeout.ms", ConfigType::Int)
            .default(60_000)
            .validator(Validator::at_least(0))
            .importance(Importance::Medium)
            .documentation("How long a call may take in all, retries included."),
    )
    .define(
        ConfigKey::new("socket.connection.setup.timeout.ms", ConfigType::Long)
            .default(10_000)
            .validator(Validator::at_least(1))
            .importance(Importance::Medium)
            .documentation("How long to wait for a connection, the first time."),
    )
    .define(
        ConfigKey::new("socket.connection.setup.timeout.max.ms", ConfigType::Long)
            .default(30_000)
            .validator(Validator::at_least(1))
            .importance(Importance::Medium)
            .documentation("To what that grows with each attempt that fails."),
    )
    .define(
        ConfigKey::new("connections.max.idle.ms", ConfigType::Long)
            .default(540_000)
            .importance(Importance::Medium)
            .documentation("After how long without a request a connection is closed."),
    )
}

fn retry_keys(def: ConfigDef) -> ConfigDef {
    let milliseconds = |name: &str, default: i64, documentation: &str| {
        ConfigKey::new(name, ConfigType::Long)
            .default(default)
            .validator(Validator::at_least(0))
            .documentation(documentation)
    };
    def.define(milliseconds(
        "reconnect.backoff.ms",
        50,
        "How long to wait before connecting again, the first time.",
    ))
    .define(milliseconds(
        "reconnect.backoff.max.ms",
        1_000,
        "To what that grows with each attempt that fails.",
    ))
    .define(milliseconds(
        "retry.backoff.ms",
        100,
        "How long to wait before a request is tried again.",
    ))
    .define(milliseconds(
        "retry.backoff.max.ms",
        1_000,
        "To what that grows with each attempt that fails.",
    ))
    .define(milliseconds(
        "metadata.max.age.ms",
        300_000,
        "How old the knowledge of leaders may grow.",
    ))
}

fn security_keys(def: ConfigDef) -> ConfigDef {
    def.define(
        ConfigKey::new("security.protocol", ConfigType::String)
            .default("PLAINTEXT")
            .guards()
            .validator(Validator::custom(
                "(case insensitive) [PLAINTEXT]",
                |_, protocol| match protocol {
                    Some(Value::String(protocol)) if protocol.eq_ignore_ascii_case("PLAINTEXT") => Ok(()),
                    _ => Err("TLS and SASL are not supported yet; only PLAINTEXT is".to_owned()),
                },
            ))
            .importance(Importance::Medium)
            .documentation("How connections are secured."),
    )
    .open_prefix("ssl.")
    .open_prefix("sasl.")
}

/// Each must be `host:port`, with IPv6 addresses in brackets.
fn addresses(servers: Option<&Value>) -> Result<(), String> {
    let Some(Value::List(servers)) = servers else {
        return Ok(());
    };
    for server in servers {
        let port = server
            .rsplit_once(':')
            .filter(|(host, _)| is_host(host))
            .map(|(_, port)| port);
        if port
            .and_then(|port| port.parse::<u16>().ok())
            .is_none_or(|port| port == 0)
        {
            return Err(format!(
                "Invalid url in bootstrap.servers: {server}; write host:port"
            ));
        }
    }
    Ok(())
}

fn is_host(host: &str) -> bool {
    let bracketed = host.starts_with('[') && host.ends_with(']');
    !host.is_empty() && (bracketed || !host.contains([':', '/', ' ']))
}

/// What every client needs to know.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClientConfig {
    /// `bootstrap.servers`
    pub bootstrap_servers: Vec<String>,
    /// `client.id`
    pub client_id: String,
    /// `request.timeout.ms`
    pub request_timeout: Duration,
    /// `default.api.timeout.ms`
    pub default_api_timeout: Duration,
    /// `socket.connection.setup.timeout.ms`
    pub connection_setup_timeout: Duration,
    /// `socket.connection.setup.timeout.max.ms`
    pub connection_setup_timeout_max: Duration,
    /// `connections.max.idle.ms`
    pub connections_max_idle: Duration,
    /// `reconnect.backoff.ms`
    pub reconnect_backoff: Duration,
    /// `reconnect.backoff.max.ms`
    pub reconnect_backoff_max: Duration,
    /// `retry.backoff.ms`
    pub retry_backoff: Duration,
    /// `retry.backoff.max.ms`
    pub retry_backoff_max: Duration,
    /// `metadata.max.age.ms`
    pub metadata_max_age: Duration,
    /// What it was read from.
    pub(crate) originals: Properties,
}

impl ClientConfig {
    /// Reads the keys of [`client_def`]; unknown keys are treated as their origin demands.
    ///
    /// # Errors
    /// Everything that is wrong, in Kafka's words.
    pub fn new(properties: &Properties, origin: Origin) -> Result<Self, Errors> {
        read(&client_def(), properties, origin).map(|config| Self::from_config(&config))
    }

    /// Nothing but addresses, everything else as Kafka has it.
    ///
    /// # Errors
    /// If one is not `host:port`.
    pub fn bootstrap(servers: &str) -> Result<Self, Errors> {
        let properties = [("bootstrap.servers".to_owned(), servers.to_owned())].into();
        Self::new(&properties, Origin::CommandLine)
    }

    pub(super) fn from_config(config: &Config) -> Self {
        Self {
            bootstrap_servers: config.get_list("bootstrap.servers").to_vec(),
            client_id: config.get_string("client.id").to_owned(),
            request_timeout: milliseconds(config, "request.timeout.ms"),
            default_api_timeout: milliseconds(config, "default.api.timeout.ms"),
            connection_setup_timeout: milliseconds(config, "socket.connection.setup.timeout.ms"),
            connection_setup_timeout_max: milliseconds(config, "socket.connection.setup.timeout.max.ms"),
            connections_max_idle: milliseconds(config, "connections.max.idle.ms"),
            reconnect_backoff: milliseconds(config, "reconnect.backoff.ms"),
            reconnect_backoff_max: milliseconds(config, "reconnect.backoff.max.ms"),
            retry_backoff: milliseconds(config, "retry.backoff.ms"),
            retry_backoff_max: milliseconds(config, "retry.backoff.max.ms"),
            metadata_max_age: milliseconds(config, "metadata.max.age.ms"),
            originals: config.originals().clone(),
        }
    }

    /// Without `client.id`, the name that Kafka's clients take: `producer-1`, `consumer-GROUP-1`, `adminclient-1`.
    pub(crate) fn named(mut self, kind: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        if self.client_id.is_empty() {
            self.client_id = format!("{kind}-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        }
        self
    }
}
