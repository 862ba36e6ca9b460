//! B21: the broker dies at any step of a transaction over records and offsets: before and after a partition is added, before and after the
//! decision is written, before and after each partition is told, before and after that is written down. Whoever reads the disk it
//! leaves finds the transaction whole or not at all, and nothing that waits for ever.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use forebay_disk::{FaultyDisk, MemoryDisk, Operation, Survivors};

use super::clients::{KINDS, Kind, Producer, VERSION_2};
use super::*;

const PARTITIONS: i32 = 3;
/// What the transaction commits for group `g`.
const OFFSET: i64 = 7;
/// One write after the other, so that no moment is missed.
const IN_TURN: (&str, &str) = ("num.io.threads", "1");
const NO_SYNC: (&str, &str) = ("log.flush.interval.messages", "9223372036854775807");

/// Whose transaction ends how, and the first moment that is looked at.
#[derive(Debug, Clone, Copy)]
struct Case {
    kind: Kind,
    id: &'static str,
    committed: bool,
    since: Since,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    /// Nothing of it is written.
    Beginning,
    /// Its producer has asked for its end.
    End,
}

const COMMIT: Case = Case {
    kind: VERSION_2,
    id: "tx",
    committed: true,
    since: Since::End,
};

/// A disk as a dead broker left it.
struct Snapshot {
    disk: Vec<MemoryDisk>,
    /// The producer had been told that its transaction has ended as it wished.
    acknowledged: bool,
}

/// Takes one before each write from now on.
#[derive(Clone)]
struct Camera {
    memory: MemoryDisk,
    faulty: FaultyDisk,
    survivors: Vec<Survivors>,
    acknowledged: Arc<AtomicBool>,
    taken: Arc<Mutex<Vec<Snapshot>>>,
}

impl Camera {
    fn take(&self) {
        let disk = self.survivors.iter().map(|one| self.memory.crash(*one)).collect();
        let acknowledged = self.acknowledged.load(Ordering::SeqCst);
        let snapshot = Snapshot { disk, acknowledged };
        self.taken.lock().expect("whole").push(snapshot);
    }

    fn arm(&self) {
        let camera = self.clone();
        self.faulty.call_at(Operation::Write, 1, move || {
            camera.take();
            camera.arm();
            None
        });
    }
}

/// Runs a transaction over all partitions, and gives what every moment of it would have left.
async fn moments_of_a_transaction(
    case: Case,
    survivors: Vec<Survivors>,
    settings: &[(&'static str, &'static str)],
) -> (TestBroker, Vec<Snapshot>) {
    let Case {
        kind,
        id,
        committed,
        since,
    } = case;
    let memory = MemoryDisk::new();
    let faulty = FaultyDisk::new(Arc::new(memory.clone()));
    let broker = TestBroker::start_on(Arc::new(faulty.clone()), settings).await;
    broker.create_topic(TOPIC, PARTITIONS, &[]).await;
    find_coordinator(&broker).await;
    groups::find_coordinator(&broker, "g").await;
    let mut producer = Producer::begin(&broker, kind, id).await;
    let camera = Camera {
        memory,
        faulty,
        survivors,
        acknowledged: Arc::default(),
        taken: Arc::default(),
    };
    if since == Since::Beginning {
        camera.arm();
    }
    for partition in 0..PARTITIONS {
        assert_eq!(producer.send(&broker, partition, &["x"]).await, ErrorCode::None);
    }
    assert_eq!(producer.send_offset(&broker, OFFSET).await, ErrorCode::None);
    if since == Since::End {
        camera.arm();
    }
    assert_eq!(producer.end(&broker, committed).await, ErrorCode::None);
    camera.acknowledged.store(true, Ordering::SeqCst);
    let done = if committed {
        "CompleteCommit"
    } else {
        "CompleteAbort"
    };
    wait_for_state(&broker, id, done).await;
    camera.take();
    camera.faulty.clear();
    let taken = std::mem::take(&mut *camera.taken.lock().expect("whole"));
    (broker, taken)
}

/// What is wrong with what a broker makes of a disk that another one left, if anything is.
async fn judge(
    directory: &TestBroker,
    disk: MemoryDisk,
    case: Case,
    acknowledged: bool,
) -> Result<(), String> {
    let id = case.id;
    let disk: Arc<dyn Disk> = Arc::new(disk);
    let broker = launch(directory.directory.path(), &disk, &directory.settings)
        .await
        .expect("it starts");
    let broker = TestBroker {
        handle: broker.handle(),
        broker: Some(broker),
        settings: directory.settings.clone(),
        directory: tempfile::tempdir().expect("a temporary directory"),
        disk,
    };
    // The application starts again. What was not decided is aborted by that.
    let again = Producer::begin(&broker, VERSION_2, id);
    let verdict = match tokio::time::timeout(Duration::from_secs(2), again).await {
        Err(_late) => Err(format!(
            "the transaction never ends: {}",
            state_of(&broker, id).await
        )),
        Ok(_producer) => {
            let mut found = Vec::new();
            for partition in 0..PARTITIONS {
                let seen = read_committed(&broker, partition).await;
                found.push((seen, ends(&broker, partition).await));
            }
            verdict(&found, committed_offset(&broker).await, case, acknowledged)
        }
    };
    broker.split().0.crash().await;
    verdict
}

