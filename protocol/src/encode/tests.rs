use std::path::Path;

use bytes::Bytes;
use forebay_disk::{Disk as _, MemoryDisk, OpenOptions};

use super::*;
use crate::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use crate::messages::{
    FetchResponse, FindCoordinatorRequest, MetadataRequest, OffsetFetchRequest, ProduceRequest, TopicRecord,
};
use crate::{FileRange, Message as _};

#[test]
fn unsigned_varints() {
    let cases: [(u32, &[u8]); 5] = [
        (0, &[0]),
        (127, &[0x7f]),
        (128, &[0x80, 0x01]),
        (300, &[0xac, 0x02]),
        (u32::MAX, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
    ];
    for (value, bytes) in cases {
        let mut writer = Writer::new();
        writer.unsigned_varint(value);
        assert_eq!(writer.finish_bytes(), Ok(Bytes::from_static(bytes)));
    }
}

#[test]
fn fields_that_a_version_lacks() {
    // Not ignorable: refused once set.
    let request = FindCoordinatorRequest {
        key_type: 1,
        ..Default::default()
    };
    let error = request.to_bytes(0).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "FindCoordinatorRequest version 0: keyType is set, but does not exist at this version"
    );
    assert!(FindCoordinatorRequest::default().to_bytes(0).is_ok());
    assert!(request.to_bytes(1).is_ok());
    // Ignorable: dropped.
    let response = FetchResponse {
        throttle_time_ms: 1,
        error_code: 7,
        ..Default::default()
    };
    assert_eq!(
        response.to_bytes(4),
        Ok(Bytes::from_static(&[0, 0, 0, 1, 0, 0, 0, 0]))
    );
    // Those within a structure are named with it.
    let mut partition = PartitionData {
        preferred_read_replica: 3,
        ..Default::default()
    };
    partition
        .unknown_tagged_fields
        .insert(99, Bytes::new())
        .expect("the first");
    let topic = FetchableTopicResponse {
        partitions: vec![partition],
        ..Default::default()
    };
    let response = FetchResponse {
        responses: vec![topic],
        ..Default::default()
    };
    let error = response.to_bytes(10).expect_err("refused");
    assert_eq!(
        error.cause,
        Cause::Absent {
            field: "PartitionData.preferredReadReplica"
        }
    );
    let error = response.to_bytes(11).expect_err("refused");
    assert_eq!(
        error.cause,
        Cause::Absent {
            field: "unknown tagged fields"
        }
    );
    assert!(response.to_bytes(12).is_ok());
}

#[test]
fn nulls_are_for_the_versions_that_have_them() {
    let all = MetadataRequest {
        topics: None,
        ..Default::default()
    };
    let error = all.to_bytes(0).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "MetadataRequest version 0: topics is null, which it may not be at this version"
    );
    assert!(all.to_bytes(1).is_ok());
    let all = OffsetFetchRequest {
        group_id: "g".into(),
        topics: None,
        ..Default::default()
    };
    assert_eq!(
        all.to_bytes(1).expect_err("refused").cause,
        Cause::Null { field: "topics" }
    );
    assert_eq!(
        all.to_bytes(2),
        Ok(Bytes::from_static(b"\x00\x01g\xff\xff\xff\xff"))
    );
}

#[test]
fn unsupported_versions_are_refused() {
    for version in [2, 14, -1, i16::MAX] {
        let error = ProduceRequest::default().to_bytes(version).expect_err("refused");
        assert_eq!(
            error.cause,
            Cause::Version {
                lowest: 3,
                highest: 13
            },
            "{version}"
        );
    }
}

#[test]
fn strings_have_a_bound() {
    let request = |length: usize| FindCoordinatorRequest {
        key: "x".repeat(length).into(),
        ..Default::default()
    };
    for version in [2, 3] {
        assert!(request(STRING_BYTES_MAX).to_bytes(version).is_ok(), "{version}");
        let error = request(STRING_BYTES_MAX + 1)
            .to_bytes(version)
            .expect_err("refused");
        assert_eq!(
            error.cause,
            Cause::TooLong {
                field: "key",
                length: STRING_BYTES_MAX + 1
            },
            "{version}"
        );
    }
}

#[test]
fn unknown_tags_may_not_be_known_ones() {
    let mut response = FetchResponse::default();
    response
        .unknown_tagged_fields
        .insert(0, Bytes::new())
        .expect("the first");
    assert_eq!(
        response.to_bytes(16).expect_err("refused").cause,
        Cause::TagTaken { tag: 0 }
    );
}

