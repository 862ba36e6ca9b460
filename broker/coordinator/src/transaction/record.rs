//! The records of `__transaction_state`, from and to Kafka's keys and values.

use std::collections::BTreeSet;

use bytes::Bytes;
use forebay_protocol::messages::transaction_log_value::PartitionsSchema;
use forebay_protocol::messages::{TransactionLogKey, TransactionLogValue};
use forebay_protocol::{Reader, TopicPartition, Utf8Bytes, decode, encode};
use forebay_records::{NO_PRODUCER_EPOCH, ProducerEpoch, ProducerId, Timestamp};

use super::metadata::TransactionMetadata;
use super::{State, TransactionVersion};
use crate::Record;

/// The only type of key.
const TRANSACTION_LOG: i16 = 0;
/// The highest version of a value.
const VALUE_VERSION_MAX: i16 = 1;

/// A record that cannot be read. Nothing of it was applied.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The batch around the records is damaged.
    #[error("a batch of __transaction_state cannot be read: {0}")]
    Batch(#[from] forebay_records::Error),
    /// A record without a key: nothing can be meant by it.
    #[error("a record of __transaction_state has no key")]
    NoKey,
    /// The key is none of its type.
    #[error("the key of a record of __transaction_state is malformed: {0}")]
    Key(#[source] decode::Error),
    /// The value is none of its version.
    #[error("the value of a record of __transaction_state is malformed: {0}")]
    Value(#[source] decode::Error),
    /// A state that is never written.
    #[error("a record of __transaction_state has transaction status {0}")]
    State(i8),
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TransactionRecord {
    /// A transactional id; `None`: it is forgotten.
    Transaction(Utf8Bytes, Option<TransactionMetadata>),
    /// A key or value of a version that a later Kafka writes.
    Unknown,
}

impl TransactionRecord {
    /// Reads a record. Everything in it is copied: it outlives the batch that it came in.
    pub(crate) fn decode(key: &Bytes, value: Option<&Bytes>) -> Result<Self, Error> {
        let number = Reader::new(key.clone()).i16().map_err(Error::Key)?;
        if number != TRANSACTION_LOG {
            return Ok(Self::Unknown);
        }
        let key = TransactionLogKey::from_key_bytes(key.clone()).map_err(Error::Key)?;
        let id = key.transactional_id.detach();
        let Some(value) = value else {
            return Ok(Self::Transaction(id, None));
        };
        let version = Reader::new(value.clone()).i16().map_err(Error::Value)?;
        if !(0..=VALUE_VERSION_MAX).contains(&version) {
            return Ok(Self::Unknown);
        }
        let (value, _) = TransactionLogValue::from_value_bytes(value.clone()).map_err(Error::Value)?;
        Ok(Self::Transaction(id, Some(metadata(&value)?)))
    }
}

/// The record of a transactional id, as a coordinator of this version writes it.
pub(crate) fn encode(
    id: &Utf8Bytes,
    metadata: &TransactionMetadata,
    version: TransactionVersion,
) -> Result<Record, encode::Error> {
    let version = version.log_value_version();
    Ok(Record {
        key: key(id)?,
        value: Some(value(metadata, version).to_value_bytes(version)?),
    })
}

/// The tombstone of a transactional id.
pub(crate) fn tombstone(id: &Utf8Bytes) -> Result<Record, encode::Error> {
    Ok(Record {
        key: key(id)?,
        value: None,
    })
}

fn key(id: &Utf8Bytes) -> Result<Bytes, encode::Error> {
    let key = TransactionLogKey {
        transactional_id: id.clone(),
    };
    key.to_key_bytes()
}

fn value(metadata: &TransactionMetadata, version: i16) -> TransactionLogValue {
    let mut value = TransactionLogValue {
        producer_id: metadata.producer_id.0,
        producer_epoch: metadata.producer_epoch.0,
        transaction_timeout_ms: metadata.timeout_ms,
        transaction_status: metadata.state.id(),
        transaction_partitions: None,
        transaction_last_update_timestamp_ms: metadata.last_update.0,
        transaction_start_timestamp_ms: metadata.start.0,
        ..Default::default()
    };
    if metadata.state != State::Empty {
        value.transaction_partitions = Some(by_topic(&metadata.partitions));
    }
    if version >= 1 {
        value.previous_producer_id = metadata.previous_producer_id.0;
        value.next_producer_id = metadata.next_producer_id.0;
        value.client_transaction_version = metadata.client_version.level().into();
    }
    value
}

fn by_topic(partitions: &BTreeSet<TopicPartition>) -> Vec<PartitionsSchema> {
    let mut topics: Vec<PartitionsSchema> = Vec::new();
    for TopicPartition { topic, partition } in partitions {
        match topics.last_mut() {
            Some(last) if last.topic == *topic => last.partition_ids.push(*partition),
            _ => topics.push(PartitionsSchema {
                topic: topic.clone(),
                partition_ids: vec![*partition],
                ..Default::default()
            }),
        }
    }
    topics
}

fn metadata(value: &TransactionLogValue) -> Result<TransactionMetadata, Error> {
    let status = value.transaction_status;
    let state = State::from_id(status)
        .filter(|state| !matches!(state, State::Dead | State::PrepareEpochFence))
        .ok_or(Error::State(status))?;
    let mut partitions = BTreeSet::new();
    if state != State::Empty {
        for topic in value.transaction_partitions.iter().flatten() {
            let name = topic.topic.clone().detach();
            let numbers = topic.partition_ids.iter();
            partitions.extend(numbers.map(|number| TopicPartition::new(name.clone(), *number)));
        }
    }
    Ok(TransactionMetadata {
        producer_id: ProducerId(value.producer_id),
        previous_producer_id: ProducerId(value.previous_producer_id),
        next_producer_id: ProducerId(value.next_producer_id),
        producer_epoch: ProducerEpoch(value.producer_epoch),
        last_producer_epoch: NO_PRODUCER_EPOCH,
        timeout_ms: value.transaction_timeout_ms,
        state,
        partitions,
        start: Timestamp(value.transaction_start_timestamp_ms),
        last_update: Timestamp(value.transaction_last_update_timestamp_ms),
        client_version: TransactionVersion::from_level(value.client_transaction_version),
    })
}
