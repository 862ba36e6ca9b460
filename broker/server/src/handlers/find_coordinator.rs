//! FindCoordinator: which broker keeps a group or a transactional id (`KafkaApis.getCoordinator`).

use std::sync::Arc;

use forebay_broker_controller::{
    AutoCreateTopics, CONSUMER_OFFSETS, Endpoint, MetadataImage, TRANSACTION_STATE,
};
use forebay_protocol::messages::find_coordinator_response::Coordinator;
use forebay_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};
use forebay_protocol::{ErrorCode, NodeId, Utf8Bytes};

use crate::call::Call;
use crate::listener_view::View;

/// Kafka's numbers of what is coordinated (`CoordinatorType`).
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

/// No node, as `Node.noNode` is written.
const NO_NODE: i32 = -1;
const NO_PORT: i32 = -1;

struct Refusal {
    code: ErrorCode,
    message: Option<&'static str>,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None }
    }
}

/// Answers a FindCoordinator request.
pub(crate) async fn handle(call: &Call, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    if call.version < 4 {
        let found = find(call, request.key_type, &request.key).await;
        return single(found);
    }
    let mut coordinators = Vec::with_capacity(request.coordinator_keys.len());
    for key in request.coordinator_keys {
        let found = find(call, request.key_type, &key).await;
        coordinators.push(listed(key, found));
    }
    FindCoordinatorResponse {
        coordinators,
        ..FindCoordinatorResponse::default()
    }
}

async fn find(call: &Call, key_type: i8, key: &Utf8Bytes) -> Result<(NodeId, Endpoint), Refusal> {
    let topic = match key_type {
        GROUP => CONSUMER_OFFSETS,
        TRANSACTION => TRANSACTION_STATE,
        _ => {
            let message = Some(ErrorCode::InvalidRequest.message());
            return Err(Refusal {
                code: ErrorCode::InvalidRequest,
                message,
            });
        }
    };
    let image = with_topic(call, topic).await?;
    let count = image.topic(topic).map_or(0, |topic| topic.partition_count());
    let partition = forebay_broker_coordinator::partition_for(key, i32::try_from(count).unwrap_or(i32::MAX));
    let view = View::new(call, &image);
    let leader = image
        .partition(topic, partition)
        .and_then(|partition| view.leader(partition));
    let endpoint = leader.and_then(|id| image.broker(id)?.endpoint(&call.context.listener));
    match (leader, endpoint) {
        (Some(id), Some(endpoint)) => Ok((id, endpoint.clone())),
        _ => Err(ErrorCode::CoordinatorNotAvailable.into()),
    }
}

/// An image in which the topic of the coordinators exists; it is created when somebody asks for the first of them.
async fn with_topic(call: &Call, topic: &'static str) -> Result<Arc<MetadataImage>, ErrorCode> {
    let image = call.core.metadata.image();
    if image.topic(topic).is_some() {
        return Ok(image);
    }
    let names = vec![Utf8Bytes::from_static(topic)];
    let created = call.core.metadata.submit(AutoCreateTopics { names }).await;
    let response = created.map_err(|_failed| ErrorCode::CoordinatorNotAvailable)?;
    for created in &response.topics {
        let code = ErrorCode::from_i16(created.error_code);
        if !matches!(code, ErrorCode::None | ErrorCode::TopicAlreadyExists) {
            tracing::error!(%code, reason = created.error_message.as_deref(), "cannot create {topic}");
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
    }
    Ok(call.core.metadata.image())
}

fn single(found: Result<(NodeId, Endpoint), Refusal>) -> FindCoordinatorResponse {
    match found {
        Ok((id, endpoint)) => FindCoordinatorResponse {
            error_message: Some(Utf8Bytes::from_static("NONE")),
            node_id: id.0,
            host: endpoint.host,
            port: endpoint.port.into(),
            ..FindCoordinatorResponse::default()
        },
        Err(Refusal { code, message }) => FindCoordinatorResponse {
            error_code: code.into(),
            error_message: Some(message.unwrap_or(code.message()).into()),
            node_id: NO_NODE,
            port: NO_PORT,
            ..FindCoordinatorResponse::default()
        },
    }
}

fn listed(key: Utf8Bytes, found: Result<(NodeId, Endpoint), Refusal>) -> Coordinator {
    match found {
        Ok((id, endpoint)) => Coordinator {
            key,
            node_id: id.0,
            host: endpoint.host,
            port: endpoint.port.into(),
            ..Coordinator::default()
        },
        Err(Refusal { code, message }) => Coordinator {
            key,
            node_id: NO_NODE,
            port: NO_PORT,
            error_code: code.into(),
            error_message: message.map(Into::into),
            ..Coordinator::default()
        },
    }
}
