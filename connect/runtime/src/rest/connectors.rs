//! `/connectors` and `/connectors/{name}`: list, create, look at, delete.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};

use super::body::{self, bad};
use super::{Query, Result, Shared, ok, run};
use crate::herder::{Error, Herder};
use crate::store::config::TargetState;

pub(super) fn router() -> Router<Arc<Herder>> {
    Router::new()
        .route("/connectors", get(list).post(create))
        .route("/connectors/{connector}", get(info).delete(delete))
}

async fn list(State(herder): Shared, query: Query) -> Result {
    let names = herder.connectors();
    let expansions: Vec<&str> = query
        .iter()
        .filter(|(key, _)| key == "expand")
        .map(|(_, value)| value.as_str())
        .collect();
    if expansions.is_empty() {
        return ok(&names);
    }
    let mut expanded = Map::new();
    for name in names {
        match expand(&herder, &name, &expansions) {
            Ok(connector) => {
                expanded.insert(name.to_string(), connector);
            }
            Err(Error::NotFound(_)) => {} // Deleted in the meantime, or without a status yet.
            Err(error) => return Err(error),
        }
    }
    ok(&expanded)
}

fn expand(herder: &Herder, name: &str, expansions: &[&str]) -> Result<Value> {
    let mut connector = Map::new();
    for expansion in expansions {
        let value = match *expansion {
            "status" => serde_json::to_value(herder.connector_status(name)?),
            "info" => serde_json::to_value(herder.connector_info(name)?),
            _ => continue,
        };
        let value = value.map_err(|error| Error::Internal(error.to_string()))?;
        connector.insert((*expansion).to_owned(), value);
    }
    Ok(Value::Object(connector))
}

async fn create(State(herder): Shared, headers: HeaderMap, body: Bytes) -> Result {
    let mut request = body::object(&body)?;
    body::known(&request, &["name", "config", "initial_state"])?;
    let name = match request.remove("name") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(name)) => name.trim().to_owned(),
        Some(other) => {
            return Err(bad(format!(
                "\"name\" must be a string, not {}",
                body::kind(&other)
            )));
        }
    };
    let config = match request.remove("config") {
        Some(Value::Object(config)) => body::config("config key ", config)?,
        None | Some(Value::Null) => {
            return Err(bad(
                "the request body has no \"config\"; it must be an object of the connector's keys",
            ));
        }
        Some(other) => {
            return Err(bad(format!(
                "\"config\" must be an object, not {}",
                body::kind(&other)
            )));
        }
    };
    let initial_state = match request.remove("initial_state") {
        None | Some(Value::Null) => None,
        Some(state) => Some(initial_state(&state)?),
    };
    let (worker, connector) = (Arc::clone(&herder), name.clone());
    let created = run(&herder, "creating the connector", async move {
        worker
            .put_connector(&connector, config, initial_state, false)
            .await
    });
    created_answer(&headers, &name, &created.await?.info)
}

fn initial_state(state: &Value) -> Result<TargetState> {
    let found = TargetState::from_initial(state.as_str().unwrap_or_default());
    found.ok_or_else(|| {
        bad(format!(
            "\"initial_state\" must be RUNNING, PAUSED or STOPPED, not {state}"
        ))
    })
}

/// A name in the path of a URL as Java's `UriBuilder` writes it.
fn in_path(name: &str) -> String {
    let encode = |byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => char::from(byte).to_string(),
        sign if b"-._~!$&'()*+,;=:@".contains(&sign) => char::from(sign).to_string(),
        other => format!("%{other:02X}"),
    };
    name.bytes().map(encode).collect()
}

/// 201 with the place of what was made, below where the client has found this worker.
pub(super) fn created_answer(headers: &HeaderMap, name: &str, info: &impl serde::Serialize) -> Result {
    let mut response = super::json(StatusCode::CREATED, info)?;
    let encoded = in_path(name);
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let base = host.map(|host| format!("http://{host}")).unwrap_or_default();
    if let Ok(location) = HeaderValue::try_from(format!("{base}/connectors/{encoded}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

async fn info(State(herder): Shared, Path(connector): Path<String>) -> Result {
    ok(&herder.connector_info(&connector)?)
}

async fn delete(State(herder): Shared, Path(connector): Path<String>) -> Result<Response> {
    let worker = Arc::clone(&herder);
    run(&herder, "deleting the connector", async move {
        worker.delete_connector(&connector).await
    })
    .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The message of an answer that has nothing else to say.
pub(super) fn message(text: &str) -> Result {
    ok(&json!({ "message": text }))
}
