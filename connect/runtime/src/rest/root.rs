//! `/` and `/health`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use serde_json::json;

use super::{Result, Shared, ok};
use crate::herder::Herder;

/// The Kafka version whose REST API this is: clients decide by it what they may ask for.
const API_VERSION: &str = "4.3.1";

pub(super) fn router() -> Router<Arc<Herder>> {
    Router::new().route("/", get(root)).route("/health", get(health))
}

async fn root(State(herder): Shared) -> Result {
    ok(&json!({
        "version": API_VERSION,
        "commit": concat!("forebay-", env!("CARGO_PKG_VERSION")),
        "kafka_cluster_id": herder.cluster_id(),
    }))
}

/// KIP-1017. What is served here has completed its startup. Ours: what blocks a thread and cannot be ended says so, as only a start of the
/// process helps.
async fn health(State(herder): Shared) -> Result {
    let blocked = herder.blocked();
    if !blocked.is_empty() {
        let all: Vec<String> = blocked
            .iter()
            .map(|(title, seconds)| format!("{title} ({seconds} s)"))
            .collect();
        let message = format!(
            "Worker runs what was told to stop, was aborted, and blocks its thread: {}. It goes on without, and has to be started again to be \
             rid of it.",
            all.join(", ")
        );
        let body = json!({ "status": "unhealthy", "message": message });
        return super::json(StatusCode::INTERNAL_SERVER_ERROR, &body);
    }
    if herder.is_alive() {
        let message = "Worker has completed startup and is ready to handle requests.";
        return ok(&json!({ "status": "healthy", "message": message }));
    }
    let message = "Worker was unable to handle this request and may be unable to handle other requests.";
    let body = json!({ "status": "unhealthy", "message": message });
    super::json(StatusCode::INTERNAL_SERVER_ERROR, &body)
}
