//! AlterClientQuotas (KIP-546; `ControllerApis.handleAlterClientQuotas`, `ClientQuotaControlManager`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use forebay_protocol::internal_record::MetadataRecord;
use forebay_protocol::messages::ClientQuotaRecord;
use forebay_protocol::messages::alter_client_quotas_request::{
    AlterClientQuotasRequest, EntityData as RequestEntity, EntryData as RequestEntry, OpData,
};
use forebay_protocol::messages::alter_client_quotas_response::{
    AlterClientQuotasResponse, EntityData, EntryData,
};
use forebay_protocol::messages::client_quota_record;
use forebay_protocol::{ErrorCode, Utf8Bytes};

use crate::controller::{Cluster, Command, Outcome, RECORDS_PER_REQUEST_MAX};
use crate::image::ClientQuotaEntity;
use crate::{ApiError, Record};

/// Sets and removes quotas of users, clients and addresses.
#[derive(Debug, Clone, Default)]
pub struct AlterClientQuotas {
    /// The request, of any version.
    pub request: AlterClientQuotasRequest,
}

impl Command for AlterClientQuotas {
    type Response = AlterClientQuotasResponse;

    fn decide(self, cluster: &Cluster<'_>) -> Outcome<AlterClientQuotasResponse> {
        // As in Kafka the later of two entries about one entity counts as a duplicate of it, and neither takes effect.
        let mut results: Vec<(ClientQuotaEntity, Option<ApiError>)> = Vec::new();
        let mut records = Vec::new();
        let repeated = repeated_entities(&self.request);
        let mut seen = BTreeSet::new();
        for entry in &self.request.entries {
            let entity = entity(&entry.entity);
            if !seen.insert(entity.clone()) {
                continue;
            }
            let outcome = if repeated.contains(&entity) || has_repeated_key(&entry.ops) {
                Err(ApiError::invalid_request(format!(
                    "Ignoring duplicate entity {entity}"
                )))
            } else {
                alter(cluster, &entity, entry)
            };
            match outcome {
                Ok(new) => {
                    records.extend(new);
                    results.push((entity, None));
                }
                Err(error) => results.push((entity, Some(error))),
            }
        }
        if records.len() > RECORDS_PER_REQUEST_MAX {
            records.clear();
            for (_, error) in &mut results {
                *error = Some(ApiError::too_many_records());
            }
        }
        if self.request.validate_only {
            records.clear();
        }
        let response = AlterClientQuotasResponse {
            entries: results.iter().map(answer).collect(),
            ..AlterClientQuotasResponse::default()
        };
        Outcome::new(records, response)
    }
}

fn entity(parts: &[RequestEntity]) -> ClientQuotaEntity {
    ClientQuotaEntity::new(parts.iter().map(|part| {
        (
            part.entity_type.detach(),
            part.entity_name.as_ref().map(|name| name.detach()),
        )
    }))
}

fn repeated_entities(request: &AlterClientQuotasRequest) -> BTreeSet<ClientQuotaEntity> {
    let mut seen = BTreeSet::new();
    request
        .entries
        .iter()
        .map(|entry| entity(&entry.entity))
        .filter(|entity| !seen.insert(entity.clone()))
        .collect()
}

fn has_repeated_key(ops: &[OpData]) -> bool {
    let mut keys = BTreeSet::new();
    !ops.iter().all(|op| keys.insert(&op.key))
}

/// The records that one entity's changes come to.
fn alter(
    cluster: &Cluster<'_>,
    entity: &ClientQuotaEntity,
    entry: &RequestEntry,
) -> Result<Vec<Record>, ApiError> {
    let keys = keys_of(entity)?;
    let nothing = BTreeMap::new();
    let current = cluster.image.client_quotas.get(entity).unwrap_or(&nothing);
    let mut records = Vec::new();
    for op in &entry.ops {
        let before = current.get(op.key.as_str());
        if op.remove {
            if before.is_some() {
                records.push(record(cluster, entity, &op.key, None));
            }
            continue;
        }
        check_value(keys, &op.key, op.value)?;
        if before != Some(&op.value) {
            records.push(record(cluster, entity, &op.key, Some(op.value)));
        }
    }
    Ok(records)
}

/// The values that a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Double,
    Int,
    Long,
}

