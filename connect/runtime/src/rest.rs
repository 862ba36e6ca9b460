//! The REST API of Kafka Connect: one file per resource. Requests are judged here for their form only; what they mean is the
//! herder's business.

mod admin;
mod body;
mod config;
mod connectors;
mod form;
mod forward;
mod metrics;
mod offsets;
mod plugins;
mod root;
pub(crate) mod starting;
mod state;
mod tasks;
mod topics;

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;

use crate::herder::{Error, Herder};

/// How many bytes the configurations of a connector's tasks may have as one request between workers; Kafka's have no bound. A quarter of what
/// all requests of a worker may hold.
const TASKS_BYTES_MAX: usize = 64 * 1024 * 1024;

type Result<T = Response> = std::result::Result<T, Error>;

/// What every resource works on.
type Shared = axum::extract::State<Arc<Herder>>;

/// The query of a URL, in order; keys may repeat.
type Query = axum::extract::Query<Vec<(String, String)>>;

pub(crate) fn router(herder: Arc<Herder>) -> Router {
    Router::new()
        .merge(root::router())
        .merge(connectors::router())
        .merge(config::router())
        .merge(state::router())
        .merge(tasks::router())
        .merge(topics::router())
        .merge(offsets::router())
        .merge(plugins::router())
        .merge(metrics::router())
        .merge(admin::router())
        .layer(axum::middleware::from_fn_with_state(
            Arc::clone(&herder),
            forward::forward,
        ))
        .route_layer(axum::middleware::from_fn(form::check))
        .with_state(herder)
}

/// How long the body of a request may be that has a bound of its own: what a connector's tasks are configured with may be a record of the
/// config topic for each, and another worker sends them all at once.
pub(crate) fn request_bytes_max_at(method: &Method, uri: &Uri) -> Option<usize> {
    let mut path = uri.path().trim_start_matches('/').split('/');
    let is_tasks = path.next() == Some("connectors") && path.nth(1) == Some("tasks") && path.next().is_none();
    (is_tasks && *method == Method::POST).then_some(TASKS_BYTES_MAX)
}

/// Does the work of a request in a task of its own: what has begun to change something is not cut short because a client has
/// gone away. One that takes too long is answered with what the worker is doing, and goes on.
async fn run<T: Send + 'static>(
    herder: &Arc<Herder>,
    stage: &'static str,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let began = Instant::now();
    let done = tokio::time::timeout(herder.config().request_timeout, tokio::spawn(work)).await;
    match done {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Err(Error::Internal(format!(
            "the worker failed while {stage}: {error}"
        ))),
        Err(_) => Err(Error::TimedOut {
            stage,
            seconds: began.elapsed().as_secs(),
        }),
    }
}

/// JSON under a status.
fn json(status: StatusCode, body: &impl serde::Serialize) -> Result {
    let text = serde_json::to_string(body).map_err(|error| Error::Internal(error.to_string()))?;
    let content_type = [(axum::http::header::CONTENT_TYPE, "application/json")];
    Ok((status, content_type, text).into_response())
}

/// JSON under 200.
fn ok(body: &impl serde::Serialize) -> Result {
    json(StatusCode::OK, body)
}

/// Whether the query says `true` for a key (Java's `Boolean.valueOf`).
fn flag(query: &Query, key: &str) -> Option<bool> {
    let found = query
        .iter()
        .find(|(name, value)| name == key && !value.is_empty());
    found.map(|(_, value)| value.eq_ignore_ascii_case("true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Finding 10 of the review of 22 November.
    #[test]
    fn only_tasks_between_workers_may_be_long() {
        for (method, path, is_long) in [
            (Method::POST, "/connectors/c/tasks", true),
            (Method::POST, "/connectors/c%2Fd/tasks?forward=true", true),
            (Method::GET, "/connectors/c/tasks", false),
            (Method::POST, "/connectors/c/tasks/0/restart", false),
            (Method::POST, "/connectors", false),
            (Method::PUT, "/connectors/tasks/config", false),
        ] {
            let uri: Uri = path.parse().expect("it is one");
            assert_eq!(
                request_bytes_max_at(&method, &uri).is_some(),
                is_long,
                "{method} {path}"
            );
        }
    }
}
