//! What is stored of users' passwords (KIP-554, RFC 5802): enough to check one, not to be one.

use std::fmt;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};

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

    /// The fewest iterations that a password may be hashed with.
    pub(crate) fn iterations_min(self) -> i32 {
        match self {
            Self::Sha256 | Self::Sha512 => 4096,
        }
    }

    /// StoredKey and ServerKey of a salted password (RFC 5802, section 3).
    pub(crate) fn keys(self, salted_password: &[u8]) -> (Bytes, Bytes) {
        let client_key = self.hmac(salted_password, b"Client Key");
        let stored_key = match self {
            Self::Sha256 => Bytes::copy_from_slice(&Sha256::digest(&client_key)),
            Self::Sha512 => Bytes::copy_from_slice(&Sha512::digest(&client_key)),
        };
        (stored_key, self.hmac(salted_password, b"Server Key"))
    }

    fn hmac(self, key: &[u8], text: &[u8]) -> Bytes {
        fn mac<M: Mac + KeyInit>(key: &[u8], text: &[u8]) -> Bytes {
            let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes keys of every length");
            mac.update(text);
            Bytes::copy_from_slice(&mac.finalize().into_bytes())
        }
        match self {
            Self::Sha256 => mac::<Hmac<Sha256>>(key, text),
            Self::Sha512 => mac::<Hmac<Sha512>>(key, text),
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