const TYPES: [&str; 3] = [
    ClientQuotaEntity::USER,
    ClientQuotaEntity::CLIENT_ID,
    ClientQuotaEntity::IP,
];

type Keys = &'static [(&'static str, Kind)];

const USER_AND_CLIENT_KEYS: Keys = &[
    ("consumer_byte_rate", Kind::Long),
    ("controller_mutation_rate", Kind::Double),
    ("producer_byte_rate", Kind::Long),
    ("request_percentage", Kind::Double),
];
const IP_KEYS: Keys = &[("connection_creation_rate", Kind::Int)];

/// The keys that the combination of types may have.
fn keys_of(entity: &ClientQuotaEntity) -> Result<Keys, ApiError> {
    if entity.part_count() == 0 {
        return Err(ApiError::invalid_request("Invalid empty client quota entity"));
    }
    for (entity_type, name) in entity.parts() {
        if !TYPES.contains(&entity_type.as_str()) {
            return Err(ApiError::invalid_request(format!(
                "Unhandled client quota entity type: {entity_type}"
            )));
        }
        if name.is_some_and(|name| name.is_empty()) {
            return Err(ApiError::invalid_request(format!(
                "Empty {entity_type} not supported"
            )));
        }
    }
    match entity.name(ClientQuotaEntity::IP) {
        None => Ok(USER_AND_CLIENT_KEYS),
        Some(_) if entity.part_count() > 1 => Err(ApiError::invalid_request(
            "Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId",
        )),
        Some(Some(name)) if !is_address(name) => Err(ApiError::invalid_request(format!(
            "{name} is not a valid IP or resolvable host."
        ))),
        Some(_) => Ok(IP_KEYS),
    }
}

/// Kafka also resolves host names, and stores them unresolved, so that they never match a client: they are refused here, but
/// for the one that every machine knows.
fn is_address(name: &str) -> bool {
    name == "localhost" || name.parse::<IpAddr>().is_ok()
}

fn check_value(keys: Keys, key: &str, value: f64) -> Result<(), ApiError> {
    let Some((_, kind)) = keys.iter().find(|(known, _)| *known == key) else {
        return Err(ApiError::invalid_request(format!(
            "Invalid configuration key {key}"
        )));
    };
    if value.is_nan() || value <= 0.0 {
        return Err(ApiError::invalid_request(format!(
            "Quota {key} must be greater than 0"
        )));
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "Kafka compares with the nearest double too"
    )]
    let (max, name) = match kind {
        Kind::Double => return Ok(()),
        Kind::Int => (f64::from(i32::MAX), "an INT"),
        Kind::Long => (i64::MAX as f64, "a LONG"),
    };
    if value > max {
        return Err(ApiError::invalid_request(format!(
            "Proposed value for {key} is too large for {name}."
        )));
    }
    if value % 1.0 > 1e-6 {
        return Err(ApiError::invalid_request(format!(
            "{key} cannot be a fractional value."
        )));
    }
    Ok(())
}

fn record(cluster: &Cluster<'_>, entity: &ClientQuotaEntity, key: &Utf8Bytes, value: Option<f64>) -> Record {
    let parts = entity
        .parts()
        .map(|(entity_type, name)| client_quota_record::EntityData {
            entity_type: entity_type.clone(),
            entity_name: name.cloned(),
            ..Default::default()
        });
    cluster.record(MetadataRecord::ClientQuota(ClientQuotaRecord {
        entity: parts.collect(),
        key: key.clone(),
        value: value.unwrap_or(0.0),
        remove: value.is_none(),
        ..ClientQuotaRecord::default()
    }))
}

fn answer((entity, error): &(ClientQuotaEntity, Option<ApiError>)) -> EntryData {
    let mut parts: Vec<EntityData> = entity
        .parts()
        .map(|(entity_type, name)| EntityData {
            entity_type: entity_type.clone(),
            entity_name: name.cloned(),
            ..EntityData::default()
        })
        .collect();
    // Addresses last, as Kafka answers.
    parts.sort_by_key(|part| *part.entity_type == *ClientQuotaEntity::IP);
    EntryData {
        error_code: error.as_ref().map_or(ErrorCode::None, |error| error.code) as i16,
        error_message: error.as_ref().and_then(ApiError::text),
        entity: parts,
        ..EntryData::default()
    }
}
