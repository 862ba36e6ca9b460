//! What IncrementalAlterConfigs (KIP-339; `incremental.rs`) and AlterConfigs, which it replaced (`legacy.rs`), have in common
//! (`ConfigAdminManager.preprocess` on the broker, then `ConfigurationControlManager`). Levels of loggers are in `loggers.rs`.

mod incremental;
mod legacy;
mod loggers;

use std::borrow::Cow;
use std::collections::BTreeSet;

use forebay_config::Properties;
use forebay_protocol::internal_record::MetadataRecord;
use forebay_protocol::messages::{ClearElrRecord, ConfigRecord};
use forebay_protocol::{ErrorCode, NodeId, Utf8Bytes};

pub use incremental::IncrementalAlterConfigs;
pub use legacy::AlterConfigs;
pub use loggers::{LOG_LEVELS, ROOT_LOGGER};

use crate::controller::{Cluster, RECORDS_PER_REQUEST_MAX};
use crate::image::{ConfigResource, MetadataImage, ResourceType};
use crate::topic_name::validate_topic_name;
use crate::{ApiError, Record};

/// The key that eligible leader replicas hang on.
pub(super) const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

/// The longest value of a key, in Java's characters.
const VALUE_LENGTH_MAX: usize = 32767;

/// What became of a resource.
type Verdict = Result<(), ApiError>;

/// A resource as either request has it.
trait Resource {
    /// Its type's number, and its name.
    fn named(&self) -> (i8, &Utf8Bytes);
}

/// Decides on resources, each by itself: `alter` gives the records of one. What is set on a broker
/// and what is set on all hold together, so that either is judged on what the one before it comes to.
fn alter_all<R: Resource>(
    cluster: &Cluster<'_>,
    resources: &[R],
    validate_only: bool,
    alter: impl Fn(&Cluster<'_>, &R) -> Result<Vec<MetadataRecord>, ApiError>,
) -> (Vec<Record>, Vec<Verdict>) {
    let named: Vec<_> = resources.iter().map(Resource::named).collect();
    let repeated = repeated(&named);
    let mut image = Cow::Borrowed(cluster.image);
    let mut records = Vec::new();
    let mut verdicts = Vec::with_capacity(resources.len());
    for (resource, named) in resources.iter().zip(&named) {
        // (Kafka never answers an AlterConfigs that names one twice.)
        let outcome = if repeated.contains(named) {
            Err(ApiError::invalid_request(
                "Each resource must appear at most once.",
            ))
        } else {
            let so_far = Cluster {
                image: &image,
                ..*cluster
            };
            alter(&so_far, resource)
        };
        if let Ok(new) = &outcome
            && named.0 == ResourceType::Broker.number()
        {
            note(&mut image, new);
        }
        verdicts
            .push(outcome.map(|new| records.extend(new.into_iter().map(|record| cluster.record(record)))));
    }
    if records.len() > RECORDS_PER_REQUEST_MAX {
        records.clear();
        verdicts.fill(Err(ApiError::too_many_records()));
    }
    if validate_only {
        records.clear();
    }
    (records, verdicts)
}

/// The image with what was decided.
fn note(image: &mut Cow<'_, MetadataImage>, records: &[MetadataRecord]) {
    for record in records {
        if matches!(record, MetadataRecord::Config(_)) {
            let noted = image.to_mut().apply(record);
            debug_assert!(
                noted.is_ok(),
                "a configuration fits whatever came before it: {noted:?}"
            );
        }
    }
}

/// What changes to a resource that has `before` set on it come to, if all that would then be set on it is right.
fn records_of(
    cluster: &Cluster<'_>,
    resource: &ConfigResource,
    before: &Properties,
    changes: &[(&str, Option<String>)],
) -> Result<Vec<MetadataRecord>, ApiError> {
    let mut after = before.clone();
    let mut records = Vec::new();
    for (name, value) in changes {
        check_change(cluster, resource, name, value.as_deref())?;
        // A broker's record is written even if it changes nothing: it makes brokers read files again (KAFKA-14136).
        if before.get(*name) != value.as_ref() || resource.resource_type == ResourceType::Broker {
            records.push(MetadataRecord::Config(record(resource, name, value.as_ref())));
        }
        match value {
            Some(value) => after.insert((*name).to_owned(), value.clone()),
            None => after.remove(*name),
        };
    }
    validate(cluster, resource, &after)?;
    let clears = clear_elr(cluster, &records);
    records.extend(clears);
    Ok(records)
}

/// No key twice, and none without the value that it needs.
fn check_names<'a>(
    names: impl Iterator<Item = &'a Utf8Bytes>,
    without_value: &[&str],
) -> Result<(), ApiError> {
    let mut seen = BTreeSet::new();
    if !names.into_iter().all(|name| seen.insert(name)) {
        return Err(ApiError::invalid_request("Error due to duplicate config keys"));
    }
    if without_value.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid_request(format!(
        "Null value not supported for : {}",
        without_value.join(", ")
    )))
}

