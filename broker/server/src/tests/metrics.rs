//! What a scrape tells, after requests of which one knows what they were.

use forebay_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use forebay_protocol::messages::{FindCoordinatorRequest, OffsetCommitRequest};

use super::*;

/// The value of the sample with this name and these labels, if there is one.
fn sample(text: &str, name: &str) -> Option<f64> {
    let line = text
        .lines()
        .find(|line| line.rsplit_once(' ').is_some_and(|(before, _)| before == name))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

#[tokio::test]
async fn a_scrape_tells_what_was_done() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 2, &[]).await;
    let size = batch(&["x", "y"]).into_bytes().len();
    for _ in 0..3 {
        broker.produce("t", 1, -1, batch(&["x", "y"])).await;
    }
    broker.fetch("t", 1, 0).await;
    let coordinator = FindCoordinatorRequest {
        coordinator_keys: vec!["g".into()],
        ..Default::default()
    };
    broker.call(4, coordinator).await;
    commit(&broker, "g", "t", 1, 2).await;
    let text = broker.handle.metrics().await;
    let bytes = f64::from(u32::try_from(3 * size).expect("small"));
    let expected = [
        (
            "kafka_server_brokertopicmetrics_messagesin_total{topic=\"t\"}",
            6.0,
        ),
        (
            "kafka_server_brokertopicmetrics_bytesin_total{topic=\"t\"}",
            bytes,
        ),
        (
            "kafka_server_brokertopicmetrics_bytesout_total{topic=\"t\"}",
            bytes,
        ),
        ("kafka_log_log_size{topic=\"t\",partition=\"1\"}", bytes),
        ("kafka_log_log_size{topic=\"t\",partition=\"0\"}", 0.0),
        ("kafka_log_log_logstartoffset{topic=\"t\",partition=\"1\"}", 0.0),
        ("kafka_log_log_logendoffset{topic=\"t\",partition=\"1\"}", 6.0),
        ("forebay_log_high_watermark{topic=\"t\",partition=\"1\"}", 6.0),
        ("forebay_log_last_stable_offset{topic=\"t\",partition=\"1\"}", 6.0),
        (
            "kafka_cluster_partition_laststableoffsetlag{topic=\"t\",partition=\"1\"}",
            0.0,
        ),
        (
            "kafka_consumergroup_lag{consumergroup=\"g\",topic=\"t\",partition=\"1\"}",
            4.0,
        ),
        (
            "kafka_consumergroup_current_offset{consumergroup=\"g\",topic=\"t\",partition=\"1\"}",
            2.0,
        ),
        ("kafka_coordinator_group_groupmetadatamanager_numgroups", 1.0),
        (
            "kafka_coordinator_group_groupmetadatamanager_numgroups{state=\"Empty\"}",
            1.0,
        ),
        ("kafka_server_kafkaserver_brokerstate", 3.0),
        ("kafka_controller_kafkacontroller_activecontrollercount", 1.0),
        ("kafka_controller_kafkacontroller_globaltopiccount", 2.0),
        ("forebay_metrics_partitions_left_out", 0.0),
    ];
    for (name, value) in expected {
        assert_eq!(sample(&text, name), Some(value), "{name}\n{text}");
    }
}

async fn commit(broker: &TestBroker, group: &str, topic: &str, partition_index: i32, committed_offset: i64) {
    let partition = OffsetCommitRequestPartition {
        partition_index,
        committed_offset,
        ..Default::default()
    };
    let request = OffsetCommitRequest {
        group_id: group.into(),
        generation_id_or_member_epoch: -1,
        topics: vec![OffsetCommitRequestTopic {
            name: topic.into(),
            partitions: vec![partition],
            ..Default::default()
        }],
        ..Default::default()
    };
    let answer = broker.call(8, request).await;
    assert_eq!(answer.topics[0].partitions[0].error_code, 0);
}

