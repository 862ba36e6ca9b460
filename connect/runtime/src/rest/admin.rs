//! `/admin/loggers`: the levels of loggers (KIP-495), of this worker or of all (KIP-976).

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;

use super::body::{self, bad};
use super::{Query, Result, Shared, ok, run};
use crate::herder::{Error, Herder};
use crate::loggers;

pub(super) fn router() -> Router<Arc<Herder>> {
    Router::new()
        .route("/admin/loggers", get(all))
        .route("/admin/loggers/{logger}", get(level).put(set))
}

async fn all(State(herder): Shared) -> Result {
    ok(&herder.loggers().all())
}

async fn level(State(herder): Shared, Path(logger): Path<String>) -> Result {
    let level = herder.loggers().get(&logger);
    ok(&level.ok_or_else(|| loggers::not_found(&logger))?)
}

async fn set(State(herder): Shared, Path(logger): Path<String>, query: Query, body: Bytes) -> Result {
    let mut wanted = body::config("", body::object(&body)?)?;
    let wanted = wanted.remove("level").flatten();
    let wanted = wanted.ok_or_else(|| bad("Desired 'level' parameter was not specified in request."))?;
    let level =
        loggers::level(&wanted).ok_or_else(|| Error::NotFound(format!("invalid log level '{wanted}'.")))?;
    let is_cluster = query
        .iter()
        .find(|(key, _)| key == "scope")
        .is_some_and(|(_, scope)| scope.eq_ignore_ascii_case("cluster"));
    if !is_cluster {
        return ok(&herder.loggers().set(&logger, level, crate::worker::now())?);
    }
    let worker = Arc::clone(&herder);
    run(&herder, "writing the level of a logger", async move {
        worker.set_cluster_level(&logger, level).await
    })
    .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
