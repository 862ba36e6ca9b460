//! The bytes were written by Kafka 4.3.1's `MetadataRecordSerde` and `MessageUtil`.

use super::*;
use crate::Uuid;
use crate::messages::transaction_log_value::PartitionsSchema;
use crate::messages::{
    ClearElrRecord, ConsumerGroupRegularExpressionKey, GroupMetadataKey, OffsetCommitKey, OffsetCommitValue,
    PartitionRecord, TopicRecord,
};

fn hexadecimal(text: &str) -> Bytes {
    let byte = |index| u8::from_str_radix(&text[index..index + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(byte).collect::<Vec<u8>>().into()
}

fn id(high: u64, low: u64) -> Uuid {
    Uuid::from_bytes(((u128::from(high) << 64) | u128::from(low)).to_be_bytes())
}

#[test]
fn metadata_records() {
    let partition = PartitionRecord {
        partition_id: 3,
        topic_id: id(1, 2),
        replicas: vec![1, 2],
        isr: vec![1, 2],
        leader: 1,
        leader_epoch: 4,
        partition_epoch: 5,
        directories: vec![id(7, 8), id(9, 10)],
        ..Default::default()
    };
    let partition_bytes = "0103020000000300000000000000010000000000000002030000000100000002030000000100000002\
        010100000001000000040000000503000000000000000700000000000000080000000000000009000000000000000a00";
    let topic = TopicRecord {
        name: "test".into(),
        topic_id: id(1, 2),
        ..Default::default()
    };
    let clear = ClearElrRecord {
        topic_name: "t".into(),
        ..Default::default()
    };
    let cases: [(MetadataRecord, i16, &str); 3] = [
        (
            topic.into(),
            0,
            "01020005746573740000000000000001000000000000000200",
        ),
        (partition.into(), 2, partition_bytes),
        (clear.into(), 0, "011c00027400"),
    ];
    for (record, version, bytes) in cases {
        let bytes = hexadecimal(bytes);
        assert_eq!(record.to_bytes(version), Ok(bytes.clone()));
        assert_eq!(MetadataRecord::from_bytes(bytes), Ok((record, version)));
    }
}

#[test]
fn metadata_records_that_are_none() {
    let unknown = |what, number| decode::Cause::UnknownType { what, number };
    let cases: [(&[u8], decode::Cause); 5] = [
        (&[0, 2, 0], unknown("metadata record frame version", 0)),
        (&[2, 2, 0], unknown("metadata record frame version", 2)),
        (&[1, 99, 0], unknown("MetadataRecord", 99)),
        (&[1, 0xff, 0xff, 0x03, 0], unknown("metadata record type", 65535)),
        (
            &[1, 8, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0],
            decode::Cause::TrailingBytes { left: 1 },
        ),
    ];
    for (bytes, cause) in cases {
        let error = MetadataRecord::from_bytes(Bytes::from_static(bytes)).expect_err("refused");
        assert_eq!(*error.cause(), cause, "{bytes:x?}");
    }
}

#[test]
fn group_keys() {
    let group = || "group".into();
    let cases: [(GroupRecordKey, &str); 3] = [
        (
            OffsetCommitKey {
                group: group(),
                topic: "topic".into(),
                partition: 7,
            }
            .into(),
            "0001000567726f75700005746f70696300000007",
        ),
        (GroupMetadataKey { group: group() }.into(), "0002000567726f7570"),
        (
            ConsumerGroupRegularExpressionKey {
                group_id: group(),
                regular_expression: "a.*".into(),
            }
            .into(),
            "0010000567726f75700003612e2a",
        ),
    ];
    for (key, bytes) in cases {
        let bytes = hexadecimal(bytes);
        assert_eq!(key.to_bytes(), Ok(bytes.clone()));
        assert_eq!(GroupRecordKey::from_bytes(bytes), Ok(key));
    }
    // The member of a share group, which this crate leaves out.
    let error = GroupRecordKey::from_bytes(hexadecimal("000a00016700016d"));
    let cause = decode::Cause::UnknownType {
        what: "GroupRecordKey",
        number: 10,
    };
    assert_eq!(*error.expect_err("refused").cause(), cause);
}

#[test]
fn group_values() {
    let value = |leader_epoch| -> GroupRecordValue {
        OffsetCommitValue {
            offset: 42,
            leader_epoch,
            metadata: "m".into(),
            commit_timestamp: 1_234_567_890_123,
            ..Default::default()
        }
        .into()
    };
    // Versions 0 to 2 drop the leader epoch.
    let cases = [
        (0, -1, "0000000000000000002a00016d0000011f71fb04cb"),
        (
            1,
            -1,
            "0001000000000000002a00016d0000011f71fb04cbffffffffffffffff",
        ),
        (2, -1, "0002000000000000002a00016d0000011f71fb04cb"),
        (3, 3, "0003000000000000002a0000000300016d0000011f71fb04cb"),
        (4, 3, "0004000000000000002a00000003026d0000011f71fb04cb00"),
    ];
    for (version, leader_epoch, bytes) in cases {
        let bytes = hexadecimal(bytes);
        assert_eq!(value(3).to_bytes(version), Ok(bytes.clone()), "{version}");
        let record_type = value(3).record_type();
        assert_eq!(
            GroupRecordValue::from_bytes(record_type, bytes),
            Ok((value(leader_epoch), version))
        );
    }
    assert_eq!((value(3).record_type(), value(3).highest_version()), (1, 4));
}

#[test]
fn transactions() {
    let key = TransactionLogKey {
        transactional_id: "tid".into(),
    };
    let bytes = hexadecimal("00000003746964");
    assert_eq!(key.to_key_bytes(), Ok(bytes.clone()));
    assert_eq!(TransactionLogKey::from_key_bytes(bytes), Ok(key));
    assert!(TransactionLogKey::from_key_bytes(hexadecimal("00010003746964")).is_err());

    let partitions = PartitionsSchema {
        topic: "t".into(),
        partition_ids: vec![0, 1],
        ..Default::default()
    };
    let value = TransactionLogValue {
        producer_id: 9,
        producer_epoch: 1,
        transaction_timeout_ms: 60_000,
        transaction_status: 1,
        transaction_partitions: Some(vec![partitions]),
        transaction_last_update_timestamp_ms: 5,
        transaction_start_timestamp_ms: 4,
        ..Default::default()
    };
    let cases = [
        (
            0,
            "0000000000000000000900010000ea60010000000100017400000002000000000000000100000000000000050000000000000004",
        ),
        (
            1,
            "0001000000000000000900010000ea6001020274030000000000000001000000000000000005000000000000000400",
        ),
    ];
    for (version, bytes) in cases {
        let bytes = hexadecimal(bytes);
        assert_eq!(value.to_value_bytes(version), Ok(bytes.clone()));
        assert_eq!(
            TransactionLogValue::from_value_bytes(bytes),
            Ok((value.clone(), version))
        );
    }
}
