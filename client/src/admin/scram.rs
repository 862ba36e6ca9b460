//! What users log in with (KIP-554): which SCRAM credentials they have, and changes of them. A password never leaves this
//! process: the broker gets what it is salted and hashed to (RFC 5802).

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use forebay_protocol::ErrorCode;
use forebay_protocol::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use forebay_protocol::messages::describe_user_scram_credentials_request::UserName;
use forebay_protocol::messages::{AlterUserScramCredentialsRequest, DescribeUserScramCredentialsRequest};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha512};

use super::{Admin, Outcomes, check};
use crate::error::Error;

/// How a password is hashed (Kafka's `ScramMechanism`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ScramMechanism {
    /// SCRAM-SHA-256.
    Sha256,
    /// SCRAM-SHA-512.
    Sha512,
}

impl ScramMechanism {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// The fewest iterations that brokers take.
    pub const ITERATIONS_MIN: i32 = 4096;

    /// As clients name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    fn code(self) -> i8 {
        match self {
            Self::Sha256 => 1,
            Self::Sha512 => 2,
        }
    }

    fn of(code: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.code() == code)
    }

    /// RFC 5802's SaltedPassword.
    fn salted(self, password: &[u8], salt: &[u8], iterations: u32) -> Bytes {
        match self {
            Self::Sha256 => hi::<Hmac<Sha256>>(password, salt, iterations),
            Self::Sha512 => hi::<Hmac<Sha512>>(password, salt, iterations),
        }
    }
}

/// RFC 5802's `Hi`: PBKDF2 with one block.
fn hi<M: Mac + KeyInit + Clone>(password: &[u8], salt: &[u8], iterations: u32) -> Bytes {
    let keyed = <M as KeyInit>::new_from_slice(password).expect("HMAC takes keys of every length");
    let mac = |parts: [&[u8]; 2]| {
        let mut mac = keyed.clone();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes()
    };
    let mut last = mac([salt, &1_u32.to_be_bytes()]);
    let mut all = last.clone();
    for _ in 1..iterations {
        last = mac([&last, &[]]);
        all.iter_mut().zip(&last).for_each(|(all, last)| *all ^= last);
    }
    Bytes::copy_from_slice(&all)
}

/// A mechanism of SCRAM and its iterations, as the broker holds them for a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScramCredential {
    /// `None`: one that only a newer broker knows.
    pub mechanism: Option<ScramMechanism>,
    /// How often it is hashed.
    pub iterations: i32,
}

/// What is to become of a user's credential under one mechanism (Kafka's `UserScramCredentialAlteration`).
#[derive(Clone, PartialEq, Eq)]
pub enum ScramAlteration {
    /// It is set, with a salt at random.
    Set {
        /// How it is hashed, and how often.
        mechanism: ScramMechanism,
        /// At least [`ScramMechanism::ITERATIONS_MIN`]; a number below 1 is refused by the broker.
        iterations: i32,
        /// What the user types.
        password: String,
    },
    /// It goes.
    Delete(ScramMechanism),
}

/// Without the password.
impl fmt::Debug for ScramAlteration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set { mechanism, .. } => f.debug_tuple("Set").field(mechanism).finish_non_exhaustive(),
            Self::Delete(mechanism) => f.debug_tuple("Delete").field(mechanism).finish(),
        }
    }
}

impl Admin {
    /// The SCRAM credentials of users, or of all that have some; those who have none are left out.
    ///
    /// # Errors
    /// Of the call; each user has its own.
    pub async fn describe_user_scram_credentials(
        &self,
        users: &[&str],
    ) -> Result<Outcomes<String, Vec<ScramCredential>>, Error> {
        self.retry("describe SCRAM credentials", || async {
            let wanted: Vec<UserName> = users
                .iter()
                .map(|name| UserName {
                    name: (*name).into(),
                    ..Default::default()
                })
                .collect();
            let node = self.cluster.any_node().await?;
            let answer = node
                .call(|_| DescribeUserScramCredentialsRequest {
                    users: (!wanted.is_empty()).then_some(wanted),
                    ..Default::default()
                })
                .await?;
            let message = answer.error_message.as_deref();
            check("describe SCRAM credentials", answer.error_code, message)?;
            let results = answer.results.into_iter().filter_map(|result| {
                let user = String::from(result.user);
                let action = format!("describe the SCRAM credentials of {user}");
                match check(action, result.error_code, result.error_message.as_deref()) {
                    Err(error) if error.code() == Some(ErrorCode::ResourceNotFound) => None,
                    checked => {
                        let credentials = result.credential_infos.into_iter().map(|info| ScramCredential {
                            mechanism: ScramMechanism::of(info.mechanism),
                            iterations: info.iterations,
                        });
                        Some((user, checked.map(|()| credentials.collect())))
                    }
                }
            });
            Ok(results.collect())
        })
        .await
    }

