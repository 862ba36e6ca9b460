//! Confluent's wire format, version 0: a zero byte, the schema's identifier (four bytes, big-endian), the data.

use crate::SchemaId;

/// How many bytes stand before the data.
pub const PREFIX_BYTES: usize = 5;

const MAGIC_BYTE: u8 = 0;

/// Why bytes are not in the wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Fewer bytes than the prefix has.
    #[error("{length} bytes are too few for a magic byte and a schema id")]
    TooShort {
        /// How many there are.
        length: usize,
    },
    /// The first byte is another one: the data was not written by a Confluent serializer.
    #[error(
        "Unknown magic byte! No serializer of a schema registry wrote these bytes; for JSON or text there are other converters"
    )]
    UnknownMagicByte {
        /// The byte.
        found: u8,
    },
}

/// The prefix for data of schema `id`.
pub fn prefix(id: SchemaId) -> [u8; PREFIX_BYTES] {
    let [a, b, c, d] = id.0.to_be_bytes();
    [MAGIC_BYTE, a, b, c, d]
}

/// Splits serialized bytes into identifier and data.
pub fn split(bytes: &[u8]) -> Result<(SchemaId, &[u8]), Error> {
    let Some((&[magic, a, b, c, d], data)) = bytes.split_first_chunk::<PREFIX_BYTES>() else {
        return Err(Error::TooShort { length: bytes.len() });
    };
    match magic {
        MAGIC_BYTE => Ok((SchemaId(i32::from_be_bytes([a, b, c, d])), data)),
        found => Err(Error::UnknownMagicByte { found }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_confluents() {
        let mut bytes = prefix(SchemaId(258)).to_vec();
        assert_eq!(bytes, [0, 0, 0, 1, 2]);
        bytes.push(7);
        assert_eq!(split(&bytes), Ok((SchemaId(258), &[7][..])));
        assert_eq!(split(&bytes[..4]), Err(Error::TooShort { length: 4 }));
        assert_eq!(split(&[1, 0, 0, 0, 0]), Err(Error::UnknownMagicByte { found: 1 }));
    }
}
