//! What is stored of users' passwords (KIP-554, RFC 5802): enough to check one, not to be one.

use std::fmt;

use bytes::Bytes;

/// A mechanism, with Kafka's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i8)]
pub enum ScramMechanism {
    /// SCRAM-SHA-256.
    Sha256 = 1,
    /// SCRAM-SHA-512.
    Sha512 = 2,
}

impl ScramMechanism {
    /// The mechanism with Kafka's number.
    pub fn of(number: i8) -> Option<Self> {
        match number {
            1 => Some(Self::Sha256),
            2 => Some(Self::Sha512),
            _ => None,
        }
    }
}

/// What a server needs in order to check a password.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramCredential {
    /// The salt that the password was hashed with.
    pub salt: Bytes,
    /// H(HMAC(salted password, "Client Key")).
    pub stored_key: Bytes,
    /// HMAC(salted password, "Server Key").
    pub server_key: Bytes,
    /// How often it was hashed.
    pub iterations: i32,
}

/// Without the secrets.
impl fmt::Debug for ScramCredential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ScramCredential").finish_non_exhaustive()
    }
}
