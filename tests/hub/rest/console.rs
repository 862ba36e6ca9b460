//! The console's page, metrics and health.

use super::{get, send, try_send};
use crate::librdkafka::{create_topic, produce_values};
use crate::process::{Hub, eventually};

#[test]
fn the_page_the_metrics_and_the_health_are_served() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let hub = Hub::start(directory.path(), "broker,registry,console", &[]);
    create_topic(&hub.bootstrap(), "shown-on-the-page", 3);
    produce_values(
        &hub.bootstrap(),
        "shown-on-the-page",
        None,
        &["one".to_owned()],
        &[],
    );
    let page = get(&hub, "console", "/");
    assert_eq!(
        (page.status, page.content_type.starts_with("text/html")),
        (200, true),
        "{page:?}"
    );
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(get(&hub, "console", path).status, 200, "{path}");
    }
    let overview = get(&hub, "console", "/api/overview").ok();
    assert!(overview.to_string().contains("shown-on-the-page"), "{overview}");
    let metrics = get(&hub, "console", "/metrics");
    assert_eq!(metrics.status, 200);
    for line in metrics
        .text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let value = line.rsplit_once(' ').map(|(_, value)| value.parse::<f64>());
        assert!(matches!(value, Some(Ok(_))), "no metric: {line}");
    }
    assert_eq!(get(&hub, "console", "/nowhere").status, 404);
    assert_eq!(send(&hub, ("DELETE", "console", "/"), &[], None).status, 405);
}

/// A node that recovers its logs for long is no dead node: it says how far it is. Here one log takes as long as the test wants, as
/// one of its files is a pipe that nobody writes into.
#[test]
fn a_start_can_be_watched() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut hub = Hub::start(directory.path(), "broker,console", &[]);
    create_topic(&hub.bootstrap(), "t", 2);
    produce_values(&hub.bootstrap(), "t", Some(0), &["one".to_owned()], &[]);
    hub.process().kill();
    let file = hub.partition_dir("t", 0).join("partition.metadata");
    std::fs::remove_file(&file).expect("it is there");
    let made = std::process::Command::new("mkfifo").arg(&file).status();
    assert!(made.expect("mkfifo runs").success());

    let url = |path| hub.url("console", path);
    let [metrics, live, ready, overview] =
        ["/metrics", "/health/live", "/health/ready", "/api/overview"].map(url);
    let watcher = std::thread::spawn(move || {
        let status = |url: &str| try_send(url, "GET", &[], None).map_or(0, |answer| answer.status);
        let waiting = eventually("recovery shows", || {
            let text = try_send(&metrics, "GET", &[], None).ok()?.text;
            let logs = value(&text, "kafka_log_logmanager_remaininglogstorecover{")?;
            (logs == 1.0).then_some(text)
        });
        let seen = (
            value(&waiting, "kafka_server_kafkaserver_brokerstate "),
            status(&live),
            status(&ready),
            status(&overview),
        );
        // Let it go on. What it reads is no such file, so that this partition is offline; all others are not.
        std::fs::write(&file, b"").expect("somebody reads");
        seen
    });
    hub.restart();
    let seen = watcher.join().expect("the watcher has seen it");
    assert_eq!(seen, (Some(2.0), 200, 503, 503));
    let text = get(&hub, "console", "/metrics").text;
    assert_eq!(value(&text, "kafka_server_kafkaserver_brokerstate "), Some(3.0));
    assert_eq!(
        value(&text, "kafka_log_logmanager_remaininglogstorecover{"),
        Some(0.0)
    );
    assert_eq!(get(&hub, "console", "/health/ready").status, 200);
}

/// The value of the first sample that begins so.
fn value(text: &str, sample: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with(sample))?;
    line.rsplit_once(' ')?.1.parse().ok()
}