/// Every line of the format is a comment or a sample, each family is typed once and before its samples, and a request on a
/// socket shows in its phases.
#[tokio::test]
async fn the_text_is_prometheus_own_form() {
    let broker = TestBroker::start().await;
    let mut stream = tokio::net::TcpStream::connect(broker.handle.listeners()[0].addresses[0])
        .await
        .expect("connects");
    raw_socket::round_trip(&mut stream, &raw_socket::with(18, 0, &[])).await;
    let text = broker.handle.metrics().await;
    let mut families = std::collections::BTreeSet::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, _) = rest.split_once(' ').expect("a name and a type");
            assert!(families.insert(name.to_owned()), "{name} comes twice");
        } else if !line.starts_with("# HELP ") {
            let (before, value) = line.rsplit_once(' ').expect("a sample has a value");
            assert!(value.parse::<f64>().is_ok(), "{line}");
            let name = before.split('{').next().expect("a name");
            let base = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| name.strip_suffix(suffix).filter(|base| families.contains(*base)));
            assert!(families.contains(base.unwrap_or(name)), "{line}");
        }
    }
    for phase in [
        "totaltimems",
        "requestqueuetimems",
        "localtimems",
        "remotetimems",
        "responsesendtimems",
    ] {
        let name = format!("kafka_network_requestmetrics_{phase}_count{{request=\"ApiVersions\"}}");
        assert_eq!(sample(&text, &name), Some(1.0), "{name}");
    }
    assert_eq!(
        sample(&text, "kafka_server_socket_server_metrics_connection_count"),
        Some(1.0)
    );
}

#[tokio::test]
async fn errors_sessions_transactions_and_coordinators_are_told() {
    let broker = TestBroker::start().await;
    broker.create_topic("t", 1, &[]).await;
    let mut stream = tokio::net::TcpStream::connect(broker.handle.listeners()[0].addresses[0])
        .await
        .expect("connects");
    // Metadata version 1 of two topics of which one has no name that can be; twice.
    let mut wanted = vec![0, 0, 0, 2];
    for name in ["t", "!"] {
        wanted.extend([0, 1]);
        wanted.extend(name.as_bytes());
    }
    for _ in 0..2 {
        raw_socket::round_trip(&mut stream, &raw_socket::with(3, 1, &wanted)).await;
    }
    // A session over one partition.
    let session = FetchRequest {
        session_epoch: 0,
        ..fetch_request("t", 0, 0, 0)
    };
    assert_ne!(broker.call(12, session).await.session_id, 0);
    // A transactional id that has begun nothing yet.
    let init = forebay_protocol::messages::InitProducerIdRequest {
        transactional_id: Some("x".into()),
        transaction_timeout_ms: 1000,
        ..Default::default()
    };
    while ErrorCode::from_i16(broker.call(4, init.clone()).await.error_code) != ErrorCode::None {
        let find = FindCoordinatorRequest {
            key_type: 1,
            coordinator_keys: vec!["x".into()],
            ..Default::default()
        };
        broker.call(4, find).await;
    }
    let text = broker.handle.metrics().await;
    let of_metadata = |error: &str| {
        format!("kafka_network_requestmetrics_errors_total{{request=\"Metadata\",error=\"{error}\"}}")
    };
    let expected = [
        (of_metadata("INVALID_TOPIC_EXCEPTION"), 2.0),
        // The topic that there is, and its partition.
        (of_metadata("NONE"), 4.0),
        (
            "kafka_server_fetchsessioncache_numincrementalfetchsessions".to_owned(),
            1.0,
        ),
        (
            "kafka_server_fetchsessioncache_numincrementalfetchpartitionscached".to_owned(),
            1.0,
        ),
        (
            "kafka_server_fetchsessioncache_incrementalfetchsessionevictions_total".to_owned(),
            0.0,
        ),
        ("forebay_transactions".to_owned(), 1.0),
        ("forebay_transactions{state=\"Empty\"}".to_owned(), 1.0),
        (
            "kafka_server_transaction_coordinator_metrics_num_partitions{state=\"active\"}".to_owned(),
            1.0,
        ),
        (
            "kafka_server_group_coordinator_metrics_group_count{protocol=\"classic\"}".to_owned(),
            0.0,
        ),
    ];
    for (name, value) in expected {
        assert_eq!(sample(&text, &name), Some(value), "{name}\n{text}");
    }

    // What was written has to be read the next time, which takes its time.
    let broker = broker.restart().await;
    let loaded = "kafka_server_transaction_coordinator_metrics_num_partitions{state=\"active\"}";
    loop {
        let text = broker.handle.metrics().await;
        if sample(&text, loaded) == Some(1.0) {
            assert_eq!(sample(&text, "forebay_transactions{state=\"Empty\"}"), Some(1.0));
            break;
        }
        tokio::task::yield_now().await;
    }
}

