//! A running service: its router behind the guard, on all its listeners, until it is told to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, Uri};
use axum::middleware;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::body::{self, Bodies};
use crate::connection::Connections;
use crate::guard::{self, Guard};
use crate::listener::Listeners;
use crate::plain;

/// What a service may set.
#[derive(Debug, Clone)]
pub struct Options {
    /// `allowed.hosts`: names beyond loopback under which a page may address a service that listens on loopback only.
    pub allowed_hosts: Vec<String>,
    /// The longest request body, in bytes; a longer one gets 413.
    pub request_bytes_max: usize,
    /// The same for requests that have a bound of their own; `None`: this one has not.
    pub request_bytes_max_at: fn(&Method, &Uri) -> Option<usize>,
    /// How many bytes the bodies of all requests that are being worked on may have; one that would pass it gets 503.
    pub all_request_bytes_max: usize,
    /// How many connections each listener may have; the next ones wait to be taken.
    pub connections_max: usize,
    /// How long a connection may wait for a request's head, or for more of its body (Confluent's `idle.timeout.ms`).
    pub idle_max: Duration,
    /// How long [`Server::stop`] waits for requests in flight before it drops them: a client that has stalled in the middle
    /// of one must not keep the process from ending.
    pub stop_max: Duration,
    /// The type of errors that no handler answers, such as 404 for an unknown path.
    pub error_content_type: &'static str,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            allowed_hosts: Vec::new(),
            request_bytes_max: 10 * 1024 * 1024,
            request_bytes_max_at: |_, _| None,
            all_request_bytes_max: 256 * 1024 * 1024,
            connections_max: 1024,
            idle_max: Duration::from_secs(30),
            stop_max: Duration::from_secs(5),
            error_content_type: "application/json",
        }
    }
}

/// The service's tasks. Dropping it ends them at once; [`Server::stop`] lets requests in flight finish.
#[derive(Debug)]
pub struct Server {
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
    addresses: Vec<SocketAddr>,
    stop_max: Duration,
}

impl Server {
    /// Serves `router` on `listeners` from now on.
    pub fn start(listeners: Listeners, router: Router, options: Options) -> Self {
        let addresses = listeners.addresses();
        let (stop, stopped) = watch::channel(false);
        let connections = Connections::new(options.connections_max, options.idle_max, stopped);
        let stop_max = options.stop_max;
        let router = layered(router, listeners.are_loopback(), options);
        let mut tasks = JoinSet::new();
        for socket in listeners.sockets {
            tasks.spawn(connections.clone().serve(socket, router.clone()));
        }
        Self {
            tasks,
            stop,
            addresses,
            stop_max,
        }
    }

    /// Every address that is served.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Takes no more requests and waits for those in flight, but no longer than `stop_max`.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(self.stop_max, all).await.is_err() {
            tracing::warn!("HTTP requests that are still in flight are dropped");
            self.tasks.shutdown().await;
        }
    }
}

/// From the outside in: the form of errors, the guard, the bounds on bodies (which the library's own must not undercut).
fn layered(router: Router, is_loopback: bool, options: Options) -> Router {
    let bodies = Arc::new(Bodies::new(&options));
    let guard = Arc::new(Guard {
        is_loopback,
        allowed_hosts: options.allowed_hosts,
    });
    router
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(bodies, body::read))
        .layer(middleware::from_fn_with_state(guard, guard::check))
        .layer(middleware::from_fn_with_state(
            options.error_content_type,
            plain::into_json,
        ))
}

