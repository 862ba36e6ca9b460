//! A coordinator whose log fails now and then.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Waker};
use std::time::Duration;

use forebay_broker_coordinator::RequestContext;
use forebay_broker_log::{self as log, DirectoryOptions, LogConfig, LogDirectory};
use forebay_broker_partition::{self as partition, LeaderAndIsr, LogState, Partition};
use forebay_disk::{Effect, Fault, FaultyDisk, MemoryDisk, Operation};
use forebay_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use forebay_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use forebay_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use forebay_protocol::messages::{
    ConsumerGroupHeartbeatRequest, OffsetCommitRequest, TxnOffsetCommitRequest,
};
use forebay_protocol::{ErrorCode, NodeId, TopicPartition, Utf8Bytes, Uuid};
use forebay_records::LeaderEpoch;
use tokio::sync::{oneshot, watch};

use super::driver::Shard;
use super::expressions::Turns;
use super::*;
use crate::io_pool::IoPool;
use crate::replicas::fetch_waits::FetchWaits;
use crate::replicas::{Meters, Replica, Shared};
use crate::shutdown::{self, Shutdown, ShutdownSender};

const NODE: NodeId = NodeId(1);
const PARTITION: i32 = 3;
const TOPIC_ID: Uuid = Uuid::from_bytes([7; 16]);
/// How long a write takes that something else should wait for.
const LONG: Duration = Duration::from_millis(200);

/// A partition of `__consumer_offsets` on a disk that does as the test says.
struct Bench {
    disk: FaultyDisk,
    shared: Arc<Shared>,
    replica: Arc<Replica>,
    shutdown: Shutdown,
    _stop: ShutdownSender,
}

impl Bench {
    fn new() -> Self {
        let disk = FaultyDisk::new(Arc::new(MemoryDisk::new()));
        let options = DirectoryOptions {
            disk: Arc::new(disk.clone()),
            path: PathBuf::from("/data"),
            node_id: NODE.0,
            cluster_id: None,
            new_cluster_id: "cluster".to_owned(),
            new_directory_id: log::Uuid([9; 16]),
            tail_bytes_per_log: 1 << 20,
            tail_bytes: 1 << 20,
            recovery: Arc::default(),
        };
        let directory = LogDirectory::open(options).expect("new");
        let config = Arc::new(LogConfig {
            flush_messages: 1,
            ..LogConfig::default()
        });
        let name = log::TopicPartition::new("__consumer_offsets", PARTITION).expect("valid");
        let topic_id = log::Uuid(TOPIC_ID.to_bytes());
        let log = directory
            .log_or_create(&name, topic_id, &config)
            .expect("created");
        let shared = Arc::new(Shared {
            node_id: NODE,
            directory: Arc::new(directory),
            appends: IoPool::new("append", 1),
            reads: IoPool::new("read", 1),
            verifier: Arc::new(crate::verification::Verifier::new(
                tokio::runtime::Handle::current(),
            )),
            fetch_waits: FetchWaits::default(),
            meters: Meters::default(),
            failure: watch::Sender::new(None),
        });
        let name = TopicPartition::new("__consumer_offsets", PARTITION);
        let state = Partition::new(NODE, partition::Config::default(), LogState::default());
        let replica = Replica::new(name, TOPIC_ID, config, Some(log), state, Arc::clone(&shared));
        let replica = Arc::new(replica);
        replica.take_role(partition::Command::BecomeLeader(LeaderAndIsr {
            leader_epoch: LeaderEpoch(1),
            partition_epoch: 1,
            replicas: vec![NODE],
            isr: vec![NODE],
        }));
        let (stop, shutdown) = shutdown::channel();
        Self {
            disk,
            shared,
            replica,
            shutdown,
            _stop: stop,
        }
    }

    /// A coordinator over what is in the log.
    fn shard(&self) -> Arc<Shard> {
        self.shard_without("")
    }

    /// A coordinator over what is in the log, where there is no such topic.
    fn shard_without(&self, gone: &'static str) -> Arc<Shard> {
        self.shard_with(gone, Turns::default())
    }

    fn shard_with(&self, gone: &'static str, turns: Turns) -> Arc<Shard> {
        let driver = GroupDriver::new(
            Config::default(),
            Arc::new(forebay_broker_coordinator::NoCluster),
            turns,
            move |topic, id| topic != gone && id == TOPIC_ID,
        );
        let replica = Arc::clone(&self.replica);
        Shard::start(PARTITION, replica, driver, self.shutdown.clone(), Arc::default())
    }