/// A response with these records, each in a partition of its own.
fn response(records: Vec<Option<Records>>) -> FetchResponse {
    let partitions = records
        .into_iter()
        .map(|records| PartitionData {
            records,
            ..Default::default()
        })
        .collect();
    let topic = FetchableTopicResponse {
        topic: "t".into(),
        partitions,
        ..Default::default()
    };
    FetchResponse {
        responses: vec![topic],
        ..Default::default()
    }
}

#[test]
fn large_records_are_not_copied() {
    let small = Bytes::from(vec![1; COPIED_BYTES_MAX]);
    let large = Bytes::from(vec![2; COPIED_BYTES_MAX + 1]);
    let response = response(vec![
        Some(Records::Memory(small.clone())),
        Some(Records::Memory(large.clone())),
        None,
        Some(Records::Chunks(vec![
            Chunk::Bytes(large.clone()),
            Chunk::Bytes(small),
        ])),
    ]);
    let mut writer = Writer::framed();
    response.encode(&mut writer, 12).expect("written");
    let length = writer.len();
    let chunks = writer.finish().expect("short enough");
    let uncopied = chunks
        .iter()
        .filter(|chunk| matches!(chunk, Chunk::Bytes(bytes) if bytes.as_ptr() == large.as_ptr()));
    assert_eq!((chunks.len(), uncopied.count()), (5, 2));
    // Together they are the frame, and what is behind its length is the message.
    assert_eq!(chunks.iter().map(Chunk::len).sum::<usize>(), length);
    let mut frame = Vec::new();
    for chunk in chunks {
        let Chunk::Bytes(bytes) = chunk else {
            panic!("no file is involved")
        };
        frame.extend_from_slice(&bytes);
    }
    assert_eq!(
        frame[..4],
        u32::try_from(length - 4).expect("short").to_be_bytes()
    );
    let read = FetchResponse::from_bytes(Bytes::from(frame).slice(4..), 12).expect("read");
    let lengths: Vec<_> = read.responses[0]
        .partitions
        .iter()
        .map(|partition| partition.records.as_ref().map(Records::len))
        .collect();
    assert_eq!(lengths, [Some(1024), Some(1025), None, Some(2049)]);
    assert_eq!(read.to_bytes(12), response.to_bytes(12));
}

#[test]
fn records_in_files_stay_there() {
    let disk = MemoryDisk::default();
    let file = disk
        .open(Path::new("segment"), OpenOptions::create())
        .expect("it is only memory");
    let range = FileRange {
        file,
        position: 100,
        length: 5000,
    };
    let response = response(vec![
        Some(Records::File(range.clone())),
        Some(Records::Memory(Bytes::new())),
    ]);
    let mut writer = Writer::framed();
    response.encode(&mut writer, 18).expect("written");
    assert!(writer.len() > 5000);
    let chunks = writer.finish().expect("short enough");
    let [Chunk::Bytes(before), Chunk::File(between), Chunk::Bytes(_)] = &chunks[..] else {
        panic!("{chunks:?}");
    };
    assert_eq!(*between, range);
    // Its length stands before it: 5001 as a variable-length number.
    assert_eq!(before[before.len() - 2..], [0x89, 0x27]);
    assert_eq!(response.to_bytes(18).expect_err("refused").cause, Cause::InFile);
}

#[test]
fn lengths_of_tagged_fields_move_what_is_behind_them() {
    let large = Bytes::from(vec![7; 5000]);
    let mut writer = Writer::new();
    writer
        .tagged_field(3, |writer| {
            writer.i8(1);
            writer.bytes("large", &large, true)?;
            writer.tagged_field(4, |writer| {
                writer.i8(2);
                Ok(())
            })
        })
        .expect("written");
    writer.i8(9);
    let expected = [&[3, 0x8e, 0x27, 1, 0x89, 0x27][..], &large, &[4, 1, 2, 9]].concat();
    assert_eq!(writer.finish_bytes(), Ok(expected.into()));
}

#[test]
fn empty_messages_are_one_piece() {
    let mut writer = Writer::new();
    TopicRecord::default().encode(&mut writer, 0).expect("written");
    assert_eq!(writer.finish().map(|chunks| chunks.len()), Ok(1));
    assert_eq!(Writer::new().finish_bytes(), Ok(Bytes::new()));
}
