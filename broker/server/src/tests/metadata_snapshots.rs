//! Snapshots of the metadata: the log before them goes, a start reads them, and no moment of all that loses anything.

mod folders;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

use forebay_disk::{FaultyDisk, MemoryDisk, Operation, Survivors};
use forebay_protocol::messages::DeleteTopicsRequest;

use super::*;
use crate::{Error, LoadError, SnapshotError, clock};

const FOLDER: &str = "__cluster_metadata-0";

/// A snapshot at each round, small segments, and nothing kept that need not be.
const EAGER: [(&str, &str); 3] = [
    ("metadata.log.max.record.bytes.between.snapshots", "1"),
    ("internal.metadata.log.segment.bytes", "2048"),
    ("metadata.max.retention.bytes", "0"),
];
/// As before, but all of it is kept.
const KEEPING: [(&str, &str); 3] = [EAGER[0], EAGER[1], ("metadata.max.retention.bytes", "-1")];
const NEVER: [(&str, &str); 1] = [("metadata.log.max.snapshot.interval.ms", "0")];

/// One round of upkeep, beside those that come by themselves.
async fn upkeep(broker: &TestBroker) {
    upkeep_at(broker, clock::now().0).await;
}

async fn upkeep_at(broker: &TestBroker, now: i64) {
    let core = Arc::clone(broker.handle.core());
    let round = tokio::task::spawn_blocking(move || core.metadata.upkeep(now.into()));
    round.await.expect("it does not panic");
}

async fn delete_topic(broker: &TestBroker, name: &str) {
    let request = DeleteTopicsRequest {
        topic_names: vec![name.into()],
        timeout_ms: 1000,
        ..Default::default()
    };
    let response = broker.call(5, request).await;
    assert_eq!(response.responses[0].error_code, 0);
}

/// Topics with their ids.
fn topics(handle: &Handle) -> BTreeSet<(String, String)> {
    let image = handle.core().metadata.image();
    let named = image
        .topics()
        .map(|topic| (topic.name().to_string(), topic.id().to_string()));
    named.collect()
}

fn names(directory: &Path, suffix: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory.join(FOLDER))
        .expect("readable")
        .map(|entry| entry.expect("there").file_name().into_string().expect("text"))
        .filter(|name| name.ends_with(suffix))
        .collect();
    names.sort_unstable();
    names
}

fn metadata_log(broker: &TestBroker) -> Arc<forebay_broker_log::Log> {
    let directory = &broker.handle.core().replicas.shared().directory;
    let name = forebay_broker_log::TopicPartition::new("__cluster_metadata", 0).expect("a name");
    directory.log(&name).expect("open").expect("there")
}

#[tokio::test]
async fn the_log_goes_when_a_snapshot_stands_for_it() {
    // A start writes all changes of partitions in one batch, which a segment must take.
    let settings = [
        EAGER[0],
        ("internal.metadata.log.segment.bytes", "8192"),
        EAGER[2],
    ];
    let mut broker = TestBroker::start_with(&settings).await;
    for round in 0..5 {
        for number in 0..10 {
            broker
                .create_topic(&format!("t-{round}-{number}"), 2, &[("retention.ms", "77")])
                .await;
        }
        delete_topic(&broker, &format!("t-{round}-3")).await;
        upkeep(&broker).await;
        let expected = topics(&broker.handle);
        assert_eq!(expected.len(), 9 * (round + 1));
        let log = metadata_log(&broker);
        let (start, end) = (log.log_start_offset(), log.log_end_offset());
        assert_eq!(names(broker.directory.path(), ".checkpoint").len(), 1);
        // The first snapshot alone takes nothing away: it might be the one that cannot be read.
        assert_eq!(start.0 > 0, round > 0, "{start} to {end}");
        assert!(
            round == 0 || log.size_in_bytes() < 3 * 8192,
            "{} bytes",
            log.size_in_bytes()
        );
        broker = match round % 2 {
            0 => broker.restart().await,
            _ => broker.crash_and_restart().await,
        };
        assert_eq!(topics(&broker.handle), expected, "after round {round}");
        let image = broker.handle.core().metadata.image();
        let configs = image.topic_configs("t-0-0").expect("there");
        assert_eq!(configs.get("retention.ms").map(String::as_str), Some("77"));
        let text = broker.handle.metrics().await;
        assert!(text.contains("kafka_server_snapshotemitter_latestsnapshotgeneratedbytes"));
    }
    let first = broker
        .directory
        .path()
        .join(FOLDER)
        .join("00000000000000000000.log");
    assert!(!first.exists());
}

