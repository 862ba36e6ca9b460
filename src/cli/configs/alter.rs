//! `--alter`: sets keys and takes others back.

use std::collections::BTreeMap;

use forebay_client::Admin;
use forebay_client::admin::AlterConfig;

use super::super::options::{Options, Stop};
use super::entities::Entities;
use super::{Error, describe, quotas};

pub(super) async fn alter(admin: &Admin, options: &Options, entities: &Entities) -> Result<(), Error> {
    let added = added(options)?;
    let deleted = deleted(options);
    let kind = entities.kind();
    let name = entities.names.first().map(String::as_str).unwrap_or_default();
    match kind {
        "users" | "clients" | "ips" => quotas::alter(admin, entities, &added, &deleted).await?,
        _ => alter_resource(admin, kind, name, &added, &deleted).await?,
    }
    if name.is_empty() {
        say!("Completed updating default config for {kind} in the cluster.");
    } else {
        say!(
            "Completed updating config for {} {name}.",
            describe::singular(kind)
        );
    }
    Ok(())
}

async fn alter_resource(
    admin: &Admin,
    kind: &str,
    name: &str,
    added: &BTreeMap<String, String>,
    deleted: &[String],
) -> Result<(), Error> {
    // Of loggers only those that there are; of everything else one may take back what is not set.
    if kind == "broker-loggers" {
        let known = describe::entries(admin, kind, name, false).await?;
        let keys = deleted.iter().chain(added.keys()).map(String::as_str);
        let unknown: Vec<&str> = keys
            .filter(|key| !known.iter().any(|entry| entry.name == *key))
            .collect();
        if !unknown.is_empty() {
            return Err(Error::failed(format!(
                "Invalid broker logger(s): {}",
                unknown.join(",")
            )));
        }
    }
    let set = added
        .iter()
        .map(|(key, value)| AlterConfig::Set(key.clone(), value.clone()));
    let taken_back = deleted.iter().map(|key| AlterConfig::Delete(key.clone()));
    let changes = BTreeMap::from([(describe::resource(kind, name)?, set.chain(taken_back).collect())]);
    for outcome in admin.alter_configs(&changes, false).await?.into_values() {
        outcome?;
    }
    Ok(())
}

/// What `--add-config` or `--add-config-file` gives.
pub(super) fn added(options: &Options) -> Result<BTreeMap<String, String>, Stop> {
    let mut added = BTreeMap::new();
    if let Some(path) = options.value("add-config-file")? {
        added.extend(super::super::properties_file(path)?);
    }
    if let Some(text) = options.value("add-config")? {
        for pair in split(text) {
            let (key, value) = pair.split_once('=').filter(|(_, value)| is_one_value(value)).ok_or_else(|| {
                Stop::Failed(
                    "requirement failed: Invalid entity config: all configs to be added must be in the format \"key=val\" or  \
                     \"key=[val1,val2]\" to group values which contain commas."
                        .to_owned(),
                )
            })?;
            let value: String = value
                .chars()
                .filter(|letter| !matches!(letter, '[' | ']'))
                .collect();
            added.insert(key.trim().to_owned(), value.trim().to_owned());
        }
    }
    let valid = |key: &str| {
        key.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    match added.keys().find(|key| !valid(key)) {
        Some(key) => Err(Stop::Failed(format!(
            "Invalid character found for config key: {key}"
        ))),
        None => Ok(added),
    }
}

/// An equals sign may stand in a value only between brackets.
fn is_one_value(value: &str) -> bool {
    value.trim_start().starts_with('[') || !value.contains('=')
}

/// At commas that do not stand between brackets; empty ends do not count, as in Java.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut depth) = (0_usize, 0_usize);
    for (at, letter) in text.char_indices() {
        match letter {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    while parts.len() > 1 && parts.last().is_some_and(|part| part.is_empty()) {
        parts.pop();
    }
    parts
}

fn deleted(options: &Options) -> Vec<String> {
    let given = options.values("delete-config");
    let keys = given.iter().flat_map(|keys| keys.split(',')).map(str::trim);
    keys.filter(|key| !key.is_empty())
        .map(ToOwned::to_owned)
        .collect()
}
