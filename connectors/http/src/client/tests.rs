use std::sync::Mutex;

use reqwest::header::{self, HeaderValue};

mod faults;
mod proxied;
mod tls;
mod tokens;

use super::*;
use crate::testing::{Ending, Reply, Server, TestTime, answer, raw_server, redirect};

const SECRET: &str = "s3cret";

fn options() -> Options {
    Options {
        connect_timeout: Duration::from_secs(30),
        read_timeout: Duration::from_secs(30),
        request_timeout: Duration::from_secs(60),
        retries_max: 3,
        backoff: Duration::from_millis(1000),
        retry_on: Statuses::parse("408,429,500-").expect("statuses"),
        spacing: Duration::ZERO,
        redirect_to_private: false,
        answer: AnswerBody::Keep { bytes_max: 20 },
        credentials: None,
        trust: Trust::default(),
        proxy: None,
    }
}

fn client(options: Options, time: &Arc<TestTime>) -> Client {
    client_within(Access::unrestricted(), options, time)
}

fn client_within(access: Access, options: Options, time: &Arc<TestTime>) -> Client {
    Client::new(options, false, access, Arc::clone(time) as _).expect("no roots are needed")
}

fn request(method: Method, url: &str) -> Request {
    let mut headers = HeaderMap::new();
    let mut secret = HeaderValue::from_static(SECRET);
    secret.set_sensitive(true);
    headers.insert(header::AUTHORIZATION, secret.clone());
    headers.insert("x-api-key", secret);
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let body = (method == Method::POST).then(|| Bytes::from_static(b"body"));
    Request {
        method,
        url: Url::parse(&format!("{url}/feed?key={SECRET}")).expect("a URL"),
        headers,
        body,
    }
}

async fn get(client: &Client, url: &str) -> Result<String, Failure> {
    let answer = client.send(&request(Method::GET, url)).await;
    answer.map(|answer| String::from_utf8(answer.body.to_vec()).expect("text"))
}

/// What a failure shows to users, in all its ways, has no secret in it.
fn shown(failure: Failure) -> String {
    let debug = format!("{failure:?}");
    let error = failure.into_connect();
    assert!(
        !debug.contains(SECRET) && !error.trace().contains(SECRET),
        "{debug}"
    );
    error.to_string()
}

#[tokio::test]
async fn failures_that_may_pass_are_retried_with_growing_pauses() {
    for status in [500, 503, 429, 408] {
        let server = Server::start(move |_, before| match before {
            0..3 => answer(status, "no"),
            _ => answer(200, "yes"),
        })
        .await;
        for (chance, pauses) in [(0, [500, 1000, 2000]), (u64::MAX - 1, [0; 3])] {
            let time = TestTime::with_chance(chance);
            assert_eq!(
                get(&client(options(), &time), &server.url)
                    .await
                    .expect("the fourth"),
                "yes"
            );
            if chance == 0 {
                assert_eq!(time.pauses(), pauses);
            }
        }
    }
}

#[tokio::test]
async fn why_a_request_is_tried_again_is_told_until_it_is_answered() {
    let server = Server::start(move |_, before| match before {
        0 => answer(503, "no"),
        _ => answer(200, "yes"),
    })
    .await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let client = client(options(), &TestTime::new()).telling(Arc::new(move |why: Option<&str>| {
        tell.lock().expect("no panic").push(why.map(str::to_owned));
    }));
    assert_eq!(get(&client, &server.url).await.expect("answered"), "yes");
    let told = told.lock().expect("no panic");
    let [Some(why), None] = &told[..] else {
        panic!("{told:?}");
    };
    assert!(why.contains("503 Service Unavailable"), "{why}");
    assert!(!why.contains(SECRET), "{why}");
}

