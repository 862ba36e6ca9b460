//! AlterConfigs, deprecated since KIP-339: what a request does not name is taken away
//! (`ConfigurationControlManager.legacyAlterConfigs`).

use forebay_config::Properties;
use forebay_protocol::internal_record::MetadataRecord;
use forebay_protocol::messages::alter_configs_request::{AlterConfigsRequest, AlterConfigsResource};
use forebay_protocol::messages::alter_configs_response::{
    AlterConfigsResourceResponse, AlterConfigsResponse,
};
use forebay_protocol::{ErrorCode, Utf8Bytes};

use super::{Resource, Verdict, alter_all, check_names, known_resource, records_of};
use crate::ApiError;
use crate::controller::{Cluster, Command, Outcome};
use crate::image::ResourceType;

/// Replaces all that is set on topics and brokers.
#[derive(Debug, Clone, Default)]
pub struct AlterConfigs {
    /// The request, of any version.
    pub request: AlterConfigsRequest,
}

impl AlterConfigs {
    /// The answer to a request that fails as a whole.
    pub fn refused(resources: &[AlterConfigsResource], error: &ApiError) -> AlterConfigsResponse {
        response(resources, &vec![Err(error.clone()); resources.len()])
    }
}

impl Command for AlterConfigs {
    type Response = AlterConfigsResponse;

    fn decide(self, cluster: &Cluster<'_>) -> Outcome<AlterConfigsResponse> {
        let resources = &self.request.resources;
        let validate_only = self.request.validate_only;
        let (records, verdicts) = alter_all(cluster, resources, validate_only, |cluster, resource| {
            replace(cluster, resource)
        });
        Outcome::new(records, response(resources, &verdicts))
    }
}

impl Resource for AlterConfigsResource {
    fn named(&self) -> (i8, &Utf8Bytes) {
        (self.resource_type, &self.resource_name)
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

fn response(resources: &[AlterConfigsResource], verdicts: &[Verdict]) -> AlterConfigsResponse {
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
    AlterConfigsResponse {
        responses: answers.collect(),
        ..AlterConfigsResponse::default()
    }
}
