//! The console's page, metrics and health.

use super::{get, send};
use crate::librdkafka::{create_topic, produce_values};
use crate::process::Hub;

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
