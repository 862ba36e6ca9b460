//! DescribeUserScramCredentials: which users have a password, under which mechanism (KIP-554; `ScramImage.describe`).

use std::collections::BTreeMap;

use forebay_broker_controller::ScramMechanism;
use forebay_protocol::messages::describe_user_scram_credentials_request::UserName;
use forebay_protocol::messages::describe_user_scram_credentials_response::{
    CredentialInfo, DescribeUserScramCredentialsResult,
};
use forebay_protocol::messages::{DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse};
use forebay_protocol::{ErrorCode, Utf8Bytes};

use crate::call::Call;

/// Mechanisms and iterations, by user.
type Known<'a> = BTreeMap<&'a Utf8Bytes, Vec<(ScramMechanism, i32)>>;

/// Answers a DescribeUserScramCredentials request.
pub(crate) fn handle(
    call: &Call,
    request: &DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    let image = call.core.metadata.image();
    let mut known = Known::new();
    for (user, mechanism, credential) in image.scram_credentials() {
        known
            .entry(user)
            .or_default()
            .push((mechanism, credential.iterations));
    }
    DescribeUserScramCredentialsResponse {
        results: results(&known, request.users.as_deref().unwrap_or_default()),
        ..DescribeUserScramCredentialsResponse::default()
    }
}

/// The users that are asked for, in order; all of them if none are.
fn results(known: &Known<'_>, users: &[UserName]) -> Vec<DescribeUserScramCredentialsResult> {
    if users.is_empty() {
        return known.iter().map(|(user, infos)| found(user, infos)).collect();
    }
    let mut asked: BTreeMap<&Utf8Bytes, usize> = BTreeMap::new();
    for user in users {
        *asked.entry(&user.name).or_default() += 1;
    }
    let result = |(user, times): (&Utf8Bytes, usize)| match known.get(user) {
        _ if times > 1 => refused(
            user,
            ErrorCode::DuplicateResource,
            "Cannot describe SCRAM credentials for the same user twice in a single request: ",
        ),
        Some(infos) => found(user, infos),
        None => refused(
            user,
            ErrorCode::ResourceNotFound,
            "Attempt to describe a user credential that does not exist: ",
        ),
    };
    asked.into_iter().map(result).collect()
}

fn found(user: &Utf8Bytes, infos: &[(ScramMechanism, i32)]) -> DescribeUserScramCredentialsResult {
    let info = |(mechanism, iterations): &(ScramMechanism, i32)| CredentialInfo {
        mechanism: *mechanism as i8,
        iterations: *iterations,
        ..CredentialInfo::default()
    };
    DescribeUserScramCredentialsResult {
        user: user.clone(),
        credential_infos: infos.iter().map(info).collect(),
        ..DescribeUserScramCredentialsResult::default()
    }
}

fn refused(user: &Utf8Bytes, code: ErrorCode, message: &str) -> DescribeUserScramCredentialsResult {
    DescribeUserScramCredentialsResult {
        user: user.clone(),
        error_code: code.into(),
        error_message: Some(format!("{message}{user}").into()),
        ..DescribeUserScramCredentialsResult::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_unknown_or_named_twice() {
        let (ada, bob) = (Utf8Bytes::from("ada"), Utf8Bytes::from("bob"));
        let both = vec![(ScramMechanism::Sha256, 4096), (ScramMechanism::Sha512, 8192)];
        let known = Known::from([(&ada, both), (&bob, vec![(ScramMechanism::Sha512, 4096)])]);
        let ask = |names: &[&str]| {
            let name = |name: &&str| UserName {
                name: (*name).into(),
                ..UserName::default()
            };
            let results = results(&known, &names.iter().map(name).collect::<Vec<_>>());
            let told = |one: DescribeUserScramCredentialsResult| {
                let infos = one.credential_infos.iter();
                let infos: Vec<_> = infos.map(|info| (info.mechanism, info.iterations)).collect();
                (one.user.to_string(), one.error_code, infos)
            };
            results.into_iter().map(told).collect::<Vec<_>>()
        };
        let ada = ("ada".to_owned(), 0, vec![(1, 4096), (2, 8192)]);
        let bob = |code, infos: &[(i8, i32)]| ("bob".to_owned(), code, infos.to_vec());
        assert_eq!(ask(&[]), [ada.clone(), bob(0, &[(2, 4096)])]);
        let nobody = ("eve".to_owned(), 91, vec![]);
        assert_eq!(ask(&["eve", "bob", "ada", "bob"]), [ada, bob(92, &[]), nobody]);
    }
}
