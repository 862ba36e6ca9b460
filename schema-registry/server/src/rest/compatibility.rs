//! `/compatibility`: whether a schema could be registered, without registering it.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::routing::post;
use serde::Deserialize;
use serde_json::json;

use super::{Answer, Result, SchemaRequest, body};
use crate::decide::VersionId;
use crate::error::Error;
use crate::registry::Registry;

pub(super) fn router() -> Router<Arc<Registry>> {
    Router::new()
        .route("/compatibility/subjects/{subject}/versions", post(with_all))
        .route(
            "/compatibility/subjects/{subject}/versions/{version}",
            post(with_one),
        )
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Verbosity {
    verbose: bool,
}

async fn with_all(
    State(registry): State<Arc<Registry>>,
    Path(subject): Path<String>,
    Query(verbosity): Query<Verbosity>,
    bytes: Bytes,
) -> Result {
    check(&registry, (&subject, None), &verbosity, &bytes)
}

async fn with_one(
    State(registry): State<Arc<Registry>>,
    Path((subject, version)): Path<(String, String)>,
    Query(verbosity): Query<Verbosity>,
    bytes: Bytes,
) -> Result {
    check(
        &registry,
        (&subject, Some(VersionId::parse(&version)?)),
        &verbosity,
        &bytes,
    )
}

fn check(
    registry: &Registry,
    (subject, version): (&str, Option<VersionId>),
    verbosity: &Verbosity,
    bytes: &Bytes,
) -> Result {
    let submitted = body::<SchemaRequest>(bytes)?.submitted();
    let messages = match registry.state().check(subject, version, &submitted) {
        Err(Error::InvalidSchema { reason, .. }) if verbosity.verbose => vec![reason],
        other => other?,
    };
    let mut answer = json!({ "is_compatible": messages.is_empty() });
    if verbosity.verbose {
        answer["messages"] = json!(messages);
    }
    Ok(Answer(answer))
}
