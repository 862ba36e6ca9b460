//! The console as a role.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use forebay_client::Client;
use forebay_config::Properties;
use forebay_http::{Listeners, Server};
use serde_json::{Value, json};

use crate::overview::Sources;

const PAGE: &str = include_str!("page.html");

/// Why the console does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A client of the cluster cannot be made.
    #[error("the console cannot use its cluster: {0}")]
    Client(#[from] forebay_client::Error),
}

/// Reads all counters of the process, in Prometheus' text form.
pub type Scrape = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = String> + Send>> + Send + Sync>;

/// What the console shows besides the cluster.
pub struct Options {
    /// The Connect REST API, such as `http://localhost:8083`.
    pub connect_url: Option<String>,
    /// The schema registry.
    pub registry_url: Option<String>,
    /// What `/metrics` answers, in Prometheus' text form.
    pub metrics: Scrape,
    /// Whether all roles serve.
    pub is_ready: Arc<dyn Fn() -> bool + Send + Sync>,
    /// The HTTP server.
    pub http: forebay_http::Options,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Options")
            .field("connect_url", &self.connect_url)
            .field("registry_url", &self.registry_url)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Shared").finish_non_exhaustive()
    }
}

struct Shared {
    /// What pages are made of, once there is a cluster to ask.
    sources: OnceLock<Sources>,
    metrics: Scrape,
    is_ready: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// A running console.
#[derive(Debug)]
pub struct Service {
    server: Server,
    shared: Arc<Shared>,
    connect_url: Option<String>,
    registry_url: Option<String>,
}

impl Service {
    /// Serves `listeners`. Until [`Service::use_cluster`] it has metrics and health only: a node that recovers its logs for minutes
    /// can be watched. Must be called inside a tokio runtime.
    pub fn start(listeners: Listeners, options: Options) -> Self {
        let shared = Arc::new(Shared {
            sources: OnceLock::new(),
            metrics: options.metrics,
            is_ready: options.is_ready,
        });
        let router = Router::new()
            .route("/", get(|| async { Html(PAGE) }))
            .route("/api/overview", get(overview))
            .route("/metrics", get(metrics))
            .route(
                "/health/live",
                get(|| async { Json(json!({ "status": "live" })) }),
            )
            .route("/health/ready", get(ready))
            .with_state(Arc::clone(&shared));
        Self {
            server: Server::start(listeners, router, options.http),
            shared,
            connect_url: options.connect_url,
            registry_url: options.registry_url,
        }
    }

    /// Shows the cluster of this client from now on; the first one stays.
    ///
    /// # Errors
    /// If the client cannot be made.
    pub fn use_cluster(&self, client: &Client) -> Result<(), Error> {
        let sources = Sources {
            admin: client.admin(&Properties::new())?,
            http: reqwest::Client::new(),
            connect_url: self.connect_url.clone(),
            registry_url: self.registry_url.clone(),
        };
        let _first_stays = self.shared.sources.set(sources);
        Ok(())
    }

    /// Where it is served.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.server.addresses()
    }

    /// Takes no more requests and waits for those in flight.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

async fn overview(State(shared): State<Arc<Shared>>) -> Response {
    match shared.sources.get() {
        Some(sources) => Json(sources.overview().await).into_response(),
        None => starting().into_response(),
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        (shared.metrics)().await,
    )
}

async fn ready(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    match (shared.is_ready)() {
        true => (StatusCode::OK, Json(json!({ "status": "ready" }))),
        false => starting(),
    }
}

fn starting() -> (StatusCode, Json<Value>) {
    (
        StatusCode::SERVICE_UNAVAILABLE,
        Json(json!({ "status": "starting" })),
    )
}
