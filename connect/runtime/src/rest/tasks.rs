//! `/connectors/{name}/tasks` and what is below.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use forebay_connect_api::TaskId;

use super::{Result, Shared, ok};
use crate::herder::{Error, Herder};

pub(super) fn router() -> Router<Arc<Herder>> {
    Router::new()
        .route("/connectors/{connector}/tasks", get(tasks))
        .route("/connectors/{connector}/tasks-config", get(tasks_config))
        .route("/connectors/{connector}/tasks/{task}/status", get(status))
        .route("/connectors/{connector}/tasks/{task}/restart", post(restart))
}

async fn tasks(State(herder): Shared, Path(connector): Path<String>) -> Result {
    ok(&herder.tasks(&connector)?)
}

async fn tasks_config(State(herder): Shared, Path(connector): Path<String>) -> Result {
    ok(&herder.tasks_config(&connector)?)
}

async fn status(State(herder): Shared, Path((connector, task)): Path<(String, String)>) -> Result {
    ok(&herder.task_status(&id(&connector, &task)?)?)
}

async fn restart(State(herder): Shared, Path((connector, task)): Path<(String, String)>) -> Result {
    herder.restart_task(id(&connector, &task)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// As in Kafka, a path whose task is no number leads nowhere.
fn id(connector: &str, task: &str) -> Result<TaskId> {
    let task = task
        .parse()
        .map_err(|_| Error::NotFound("HTTP 404 Not Found".to_owned()))?;
    Ok(TaskId {
        connector: connector.into(),
        task,
    })
}
