//! `/connectors/{name}/topics`: the topics that a connector is active in (KIP-558).

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, put};
use serde_json::{Map, json};

use super::{Result, Shared, ok};
use crate::herder::Herder;

pub(super) fn router() -> Router<Arc<Herder>> {
    Router::new()
        .route("/connectors/{connector}/topics", get(topics))
        .route("/connectors/{connector}/topics/reset", put(reset))
}

async fn topics(State(herder): Shared, Path(connector): Path<String>) -> Result {
    let topics = herder.active_topics(&connector)?;
    ok(&Map::from_iter([(connector, json!({ "topics": topics }))]))
}

async fn reset(State(herder): Shared, Path(connector): Path<String>) -> Result {
    herder.reset_active_topics(&connector)?;
    Ok(StatusCode::ACCEPTED.into_response())
}