/// The resource, if it is of a kind that can be configured here.
fn known_resource(
    cluster: &Cluster<'_>,
    resource_type: i8,
    name: &Utf8Bytes,
) -> Result<ConfigResource, ApiError> {
    let unknown = || ApiError::invalid_request(format!("Unknown resource type {resource_type}"));
    let resource_type = ResourceType::of(resource_type).ok_or_else(unknown)?;
    let resource = ConfigResource {
        resource_type,
        name: name.clone(),
    };
    match resource_type {
        ResourceType::Topic | ResourceType::Group => Ok(resource),
        ResourceType::Broker => check_broker_name(&resource.name, cluster.options.node_id).map(|()| resource),
        ResourceType::BrokerLogger => {
            check_node_name(&resource.name, cluster.options.node_id).map(|()| resource)
        }
        ResourceType::ClientMetrics if resource.name.is_empty() => {
            Err(ApiError::invalid_request("Subscription name can't be empty"))
        }
        ResourceType::ClientMetrics => Err(not_supported(resource_type)),
    }
}

fn not_supported(resource_type: ResourceType) -> ApiError {
    ApiError::invalid_request(format!(
        "Configurations of resource type {resource_type} are not supported yet."
    ))
}

/// Log levels are a node's own.
fn check_node_name(name: &str, own: NodeId) -> Result<(), ApiError> {
    match name.parse::<i32>() {
        Ok(id) if id == own.0 => Ok(()),
        Ok(_) => Err(ApiError::invalid_request(format!(
            "Unexpected node id. Expected {own}, but received {name}"
        ))),
        Err(_) => Err(ApiError::invalid_request(format!(
            "Node id must be an integer, but it is: {name}"
        ))),
    }
}

/// A broker takes changes for itself, or with an empty name for all.
fn check_broker_name(name: &str, own: NodeId) -> Result<(), ApiError> {
    if name.is_empty() {
        return Ok(());
    }
    match name.parse::<i32>() {
        Ok(id) if id == own.0 => Ok(()),
        Ok(_) => Err(ApiError::invalid_request(format!(
            "Unexpected broker id, expected {own}, but received {name}"
        ))),
        Err(_) => Err(ApiError::invalid_request(format!(
            "Node id must be an integer, but it is: {name}"
        ))),
    }
}

/// Changes that are refused whatever their value, and values that are too long.
fn check_change(
    cluster: &Cluster<'_>,
    resource: &ConfigResource,
    name: &str,
    value: Option<&str>,
) -> Result<(), ApiError> {
    let elr = cluster.image.eligible_leader_replicas_enabled();
    if elr && name == MIN_INSYNC_REPLICAS && resource.resource_type == ResourceType::Broker {
        if !resource.name.is_empty() {
            return Err(ApiError::invalid_config(
                "Broker-level min.insync.replicas cannot be altered while ELR is enabled.",
            ));
        }
        if value.is_none() {
            return Err(ApiError::invalid_config(
                "Cluster-level min.insync.replicas cannot be removed while ELR is enabled.",
            ));
        }
    }
    check_length(value)
}

