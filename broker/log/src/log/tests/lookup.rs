//! Offsets by timestamp and by leader epoch; transactions.

use forebay_records::{BatchOptions, ProducerId, TimestampType, Validated};

use super::*;
use crate::AbortedTransaction;

fn batch_of(timestamps: &[i64]) -> Append {
    let records: Vec<(&[u8], Timestamp)> = timestamps
        .iter()
        .map(|at| (&b"value"[..], Timestamp(*at)))
        .collect();
    request(batch_at(&records, ProducerIdentity::NONE))
}

#[test]
fn the_first_record_at_or_after_a_time() {
    // Out of order, equal, without timestamps; in several segments.
    let batches: [&[i64]; 8] = [
        &[100, 50],
        &[70],
        &[-1, -1],
        &[200, 200, 150],
        &[120],
        &[300],
        &[-1],
        &[250, 300, 400, 10],
    ];
    let all: Vec<i64> = batches.concat();
    for segment_bytes in [100_000, 200, 130] {
        let config = LogConfig {
            segment_bytes,
            index_interval_bytes: 1,
            ..LogConfig::default()
        };
        let Fixture { log, disk, directory } = fixture(&config);
        for timestamps in batches {
            append(&log, batch_of(timestamps)).expect("appended");
        }
        let check = |log: &Log| {
            for target in [
                0, 1, 50, 51, 99, 100, 101, 150, 199, 200, 201, 250, 299, 300, 301, 400, 401,
            ] {
                let expected = all.iter().position(|timestamp| *timestamp >= target);
                let found = log.offset_for_timestamp(Timestamp(target)).expect("found");
                let found = found.map(|found| (found.offset.value(), found.timestamp.value()));
                let expected = expected.map(|index| (i64::try_from(index).expect("small"), all[index]));
                assert_eq!(found, expected, "time {target}, segments of {segment_bytes}");
            }
            let max = log.max_timestamp().expect("found").expect("there are timestamps");
            assert_eq!((max.timestamp, max.leader_epoch), (Timestamp(400), EPOCH));
            assert_eq!(all[usize::try_from(max.offset.value()).expect("small")], 400);
        };
        check(&log);
        directory.shutdown(2, -1, NOW).expect("closed");
        drop(directory);
        let reopened = open(Arc::new(disk), &config).expect("open");
        check(&reopened.log(&partition()).expect("open").expect("there"));
    }
}

#[test]
fn times_below_the_log_start_are_not_found() {
    let Fixture { log, .. } = fixture(&LogConfig::default());
    append(&log, batch_of(&[100, 200, 300])).expect("appended");
    log.delete_records_before(Offset(2), Offset(3)).expect("deleted");
    let found = log
        .offset_for_timestamp(Timestamp(0))
        .expect("found")
        .expect("there");
    assert_eq!((found.offset, found.timestamp), (Offset(2), Timestamp(300)));
    log.delete_records_before(Offset(3), Offset(3)).expect("deleted");
    assert_eq!(log.offset_for_timestamp(Timestamp(0)).expect("nothing"), None);
}

#[test]
fn with_log_append_time_the_broker_says() {
    let Fixture { log, .. } = fixture(&LogConfig::default());
    let mut append_time = batch_of(&[100, 100]);
    for one in &mut append_time.batches {
        one.validated = Validated {
            timestamp_type: TimestampType::LogAppendTime,
            max_timestamp: Timestamp(777),
            ..one.validated
        };
    }
    let appended = append(&log, append_time).expect("appended");
    assert_eq!(appended.log_append_time, Timestamp(777));
    let found = log
        .offset_for_timestamp(Timestamp(500))
        .expect("found")
        .expect("there");
    assert_eq!((found.offset, found.timestamp), (Offset(0), Timestamp(777)));
    assert_eq!(read_all(&log).len(), 2, "the checksum was made anew");
}

