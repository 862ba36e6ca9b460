//! Signatures of requests between workers (KIP-507, Kafka's `InternalRequestSignature`): a keyed digest of the body.

use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use sha2::{Sha256, Sha384, Sha512};

/// Where a request has its signature, in Base64.
pub(crate) const SIGNATURE_HEADER: &str = "X-Connect-Authorization";

/// Where a request has the name of the algorithm.
pub(crate) const ALGORITHM_HEADER: &str = "X-Connect-Request-Signature-Algorithm";

/// A way to sign, under Java's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    HmacSha256,
    HmacSha384,
    HmacSha512,
}

impl Algorithm {
    /// All that are known here; Java knows weaker ones, too.
    pub(crate) const ALL: [Self; 3] = [Self::HmacSha256, Self::HmacSha384, Self::HmacSha512];

    /// Java's name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::HmacSha256 => "HmacSHA256",
            Self::HmacSha384 => "HmacSHA384",
            Self::HmacSha512 => "HmacSHA512",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// How long the keys are that Java makes for it, in bytes.
    pub(crate) const fn key_bytes(self) -> usize {
        match self {
            Self::HmacSha256 => 32,
            Self::HmacSha384 => 48,
            Self::HmacSha512 => 64,
        }
    }

    /// The signature of a body.
    pub(crate) fn sign(self, key: &[u8], body: &[u8]) -> Vec<u8> {
        match self {
            Self::HmacSha256 => digest::<Hmac<Sha256>>(key, body).finalize().into_bytes().to_vec(),
            Self::HmacSha384 => digest::<Hmac<Sha384>>(key, body).finalize().into_bytes().to_vec(),
            Self::HmacSha512 => digest::<Hmac<Sha512>>(key, body).finalize().into_bytes().to_vec(),
        }
    }

    /// Whether it is the signature of a body; how long that takes says nothing of where it differs.
    pub(crate) fn verifies(self, key: &[u8], body: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::HmacSha256 => digest::<Hmac<Sha256>>(key, body).verify_slice(signature).is_ok(),
            Self::HmacSha384 => digest::<Hmac<Sha384>>(key, body).verify_slice(signature).is_ok(),
            Self::HmacSha512 => digest::<Hmac<Sha512>>(key, body).verify_slice(signature).is_ok(),
        }
    }
}

fn digest<M: Mac + KeyInit>(key: &[u8], body: &[u8]) -> M {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("it takes keys of any length");
    mac.update(body);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    #[test]
    fn signatures_are_those_of_the_rfc() {
        let (key, body) = (b"Jefe", b"what do ya want for nothing?");
        for (algorithm, begins) in [
            (Algorithm::HmacSha256, [0x5b, 0xdc, 0xc1, 0x46]),
            (Algorithm::HmacSha384, [0xaf, 0x45, 0xd2, 0xe3]),
            (Algorithm::HmacSha512, [0x16, 0x4b, 0x7a, 0x7b]),
        ] {
            let signature = algorithm.sign(key, body);
            assert_eq!(signature[..4], begins);
            assert_eq!(signature.len(), algorithm.key_bytes());
            assert!(algorithm.verifies(key, body, &signature));
            assert!(!algorithm.verifies(b"other", body, &signature));
            assert!(!algorithm.verifies(key, b"other", &signature));
            assert!(!algorithm.verifies(key, body, &signature[1..]));
            assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
        }
        assert_eq!(Algorithm::from_name("HmacMD5"), None);
    }
}