#[tokio::test]
async fn retries_are_bounded_and_other_statuses_are_not_retried() {
    for (status, attempts) in [(503, 4), (400, 1), (404, 1), (304, 1), (204, 0)] {
        let server = Server::start(move |_, _| answer(status, "")).await;
        let time = TestTime::new();
        match get(&client(options(), &time), &server.url).await {
            Ok(body) => assert_eq!((body.as_str(), attempts), ("", 0)),
            Err(failure) => {
                assert_eq!(failure.attempts, attempts);
                let retriable = attempts > 1;
                assert_eq!(failure.retriable, retriable);
                let message = shown(failure);
                let expected = format!("GET {}/feed was answered {status}", server.url);
                assert!(message.starts_with(&expected), "{message}");
                assert_eq!(
                    message.ends_with("(attempt 4, the last one)"),
                    retriable,
                    "{message}"
                );
            }
        }
        assert_eq!(server.requests().len(), attempts.max(1) as usize);
    }
}

#[tokio::test]
async fn pauses_have_a_ceiling_chance_and_the_servers_wish() {
    let time = TestTime::new();
    let status = |retry_after| Error::Status {
        target: String::new(),
        status: StatusCode::TOO_MANY_REQUESTS,
        retry_after,
        excerpt: Bytes::new(),
    };
    let seconds = Duration::from_secs;
    let slow = Options {
        backoff: seconds(100),
        ..options()
    };
    let lucky = client(options(), &time);
    // The greatest remainder that half a second has.
    let unlucky = client(options(), &TestTime::with_chance(500_000_000));
    let cases = [
        (&lucky, None, 1, seconds(1) / 2),
        (&unlucky, None, 1, seconds(1)),
        (&lucky, None, 7, seconds(30)),
        (&lucky, None, 1000, seconds(30)),
        (&lucky, Some(seconds(0)), 1, seconds(1) / 2),
        (&lucky, Some(seconds(7)), 1, seconds(7)),
        (&lucky, Some(seconds(u64::MAX)), 1, seconds(300)),
        (&client(slow, &time), None, 9, seconds(50)),
    ];
    for (client, retry_after, attempts, expected) in cases {
        assert_eq!(client.pause_after(&status(retry_after), attempts), expected);
    }
}

