//! Bad batches (B27) as a producer's frames bring them to the binary: each is refused with Kafka's code, the log's file stays as it was,
//! and a bomb is not unpacked further than a batch may be.

use forebay_protocol::ErrorCode;
use forebay_records::{
    Attributes, BatchBuilder, BatchHeader, BatchOptions, Compression, CompressionType, HEADER_BYTES, Headers,
    RecordBatch, Timestamp,
};

use crate::process::Hub;
use crate::wire::Wire;

/// What unpacking a bomb may cost.
const BOMB_GROWTH_MAX: u64 = 16 << 20;
/// Zeros that the largest of them stands for.
const BOMB_BYTES: usize = 10 << 30;

/// Of `fuzz/corpus/batch.tsv`, what the list of faults names, with the errors that it may have.
const REFUSED: [(&str, &[ErrorCode]); 14] = [
    ("crc", &[ErrorCode::CorruptMessage]),
    ("magic-0", INVALID),
    ("magic-1", INVALID),
    ("magic-3", &[ErrorCode::CorruptMessage]),
    ("count-negative", INVALID),
    ("count-max", INVALID),
    ("last-offset-too-big", INVALID),
    ("record-length-long", INVALID),
    ("control", INVALID),
    ("codec-7", &[ErrorCode::UnsupportedCompressionType]),
    ("gzip-half", INVALID),
    ("snappy-half", INVALID),
    ("lz4-half", INVALID),
    ("zstd-half", INVALID),
];
const INVALID: &[ErrorCode] = &[ErrorCode::InvalidRecord, ErrorCode::CorruptMessage];

fn corpus() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let byte = |digits: &str, at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal");
    include_str!("../../../fuzz/corpus/batch.tsv")
        .lines()
        .map(move |line| {
            let (name, digits) = line.split_once('\t').expect("a name and bytes");
            let bytes = (0..digits.len()).step_by(2).map(|at| byte(digits, at));
            (name, bytes.collect())
        })
}

fn produce(wire: &mut Wire, topic: &str, bytes: Vec<u8>) -> ErrorCode {
    ErrorCode::from_i16(wire.produce(topic, bytes))
}

fn log(hub: &Hub, topic: &str) -> Vec<u8> {
    let path = hub.partition_dir(topic, 0).join("00000000000000000000.log");
    let mut bytes = std::fs::read(path).unwrap_or_default();
    // Behind its end there are zeros, ahead of time.
    let end = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    bytes.truncate(end);
    bytes
}

/// One record of a second ago.
fn batch(compression: Compression, key: Option<&[u8]>, value: &[u8]) -> RecordBatch {
    let mut builder = BatchBuilder::new(BatchOptions {
        compression,
        ..BatchOptions::default()
    });
    builder
        .append(Timestamp(1_700_000_000_000), key, Some(value), &Headers::EMPTY)
        .expect("it fits");
    builder.build().expect("a batch")
}

/// A header, and a body that it was not made for, under a length and a checksum that are right.
fn resealed(change: impl FnOnce(&mut BatchHeader), body: &[u8]) -> Vec<u8> {
    let mut header = *batch(Compression::NONE, None, b"x").header();
    header.length = i32::try_from(HEADER_BYTES - 12 + body.len()).expect("small");
    change(&mut header);
    let mut bytes = [&header.encode()[..], body].concat();
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// Ten gigabytes of records of a mebibyte of zeros each, in 400 kB of zstd: the head of each record as it is, its value as blocks that
/// say how often a byte comes.
fn zstd_bomb() -> Vec<u8> {
    const VALUE: usize = 1 << 20;
    const BLOCK: usize = 128 << 10;
    let count = BOMB_BYTES / VALUE;
    // No checksum, and a window of 128 KiB.
    let mut body = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38];
    let block = |body: &mut Vec<u8>, kind: usize, size: usize, is_last: bool, bytes: &[u8]| {
        let header = size << 3 | kind << 1 | usize::from(is_last);
        body.extend(&header.to_le_bytes()[..3]);
        body.extend(bytes);
    };
    for number in 0..count {
        let mut inner = vec![0, 0]; // attributes, and no time after the first
        varint(&mut inner, number as i64);
        varint(&mut inner, -1);
        varint(&mut inner, VALUE as i64);
        let mut head = Vec::new();
        varint(&mut head, (inner.len() + VALUE + 1) as i64);
        head.extend(inner);
        block(&mut body, 0, head.len(), false, &head);
        for _ in 0..VALUE / BLOCK {
            block(&mut body, 1, BLOCK, false, &[0]);
        }
        // No headers.
        block(&mut body, 0, 1, number + 1 == count, &[0]);
    }
    let count = i32::try_from(count).expect("some thousands");
    resealed(
        |header| {
            header.attributes = Attributes::new(CompressionType::Zstd);
            (header.count, header.last_offset_delta) = (count, count - 1);
        },
        &body,
    )
}