    /// Sets and deletes what users log in with.
    ///
    /// # Errors
    /// Of the call; each user has its own.
    pub async fn alter_user_scram_credentials(
        &self,
        alterations: &BTreeMap<String, Vec<ScramAlteration>>,
    ) -> Result<Outcomes<String, ()>, Error> {
        let request = alteration_request(alterations);
        self.retry("alter SCRAM credentials", || async {
            let answer = self.controller().await?.call(|_| request.clone()).await?;
            let results = answer.results.into_iter().map(|result| {
                let user = String::from(result.user);
                let action = format!("alter the SCRAM credentials of {user}");
                let checked = check(action, result.error_code, result.error_message.as_deref());
                (user, checked)
            });
            Ok(results.collect())
        })
        .await
    }
}

fn alteration_request(
    alterations: &BTreeMap<String, Vec<ScramAlteration>>,
) -> AlterUserScramCredentialsRequest {
    let mut request = AlterUserScramCredentialsRequest::default();
    for (user, alterations) in alterations {
        for alteration in alterations {
            match alteration {
                ScramAlteration::Delete(mechanism) => request.deletions.push(ScramCredentialDeletion {
                    name: user.into(),
                    mechanism: mechanism.code(),
                    ..Default::default()
                }),
                ScramAlteration::Set {
                    mechanism,
                    iterations,
                    password,
                } => {
                    let salt = salt();
                    let rounds = u32::try_from(*iterations).unwrap_or_default();
                    request.upsertions.push(ScramCredentialUpsertion {
                        name: user.into(),
                        mechanism: mechanism.code(),
                        iterations: *iterations,
                        salted_password: mechanism.salted(password.as_bytes(), &salt, rounds),
                        salt,
                        ..Default::default()
                    });
                }
            }
        }
    }
    request
}

/// 244 bits at random.
fn salt() -> Bytes {
    let halves = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()];
    Bytes::from(halves.map(uuid::Uuid::into_bytes).concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677, section 3, where the password is `pencil`.
    const SALT: [u8; 16] = [
        0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81,
    ];
    const SALTED: &str = "c4a49510323ab4f952cac1fa99441939e78ea74d6be81ddf7096e87513dc615d";

    #[test]
    fn passwords_are_salted_as_the_standard_does() {
        let salted = ScramMechanism::Sha256.salted(b"pencil", &SALT, 4096);
        let text: String = salted.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text, SALTED);
        assert_eq!(ScramMechanism::Sha512.salted(b"pencil", &SALT, 1).len(), 64);
    }

    #[test]
    fn a_request_has_neither_the_password_nor_a_salt_twice() {
        let set = ScramAlteration::Set {
            mechanism: ScramMechanism::Sha256,
            iterations: 4096,
            password: "pencil".to_owned(),
        };
        assert!(!format!("{set:?}").contains("pencil"));
        let both = vec![set, ScramAlteration::Delete(ScramMechanism::Sha512)];
        let users = ["ada", "bob"].map(|user| (user.to_owned(), both.clone()));
        let request = alteration_request(&users.into());
        let deleted = request
            .deletions
            .iter()
            .map(|one| (one.name.to_string(), one.mechanism));
        assert_eq!(
            deleted.collect::<Vec<_>>(),
            [("ada".to_owned(), 2), ("bob".to_owned(), 2)]
        );
        let [ada, bob] = &request.upsertions[..] else {
            panic!("{request:?}");
        };
        assert_ne!(ada.salt, bob.salt);
        let expected = ScramMechanism::Sha256.salted(b"pencil", &ada.salt, 4096);
        assert_eq!((ada.mechanism, &ada.salted_password), (1, &expected));
        assert!(!format!("{request:?}").contains("pencil"));
    }
}
