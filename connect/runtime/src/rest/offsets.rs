//! `/connectors/{name}/offsets` (KIP-875).

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::routing::get;
use serde_json::Value;

use super::body::{self, bad};
use super::connectors::message;
use super::{Result, Shared, ok, run};
use crate::herder::{ConnectorOffsets, Herder};

pub(super) fn router() -> Router<Arc<Herder>> {
    Router::new().route(
        "/connectors/{connector}/offsets",
        get(offsets).patch(alter).delete(reset),
    )
}

async fn offsets(State(herder): Shared, Path(connector): Path<String>) -> Result {
    let worker = Arc::clone(&herder);
    let offsets = run(&herder, "reading the connector's offsets", async move {
        worker.offsets(&connector).await
    });
    ok(&offsets.await?)
}

async fn alter(State(herder): Shared, Path(connector): Path<String>, body: Bytes) -> Result {
    let request = body::object(&body)?;
    body::known(&request, &["offsets"])?;
    let offsets: ConnectorOffsets = match request.get("offsets") {
        None | Some(Value::Null) => ConnectorOffsets::default(),
        Some(_) => serde_json::from_value(Value::Object(request))
            .map_err(|error| bad(format!("the request body is not valid: {error}")))?,
    };
    let worker = Arc::clone(&herder);
    let altered = run(&herder, "altering the connector's offsets", async move {
        worker.alter_offsets(&connector, offsets).await
    });
    message(&altered.await?)
}

async fn reset(State(herder): Shared, Path(connector): Path<String>) -> Result {
    let worker = Arc::clone(&herder);
    let done = run(&herder, "resetting the connector's offsets", async move {
        worker.reset_offsets(&connector).await
    });
    message(&done.await?)
}
