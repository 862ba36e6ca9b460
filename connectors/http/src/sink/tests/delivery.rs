//! Where records go, what becomes of failures, and what is told of them.

use super::*;
use crate::testing::{
    Reply,
    proxy::TestProxy,
    tls::{Authority, TlsServer, ok},
};

fn reporting() -> Arc<SinkContext> {
    Arc::new(SinkContext::new(Access::unrestricted()).with_reporter())
}

fn users(ids: &[&str]) -> SinkBatch {
    let user = |id: &&str| {
        let fields = vec![
            ("id".into(), Value::String((*id).into())),
            ("n".into(), Value::Int64(1)),
        ];
        schemaless(Value::Map(fields))
    };
    batch(ids.iter().map(user).collect())
}

#[tokio::test]
async fn records_decide_where_they_go_and_cannot_leave_it() {
    let server = Server::start(|_, _| answer(200, "")).await;
    let url = format!("{}/users/${{/id}}?t=${{topic}}", server.url);
    let more = [
        ("http.headers.additional", "X-User: ${/id}|X-Fixed: 1"),
        (
            "http.request.body",
            r#"{"id":"${/id}","all":${json:value},"at":${offset}}"#,
        ),
        ("http.request.method", "put"),
        ("http.idempotency.header", "Idempotency-Key"),
    ];
    let reporting = reporting();
    let mut task = open(Arc::clone(&reporting), &url, &more).await;
    assert!(!task.takes_raw(&ValueFormat::String));
    task.put(&users(&["a/b\"", "..", "x\r\nEvil: 1", "../../admin?x#@evil"]))
        .await
        .expect("sent");
    let seen = server.requests();
    let targets: Vec<_> = seen.iter().map(|seen| seen.target.as_str()).collect();
    assert_eq!(
        targets,
        ["/users/a%2Fb%22?t=t", "/users/..%2F..%2Fadmin%3Fx%23%40evil?t=t"]
    );
    assert_eq!(
        seen[0].body,
        r#"{"id":"a/b\"","all":{"id":"a/b\"","n":1},"at":0}"#
    );
    assert_eq!(
        (
            seen[0].method.as_str(),
            seen[0].header("x-user"),
            seen[0].header("x-fixed"),
            seen[0].header("content-type")
        ),
        ("PUT", Some("a/b\""), Some("1"), Some("application/json"))
    );
    assert_eq!(
        (
            seen[0].header("idempotency-key"),
            seen[1].header("idempotency-key")
        ),
        (Some("t-0-0"), Some("t-0-6"))
    );
    // `..` and a header's end are their records' fault.
    let reported = reporting.reported();
    assert_eq!(
        reported.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(),
        [Offset(2), Offset(4)]
    );
    assert_eq!(committable(&mut task).await, 8);
}

