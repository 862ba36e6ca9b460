//! A running service: its router behind the guard, on all its listeners, until it is told to stop.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::guard::{self, Guard};
use crate::listener::Listeners;

/// What a service may set.
#[derive(Debug, Clone)]
pub struct Options {
    /// `allowed.hosts`: names beyond loopback under which a page may address a service that listens on loopback only.
    pub allowed_hosts: Vec<String>,
    /// The longest request body, in bytes; a longer one gets 413.
    pub request_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            allowed_hosts: Vec::new(),
            request_bytes_max: 10 * 1024 * 1024,
        }
    }
}

/// The service's tasks. Dropping it ends them at once; [`Server::stop`] lets requests in flight finish.
#[derive(Debug)]
pub struct Server {
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
    addresses: Vec<SocketAddr>,
}

impl Server {
    /// Serves `router` on `listeners` from now on.
    pub fn start(listeners: Listeners, router: Router, options: Options) -> Self {
        let addresses = listeners.addresses();
        let allowed_hosts = listeners.are_loopback().then_some(options.allowed_hosts);
        let guard = Arc::new(Guard { allowed_hosts });
        let router = router
            .layer(DefaultBodyLimit::max(options.request_bytes_max))
            .layer(middleware::from_fn_with_state(guard, guard::check));
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for socket in listeners.sockets {
            let (router, mut stopped) = (router.clone(), stopped.clone());
            tasks.spawn(async move {
                let until = async move {
                    // An error means that the server itself is gone: stop as well.
                    let _ = stopped.wait_for(|stopped| *stopped).await;
                };
                if let Err(error) = axum::serve(socket, router).with_graceful_shutdown(until).await {
                    tracing::error!(%error, "an HTTP listener has ended");
                }
            });
        }
        Self {
            tasks,
            stop,
            addresses,
        }
    }

    /// Every address that is served.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Takes no more requests and waits for those in flight.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::{get, post};

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
            .route("/echo", post(|body: String| async { body }));
        let options = Options {
            request_bytes_max: 10,
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
        server.stop().await;
        assert!(http.get(&url).send().await.is_err());
    }
}