#[cfg(test)]
mod tests {
    use axum::extract::{Path, Query};
    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn both_addresses_answer_foreign_hosts_and_long_bodies_do_not_pass() {
        let listeners = Listeners::loopback("test", 0).await.unwrap();
        let port = listeners.port();
        assert!(
            Listeners::loopback("test", port)
                .await
                .unwrap_err()
                .to_string()
                .contains("--test-port")
        );
        let router = Router::new()
            .route("/", get(|| async { "here" }))
            .route("/echo", post(|body: String| async { body }))
            .route("/echo/long", post(|body: String| async { body }));
        let options = Options {
            request_bytes_max: 10,
            request_bytes_max_at: |method, uri| {
                (method == Method::POST && uri.path() == "/echo/long").then_some(20)
            },
            ..Options::default()
        };
        let server = Server::start(listeners, router, options);
        let http = reqwest::Client::new();
        for address in server.addresses() {
            let answer = http.get(format!("http://{address}/")).send().await.unwrap();
            assert_eq!(answer.text().await.unwrap(), "here");
        }
        let url = format!("http://127.0.0.1:{port}/echo");
        let post = |length: usize, host: &'static str| {
            let request = http
                .post(&url)
                .header("host", host)
                .header("content-type", "application/json");
            request.body("x".repeat(length)).send()
        };
        for (length, host, status) in [
            (10, "localhost", 200),
            (11, "localhost", 413),
            (1, "evil.example", 403),
        ] {
            assert_eq!(
                post(length, host).await.unwrap().status().as_u16(),
                status,
                "{length} {host}"
            );
        }
        for (length, status) in [(20, 200), (21, 413)] {
            let request = http
                .post(format!("{url}/long"))
                .header("content-type", "application/json");
            let answer = request.body("x".repeat(length)).send().await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{length}");
        }
        server.stop().await;
        assert!(http.get(&url).send().await.is_err());
    }

    async fn started(options: Options) -> (Server, u16) {
        let listeners = Listeners::loopback("test", 0).await.unwrap();
        let port = listeners.port();
        let router = Router::new()
            .route(
                "/numbers/{number}",
                get(async |Path(number): Path<i32>| number.to_string()),
            )
            .route(
                "/limited",
                get(async |Query(limit): Query<Limit>| limit.limit.to_string()),
            )
            .route("/echo", post(|body: String| async { body }));
        (Server::start(listeners, router, options), port)
    }

    #[derive(serde::Deserialize)]
    struct Limit {
        limit: u8,
    }

    #[tokio::test]
    async fn what_the_library_refuses_is_said_as_the_service_says_it() {
        let options = Options {
            error_content_type: "application/vnd.test+json",
            ..Options::default()
        };
        let (server, port) = started(options).await;
        let http = reqwest::Client::new();
        for (method, path, status, body) in [
            (
                "GET",
                "/nowhere",
                404,
                r#"{"error_code":404,"message":"HTTP 404 Not Found"}"#,
            ),
            (
                "GET",
                "/numbers/abc",
                404,
                r#"{"error_code":404,"message":"HTTP 404 Not Found"}"#,
            ),
            (
                "GET",
                "/limited?limit=x",
                404,
                r#"{"error_code":404,"message":"HTTP 404 Not Found"}"#,
            ),
            (
                "DELETE",
                "/echo",
                405,
                r#"{"error_code":405,"message":"HTTP 405 Method Not Allowed"}"#,
            ),
            ("GET", "/numbers/7", 200, "7"),
            ("GET", "/numbers/7/", 200, "7"),
            ("OPTIONS", "/numbers/7", 200, "GET, HEAD, OPTIONS"),
        ] {
            let url = format!("http://127.0.0.1:{port}{path}");
            let answer = http.request(method.parse().unwrap(), url).send().await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{method} {path}");
            if status != 200 {
                assert_eq!(answer.headers()["content-type"], "application/vnd.test+json");
            }
            assert_eq!(answer.text().await.unwrap(), body, "{method} {path}");
        }
        server.stop().await;
    }

    /// What `half` of a request leads to, until the server closes the connection.
    async fn answer_to(port: u16, half: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(half.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    const HALF_A_BODY: &str = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";

    #[tokio::test]
    async fn who_says_nothing_or_half_is_not_waited_for() {
        let options = Options {
            idle_max: Duration::from_millis(100),
            connections_max: 1,
            ..Options::default()
        };
        let (server, port) = started(options).await;
        // Each of them would keep the only connection for ever.
        for (half, expected) in [("", ""), ("POST /echo HT", ""), (HALF_A_BODY, "HTTP/1.1 408")] {
            let answer = tokio::time::timeout(Duration::from_secs(20), answer_to(port, half)).await;
            let answer = answer.unwrap_or_else(|_| panic!("{half:?} was waited for"));
            assert!(answer.starts_with(expected), "{half:?}: {answer}");
        }
        server.stop().await;
    }

    #[tokio::test]
    async fn a_stalled_request_does_not_keep_the_server_from_stopping() {
        let options = Options {
            stop_max: Duration::from_millis(100),
            ..Options::default()
        };
        let (server, port) = started(options).await;
        let mut stalled = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        // What it answers says that the request has begun.
        let expecting = HALF_A_BODY.replace("Host:", "Expect: 100-continue\r\nHost:");
        stalled.write_all(expecting.as_bytes()).await.unwrap();
        stalled.read_u8().await.unwrap();
        tokio::time::timeout(Duration::from_secs(20), server.stop())
            .await
            .expect("stop has a limit");
    }

    #[tokio::test]
    async fn all_bodies_together_have_a_bound() {
        let options = Options {
            all_request_bytes_max: 10,
            ..Options::default()
        };
        let (server, port) = started(options).await;
        let url = format!("http://127.0.0.1:{port}/echo");
        for (length, status) in [(10, 200), (11, 503), (10, 200)] {
            let body = "x".repeat(length);
            let request = reqwest::Client::new()
                .post(&url)
                .header("content-type", "application/json");
            let answer = request.body(body).send().await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{length}");
        }
        server.stop().await;
    }
}
