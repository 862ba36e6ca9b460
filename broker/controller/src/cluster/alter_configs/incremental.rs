//! IncrementalAlterConfigs: sets, deletes and amends keys, and leaves the others.

use std::collections::BTreeSet;

use forebay_config::Properties;
use forebay_protocol::internal_record::MetadataRecord;
use forebay_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use forebay_protocol::messages::incremental_alter_configs_response::{
    AlterConfigsResourceResponse, IncrementalAlterConfigsResponse,
};
use forebay_protocol::{ErrorCode, Utf8Bytes};

use super::{Resource, Verdict, alter_all, check_names, known_resource, loggers, records_of};
use crate::ApiError;
use crate::controller::{Cluster, Command, Outcome};
use crate::image::{ConfigResource, ResourceType};

/// Sets, deletes and amends keys of topics, brokers and groups, and judges changes of log levels.
#[derive(Debug, Clone, Default)]
pub struct IncrementalAlterConfigs {
    /// The request, of any version.
    pub request: IncrementalAlterConfigsRequest,
    /// The loggers of this node, by name; `None` if their levels cannot be changed. No records come of them: who has asked changes
    /// those that are answered without an error, if the request is not only to be validated.
    pub loggers: Option<BTreeSet<String>>,
}

impl IncrementalAlterConfigs {
    /// The answer to a request that fails as a whole.
    pub fn refused(resources: &[AlterConfigsResource], error: &ApiError) -> IncrementalAlterConfigsResponse {
        response(resources, &vec![Err(error.clone()); resources.len()])
    }
}

impl Command for IncrementalAlterConfigs {
    type Response = IncrementalAlterConfigsResponse;

    fn decide(self, cluster: &Cluster<'_>) -> Outcome<IncrementalAlterConfigsResponse> {
        let resources = &self.request.resources;
        let validate_only = self.request.validate_only;
        let (records, verdicts) = alter_all(cluster, resources, validate_only, |cluster, resource| {
            alter(cluster, resource, self.loggers.as_ref())
        });
        Outcome::new(records, response(resources, &verdicts))
    }
}

impl Resource for AlterConfigsResource {
    fn named(&self) -> (i8, &Utf8Bytes) {
        (self.resource_type, &self.resource_name)
    }
}

/// What happens to one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Set,
    Delete,
    Append,
    Subtract,
}

impl Operation {
    pub(super) fn of(number: i8) -> Result<Self, ApiError> {
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
fn alter(
    cluster: &Cluster<'_>,
    request: &AlterConfigsResource,
    loggers: Option<&BTreeSet<String>>,
) -> Result<Vec<MetadataRecord>, ApiError> {
    check_keys(&request.configs)?;
    let resource = known_resource(cluster, request.resource_type, &request.resource_name)?;
    if resource.resource_type == ResourceType::BrokerLogger {
        return loggers::check(loggers, &request.configs).map(|()| Vec::new());
    }
    let nothing = Properties::new();
    let before = cluster.image.configs(&resource).unwrap_or(&nothing);
    let mut changes = Vec::with_capacity(request.configs.len());
    for config in &request.configs {
        let name = config.name.as_str();
        changes.push((name, new_value(cluster, &resource, config, before.get(name))?));
    }
    records_of(cluster, &resource, before, &changes)
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

fn response(resources: &[AlterConfigsResource], verdicts: &[Verdict]) -> IncrementalAlterConfigsResponse {
    let answers = resources.iter().zip(verdicts).map(|(resource, verdict)| {
        let error = verdict.as_ref().err();
        AlterConfigsResourceResponse {
            error_code: error.map_or(ErrorCode::None, |error| error.code).into(),
            error_message: error.and_then(ApiError::text),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
            ..AlterConfigsResourceResponse::default()
        }
    });
    IncrementalAlterConfigsResponse {
        responses: answers.collect(),
        ..IncrementalAlterConfigsResponse::default()
    }
}
