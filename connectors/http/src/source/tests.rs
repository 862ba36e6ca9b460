use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use forebay_connect_api::{
    OffsetMap, SourceRecord, Timestamp,
    conformance::{SourceContext, SourceSubject, check_source},
};

mod paging;
mod streaming;

use super::*;
use crate::testing::{
    Reply, Server, TestTime, answer, properties,
    proxy::TestProxy,
    tls::{Authority, TlsServer, ok},
};

async fn start(time: &Arc<TestTime>, keys: &Properties, offset: Option<OffsetMap>) -> task::HttpSourceTask {
    let mut task = task::HttpSourceTask::new(Arc::clone(time) as _);
    let context = SourceContext::new(Access::unrestricted()).with_offset(offset);
    SourceTask::start(&mut task, Arc::new(context), keys)
        .await
        .expect("started");
    task
}

fn keys(url: &str, more: &[(&str, &str)]) -> Properties {
    properties(&[&[("url", url), ("topic", "t")], more].concat())
}

fn values(records: &[SourceRecord]) -> Vec<String> {
    records
        .iter()
        .map(|record| record.value.value.to_string())
        .collect()
}

/// `[{"id":…,"v":"…"},…]` of what the filter lets through.
fn list(items: &[(usize, String)], wanted: impl Fn(usize) -> bool) -> String {
    let items: Vec<String> = items
        .iter()
        .filter(|(id, _)| wanted(*id))
        .map(|(id, value)| format!(r#"{{"id":{id},"v":"{value}"}}"#))
        .collect();
    format!("[{}]", items.join(","))
}

/// The number behind `since=`.
fn since(target: &str) -> usize {
    let (_, number) = target.split_once("since=").expect("it is asked for");
    number.parse().expect("a number")
}

/// Feeds of the same 600 records, three to an id: after an id, from an id on, all of them with the newest first, and in an order of
/// the server's own.
#[tokio::test]
async fn the_contract_holds_for_feeds_of_all_kinds() {
    type Feed = fn(&[(usize, String)], &str) -> String;
    type Keys = &'static [(&'static str, &'static str)];
    let feeds: [(&str, Feed, Keys); 4] = [
        (
            "/after?since=${offset}",
            |all, target| list(all, |id| id > since(target)),
            &[],
        ),
        (
            "/from?since=${offset}",
            |all, target| list(all, |id| id >= since(target)),
            &[],
        ),
        (
            "/newest",
            |all, _| {
                let reversed: Vec<_> = all.iter().rev().cloned().collect();
                list(&reversed, |_| true)
            },
            &[],
        ),
        (
            "/place",
            |all, _| list(all, |_| true),
            &[("http.offset.order", "response")],
        ),
    ];
    for (path, feed, more) in feeds {
        for seed in 0..4 {
            let all: Vec<(usize, String)> = (0..600)
                .map(|number| (1 + number / 3, format!("value {number}")))
                .collect();
            let expected = all.iter().map(|(_, value)| value.clone()).collect();
            // How many are there; it grows in the middle of an id, too.
            let (there, calls) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
            let shown = Arc::clone(&there);
            let server = Server::start(move |seen, _| match calls.fetch_add(1, Ordering::Relaxed) % 5 {
                0 => answer(500, ""),
                _ => answer(200, feed(&all[..shown.load(Ordering::Relaxed)], &seen.target)),
            })
            .await;
            let time = TestTime::new();
            let own = [
                ("http.offset.json.pointer", "/id"),
                ("http.initial.offset", "0"),
                ("http.response.record.pointer", "/v"),
                ("batch.size", "7"),
            ];
            // A server that leaves out the last id when it is asked for later ones shows whole groups only.
            let step = if path.starts_with("/after") { 30 } else { 20 };
            let subject = SourceSubject {
                task: &|| Box::new(task::HttpSourceTask::new(Arc::clone(&time) as _)),
                properties: keys(&format!("{}{path}", server.url), &[&own[..], more].concat()),
                expected,
                disturb: &|came| {
                    there.fetch_max((came / step * step + 2 * step).min(600), Ordering::Relaxed);
                },
            };
            let report = check_source(&subject, seed).await.expect(path);
            assert!(
                report.kills_in_flight > 0 && report.polls_cut_off > 0,
                "{report:?}"
            );
        }
    }
}

#[tokio::test]
async fn what_was_seen_is_not_repeated_and_a_restart_goes_on() {
    let answers = Mutex::new(vec![
        r#"{"items":[{"id":4,"v":"d"},{"id":3,"v":"c"}]}"#,
        r#"{"items":[{"id":3,"v":"c"},{"id":2,"v":"b"}]}"#,
        r#"{"items":[{"id":2,"v":"b"},{"id":1,"v":"a"}]}"#,
    ]);
    let server = Server::start(move |_, _| {
        let mut answers = answers.lock().expect("no panic");
        let next = answers
            .pop()
            .unwrap_or(r#"{"items":[{"id":4,"v":"d"}, {"id":5,"v":"e"}]}"#);
        answer(200, next)
    })
    .await;
    let more = [
        ("http.offset.json.pointer", "/id"),
        ("http.response.list.pointer", "/items"),
        ("http.response.record.key.pointer", "/id"),
        ("http.response.record.timestamp.pointer", "/id"),
        ("http.timer.catchup.interval.millis", "7"),
    ];
    let (time, keys) = (TestTime::new(), keys(&server.url, &more));
    let mut task = start(&time, &keys, None).await;
    let first = task.poll().await.expect("records");
    assert_eq!(values(&first), ["{id=1, v=a}", "{id=2, v=b}"]);
    assert_eq!(first[1].key.value, 2_i64.into());
    assert_eq!(first[1].timestamp, Some(Timestamp(2)));
    assert_eq!(&*first[1].topic, "t");
    assert_eq!(
        first[1].source_partition.to_string(),
        format!("{{\"url\":\"{}\"}}", server.url)
    );
    assert_eq!(values(&task.poll().await.expect("records")), ["{id=3, v=c}"]);
    assert_eq!(time.pauses(), [7, 7]);
    // Killed before the third is committed.
    let offset = first[1].source_offset.clone();
    let mut task = start(&time, &keys, offset).await;
    assert_eq!(
        values(&task.poll().await.expect("records")),
        ["{id=3, v=c}", "{id=4, v=d}"]
    );
    assert_eq!(values(&task.poll().await.expect("records")), ["{id=5, v=e}"]);
    let mut poll = task.poll();
    server.requests();
    while server.count() < 4 {
        tokio::select! {
            biased;
            records = &mut poll => panic!("nothing more is new: {records:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
    drop(poll);
    assert_eq!(time.pauses()[..4], [7, 7, 60_000, 60_000]);
}

#[tokio::test]
async fn a_poll_that_is_dropped_loses_no_request() {
    let server = Server::start(|_, before| match before {
        0 => answer(200, r#"{"now":1}"#),
        _ => Reply::Hang,
    })
    .await;
    let time = TestTime::new();
    let mut task = start(&time, &keys(&server.url, &[]), None).await;
    let records = loop {
        // Dropped after every step.
        tokio::select! {
            biased;
            records = task.poll() => break records.expect("a record"),
            () = tokio::task::yield_now() => {}
        }
    };
    assert_eq!(values(&records), ["{now=1}"]);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn an_answer_is_handed_on_in_batches() {
    let server = Server::start(|_, _| answer(200, "[1,2,3,4,5]")).await;
    let mut task = start(&TestTime::new(), &keys(&server.url, &[("batch.size", "2")]), None).await;
    for expected in [&["1", "2"][..], &["3", "4"], &["5"]] {
        assert_eq!(values(&task.poll().await.expect("records")), expected);
    }
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn without_offsets_every_answer_is_given_out() {
    let server =
        Server::start(|_, before| answer(200, before.to_string().replace("0", "{}").replace("1", "[1]")))
            .await;
    let time = TestTime::new();
    let keys = keys(&server.url, &[]);
    let mut task = start(&time, &keys, None).await;
    let first = task.poll().await.expect("a record");
    assert_eq!(
        (values(&first), first[0].source_offset.clone()),
        (vec!["{}".to_owned()], None)
    );
    assert_eq!(values(&task.poll().await.expect("a record")), ["1"]);
    let error = task
        .poll()
        .await
        .expect_err("neither object nor list")
        .to_string();
    assert_eq!(
        error,
        format!(
            "the answer to GET {}/ cannot be used: / is neither an array nor an object in the answer",
            server.url
        )
    );
    let connector = HttpSourceConnector::default();
    assert_eq!(
        connector.exactly_once_support(&keys),
        ExactlyOnceSupport::Unsupported
    );
}

#[tokio::test]
async fn failures_fail_the_task_without_a_secret() {
    let more = [
        ("auth.type", "bearer"),
        ("bearer.token", "s3cret"),
        ("http.request.params", "key=s3cret"),
        ("max.retries", "2"),
        ("retry.backoff.ms", "100"),
    ];
    for (status, pauses) in [(500, vec![50, 100]), (401, vec![])] {
        let server = Server::start(move |_, _| answer(status, "s3cret")).await;
        let time = TestTime::new();
        let mut task = start(&time, &keys(&server.url, &more), None).await;
        let error = task.poll().await.expect_err("it fails");
        assert!(
            !error.is_retriable() && !error.trace().contains("s3cret"),
            "{}",
            error.trace()
        );
        assert!(
            error.to_string().contains(&format!("was answered {status}")),
            "{error}"
        );
        assert_eq!(time.pauses()[..pauses.len()], pauses);
        assert_eq!(
            server.requests()[0].header("authorization"),
            Some("Bearer s3cret")
        );
    }
    let unchanged = Server::start(|_, before| answer(if before < 2 { 304 } else { 400 }, "")).await;
    let mut task = start(&TestTime::new(), &keys(&unchanged.url, &[]), None).await;
    let error = task.poll().await.expect_err("the third").to_string();
    assert!(error.contains("was answered 400"), "{error}");
}

#[tokio::test]
async fn tls_and_the_proxy_are_as_configured() {
    let known = Authority::new("known");
    let server = TlsServer::start(&known.issue(&["127.0.0.1"], |_| {}), None, |_| ok("[1]")).await;
    let url = format!("https://127.0.0.1:{}/", server.port);
    let time = TestTime::new();
    let mut task = start(&time, &keys(&url, &[("max.retries", "1")]), None).await;
    let error = task.poll().await.expect_err("nobody knows it");
    let told = error.to_string();
    assert!(
        !error.is_retriable()
            && told.contains("not trusted here")
            && told.contains("attempt 2, the last one"),
        "{told}"
    );
    let proxy = TestProxy::start(server.port, None).await;
    let port = proxy.port.to_string();
    let trusted = ("https.ssl.truststore.certificates", &*known.pem);
    let proxied = [("http.proxy.host", "127.0.0.1"), ("http.proxy.port", &*port)];
    for more in [&[trusted][..], &[trusted, proxied[0], proxied[1]]] {
        let mut task = start(&time, &keys(&url, more), None).await;
        assert_eq!(values(&task.poll().await.expect("records")), ["1"]);
    }
    assert_eq!(proxy.heads().len(), 1);
}

#[tokio::test]
async fn altered_offsets_are_judged() {
    let keys = keys("http://a/", &[("http.offset.json.pointer", "/id")]);
    let connector = HttpSourceConnector::default();
    assert_eq!(
        connector.exactly_once_support(&keys),
        ExactlyOnceSupport::Supported
    );
    let mut by_response = keys.clone();
    by_response.insert("http.offset.order".to_owned(), "response".to_owned());
    assert_eq!(
        connector.exactly_once_support(&by_response),
        ExactlyOnceSupport::Unsupported
    );
    let partition = || OffsetMap::new().with("url", "http://a/");
    let good = [
        (partition(), Some(OffsetMap::new().with("offset", 5))),
        (
            partition(),
            Some(OffsetMap::new().with("offset", "x").with("seen", 1)),
        ),
        (OffsetMap::new(), None),
    ];
    assert!(
        connector
            .alter_offsets(&Access::none(), &keys, &good)
            .await
            .expect("they are good")
    );
    for bad in [
        (OffsetMap::new(), Some(OffsetMap::new().with("offset", 5))),
        (partition(), Some(OffsetMap::new())),
        (partition(), Some(OffsetMap::new().with("offset", true))),
    ] {
        connector
            .alter_offsets(&Access::none(), &keys, &[bad])
            .await
            .expect_err("it is no offset");
    }
}