    /// A coordinator whose log has a record, so that its files are there.
    async fn used_shard(&self) -> Arc<Shard> {
        let shard = self.shard();
        assert_eq!(commit(Arc::clone(&shard), "t", 1).await, ErrorCode::None);
        shard
    }

    /// Stops the next writes, one after the other.
    fn stop_writes<const N: usize>(&self) -> [Stopped; N] {
        let mut next: Box<dyn FnOnce() + Send> = Box::new(|| {});
        let mut stopped = std::array::from_fn(|_| {
            let (entered, is_there) = oneshot::channel();
            let (go_on, told) = mpsc::channel();
            let disk = self.disk.clone();
            let after = std::mem::replace(&mut next, Box::new(|| {}));
            next = Box::new(move || {
                disk.call_at(Operation::Write, 1, move || {
                    after();
                    let _nobody_waits = entered.send(());
                    told.recv().unwrap_or_default()
                });
            });
            Stopped { is_there, go_on }
        });
        next();
        stopped.reverse();
        stopped
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.shared.appends.abandon();
        self.shared.reads.abandon();
    }
}

/// A write that waits to be told how it ends.
struct Stopped {
    is_there: oneshot::Receiver<()>,
    go_on: mpsc::Sender<Option<Effect>>,
}

impl Stopped {
    async fn arrived(&mut self) {
        (&mut self.is_there).await.expect("it comes");
    }

    fn succeed_after(self, time: Duration) {
        std::thread::spawn(move || {
            std::thread::sleep(time);
            // The test may be over.
            let _gone = self.go_on.send(None);
        });
    }

    fn end(&self, effect: Option<Effect>) {
        self.go_on.send(effect).expect("it waits");
    }
}

/// Begins something, as far as it goes.
fn begin<'a, T>(future: impl Future<Output = T> + Send + 'a) -> Pin<Box<dyn Future<Output = T> + Send + 'a>> {
    let mut future: Pin<Box<dyn Future<Output = T> + Send + 'a>> = Box::pin(future);
    let begun = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(begun.is_pending(), "it has to wait");
    future
}

fn context() -> RequestContext {
    RequestContext {
        api_version: 9,
        client_id: Utf8Bytes::default(),
        client_host: Utf8Bytes::default(),
    }
}

/// Commits an offset of group `g`.
async fn commit(shard: Arc<Shard>, topic: &str, committed_offset: i64) -> ErrorCode {
    let partition = OffsetCommitRequestPartition {
        committed_offset,
        ..OffsetCommitRequestPartition::default()
    };
    let topic = OffsetCommitRequestTopic {
        name: topic.into(),
        topic_id: TOPIC_ID,
        partitions: vec![partition],
        ..OffsetCommitRequestTopic::default()
    };
    let request = OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: -1,
        topics: vec![topic],
        ..OffsetCommitRequest::default()
    };
    match shard.request(context(), Command::OffsetCommit(request)).await {
        Some(Response::OffsetCommit(answer)) => {
            ErrorCode::from_i16(answer.topics[0].partitions[0].error_code)
        }
        other => panic!("{other:?}"),
    }
}

