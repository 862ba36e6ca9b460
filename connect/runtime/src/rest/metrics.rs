//! `/metrics`. Kafka's worker has none: its metrics are beans, for which people put an agent into the JVM.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::Shared;
use crate::herder::{Herder, Metrics};

pub(super) fn router() -> Router<Arc<Herder>> {
    Router::new().route("/metrics", get(metrics))
}

async fn metrics(State(herder): Shared) -> Response {
    let text = Metrics::new(herder).render();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
