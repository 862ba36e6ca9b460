//! Server-sent events: an event's id is its offset.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// Sends the events behind `Last-Event-ID`, a few per connection, and cuts the last in the middle now and then.
async fn feed(
    count: usize,
    per_connection: usize,
) -> (String, tokio::task::JoinHandle<()>, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
    let url = format!("http://{}/events", listener.local_addr().expect("it is bound"));
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let log = Arc::clone(&asked);
    let server = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = [0; 4096];
            let read = stream.read(&mut request).await.unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..read]).into_owned();
            let id = request
                .lines()
                .find_map(|line| line.strip_prefix("last-event-id: "));
            log.lock()
                .expect("no panic")
                .push(id.unwrap_or("none").to_owned());
            let from = id.map_or(0, |id| id.parse::<usize>().expect("a number"));
            let mut text =
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\r\nretry: 70\n\n"
                    .to_owned();
            for number in (from + 1..=count).take(per_connection) {
                text.push_str(&format!("id: {number}\nevent: e\ndata: \"value {number}\"\n\n"));
            }
            text.push_str("id: 9999\ndata: cut o");
            let _ = stream.write_all(text.as_bytes()).await;
            // Gone in the middle of an event.
        }
    });
    (url, server, asked)
}

fn properties_of(url: &str) -> Properties {
    keys(url, &[("http.response.format", "sse"), ("batch.size", "3")])
}

#[tokio::test]
async fn the_contract_holds_for_events() {
    for seed in 0..6 {
        let (url, server, _) = feed(200, 17).await;
        let time = TestTime::new();
        let subject = SourceSubject {
            task: &|| Box::new(task::HttpSourceTask::new(Arc::clone(&time) as _)),
            properties: properties_of(&url),
            expected: (1..=200).map(|number| format!("value {number}")).collect(),
            disturb: &|_| {},
        };
        let report = check_source(&subject, seed).await.expect("events");
        assert!(report.kills_in_flight > 0, "{report:?}");
        server.abort();
    }
}

#[tokio::test]
async fn a_stream_that_ends_is_resumed_after_the_pause_it_asked_for() {
    let (url, server, asked) = feed(3, 2).await;
    let time = TestTime::new();
    let mut task = start(&time, &properties_of(&url), None).await;
    let mut came = Vec::new();
    while came.len() < 3 {
        came.extend(task.poll().await.expect("events"));
    }
    assert_eq!(values(&came), ["value 1", "value 2", "value 3"]);
    assert_eq!(
        came[2].source_offset.clone().expect("an id").to_string(),
        r#"{"id":"3"}"#
    );
    let event = came[0].headers.last("sse.event").expect("a type");
    assert_eq!(event.value.value, "e".into());
    assert_eq!(asked.lock().expect("no panic")[..2], ["none", "2"]);
    assert_eq!(time.pauses()[0], 70);
    server.abort();
}

#[tokio::test]
async fn what_is_no_stream_fails_and_what_may_pass_is_tried_so_often() {
    let more = [
        ("http.response.format", "sse"),
        ("max.retries", "2"),
        ("http.response.bytes.max", "100"),
    ];
    let long = format!("data: {}\n\n", "x".repeat(200));
    let stream =
        |body: String| Reply::Answer(200, vec![("content-type", "text/event-stream".to_owned())], body);
    let cases = [
        (answer(200, "{}"), "which is no stream of events", 1),
        (answer(204, ""), "was answered 204", 1),
        (answer(401, ""), "was answered 401", 1),
        (answer(503, ""), "was answered 503", 3),
        (stream(long), "is longer than 100 bytes", 1),
    ];
    for (reply, reason, times) in cases {
        let server = Server::start(move |_, _| reply.clone()).await;
        let mut task = start(&TestTime::new(), &keys(&server.url, &more), None).await;
        let error = task.poll().await.expect_err(reason);
        assert!(
            error.to_string().contains(reason) && !error.is_retriable(),
            "{error}"
        );
        assert_eq!(server.requests().len(), times, "{reason}");
    }
}
