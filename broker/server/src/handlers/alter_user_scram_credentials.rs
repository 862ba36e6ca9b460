//! AlterUserScramCredentials: decided by the controller (KIP-554).

use std::collections::BTreeSet;

use forebay_broker_controller::AlterUserScramCredentials;
use forebay_protocol::Utf8Bytes;
use forebay_protocol::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
use forebay_protocol::messages::{AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse};

use crate::call::Call;

/// Answers an AlterUserScramCredentials request.
pub(crate) async fn handle(
    call: &Call,
    request: AlterUserScramCredentialsRequest,
) -> AlterUserScramCredentialsResponse {
    let deleted = request.deletions.iter().map(|deletion| &deletion.name);
    let set = request.upsertions.iter().map(|upsertion| &upsertion.name);
    let users: BTreeSet<Utf8Bytes> = deleted.chain(set).cloned().collect();
    let command = AlterUserScramCredentials { request };
    match call.core.metadata.submit(command).await {
        Ok(response) => response,
        Err(error) => {
            let failed = |user| AlterUserScramCredentialsResult {
                user,
                error_code: error.error_code().into(),
                error_message: Some(error.to_string().into()),
                ..AlterUserScramCredentialsResult::default()
            };
            AlterUserScramCredentialsResponse {
                results: users.into_iter().map(failed).collect(),
                ..AlterUserScramCredentialsResponse::default()
            }
        }
    }
}
