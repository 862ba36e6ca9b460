//! Kafka's `Uuid`: ids of topics, log directories, incarnations; sixteen bytes, written as base64url without padding.

use std::fmt;
use std::str::FromStr;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Characters in the text of an id.
const TEXT_LENGTH: usize = 22;

/// A text that is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an id: 22 characters of base64url (A-Z, a-z, 0-9, -, _) are")]
pub struct Error {
    text: String,
}

/// A 128-bit id.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

impl Uuid {
    /// The id of nothing: a topic id that is not known.
    pub const ZERO: Self = Self([0; 16]);

    /// Kafka's `ONE_UUID`, the id of the metadata topic.
    pub const METADATA_TOPIC: Self = Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

    /// The id of these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes of this id.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// A version 4 id from random bytes. `None` for those whose id Kafka does not give out: reserved ones, and ones whose text
    /// begins with a dash, which command lines would take for a flag. The caller draws again.
    pub fn random_from(mut bytes: [u8; 16]) -> Option<Self> {
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        // The dash is the 62nd of the alphabet: the first six bits.
        (bytes[0] >> 2 != 62).then_some(Self(bytes))
    }

    /// Whether this is [`Uuid::ZERO`].
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = u128::from_be_bytes(self.0);
        let mut text = [0; TEXT_LENGTH];
        for (index, character) in text.iter_mut().enumerate() {
            // 22 characters hold 132 bits: the last one carries two bits of the id and four zeros.
            let sextet = match 122_usize.checked_sub(index * 6) {
                Some(shift) => (number >> shift) & 0x3f,
                None => (number << 4) & 0x3f,
            };
            *character = ALPHABET[sextet as usize];
        }
        formatter.pad(std::str::from_utf8(&text).expect("the alphabet is ASCII"))
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for Uuid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = || Error {
            text: text.chars().take(64).collect(),
        };
        // Java's decoder takes the padding as well.
        let digits = text.strip_suffix("==").unwrap_or(text).as_bytes();
        if digits.len() != TEXT_LENGTH {
            return Err(refused());
        }
        let mut number: u128 = 0;
        for (index, character) in digits.iter().enumerate() {
            let sextet = ALPHABET
                .iter()
                .position(|known| known == character)
                .ok_or_else(refused)? as u128;
            number = if index + 1 == TEXT_LENGTH {
                (number << 2) | (sextet >> 4)
            } else {
                (number << 6) | sextet
            };
        }
        Ok(Self(number.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_both_ways() {
        let sample: Vec<u8> = vec![
            0x5c, 0x1c, 0xec, 0x60, 0xe2, 0xe5, 0x70, 0x16, 0x77, 0x29, 0xd6, 0x30, 0x30, 0xe4, 0x3d, 0x80,
        ];
        let cases = [
            (Uuid::ZERO, "AAAAAAAAAAAAAAAAAAAAAA"),
            (Uuid::METADATA_TOPIC, "AAAAAAAAAAAAAAAAAAAAAQ"),
            (
                Uuid::from_bytes(sample.try_into().expect("16 bytes")),
                "XBzsYOLlcBZ3KdYwMOQ9gA",
            ),
            (Uuid::from_bytes([0xff; 16]), "_____________________w"),
        ];
        for (id, text) in cases {
            assert_eq!(id.to_string(), text);
            assert_eq!(text.parse(), Ok(id));
            assert_eq!(format!("{text}==").parse(), Ok(id));
        }
        for wrong in [
            "",
            "AAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAA+AAAAAAAAAAA",
            "größe",
        ] {
            assert!(wrong.parse::<Uuid>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn random_ids_are_of_version_four_and_begin_with_no_dash() {
        let id = Uuid::random_from([0xff; 16]).expect("begins with an underscore");
        assert_eq!((id.to_bytes()[6], id.to_bytes()[8]), (0x4f, 0xbf));
        let mut dash = [0; 16];
        dash[0] = 62 << 2;
        assert_eq!(Uuid::random_from(dash), None);
    }
}
