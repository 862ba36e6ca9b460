//! AlterUserScramCredentials (KIP-554; `ScramControlManager`): what is kept of a password is made of the salted one that the client
//! sends, so that nobody who reads the log can log in with it.

use std::collections::BTreeMap;

use bytes::Bytes;
use forebay_protocol::internal_record::MetadataRecord;
use forebay_protocol::messages::alter_user_scram_credentials_request::{
    AlterUserScramCredentialsRequest, ScramCredentialDeletion, ScramCredentialUpsertion,
};
use forebay_protocol::messages::alter_user_scram_credentials_response::{
    AlterUserScramCredentialsResponse, AlterUserScramCredentialsResult,
};
use forebay_protocol::messages::{RemoveUserScramCredentialRecord, UserScramCredentialRecord};
use forebay_protocol::{ErrorCode, Utf8Bytes};

use crate::ApiError;
use crate::controller::{Cluster, Command, Outcome, RECORDS_PER_REQUEST_MAX};
use crate::image::ScramMechanism;

/// The most iterations that anybody may be made to hash.
const ITERATIONS_MAX: i32 = 16_384;

/// Sets and deletes what users log in with.
#[derive(Debug, Clone, Default)]
pub struct AlterUserScramCredentials {
    /// The request, of any version.
    pub request: AlterUserScramCredentialsRequest,
}

/// What is to become of one user; one credential at most changes.
enum Change<'a> {
    Delete(&'a ScramCredentialDeletion),
    Set(&'a ScramCredentialUpsertion, ScramMechanism),
}

type Changes<'a> = BTreeMap<&'a Utf8Bytes, Result<Change<'a>, ApiError>>;

impl Command for AlterUserScramCredentials {
    type Response = AlterUserScramCredentialsResponse;

    fn decide(self, cluster: &Cluster<'_>) -> Outcome<AlterUserScramCredentialsResponse> {
        let mut changes = Changes::new();
        for deletion in &self.request.deletions {
            let checked = || check_deletion(cluster, deletion).map(|()| Change::Delete(deletion));
            add(&mut changes, cluster, &deletion.name, checked);
        }
        for upsertion in &self.request.upsertions {
            let checked = || check_upsertion(upsertion).map(|mechanism| Change::Set(upsertion, mechanism));
            add(&mut changes, cluster, &upsertion.name, checked);
        }
        if changes.values().filter(|change| change.is_ok()).count() > RECORDS_PER_REQUEST_MAX {
            for change in changes.values_mut() {
                *change = Err(ApiError::too_many_records());
            }
        }
        let records = changes.values().filter_map(|change| change.as_ref().ok());
        let records = records.map(|change| cluster.record(record(change))).collect();
        let response = AlterUserScramCredentialsResponse {
            results: results(&changes),
            ..AlterUserScramCredentialsResponse::default()
        };
        Outcome::new(records, response)
    }
}

/// The first error of a user stays; of what is named twice, nothing is done.
fn add<'a>(
    changes: &mut Changes<'a>,
    cluster: &Cluster<'_>,
    user: &'a Utf8Bytes,
    checked: impl FnOnce() -> Result<Change<'a>, ApiError>,
) {
    let next = match changes.get(user) {
        Some(Err(_)) => return,
        Some(Ok(_)) => Err(ApiError::new(
            ErrorCode::DuplicateResource,
            "A user credential cannot be altered twice in the same request",
        )),
        None if !cluster.image.metadata_version().has_scram() => Err(ApiError::new(
            ErrorCode::UnsupportedVersion,
            "The current metadata.version does not support SCRAM",
        )),
        None => checked(),
    };
    changes.insert(user, next);
}

fn check_deletion(cluster: &Cluster<'_>, deletion: &ScramCredentialDeletion) -> Result<(), ApiError> {
    let mechanism = check_user(&deletion.name, deletion.mechanism)?;
    let key = (deletion.name.clone(), mechanism);
    if cluster.image.scram_credentials.contains_key(&key) {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::ResourceNotFound,
        "Attempt to delete a user credential that does not exist",
    ))
}

fn check_upsertion(upsertion: &ScramCredentialUpsertion) -> Result<ScramMechanism, ApiError> {
    let mechanism = check_user(&upsertion.name, upsertion.mechanism)?;
    let unacceptable = |message| Err(ApiError::new(ErrorCode::UnacceptableCredential, message));
    if upsertion.iterations < mechanism.iterations_min() {
        return unacceptable("Too few iterations");
    }
    if upsertion.iterations > ITERATIONS_MAX {
        return unacceptable("Too many iterations");
    }
    // Kafka stumbles over it: its MAC takes no empty key.
    if upsertion.salted_password.is_empty() {
        return unacceptable("Salted password must not be empty");
    }
    Ok(mechanism)
}

fn check_user(name: &str, mechanism: i8) -> Result<ScramMechanism, ApiError> {
    if name.is_empty() {
        let message = "Username must not be empty";
        return Err(ApiError::new(ErrorCode::UnacceptableCredential, message));
    }
    ScramMechanism::of(mechanism)
        .ok_or_else(|| ApiError::new(ErrorCode::UnsupportedSaslMechanism, "Unknown SCRAM mechanism"))
}

fn record(change: &Change<'_>) -> MetadataRecord {
    match change {
        Change::Delete(deletion) => {
            MetadataRecord::RemoveUserScramCredential(RemoveUserScramCredentialRecord {
                name: deletion.name.clone(),
                mechanism: deletion.mechanism,
                ..RemoveUserScramCredentialRecord::default()
            })
        }
        Change::Set(upsertion, mechanism) => {
            let (stored_key, server_key) = mechanism.keys(&upsertion.salted_password);
            MetadataRecord::UserScramCredential(UserScramCredentialRecord {
                name: upsertion.name.clone(),
                mechanism: upsertion.mechanism,
                salt: Bytes::copy_from_slice(&upsertion.salt),
                stored_key,
                server_key,
                iterations: upsertion.iterations,
                ..UserScramCredentialRecord::default()
            })
        }
    }
}

/// As in Kafka those deleted first, then those set, then the errors.
fn results(changes: &Changes<'_>) -> Vec<AlterUserScramCredentialsResult> {
    let rank = |change: &Result<Change<'_>, ApiError>| match change {
        Ok(Change::Delete(_)) => 0,
        Ok(Change::Set(..)) => 1,
        Err(_) => 2,
    };
    let mut ordered: Vec<_> = changes.iter().collect();
    ordered.sort_by_key(|(_, change)| rank(change));
    let result = |(user, change): (&&Utf8Bytes, &Result<Change<'_>, ApiError>)| {
        let error = change.as_ref().err();
        AlterUserScramCredentialsResult {
            user: (*user).clone(),
            error_code: error.map_or(ErrorCode::None, |error| error.code).into(),
            error_message: error.and_then(ApiError::text),
            ..AlterUserScramCredentialsResult::default()
        }
    };
    ordered.into_iter().map(result).collect()
}
