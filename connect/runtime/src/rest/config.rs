//! `/connectors/{name}/config`: look at, replace, patch.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::routing::get;

use super::connectors::created_answer;
use super::{Result, Shared, body, ok, run};
use crate::herder::Herder;

pub(super) fn router() -> Router<Arc<Herder>> {
    Router::new().route(
        "/connectors/{connector}/config",
        get(config).put(put).patch(patch),
    )
}

async fn config(State(herder): Shared, Path(connector): Path<String>) -> Result {
    ok(&*herder.connector_config(&connector)?)
}

async fn put(
    State(herder): Shared,
    Path(connector): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result {
    let config = body::config("", body::object(&body)?)?;
    let (worker, name) = (Arc::clone(&herder), connector.clone());
    let outcome = run(&herder, "storing the connector's configuration", async move {
        worker.put_connector(&name, config, None, true).await
    });
    let outcome = outcome.await?;
    if outcome.created {
        created_answer(&headers, &connector, &outcome.info)
    } else {
        ok(&outcome.info)
    }
}

async fn patch(State(herder): Shared, Path(connector): Path<String>, body: Bytes) -> Result {
    let patch = body::config("", body::object(&body)?)?;
    let worker = Arc::clone(&herder);
    let info = run(&herder, "storing the connector's configuration", async move {
        worker.patch_connector(&connector, patch).await
    });
    ok(&info.await?)
}