#[tokio::test]
async fn only_records_with_the_same_target_are_sent_together() {
    let server = Server::start(|_, _| answer(200, "")).await;
    let more = [
        ("batching.enabled", "true"),
        ("batch.json.as.array", "true"),
        ("http.request.body", "${json:/id}"),
        ("http.idempotency.header", "X-Id"),
    ];
    let url = format!("{}/${{/id}}", server.url);
    let mut task = open(context(), &url, &more).await;
    task.put(&users(&["a", "a", "b", "a"])).await.expect("sent");
    let seen: Vec<_> = server.requests();
    let seen: Vec<_> = seen
        .iter()
        .map(|seen| {
            (
                seen.target.as_str(),
                seen.body.as_str(),
                seen.header("x-id").expect("a key"),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("/a", r#"["a","a"]"#, "t-0-0-2"),
            ("/b", r#"["b"]"#, "t-0-4"),
            ("/a", r#"["a"]"#, "t-0-6")
        ]
    );
}

#[tokio::test]
async fn a_null_can_delete() {
    let server = Server::start(|_, _| answer(204, "")).await;
    let url = format!("{}/${{offset}}", server.url);
    let mut task = open(context(), &url, &[("behavior.on.null.values", "delete")]).await;
    let values = vec![schemaless(Value::Null), SchemaAndValue::string("a")];
    task.put(&batch(values)).await.expect("sent");
    let seen = server.requests();
    let seen: Vec<_> = seen
        .iter()
        .map(|seen| (seen.method.as_str(), seen.target.as_str(), seen.body.as_str()))
        .collect();
    assert_eq!(seen, [("DELETE", "/0", ""), ("POST", "/2", "a")]);
}

/// 500 for ever, on one of three records.
#[tokio::test]
async fn after_the_retries_of_a_record_the_configuration_decides() {
    for (behavior, sent, reported, committed) in [
        ("fail", 2 + 2, vec![], 1),
        ("retry", 2 + 2, vec![], 1),
        ("ignore", 2 + 3, vec![], 6),
        ("log", 2 + 3, vec![], 6),
        ("report", 2 + 3, vec![2], 6),
    ] {
        let server = Server::start(|seen, _| answer(if seen.body == "b" { 500 } else { 200 }, "")).await;
        let reporting = reporting();
        let more = [
            ("max.retries", "2"),
            ("behavior.on.error", behavior),
            ("reporter.error.topic.name", "errors"),
        ];
        let mut task = open(Arc::clone(&reporting), &server.url, &more).await;
        let put = task.put(&texts(&["a", "b", "c"])).await;
        match behavior {
            "fail" | "retry" => {
                let error = put.expect_err("it fails");
                assert_eq!(error.is_retriable(), behavior == "retry");
                assert!(
                    error.to_string().contains("was answered 500") && error.to_string().contains("attempt 3"),
                    "{error}"
                );
            }
            _ => put.expect("it goes on"),
        }
        assert_eq!(server.requests().len(), sent, "{behavior}");
        let offsets: Vec<i64> = reporting
            .reported()
            .iter()
            .map(|(offset, _)| offset.value())
            .collect();
        assert_eq!(offsets, reported, "{behavior}");
        assert_eq!(
            committable(&mut task).await,
            committed,
            "nothing is committed before a 2xx: {behavior}"
        );
        let told = reporting.results();
        assert_eq!(told.len(), usize::from(committed == 6), "{behavior}");
        if let Some(told) = told.first() {
            let value = String::from_utf8_lossy(told.value.as_deref().expect("a value")).into_owned();
            assert!(
                &*told.topic == "errors" && value.contains("was answered 500"),
                "{told:?}"
            );
            assert!(
                told.headers
                    .contains(&("input_record_offset".to_owned(), "2".into()))
            );
            assert!(told.headers.contains(&("http_status".to_owned(), "500".into())));
        }
    }
    // Without a dead letter queue there is nobody to report to.
    let server = Server::start(|_, _| answer(500, "")).await;
    let mut task = open(
        context(),
        &server.url,
        &[NO_RETRY, ("behavior.on.error", "report")],
    )
    .await;
    assert!(
        !task
            .put(&texts(&["a"]))
            .await
            .expect_err("nobody to tell")
            .is_retriable()
    );
}

#[tokio::test]
async fn answers_are_told_with_the_records_that_they_are_of() {
    let server = Server::start(|_, _| answer(201, "made")).await;
    for (only_status, value) in [("false", "made"), ("true", "201")] {
        let context = context();
        let more = [
            ("reporter.result.topic.name", "results"),
            ("report.only.status.code.to.success.topic", only_status),
            ("batching.enabled", "true"),
        ];
        open(Arc::clone(&context), &server.url, &more)
            .await
            .put(&texts(&["a", "b"]))
            .await
            .expect("sent");
        let told = context.results();
        let headers = ["t", "0", "0", "2", "201"].map(bytes::Bytes::from);
        let found: Vec<_> = told[0].headers.iter().map(|(_, value)| value.clone()).collect();
        assert_eq!((told.len(), found), (1, headers.to_vec()));
        assert_eq!(
            (&*told[0].topic, told[0].value.as_deref()),
            ("results", Some(value.as_bytes()))
        );
    }
}

#[tokio::test]
async fn which_statuses_are_tried_again_can_be_said() {
    for (list, status, times) in [
        ("400-", 400, 3),
        ("500-502", 503, 1),
        ("429", 500, 1),
        ("", 503, 1),
    ] {
        let server = Server::start(move |_, _| answer(status, "")).await;
        let more = [("max.retries", "2"), ("retry.on.status.codes", list)];
        open(context(), &server.url, &more)
            .await
            .put(&texts(&["a"]))
            .await
            .expect_err("refused");
        assert_eq!(server.requests().len(), times, "{list}");
    }
}

#[tokio::test]
async fn a_server_that_asks_for_time_gets_it() {
    let server = Server::start(|_, before| match before {
        0 => Reply::Answer(429, vec![("retry-after", "7".to_owned())], String::new()),
        _ => answer(200, ""),
    })
    .await;
    let time = TestTime::new();
    let mut task = task::HttpSinkTask::new(Arc::clone(&time) as _);
    let keys = properties(&[("http.url", &server.url), ("http.requests.per.second", "2")]);
    SinkTask::start(&mut task, context(), &keys)
        .await
        .expect("started");
    task.open(&[assigned()]).await.expect("opened");
    task.put(&texts(&["a", "b"])).await.expect("sent");
    assert_eq!(
        (time.pauses(), bodies(&server)),
        (vec![7000, 500], ["a", "a", "b"].map(str::to_owned).to_vec())
    );
}

#[tokio::test]
async fn tls_and_the_proxy_are_as_configured() {
    let known = Authority::new("known");
    let server = TlsServer::start(&known.issue(&["127.0.0.1"], |_| {}), None, |_| ok("")).await;
    let url = format!("https://127.0.0.1:{}/", server.port);
    let mut task = open(context(), &url, &[("max.retries", "1")]).await;
    let error = task.put(&texts(&["a"])).await.expect_err("nobody knows it");
    let told = error.to_string();
    assert!(
        !error.is_retriable()
            && told.contains("not trusted here")
            && told.contains("attempt 2, the last one"),
        "{told}"
    );
    assert_eq!(committable(&mut task).await, 0);
    let proxy = TestProxy::start(server.port, None).await;
    let port = proxy.port.to_string();
    let trusted = ("ssl.truststore.certificates", &*known.pem);
    let proxied = [("http.proxy.host", "127.0.0.1"), ("http.proxy.port", &*port)];
    for more in [&[trusted][..], &[trusted, proxied[0], proxied[1]]] {
        let mut task = open(context(), &url, more).await;
        task.put(&texts(&[""])).await.expect("sent");
        assert_eq!(committable(&mut task).await, 2);
    }
    assert_eq!((proxy.heads().len(), server.requests().len()), (1, 2));
}
