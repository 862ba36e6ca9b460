//! UnregisterBroker: the cluster forgets a broker that will not come back (KIP-1051). Kafka takes its own id too and then serves
//! nobody any more; this node refuses that.

use forebay_broker_controller::UnregisterBroker;
use forebay_protocol::messages::{UnregisterBrokerRequest, UnregisterBrokerResponse};
use forebay_protocol::{ErrorCode, NodeId};

use crate::call::Call;

/// Answers an UnregisterBroker request.
pub(crate) async fn handle(call: &Call, request: UnregisterBrokerRequest) -> UnregisterBrokerResponse {
    let broker_id = NodeId(request.broker_id);
    if broker_id == call.core.config.node_id {
        let text = format!(
            "Broker ID {broker_id} is this broker, which serves: only one that is down can be unregistered"
        );
        return refuse(ErrorCode::InvalidRequest, Some(text));
    }
    match call.core.metadata.submit(UnregisterBroker { broker_id }).await {
        Ok(Ok(())) => UnregisterBrokerResponse::default(),
        Ok(Err(error)) => refuse(error.code, error.message),
        Err(error) => refuse(error.error_code(), Some(error.to_string())),
    }
}

fn refuse(code: ErrorCode, message: Option<String>) -> UnregisterBrokerResponse {
    UnregisterBrokerResponse {
        error_code: code.into(),
        error_message: message.map(Into::into),
        ..UnregisterBrokerResponse::default()
    }
}
