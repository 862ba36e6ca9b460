//! `/connectors/{name}/tasks` and what is below.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post, put};
use forebay_config::Properties;
use forebay_connect_api::TaskId;

use super::{Result, Shared, body, ok, run};
use crate::group::{ALGORITHM_HEADER, SIGNATURE_HEADER};
use crate::herder::{Error, Herder, RequestSignature};

pub(super) fn router() -> Router<Arc<Herder>> {
    Router::new()
        .route("/connectors/{connector}/tasks", get(tasks).post(put_tasks))
        .route("/connectors/{connector}/fence", put(fence))
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
    if task.parse::<i32>().is_ok_and(|number| number < 0) {
        return Err(Error::NotFound(format!(
            "No status found for task {connector}-{task}"
        )));
    }
    ok(&herder.task_status(&id(&connector, &task)?)?)
}

async fn restart(State(herder): Shared, Path((connector, task)): Path<(String, String)>) -> Result {
    if task.parse::<i32>().is_ok_and(|number| number < 0) {
        return Err(Error::NotFound(format!("Unknown task: {connector}-{task}")));
    }
    let (worker, id) = (Arc::clone(&herder), id(&connector, &task)?);
    run(&herder, "restarting the task", async move {
        worker.restart_task(id).await
    })
    .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Of another worker, whose connector has made them.
async fn put_tasks(
    State(herder): Shared,
    Path(connector): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result {
    let signature = signature(&headers, &body)?;
    let tasks: Vec<Properties> = serde_json::from_slice(&body)
        .map_err(|error| body::bad(format!("the request body is not valid: {error}")))?;
    let worker = Arc::clone(&herder);
    run(
        &herder,
        "writing the connector's task configurations",
        async move {
            worker
                .put_task_configs(&connector, &tasks, signature.as_ref())
                .await
        },
    )
    .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Of another worker, which is about to start a task (KIP-618).
async fn fence(
    State(herder): Shared,
    Path(connector): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result {
    let signature = signature(&headers, &body)?;
    let worker = Arc::clone(&herder);
    run(&herder, "fencing the connector's former tasks", async move {
        worker
            .fence_zombie_source_tasks(&connector, signature.as_ref())
            .await
    })
    .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn signature(headers: &HeaderMap, body: &Bytes) -> Result<Option<RequestSignature>> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    RequestSignature::new(text(ALGORITHM_HEADER), text(SIGNATURE_HEADER), body)
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