fn check_length(value: Option<&str>) -> Result<(), ApiError> {
    if value.is_some_and(|value| value.encode_utf16().count() > VALUE_LENGTH_MAX) {
        return Err(ApiError::invalid_config(
            "The configuration value cannot be added because it exceeds the maximum value size of 32767 bytes.",
        ));
    }
    Ok(())
}

/// All that would then be set on the resource.
fn validate(cluster: &Cluster<'_>, resource: &ConfigResource, after: &Properties) -> Result<(), ApiError> {
    let Cluster { image, options, .. } = cluster;
    if resource.resource_type == ResourceType::Broker {
        return options
            .schema
            .validate_broker(after, resource, image, options.node_id)
            .map_err(ApiError::invalid_request);
    }
    if resource.resource_type == ResourceType::Group {
        return validate_group(cluster, resource, after);
    }
    if resource.name.is_empty() {
        return Err(ApiError::invalid_request(
            "Default topic resources are not allowed.",
        ));
    }
    validate_topic_name(&resource.name)
        .map_err(|error| ApiError::new(ErrorCode::InvalidTopicException, error.to_string()))?;
    options
        .schema
        .validate_topic(after, image, options.node_id)
        .map_err(ApiError::invalid_config)?;
    // As in Kafka only now: a bad value counts more than a topic that is not there.
    if image.topic(&resource.name).is_none() {
        let text = format!("The topic '{}' does not exist.", resource.name);
        return Err(ApiError::new(ErrorCode::UnknownTopicOrPartition, text));
    }
    Ok(())
}

/// A group need not be there.
fn validate_group(
    cluster: &Cluster<'_>,
    resource: &ConfigResource,
    after: &Properties,
) -> Result<(), ApiError> {
    if resource.name.is_empty() {
        return Err(ApiError::invalid_request(
            "Default group resources are not allowed.",
        ));
    }
    let Cluster { image, options, .. } = cluster;
    let checked = options.schema.validate_group(after, image, options.node_id);
    checked.map_err(ApiError::invalid_config)
}

/// What a topic would be made with.
pub(super) fn validate_new_topic(
    cluster: &Cluster<'_>,
    name: &str,
    properties: &Properties,
) -> Result<(), ApiError> {
    if properties.is_empty() {
        return Ok(());
    }
    for value in properties.values() {
        check_length(Some(value))?;
    }
    debug_assert!(validate_topic_name(name).is_ok(), "checked before");
    let Cluster { image, options, .. } = cluster;
    options
        .schema
        .validate_topic(properties, image, options.node_id)
        .map_err(ApiError::invalid_config)
}

/// Under another minimum the old eligible replicas mean nothing (`createClearElrRecordsAsNeeded`).
fn clear_elr(cluster: &Cluster<'_>, records: &[MetadataRecord]) -> Vec<MetadataRecord> {
    if !cluster.image.eligible_leader_replicas_enabled() {
        return Vec::new();
    }
    let clear = |record: &MetadataRecord| match record {
        MetadataRecord::Config(config) if config.name == *MIN_INSYNC_REPLICAS => {
            let of_topic = config.resource_type == ResourceType::Topic.number();
            let topic_name = if of_topic {
                config.resource_name.clone()
            } else {
                Utf8Bytes::default()
            };
            Some(MetadataRecord::ClearElr(ClearElrRecord {
                topic_name,
                ..ClearElrRecord::default()
            }))
        }
        _ => None,
    };
    records.iter().filter_map(clear).collect()
}

/// The record that sets a key, or without a value deletes it.
pub(super) fn record(resource: &ConfigResource, name: &str, value: Option<&String>) -> ConfigRecord {
    ConfigRecord {
        resource_type: resource.resource_type.number(),
        resource_name: resource.name.clone(),
        name: name.into(),
        value: value.map(Utf8Bytes::from),
        ..ConfigRecord::default()
    }
}

/// The resources that a request names more than once.
fn repeated<'a>(resources: &[(i8, &'a Utf8Bytes)]) -> BTreeSet<(i8, &'a Utf8Bytes)> {
    let mut seen = BTreeSet::new();
    let again = resources.iter().filter(|resource| !seen.insert(**resource));
    again.copied().collect()
}
