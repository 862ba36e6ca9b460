use std::sync::Mutex;

use forebay_connect_api::{
    Access, AssignedPartition, Headers, NO_TIMESTAMP, Offset, Offsets, Schema, SchemaAndValue, SinkBatch,
    SinkRecord, SinkRecords, TimestampType, TopicPartition, Value, ValueFormat,
    conformance::{Delivery, SinkContext, SinkSubject, check_sink},
    schema::decimal,
};

mod delivery;

use super::*;
use crate::testing::{Ending, Server, TestTime, answer, properties, raw_server, redirect};

const NO_RETRY: (&str, &str) = ("max.retries", "0");
/// What may pass is left to the worker.
const AGAIN: (&str, &str) = ("behavior.on.error", "retry");

async fn open(context: Arc<SinkContext>, url: &str, more: &[(&str, &str)]) -> task::HttpSinkTask {
    let mut task = task::HttpSinkTask::new(TestTime::new());
    let keys = properties(&[&[("http.url", url)], more].concat());
    SinkTask::start(&mut task, context, &keys).await.expect("started");
    task.open(&[assigned()]).await.expect("opened");
    task
}

fn context() -> Arc<SinkContext> {
    Arc::new(SinkContext::new(Access::unrestricted()))
}

fn partition() -> TopicPartition {
    TopicPartition::new("t", 0)
}

fn assigned() -> AssignedPartition {
    AssignedPartition {
        topic_partition: partition(),
        topic_id: None,
        committed: None,
        position: Offset(0),
        log_start_offset: Offset(0),
        log_end_offset: Offset(100),
    }
}

/// Records at every other offset: between them is nothing.
fn batch(values: Vec<SchemaAndValue>) -> SinkBatch {
    let records = values.into_iter().zip(0..).map(|(value, number)| SinkRecord {
        topic: "t".into(),
        partition: 0,
        offset: Offset(number * 2),
        timestamp: NO_TIMESTAMP,
        timestamp_type: TimestampType::CreateTime,
        key: SchemaAndValue::default(),
        value,
        headers: Headers::new(),
    });
    let records: Vec<SinkRecord> = records.collect();
    SinkBatch {
        topic_partition: partition(),
        first_offset: Offset(0),
        next_offset: Offset(i64::try_from(records.len()).expect("small") * 2),
        records: SinkRecords::Converted(records),
    }
}

fn texts(values: &[&str]) -> SinkBatch {
    batch(
        values
            .iter()
            .map(|value| SchemaAndValue::string(*value))
            .collect(),
    )
}

fn schemaless(value: Value) -> SchemaAndValue {
    SchemaAndValue::schemaless(value)
}

/// What may be committed when everything was delivered.
async fn committable(task: &mut task::HttpSinkTask) -> i64 {
    let current: Offsets = [(partition(), Offset(1000))].into_iter().collect();
    task.pre_commit(&current).await.expect("known")[&partition()].value()
}

fn bodies(server: &Server) -> Vec<String> {
    server.requests().into_iter().map(|seen| seen.body).collect()
}

#[tokio::test]
async fn the_contract_holds_at_least_once() {
    let batched = [
        NO_RETRY,
        AGAIN,
        ("batching.enabled", "true"),
        ("batch.max.size", "7"),
        ("batch.suffix", ""),
    ];
    let mut repeated = 0;
    for seed in 0..6 {
        for (delivery, more) in [
            (Delivery::Converted, &[NO_RETRY, AGAIN][..]),
            (Delivery::Raw(ValueFormat::String), &batched),
        ] {
            let stored = Arc::<Mutex<Vec<String>>>::default();
            let store = Arc::clone(&stored);
            let server = Server::start(move |seen, before| {
                if before % 4 == 1 {
                    return answer(503, "");
                }
                let lines = seen.body.split('\n').map(str::to_owned);
                store.lock().expect("no panic").extend(lines);
                // Some of what it takes, it does not say.
                answer(if before % 50 == 3 { 500 } else { 201 }, "taken")
            })
            .await;
            let subject = SinkSubject {
                task: &|| Box::new(task::HttpSinkTask::new(TestTime::new())),
                properties: properties(&[&[("http.url", server.url.as_str())], more].concat()),
                topic: "t",
                delivery,
                read: &|| {
                    let stored = stored.lock().expect("no panic").clone();
                    Box::pin(std::future::ready(stored))
                },
                pass_time: &|| {},
                may_repeat: true,
            };
            let report = check_sink(&subject, seed).await.expect("it keeps the contract");
            assert!(report.kills_in_flight > 0, "{report:?}");
            repeated += report.repeated;
        }
    }
    assert!(repeated > 0, "answers that lied must have repeated some records");
}

