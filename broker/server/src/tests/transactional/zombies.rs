//! B20: a producer that is paused in the middle of a transaction, and comes back when it is no longer the one.

use super::clients::{KINDS, OLD, Producer, VERSION_2};
use super::*;

const QUICK: (&str, &str) = (
    "transaction.abort.timed.out.transaction.cleanup.interval.ms",
    "20",
);

async fn broker_with(settings: &[(&'static str, &'static str)]) -> TestBroker {
    let broker = TestBroker::start_with(settings).await;
    broker.create_topic(TOPIC, 2, &[]).await;
    find_coordinator(&broker).await;
    broker
}

#[tokio::test]
async fn a_zombie_is_fenced_and_consumers_see_its_successor_only() {
    for (kind, level) in KINDS
        .into_iter()
        .flat_map(|kind| LEVELS.map(|level| (kind, level)))
    {
        let broker = broker_with(&[]).await;
        finalize(&broker, level).await;
        let mut zombie = Producer::begin(&broker, kind, "tx").await;
        assert_eq!(zombie.send(&broker, 0, &["zombie"]).await, ErrorCode::None);
        let mut successor = Producer::begin(&broker, kind, "tx").await;
        assert_eq!(successor.send(&broker, 0, &["successor"]).await, ErrorCode::None);
        let fenced = ErrorCode::InvalidProducerEpoch;
        assert_eq!(zombie.produce(&broker, 0, &["late"]).await, fenced, "{kind:?}");
        assert_ne!(
            zombie.send(&broker, 1, &["elsewhere"]).await,
            ErrorCode::None,
            "{kind:?}"
        );
        assert_ne!(zombie.end(&broker, true).await, ErrorCode::None, "{kind:?}");
        assert_eq!(successor.end(&broker, true).await, ErrorCode::None);
        wait_for_state(&broker, "tx", "CompleteCommit").await;
        let seen = read_committed(&broker, 0).await;
        assert_eq!(seen.values, ["successor"], "{kind:?}");
        assert_eq!(seen.last_stable_offset, seen.high_watermark);
        assert_eq!(read_committed(&broker, 1).await.values.len(), 0);
    }
}

/// A transaction whose producer has gone is aborted when its time is over; nobody waits for it for longer.
#[tokio::test]
async fn an_abandoned_transaction_ends_by_itself() {
    for (kind, level) in KINDS
        .into_iter()
        .flat_map(|kind| LEVELS.map(|level| (kind, level)))
    {
        let broker = broker_with(&[QUICK]).await;
        finalize(&broker, level).await;
        // On a busy machine its time may be over before it has sent anything.
        let mut timeout_ms = 50;
        let mut zombie = loop {
            let mut zombie = Producer::begin_with(&broker, kind, "tx", timeout_ms).await;
            if zombie.send(&broker, 0, &["zombie"]).await == ErrorCode::None {
                break zombie;
            }
            timeout_ms *= 2;
        };
        wait_for_state(&broker, "tx", "CompleteAbort").await;
        let seen = read_committed(&broker, 0).await;
        assert!(seen.values.is_empty() && seen.high_watermark >= 2);
        assert_eq!(seen.last_stable_offset, seen.high_watermark);
        assert_ne!(zombie.end(&broker, true).await, ErrorCode::None, "{kind:?}");
    }
}

/// How long that takes at most: the timeout of the transaction, and the time from one look to the next.
#[test]
fn transactions_that_time_out_are_looked_for_every_ten_seconds() {
    let config = BrokerConfig::parse(&Properties::new()).expect("nothing need be set");
    let interval = config.transactions.abort_timed_out_interval;
    assert_eq!(interval, std::time::Duration::from_secs(10));
}

/// A batch that was on its way while its transaction was aborted, by a producer that was not fenced by that: whether it is let in.
async fn late_batch(
    kind: clients::Kind,
    settings: &[(&'static str, &'static str)],
) -> (ErrorCode, Committed) {
    let broker = broker_with(settings).await;
    let mut producer = Producer::begin(&broker, kind, "tx").await;
    assert_eq!(producer.send(&broker, 0, &["first"]).await, ErrorCode::None);
    let mut delayed = producer.clone();
    assert_eq!(producer.end(&broker, false).await, ErrorCode::None);
    wait_for_state(&broker, "tx", "CompleteAbort").await;
    let code = delayed.produce(&broker, 0, &["late"]).await;
    (code, read_committed(&broker, 0).await)
}

/// KIP-890: it would begin a transaction that nobody knows of and that never ends.
#[tokio::test]
async fn a_late_batch_hangs_nobody() {
    for kind in KINDS {
        let (code, seen) = late_batch(kind, &[]).await;
        assert_ne!(code, ErrorCode::None, "{kind:?}");
        assert_eq!(seen.last_stable_offset, seen.high_watermark, "{kind:?}");
    }
}

/// The control of the test above: without the question to the coordinator the batch is let in, and consumers wait for ever. Clients
/// of version 2 are safe even so, as each transaction has an epoch of its own.
#[tokio::test]
async fn unless_nobody_asks_the_coordinator() {
    let without = [("transaction.partition.verification.enable", "false")];
    let (code, seen) = late_batch(OLD, &without).await;
    assert_eq!(code, ErrorCode::None);
    assert!(seen.last_stable_offset < seen.high_watermark);
    let (code, seen) = late_batch(VERSION_2, &without).await;
    assert_ne!(code, ErrorCode::None);
    assert_eq!(seen.last_stable_offset, seen.high_watermark);
}
