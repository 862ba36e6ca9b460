//! Snapshots and the folders of partitions that are gone; what a new cluster begins with; who waits for a snapshot that is read.

use forebay_disk::{Effect, Fault};

use super::*;

/// Where folders of deleted topics cannot be taken away for now, only the log says that they are deleted: as long there is no snapshot.
#[tokio::test]
async fn snapshots_go_on_when_folders_of_deleted_topics_have_gone() {
    let faulty = FaultyDisk::new(Arc::new(MemoryDisk::new()));
    let broker = TestBroker::start_on(Arc::new(faulty.clone()), &EAGER).await;
    for name in ["kept", "gone"] {
        broker.create_topic(name, 1, &[]).await;
        assert_eq!(broker.produce(name, 0, -1, batch(&["v"])).await.error_code, 0);
    }
    faulty.set(Fault {
        operation: Operation::Rename,
        nth: 1,
        effect: Effect::NoSpaceFromNowOn,
    });
    delete_topic(&broker, "gone").await;
    faulty.clear();
    let directory = Arc::clone(&broker.handle.core().replicas.shared().directory);
    let folder = directory.path().join("gone-0");
    let is_there = |path: &Path| faulty.metadata(path).is_ok();
    upkeep(&broker).await;
    // What comes by itself may have been faster.
    if directory.has_undeleted() {
        assert!(is_there(&folder));
        assert!(broker.handle.core().metadata.latest_snapshot().is_none());
    }
    directory.purge(clock::now());
    assert!(!directory.has_undeleted() && !is_there(&folder));
    drop(directory);
    upkeep(&broker).await;
    assert!(broker.handle.core().metadata.latest_snapshot().is_some());
    let broker = broker.crash_and_restart().await;
    let known: Vec<String> = topics(&broker.handle).into_iter().map(|(name, _)| name).collect();
    assert_eq!(known, ["kept"]);
    assert_eq!(broker.values("kept", 0, 0).await, ["v"]);
}

/// Whoever counts them, on a thread that may not wait for the disk.
#[tokio::test]
async fn nobody_waits_for_a_snapshot_that_is_read() {
    let (stopped, _) = with_two_snapshots().await;
    let TestBroker {
        handle,
        directory,
        disk,
        ..
    } = stopped;
    drop(handle);
    let faulty = FaultyDisk::new(disk);
    let disk: Arc<dyn Disk> = Arc::new(faulty.clone());
    let broker = launch(directory.path(), &disk, &NEVER).await.expect("it starts");
    let core = Arc::clone(broker.handle().core());
    let counting = Arc::clone(&core);
    let (told, outcome) = std::sync::mpsc::channel();
    faulty.call_at(Operation::Read, 1, move || {
        let (sender, counted) = std::sync::mpsc::channel();
        std::thread::spawn(move || sender.send(counting.metadata.latest_snapshot()));
        let counted = counted.recv_timeout(std::time::Duration::from_secs(5));
        told.send(counted.is_ok()).expect("the test waits");
        None
    });
    let later = clock::now() + 61_000;
    let round = tokio::task::spawn_blocking(move || core.metadata.upkeep(later));
    round.await.expect("it does not panic");
    assert_eq!(outcome.try_recv(), Ok(true), "the older one is read for its age");
    broker.crash().await;
}

/// A copy of a partition's folder as another topic's.
fn copy_folder(directory: &Path, from: &str, to: &str, topic_id: Option<&str>) {
    let (from, to) = (directory.join(from), directory.join(to));
    let _new = fs::create_dir(&to);
    for entry in fs::read_dir(from).expect("readable") {
        let path = entry.expect("there").path();
        fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("copied");
    }
    if let Some(id) = topic_id {
        fs::write(
            to.join("partition.metadata"),
            format!("version: 0\ntopic_id: {id}"),
        )
        .expect("written");
    }
}

