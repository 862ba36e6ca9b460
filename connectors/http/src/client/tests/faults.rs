//! Servers at fault (C5), beyond those of the parent.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// Writes this head and then the body for ever, a piece at a time.
async fn endless(head: &'static str, piece: Vec<u8>) -> (String, tokio::task::JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await;
        let (mut written, _) = (0, stream.write_all(head.as_bytes()).await);
        while stream.write_all(&piece).await.is_ok() {
            written += piece.len();
            tokio::task::yield_now().await;
        }
        written
    });
    (url, server)
}

/// However long it says it is, and whatever it would unpack to, no more than the limit is kept, and little more is read.
#[tokio::test]
async fn a_body_without_end_and_a_bomb_are_cut_off() {
    let zeros = vec![b'0'; 64 * 1024];
    // What gzip makes of 10 MB of zeros, again and again.
    let bomb = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 0xff].repeat(1000);
    let cases = [
        (
            "HTTP/1.1 200 OK\r\n\r\n",
            zeros.clone(),
            "is longer than 20 bytes",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\n",
            zeros,
            "is longer than 20 bytes",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n",
            bomb,
            "has Content-Encoding: gzip",
        ),
    ];
    for (head, piece, reason) in cases {
        let (url, server) = endless(head, piece).await;
        let client = client(options(), &TestTime::new());
        let failure = get(&client, &url).await.expect_err(reason);
        assert_eq!(failure.attempts, 1, "it would be the same again");
        assert!(shown(failure).contains(reason), "{head}");
        drop(client);
        // The connection is closed, so the server comes to an end: what it wrote is in the sockets' buffers.
        let written = server.await.expect("it ends");
        assert!(written < 64 * 1024 * 1024, "{written}");
    }
}

/// A byte now and then keeps the limit of silence away, but not that of the whole.
#[tokio::test]
async fn a_body_that_drips_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let server = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
                    .await;
                let mut drip = tokio::time::interval(Duration::from_millis(20));
                while stream.write_all(b"x").await.is_ok() {
                    drip.tick().await;
                }
            });
        }
    });
    let options = Options {
        read_timeout: Duration::from_millis(400),
        request_timeout: Duration::from_millis(600),
        retries_max: 1,
        backoff: Duration::from_millis(1),
        answer: AnswerBody::Keep { bytes_max: 1_000_000 },
        ..options()
    };
    let client = Client::new(
        options,
        false,
        Access::unrestricted(),
        Arc::new(crate::time::RealTime),
    )
    .expect("no roots");
    let failure = get(&client, &url).await.expect_err("it never ends");
    let waits_for_all = matches!(
        failure.error,
        Error::TimedOut {
            what: "a complete answer",
            ..
        }
    );
    assert!(waits_for_all && failure.attempts == 2, "{failure:?}");
    server.abort();
}

/// For who only wants the status, the rest of the answer does not matter, however slowly it comes.
#[tokio::test]
async fn an_answer_stands_whatever_its_body_does() {
    let slow = "HTTP/1.1 201 Created\r\ncontent-length: 10\r\n\r\nhalf";
    for (answer, kept) in [
        (AnswerBody::Discard, ""),
        (AnswerBody::Excerpt { bytes_max: 3 }, "hal"),
    ] {
        let (url, server) = raw_server(vec![(slow.to_owned(), Ending::Hold)]).await;
        let time = TestTime::new();
        let client = client(Options { answer, ..options() }, &time);
        let request = request(Method::GET, &url);
        let mut send = Box::pin(client.send(&request));
        let mut passed = 0;
        let answer = loop {
            tokio::select! {
                biased;
                answer = &mut send => break answer.expect("it was answered"),
                () = tokio::time::sleep(Duration::from_millis(20)) => {
                    passed += 1;
                    assert!(passed < 500, "the answer is waited for");
                    if passed > 5 {
                        time.expire();
                    }
                }
            }
        };
        assert_eq!(answer.status, StatusCode::CREATED);
        assert!(kept.starts_with(&*String::from_utf8_lossy(&answer.body)));
        server.abort();
    }
}