#[tokio::test]
async fn a_snapshot_comes_with_bytes_or_with_time_and_not_without_news() {
    let broker = TestBroker::start_with(&[
        ("metadata.log.max.record.bytes.between.snapshots", "20000"),
        ("metadata.log.max.snapshot.interval.ms", "60000"),
    ])
    .await;
    let count = || names(broker.directory.path(), ".checkpoint").len();
    let now = clock::now().0;
    upkeep_at(&broker, now + 30_000).await;
    assert_eq!(count(), 0, "neither many bytes nor long ago");
    upkeep_at(&broker, now + 61_000).await;
    assert_eq!(count(), 1, "the start itself is news");
    upkeep_at(&broker, now + 200_000).await;
    assert_eq!(count(), 1, "nothing is new");
    for number in 0..200 {
        broker.create_topic(&format!("t{number}"), 1, &[]).await;
    }
    upkeep_at(&broker, now + 200_001).await;
    // A round that came by itself may have found enough of them halfway.
    let many = count();
    assert!((2..=3).contains(&many), "many bytes: {many}");
    upkeep_at(&broker, now + 300_000).await;
    assert_eq!(count(), many, "nothing is new");
    let log = metadata_log(&broker);
    assert_eq!(log.log_start_offset().0, 0, "both are young and small");
    // A week later.
    upkeep_at(&broker, now + 8 * 86_400_000).await;
    assert_eq!(count(), 1);
    assert!(log.log_start_offset().0 > 0);
}

/// What the disk would hold if the machine stopped at each operation of a kind, during one round of upkeep.
async fn moments(operation: Operation) -> (TestBroker, Vec<MemoryDisk>) {
    let memory = MemoryDisk::new();
    let faulty = FaultyDisk::new(Arc::new(memory.clone()));
    let broker = TestBroker::start_on(Arc::new(faulty.clone()), &EAGER).await;
    for number in 0..12 {
        broker.create_topic(&format!("t{number}"), 1, &[]).await;
    }
    upkeep(&broker).await;
    for number in 12..24 {
        broker.create_topic(&format!("t{number}"), 1, &[]).await;
    }
    delete_topic(&broker, "t3").await;
    let taken: Arc<Mutex<Vec<MemoryDisk>>> = Arc::default();
    arm(&faulty, operation, &memory, &taken);
    upkeep(&broker).await;
    faulty.clear();
    let mut taken = std::mem::take(&mut *taken.lock().expect("whole"));
    taken.extend(kinds().map(|survivors| memory.crash(survivors)));
    (broker, taken)
}

fn kinds() -> impl Iterator<Item = Survivors> {
    [Survivors::OnlySynced, Survivors::Everything, Survivors::Random(7)].into_iter()
}