/// What Kafka leaves if it is killed between the removal of a topic and that of its folders, and has a snapshot since. (It calls them stray.)
#[tokio::test]
async fn folders_that_the_metadata_do_not_have_are_set_aside() {
    let broker = TestBroker::start_with(&EAGER).await;
    for name in ["kept", "again"] {
        broker.create_topic(name, 1, &[]).await;
    }
    assert_eq!(broker.produce("kept", 0, -1, batch(&["v"])).await.error_code, 0);
    upkeep(&broker).await;
    broker.create_topic("behind", 1, &[]).await;
    upkeep(&broker).await;
    assert!(metadata_log(&broker).log_start_offset().0 > 0);
    let (running, stopped) = broker.split();
    running.crash().await;
    let directory = stopped.directory.path().to_path_buf();
    let other = Some("ITcFvWM5TKiKDbhe7lSKgQ");
    // A topic that is gone, an older one of a name that is there, and a partition that its topic does not have.
    copy_folder(&directory, "kept-0", "gone-0", other);
    copy_folder(&directory, "kept-0", "again-0", other);
    copy_folder(&directory, "kept-0", "kept-7", None);
    let broker = stopped.again().await;
    let names: Vec<String> = fs::read_dir(&directory)
        .expect("readable")
        .map(|entry| entry.expect("there").file_name().into_string().expect("text"))
        .collect();
    for stray in ["gone-0", "again-0", "kept-7"] {
        assert!(!names.iter().any(|name| name == stray), "{names:?}");
        let aside = names
            .iter()
            .find(|name| name.starts_with(stray) && name.ends_with("-stray"));
        let log = directory
            .join(aside.expect("set aside"))
            .join("00000000000000000000.log");
        assert!(fs::metadata(log).expect("there").len() > 0);
    }
    assert_eq!(
        broker.produce("again", 0, -1, batch(&["new"])).await.error_code,
        0
    );
    let broker = broker.restart().await;
    assert_eq!(broker.values("kept", 0, 0).await, ["v"]);
    assert_eq!(broker.values("again", 0, 0).await, ["new"]);
}

const BOOTSTRAP: &[u8] = include_bytes!("../kafka-3.9.1-bootstrap.checkpoint");

/// What is in the log once is replayed by every start: what this version cannot replay does not get there.
#[tokio::test]
async fn a_bootstrap_checkpoint_of_a_newer_kafka_leaves_nothing_behind() {
    const FEATURE: &[u8] = b"metadata.version";
    let mut newer = BOOTSTRAP.to_vec();
    let at = newer.windows(FEATURE.len()).position(|text| text == FEATURE);
    let at = at.expect("there") + FEATURE.len();
    newer[at..at + 2].copy_from_slice(&99_i16.to_be_bytes());
    let mut start = 0;
    for batch in batches(newer.clone().into()) {
        let batch = batch.expect("whole");
        newer[start + 17..start + 21].copy_from_slice(&batch.compute_crc().to_be_bytes());
        start += batch.size_in_bytes();
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let file = directory.path().join("bootstrap.checkpoint");
    fs::write(&file, newer).expect("writable");
    for _ in 0..2 {
        let error = launch(directory.path(), &disk, &NEVER)
            .await
            .expect_err("it is newer");
        assert!(
            matches!(&error, Error::Metadata(LoadError::Bootstrap(_))) && error.to_string().contains("99"),
            "{error}"
        );
        assert!(!directory.path().join(FOLDER).exists());
    }
    fs::write(&file, BOOTSTRAP).expect("writable");
    let broker = launch(directory.path(), &disk, &NEVER).await.expect("it starts");
    assert_eq!(
        broker.handle().core().metadata.image().metadata_version().level(),
        21
    );
    broker.crash().await;
}

/// What `kafka-storage format` of Kafka 3.9.1 has left for a cluster that never ran: its levels, not ours.
#[tokio::test]
async fn a_new_cluster_begins_with_its_bootstrap_checkpoint() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let file = directory.path().join("bootstrap.checkpoint");
    fs::write(&file, &BOOTSTRAP[..BOOTSTRAP.len() - 3]).expect("writable");
    let error = launch(directory.path(), &disk, &NEVER)
        .await
        .expect_err("it is torn");
    assert!(error.to_string().contains("bootstrap.checkpoint"), "{error}");
    fs::write(&file, BOOTSTRAP).expect("writable");
    let broker = launch(directory.path(), &disk, &NEVER).await.expect("it starts");
    let image = broker.handle().core().metadata.image();
    assert_eq!(image.metadata_version().level(), 21);
    assert_eq!(image.feature_level("transaction.version"), 0);
    broker.crash().await;
}
