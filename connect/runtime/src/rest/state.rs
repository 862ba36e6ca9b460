//! What a connector is doing and should do: `status`, `pause`, `resume`, `stop`, `restart` under `/connectors/{name}`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};

use super::{Query, Result, Shared, flag, ok, run};
use crate::herder::Herder;
use crate::store::config::{RestartRequest, TargetState};

pub(super) fn router() -> Router<Arc<Herder>> {
    Router::new()
        .route("/connectors/{connector}/status", get(status))
        .route("/connectors/{connector}/pause", put(pause))
        .route("/connectors/{connector}/resume", put(resume))
        .route("/connectors/{connector}/stop", put(stop))
        .route("/connectors/{connector}/restart", post(restart))
}

async fn status(State(herder): Shared, Path(connector): Path<String>) -> Result {
    ok(&herder.connector_status(&connector)?)
}

async fn pause(State(herder): Shared, Path(connector): Path<String>) -> Result {
    set(&herder, connector, TargetState::Paused).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

async fn resume(State(herder): Shared, Path(connector): Path<String>) -> Result {
    set(&herder, connector, TargetState::Started).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

async fn stop(State(herder): Shared, Path(connector): Path<String>) -> Result {
    set(&herder, connector, TargetState::Stopped).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn set(herder: &Arc<Herder>, connector: String, state: TargetState) -> Result<()> {
    let worker = Arc::clone(herder);
    run(herder, "storing the connector's target state", async move {
        worker.set_target_state(&connector, state).await
    })
    .await
}

/// Without parameters the connector alone, as ever; with them what they say, and what is going to happen (KIP-745).
async fn restart(State(herder): Shared, Path(connector): Path<String>, query: Query) -> Result<Response> {
    let request = RestartRequest {
        include_tasks: flag(&query, "includeTasks").unwrap_or(false),
        only_failed: flag(&query, "onlyFailed").unwrap_or(false),
    };
    if !request.include_tasks && !request.only_failed {
        let worker = Arc::clone(&herder);
        run(&herder, "restarting the connector", async move {
            worker.restart_connector(&connector).await
        })
        .await?;
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let worker = Arc::clone(&herder);
    let state = run(&herder, "restarting the connector and its tasks", async move {
        worker.restart(&connector, request).await
    });
    let state = state.await?;
    super::json(StatusCode::ACCEPTED, &state)
}
