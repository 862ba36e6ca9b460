//! ListConfigResources: what has, or could have, a configuration (KIP-1142; in version 0 clients' metrics only, KIP-1000).

use std::collections::BTreeSet;

use forebay_broker_controller::ResourceType;
use forebay_protocol::messages::list_config_resources_response::ConfigResource;
use forebay_protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};
use forebay_protocol::{ErrorCode, Utf8Bytes};

use crate::call::Call;

/// All kinds, in the order in which Kafka answers.
const TYPES: [ResourceType; 5] = [
    ResourceType::Group,
    ResourceType::ClientMetrics,
    ResourceType::BrokerLogger,
    ResourceType::Broker,
    ResourceType::Topic,
];

/// Answers a ListConfigResources request.
pub(crate) fn handle(call: &Call, request: &ListConfigResourcesRequest) -> ListConfigResourcesResponse {
    let wanted: BTreeSet<i8> = match request.resource_types.as_slice() {
        _ if call.version == 0 => [ResourceType::ClientMetrics.number()].into(),
        [] => TYPES.iter().map(|kind| kind.number()).collect(),
        some => some.iter().copied().collect(),
    };
    if wanted.iter().any(|number| ResourceType::of(*number).is_none()) {
        return ListConfigResourcesResponse {
            error_code: ErrorCode::UnsupportedVersion.into(),
            ..ListConfigResourcesResponse::default()
        };
    }
    let image = call.core.metadata.image();
    let names = |kind: ResourceType| -> Vec<Utf8Bytes> {
        match kind {
            ResourceType::Topic => image.topics().map(|topic| topic.name().clone()).collect(),
            ResourceType::Broker | ResourceType::BrokerLogger => image
                .alive_brokers()
                .map(|broker| broker.id.to_string().into())
                .collect(),
            ResourceType::ClientMetrics | ResourceType::Group => image
                .config_resources()
                .filter(|(resource, _)| resource.resource_type == kind)
                .map(|(resource, _)| resource.name.clone())
                .collect(),
        }
    };
    let resources = TYPES
        .into_iter()
        .filter(|kind| wanted.contains(&kind.number()))
        .flat_map(|kind| names(kind).into_iter().map(move |name| (kind, name)));
    ListConfigResourcesResponse {
        config_resources: resources
            .map(|(kind, resource_name)| ConfigResource {
                resource_name,
                resource_type: kind.number(),
                ..ConfigResource::default()
            })
            .collect(),
        ..ListConfigResourcesResponse::default()
    }
}
