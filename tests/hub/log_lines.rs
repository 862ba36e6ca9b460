//! What the log says at the level that it has unless told otherwise: of ordinary requests nothing, of each unusual event a line.

use std::io::{Read as _, Write as _};

use crate::librdkafka::{create_topic, produce_values};
use crate::process::{Hub, eventually, run};

/// Lines on standard error.
fn lines(hub: &mut Hub) -> Vec<String> {
    let said = hub.process().said();
    let (_, errors) = said.split_once("--- standard error\n").expect("it is told");
    errors.lines().map(str::to_owned).collect()
}

fn produce(hub: &Hub, client: &str, records: usize) {
    let values: Vec<String> = (0..records).map(|number| format!("{number:0>5000}")).collect();
    produce_values(&hub.bootstrap(), "t", None, &values, &[("client.id", client)]);
}

#[test]
fn ordinary_requests_are_not_worth_a_line_and_unusual_events_are() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut hub = Hub::broker(directory.path());
    create_topic(&hub.bootstrap(), "t", 2);
    produce(&hub, "ordinary", 50);
    let bootstrap = hub.bootstrap();
    for arguments in [
        &["topics", "--describe", "--bootstrap-server", &bootstrap][..],
        &["consumer-groups", "--list", "--bootstrap-server", &bootstrap],
        &[
            "console-consumer",
            "--bootstrap-server",
            &bootstrap,
            "--topic",
            "t",
            "--from-beginning",
            "--max-messages",
            "50",
            "--group",
            "g",
        ],
    ] {
        let output = run(arguments);
        assert!(output.status.success(), "{output:?}");
    }
    assert_eq!(lines(&mut hub), [""; 0], "nothing unusual has happened");

    // A peer that speaks another protocol.
    let mut stream = std::net::TcpStream::connect(hub.bootstrap()).expect("connects");
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("writes");
    let _closed = stream.read_to_end(&mut Vec::new());
    let said = eventually("the log tells of it", || {
        Some(lines(&mut hub)).filter(|lines| !lines.is_empty())
    });
    assert!(
        said.len() == 1 && said[0].contains("connection closed"),
        "{said:?}"
    );

    // A client that is slowed down, many times.
    let quota = [
        "configs",
        "--bootstrap-server",
        &bootstrap,
        "--alter",
        "--add-config",
        "producer_byte_rate=1000",
        "--entity-type",
        "clients",
        "--entity-name",
        "fast",
    ];
    let output = run(&quota);
    assert!(output.status.success(), "{output:?}");
    // One request for each connection: a second one would wait until the first one's throttle time is over.
    for _ in 0..6 {
        produce(&hub, "fast", 1);
    }
    produce(&hub, "ordinary", 50);
    let said: Vec<String> = lines(&mut hub).split_off(1);
    assert!(!said.is_empty(), "it is not told");
    for line in &said {
        for part in ["producer_byte_rate", "client-id \"fast\"", "throttle_ms"] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
    assert!(said.len() <= 2, "one in the time of all windows: {said:?}");
}
