//! The broker's configuration keys: Kafka's names, types and defaults, for exactly those that something here reads. Where
//! a default is not Kafka's, the documentation says so.

mod groups;
mod logs;
mod network;
mod quotas;
mod transactions;

use forebay_config::{ConfigDef, ConfigKey, ConfigType, Importance, Unit, Value};

use crate::quotas::connections::{LISTENER_PREFIX, MAX_CONNECTION_CREATION_RATE};

/// All of the broker's keys.
pub(super) fn definition() -> ConfigDef {
    let tables = [
        network::node(),
        network::connections(),
        logs::topics(),
        logs::upkeep(),
        logs::cleaner(),
        logs::metadata(),
        groups::groups(),
        groups::offsets(),
        transactions::coordination(),
        transactions::log(),
        quotas::quotas(),
    ];
    let def = tables
        .into_iter()
        .flatten()
        .fold(ConfigDef::new(), ConfigDef::define);
    let def = def.open_between(LISTENER_PREFIX, format!(".{MAX_CONNECTION_CREATION_RATE}"));
    meaningless(topic_defaults(def))
}

/// Kafka's keys that stand in files written for it and have no meaning here, with what replaces them.
fn meaningless(mut def: ConfigDef) -> ConfigDef {
    let without_zookeeper =
        "there is no ZooKeeper: topics and configurations live in the node's own metadata log";
    let one_voter = "the controller quorum has one voter, this node";
    let runtime = "asynchronous work runs on one thread for each core";
    let alone = "a node has no followers yet";
    for (names, instead) in [
        (
            [
                "zookeeper.connect",
                "zookeeper.connection.timeout.ms",
                "zookeeper.session.timeout.ms",
            ]
            .as_slice(),
            without_zookeeper,
        ),
        (
            &[
                "process.roles",
                "controller.quorum.voters",
                "controller.quorum.bootstrap.servers",
                "inter.broker.listener.name",
            ],
            one_voter,
        ),
        (
            &["metadata.max.idle.interval.ms"],
            "no records are written to say that nothing has happened: one node has no followers that wait for them",
        ),
        (
            &["transaction.state.log.load.buffer.size"],
            "coordinators read their logs a mebibyte at a time",
        ),
        (
            &["transaction.two.phase.commit.enable"],
            "transactions are prepared by their own coordinator only",
        ),
        (
            &[
                "share.coordinator.state.topic.replication.factor",
                "share.coordinator.state.topic.min.isr",
            ],
            "share groups are not supported yet",
        ),
        (&["num.network.threads", "background.threads"], runtime),
        (
            &[
                "num.replica.fetchers",
                "replica.lag.time.max.ms",
                "replica.fetch.max.bytes",
                "replica.fetch.wait.max.ms",
            ],
            alone,
        ),
    ] {
        for name in names {
            def = def.meaningless(*name, instead);
        }
    }
    def
}

/// Server keys that give topics their defaults (`log.retention.hours` for `retention.ms`). Where several keys serve one, the
/// weakest, which comes last, has the default, and the others are unset, as in Kafka.
fn topic_defaults(mut def: ConfigDef) -> ConfigDef {
    for key in forebay_broker_log::config::definition().keys() {
        let last = key.synonyms.len().saturating_sub(1);
        for (index, synonym) in key.synonyms.iter().enumerate() {
            let documentation = format!(
                "The default of {} for topics that do not set it{}. {}",
                key.name,
                unit(synonym.unit),
                key.documentation
            );
            let mut server = ConfigKey::new(&synonym.name, server_type(key, synonym.unit))
                .importance(Importance::High)
                .documentation(documentation)
                .group("Topic defaults", -1);
            server.guards = key.guards;
            server = match &key.default {
                Some(Some(default)) if index == last => server.default(in_unit(default, synonym.unit)),
                _ => server.optional(),
            };
            if synonym.unit == Unit::Same && index == last {
                server.validator.clone_from(&key.validator);
            }
            def = def.define(server);
        }
    }
    def
}

fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Same => "",
        Unit::Seconds => ", in seconds",
        Unit::Minutes => ", in minutes",
        Unit::Hours => ", in hours",
    }
}

fn server_type(key: &ConfigKey, unit: Unit) -> ConfigType {
    if unit == Unit::Same {
        key.config_type
    } else {
        ConfigType::Int
    }
}

fn in_unit(value: &Value, unit: Unit) -> String {
    let Value::Long(milliseconds) = value else {
        return value.to_string();
    };
    let divisor = match unit {
        Unit::Same => 1,
        Unit::Seconds => 1_000,
        Unit::Minutes => 60_000,
        Unit::Hours => 3_600_000,
    };
    (milliseconds / divisor).to_string()
}