/// What the start is asked from another thread, in the middle of the recovery of a log.
#[tokio::test]
async fn recovery_can_be_watched() {
    let faulty = forebay_disk::FaultyDisk::new(Arc::new(RealDisk));
    let broker = TestBroker::start_on(Arc::new(faulty.clone()), &[]).await;
    broker.create_topic("t", 2, &[("segment.bytes", "1048576")]).await;
    let large = "x".repeat(700_000);
    for _ in 0..3 {
        assert_eq!(broker.produce("t", 0, -1, batch(&[&large])).await.error_code, 0);
    }
    let (running, stopped) = broker.split();
    running.crash().await;
    let TestBroker {
        directory, handle, ..
    } = stopped;
    drop(handle);

    let own = [
        ("listeners", "PLAINTEXT://127.0.0.1:0".to_owned()),
        ("log.dirs", directory.path().display().to_string()),
        ("num.recovery.threads.per.data.dir", "1".to_owned()),
    ];
    let properties: Properties = own.map(|(key, value)| (key.to_owned(), value)).into();
    let config = BrokerConfig::parse(&properties).expect("a valid configuration");
    let options = Options {
        disk: Arc::new(faulty.clone()),
        ..Options::new(config)
    };
    let startup = options.startup.clone();
    assert_eq!(
        sample(&startup.metrics(), "kafka_server_kafkaserver_brokerstate"),
        Some(1.0)
    );
    let seen: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
    watch(&faulty, &startup, &seen);
    let broker = Broker::start(options).await.expect("it starts");
    faulty.clear();
    let seen = std::mem::take(&mut *seen.lock().expect("whole"));
    let dir = directory.path().display();
    let logs = format!("kafka_log_logmanager_remaininglogstorecover{{dir=\"{dir}\"}}");
    let segments =
        format!("kafka_log_logmanager_remainingsegmentstorecover{{dir=\"{dir}\",threadNum=\"0\"}}");
    let in_recovery: Vec<&String> = seen
        .iter()
        .filter(|text| sample(text, "kafka_server_kafkaserver_brokerstate") == Some(2.0))
        .collect();
    for (name, most) in [(&logs, 2.0), (&segments, 3.0)] {
        let values: Vec<f64> = in_recovery.iter().filter_map(|text| sample(text, name)).collect();
        let highest = values.iter().copied().fold(0.0, f64::max);
        assert!(highest >= most, "{name}: {values:?}");
    }
    let text = broker.handle().metrics().await;
    assert_eq!(sample(&text, "kafka_server_kafkaserver_brokerstate"), Some(3.0));
    assert_eq!(sample(&text, &logs), Some(0.0));
    broker.crash().await;
}

/// Asks at each read of the disk.
fn watch(
    faulty: &forebay_disk::FaultyDisk,
    startup: &crate::Startup,
    seen: &Arc<std::sync::Mutex<Vec<String>>>,
) {
    let (next, startup, seen) = (faulty.clone(), startup.clone(), Arc::clone(seen));
    faulty.call_at(forebay_disk::Operation::Read, 1, move || {
        seen.lock().expect("whole").push(startup.metrics());
        watch(&next, &startup, &seen);
        None
    });
}
