use bytes::Bytes;

use super::*;
use crate::Message as _;
use crate::messages::{
    ApiVersionsResponse, FetchRequest, HeartbeatRequest, MetadataRequest, RequestHeader, TopicRecord,
};
use crate::tagged_fields::UNKNOWN_TAGS_MAX;

fn reader(bytes: &[u8]) -> Reader {
    Reader::new(Bytes::copy_from_slice(bytes))
}

#[test]
fn unsigned_varints() {
    let cases: [(&[u8], Option<u32>); 9] = [
        (&[0], Some(0)),
        (&[0x7f], Some(127)),
        (&[0x80, 0x01], Some(128)),
        (&[0xff, 0xff, 0xff, 0xff, 0x0f], Some(u32::MAX)),
        // As long as need not be, which Java reads as well.
        (&[0x80, 0x00], Some(0)),
        (&[0xff, 0xff, 0xff, 0xff, 0x1f], None),
        (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00], None),
        (&[0x80], None),
        (&[], None),
    ];
    for (bytes, value) in cases {
        assert_eq!(reader(bytes).unsigned_varint().ok(), value, "{bytes:x?}");
    }
}

#[test]
fn strings_are_slices_of_the_frame() {
    let frame = Bytes::from_static(b"\x00\x03abc\x04def");
    let mut reader = Reader::new(frame.clone());
    let classic = reader.string("classic", false).expect("whole");
    let flexible = reader.string("flexible", true).expect("whole");
    assert_eq!((classic.as_str(), flexible.as_str()), ("abc", "def"));
    assert_eq!(classic.as_bytes().as_ptr(), frame[2..].as_ptr());
    assert_eq!(reader.finish(), Ok(()));
}

#[test]
fn bad_strings_are_refused() {
    let cases: [(&[u8], bool, Cause); 5] = [
        (b"\x00\x02\xc3\x28", false, Cause::NotUtf8 { field: "name" }),
        (b"\xff\xff", false, Cause::Null { field: "name" }),
        (b"\x00", true, Cause::Null { field: "name" }),
        (
            b"\x00\x05abcd",
            false,
            Cause::Length {
                field: "name",
                length: 5,
                left: 4,
            },
        ),
        // One more than a Java short holds.
        (
            b"\x81\x80\x02",
            true,
            Cause::StringTooLong {
                field: "name",
                length: 0x8000,
            },
        ),
    ];
    for (bytes, flexible, cause) in cases {
        let error = reader(bytes).string("name", flexible).expect_err("refused");
        assert_eq!(*error.cause(), cause, "{bytes:x?}");
    }
}

#[test]
fn counts_are_checked_before_anything_is_allocated() {
    // Three elements of four bytes, eleven bytes left.
    let bytes = [&[0, 0, 0, 3][..], &[0; 11]].concat();
    let error = reader(&bytes)
        .array("ids", false, 4, Reader::i32)
        .expect_err("refused");
    assert_eq!(
        *error.cause(),
        Cause::Count {
            field: "ids",
            count: 3,
            left: 11
        }
    );
    let bytes = [&[0, 0, 0, 3][..], &[0; 12]].concat();
    assert_eq!(reader(&bytes).array("ids", false, 4, Reader::i32), Ok(vec![0; 3]));
}

#[test]
fn empty_strings_may_not_blow_up_a_long_frame() {
    // An empty string is one byte of the frame, and thirty-two of memory.
    let frame = |count: u16| {
        let mut bytes = vec![0, 0];
        bytes.extend_from_slice(&count.to_be_bytes());
        bytes.resize(bytes.len() + usize::from(count), 1);
        reader(&bytes)
    };
    let strings = |count| {
        frame(count)
            .array("names", false, 1, |reader| reader.string("names", true))
            .map(|names| names.len())
    };
    let fitting = u16::try_from(MEMORY_FLOOR_BYTES / size_of::<Utf8Bytes>()).expect("2048");
    assert_eq!(strings(fitting), Ok(usize::from(fitting)));
    let error = strings(fitting + 1)
        .map(|_| ())
        .and(strings(u16::MAX))
        .expect_err("refused");
    assert!(
        matches!(error.cause(), Cause::Memory { field: "names", .. }),
        "{error}"
    );
}

