//! AlterConfigs, deprecated since KIP-339: what a request does not name is taken away
//! (`ConfigurationControlManager.legacyAlterConfigs`).

use forebay_config::Properties;
use forebay_protocol::ErrorCode;
use forebay_protocol::internal_record::MetadataRecord;
use forebay_protocol::messages::alter_configs_request::{AlterConfigsRequest, AlterConfigsResource};
use forebay_protocol::messages::alter_configs_response::{
    AlterConfigsResourceResponse, AlterConfigsResponse,
};

use super::super::create_topics::too_many_records;
use super::{check_names, known_resource, records_of, repeated};
use crate::ApiError;
use crate::controller::{Cluster, Command, Outcome, RECORDS_PER_REQUEST_MAX};
use crate::image::ResourceType;

/// Replaces all that is set on topics and brokers.
#[derive(Debug, Clone, Default)]
pub struct AlterConfigs {
    /// The request, of any version.
    pub request: AlterConfigsRequest,
}

impl Command for AlterConfigs {
    type Response = AlterConfigsResponse;

    fn decide(self, cluster: &Cluster<'_>) -> Outcome<AlterConfigsResponse> {
        let resources = &self.request.resources;
        let repeated = repeated(
            resources
                .iter()
                .map(|resource| (resource.resource_type, &resource.resource_name)),
        );
        let mut records = Vec::new();
        let mut responses = Vec::with_capacity(resources.len());
        for resource in resources {
            // Kafka never answers such a request.
            let outcome = if repeated.contains(&(resource.resource_type, &resource.resource_name)) {
                Err(ApiError::invalid_request(
                    "Each resource must appear at most once.",
                ))
            } else {
                replace(cluster, resource)
            };
            match outcome {
                Ok(new) => {
                    records.extend(new.into_iter().map(|record| cluster.record(record)));
                    responses.push(answer(resource, None));
                }
                Err(error) => responses.push(answer(resource, Some(&error))),
            }
        }
        if records.len() > RECORDS_PER_REQUEST_MAX {
            records.clear();
            responses = resources
                .iter()
                .map(|resource| answer(resource, Some(&too_many_records())))
                .collect();
        }
        if self.request.validate_only {
            records.clear();
        }
        Outcome::new(
            records,
            AlterConfigsResponse {
                responses,
                ..AlterConfigsResponse::default()
            },
        )
    }
}

fn replace(cluster: &Cluster<'_>, request: &AlterConfigsResource) -> Result<Vec<MetadataRecord>, ApiError> {
    let configs = &request.configs;
    let without = configs.iter().filter(|config| config.value.is_none());
    check_names(
        configs.iter().map(|config| &config.name),
        &without.map(|config| config.name.as_str()).collect::<Vec<_>>(),
    )?;
    if ResourceType::of(request.resource_type) == Some(ResourceType::BrokerLogger) {
        return Err(ApiError::invalid_request(format!(
            "Unknown resource type {}",
            request.resource_type
        )));
    }
    let resource = known_resource(cluster, request.resource_type, &request.resource_name)?;
    let nothing = Properties::new();
    let before = cluster.image.configs(&resource).unwrap_or(&nothing);
    let named = configs.iter().map(|config| {
        (
            config.name.as_str(),
            config.value.as_ref().map(ToString::to_string),
        )
    });
    let is_named = |name: &str| configs.iter().any(|config| *config.name == *name);
    let gone = before.keys().filter(|name| !is_named(name));
    let changes: Vec<_> = named.chain(gone.map(|name| (name.as_str(), None))).collect();
    records_of(cluster, &resource, before, &changes)
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
