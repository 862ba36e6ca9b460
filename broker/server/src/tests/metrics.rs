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
