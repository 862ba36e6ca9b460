//! The records of internal topics, as their keys and values frame them: `__cluster_metadata`, `__consumer_offsets` and
//! `__transaction_state`. A type that Kafka 4.3.1 has and this crate leaves out (those of share and streams groups) is
//! [`decode::Cause::UnknownType`], which readers of a log that Kafka wrote skip.

use bytes::Bytes;

use crate::messages::{TransactionLogKey, TransactionLogValue};
use crate::{Message as _, Reader, Writer, decode, encode};

pub use crate::messages::record_types::{GroupRecordKey, GroupRecordValue, MetadataRecord};

/// The version of the frame around metadata records (KIP-631).
pub const METADATA_FRAME_VERSION: u32 = 1;

impl MetadataRecord {
    /// Reads the value of a record in `__cluster_metadata`; gives the version that it has too.
    pub fn from_bytes(bytes: Bytes) -> Result<(Self, i16), decode::Error> {
        let mut reader = Reader::new(bytes);
        let frame = reader.unsigned_varint()?;
        if frame != METADATA_FRAME_VERSION {
            return Err(unknown(&reader, "metadata record frame version", frame));
        }
        let number = short(&mut reader, "metadata record type")?;
        let version = short(&mut reader, "metadata record version")?;
        let record = Self::decode(number, version, &mut reader)?;
        reader.finish()?;
        Ok((record, version))
    }

    /// The value of a record in `__cluster_metadata`.
    pub fn to_bytes(&self, version: i16) -> Result<Bytes, encode::Error> {
        let mut writer = Writer::new();
        writer.unsigned_varint(METADATA_FRAME_VERSION);
        writer.unsigned_varint(u32::from(self.record_type().unsigned_abs()));
        writer.unsigned_varint(u32::from(version.unsigned_abs()));
        self.encode(version, &mut writer)?;
        writer.finish_bytes()
    }
}

/// A variable-length number that has to fit into Java's `short`.
fn short(reader: &mut Reader, what: &'static str) -> Result<i16, decode::Error> {
    let number = reader.unsigned_varint()?;
    i16::try_from(number).map_err(|_| unknown(reader, what, number))
}

fn unknown(reader: &Reader, what: &'static str, number: u32) -> decode::Error {
    reader.error(decode::Cause::UnknownType {
        what,
        number: i64::from(number),
    })
}

impl GroupRecordKey {
    /// Reads the key of a record in `__consumer_offsets`: the record type, then a message that has but one version.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, decode::Error> {
        let mut reader = Reader::new(bytes);
        let number = reader.i16()?;
        let key = Self::decode(number, 0, &mut reader)?;
        reader.finish()?;
        Ok(key)
    }

    /// The key of a record in `__consumer_offsets`.
    pub fn to_bytes(&self) -> Result<Bytes, encode::Error> {
        let mut writer = Writer::new();
        writer.i16(self.record_type());
        self.encode(0, &mut writer)?;
        writer.finish_bytes()
    }
}

impl GroupRecordValue {
    /// Reads the value of a record in `__consumer_offsets`, of the type that its key tells: the version, then the message.
    /// Gives the version too. (A deleted entry has no value at all.)
    pub fn from_bytes(record_type: i16, bytes: Bytes) -> Result<(Self, i16), decode::Error> {
        let mut reader = Reader::new(bytes);
        let version = reader.i16()?;
        let value = Self::decode(record_type, version, &mut reader)?;
        reader.finish()?;
        Ok((value, version))
    }

    /// The value of a record in `__consumer_offsets`.
    pub fn to_bytes(&self, version: i16) -> Result<Bytes, encode::Error> {
        let mut writer = Writer::new();
        writer.i16(version);
        self.encode(version, &mut writer)?;
        writer.finish_bytes()
    }
}

/// The record type of a transaction, the only one in `__transaction_state`.
const TRANSACTION_RECORD_TYPE: i16 = 0;

impl TransactionLogKey {
    /// Reads the key of a record in `__transaction_state`.
    pub fn from_key_bytes(bytes: Bytes) -> Result<Self, decode::Error> {
        let mut reader = Reader::new(bytes);
        let number = reader.i16()?;
        if number != TRANSACTION_RECORD_TYPE {
            let cause = decode::Cause::UnknownType {
                what: "transaction record type",
                number: i64::from(number),
            };
            return Err(reader.error(cause));
        }
        let key = Self::decode(&mut reader, 0)?;
        reader.finish()?;
        Ok(key)
    }

    /// The key of a record in `__transaction_state`.
    pub fn to_key_bytes(&self) -> Result<Bytes, encode::Error> {
        let mut writer = Writer::new();
        writer.i16(TRANSACTION_RECORD_TYPE);
        self.encode(&mut writer, 0)?;
        writer.finish_bytes()
    }
}

impl TransactionLogValue {
    /// Reads the value of a record in `__transaction_state`; gives the version that it has too.
    pub fn from_value_bytes(bytes: Bytes) -> Result<(Self, i16), decode::Error> {
        let mut reader = Reader::new(bytes);
        let version = reader.i16()?;
        let value = Self::decode(&mut reader, version)?;
        reader.finish()?;
        Ok((value, version))
    }

    /// The value of a record in `__transaction_state`.
    pub fn to_value_bytes(&self, version: i16) -> Result<Bytes, encode::Error> {
        let mut writer = Writer::new();
        writer.i16(version);
        self.encode(&mut writer, version)?;
        writer.finish_bytes()
    }
}

#[cfg(test)]
mod tests;
