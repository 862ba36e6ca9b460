//! IncrementalAlterConfigs (KIP-339; `ConfigAdminManager.preprocess` on the broker, then `ConfigurationControlManager`), and in
//! `legacy.rs` AlterConfigs, which it replaced.

mod legacy;

use std::collections::BTreeSet;

use forebay_config::Properties;
use forebay_protocol::internal_record::MetadataRecord;
use forebay_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use forebay_protocol::messages::incremental_alter_configs_response::{
    AlterConfigsResourceResponse, IncrementalAlterConfigsResponse,
};
use forebay_protocol::messages::{ClearElrRecord, ConfigRecord};
use forebay_protocol::{ErrorCode, NodeId, Utf8Bytes};

pub use legacy::AlterConfigs;

use super::create_topics::too_many_records;
use crate::controller::{Cluster, Command, Outcome, RECORDS_PER_REQUEST_MAX};
use crate::image::{ConfigResource, ResourceType};
use crate::topic_name::validate_topic_name;
use crate::{ApiError, Record};

/// The key that eligible leader replicas hang on.
pub(super) const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

/// The longest value of a key, in Java's characters.
const VALUE_LENGTH_MAX: usize = 32767;

/// Sets, deletes and amends keys of topics and brokers.
#[derive(Debug, Clone, Default)]
pub struct IncrementalAlterConfigs {
    /// The request, of any version.
    pub request: IncrementalAlterConfigsRequest,
}

impl Command for IncrementalAlterConfigs {
    type Response = IncrementalAlterConfigsResponse;

    fn decide(self, cluster: &Cluster<'_>) -> Outcome<IncrementalAlterConfigsResponse> {
        let request = self.request;
        let named = request
            .resources
            .iter()
            .map(|resource| (resource.resource_type, &resource.resource_name));
        let repeated = repeated(named);
        let mut records = Vec::new();
        let mut results = Vec::with_capacity(request.resources.len());
        for resource in &request.resources {
            let result = if repeated.contains(&(resource.resource_type, &resource.resource_name)) {
                Err(ApiError::invalid_request(
                    "Each resource must appear at most once.",
                ))
            } else {
                alter(cluster, resource)
            };
            match result {
                Ok(new) => {
                    records.extend(new.into_iter().map(|record| cluster.record(record)));
                    results.push(answer(resource, None));
                }
                Err(error) => results.push(answer(resource, Some(&error))),
            }
        }
        if records.len() > RECORDS_PER_REQUEST_MAX {
            records.clear();
            results = request
                .resources
                .iter()
                .map(|resource| answer(resource, Some(&too_many_records())))
                .collect();
        }
        let records: Vec<Record> = if request.validate_only {
            Vec::new()
        } else {
            records
        };
        Outcome::new(
            records,
            IncrementalAlterConfigsResponse {
                responses: results,
                ..IncrementalAlterConfigsResponse::default()
            },
        )
    }
}

/// What happens to one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Set,
    Delete,
    Append,
    Subtract,
}

impl Operation {
    fn of(number: i8) -> Result<Self, ApiError> {
        Ok(match number {
            0 => Self::Set,
            1 => Self::Delete,
            2 => Self::Append,
            3 => Self::Subtract,
            other => {
                return Err(ApiError::invalid_request(format!(
                    "Unknown operations type {other}"
                )));
            }
        })
    }
}

/// The records that one resource's changes come to: all of them or none.
fn alter(cluster: &Cluster<'_>, request: &AlterConfigsResource) -> Result<Vec<MetadataRecord>, ApiError> {
    check_keys(&request.configs)?;
    let resource = known_resource(cluster, request.resource_type, &request.resource_name)?;
    let nothing = Properties::new();
    let before = cluster.image.configs(&resource).unwrap_or(&nothing);
    let mut changes = Vec::with_capacity(request.configs.len());
    for config in &request.configs {
        let name = config.name.as_str();
        changes.push((name, new_value(cluster, &resource, config, before.get(name))?));
    }
    records_of(cluster, &resource, before, &changes)
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

/// What the broker looks at before it asks the controller.
fn check_keys(configs: &[AlterableConfig]) -> Result<(), ApiError> {
    let delete = Operation::Delete as i8;
    let without = configs
        .iter()
        .filter(|config| config.config_operation != delete && config.value.is_none());
    check_names(
        configs.iter().map(|config| &config.name),
        &without.map(|config| config.name.as_str()).collect::<Vec<_>>(),
    )
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
            check_node_name(&resource.name, cluster.options.node_id)?;
            Err(not_supported(resource_type))
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

fn new_value(
    cluster: &Cluster<'_>,
    resource: &ConfigResource,
    config: &AlterableConfig,
    current: Option<&String>,
) -> Result<Option<String>, ApiError> {
    let schema = &cluster.options.schema;
    let operation = Operation::of(config.config_operation)?;
    let given = config.value.as_ref().map_or("", |value| value.as_str());
    let list_operation = match operation {
        Operation::Set => return Ok(Some(given.to_owned())),
        Operation::Delete => return Ok(None),
        Operation::Append => "APPEND",
        Operation::Subtract => "SUBTRACT",
    };
    let name = config.name.as_str();
    if !schema.is_list(resource.resource_type, name) {
        let text = format!("Can't {list_operation} to key {name} because its type is not LIST.");
        return Err(ApiError::invalid_config(text));
    }
    let current = current
        .cloned()
        .or_else(|| schema.default_value(resource.resource_type, name))
        .unwrap_or_default();
    let mut items: Vec<&str> = current.split(',').filter(|item| !item.is_empty()).collect();
    for item in java_split(given) {
        if operation == Operation::Append {
            if !items.contains(&item) {
                items.push(item);
            }
        } else if let Some(index) = items.iter().position(|known| *known == item) {
            items.remove(index);
        }
    }
    Ok(Some(items.join(",")))
}

/// Java's `String.split(",")`: empty pieces at the end do not count.
fn java_split(text: &str) -> impl Iterator<Item = &str> {
    let trimmed = text.trim_end_matches(',');
    // An empty text is one empty piece; one of nothing but commas is none.
    trimmed
        .split(',')
        .take(if trimmed.is_empty() && !text.is_empty() {
            0
        } else {
            usize::MAX
        })
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
fn repeated<'a>(resources: impl Iterator<Item = (i8, &'a Utf8Bytes)>) -> BTreeSet<(i8, &'a Utf8Bytes)> {
    let mut seen = BTreeSet::new();
    resources.filter(|resource| !seen.insert(*resource)).collect()
}

fn answer(resource: &AlterConfigsResource, error: Option<&ApiError>) -> AlterConfigsResourceResponse {
    AlterConfigsResourceResponse {
        error_code: error.map_or(ErrorCode::None, |error| error.code) as i16,
        error_message: error.and_then(ApiError::text),
        resource_type: resource.resource_type,
        resource_name: resource.resource_name.clone(),
        ..AlterConfigsResourceResponse::default()
    }
}
