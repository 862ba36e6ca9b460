//! Whose configuration: types and names of entities, as `--entity-type` and `--entity-name` give them or the short forms do.

use std::net::ToSocketAddrs as _;

use super::super::options::{Options, Stop};

/// What is asked for: types, and a name for each of the first of them; the empty name is the default.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entities {
    pub types: Vec<&'static str>,
    pub names: Vec<String>,
}

/// In Kafka's order.
const TYPES: [&str; 8] = [
    "topics",
    "clients",
    "users",
    "brokers",
    "ips",
    "client-metrics",
    "groups",
    "broker-loggers",
];

/// The short forms, with the types they stand for.
const NAMED: [(&str, &str); 8] = [
    ("topic", "topics"),
    ("client", "clients"),
    ("user", "users"),
    ("broker", "brokers"),
    ("broker-logger", "broker-loggers"),
    ("ip", "ips"),
    ("client-metrics", "client-metrics"),
    ("group", "groups"),
];
const DEFAULTS: [(&str, &str); 4] = [
    ("client-defaults", "clients"),
    ("user-defaults", "users"),
    ("broker-defaults", "brokers"),
    ("ip-defaults", "ips"),
];
/// Those that have a default.
const WITH_DEFAULT: [&str; 4] = ["users", "clients", "brokers", "ips"];

fn failed<T>(message: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Failed(message.into()))
}

impl Entities {
    pub(super) fn new(options: &Options) -> Result<Self, Stop> {
        let short: Vec<&(&str, &str)> = NAMED
            .iter()
            .chain(&DEFAULTS)
            .filter(|(flag, _)| options.has(flag))
            .collect();
        let mut types = Vec::new();
        for given in options.values("entity-type") {
            match TYPES.iter().find(|known| **known == given) {
                Some(known) => types.push(*known),
                None => {
                    return failed(format!(
                        "Invalid entity type {given}, the entity type must be one of {} with a --bootstrap-server or \
                         --bootstrap-controller argument",
                        TYPES.join(", ")
                    ));
                }
            }
        }
        types.extend(short.iter().map(|(_, kind)| *kind));
        if let Some(twice) = (1..types.len()).find(|at| types[..*at].contains(&types[*at])) {
            return failed(format!("Duplicate entity type(s) specified: {}", types[twice]));
        }
        let both = types.len() == 2 && types.contains(&"users") && types.contains(&"clients");
        match types.len() {
            0 => return failed("At least one entity type must be specified"),
            1 => {}
            _ if both => {}
            _ => return failed("Only 'users' and 'clients' entity types may be specified together"),
        }
        let long = ["entity-name", "entity-type", "entity-default"]
            .iter()
            .any(|flag| options.has(flag));
        if long && !short.is_empty() {
            return failed(
                "--entity-{type,name,default} should not be used in conjunction with specific entity flags",
            );
        }
        let mut names: Vec<String> = options
            .in_order(&["entity-name", "entity-default"])
            .map(|value| value.unwrap_or_default().to_owned())
            .collect();
        for (flag, _) in short {
            names.push(options.value(flag)?.unwrap_or_default().to_owned());
        }
        let entities = Self { types, names };
        entities.check_broker_ids()?;
        entities.check_addresses()?;
        Ok(entities)
    }

    /// The type that decides what is done.
    pub(super) fn kind(&self) -> &'static str {
        self.types.first().copied().unwrap_or_default()
    }

    fn is(&self, kinds: &[&str]) -> bool {
        self.types.iter().any(|kind| kinds.contains(kind))
    }

    fn check_broker_ids(&self) -> Result<(), Stop> {
        let ids = self
            .names
            .iter()
            .filter(|name| !name.is_empty() && self.is(&["brokers", "broker-loggers"]));
        for id in ids {
            if id.parse::<i32>().is_err() {
                return failed(format!(
                    "The entity name for {} must be a valid integer broker id, but it is: {id}",
                    self.kind()
                ));
            }
        }
        Ok(())
    }

    fn check_addresses(&self) -> Result<(), Stop> {
        let hosts = self
            .names
            .iter()
            .filter(|name| !name.is_empty() && self.is(&["ips"]));
        for host in hosts {
            if (host.as_str(), 0).to_socket_addrs().is_err() {
                return failed(format!(
                    "The entity name for ips must be a valid IP or resolvable host, but it is: {host}"
                ));
            }
        }
        Ok(())
    }

    pub(super) fn check_describe(&self, entity_default: bool) -> Result<(), Stop> {
        let types = self.types.join(",");
        if entity_default && !self.is(&WITH_DEFAULT) {
            return failed(format!(
                "--entity-default must not be specified with --describe of {types}"
            ));
        }
        if self.is(&["broker-loggers"]) && self.names.iter().all(String::is_empty) {
            return failed(format!(
                "An entity name must be specified with --describe of {types}"
            ));
        }
        Ok(())
    }

    pub(super) fn check_alter(&self) -> Result<(), Stop> {
        if self.is(&WITH_DEFAULT) {
            if self.names.is_empty() {
                return failed(
                    "An entity-name or default entity must be specified with --alter of users, clients, brokers or ips",
                );
            }
        } else if self.names.iter().all(String::is_empty) {
            return failed(format!(
                "An entity name must be specified with --alter of {}",
                self.types.join(",")
            ));
        }
        if self.types.len() != self.names.len() {
            return failed("An entity name must be specified for every entity type");
        }
        Ok(())
    }
}