fn verdict(
    found: &[(Committed, Vec<bool>)],
    offset: Option<i64>,
    Case { committed, .. }: Case,
    acknowledged: bool,
) -> Result<(), String> {
    if found
        .iter()
        .any(|(seen, _)| seen.last_stable_offset < seen.high_watermark)
    {
        return Err(format!("consumers wait for ever: {found:?}"));
    }
    let visible = found.iter().filter(|(seen, _)| !seen.values.is_empty()).count();
    if visible != 0 && visible != found.len() {
        return Err(format!("half a transaction: {found:?}"));
    }
    match offset {
        None => return Err("who asks for stable offsets waits for ever".to_owned()),
        Some(offset) if (offset == OFFSET) != (visible > 0) => {
            return Err(format!("half a transaction: offset {offset} and {found:?}"));
        }
        Some(_) => {}
    }
    let ends: Vec<bool> = found.iter().flat_map(|(_, ends)| ends.iter().copied()).collect();
    if ends.contains(&true) && ends.contains(&false) {
        return Err(format!("committed and aborted: {found:?}"));
    }
    if acknowledged && committed != (visible > 0) {
        return Err(format!("not as it was told: {found:?}"));
    }
    if !committed && visible > 0 {
        return Err(format!("nobody committed it: {found:?}"));
    }
    Ok(())
}

/// All verdicts that are not good, up to the first that is `enough`, and how many moments there were.
async fn sweep(
    case: Case,
    survivors: &[Survivors],
    settings: &[(&'static str, &'static str)],
    enough: Option<&str>,
) -> (usize, Vec<String>) {
    let (broker, taken) = moments_of_a_transaction(case, survivors.to_vec(), settings).await;
    let mut failures = Vec::new();
    let steps = taken.len();
    'all: for Snapshot { disk, acknowledged } in taken {
        for disk in disk {
            failures.extend(judge(&broker, disk, case, acknowledged).await.err());
            let last = failures.last();
            if enough.is_some_and(|enough| last.is_some_and(|one| one.contains(enough))) {
                break 'all;
            }
        }
    }
    broker.split().0.crash().await;
    (steps, failures)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_is_whole_wherever_the_broker_dies() {
    for kind in KINDS {
        for committed in [true, false] {
            let survivors = [Survivors::Everything, Survivors::OnlySynced];
            let case = Case {
                kind,
                committed,
                ..COMMIT
            };
            let (steps, failures) = sweep(case, &survivors, &[IN_TURN], None).await;
            // The decision, three partitions, the group's, the completion.
            assert!(steps >= 6, "{steps}");
            assert_eq!(failures, Vec::<String>::new(), "{kind:?} {committed}");
        }
    }
}

/// Also while it is open: then it is aborted by whoever comes next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_transaction_is_nothing_wherever_the_broker_dies() {
    for kind in KINDS {
        let case = Case {
            kind,
            since: Since::Beginning,
            ..COMMIT
        };
        let (steps, failures) = sweep(case, &[Survivors::OnlySynced], &[IN_TURN], None).await;
        // Three partitions and a group's are added and written to, before the end.
        assert!(steps >= 8 + 6, "{steps}");
        assert_eq!(failures, Vec::<String>::new(), "{kind:?}");
    }
}

/// The control: without syncs a loss of power may take the decision and leave what came of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_syncs_a_loss_of_power_may_tear_a_transaction() {
    let survivors: Vec<_> = (0..8).map(Survivors::Random).collect();
    let (_, failures) = sweep(COMMIT, &survivors, &[IN_TURN, NO_SYNC], Some("")).await;
    assert!(!failures.is_empty());
}

/// Controls: what a coordinator that does its work badly would do is noticed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_coordinators_are_noticed() {
    let cases = [
        ("sabotage: forgets to tell", "consumers wait for ever"),
        ("sabotage: aborts what it finds decided", "half a transaction"),
        (
            "sabotage: leaves what it finds decided",
            "the transaction never ends",
        ),
    ];
    for (id, expected) in cases {
        let case = Case { id, ..COMMIT };
        let (_, failures) = sweep(case, &[Survivors::Everything], &[IN_TURN], Some(expected)).await;
        assert!(
            failures.iter().any(|failure| failure.contains(expected)),
            "{id}: {failures:?}"
        );
    }
}