/// The offset of group `g`, -1 for none, once the coordinator is loaded.
async fn committed(shard: &Arc<Shard>, topic: &str) -> i64 {
    let topic = OffsetFetchRequestTopics {
        name: topic.into(),
        partition_indexes: vec![0],
        ..OffsetFetchRequestTopics::default()
    };
    let group = OffsetFetchRequestGroup {
        group_id: "g".into(),
        topics: Some(vec![topic]),
        ..OffsetFetchRequestGroup::default()
    };
    loop {
        let command = Command::OffsetFetch {
            group: group.clone(),
            require_stable: false,
        };
        match shard.request(context(), command).await {
            Some(Response::OffsetFetch(answer)) => match ErrorCode::from_i16(answer.error_code) {
                ErrorCode::None => return answer.topics[0].partitions[0].committed_offset,
                ErrorCode::CoordinatorLoadInProgress => tokio::task::yield_now().await,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }
}

async fn eventually_forgotten(shard: &Arc<Shard>, topic: &str) {
    let forgotten = async {
        while committed(shard, topic).await != -1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), forgotten)
        .await
        .expect("the offset is forgotten");
}

/// `x` fails; `y`, decided on top of it, is in the log nevertheless, so the coordinator begins again from there; `z` was decided
/// after the failure and reaches the log during that.
#[tokio::test]
async fn who_begins_again_knows_what_was_on_its_way_to_the_log() {
    let bench = Bench::new();
    let shard = bench.used_shard().await;
    let [mut first, mut second, mut third] = bench.stop_writes();
    let x = begin(commit(Arc::clone(&shard), "x", 5));
    first.arrived().await;
    let y = begin(commit(Arc::clone(&shard), "y", 6));
    first.end(Some(Effect::NoSpace));
    assert_eq!(
        x.await,
        ErrorCode::NotCoordinator,
        "as Kafka maps a storage error"
    );
    assert_eq!(y.await, ErrorCode::NotCoordinator, "taken back with it");
    second.arrived().await;
    let z = begin(commit(Arc::clone(&shard), "z", 7));
    second.end(None);
    assert_eq!(z.await, ErrorCode::NotCoordinator, "it begins again");
    third.arrived().await;
    // A coordinator that does not wait for it would be there long before.
    third.succeed_after(LONG);
    let mut known = Vec::new();
    for topic in ["t", "x", "y", "z"] {
        known.push(committed(&shard, topic).await);
    }
    assert_eq!(known, [1, -1, 6, 7]);
    assert_eq!(commit(Arc::clone(&shard), "x", 8).await, ErrorCode::None);
    assert_eq!(committed(&shard, "x").await, 8);
}

/// Commits an offset of group `g` in a transaction of which nobody has told the log.
async fn commit_in_transaction(shard: Arc<Shard>) -> ErrorCode {
    let partition = TxnOffsetCommitRequestPartition {
        committed_offset: 9,
        ..Default::default()
    };
    let topic = TxnOffsetCommitRequestTopic {
        name: "t".into(),
        partitions: vec![partition],
        ..Default::default()
    };
    let request = TxnOffsetCommitRequest {
        transactional_id: "late".into(),
        group_id: "g".into(),
        producer_id: 7,
        generation_id: -1,
        topics: vec![topic],
        ..Default::default()
    };
    let command = Command::TxnOffsetCommit {
        request,
        verification: 4_711,
    };
    match shard.request(context(), command).await {
        Some(Response::TxnOffsetCommit(answer)) => {
            ErrorCode::from_i16(answer.topics[0].partitions[0].error_code)
        }
        other => panic!("{other:?}"),
    }
}

/// The end of a transaction by a coordinator of this epoch.
async fn end_transaction(shard: Arc<Shard>, coordinator_epoch: i32) -> Result<(), ErrorCode> {
    let end = EndOfTransaction {
        producer_id: 7.into(),
        producer_epoch: 0.into(),
        coordinator_epoch,
        transaction_version: 0,
        commit: true,
    };
    match shard.request_of_its_own(Command::EndTransaction(end)).await {
        Some(Response::EndTransaction(result)) => result,
        other => panic!("{other:?}"),
    }
}

/// The log refuses what is wrong with a transaction when others have been decided on top of it: that is no affair of theirs.
#[tokio::test]
async fn what_is_late_in_a_transaction_is_refused_alone() {
    let bench = Bench::new();
    let shard = bench.used_shard().await;
    assert_eq!(end_transaction(Arc::clone(&shard), 5).await, Ok(()));
    let [mut first] = bench.stop_writes();
    let before = begin(commit(Arc::clone(&shard), "before", 5));
    first.arrived().await;
    let late = begin(commit_in_transaction(Arc::clone(&shard)));
    let between = begin(commit(Arc::clone(&shard), "between", 6));
    let older = begin(end_transaction(Arc::clone(&shard), 4));
    let topics = ["x", "y", "z"];
    let others = topics.map(|topic| begin(commit(Arc::clone(&shard), topic, 7)));
    first.end(None);
    assert_eq!(late.await, ErrorCode::InvalidTxnState);
    assert_eq!(older.await, Err(ErrorCode::TransactionCoordinatorFenced));
    assert_eq!((before.await, between.await), (ErrorCode::None, ErrorCode::None));
    for other in others {
        assert_eq!(other.await, ErrorCode::None);
    }
    assert!(!shard.is_loading());
    for (topic, offset) in [
        ("t", 1),
        ("before", 5),
        ("between", 6),
        ("x", 7),
        ("y", 7),
        ("z", 7),
    ] {
        assert_eq!(committed(&shard, topic).await, offset, "{topic}");
    }
}

#[tokio::test]
async fn who_has_resigned_does_not_begin_again() {
    let bench = Bench::new();
    let shard = bench.used_shard().await;
    let [mut first, mut second] = bench.stop_writes();
    let x = begin(commit(Arc::clone(&shard), "x", 5));
    first.arrived().await;
    let y = begin(commit(Arc::clone(&shard), "y", 6));
    first.end(Some(Effect::NoSpace));
    assert_eq!(
        (x.await, y.await),
        (ErrorCode::NotCoordinator, ErrorCode::NotCoordinator)
    );
    second.arrived().await;
    shard.resign();
    second.end(None);
    // Until its last task has ended.
    while Arc::strong_count(&shard) > 1 {
        assert!(shard.is_resigned());
        tokio::task::yield_now().await;
    }
    assert_eq!(
        commit(Arc::clone(&shard), "x", 5).await,
        ErrorCode::NotCoordinator
    );
}

#[tokio::test]
async fn a_topic_that_goes_while_the_coordinator_loads_is_forgotten() {
    let bench = Bench::new();
    let before = bench.used_shard().await;
    assert_eq!(commit(Arc::clone(&before), "kept", 2).await, ErrorCode::None);
    before.resign();
    // The only thread that reads.
    let (go_on, told) = mpsc::channel::<()>();
    let reading = begin(bench.shared.reads.run(move || told.recv()));
    let shard = bench.shard();
    shard.forget_topics(&[("t".into(), TOPIC_ID), ("kept".into(), Uuid::from_bytes([8; 16]))]);
    // It comes to that, in vain.
    tokio::task::yield_now().await;
    assert!(shard.is_loading());
    drop(go_on);
    let _disconnected = reading.await;
    eventually_forgotten(&shard, "t").await;
    assert_eq!(
        committed(&shard, "kept").await,
        2,
        "of another topic of that name"
    );
}

/// The broker was killed between the deletion and the tombstones.
#[tokio::test]
async fn a_topic_that_went_before_the_coordinator_was_loaded_is_forgotten() {
    let bench = Bench::new();
    let before = bench.used_shard().await;
    assert_eq!(commit(Arc::clone(&before), "kept", 2).await, ErrorCode::None);
    before.resign();
    let shard = bench.shard_without("t");
    eventually_forgotten(&shard, "t").await;
    shard.resign();
    let again = bench.shard();
    assert_eq!(
        (committed(&again, "t").await, committed(&again, "kept").await),
        (-1, 2)
    );
}

#[tokio::test]
async fn a_topic_that_goes_while_the_disk_is_full_is_forgotten() {
    let bench = Bench::new();
    let shard = bench.used_shard().await;
    bench.disk.set(Fault {
        operation: Operation::Write,
        nth: 1,
        effect: Effect::NoSpace,
    });
    shard.forget_topics(&[("t".into(), TOPIC_ID)]);
    eventually_forgotten(&shard, "t").await;
    assert_eq!(bench.disk.count(Operation::Write), 2, "tried again");
}

/// Expressions wait for their turn behind those of the whole broker: nobody waits for that who begins again.
#[tokio::test]
async fn who_begins_again_does_not_wait_for_expressions() {
    let bench = Bench::new();
    let turns = Turns::default();
    let held = Arc::clone(&turns.new.turn).acquire_owned().await.expect("open");
    let shard = bench.shard_with("", turns.clone());
    let heartbeat = |epoch, regex: Option<&str>| ConsumerGroupHeartbeatRequest {
        group_id: "g".into(),
        member_id: "m".into(),
        member_epoch: epoch,
        rebalance_timeout_ms: 60_000,
        subscribed_topic_regex: regex.map(Into::into),
        topic_partitions: Some(Vec::new()),
        ..Default::default()
    };
    let join = Command::consumer_group_heartbeat(heartbeat(0, Some("a.*")), 1);
    let Some(Response::ConsumerGroupHeartbeat(joined)) = shard.request(context(), join).await else {
        panic!("joined");
    };
    assert_eq!(joined.error_code, 0, "{:?}", joined.error_message);
    let again = tokio::time::timeout(Duration::from_secs(10), shard.begin_again()).await;
    assert!(again.is_ok(), "it waits for its turn");
    assert!(!shard.is_loading());
    let beat = Command::consumer_group_heartbeat(heartbeat(joined.member_epoch, None), 1);
    let Some(Response::ConsumerGroupHeartbeat(known)) = shard.request(context(), beat).await else {
        panic!("heard");
    };
    assert_eq!(known.error_code, 0, "{:?}", known.error_message);
    drop(held);
    shard.resign();
    // What was under way is over, and nobody has kept a turn.
    let _turn = turns.new.turn.acquire().await.expect("open");
}
