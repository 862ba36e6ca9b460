//! `--describe`: what is set, or all there is, key by key, with everywhere it is set.

use forebay_client::Admin;
use forebay_client::admin::{ConfigEntry, ConfigResource, ConfigResourceKind, ConfigSource};
use forebay_protocol::NodeId;

use super::entities::Entities;
use super::{Error, quotas};

pub(super) async fn describe(admin: &Admin, entities: &Entities, all: bool) -> Result<(), Error> {
    let kind = entities.kind();
    if matches!(kind, "users" | "clients" | "ips") {
        return quotas::describe(admin, entities).await;
    }
    let names = match entities.names.first() {
        Some(name) => vec![name.clone()],
        None => existing(admin, kind).await?,
    };
    for name in names {
        let is_named = !name.is_empty() && !entities.names.is_empty();
        // All keys of a group can be told before there is one.
        if is_named && !(all && kind == "groups") && !existing(admin, kind).await?.contains(&name) {
            let kind = singular(kind);
            say!("The {kind} '{name}' doesn't exist and doesn't have dynamic config.");
            continue;
        }
        let entries = entries(admin, kind, &name, all).await?;
        say!("{}", title(kind, &name, all));
        for entry in entries {
            say!("{}", line(&entry));
        }
    }
    Ok(())
}

async fn existing(admin: &Admin, kind: &str) -> Result<Vec<String>, Error> {
    Ok(match kind {
        "topics" => admin
            .list_topics()
            .await?
            .into_iter()
            .map(|topic| topic.name)
            .collect(),
        "brokers" | "broker-loggers" => {
            let nodes = admin.describe_cluster().await?.nodes;
            let ids = nodes.iter().map(|node| node.id.to_string());
            ids.chain([String::new()]).collect()
        }
        "client-metrics" => {
            admin
                .list_config_resources(ConfigResourceKind::ClientMetrics)
                .await?
        }
        _ => {
            let groups = admin.list_groups().await?.into_iter().map(|group| group.group_id);
            let mut names: Vec<String> = groups.collect();
            // A group may have a configuration before it has members.
            if let Ok(configured) = admin.list_config_resources(ConfigResourceKind::Group).await {
                names.extend(configured);
            }
            names.sort_unstable();
            names.dedup();
            names
        }
    })
}

/// What a name of a kind stands for.
pub(super) fn resource(kind: &str, name: &str) -> Result<ConfigResource, Error> {
    let id = || {
        name.parse().map(NodeId).map_err(|_| {
            Error::failed(format!(
                "The entity name for {kind} must be a valid integer broker id, found: {name}"
            ))
        })
    };
    Ok(match kind {
        "topics" => ConfigResource::Topic(name.to_owned()),
        "brokers" if name.is_empty() => ConfigResource::DefaultBroker,
        "brokers" => ConfigResource::Broker(id()?),
        "broker-loggers" => ConfigResource::BrokerLogger(id()?),
        "client-metrics" => ConfigResource::ClientMetrics(name.to_owned()),
        _ => ConfigResource::Group(name.to_owned()),
    })
}

/// What is set for an entity itself, or all there is; by key.
pub(super) async fn entries(
    admin: &Admin,
    kind: &str,
    name: &str,
    all: bool,
) -> Result<Vec<ConfigEntry>, Error> {
    let resource = resource(kind, name)?;
    let own = match &resource {
        ConfigResource::Topic(_) => Some(ConfigSource::DynamicTopic),
        ConfigResource::DefaultBroker => Some(ConfigSource::DynamicDefaultBroker),
        ConfigResource::Broker(_) => Some(ConfigSource::DynamicBroker),
        ConfigResource::ClientMetrics(_) => Some(ConfigSource::DynamicClientMetrics),
        ConfigResource::Group(_) => Some(ConfigSource::DynamicGroup),
        ConfigResource::BrokerLogger(_) => None,
    };
    let mut described = admin.describe_configs(std::slice::from_ref(&resource)).await?;
    let mut entries = described.remove(&resource).transpose()?.unwrap_or_default();
    entries.retain(|entry| all || own.is_none_or(|own| entry.source == own));
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(entries)
}

pub(super) fn title(kind: &str, name: &str, all: bool) -> String {
    if name.is_empty() {
        return format!("Default configs for {kind} in the cluster are:");
    }
    let which = if all { "All" } else { "Dynamic" };
    format!("{which} configs for {} {name} are:", singular(kind))
}

/// The name of one of a kind: `topics`, `topic`.
pub(super) fn singular(kind: &str) -> &str {
    let mut letters = kind.chars();
    letters.next_back();
    letters.as_str()
}

pub(super) fn line(entry: &ConfigEntry) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
    let synonyms: Vec<String> = entry
        .synonyms
        .iter()
        .map(|synonym| {
            format!(
                "{}:{}={}",
                synonym.source.name(),
                synonym.name,
                text(&synonym.value)
            )
        })
        .collect();
    format!(
        "  {}={} sensitive={} synonyms={{{}}}",
        entry.name,
        text(&entry.value),
        entry.is_sensitive,
        synonyms.join(", ")
    )
}
