//! The records of `__consumer_offsets` in our own words, from and to Kafka's keys and values. We write what Kafka 4.3.1 writes and
//! read what any Kafka has written.

use bytes::Bytes;
use forebay_protocol::internal_record::{GroupRecordKey, GroupRecordValue};
use forebay_protocol::messages::group_metadata_value::MemberMetadata as MemberValue;
use forebay_protocol::messages::{
    GroupMetadataKey, GroupMetadataValue, LegacyOffsetCommitValue, OffsetCommitKey, OffsetCommitValue,
};
use forebay_protocol::{Reader, Utf8Bytes, decode, encode};
use forebay_records::{LeaderEpoch, Offset, Timestamp};

use crate::Record;
use crate::classic::{GroupMetadata, MemberMetadata};
use crate::consumer::{self, ConsumerKey, ConsumerValue};
use crate::offset::{OffsetAndMetadata, OffsetKey};

/// The first version of `OffsetCommitValue` that Kafka 4.3.1 writes for an offset without a retention time of its own.
const OFFSET_COMMIT_VALUE_VERSION: i16 = 4;
/// The only version of `OffsetCommitValue` that can carry the retention time of an old client.
const OFFSET_COMMIT_VALUE_VERSION_WITH_EXPIRY: i16 = 1;
/// The highest version of `GroupMetadataValue` that is not flexible, which is what Kafka 4.3.1 writes.
const GROUP_METADATA_VALUE_VERSION: i16 = 3;

/// The type of record (the version of a key) that keeps what a consumer group's regular expression means; 3 to 8 are its others.
const CONSUMER_GROUP_REGULAR_EXPRESSION: i16 = 16;
/// Types of records that say that a group of another type exists.
const SHARE_GROUP_METADATA: i16 = 11;
const STREAMS_GROUP_METADATA: i16 = 17;

