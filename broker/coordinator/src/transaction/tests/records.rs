//! The records as Kafka 4.3.1 writes and reads them.

use bytes::Bytes;
use forebay_protocol::Utf8Bytes;
use forebay_protocol::messages::TransactionLogValue;
use forebay_records::{ProducerEpoch, ProducerId, Timestamp, batches};

use super::support::{partitions, records};
use crate::Record;
use crate::transaction::metadata::TransactionMetadata;
use crate::transaction::record::{self, Error, TransactionRecord};
use crate::transaction::{State, TransactionCoordinator, TransactionVersion};

fn metadata() -> TransactionMetadata {
    TransactionMetadata {
        producer_id: ProducerId(7),
        previous_producer_id: ProducerId(6),
        next_producer_id: ProducerId(8),
        producer_epoch: ProducerEpoch(3),
        last_producer_epoch: ProducerEpoch(2),
        timeout_ms: 60_000,
        state: State::PrepareCommit,
        partitions: partitions(&[("a", 0), ("a", 2), ("b", 1)]).into_iter().collect(),
        start: Timestamp(1_000),
        last_update: Timestamp(2_000),
        client_version: TransactionVersion::V2,
    }
}

fn hex(bytes: &Bytes) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn records_have_kafkas_bytes() {
    let record = record::encode(&"t".into(), &metadata(), TransactionVersion::V0).expect("short");
    assert_eq!(hex(&record.key), "0000000174");
    let value = hex(&record.value.expect("there"));
    let fixed = "0000" // version
        .to_owned()
        + "0000000000000007" // producer id
        + "0003" // producer epoch
        + "0000ea60" // timeout
        + "02" // status
        + "00000002" // topics
        + "000161" + "00000002" + "00000000" + "00000002"
        + "000162" + "00000001" + "00000001"
        + "00000000000007d0" // last update
        + "00000000000003e8"; // start
    assert_eq!(value, fixed);

    let record = record::encode(&"t".into(), &metadata(), TransactionVersion::V2).expect("short");
    let value = hex(&record.value.expect("there"));
    let flexible = "0001".to_owned()
        + "0000000000000007"
        + "0003"
        + "0000ea60"
        + "02"
        + "03" // topics, and one
        + "0261" + "03" + "00000000" + "00000002" + "00"
        + "0262" + "02" + "00000001" + "00"
        + "00000000000007d0"
        + "00000000000003e8"
        + "03" // tagged fields
        + "00" + "08" + "0000000000000006" // previous producer id
        + "01" + "08" + "0000000000000008" // next producer id
        + "02" + "02" + "0002"; // client transaction version
    assert_eq!(value, flexible);
    assert_eq!(record::tombstone(&"t".into()).expect("short").value, None);
}

#[test]
fn records_lead_back() {
    let empty = TransactionMetadata {
        state: State::Empty,
        partitions: std::collections::BTreeSet::new(),
        ..metadata()
    };
    for version in [TransactionVersion::V0, TransactionVersion::V1] {
        for written in [metadata(), empty.clone()] {
            let record = record::encode(&"t".into(), &written, version).expect("short");
            let mut expected = written;
            expected.last_producer_epoch = ProducerEpoch(-1);
            if version == TransactionVersion::V0 {
                expected.previous_producer_id = ProducerId(-1);
                expected.next_producer_id = ProducerId(-1);
                expected.client_version = TransactionVersion::V0;
            }
            assert_eq!(records(&[record]), [("t".into(), Some(expected))]);
        }
    }
}

#[test]
fn what_a_later_kafka_writes_is_left_alone_and_damage_is_told() {
    let known = record::encode(&"t".into(), &metadata(), TransactionVersion::V2).expect("short");
    let key = known.key.clone();
    let decode = |key: &[u8], value: Option<&[u8]>| {
        TransactionRecord::decode(
            &Bytes::copy_from_slice(key),
            value.map(Bytes::copy_from_slice).as_ref(),
        )
    };
    assert!(matches!(
        decode(&[0, 1, 0, 0], Some(&[])),
        Ok(TransactionRecord::Unknown)
    ));
    assert!(matches!(
        decode(&key, Some(&[0, 2, 9])),
        Ok(TransactionRecord::Unknown)
    ));
    assert!(matches!(
        decode(&key, None),
        Ok(TransactionRecord::Transaction(_, None))
    ));
    assert!(matches!(decode(&[0], None), Err(Error::Key(_))));
    assert!(matches!(decode(&[0, 0, 0, 9, 1], None), Err(Error::Key(_))));
    let value = known.value.expect("there");
    assert!(matches!(decode(&key, Some(&value[..20])), Err(Error::Value(_))));
    for status in [6, 7, 8, -1] {
        let value = TransactionLogValue {
            transaction_status: status,
            ..Default::default()
        };
        let value = value.to_value_bytes(1).expect("short");
        let decoded = decode(&key, Some(&value));
        assert!(matches!(decoded, Err(Error::State(number)) if number == status));
    }
    let mut coordinator = TransactionCoordinator::new(
        crate::transaction::Config::default(),
        0,
        std::sync::Arc::new(TransactionVersion::V0),
    );
    assert!(matches!(coordinator.replay(None, None), Err(Error::NoKey)));
    let Record { key, .. } = record::tombstone(&"t".into()).expect("short");
    let unknown = Bytes::from_static(&[0, 9]);
    assert!(coordinator.replay(Some(&key), Some(&unknown)).is_ok());
    assert_eq!(
        (coordinator.unknown_records(), coordinator.transaction_count()),
        (1, 0)
    );
}

/// Partitions of `__transaction_state` of an Apache Kafka 4.3.1 that was killed: one transaction committed, one aborted, one open.
const KAFKA_4_3_1: &[u8] = include_bytes!("kafka-4.3.1.log");

#[test]
fn transactions_that_kafka_left_behind_go_on_and_end() {
    let mut driver = super::support::Driver::with(TransactionVersion::V2);
    for batch in batches(Bytes::from_static(KAFKA_4_3_1)) {
        let batch = batch.expect("whole");
        for record in batch.records().expect("readable") {
            let record = record.expect("good");
            let key = record.key.expect("there");
            driver.log.push(Record {
                key,
                value: record.value,
            });
        }
    }
    driver.reload();
    let known = driver.coordinator.committed_metadata();
    let states: Vec<(&str, State)> = known.iter().map(|(id, one)| (&**id, one.state)).collect();
    let found = [
        ("aborted", State::CompleteAbort),
        ("committed", State::CompleteCommit),
        ("open", State::Ongoing),
    ];
    assert_eq!(states, found);
    let open = &known[&Utf8Bytes::from("open")];
    assert_eq!(open.timeout_ms, 60_000);
    let taking_part: Vec<_> = open.partitions.iter().cloned().collect();
    assert_eq!(taking_part, partitions(&[("out", 0), ("out", 1)]));
    // Its time is over when somebody looks.
    driver.now.timestamp = Timestamp(open.start.0 + 60_001);
    driver.pass(driver.config.abort_timed_out_interval);
    let known = driver.coordinator.committed_metadata();
    assert_eq!(known[&Utf8Bytes::from("open")].state, State::CompleteAbort);
    let told: Vec<_> = driver
        .markers
        .iter()
        .map(|one| (one.commit, &one.partitions))
        .collect();
    assert_eq!(told, [(false, &taking_part)]);
}