#[tokio::test]
async fn each_value_is_sent_as_it_is_or_as_json() {
    let server = Server::start(|_, _| answer(200, "x")).await;
    let mut task = open(context(), &server.url, &[("http.headers.additional", "X-Key: 1")]).await;
    let price = decimal(2).build().expect("a schema");
    let values = vec![
        SchemaAndValue::string("plain \"text\""),
        schemaless(Value::Bytes(b"raw"[..].into())),
        schemaless(Value::Map(vec![("a".into(), Value::Int64(1))])),
        SchemaAndValue::new(price, Value::Bytes(b"\x04\xd2"[..].into())),
        SchemaAndValue::new(Schema::optional_bytes_schema(), Value::Null),
        schemaless(Value::Boolean(true)),
    ];
    task.put(&batch(values)).await.expect("sent");
    let seen = server.requests();
    let shown: Vec<(&str, Option<&str>)> = seen
        .iter()
        .map(|seen| (seen.body.as_str(), seen.header("content-type")))
        .collect();
    let json = Some("application/json");
    assert_eq!(
        shown,
        [
            ("plain \"text\"", None),
            ("raw", None),
            ("{\"a\":1}", json),
            ("12.34", json),
            ("true", json)
        ]
    );
    assert!(
        seen.iter()
            .all(|seen| seen.method == "POST" && seen.header("x-key") == Some("1"))
    );
    assert_eq!(committable(&mut task).await, 12);
}