#[test]
fn epochs_of_the_leaders() {
    let Fixture { log, disk, directory } = fixture(&LogConfig::default());
    log.append(LeaderEpoch(2), NOW, vec![append_of(1, 3, 1)]);
    log.append(LeaderEpoch(4), NOW, vec![append_of(1, 2, 1)]);
    log.assign_epoch_start_offset(LeaderEpoch(6));
    let check = |log: &Log, latest| {
        assert_eq!(log.latest_epoch(), Some(LeaderEpoch(latest)));
        assert_eq!(
            log.end_offset_for_epoch(LeaderEpoch(2)),
            Some((LeaderEpoch(2), Offset(3)))
        );
        assert_eq!(
            log.end_offset_for_epoch(LeaderEpoch(3)),
            Some((LeaderEpoch(2), Offset(3)))
        );
        assert_eq!(
            log.end_offset_for_epoch(LeaderEpoch(latest)),
            Some((LeaderEpoch(latest), Offset(5)))
        );
        assert_eq!(
            (log.epoch_of(Offset(2)), log.epoch_of(Offset(3))),
            (Some(LeaderEpoch(2)), Some(LeaderEpoch(4)))
        );
    };
    check(&log, 6);
    directory.shutdown(1, -1, NOW).expect("closed");
    drop(directory);
    let reopened = open(Arc::new(disk), &LogConfig::default()).expect("open");
    // An epoch without records is forgotten, as in Kafka.
    check(&reopened.log(&partition()).expect("open").expect("there"), 4);
}

fn in_transaction(producer_id: i64, sequence: i32, count: usize) -> Append {
    let options = BatchOptions {
        producer: identity(producer_id, 0, sequence),
        transactional: true,
        ..BatchOptions::default()
    };
    let records = vec![(&b"value"[..], NOW); count];
    request(batch_with(&records, options, AppendOrigin::Client))
}

fn end(producer_id: i64, commit: bool) -> Append {
    marker_of(identity(producer_id, 0, -1), commit, 1, NOW)
}

#[test]
fn transactions_hold_the_last_stable_offset_and_aborted_ones_are_indexed() {
    let config = LogConfig {
        segment_bytes: 400,
        index_interval_bytes: 50,
        transaction_verification: false,
        ..LogConfig::default()
    };
    let Fixture { log, disk, directory } = fixture(&config);
    let script = [
        in_transaction(1, 0, 2), // 0, 1
        in_transaction(2, 0, 1), // 2
        in_transaction(1, 2, 1), // 3
        end(1, false),           // 4
        append_of(9, 3, 1),      // 5, 6, 7
        end(2, true),            // 8
        in_transaction(1, 3, 1), // 9
        in_transaction(3, 0, 1), // 10
        end(3, false),           // 11
    ];
    let mut stable = vec![];
    for step in script {
        let end = append(&log, step).expect("appended").end_offset();
        stable.push((
            log.update_high_watermark(end).value(),
            log.last_stable_offset().value(),
        ));
    }
    let expected = [0, 0, 0, 2, 2, 9, 9, 9, 9];
    assert_eq!(stable, expected.map(|offset| (offset, offset)));
    let aborted = |producer_id, first, last, stable| AbortedTransaction {
        producer_id: ProducerId(producer_id),
        first_offset: Offset(first),
        last_offset: Offset(last),
        last_stable_offset: Offset(stable),
    };
    let (first, second) = (aborted(1, 0, 4, 2), aborted(3, 10, 11, 9));
    assert!(log.may_have_aborted_transactions(Offset(0)) && log.may_have_aborted_transactions(Offset(11)));
    let check = |log: &Log| {
        for (from, up_to, expected) in [
            (0, 12, &[first, second][..]),
            (0, 10, &[first]),
            (4, 5, &[first]),
            (5, 10, &[]),
            (5, 12, &[second]),
            (11, 12, &[second]),
        ] {
            let found = log
                .aborted_transactions(Offset(from), Offset(up_to))
                .expect("found");
            assert_eq!(found, expected, "{from}..{up_to}");
        }
        assert_eq!(
            log.update_high_watermark(Offset(12)),
            Offset(9),
            "the transaction of 9 is open"
        );
    };
    check(&log);
    // After a crash, and after a clean end.
    let crashed = disk.crash(forebay_disk::Survivors::Everything);
    let recovered = open(Arc::new(crashed), &config).expect("open");
    check(&recovered.log(&partition()).expect("open").expect("there"));
    directory.shutdown(1, -1, NOW).expect("closed");
    drop(directory);
    let index = std::path::Path::new("/data/topic-0/00000000000000000000.txnindex");
    use forebay_disk::DiskExt as _;
    assert!(disk.exists(index).expect("exists"));
    let damaged = disk.crash(forebay_disk::Survivors::Everything);
    let reopened = open(Arc::new(disk.crash(forebay_disk::Survivors::Everything)), &config).expect("open");
    check(&reopened.log(&partition()).expect("open").expect("there"));
    use forebay_disk::{Disk as _, OpenOptions};
    damaged
        .open(index, OpenOptions::write())
        .expect("open")
        .set_len(33)
        .expect("torn");
    let repaired = open(Arc::new(damaged), &config).expect("open");
    check(&repaired.log(&partition()).expect("open").expect("there"));
}