#[test]
fn nulls_are_for_the_versions_that_have_them() {
    // Metadata: all topics are an empty list at version 0, and null from 1 on.
    let null = Bytes::from_static(&[0xff; 4]);
    let error = MetadataRequest::from_bytes(null.clone(), 0).expect_err("refused");
    assert_eq!(*error.cause(), Cause::Null { field: "topics" });
    assert_eq!(MetadataRequest::from_bytes(null, 1).expect("read").topics, None);
}

#[test]
fn errors_say_which_message_and_where() {
    let error =
        HeartbeatRequest::from_bytes(Bytes::from_static(b"\x00\x01g\x00\x00"), 3).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "HeartbeatRequest version 3 at byte 3: the message ends early: 4 bytes are needed, 2 are left"
    );
    let error = HeartbeatRequest::from_bytes(Bytes::new(), 5).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "HeartbeatRequest version 5 at byte 0: unsupported version; versions 0 to 4 are supported"
    );
    let error = RequestHeader::from_bytes(Bytes::from_static(&[0; 11]), 1).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "RequestHeader version 1 at byte 10: 1 bytes are left over"
    );
}

/// A TopicRecord with an empty name and these tagged fields.
fn topic_record(tagged: &[u8]) -> Bytes {
    Bytes::from([&[1][..], &[0; 16], tagged].concat())
}

#[test]
fn unknown_tagged_fields_are_kept_and_written_back_by_rising_tag() {
    let record = TopicRecord::from_bytes(topic_record(b"\x02\x09\x02hi\x04\x00"), 0).expect("read");
    let fields: Vec<_> = record
        .unknown_tagged_fields
        .iter()
        .map(|(tag, value)| (tag, &value[..]))
        .collect();
    assert_eq!(fields, [(4, &b""[..]), (9, &b"hi"[..])]);
    assert_eq!(record.to_bytes(0), Ok(topic_record(b"\x02\x04\x00\x09\x02hi")));
}

#[test]
fn unknown_tagged_fields_are_bounded() {
    let tags = |count: u8| {
        let mut tagged = vec![count];
        for tag in 0..count {
            tagged.extend_from_slice(&[tag, 0]);
        }
        TopicRecord::from_bytes(topic_record(&tagged), 0)
    };
    let bound = u8::try_from(UNKNOWN_TAGS_MAX).expect("64");
    assert_eq!(
        tags(bound).expect("read").unknown_tagged_fields.len(),
        UNKNOWN_TAGS_MAX
    );
    assert_eq!(*tags(bound + 1).expect_err("refused").cause(), Cause::TooManyTags);
    let error = TopicRecord::from_bytes(topic_record(b"\x02\x07\x00\x07\x00"), 0).expect_err("refused");
    assert_eq!(*error.cause(), Cause::TagRepeated { tag: 7 });
}

#[test]
fn tagged_fields_stay_within_their_length() {
    // ApiVersions version 3: error code, no APIs, no throttling, then finalizedFeaturesEpoch, tag 1, of eight bytes.
    let response = |tagged: &[u8]| {
        ApiVersionsResponse::from_bytes(Bytes::from([&[0, 0, 1, 0, 0, 0, 0][..], tagged].concat()), 3)
    };
    let epoch = response(b"\x01\x01\x08\0\0\0\0\0\0\0\x05")
        .expect("read")
        .finalized_features_epoch;
    assert_eq!(epoch, 5);
    let short = response(b"\x01\x01\x07\0\0\0\0\0\0\0\x05").expect_err("refused");
    assert_eq!(*short.cause(), Cause::Truncated { needed: 8, left: 7 });
    let long = response(b"\x01\x01\x09\0\0\0\0\0\0\0\x05\0").expect_err("refused");
    assert_eq!(*long.cause(), Cause::TagLength { tag: 1, left: 1 });
}

#[test]
fn tags_of_later_versions_are_refused() {
    // Tag 1 of a FetchRequest, the replica state, came with version 15.
    let request = FetchRequest {
        isolation_level: 1,
        ..Default::default()
    }
    .to_bytes(14)
    .expect("written");
    let mut bytes = request.to_vec();
    assert_eq!(bytes.pop(), Some(0), "no tagged fields");
    bytes.extend_from_slice(&[1, 1, 0]);
    let error = FetchRequest::from_bytes(bytes.into(), 14).expect_err("refused");
    assert_eq!(*error.cause(), Cause::TagNotInVersion { tag: 1 });
}
