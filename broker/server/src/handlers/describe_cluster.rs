//! DescribeCluster: the brokers and who they are (KIP-700, KIP-919; `AuthHelper.computeDescribeClusterResponse`).

use forebay_protocol::ErrorCode;
use forebay_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use forebay_protocol::messages::{DescribeClusterRequest, DescribeClusterResponse};

use crate::authorized_operations;
use crate::call::Call;

/// Kafka's number of the endpoints that clients use.
const BROKERS: i8 = 1;
/// Kafka's number of the endpoints that controllers use among themselves.
const CONTROLLERS: i8 = 2;

/// Answers a DescribeCluster request.
pub(crate) fn handle(call: &Call, request: &DescribeClusterRequest) -> DescribeClusterResponse {
    match request.endpoint_type {
        BROKERS => {}
        CONTROLLERS => {
            return refuse(
                ErrorCode::MismatchedEndpointType,
                "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER".to_owned(),
            );
        }
        other => {
            return refuse(
                ErrorCode::UnsupportedEndpointType,
                format!("Unsupported endpoint type {other}"),
            );
        }
    }
    let image = call.core.metadata.image();
    let brokers = image
        .brokers()
        .filter(|broker| request.include_fenced_brokers || !broker.fenced);
    let brokers = brokers.filter_map(|broker| {
        let endpoint = broker.endpoint(&call.context.listener)?;
        Some(DescribeClusterBroker {
            broker_id: broker.id.0,
            host: endpoint.host.clone(),
            port: endpoint.port.into(),
            rack: broker.rack.clone(),
            is_fenced: broker.fenced,
            ..DescribeClusterBroker::default()
        })
    });
    DescribeClusterResponse {
        endpoint_type: BROKERS,
        cluster_id: call.core.cluster_id.clone(),
        controller_id: call.core.config.node_id.0,
        brokers: brokers.collect(),
        cluster_authorized_operations: if request.include_cluster_authorized_operations {
            authorized_operations::CLUSTER
        } else {
            authorized_operations::UNKNOWN
        },
        ..DescribeClusterResponse::default()
    }
}

fn refuse(code: ErrorCode, message: String) -> DescribeClusterResponse {
    DescribeClusterResponse {
        error_code: code.into(),
        error_message: Some(message.into()),
        ..DescribeClusterResponse::default()
    }
}
