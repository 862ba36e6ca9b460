//! Files of a log and what is told of them. That Kafka's own tool says the same of the same files is checked by
//! `tests/against-kafka`.

use forebay_protocol::internal_record::{GroupRecordKey, GroupRecordValue, MetadataRecord};
use forebay_protocol::messages::{
    ConsumerProtocolAssignment, GroupMetadataKey, GroupMetadataValue, TopicRecord, TransactionLogKey,
    TransactionLogValue, group_metadata_value::MemberMetadata,
};
use forebay_protocol::{Message as _, Writer};
use forebay_records::{
    BatchBuilder, BatchOptions, ControlRecordType, EndTransactionMarker, Headers, Offset, ProducerEpoch,
    ProducerId, ProducerIdentity, RecordBatch, Sequence, Timestamp,
};

use super::*;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn options(arguments: &str) -> Options {
    let arguments: Vec<String> = arguments.split_whitespace().map(Into::into).collect();
    TOOL.parse(&arguments).expect("reads")
}

/// What is printed of files of a folder, and what stopped it.
fn dump(folder: &Path, arguments: &str) -> (String, Problems, Option<String>) {
    let options = options(arguments);
    let mut dump = Dump {
        out: Vec::new(),
        settings: Settings::new(&options).expect("valid"),
        problems: Problems::default(),
    };
    let files = options.value("files").expect("once").unwrap_or_default();
    let done = files
        .split(',')
        .try_for_each(|file| dump.file(&folder.join(file).display().to_string()));
    let said = String::from_utf8(dump.out).expect("text");
    let said = said.replace(&format!("{}/", folder.display()), "");
    let stopped = done.err().map(|error| match error {
        Error::File(message) => message.replace(&format!("{}/", folder.display()), ""),
        Error::Output(error) => panic!("memory takes everything: {error}"),
    });
    (said, dump.problems, stopped)
}

/// Key and value.
type Pair<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