#[tokio::test]
async fn batches_are_framed_and_never_wait() {
    let server = Server::start(|_, _| answer(200, "")).await;
    let enabled = ("batching.enabled", "true");
    let maps = || {
        batch(
            (0..5)
                .map(|number| schemaless(Value::Map(vec![("n".into(), Value::Int64(number))])))
                .collect(),
        )
    };
    let lines = [
        enabled,
        ("batch.max.size", "3"),
        ("batch.prefix", "<"),
        ("batch.suffix", ">\n"),
    ];
    open(context(), &server.url, &lines)
        .await
        .put(&texts(&["a", "b", "c", "d"]))
        .await
        .expect("sent");
    assert_eq!(bodies(&server), ["<a\nb\nc>\n", "<d>\n"]);

    let array = [enabled, ("batch.json.as.array", "true"), ("batch.max.size", "4")];
    open(context(), &server.url, &array)
        .await
        .put(&maps())
        .await
        .expect("sent");
    let seen = server.requests();
    assert_eq!(seen[0].body, r#"[{"n":0},{"n":1},{"n":2},{"n":3}]"#);
    assert_eq!(
        (seen[1].body.as_str(), seen[1].header("content-type")),
        (r#"[{"n":4}]"#, Some("application/json"))
    );

    let reporting = Arc::new(SinkContext::new(Access::unrestricted()).with_reporter());
    let mut task = open(Arc::clone(&reporting), &server.url, &array).await;
    task.put(&texts(&["1", "{}", "no json", "[2]"]))
        .await
        .expect("sent");
    assert_eq!(bodies(&server), ["[1,{}]", "[[2]]"]);
    let reported = reporting.reported();
    assert_eq!((reported.len(), reported[0].0), (1, Offset(4)));
    assert!(reported[0].1.contains("the value is not JSON"), "{reported:?}");
}

#[tokio::test]
async fn a_batch_that_failed_goes_on_where_it_was() {
    let server = Server::start(|_, before| answer(if before == 2 { 503 } else { 200 }, "")).await;
    let mut task = open(context(), &server.url, &[NO_RETRY, AGAIN]).await;
    let records = texts(&["a", "b", "c", "d"]);
    let error = task.put(&records).await.expect_err("the third");
    assert!(error.is_retriable(), "{error}");
    assert_eq!(
        committable(&mut task).await,
        3,
        "two are answered, the offset between does not matter"
    );
    task.put(&records).await.expect("sent");
    assert_eq!(bodies(&server), ["a", "b", "c", "c", "d"]);
    assert_eq!(committable(&mut task).await, 8);
    task.close(&[partition()]).await.expect("closed");
    let current: Offsets = [(partition(), Offset(8))].into_iter().collect();
    assert!(task.pre_commit(&current).await.expect("nothing").is_empty());
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_retriable() {
    let gone = Server::start(|_, _| answer(200, "")).await;
    let refused = format!("http://127.0.0.1:{}", {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        listener.local_addr().expect("it is bound").port()
    });
    drop(gone);
    let (broken, server) = raw_server(vec![("HTTP/1.1 2".to_owned(), Ending::Reset)]).await;
    for url in [refused, broken] {
        let mut task = open(context(), &url, &[("max.retries", "1"), AGAIN]).await;
        let error = task.put(&texts(&["a"])).await.expect_err("nobody answers");
        assert!(
            error.is_retriable() && error.to_string().contains("attempt 2, the last one"),
            "{error}"
        );
        assert_eq!(committable(&mut task).await, 0);
    }
    server.abort();
    // The status counts, whatever becomes of the rest.
    let (answered, server) = raw_server(vec![(
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_owned(),
        Ending::Reset,
    )])
    .await;
    let mut task = open(context(), &answered, &[NO_RETRY]).await;
    task.put(&texts(&["a"])).await.expect("it was answered");
    server.abort();
}

#[tokio::test]
async fn only_records_at_fault_are_reported() {
    let refuse =
        |seen: &crate::testing::Seen, _| answer(if seen.body.contains("bad") { 422 } else { 200 }, "");
    let values = ["a", "bad1", "c", "d", "e", "bad2", "g"];
    let batched = [("batching.enabled", "true"), ("batch.suffix", "")];
    for more in [&[][..], &batched] {
        let server = Server::start(refuse).await;
        let reporting = Arc::new(SinkContext::new(Access::unrestricted()).with_reporter());
        let mut task = open(Arc::clone(&reporting), &server.url, more).await;
        task.put(&texts(&values)).await.expect("the rest is sent");
        let reported = reporting.reported();
        assert_eq!(
            reported.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(),
            [Offset(2), Offset(10)]
        );
        assert!(reported[0].1.contains("was answered 422"), "{reported:?}");
        let taken = bodies(&server).into_iter().filter(|body| !body.contains("bad"));
        let taken = taken.flat_map(|body| body.split('\n').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(taken.collect::<Vec<_>>(), ["a", "c", "d", "e", "g"]);
        assert_eq!(committable(&mut task).await, 14);

        let mut task = open(context(), &server.url, more).await;
        let error = task.put(&texts(&values)).await.expect_err("nobody to tell");
        assert!(!error.is_retriable());
        let place = if more.is_empty() {
            "the record of t-0 at offset 2"
        } else {
            "a record of t-0 at offsets 0 to 12"
        };
        assert!(error.to_string().starts_with(place), "{error}");
        assert!(error.trace().contains("was answered 422"), "{}", error.trace());
        assert_eq!(committable(&mut task).await, if more.is_empty() { 1 } else { 0 });
    }
}

#[tokio::test]
async fn what_is_not_about_records_fails_the_task_with_all_of_them_kept() {
    for status in [401, 403, 404, 405, 410, 302] {
        let server = Server::start(move |_, _| match status {
            302 => redirect(302, "/login"),
            status => answer(status, "s3cret"),
        })
        .await;
        let reporting = Arc::new(SinkContext::new(Access::unrestricted()).with_reporter());
        let more = [
            ("http.authorization.type", "static"),
            ("http.headers.authorization", "Bearer s3cret"),
        ];
        let mut task = open(Arc::clone(&reporting), &server.url, &more).await;
        let error = task.put(&texts(&["a", "b"])).await.expect_err("refused");
        assert!(
            !error.is_retriable() && !error.trace().contains("s3cret"),
            "{}",
            error.trace()
        );
        assert_eq!(
            (reporting.reported().len(), server.requests().len()),
            (0, 1),
            "{status}"
        );
        assert_eq!(committable(&mut task).await, 0);
    }
}

#[tokio::test]
async fn values_that_are_null_or_no_json_are_met_as_configured() {
    let server = Server::start(|_, _| answer(200, "")).await;
    let records = || {
        let values = [Value::Null, Value::Float64(f64::NAN), "c".into(), Value::Null];
        batch(values.map(schemaless).to_vec())
    };
    for (behavior, reported) in [("ignore", vec![2]), ("log", vec![2]), ("fail", vec![0, 2, 6])] {
        let reporting = Arc::new(SinkContext::new(Access::unrestricted()).with_reporter());
        let more = [
            ("behavior.on.null.values", behavior),
            ("batching.enabled", "true"),
        ];
        let mut task = open(Arc::clone(&reporting), &server.url, &more).await;
        task.put(&records()).await.expect("the rest is sent");
        let offsets: Vec<i64> = reporting
            .reported()
            .iter()
            .map(|(offset, _)| offset.value())
            .collect();
        assert_eq!((offsets, bodies(&server)), (reported, vec!["c\n".to_owned()]));
        assert_eq!(committable(&mut task).await, 8);
    }
    let mut task = open(context(), &server.url, &[]).await;
    let error = task.put(&records()).await.expect_err("no number");
    assert!(
        error.trace().contains("JSON has no number NaN"),
        "{}",
        error.trace()
    );
    assert_eq!(committable(&mut task).await, 1);
}
