//! What the tests share: a time that they move, a server that does as it is told, and the worker's side of tasks.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, Response},
};
use forebay_connect_api::{BoxFuture, config::Properties};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::{Notify, watch},
    task::JoinHandle,
};

use crate::time::Time;

pub(crate) mod proxy;
pub(crate) mod tls;

/// Pauses are over at once and remembered; limits pass when a test says so.
#[derive(Debug)]
pub(crate) struct TestTime {
    pauses: Mutex<Vec<Duration>>,
    /// Milliseconds since [`NOW`].
    passed: AtomicI64,
    expired: watch::Sender<()>,
    chance: u64,
}

/// What [`TestTime::now`] says before time passes: 06 Nov 1994 08:49:37 GMT.
pub(crate) const NOW: i64 = 784_111_777_000;

impl TestTime {
    pub(crate) fn new() -> Arc<Self> {
        Self::with_chance(0)
    }

    pub(crate) fn with_chance(chance: u64) -> Arc<Self> {
        Arc::new(Self {
            pauses: Mutex::default(),
            passed: AtomicI64::new(0),
            expired: watch::Sender::new(()),
            chance,
        })
    }

    /// The pauses since the last call, in milliseconds.
    pub(crate) fn pauses(&self) -> Vec<u128> {
        let pauses = std::mem::take(&mut *self.pauses.lock().expect("no panic"));
        pauses.iter().map(Duration::as_millis).collect()
    }

    /// Lets the clock go on.
    pub(crate) fn pass(&self, duration: Duration) {
        let milliseconds = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        self.passed.fetch_add(milliseconds, Ordering::Relaxed);
    }

    /// Lets all limits pass that somebody waits for.
    pub(crate) fn expire(&self) {
        self.expired.send_replace(());
    }
}

impl Time for TestTime {
    fn pause(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.pauses.lock().expect("no panic").push(duration);
        self.pass(duration);
        Box::pin(tokio::task::yield_now())
    }

    fn limit(&self, _duration: Duration) -> BoxFuture<'static, ()> {
        let mut expired = self.expired.subscribe();
        Box::pin(async move {
            if expired.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }

    fn now(&self) -> i64 {
        NOW + self.passed.load(Ordering::Relaxed)
    }

    fn chance(&self) -> u64 {
        self.chance
    }
}

/// A request as the server saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Answer(u16, Vec<(&'static str, String)>, String),
    /// Nothing, for ever.
    Hang,
}

/// An answer without headers.
pub(crate) fn answer(status: u16, body: impl Into<String>) -> Reply {
    Reply::Answer(status, Vec::new(), body.into())
}

/// A redirect.
pub(crate) fn redirect(status: u16, location: impl Into<String>) -> Reply {
    Reply::Answer(status, vec![("location", location.into())], String::new())
}

/// An HTTP server on loopback, gone with the value.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) port: u16,
    requests: Arc<Mutex<Vec<Seen>>>,
    /// Told whenever a request begins to hang.
    pub(crate) hung: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// The handler gets each request and how many came before it.
    pub(crate) async fn start(handler: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static) -> Self {
        let requests = Arc::<Mutex<Vec<Seen>>>::default();
        let hung = Arc::new(Notify::new());
        let (handler, count) = (Arc::new(handler), Arc::new(AtomicUsize::new(0)));
        let (log, notify) = (Arc::clone(&requests), Arc::clone(&hung));
        let router = Router::new().fallback(move |request: Request| {
            let (handler, count) = (Arc::clone(&handler), Arc::clone(&count));
            let (log, notify) = (Arc::clone(&log), Arc::clone(&notify));
            async move {
                let seen = see(request).await;
                log.lock().expect("no panic").push(seen.clone());
                match handler(&seen, count.fetch_add(1, Ordering::Relaxed)) {
                    Reply::Hang => {
                        notify.notify_one();
                        std::future::pending().await
                    }
                    Reply::Answer(status, headers, body) => {
                        let response = Response::builder().status(status);
                        let response = headers
                            .into_iter()
                            .fold(response, |response, (name, value)| response.header(name, value));
                        response.body(Body::from(body)).expect("a valid answer")
                    }
                }
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
        let port = listener.local_addr().expect("it is bound").port();
        let task = tokio::spawn(async move {
            axum::serve(listener, router)
                .await
                .expect("it serves until it is aborted");
        });
        Self {
            url: format!("http://127.0.0.1:{port}"),
            port,
            requests,
            hung,
            task,
        }
    }

    /// How many requests it has seen since the last call of [`Server::requests`].
    pub(crate) fn count(&self) -> usize {
        self.requests.lock().expect("no panic").len()
    }

    /// Everything it has seen since the last call.
    pub(crate) fn requests(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.requests.lock().expect("no panic"))
    }
}

async fn see(request: Request) -> Seen {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a complete body");
    Seen {
        method: head.method.to_string(),
        target: head.uri.to_string(),
        headers: head.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    }
}

/// How a connection ends on which a raw answer was written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ending {
    Close,
    Reset,
    Hold,
}

/// A server that writes these bytes to one connection after the other, whatever is asked; the last goes on for ever.
pub(crate) async fn raw_server(answers: Vec<(String, Ending)>) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let task = tokio::spawn(async move {
        let mut held = Vec::new();
        let last = answers.last().cloned().expect("at least one");
        for (answer, ending) in answers.into_iter().chain(std::iter::repeat(last)) {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = Vec::new();
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            // Who asked may have gone away.
            let _ = stream.write_all(answer.as_bytes()).await;
            match ending {
                Ending::Close => drop(stream),
                Ending::Reset => stream.set_zero_linger().expect("a socket option"),
                Ending::Hold => held.push(stream),
            }
        }
    });
    (url, task)
}

/// Properties from pairs.
pub(crate) fn properties(pairs: &[(&str, &str)]) -> Properties {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}
