//! OAuth2 client credentials, and the rate.

use super::*;

fn credentials(url: &str, credentials_in: CredentialsIn) -> Credentials {
    Credentials {
        url: Url::parse(&format!("{url}/token")).expect("a URL"),
        id: "i d".to_owned(),
        secret: "s3cret&more".to_owned(),
        scope: Some("a b".to_owned()),
        credentials_in,
        token_property: "access_token".to_owned(),
        headers: HeaderMap::new(),
    }
}

fn with(credentials: Credentials) -> Options {
    Options {
        credentials: Some(credentials),
        ..options()
    }
}

type Replies = Box<dyn Fn() -> Reply + Send + Sync>;
type Refused = Arc<Mutex<Vec<&'static str>>>;

/// Gives `t0`, `t1`, … for 100 s each, and takes only those that are not in `refused`.
async fn server(refused: &Refused) -> Server {
    let refused = Arc::clone(refused);
    let given = std::sync::atomic::AtomicUsize::new(0);
    Server::start(move |seen, _| {
        if seen.target == "/token" {
            let number = given.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            return answer(200, format!(r#"{{"access_token":"t{number}","expires_in":100}}"#));
        }
        let token = seen.header("authorization").unwrap_or_default();
        let is_refused = refused.lock().expect("no panic").contains(&token);
        answer(if is_refused { 401 } else { 200 }, token)
    })
    .await
}

#[tokio::test]
async fn tokens_are_kept_renewed_before_their_end_and_after_a_401() {
    for (credentials_in, body, authorization) in [
        (
            CredentialsIn::Header,
            "grant_type=client_credentials&scope=a%20b",
            Some("Basic aSUyMGQ6czNjcmV0JTI2bW9yZQ=="),
        ),
        (
            CredentialsIn::Body,
            "grant_type=client_credentials&scope=a%20b&client_id=i%20d&client_secret=s3cret%26more",
            None,
        ),
    ] {
        let refused = Refused::default();
        let server = server(&refused).await;
        let time = TestTime::new();
        let client = client(with(credentials(&server.url, credentials_in)), &time);
        for (passes, token) in [
            (0, "t0"),
            (89, "t0"),
            (1, "t1"),
            (0, "t2"),
            (0, "t2"),
            (1000, "t3"),
        ] {
            time.pass(Duration::from_secs(passes));
            let body = get(&client, &server.url).await.expect("a token");
            assert_eq!(body, format!("Bearer {token}"));
            if token == "t1" {
                refused.lock().expect("no panic").push("Bearer t1");
            }
        }
        let asked: Vec<_> = server
            .requests()
            .into_iter()
            .filter(|seen| seen.target == "/token")
            .collect();
        assert_eq!(asked.len(), 4, "t1 was refused, so t2 was asked for at once");
        assert!(
            asked
                .iter()
                .all(|seen| seen.body == body && seen.header("authorization") == authorization)
        );
        assert_eq!(time.pauses(), [0_u128; 0]);
    }
}

#[tokio::test]
async fn a_token_that_is_refused_when_new_is_not_asked_for_again() {
    let refused = Refused::new(Mutex::new(vec!["Bearer t0", "Bearer t1"]));
    let server = server(&refused).await;
    let client = client(
        with(credentials(&server.url, CredentialsIn::Body)),
        &TestTime::new(),
    );
    let failure = get(&client, &server.url).await.expect_err("refused");
    assert_eq!(failure.error.status(), Some(StatusCode::UNAUTHORIZED));
    assert_eq!((failure.attempts, server.requests().len()), (1, 2));
    shown(failure);
}

#[tokio::test]
async fn endpoints_without_a_token_are_named_without_a_secret() {
    let far = Server::start(|_, _| answer(200, r#"{"access_token":"s3cret"}"#)).await;
    let to = far.url.clone();
    let cases: [(Replies, &str, usize); 5] = [
        (
            Box::new(|| answer(200, "s3cret")),
            "gave no token: the answer is not JSON",
            1,
        ),
        (
            Box::new(|| answer(200, r#"{"token":"s3cret"}"#)),
            "has no token under oauth2.token.property",
            1,
        ),
        (
            Box::new(|| answer(200, r#"{"access_token":"s3cret\n"}"#)),
            "what no header may have",
            1,
        ),
        (Box::new(|| answer(503, "s3cret")), "/token was answered 503", 4),
        (
            Box::new(move || redirect(307, to.clone())),
            "it is the last of more than 0",
            1,
        ),
    ];
    for (reply, reason, times) in cases {
        let server = Server::start(move |_, _| reply()).await;
        let client = client(
            with(credentials(&server.url, CredentialsIn::Body)),
            &TestTime::new(),
        );
        let failure = get(&client, &server.url).await.expect_err(reason);
        let message = shown(failure);
        assert!(message.contains(reason), "{message}");
        assert_eq!(server.requests().len(), times, "{reason}");
    }
    assert_eq!(far.count(), 0, "the secret stays home");
}

/// C15: the URL for tokens reaches no more than the others.
#[tokio::test]
async fn no_token_is_got_from_where_the_worker_forbids() {
    let server = server(&Refused::default()).await;
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("http://{host}:{}", server.port);
        let options = with(credentials(&url, CredentialsIn::Body));
        let client = client_within(Access::none(), options, &TestTime::new());
        let failure = get(&client, "http://8.8.8.8").await.expect_err(host);
        assert!(matches!(failure.error, Error::Forbidden { .. }), "{failure:?}");
        shown(failure);
    }
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn requests_keep_their_distance() {
    let server = Server::start(|_, before| answer(if before == 1 { 503 } else { 200 }, "")).await;
    let time = TestTime::new();
    let spaced = Options {
        spacing: Duration::from_millis(700),
        ..options()
    };
    let client = client(spaced, &time);
    for _ in 0..2 {
        get(&client, &server.url).await.expect("an answer");
    }
    // The second, its backoff, and what is left after that.
    assert_eq!(time.pauses(), [700, 500, 200]);
    time.pass(Duration::from_secs(10));
    get(&client, &server.url).await.expect("an answer");
    assert_eq!(time.pauses(), [0_u128; 0]);
}
