//! Batches that no producer sends (faults B27): each is refused with Kafka's code, and the log stays as it was.

use forebay_protocol::messages::produce_response::PartitionProduceResponse;
use forebay_records::{Attributes, BatchHeader, Compression, CompressionType, HEADER_BYTES};

use super::*;

/// A batch with a changed header, sealed again with its right checksum.
fn altered(alter: impl FnOnce(&mut BatchHeader)) -> Option<Vec<u8>> {
    let good = batch(&["a", "b"]);
    let mut header = *good.header();
    alter(&mut header);
    Some(resealed(&header, &good.body()))
}

fn resealed(header: &BatchHeader, body: &[u8]) -> Vec<u8> {
    let mut bytes = header.encode().to_vec();
    bytes.extend_from_slice(body);
    let length = i32::try_from(bytes.len() - 12).expect("small");
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = RecordBatch::new(bytes.clone().into()).map_or(0, |batch| batch.compute_crc());
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn compressed(codec: CompressionType, body: &[u8], count: i32) -> Vec<u8> {
    let mut header = *batch(&["x"]).header();
    header.attributes = Attributes::new(codec);
    header.count = count;
    header.last_offset_delta = count - 1;
    resealed(&header, body)
}

async fn produce_bytes(
    broker: &TestBroker,
    topic: &str,
    records: Option<Vec<u8>>,
) -> PartitionProduceResponse {
    let records = records.map(|bytes| Records::Memory(bytes.into()));
    let mut response = broker.call(9, produce_request(topic, 0, -1, records)).await;
    response.responses.remove(0).partition_responses.remove(0)
}

type Case = (&'static str, Option<Vec<u8>>, ErrorCode);

fn bad_bytes() -> Vec<Case> {
    let (corrupt, invalid) = (ErrorCode::CorruptMessage, ErrorCode::InvalidRecord);
    let good = batch(&["a"]).into_bytes();
    let with_byte = |at: usize, byte: u8| Some([&good[..at], &[byte], &good[at + 1..]].concat());
    let with_length = |length: i32| Some([&good[..8], &length.to_be_bytes(), &good[12..]].concat());
    vec![
        ("no records", None, invalid),
        ("empty records", Some(Vec::new()), invalid),
        (
            "wrong crc",
            with_byte(HEADER_BYTES, good[HEADER_BYTES] ^ 1),
            corrupt,
        ),
        ("magic 0", with_byte(16, 0), invalid),
        ("magic 1", with_byte(16, 1), invalid),
        ("magic 3", with_byte(16, 3), corrupt),
        ("magic -1", with_byte(16, 0xff), corrupt),
        ("length 0", with_length(0), corrupt),
        ("length -1", with_length(-1), corrupt),
        ("cut off", Some(good[..HEADER_BYTES].to_vec()), invalid),
        ("two batches", Some([&good[..], &good[..]].concat()), invalid),
    ]
}

fn bad_headers() -> Vec<Case> {
    let invalid = ErrorCode::InvalidRecord;
    let counts = |count, last_offset_delta| {
        altered(|header| (header.count, header.last_offset_delta) = (count, last_offset_delta))
    };
    let attributes = |attributes| altered(|header| header.attributes = attributes);
    let transactional = BatchOptions {
        transactional: true,
        ..idempotent_options(5)
    };
    vec![
        ("count -1", counts(-1, 1), invalid),
        ("count 0", counts(0, 1), invalid),
        ("count above the records", counts(3, 2), invalid),
        ("count below the records", counts(1, 0), invalid),
        ("last offset delta", counts(2, 7), invalid),
        (
            "base offset 5",
            altered(|header| header.base_offset = forebay_records::Offset(5)),
            invalid,
        ),
        (
            "control batch",
            attributes(Attributes(0).with_control(true)),
            invalid,
        ),
        (
            "unknown codec",
            attributes(Attributes(7)),
            ErrorCode::UnsupportedCompressionType,
        ),
        (
            "no sequence",
            Some(idempotent(5, 0, -1, &["a"]).into_bytes().to_vec()),
            invalid,
        ),
        (
            "transactional",
            Some(batch_of(transactional, &["a"]).into_bytes().to_vec()),
            ErrorCode::TransactionalIdAuthorizationFailed,
        ),
    ]
}

fn bad_compression() -> impl Iterator<Item = Case> {
    let codecs = CompressionType::ALL
        .into_iter()
        .filter(|codec| *codec != CompressionType::None);
    codecs.map(|codec| {
        (
            codec.name(),
            Some(compressed(codec, b"garbage", 1)),
            ErrorCode::CorruptMessage,
        )
    })
}

#[tokio::test]
async fn bad_batches_are_refused_and_leave_the_log_as_it_was() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    broker.produce("t", 0, -1, batch(&["first"])).await;
    for (name, records, expected) in bad_bytes()
        .into_iter()
        .chain(bad_headers())
        .chain(bad_compression())
    {
        let answer = produce_bytes(&broker, "t", records).await;
        assert_eq!(
            ErrorCode::from_i16(answer.error_code),
            expected,
            "{name}: {:?}",
            answer.error_message
        );
        assert_eq!(answer.base_offset, -1, "{name}");
    }
    assert_eq!(broker.values("t", 0, 0).await, ["first"]);
    let broker = broker.crash_and_restart().await;
    assert_eq!(broker.values("t", 0, 0).await, ["first"]);
}

fn idempotent_options(id: i64) -> BatchOptions {
    let producer = ProducerIdentity {
        id: id.into(),
        epoch: 0.into(),
        base_sequence: 0.into(),
    };
    BatchOptions {
        producer,
        ..BatchOptions::default()
    }
}

#[tokio::test]
async fn topics_refuse_what_their_configuration_does_not_allow() {
    let broker = TestBroker::start().await;
    broker
        .create_topic("compacted", 1, &[("cleanup.policy", "compact")])
        .await;
    broker
        .create_topic("small", 1, &[("max.message.bytes", "200")])
        .await;
    broker
        .create_topic("recent", 1, &[("message.timestamp.before.max.ms", "1000")])
        .await;
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for key in [None, Some(b"k".as_slice()), None] {
        builder
            .append(crate::clock::now(), key, Some(b"v"), &Headers::EMPTY)
            .expect("fits");
    }
    let answer = broker
        .produce("compacted", 0, -1, builder.build().expect("builds"))
        .await;
    assert_eq!(ErrorCode::from_i16(answer.error_code), ErrorCode::InvalidRecord);
    let refused: Vec<i32> = answer
        .record_errors
        .iter()
        .map(|error| error.batch_index)
        .collect();
    assert_eq!(refused, [0, 2]);

    let fits = broker.produce("small", 0, -1, batch(&["x"])).await;
    assert_eq!(fits.error_code, 0);
    let long = "x".repeat(200);
    let answer = broker.produce("small", 0, -1, batch(&[&long])).await;
    assert_eq!(ErrorCode::from_i16(answer.error_code), ErrorCode::MessageTooLarge);

    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder
        .append(forebay_records::Timestamp(5), None, Some(b"old"), &Headers::EMPTY)
        .expect("fits");
    let answer = broker
        .produce("recent", 0, -1, builder.build().expect("builds"))
        .await;
    assert_eq!(
        ErrorCode::from_i16(answer.error_code),
        ErrorCode::InvalidTimestamp
    );
}

#[tokio::test]
async fn a_small_batch_cannot_become_a_huge_one() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    // Some 130 MiB of zeros in a few kB: more than a batch may decompress to.
    let zeros = vec![0; usize::try_from(forebay_records::DECOMPRESSED_BYTES_MAX).expect("small") + 1];
    let options = BatchOptions {
        compression: Compression::of(CompressionType::Zstd),
        ..BatchOptions::default()
    };
    let mut builder = BatchBuilder::new(options);
    builder
        .append(crate::clock::now(), None, Some(&zeros), &Headers::EMPTY)
        .expect("fits");
    drop(zeros);
    let answer = broker.produce("t", 0, -1, builder.build().expect("builds")).await;
    assert_eq!(ErrorCode::from_i16(answer.error_code), ErrorCode::MessageTooLarge);
}

#[tokio::test]
async fn topics_with_a_codec_store_in_it() {
    let broker = TestBroker::start().await;
    for (topic, codec) in [
        ("zstd", CompressionType::Zstd),
        ("uncompressed", CompressionType::None),
    ] {
        broker
            .create_topic(topic, 1, &[("compression.type", topic)])
            .await;
        let options = BatchOptions {
            compression: Compression::of(CompressionType::Gzip),
            ..BatchOptions::default()
        };
        for sent in [batch(&["a", "b"]), batch_of(options, &["c"])] {
            assert_eq!(broker.produce(topic, 0, -1, sent).await.error_code, 0);
        }
        let answer = broker.fetch(topic, 0, 0).await;
        assert_eq!(values(&answer), ["a", "b", "c"]);
        for stored in batches(bytes_of(&answer)) {
            assert_eq!(stored.expect("whole").compression_type().expect("known"), codec);
        }
    }
}