/// Before each operation of the kind, from now on, everything that may be left by a crash is put aside.
fn arm(faulty: &FaultyDisk, operation: Operation, memory: &MemoryDisk, taken: &Arc<Mutex<Vec<MemoryDisk>>>) {
    let (next, memory, taken) = (faulty.clone(), memory.clone(), Arc::clone(taken));
    faulty.call_at(operation, 1, move || {
        taken
            .lock()
            .expect("whole")
            .extend(kinds().map(|survivors| memory.crash(survivors)));
        arm(&next, operation, &memory, &taken);
        None
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_moment_of_a_snapshot_loses_anything() {
    let mut seen = 0;
    for operation in [
        Operation::Open,
        Operation::Write,
        Operation::Sync,
        Operation::Rename,
        Operation::SyncDirectory,
        Operation::Remove,
    ] {
        let (broker, moments) = moments(operation).await;
        let expected = topics(&broker.handle);
        assert_eq!(expected.len(), 23);
        seen += moments.len();
        for (number, disk) in moments.into_iter().enumerate() {
            let disk: Arc<dyn Disk> = Arc::new(disk);
            let again = launch(broker.directory.path(), &disk, &NEVER)
                .await
                .unwrap_or_else(|error| panic!("{operation:?}, {number}: {error}"));
            assert_eq!(topics(&again.handle()), expected, "{operation:?}, {number}");
            again.crash().await;
        }
    }
    assert!(seen > 60, "{seen} moments");
}

/// A broker that has stopped, with two snapshots and all of its log; and what is known.
async fn with_two_snapshots() -> (TestBroker, BTreeSet<(String, String)>) {
    let broker = TestBroker::start_with(&KEEPING).await;
    broker.create_topic("one", 1, &[]).await;
    upkeep(&broker).await;
    broker.create_topic("two", 1, &[]).await;
    upkeep(&broker).await;
    broker.create_topic("three", 1, &[]).await;
    let expected = topics(&broker.handle);
    let (running, mut stopped) = broker.split();
    running
        .run(std::future::ready(()))
        .await
        .expect("it ends cleanly");
    stopped.settings = NEVER.to_vec();
    (stopped, expected)
}

fn newest(directory: &Path) -> PathBuf {
    let names = names(directory, ".checkpoint");
    directory.join(FOLDER).join(names.last().expect("there"))
}

fn tear(path: &Path) {
    let bytes = fs::read(path).expect("readable");
    fs::write(path, &bytes[..bytes.len() - 1]).expect("writable");
}

#[tokio::test]
async fn an_older_snapshot_serves_where_the_newest_is_damaged() {
    let (stopped, expected) = with_two_snapshots().await;
    tear(&newest(stopped.directory.path()));
    let broker = stopped.again().await;
    assert_eq!(topics(&broker.handle), expected);
    // One that can be read takes the place of the damaged one.
    let (running, mut stopped) = broker.split();
    running.crash().await;
    stopped.settings = KEEPING.to_vec();
    let damaged = newest(stopped.directory.path());
    let broker = stopped.again().await;
    upkeep(&broker).await;
    assert!(!damaged.exists());
    assert_eq!(topics(&broker.restart().await.handle), expected);
}

#[tokio::test]
async fn the_whole_log_serves_where_every_snapshot_is_damaged() {
    let (stopped, expected) = with_two_snapshots().await;
    for name in names(stopped.directory.path(), ".checkpoint") {
        tear(&stopped.directory.path().join(FOLDER).join(name));
    }
    assert_eq!(topics(&stopped.again().await.handle), expected);
}

#[tokio::test]
async fn what_nobody_can_make_up_for_is_refused() {
    let start = || async {
        let broker = TestBroker::start_with(&EAGER).await;
        for number in 0..20 {
            broker.create_topic(&format!("t{number}"), 1, &[]).await;
            upkeep(&broker).await;
        }
        broker.create_topic("behind", 1, &[]).await;
        let expected = topics(&broker.handle);
        let (running, stopped) = broker.split();
        running.crash().await;
        let TestBroker { directory, disk, .. } = stopped;
        (directory, disk, expected)
    };

    let (directory, disk, expected) = start().await;
    let path = newest(directory.path());
    let whole = fs::read(&path).expect("readable");
    tear(&path);
    let error = launch(directory.path(), &disk, &NEVER)
        .await
        .expect_err("it is torn");
    assert!(
        matches!(
            &error,
            Error::Metadata(LoadError::DamagedSnapshot(SnapshotError::Damaged { .. }))
        ),
        "{error}"
    );
    fs::write(&path, whole).expect("writable");
    let broker = launch(directory.path(), &disk, &NEVER)
        .await
        .expect("put back, it serves");
    assert_eq!(topics(&broker.handle()), expected);
    broker.crash().await;

    let (directory, disk, _) = start().await;
    fs::remove_file(newest(directory.path())).expect("removed");
    let error = launch(directory.path(), &disk, &NEVER)
        .await
        .expect_err("it is gone");
    assert!(
        matches!(&error, Error::Metadata(LoadError::Snapshot { first }) if first.0 > 0),
        "{error}"
    );
}

/// A follower of Kafka's that had fetched a snapshot, and was killed before it cut its log.
#[tokio::test]
async fn a_log_that_ends_before_its_snapshot_begins_anew_at_it() {
    let (stopped, _) = with_two_snapshots().await;
    let folder = stopped.directory.path().join(FOLDER);
    let path = newest(stopped.directory.path());
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .expect("text")
        .to_owned();
    for suffix in [".log", ".index", ".timeindex", ".snapshot"] {
        for name in names(stopped.directory.path(), suffix) {
            fs::remove_file(folder.join(name)).expect("removed");
        }
    }
    fs::remove_file(folder.join("leader-epoch-checkpoint")).expect("removed");
    for checkpoint in ["recovery-point-offset-checkpoint", "log-start-offset-checkpoint"] {
        let _none = fs::remove_file(stopped.directory.path().join(checkpoint));
    }
    fs::write(folder.join(format!("{name}.part")), b"torn").expect("written");
    let broker = stopped.again().await;
    let known: Vec<String> = topics(&broker.handle).into_iter().map(|(name, _)| name).collect();
    assert_eq!(known, ["one", "two"], "the third was behind the snapshot");
    let end: i64 = name[..20].parse().expect("digits");
    assert_eq!(metadata_log(&broker).log_start_offset().0, end);
    assert_eq!(names(broker.directory.path(), ".part"), [""; 0]);
    broker.create_topic("four", 1, &[]).await;
    let expected = topics(&broker.handle);
    assert_eq!(topics(&broker.crash_and_restart().await.handle), expected);
}

macro_rules! kafkas {
    ($($name:literal),+) => {
        [$(($name, include_bytes!(concat!("kafka-4.3.1-metadata/", $name)).as_slice())),+]
    };
}

/// What Kafka 4.3.1 left of its metadata log when it was killed: it begins behind offset 0, and what was before it is in snapshots.
/// Topics `alpha` and `gamma` with a setting each, a quota, a user's password.
const KAFKAS: [(&str, &[u8]); 6] = kafkas![
    "00000000000000000108.log",
    "00000000000000000143-0000000001.checkpoint",
    "00000000000000000162.log",
    "00000000000000000171-0000000001.checkpoint",
    "00000000000000000199-0000000001.checkpoint",
    "00000000000000000217.log"
];

fn is_kafkas(handle: &Handle) {
    let image = handle.core().metadata.image();
    let names: Vec<_> = image.topics().map(|topic| topic.name().to_string()).collect();
    assert_eq!(names, ["alpha", "gamma"]);
    let alpha = image.topic("alpha").expect("there");
    assert_eq!(
        (alpha.id().to_string().as_str(), alpha.partition_count()),
        ("ITcFvWM5TKiKDbhe7lSKgQ", 3)
    );
    let configs = image.topic_configs("gamma").expect("there");
    assert_eq!(configs.get("retention.ms").map(String::as_str), Some("777777"));
    assert_eq!(image.client_quotas().len(), 1);
    assert_eq!(image.scram_credentials().count(), 1);
    assert_eq!(image.metadata_version().level(), 30);
}

#[tokio::test]
async fn a_metadata_log_of_kafkas_that_has_lost_its_beginning_is_read() {
    let snapshots: Vec<&str> = KAFKAS
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| name.ends_with(".checkpoint"))
        .collect();
    // Whole; then without its newest snapshot, and with only the oldest, behind which the log has the rest.
    for missing in 0..snapshots.len() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let folder = directory.path().join(FOLDER);
        fs::create_dir_all(&folder).expect("made");
        for (name, content) in KAFKAS {
            if !snapshots[snapshots.len() - missing..].contains(&name) {
                fs::write(folder.join(name), content).expect("written");
            }
        }
        let meta =
            "version=1\nnode.id=0\ncluster.id=Zm9yZWJheS1wZWVyLWt1YQ\ndirectory.id=O6TNCnywk5hBfCFScALh9w\n";
        fs::write(directory.path().join("meta.properties"), meta).expect("written");
        let leavings = [
            "00000000000000000115-0000000001.checkpoint.deleted",
            "00000000000000000227-0000000001-77.checkpoint.part",
        ];
        for name in leavings {
            fs::write(folder.join(name), b"torn").expect("written");
        }
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let settings = [("node.id", "0"), EAGER[0], EAGER[1], EAGER[2]];
        let broker = launch(directory.path(), &disk, &settings)
            .await
            .expect("it starts");
        is_kafkas(&broker.handle());
        assert!(leavings.iter().all(|name| !folder.join(name).exists()));
        // Kafka's snapshots go in the course of things, and ours say the same.
        let core = Arc::clone(broker.handle().core());
        let round = tokio::task::spawn_blocking(move || core.metadata.upkeep(clock::now()));
        round.await.expect("it does not panic");
        assert_eq!(names(directory.path(), ".checkpoint").len(), 1);
        broker.crash().await;
        let broker = launch(directory.path(), &disk, &settings)
            .await
            .expect("it starts");
        is_kafkas(&broker.handle());
        broker.crash().await;
    }
}
