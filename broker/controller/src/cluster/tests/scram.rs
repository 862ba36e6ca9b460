//! SCRAM credentials. The keys are those of RFC 7677's example; the texts are what Apache Kafka answered.

use bytes::Bytes;
use forebay_protocol::messages::AlterUserScramCredentialsRequest;
use forebay_protocol::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};

use super::fixture::*;
use crate::*;

/// SaltedPassword, StoredKey and ServerKey of `pencil` (RFC 7677, section 3: 4096 iterations).
const SALTED: &str = "c4a49510323ab4f952cac1fa99441939e78ea74d6be81ddf7096e87513dc615d";
const STORED: &str = "586e5df283e6dceb5c3e791d8b8528ec191e664045ce971792e2e6b5bb13e2a6";

fn hex(text: &str) -> Bytes {
    let digits = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).expect("digits");
        u8::from_str_radix(pair, 16).expect("a byte")
    };
    digits.map(byte).collect()
}

fn set(name: &str, mechanism: i8, iterations: i32) -> ScramCredentialUpsertion {
    ScramCredentialUpsertion {
        name: name.into(),
        mechanism,
        iterations,
        salt: Bytes::from_static(b"salt"),
        salted_password: hex(SALTED),
        ..ScramCredentialUpsertion::default()
    }
}

fn delete(name: &str, mechanism: i8) -> ScramCredentialDeletion {
    ScramCredentialDeletion {
        name: name.into(),
        mechanism,
        ..ScramCredentialDeletion::default()
    }
}

/// Users in the order of the answer, with code and text.
fn alter(
    cluster: &mut TestCluster,
    deletions: Vec<ScramCredentialDeletion>,
    upsertions: Vec<ScramCredentialUpsertion>,
) -> Vec<(String, i16, Option<String>)> {
    let request = AlterUserScramCredentialsRequest {
        deletions,
        upsertions,
        ..Default::default()
    };
    let response = cluster.run(AlterUserScramCredentials { request });
    let told = response.results.into_iter().map(|result| {
        let text = result.error_message.map(|text| text.to_string());
        (result.user.to_string(), result.error_code, text)
    });
    told.collect()
}

fn users(cluster: &mut TestCluster) -> Vec<(String, ScramMechanism, i32)> {
    let image = cluster.image();
    let all = image.scram_credentials();
    all.map(|(user, mechanism, credential)| (user.to_string(), mechanism, credential.iterations))
        .collect()
}

#[test]
fn credentials_are_set_replaced_deleted_and_read_back() {
    let mut cluster = TestCluster::with_brokers(1);
    let done = |user: &str| (user.to_owned(), 0, None);
    let both = vec![set("ada", 1, 4096), set("bob", 2, 16_384)];
    assert_eq!(alter(&mut cluster, vec![], both), [done("ada"), done("bob")]);
    let stored = {
        let image = cluster.image();
        let (_, _, credential) = image.scram_credentials().next().expect("ada's");
        assert_eq!(credential.salt, "salt");
        (credential.stored_key.clone(), credential.server_key.len())
    };
    assert_eq!(stored, (hex(STORED), 32));
    // A user has one credential of each mechanism.
    let more = vec![set("ada", 1, 5000), set("eve", 2, 4096)];
    let changed = alter(&mut cluster, vec![delete("bob", 2)], more);
    assert_eq!(changed, [done("bob"), done("ada"), done("eve")]);
    let expected = [
        ("ada".to_owned(), ScramMechanism::Sha256, 5000),
        ("eve".to_owned(), ScramMechanism::Sha512, 4096),
    ];
    assert_eq!(users(&mut cluster), expected);
    assert_eq!(cluster.reloaded().image().scram_credentials().count(), 2);
}

#[test]
fn what_cannot_be_is_refused_user_by_user() {
    let mut cluster = TestCluster::with_brokers(1);
    alter(&mut cluster, vec![], vec![set("ada", 1, 4096)]);
    let before = users(&mut cluster);
    let empty_password = ScramCredentialUpsertion {
        salted_password: Bytes::new(),
        ..set("u", 1, 4096)
    };
    let twice = "A user credential cannot be altered twice in the same request";
    let unknown = "Attempt to delete a user credential that does not exist";
    let cases = [
        (vec![], vec![set("", 1, 4096)], 93, "Username must not be empty"),
        (vec![], vec![set("u", 0, 4096)], 33, "Unknown SCRAM mechanism"),
        (vec![], vec![set("u", 3, 4096)], 33, "Unknown SCRAM mechanism"),
        (vec![], vec![set("u", 1, 4095)], 93, "Too few iterations"),
        (vec![], vec![set("u", 2, 16_385)], 93, "Too many iterations"),
        (
            vec![],
            vec![empty_password],
            93,
            "Salted password must not be empty",
        ),
        (vec![delete("", 1)], vec![], 93, "Username must not be empty"),
        (vec![delete("ada", 9)], vec![], 33, "Unknown SCRAM mechanism"),
        (vec![delete("ada", 2)], vec![], 91, unknown),
        (vec![delete("ada", 1), delete("ada", 1)], vec![], 92, twice),
        (vec![delete("ada", 1)], vec![set("ada", 1, 8192)], 92, twice),
        (vec![], vec![set("u", 1, 4096), set("u", 2, 4096)], 92, twice),
        // Of another mechanism, too (Kafka 4.3.1 was asked).
        (vec![delete("ada", 1)], vec![set("ada", 2, 4096)], 92, twice),
        (vec![], vec![set("u", 1, 4096), set("u", 2, 1)], 92, twice),
        (
            vec![],
            vec![set("u", 1, 1), set("u", 2, 4096)],
            93,
            "Too few iterations",
        ),
        // The first error counts.
        (vec![delete("u", 1)], vec![set("u", 1, 4096)], 91, unknown),
    ];
    for (deletions, upsertions, code, text) in cases {
        let told = alter(&mut cluster, deletions.clone(), upsertions.clone());
        let told: Vec<_> = told
            .iter()
            .map(|(_, code, text)| (*code, text.as_deref()))
            .collect();
        assert_eq!(told, [(code, Some(text))], "{deletions:?} {upsertions:?}");
        assert_eq!(users(&mut cluster), before);
    }
    // Others are not disturbed.
    let told = alter(&mut cluster, vec![delete("nobody", 1)], vec![set("bob", 1, 4096)]);
    assert_eq!(
        told.iter()
            .map(|(user, code, _)| (user.as_str(), *code))
            .collect::<Vec<_>>(),
        [("bob", 0), ("nobody", 91)]
    );
}
