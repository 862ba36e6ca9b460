//! Server-sent events: an event's id is its offset.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::testing::{Ending, raw_server};

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

/// What has not come by then does not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// The head of a stream, and what is on it.
fn stream_of(events: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n{events}")
}

/// Takes events until there are so many.
async fn take(task: &mut task::HttpSourceTask, count: usize) -> Vec<SourceRecord> {
    let mut came = Vec::new();
    while came.len() < count {
        came.extend(poll(task).await.expect("events"));
    }
    came
}

async fn poll(task: &mut task::HttpSourceTask) -> Result<Vec<SourceRecord>, Error> {
    let polled = tokio::time::timeout(PATIENCE, task.poll()).await;
    polled.expect("nothing more comes")
}

#[tokio::test]
async fn a_restart_between_any_two_events_loses_and_doubles_none() {
    let (url, server, asked) = feed(12, 5).await;
    let (time, keys) = (TestTime::new(), properties_of(&url));
    let whole = take(&mut start(&time, &keys, None).await, 12).await;
    let expected: Vec<String> = (1..=12).map(|number| format!("value {number}")).collect();
    assert_eq!(values(&whole), expected);
    for (index, record) in whole[..11].iter().enumerate() {
        asked.lock().expect("no panic").clear();
        let mut task = start(&time, &keys, record.source_offset.clone()).await;
        let rest = take(&mut task, 11 - index).await;
        assert_eq!(values(&rest), expected[index + 1..]);
        let first = asked.lock().expect("no panic")[0].clone();
        assert_eq!(first, (index + 1).to_string(), "it asks for what follows");
    }
    server.abort();
}

/// Some servers begin with the event that was asked with.
#[tokio::test]
async fn an_event_that_is_known_and_comes_again_is_left_out() {
    let answers = [
        "id: 1\ndata: a\n\nid: 2\ndata: b\n\n",
        "id: 2\ndata: b\n\nid: 3\ndata: c\n\n",
        // Later ones with the same id are new: so is one without an id of its own.
        "id: 3\ndata: c\n\ndata: d\n\nid: 3\ndata: e\n\n",
        "data: f\n\n",
        ": nothing\n\n",
    ];
    let answers = answers.map(|events| (stream_of(events), Ending::Close)).to_vec();
    let (url, server) = raw_server(answers).await;
    let mut task = start(&TestTime::new(), &properties_of(&url), None).await;
    let came = take(&mut task, 6).await;
    assert_eq!(values(&came), ["a", "b", "c", "d", "e", "f"]);
    let offset = came[5].source_offset.as_ref().expect("an id").to_string();
    assert_eq!(offset, r#"{"id":"3"}"#, "the last id goes on behind a break");
    server.abort();
}

#[tokio::test]
async fn only_the_types_that_are_wanted_are_taken() {
    let events = "id: 1\nevent: noise\ndata: a\n\nid: 2\nevent: x\ndata: b\n\nid: 3\ndata: c\n\nid: 4\nevent: y\ndata: d\n\n";
    let (url, server) = raw_server(vec![(stream_of(events), Ending::Hold)]).await;
    let more = [("http.response.format", "sse"), ("http.sse.events", "x, y")];
    let mut task = start(&TestTime::new(), &keys(&url, &more), None).await;
    let came = take(&mut task, 2).await;
    assert_eq!(values(&came), ["b", "d"]);
    let offset = came[1].source_offset.as_ref().expect("an id").to_string();
    assert_eq!(offset, r#"{"id":"4"}"#);
    server.abort();
}

#[tokio::test]
async fn a_stream_that_falls_silent_is_replaced() {
    let answers = ["id: 1\ndata: a\n\n", "id: 2\ndata: b\n\n"];
    let answers = answers.map(|events| (stream_of(events), Ending::Hold)).to_vec();
    let (url, server) = raw_server(answers).await;
    let more = [("http.response.format", "sse"), ("max.retries", "1000000")];
    let time = TestTime::new();
    let mut task = start(&time, &keys(&url, &more), None).await;
    assert_eq!(values(&take(&mut task, 1).await), ["a"]);
    let silence = async {
        loop {
            // However far it has come: silence is over whenever the clock says so, and although the poll is dropped.
            tokio::select! {
                biased;
                records = task.poll() => return records.expect("events"),
                () = tokio::time::sleep(Duration::from_millis(5)) => time.expire(),
            }
        }
    };
    let records = tokio::time::timeout(PATIENCE, silence).await;
    let records = records.expect("another stream");
    assert_eq!(values(&records), ["b"]);
    server.abort();
}

/// Connections that break before anything came are counted; one event, and the count begins anew.
#[tokio::test]
async fn a_stream_that_only_breaks_is_given_up() {
    let broken = || (stream_of(""), Ending::Reset);
    let event = |event: &str| (stream_of(event), Ending::Reset);
    let (first, second) = (event("id: 1\ndata: a\n\n"), event("id: 2\ndata: b\n\n"));
    let answers = vec![broken(), broken(), first, broken(), broken(), second, broken()];
    let (url, server) = raw_server(answers).await;
    let more = [("http.response.format", "sse"), ("max.retries", "2")];
    let mut task = start(&TestTime::new(), &keys(&url, &more), None).await;
    let mut came = Vec::new();
    let error = loop {
        match poll(&mut task).await {
            Ok(records) => came.extend(values(&records)),
            Err(error) => break error,
        }
    };
    assert!(
        !error.is_retriable() && error.to_string().contains("the last one"),
        "{error}"
    );
    assert_eq!(came, ["a", "b"], "an event begins the count anew");
    server.abort();
}