/// A record that cannot be read. Nothing of it was applied.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The batch around the records is damaged.
    #[error("a batch of __consumer_offsets cannot be read: {0}")]
    Batch(#[from] forebay_records::Error),
    /// A record without a key: nothing can be meant by it.
    #[error("a record of __consumer_offsets has no key")]
    NoKey,
    /// The key is none of its type.
    #[error("the key of a record of __consumer_offsets is malformed: {0}")]
    Key(#[source] decode::Error),
    /// The value is none of its key's type, or of a version that is newer than this broker.
    #[error("the value of a record of __consumer_offsets is malformed: {0}")]
    Value(#[source] decode::Error),
}

/// What a record says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum CoordinatorRecord {
    /// A committed offset; `None`: there is none any more.
    Offset(OffsetKey, Option<OffsetAndMetadata>),
    /// A classic group; `None`: there is none any more.
    Group(Utf8Bytes, Option<GroupMetadata>),
    /// A part of a consumer group; `None`: there is none any more.
    Consumer(ConsumerKey, Option<ConsumerValue>),
    /// A group of another type, which this coordinator does not serve, exists or does no more.
    OtherGroup { id: Utf8Bytes, exists: bool },
    /// Some other part of a group of another type, or a type that we do not know.
    Unknown,
}

impl CoordinatorRecord {
    /// Reads a record. Everything in it is copied: it outlives the batch that it came in.
    pub(crate) fn decode(key: &Bytes, value: Option<&Bytes>) -> Result<Self, Error> {
        let record_type = Reader::new(key.clone()).i16().map_err(Error::Key)?;
        match record_type {
            0..=8 | CONSUMER_GROUP_REGULAR_EXPRESSION => {}
            SHARE_GROUP_METADATA | STREAMS_GROUP_METADATA => {
                let mut reader = Reader::new(key.slice(2..));
                let id = reader.string("groupId", false).map_err(Error::Key)?.detach();
                return Ok(Self::OtherGroup {
                    id,
                    exists: value.is_some(),
                });
            }
            _ => return Ok(Self::Unknown),
        }
        let key = GroupRecordKey::from_bytes(key.clone()).map_err(Error::Key)?;
        let value = value
            .map(|value| GroupRecordValue::from_bytes(record_type, value.clone()))
            .transpose();
        let value = value.map_err(Error::Value)?.map(|(value, _)| value);
        if let Some(key) = consumer::decode_key(&key) {
            return Ok(Self::Consumer(
                key,
                value.as_ref().and_then(consumer::decode_value),
            ));
        }
        Ok(match (key, value) {
            (GroupRecordKey::OffsetCommit(key), Some(GroupRecordValue::OffsetCommit(value))) => Self::Offset(
                offset_key(&key.group, &key.topic, key.partition),
                Some(committed_offset(&value)),
            ),
            (GroupRecordKey::OffsetCommit(key), None) => {
                Self::Offset(offset_key(&key.group, &key.topic, key.partition), None)
            }
            (GroupRecordKey::LegacyOffsetCommit(key), Some(GroupRecordValue::LegacyOffsetCommit(value))) => {
                Self::Offset(
                    offset_key(&key.group, &key.topic, key.partition),
                    Some(legacy_offset(&value)),
                )
            }
            (GroupRecordKey::LegacyOffsetCommit(key), None) => {
                Self::Offset(offset_key(&key.group, &key.topic, key.partition), None)
            }
            (GroupRecordKey::GroupMetadata(key), Some(GroupRecordValue::GroupMetadata(value))) => {
                Self::Group(key.group.detach(), Some(group_metadata(&value)))
            }
            (GroupRecordKey::GroupMetadata(key), None) => Self::Group(key.group.detach(), None),
            _ => Self::Unknown,
        })
    }

    /// Writes a record.
    ///
    /// # Panics
    /// For records of other groups, which nobody here decides.
    pub(crate) fn encode(&self) -> Result<Record, encode::Error> {
        match self {
            Self::Offset(key, offset) => {
                let key = GroupRecordKey::OffsetCommit(OffsetCommitKey {
                    group: key.group.clone(),
                    topic: key.topic.clone(),
                    partition: key.partition,
                });
                let value = offset.as_ref().map(encode_offset).transpose()?;
                Ok(Record {
                    key: key.to_bytes()?,
                    value,
                })
            }
            Self::Group(id, metadata) => {
                let key = GroupRecordKey::GroupMetadata(GroupMetadataKey { group: id.clone() });
                let value = metadata.as_ref().map(encode_group).transpose()?;
                Ok(Record {
                    key: key.to_bytes()?,
                    value,
                })
            }
            Self::Consumer(key, value) => consumer::encode(key, value.as_ref()),
            Self::OtherGroup { .. } | Self::Unknown => unreachable!("only read, never decided"),
        }
    }
}

fn offset_key(group: &Utf8Bytes, topic: &Utf8Bytes, partition: i32) -> OffsetKey {
    OffsetKey {
        group: group.detach(),
        topic: topic.detach(),
        partition,
    }
}

fn timestamp(milliseconds: i64) -> Option<Timestamp> {
    (milliseconds != -1).then_some(Timestamp(milliseconds))
}

fn committed_offset(value: &OffsetCommitValue) -> OffsetAndMetadata {
    OffsetAndMetadata {
        offset: Offset(value.offset),
        leader_epoch: (value.leader_epoch != -1).then_some(LeaderEpoch(value.leader_epoch)),
        metadata: value.metadata.detach(),
        commit_timestamp: Timestamp(value.commit_timestamp),
        expire_timestamp: timestamp(value.expire_timestamp),
        topic_id: value.topic_id,
    }
}

fn legacy_offset(value: &LegacyOffsetCommitValue) -> OffsetAndMetadata {
    OffsetAndMetadata {
        offset: Offset(value.offset),
        leader_epoch: None,
        metadata: value.metadata.detach(),
        commit_timestamp: Timestamp(value.commit_timestamp),
        expire_timestamp: None,
        topic_id: forebay_protocol::Uuid::ZERO,
    }
}

fn encode_offset(offset: &OffsetAndMetadata) -> Result<Bytes, encode::Error> {
    let value = OffsetCommitValue {
        offset: offset.offset.0,
        leader_epoch: offset.leader_epoch.map_or(-1, |epoch| epoch.0),
        metadata: offset.metadata.clone(),
        commit_timestamp: offset.commit_timestamp.0,
        expire_timestamp: offset.expire_timestamp.map_or(-1, |expiry| expiry.0),
        topic_id: offset.topic_id,
        ..Default::default()
    };
    let version = match offset.expire_timestamp {
        Some(_) => OFFSET_COMMIT_VALUE_VERSION_WITH_EXPIRY,
        None => OFFSET_COMMIT_VALUE_VERSION,
    };
    GroupRecordValue::OffsetCommit(value).to_bytes(version)
}

fn group_metadata(value: &GroupMetadataValue) -> GroupMetadata {
    let text = |text: &Utf8Bytes| (!text.is_empty()).then(|| text.detach());
    let members = value.members.iter().map(|member| MemberMetadata {
        id: member.member_id.detach(),
        instance_id: member.group_instance_id.as_ref().map(Utf8Bytes::detach),
        client_id: member.client_id.detach(),
        client_host: member.client_host.detach(),
        // Records of version 0 have none: the session timeout was both.
        rebalance_timeout_ms: match member.rebalance_timeout {
            -1 => member.session_timeout,
            timeout => timeout,
        },
        session_timeout_ms: member.session_timeout,
        subscription: Bytes::copy_from_slice(&member.subscription),
        assignment: Bytes::copy_from_slice(&member.assignment),
    });
    GroupMetadata {
        protocol_type: text(&value.protocol_type),
        generation: value.generation,
        protocol: value.protocol.as_ref().map(Utf8Bytes::detach),
        leader: value.leader.as_ref().map(Utf8Bytes::detach),
        state_timestamp: timestamp(value.current_state_timestamp),
        members: members.collect(),
    }
}

fn encode_group(metadata: &GroupMetadata) -> Result<Bytes, encode::Error> {
    let members = metadata.members.iter().map(|member| MemberValue {
        member_id: member.id.clone(),
        group_instance_id: member.instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        rebalance_timeout: member.rebalance_timeout_ms,
        session_timeout: member.session_timeout_ms,
        subscription: member.subscription.clone(),
        assignment: member.assignment.clone(),
        ..Default::default()
    });
    let value = GroupMetadataValue {
        protocol_type: metadata.protocol_type.clone().unwrap_or_default(),
        generation: metadata.generation,
        protocol: metadata.protocol.clone(),
        leader: metadata.leader.clone(),
        current_state_timestamp: metadata.state_timestamp.map_or(-1, |timestamp| timestamp.0),
        members: members.collect(),
        ..Default::default()
    };
    GroupRecordValue::GroupMetadata(value).to_bytes(GROUP_METADATA_VALUE_VERSION)
}