/// Of either sign, as records have them.
fn varint(bytes: &mut Vec<u8>, number: i64) {
    let mut left = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while left >= 0x80 {
        bytes.push(left.to_le_bytes()[0] | 0x80);
        left >>= 7;
    }
    bytes.push(left.to_le_bytes()[0]);
}

#[test]
fn bad_batches_are_refused_and_leave_the_file_as_it_was() {
    let directory = tempfile::tempdir().expect("a directory");
    let hub = Hub::broker(directory.path());
    let mut wire = Wire::connect(&hub);
    assert_eq!(wire.create_topic("t", 1, &[]), 0);
    let mut refused = Vec::new();
    for (name, bytes) in corpus() {
        // Several are of one producer, and repeat what it has sent.
        assert_eq!(wire.create_topic(name, 1, &[]), 0);
        let code = produce(&mut wire, name, bytes);
        let is_empty = log(&hub, name).is_empty();
        if code == ErrorCode::None {
            assert!(!is_empty, "{name} is answered and not there");
        } else {
            assert!(is_empty, "{name} is refused ({code:?}) and changes the log");
            refused.push((name, code));
        }
    }
    for (name, codes) in REFUSED {
        let code = refused
            .iter()
            .find(|(refused, _)| *refused == name)
            .map(|(_, code)| code);
        assert!(code.is_some_and(|code| codes.contains(code)), "{name}: {code:?}");
    }
    assert_eq!(
        wire.create_topic("compacted", 1, &[("cleanup.policy", "compact")]),
        0
    );
    assert_eq!(wire.create_topic("small", 1, &[("max.message.bytes", "1000")]), 0);
    let value = vec![b'v'; 1000];
    let min = |header: &mut BatchHeader| {
        (header.base_timestamp, header.max_timestamp) = (Timestamp(i64::MIN), Timestamp(i64::MIN));
    };
    let plain = |key: Option<&[u8]>, value| batch(Compression::NONE, key, value).into_bytes().to_vec();
    let body = batch(Compression::NONE, None, b"x").body();
    let cases = [
        ("compacted", plain(None, b"v"), ErrorCode::InvalidRecord),
        ("compacted", plain(Some(b"k"), b"v"), ErrorCode::None),
        ("small", plain(None, &value), ErrorCode::MessageTooLarge),
        ("small", plain(None, b"v"), ErrorCode::None),
    ];
    for (topic, bytes, expected) in cases {
        let before = log(&hub, topic);
        assert_eq!(produce(&mut wire, topic, bytes), expected, "{topic}");
        assert_eq!(log(&hub, topic) == before, expected != ErrorCode::None, "{topic}");
    }
    // A time that cannot be, whatever is said of it: the broker goes on.
    produce(&mut wire, "t", resealed(min, &body));
    assert_eq!(produce(&mut wire, "t", plain(None, b"after")), ErrorCode::None);
}

#[test]
fn bombs_are_not_unpacked_into_memory() {
    let directory = tempfile::tempdir().expect("a directory");
    let hub = Hub::broker(directory.path());
    let mut wire = Wire::connect(&hub);
    assert_eq!(wire.create_topic("t", 1, &[("max.message.bytes", "10000000")]), 0);
    // Everything has been used once, with a frame as large as a bomb's.
    let mut noise = 7_u32;
    let bytes: Vec<u8> = std::iter::repeat_with(|| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.to_be_bytes()[0]
    })
    .take(1 << 20)
    .collect();
    for codec in CompressionType::ALL {
        let whole = batch(Compression::of(codec), None, &bytes);
        assert_eq!(
            produce(&mut wire, "t", whole.into_bytes().to_vec()),
            ErrorCode::None,
            "{codec:?}"
        );
    }
    let before = hub.peak_bytes();
    let bomb = zstd_bomb();
    assert!(bomb.len() < 1 << 20, "{}", bomb.len());
    let code = produce(&mut wire, "t", bomb);
    assert!(
        matches!(
            code,
            ErrorCode::CorruptMessage | ErrorCode::MessageTooLarge | ErrorCode::InvalidRecord
        ),
        "{code:?}"
    );
    // What a batch may unpack to is read through, and not kept.
    let zeros = vec![0; 2 * usize::try_from(BOMB_GROWTH_MAX).expect("small")];
    for codec in CompressionType::ALL
        .into_iter()
        .filter(|codec| *codec != CompressionType::None)
    {
        let packed = batch(Compression::of(codec), None, &zeros).into_bytes().to_vec();
        produce(&mut wire, "t", packed);
    }
    if let (Some(before), Some(after)) = (before, hub.peak_bytes()) {
        let growth = after.saturating_sub(before);
        assert!(growth < BOMB_GROWTH_MAX, "bombs cost {growth} bytes");
    }
}