fn batch(base_offset: i64, producer: i64, records: &[Pair<'_>]) -> RecordBatch {
    let producer = ProducerIdentity {
        id: ProducerId(producer),
        epoch: ProducerEpoch(2),
        base_sequence: Sequence(5),
    };
    let mut builder = BatchBuilder::new(BatchOptions {
        base_offset: Offset(base_offset),
        producer,
        ..BatchOptions::default()
    });
    let headers: Headers = [("h1", Some("x")), ("h2", None)].into_iter().collect();
    for (key, value) in records {
        builder.append(NOW, *key, *value, &headers).expect("fits");
    }
    builder.build().expect("valid")
}

fn folder_with(name: &str, bytes: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a directory");
    std::fs::write(folder.path().join(name), bytes).expect("written");
    folder
}

#[test]
fn batches_records_markers_and_what_is_left_over() {
    let records = batch(0, 7, &[(Some(b"k"), Some(b"one")), (None, None)]);
    let marker = BatchBuilder::end_transaction(
        BatchOptions {
            base_offset: Offset(9),
            ..BatchOptions::default()
        },
        NOW,
        ControlRecordType::Abort,
        EndTransactionMarker { coordinator_epoch: 3 },
    );
    let marker = marker.expect("valid");
    let (first, second) = (records.bytes().len(), marker.bytes().len());
    let bytes = [&records.bytes()[..], &marker.bytes()[..], &[1, 2, 3]].concat();
    let folder = folder_with("00000000000000000000.log", &bytes);
    let (said, problems, stopped) = dump(folder.path(), "--files 00000000000000000000.log --print-data-log");
    assert_eq!(stopped, None);
    let expected = format!(
        "Dumping 00000000000000000000.log\n\
         Log starting offset: 0\n\
         baseOffset: 0 lastOffset: 1 count: 2 baseSequence: 5 lastSequence: 6 producerId: 7 producerEpoch: 2 \
         partitionLeaderEpoch: {epoch} isTransactional: false isControl: false deleteHorizonMs: OptionalLong.empty \
         position: 0 CreateTime: {NOW} size: {first} magic: 2 compresscodec: none crc: {crc} isvalid: true\n\
         | offset: 0 CreateTime: {NOW} keySize: 1 valueSize: 3 sequence: 5 headerKeys: [h1,h2] key: k payload: one\n\
         | offset: 1 CreateTime: {NOW} keySize: -1 valueSize: -1 sequence: 6 headerKeys: [h1,h2]\n",
        epoch = records.header().partition_leader_epoch,
        crc = records.header().crc,
    );
    assert!(said.starts_with(&expected), "{said}\ninstead of\n{expected}");
    let rest = &said[expected.len()..];
    assert!(
        rest.contains(&format!(
            " isControl: true deleteHorizonMs: OptionalLong.empty position: {first} "
        )),
        "{rest}"
    );
    assert!(
        rest.contains(
            " keySize: 4 valueSize: 6 sequence: -1 headerKeys: [] endTxnMarker: ABORT coordinatorEpoch: 3\n"
        ),
        "{rest}"
    );
    assert!(
        rest.ends_with("\nFound 3 invalid bytes at the end of 00000000000000000000.log\n"),
        "{rest}"
    );
    let gaps = problems.lines();
    assert_eq!(gaps[1..], ["  1 is followed by 9"], "{gaps:?}");

    let (said, _, _) = dump(
        folder.path(),
        "--files 00000000000000000000.log --skip-record-metadata --print-data-log",
    );
    assert!(said.contains("\n| key: k payload: one\n\n"), "{said}");
    let cut = format!(
        "--files 00000000000000000000.log --max-bytes {}",
        first + second - 1
    );
    let (said, _, stopped) = dump(folder.path(), &cut);
    assert_eq!((said.lines().count(), stopped), (3, None), "{said}");
}

#[test]
fn what_is_no_batch_stops_it_but_zeros_laid_out_ahead_do_not() {
    let valid = batch(0, -1, &[(None, Some(b"x"))]);
    for (tail, message) in [
        (vec![0; 100], None),
        (
            [vec![0; 99], vec![1]].concat(),
            Some(
                "Found record size 0 smaller than minimum record overhead (14) in file 00000000000000000000.log.",
            ),
        ),
    ] {
        let folder = folder_with("00000000000000000000.log", &[&valid.bytes()[..], &tail].concat());
        let (said, _, stopped) = dump(folder.path(), "--files 00000000000000000000.log");
        assert_eq!(stopped.as_deref(), message);
        let told = said.ends_with("Found 100 invalid bytes at the end of 00000000000000000000.log\n");
        assert_eq!(told, message.is_none(), "{said}");
    }
    let mut damaged = valid.bytes().to_vec();
    *damaged.last_mut().expect("not empty") ^= 1;
    let folder = folder_with("00000000000000000000.log", &damaged);
    let (said, _, stopped) = dump(folder.path(), "--files 00000000000000000000.log");
    assert!(
        said.ends_with(" isvalid: false\n") && stopped.is_none(),
        "{said} {stopped:?}"
    );
    let (_, _, stopped) = dump(folder.path(), "--files 00000000000000000000.checkpoint");
    assert_eq!(
        stopped.as_deref(),
        Some("00000000000000000000.checkpoint: its name is not that of a snapshot")
    );
}

#[test]
fn indexes_are_held_against_the_log() {
    let first = batch(0, -1, &[(None, Some(b"x")), (None, Some(b"y"))]);
    let second = batch(2, -1, &[(None, Some(b"z"))]);
    let folder = folder_with(
        "00000000000000000000.log",
        &[&first.bytes()[..], &second.bytes()[..]].concat(),
    );
    let position = u32::try_from(first.bytes().len()).expect("small");
    let offset = |offset: u32, position: u32| [offset.to_be_bytes(), position.to_be_bytes()].concat();
    let write = |name: &str, bytes: &[Vec<u8>]| {
        std::fs::write(folder.path().join(name), bytes.concat()).expect("written");
    };
    // The second is right; the first says 3 where the batch ends at 1; what follows was laid out ahead.
    write(
        "00000000000000000000.index",
        &[offset(3, 0), offset(2, position), offset(0, 0)],
    );
    let (said, problems, stopped) = dump(folder.path(), "--files 00000000000000000000.index");
    assert_eq!(stopped, None);
    assert_eq!(
        said,
        format!(
            "Dumping 00000000000000000000.index\noffset: 3 position: 0\noffset: 2 position: {position}\n"
        )
    );
    assert_eq!(problems.lines()[1..], ["  Index offset: 3, log offset: 1"]);
    let (said, _, _) = dump(
        folder.path(),
        "--files 00000000000000000000.index --verify-index-only",
    );
    assert_eq!(said, "Dumping 00000000000000000000.index\n");
    let (said, _, stopped) = dump(
        folder.path(),
        "--files 00000000000000000000.index --index-sanity-check",
    );
    assert_eq!(
        (said.lines().last(), stopped),
        (Some("00000000000000000000.index passed sanity check."), None)
    );

    let time = |timestamp: i64, offset: u32| [&timestamp.to_be_bytes()[..], &offset.to_be_bytes()].concat();
    write("00000000000000000000.index", &[]);
    write(
        "00000000000000000000.timeindex",
        &[time(NOW.0, 1), time(5, 2), time(NOW.0, 7), time(0, 0)],
    );
    let (said, problems, _) = dump(folder.path(), "--files 00000000000000000000.timeindex");
    assert!(
        said.ends_with(&format!(
            "timestamp: {NOW} offset: 1\ntimestamp: 5 offset: 2\ntimestamp: {NOW} offset: 7\n"
        )),
        "{said}"
    );
    let titles = [
        "Found timestamp mismatch in :",
        "Found out of order timestamp in :",
        "The following indexed offsets are not found in :",
    ];
    let file = format!("{}/00000000000000000000.timeindex", folder.path().display());
    assert_eq!(
        problems.lines(),
        [
            format!("{}{file}", titles[0]),
            format!("  Index timestamp: 5, log timestamp: {NOW}"),
            format!("{}{file}", titles[1]),
            format!("  Index timestamp: 5, Previously indexed timestamp: {NOW}"),
            format!("{}{file}", titles[2]),
            "Indexed offset: 7, found log offset: -1".to_owned(),
        ]
    );
    let (_, _, stopped) = dump(
        folder.path(),
        "--files 00000000000000000000.timeindex --index-sanity-check",
    );
    assert!(stopped.is_some_and(|why| why.contains("the last timestamp is 0 which is less than the first timestamp")));
}

/// The metadata of a group with one member that has nothing.
fn group_metadata() -> (bytes::Bytes, bytes::Bytes) {
    let mut assignment = Writer::new();
    assignment.i16(3);
    ConsumerProtocolAssignment::default()
        .encode(&mut assignment, 3)
        .expect("encodes");
    let member = MemberMetadata {
        member_id: "m".into(),
        assignment: assignment.finish_bytes().expect("in memory"),
        ..Default::default()
    };
    let group = GroupMetadataValue {
        protocol_type: "consumer".into(),
        members: vec![member],
        ..Default::default()
    };
    let key = GroupRecordKey::from(GroupMetadataKey { group: "g".into() })
        .to_bytes()
        .expect("encodes");
    let value = GroupRecordValue::from(group).to_bytes(3).expect("encodes");
    (key, value)
}

#[test]
fn internal_topics_are_told_as_json_of_their_schemas() {
    let (key, value) = group_metadata();
    let topic = TopicRecord {
        name: "t".into(),
        ..Default::default()
    };
    let metadata = MetadataRecord::from(topic).to_bytes(0).expect("encodes");
    let transaction_key = TransactionLogKey {
        transactional_id: "tx".into(),
    };
    let transaction_key = transaction_key.to_key_bytes().expect("encodes");
    let transaction = TransactionLogValue::default().to_value_bytes(1).expect("encodes");
    let cases: [(&str, Pair<'_>, &str); 7] = [
        (
            "--offsets-decoder",
            (Some(&key), Some(&value)),
            "| key: {\"type\":\"2\",\"data\":{\"group\":\"g\"}} payload: {\"version\":\"3\",\"data\":{\"protocolType\":\
             \"consumer\",\"generation\":0,\"protocol\":\"\",\"leader\":\"\",\"currentStateTimestamp\":-1,\"members\":[{\
             \"memberId\":\"m\",\"groupInstanceId\":null,\"clientId\":\"\",\"clientHost\":\"\",\"rebalanceTimeout\":-1,\
             \"sessionTimeout\":0,\"subscription\":\"\",\"assignment\":{\"assignedPartitions\":[],\"userData\":null}}]}}",
        ),
        (
            "--offsets-decoder",
            (Some(&key), None),
            "| key: {\"type\":\"2\",\"data\":{\"group\":\"g\"}} payload: <DELETE>",
        ),
        (
            "--offsets-decoder",
            (Some(&[0, 99]), None),
            "| key: Unknown record type 99 at offset 0, skipping.",
        ),
        (
            "--transaction-log-decoder",
            (Some(&transaction_key), Some(&transaction)),
            "| key: {\"type\":\"0\",\"data\":{\"transactionalId\":\"tx\"}} payload: {\"version\":\"1\",\"data\":{\
             \"producerId\":0,\"producerEpoch\":0,\"transactionTimeoutMs\":0,\"transactionStatus\":0,\
             \"transactionPartitions\":[],\"transactionLastUpdateTimestampMs\":0,\"transactionStartTimestampMs\":0}}",
        ),
        (
            "--cluster-metadata-decoder",
            (None, Some(&metadata)),
            "| payload: {\"type\":\"TOPIC_RECORD\",\"version\":0,\"data\":{\"name\":\"t\",\"topicId\":\
             \"AAAAAAAAAAAAAAAAAAAAAA\"}}",
        ),
        (
            "--key-decoder-class kafka.serializer.LongDecoder",
            (Some(&[0, 0, 0, 0, 0, 0, 1, 0]), None),
            "| key: 256",
        ),
        (
            "--value-decoder-class x.IntegerDecoder",
            (None, Some(&[255; 4])),
            "| payload: -1",
        ),
    ];
    for (decoder, pair, expected) in cases {
        let bytes = batch(0, -1, &[pair]);
        let folder = folder_with("00000000000000000000.log", bytes.bytes());
        let (said, _, stopped) = dump(
            folder.path(),
            &format!("--files 00000000000000000000.log --skip-record-metadata {decoder}"),
        );
        assert_eq!((said.lines().last(), stopped), (Some(expected), None));
    }
}

#[test]
fn a_record_without_a_key_is_none_of_an_internal_topic() {
    let folder = folder_with(
        "00000000000000000000.log",
        batch(0, -1, &[(None, Some(b"x"))]).bytes(),
    );
    let (_, _, stopped) = dump(
        folder.path(),
        "--files 00000000000000000000.log --offsets-decoder",
    );
    assert_eq!(
        stopped.as_deref(),
        Some("Failed to decode message at offset 0 using the specified decoder (message had a missing key)")
    );
}

#[test]
fn producers_and_aborted_transactions() {
    let mut aborted = vec![0, 0];
    for field in [5_i64, 1, 2, 3] {
        aborted.extend(field.to_be_bytes());
    }
    let folder = folder_with("00000000000000000000.txnindex", &aborted);
    let (said, _, _) = dump(folder.path(), "--files 00000000000000000000.txnindex,readme.txt");
    assert_eq!(
        said,
        "Dumping 00000000000000000000.txnindex\nversion: 0 producerId: 5 firstOffset: 1 lastOffset: 2 lastStableOffset: \
         3\nDumping readme.txt\n"
    );
    std::fs::write(
        folder.path().join("00000000000000000007.snapshot"),
        [0, 1, 9, 9, 9, 9, 0, 0, 0, 0],
    )
    .expect("written");
    let (said, _, stopped) = dump(folder.path(), "--files 00000000000000000007.snapshot");
    assert_eq!(
        (said.as_str(), stopped),
        ("Dumping 00000000000000000007.snapshot\n", None),
        "told on standard error"
    );
}

#[test]
fn decoders_that_are_java_classes_are_refused() {
    let refused =
        Settings::new(&options("--files x --value-decoder-class com.example.Mine")).expect_err("refused");
    assert!(
        matches!(&refused, Stop::Usage(message) if message.contains("com.example.Mine cannot decode")),
        "{refused:?}"
    );
    let plain = Settings::new(&options("--files x --deep-iteration")).expect("fine");
    assert!(plain.deep && plain.contents.is_none());
}
