//! Quotas of users, clients and addresses.

use std::collections::BTreeMap;

use forebay_client::Admin;
use forebay_client::admin::{QuotaEntity, QuotaFilter, QuotaMatch};

use super::entities::Entities;
use super::{Error, scram};

const QUOTAS: [&str; 4] = [
    "consumer_byte_rate",
    "controller_mutation_rate",
    "producer_byte_rate",
    "request_percentage",
];
const ADDRESS_QUOTAS: [&str; 1] = ["connection_creation_rate"];

/// The kind of entity that quotas name: `users`, `user`.
fn entity_type(kind: &str) -> &'static str {
    match kind {
        "users" => "user",
        "clients" => "client-id",
        _ => "ip",
    }
}

async fn found(
    admin: &Admin,
    entities: &Entities,
) -> Result<Vec<(QuotaEntity, BTreeMap<String, f64>)>, forebay_client::Error> {
    let filter = |(index, kind): (usize, &&'static str)| QuotaFilter {
        entity_type: entity_type(kind).to_owned(),
        entity: match entities.names.get(index) {
            None => QuotaMatch::Any,
            Some(name) if name.is_empty() => QuotaMatch::Default,
            Some(name) => QuotaMatch::Name(name.clone()),
        },
    };
    let filters: Vec<QuotaFilter> = entities.types.iter().enumerate().map(filter).collect();
    admin.describe_client_quotas(&filters, true).await
}

pub(super) async fn describe(admin: &Admin, entities: &Entities) -> Result<(), Error> {
    for (entity, quotas) in found(admin, entities).await? {
        say!("{}", line(&entity, &quotas));
    }
    if entities.kind() == "users" && !entities.types.contains(&"clients") {
        scram::describe(admin, &entities.names).await?;
    }
    Ok(())
}

pub(super) fn line(entity: &QuotaEntity, quotas: &BTreeMap<String, f64>) -> String {
    let titles = [
        ("user", "user-principal"),
        ("client-id", "client-id"),
        ("ip", "ip"),
    ];
    let names: Vec<String> = titles
        .iter()
        .filter_map(|(kind, title)| {
            Some(match entity.get(*kind)? {
                Some(name) => format!("{title} '{name}'"),
                None => format!("the default {title}"),
            })
        })
        .collect();
    let quotas: Vec<String> = quotas
        .iter()
        .map(|(key, value)| format!("{key}={}", super::super::java::double(*value)))
        .collect();
    format!("Quota configs for {} are {}", names.join(", "), quotas.join(", "))
}

pub(super) async fn alter(
    admin: &Admin,
    entities: &Entities,
    added: &BTreeMap<String, String>,
    deleted: &[String],
) -> Result<(), Error> {
    check_keys(entities, added, deleted)?;
    if scram::is_asked(entities, added, deleted)? {
        return scram::alter(admin, &entities.names, added, deleted).await;
    }
    let entity: QuotaEntity = entities
        .types
        .iter()
        .zip(&entities.names)
        .map(|(kind, name)| {
            (
                entity_type(kind).to_owned(),
                Some(name.clone()).filter(|name| !name.is_empty()),
            )
        })
        .collect();
    let known = found(admin, entities).await?;
    let is_set = |key: &String| known.first().is_some_and(|(_, quotas)| quotas.contains_key(key));
    let unset: Vec<&str> = deleted
        .iter()
        .filter(|key| !is_set(key))
        .map(String::as_str)
        .collect();
    if !unset.is_empty() {
        return Err(Error::failed(format!("Invalid config(s): {}", unset.join(","))));
    }
    let mut changes = BTreeMap::new();
    for (key, value) in added {
        let number: f64 = value.parse().map_err(|_| {
            Error::failed(format!(
                "Cannot parse quota configuration value for {key}: {value}"
            ))
        })?;
        changes.insert(key.clone(), Some(number));
    }
    changes.extend(deleted.iter().map(|key| (key.clone(), None)));
    Ok(admin.alter_client_quotas(&entity, &changes, false).await?)
}

/// Which keys an entity may have.
pub(super) fn check_keys(
    entities: &Entities,
    added: &BTreeMap<String, String>,
    deleted: &[String],
) -> Result<(), Error> {
    let kind = entities.kind();
    let allowed: &[&str] = if kind == "ips" { &ADDRESS_QUOTAS } else { &QUOTAS };
    let strange = |keys: &[&String]| -> Vec<String> {
        let strange = keys.iter().filter(|key| !allowed.contains(&key.as_str()));
        strange.map(|key| (*key).clone()).collect()
    };
    let (set, taken_back): (Vec<&String>, Vec<&String>) = (added.keys().collect(), deleted.iter().collect());
    if kind == "ips" {
        let strange = strange(&[set, taken_back].concat());
        return match strange.is_empty() {
            true => Ok(()),
            false => Err(Error::failed(format!(
                "Only connection quota configs can be added for 'ips' using --bootstrap-server. Unexpected config names: {}",
                strange.join(",")
            ))),
        };
    }
    let of_clients = kind == "clients" || entities.types.len() == 2;
    for (keys, verb) in [(set, "added"), (taken_back, "deleted")] {
        let strange = strange(&keys);
        if of_clients && !strange.is_empty() {
            return Err(Error::failed(format!(
                "Only quota configs can be {verb} for 'clients' using --bootstrap-server. Unexpected config names: {}",
                scala(verb, &strange)
            )));
        }
        let (_, strange): (Vec<String>, Vec<String>) =
            strange.into_iter().partition(|key| scram::is_mechanism(key));
        if !strange.is_empty() {
            return Err(Error::failed(format!(
                "Only quota and SCRAM credential configs can be {verb} for 'users' using --bootstrap-server. Unexpected config \
                 names: {}",
                scala(verb, &strange)
            )));
        }
    }
    Ok(())
}

/// As Scala prints a few strings.
fn scala(verb: &str, names: &[String]) -> String {
    let kind = match names.len() {
        _ if verb == "deleted" => "ArrayBuffer",
        0..=4 => "Set",
        _ => "HashSet",
    };
    format!("{kind}({})", names.join(", "))
}
