//! Producers that go on through crashes: what was acknowledged is there, and nothing is there twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use forebay_disk::{MemoryDisk, Survivors};

use super::*;
use crate::Router;

const PRODUCERS: i64 = 4;
const PARTITIONS: i32 = 2;
const CRASHES: usize = 5;
/// Of each producer before each crash, at least.
const RECORDS_PER_ROUND: i32 = 40;

/// An idempotent producer to one partition; a record is sent again until it is acknowledged.
struct Producer {
    id: i64,
    partition: i32,
    acknowledged: i32,
}

impl Producer {
    fn name(&self, n: i32) -> String {
        format!("{}-{n}", self.id)
    }

    /// Produces until it is told to stop, and no answer comes.
    async fn run(&mut self, router: Router, crash: Arc<AtomicBool>) {
        let begin = self.acknowledged;
        loop {
            let value = self.name(self.acknowledged);
            let batch = idempotent(self.id, 0, self.acknowledged, &[&value]);
            let request = produce_request("t", self.partition, -1, Some(Records::Memory(batch.into_bytes())));
            let context = CallContext::in_process("test", "PLAINTEXT");
            let Some(forebay_protocol::Response::Produce(response)) =
                router.call(context, 9, request.into()).await
            else {
                return;
            };
            match ErrorCode::from_i16(response.responses[0].partition_responses[0].error_code) {
                ErrorCode::None => self.acknowledged += 1,
                // The broker is crashing: whether the record is in the log is not known.
                ErrorCode::UnknownServerError | ErrorCode::NotLeaderOrFollower => return,
                other => panic!("{value}: {other:?}"),
            }
            if self.acknowledged - begin >= RECORDS_PER_ROUND {
                crash.store(true, Ordering::SeqCst);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_records_survive_crashes_exactly_once() {
    let mut broker = TestBroker::start().await;
    broker.create_topic("t", PARTITIONS, &[]).await;
    let mut producers: Vec<Producer> = (0..PRODUCERS)
        .map(|id| Producer {
            id,
            partition: i32::try_from(id).expect("small") % PARTITIONS,
            acknowledged: 0,
        })
        .collect();
    for _ in 0..CRASHES {
        let crash = Arc::new(AtomicBool::new(false));
        let running: Vec<_> = producers
            .drain(..)
            .map(|mut producer| {
                let (router, crash) = (broker.handle.router().clone(), Arc::clone(&crash));
                tokio::spawn(async move {
                    producer.run(router, crash).await;
                    producer
                })
            })
            .collect();
        while !crash.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
        broker.broker.take().expect("it runs").crash().await;
        for one in running {
            producers.push(one.await.expect("the producer ends"));
        }
        broker = broker.again().await;
    }
    for partition in 0..PARTITIONS {
        let found = broker.values("t", partition, 0).await;
        for producer in producers
            .iter()
            .filter(|producer| producer.partition == partition)
        {
            let own: Vec<&String> = found
                .iter()
                .filter(|value| value.starts_with(&format!("{}-", producer.id)))
                .collect();
            // The last one may have been on its way.
            let count = i32::try_from(own.len()).expect("few");
            assert!(
                [producer.acknowledged, producer.acknowledged + 1].contains(&count),
                "{count} of {}",
                producer.acknowledged
            );
            let expected: Vec<String> = (0..count).map(|n| producer.name(n)).collect();
            assert!(
                own.iter()
                    .zip(&expected)
                    .all(|(found, expected)| *found == expected),
                "in order, none twice"
            );
        }
    }
}

/// With `flush.messages=1`, the default of a single replica, what was acknowledged survives a loss of power at any moment,
/// whatever the machine had written back by itself; with Kafka's default it need not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_records_survive_a_loss_of_power() {
    let disk = MemoryDisk::new();
    let broker = TestBroker::start_on(Arc::new(disk.clone()), &[]).await;
    broker.create_topic("t", 1, &[]).await;
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let producing = tokio::spawn({
        let (router, acknowledged, stop) = (
            broker.handle.router().clone(),
            Arc::clone(&acknowledged),
            Arc::clone(&stop),
        );
        async move {
            while !stop.load(Ordering::SeqCst) {
                let value = acknowledged.load(Ordering::SeqCst).to_string();
                let records = Some(Records::Memory(batch(&[&value]).into_bytes()));
                let context = CallContext::in_process("test", "PLAINTEXT");
                let request = produce_request("t", 0, 1, records);
                router.call(context, 9, request.into()).await.expect("an answer");
                acknowledged.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    let mut survivors = vec![Survivors::OnlySynced, Survivors::Everything];
    survivors.extend((0..6).map(Survivors::Random));
    for (round, survivors) in survivors.into_iter().enumerate() {
        while acknowledged.load(Ordering::SeqCst) < 20 * (round + 1) {
            tokio::task::yield_now().await;
        }
        let promised = acknowledged.load(Ordering::SeqCst);
        let left: Arc<dyn Disk> = Arc::new(disk.crash(survivors));
        let restarted = launch(broker.directory.path(), &left, &[])
            .await
            .expect("it starts");
        let found = values_of(&restarted).await;
        assert!(
            found.len() >= promised,
            "{} of {promised} after {survivors:?}",
            found.len()
        );
        assert!(found.iter().enumerate().all(|(n, value)| *value == n.to_string()));
        restarted.crash().await;
    }
    stop.store(true, Ordering::SeqCst);
    producing.await.expect("the producer ends");
}

async fn values_of(broker: &Broker) -> Vec<String> {
    let context = CallContext::in_process("test", "PLAINTEXT");
    let request = fetch_request("t", 0, 0, 0);
    let response = broker.handle().router().call(context, 12, request.into()).await;
    let Some(forebay_protocol::Response::Fetch(response)) = response else {
        panic!("no answer")
    };
    values(&response.responses[0].partitions[0])
}

/// The control of the test above: without the syncs it would fail.
#[tokio::test]
async fn without_syncs_a_loss_of_power_costs_records() {
    let disk = MemoryDisk::new();
    let settings = [("log.flush.interval.messages", "9223372036854775807")];
    let broker = TestBroker::start_on(Arc::new(disk.clone()), &settings).await;
    broker.create_topic("t", 1, &[]).await;
    for value in ["a", "b", "c"] {
        assert_eq!(broker.produce("t", 0, -1, batch(&[value])).await.error_code, 0);
    }
    let left: Arc<dyn Disk> = Arc::new(disk.crash(Survivors::OnlySynced));
    let restarted = launch(broker.directory.path(), &left, &settings)
        .await
        .expect("it starts");
    assert!(values_of(&restarted).await.len() < 3);
}
