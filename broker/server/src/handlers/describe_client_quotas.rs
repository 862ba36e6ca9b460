//! DescribeClientQuotas: the quotas that match a filter (KIP-546; `ClientQuotasImage.describe`).

use std::collections::BTreeMap;

use forebay_broker_controller::{ClientQuotaEntity, ClientQuotas};
use forebay_protocol::messages::describe_client_quotas_response::{EntityData, EntryData, ValueData};
use forebay_protocol::messages::{DescribeClientQuotasRequest, DescribeClientQuotasResponse};
use forebay_protocol::{ErrorCode, Utf8Bytes};

use crate::call::Call;

/// What is asked of one entity type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Match<'a> {
    /// This name, or the default.
    Exact(Option<&'a Utf8Bytes>),
    /// Any name, and the default.
    Specified,
}

type Refusal = (ErrorCode, String);

/// Answers a DescribeClientQuotas request.
pub(crate) fn handle(call: &Call, request: &DescribeClientQuotasRequest) -> DescribeClientQuotasResponse {
    match filter(request) {
        Ok(filter) => {
            let image = call.core.metadata.image();
            let matching = image
                .client_quotas()
                .iter()
                .filter(|(entity, _)| matches(entity, &filter, request.strict));
            DescribeClientQuotasResponse {
                // On success Kafka says "" where it could say null.
                error_message: Some("".into()),
                entries: Some(matching.map(entry).collect()),
                ..DescribeClientQuotasResponse::default()
            }
        }
        Err((code, message)) => DescribeClientQuotasResponse {
            error_code: code.into(),
            error_message: Some(message.into()),
            entries: None,
            ..DescribeClientQuotasResponse::default()
        },
    }
}

fn filter(request: &DescribeClientQuotasRequest) -> Result<BTreeMap<&str, Match<'_>>, Refusal> {
    let invalid = |text: String| Err((ErrorCode::InvalidRequest, text));
    let types = [
        ClientQuotaEntity::USER,
        ClientQuotaEntity::CLIENT_ID,
        ClientQuotaEntity::IP,
    ];
    let mut filter = BTreeMap::new();
    for component in &request.components {
        let entity_type = component.entity_type.as_str();
        if entity_type.is_empty() {
            return invalid("Invalid empty entity type.".to_owned());
        }
        if filter.contains_key(entity_type) {
            return invalid(format!(
                "Entity type {entity_type} cannot appear more than once in the filter."
            ));
        }
        if !types.contains(&entity_type) {
            let text = format!("Unsupported entity type {entity_type}");
            return Err((ErrorCode::UnsupportedVersion, text));
        }
        let wanted = match (component.match_type, &component.r#match) {
            (0, Some(name)) => Match::Exact(Some(name)),
            (0, None) => {
                return invalid(
                    "Request specified MATCH_TYPE_EXACT, but set match string to null.".to_owned(),
                );
            }
            (1, None) => Match::Exact(None),
            (2, None) => Match::Specified,
            (1 | 2, Some(_)) => {
                let kind = if component.match_type == 1 {
                    "DEFAULT"
                } else {
                    "SPECIFIED"
                };
                return invalid(format!(
                    "Request specified MATCH_TYPE_{kind}, but also specified a match string."
                ));
            }
            (other, _) => return invalid(format!("Unknown match type {other}")),
        };
        filter.insert(entity_type, wanted);
    }
    if filter.contains_key(ClientQuotaEntity::IP) && filter.len() > 1 {
        return invalid(
            "Invalid entity filter component combination. IP filter component should not be used with user or \
             clientId filter component."
                .to_owned(),
        );
    }
    Ok(filter)
}

fn matches(entity: &ClientQuotaEntity, filter: &BTreeMap<&str, Match<'_>>, strict: bool) -> bool {
    if strict && entity.part_count() != filter.len() {
        return false;
    }
    filter.iter().all(|(entity_type, wanted)| match wanted {
        Match::Exact(name) => entity.name(entity_type) == Some(*name),
        Match::Specified => entity.name(entity_type).is_some(),
    })
}

fn entry((entity, quotas): (&ClientQuotaEntity, &ClientQuotas)) -> EntryData {
    EntryData {
        entity: entity
            .parts()
            .map(|(entity_type, name)| EntityData {
                entity_type: entity_type.clone(),
                entity_name: name.cloned(),
                ..EntityData::default()
            })
            .collect(),
        values: quotas
            .iter()
            .map(|(key, value)| ValueData {
                key: key.clone(),
                value: *value,
                ..ValueData::default()
            })
            .collect(),
        ..EntryData::default()
    }
}
