//! AlterClientQuotas: decided by the controller; `quotas` acts on it once it is published.

use forebay_broker_controller::AlterClientQuotas;
use forebay_protocol::messages::alter_client_quotas_response::{EntityData, EntryData};
use forebay_protocol::messages::{AlterClientQuotasRequest, AlterClientQuotasResponse};

use crate::call::Call;

/// Answers an AlterClientQuotas request.
pub(crate) async fn handle(call: &Call, request: AlterClientQuotasRequest) -> AlterClientQuotasResponse {
    let asked: Vec<_> = request.entries.iter().map(|entry| entry.entity.clone()).collect();
    match call.core.metadata.submit(AlterClientQuotas { request }).await {
        Ok(response) => response,
        Err(error) => {
            let failed = |entity: Vec<_>| EntryData {
                error_code: error.error_code().into(),
                error_message: Some(error.to_string().into()),
                entity: entity.into_iter().map(same).collect(),
                ..EntryData::default()
            };
            AlterClientQuotasResponse {
                entries: asked.into_iter().map(failed).collect(),
                ..AlterClientQuotasResponse::default()
            }
        }
    }
}

fn same(part: forebay_protocol::messages::alter_client_quotas_request::EntityData) -> EntityData {
    EntityData {
        entity_type: part.entity_type,
        entity_name: part.entity_name,
        ..EntityData::default()
    }
}
