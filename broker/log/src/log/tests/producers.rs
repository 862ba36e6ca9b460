//! For how long a log knows its producers.

use forebay_records::{ProducerEpoch, ProducerId, Sequence};

use super::*;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn batch(sequence: i32, time: Timestamp) -> Append {
    let producer = ProducerIdentity {
        id: ProducerId(7),
        epoch: ProducerEpoch(0),
        base_sequence: Sequence(sequence),
    };
    Append {
        batches: vec![batch_at(&[(b"value", time)], producer)],
        origin: AppendOrigin::Client,
        transaction: TransactionChecks::default(),
    }
}

/// Stricter than Kafka, which goes by the timestamps of the records: one that sends what happened long ago would be forgotten
/// between a batch and its repetition, and one with a clock that is ahead would be remembered for ever.
#[test]
fn producers_are_forgotten_by_when_they_sent_not_by_what() {
    let config = LogConfig {
        producer_id_expiration_ms: DAY_MS,
        ..LogConfig::default()
    };
    for time in [NOW + -400 * DAY_MS, NOW + 400 * DAY_MS] {
        let Fixture { disk, directory, log } = fixture(&config);
        append(&log, batch(0, time)).expect("appended");
        log.remove_expired_producers(NOW + (DAY_MS - 1));
        assert!(append(&log, batch(0, time)).expect("recognised").duplicate);
        assert!(append(&log, batch(5, time)).is_err(), "out of order");
        // Killed, then ended properly: the log's batches tell of the producer, then the snapshot does.
        drop((log, directory));
        for end in ["killed", "closed"] {
            let directory = open(Arc::new(disk.clone()), &config).expect("open");
            let log = directory.log(&partition()).expect("open").expect("there");
            assert!(
                append(&log, batch(0, time)).expect("recognised").duplicate,
                "{end}"
            );
            log.remove_expired_producers(NOW + (DAY_MS - 1));
            assert_eq!(log.producer_count(), 1, "{end}");
            directory.shutdown(1, -1, NOW).expect("closed");
        }
        let directory = open(Arc::new(disk.clone()), &config).expect("open");
        let log = directory.log(&partition()).expect("open").expect("there");
        assert_eq!(log.producer_count(), 1);
        log.remove_expired_producers(NOW + DAY_MS);
        assert_eq!(log.producer_count(), 0, "silent since it was loaded");
        append(&log, batch(5, time)).expect("nothing is known of it");
    }
}