#[tokio::test]
async fn retry_after_is_seconds_or_a_date() {
    for (text, pause) in [
        ("7", 7000),
        ("Sun, 06 Nov 1994 08:49:49 GMT", 12_000),
        ("Sun, 06 Nov 1994 08:49:00 GMT", 500),
        ("soon", 500),
        ("99999999999999999999", 500),
    ] {
        let server = Server::start(move |_, before| match before {
            0 => Reply::Answer(429, vec![("retry-after", text.to_owned())], String::new()),
            _ => answer(200, ""),
        })
        .await;
        let time = TestTime::new();
        get(&client(options(), &time), &server.url)
            .await
            .expect("the second");
        assert_eq!(time.pauses(), [pause], "{text}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up() {
    let server = Server::start(|_, before| match before {
        0 => Reply::Hang,
        _ => answer(200, "ok"),
    })
    .await;
    let time = TestTime::new();
    let client = client(options(), &time);
    let (body, ()) = tokio::join!(get(&client, &server.url), async {
        server.hung.notified().await;
        time.expire();
    });
    assert_eq!(
        (body.expect("the second"), time.pauses()),
        ("ok".to_owned(), vec![500])
    );
}

#[tokio::test]
async fn half_a_body_is_no_answer() {
    let whole = (
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_owned(),
        Ending::Close,
    );
    let halves = [
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", Ending::Reset),
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", Ending::Close),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            Ending::Close,
        ),
        ("HTTP/1.1 200 OK\r\ncontent-le", Ending::Reset),
        ("SSH-2.0-OpenSSH\r\n\r\n", Ending::Close),
        ("", Ending::Close),
    ];
    for (half, ending) in halves {
        let (url, server) = raw_server(vec![(half.to_owned(), ending), whole.clone()]).await;
        let time = TestTime::new();
        assert_eq!(
            get(&client(options(), &time), &url).await.expect(half),
            "ok",
            "{half}"
        );
        assert_eq!(time.pauses(), [500], "{half}");
        server.abort();
    }
    let (url, server) = raw_server(vec![(halves[0].0.to_owned(), Ending::Reset)]).await;
    let failure = get(&client(options(), &TestTime::new()), &url)
        .await
        .expect_err("never whole");
    assert_eq!(failure.attempts, 4);
    assert!(shown(failure).starts_with(&format!("GET {url}/feed failed: ")));
    server.abort();
}

/// What is behind a body is no answer to the next request, whatever it looks like.
#[tokio::test]
async fn a_body_that_is_longer_than_it_says_gives_nothing_to_the_next() {
    let smuggled =
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
    let next = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnext";
    let answers = [(smuggled, Ending::Hold), (next, Ending::Close)];
    let (url, server) = raw_server(answers.map(|(text, ending)| (text.to_owned(), ending)).to_vec()).await;
    let client = client(options(), &TestTime::new());
    for body in ["ok", "next"] {
        assert_eq!(get(&client, &url).await.expect("an answer"), body);
    }
    server.abort();
}

#[tokio::test]
async fn a_body_that_stops_in_the_middle_is_given_up() {
    let slow = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
    let (url, server) = raw_server(vec![(slow.to_owned(), Ending::Hold)]).await;
    let time = TestTime::new();
    let options = Options {
        retries_max: 0,
        ..options()
    };
    let client = client(options, &time);
    let mut send = Box::pin(get(&client, &url));
    // However far it has come, it does not come further.
    let failure = loop {
        tokio::select! {
            biased;
            failure = &mut send => break failure.expect_err("it never ends"),
            () = tokio::task::yield_now() => time.expire(),
        }
    };
    assert!(matches!(failure.error, Error::TimedOut { .. }), "{failure:?}");
    server.abort();
}

#[tokio::test]
async fn bodies_have_a_limit_and_no_encoding() {
    let exact = "x".repeat(20);
    let cases = [
        (
            format!("HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{exact}"),
            None,
        ),
        (format!("HTTP/1.1 200 OK\r\n\r\n{exact}"), None),
        (
            format!("HTTP/1.1 200 OK\r\ncontent-encoding: Identity\r\n\r\n{exact}"),
            None,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 21\r\n\r\n".to_owned(),
            Some("is longer than 20 bytes"),
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\n".to_owned(),
            Some("is longer than 20 bytes"),
        ),
        (
            format!("HTTP/1.1 200 OK\r\n\r\n{exact}x"),
            Some("is longer than 20 bytes"),
        ),
        (
            format!(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n13\r\n{}\r\n1\r\nx\r\n0\r\n\r\n",
                &exact[1..]
            ),
            None,
        ),
        (
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n14\r\n{exact}\r\n1\r\nx\r\n"),
            Some("is longer than 20 bytes"),
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\nbomb".to_owned(),
            Some("has Content-Encoding: gzip"),
        ),
    ];
    for (raw, reason) in cases {
        // An endless body: it must not be waited for.
        let ending = if reason.is_some() {
            Ending::Hold
        } else {
            Ending::Close
        };
        let (url, server) = raw_server(vec![(raw.clone(), ending)]).await;
        let time = TestTime::new();
        match (get(&client(options(), &time), &url).await, reason) {
            (Ok(body), None) => assert_eq!(body, exact),
            (Err(failure), Some(reason)) => {
                assert!(!failure.retriable, "{raw}");
                let message = shown(failure);
                assert!(message.contains(reason), "{message}");
            }
            (other, _) => panic!("{raw}: {other:?}"),
        }
        server.abort();
    }
}

#[tokio::test]
async fn redirects_are_followed_a_few_times_and_secrets_stay_home() {
    let far = Server::start(|_, _| answer(200, "far")).await;
    let to = format!("{}/there", far.url);
    let near = Server::start(move |seen, _| match seen.target.split('?').next() {
        Some("/feed") => redirect(302, "near?x=1"),
        Some("/near") => redirect(307, to.clone()),
        _ => answer(404, ""),
    })
    .await;
    let client = client(options(), &TestTime::new());
    assert_eq!(get(&client, &near.url).await.expect("it arrives"), "far");
    let near_seen = near.requests();
    assert_eq!(near_seen[1].target, "/near?x=1");
    assert!(
        near_seen
            .iter()
            .all(|seen| seen.header("x-api-key") == Some(SECRET))
    );
    let far_seen = &far.requests()[0];
    assert_eq!(far_seen.header("accept"), Some("application/json"));
    assert_eq!(far_seen.header("accept-encoding"), Some("identity"));
    assert_eq!(
        (far_seen.header("authorization"), far_seen.header("x-api-key")),
        (None, None)
    );

    let looping = Server::start(|_, _| redirect(301, "/feed")).await;
    let failure = get(&client, &looping.url).await.expect_err("a loop");
    assert_eq!((failure.attempts, looping.requests().len()), (1, 6));
    assert!(shown(failure).contains("it is the last of more than 5"));
}

#[tokio::test]
async fn a_post_becomes_a_get_only_where_its_body_is_not_what_counts() {
    for (status, method, body) in [
        (303, "GET", ""),
        (302, "GET", ""),
        (307, "POST", "body"),
        (308, "POST", "body"),
    ] {
        let server = Server::start(move |seen, _| match seen.target.as_str() {
            "/there" => answer(200, "ok"),
            _ => redirect(status, "/there"),
        })
        .await;
        let post = request(Method::POST, &server.url);
        client(options(), &TestTime::new())
            .send(&post)
            .await
            .expect("it arrives");
        let last = server.requests().pop().expect("two came");
        assert_eq!(
            (last.method.as_str(), last.body.as_str()),
            (method, body),
            "{status}"
        );

        let options = Options {
            answer: AnswerBody::Discard,
            ..options()
        };
        let sent = client(options, &TestTime::new()).send(&post).await;
        assert_eq!(sent.is_ok(), method == "POST", "{status}");
        if let Err(failure) = sent {
            assert!(shown(failure).contains("POST would become GET and lose its body"));
        }
    }
}

#[tokio::test]
async fn redirects_lead_to_no_other_scheme_and_no_other_private_network() {
    let cases = [
        ("https://127.0.0.1/", "it leads from http: to https:"),
        ("file:///etc/passwd", "it leads from http: to file:"),
        (
            "http://169.254.169.254/latest/meta-data/",
            "leads to 169.254.169.254, which",
        ),
        ("http://10.0.0.1/", "leads to 10.0.0.1, which"),
        (
            "http://[::ffff:a9fe:a9fe]/",
            "leads to ::ffff:169.254.169.254, which",
        ),
        ("http://0/", "leads to 0.0.0.0, which"),
        ("http://[", "its Location is no URL"),
    ];
    for (location, reason) in cases {
        let server = Server::start(move |_, _| redirect(302, location)).await;
        let failure = get(&client(options(), &TestTime::new()), &server.url)
            .await
            .expect_err(location);
        assert_eq!(failure.attempts, 1);
        let message = shown(failure);
        assert!(message.contains(reason), "{message}");
    }
}

#[tokio::test]
async fn what_the_worker_forbids_is_not_reached_by_address_or_name() {
    let server = Server::start(|_, _| answer(200, "")).await;
    for host in ["127.0.0.1", "localhost", "2130706433"] {
        let time = TestTime::new();
        let client = client_within(Access::none(), options(), &time);
        let failure = get(&client, &format!("http://{host}:{}", server.port))
            .await
            .expect_err(host);
        assert!(matches!(failure.error, Error::Forbidden { .. }), "{failure:?}");
        assert_eq!(failure.attempts, 1);
        assert!(shown(failure).contains("this worker allows that to no connector"));
    }
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn no_connection_is_retried_and_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let closed = format!("http://{}", listener.local_addr().expect("it is bound"));
    drop(listener);
    let time = TestTime::new();
    let failure = get(&client(options(), &time), &closed).await.expect_err("closed");
    assert!(matches!(failure.error, Error::Transfer { .. }), "{failure:?}");
    assert_eq!((failure.attempts, time.pauses().len()), (4, 3));
    shown(failure);
}
