//! `/schemas`: schemas by identifier, and where they are registered.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Answer, Page, RawSchema, Result, describe};
use crate::error::Error;
use crate::registry::Registry;

pub(super) fn router() -> Router<Arc<Registry>> {
    Router::new()
        .route("/schemas/types", get(|| async { Answer(json!(["AVRO"])) }))
        .route("/schemas/ids/{id}", get(schema))
        .route("/schemas/ids/{id}/schema", get(raw))
        .route("/schemas/ids/{id}/subjects", get(subjects))
        .route("/schemas/ids/{id}/versions", get(versions))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Filter {
    subject: Option<String>,
    deleted: bool,
    offset: usize,
    limit: Option<i64>,
}

async fn schema(State(registry): State<Arc<Registry>>, Path(id): Path<i32>) -> Result {
    let state = registry.state();
    let content = state.content(id).ok_or(Error::SchemaNotFound(id))?;
    let mut answer = Map::new();
    describe(content, &mut answer);
    Ok(Answer(Value::Object(answer)))
}

async fn raw(State(registry): State<Arc<Registry>>, Path(id): Path<i32>) -> Result<RawSchema> {
    let state = registry.state();
    let content = state.content(id).ok_or(Error::SchemaNotFound(id))?;
    Ok(RawSchema(content.identity.text.clone()))
}

async fn subjects(
    State(registry): State<Arc<Registry>>,
    Path(id): Path<i32>,
    Query(filter): Query<Filter>,
) -> Result {
    let mut names: Vec<String> = registered(&registry, id, &filter)?
        .into_iter()
        .map(|(subject, _)| subject)
        .collect();
    names.dedup();
    Ok(Answer(json!(page(&filter).of(names))))
}

async fn versions(
    State(registry): State<Arc<Registry>>,
    Path(id): Path<i32>,
    Query(filter): Query<Filter>,
) -> Result {
    let found = registered(&registry, id, &filter)?.into_iter();
    let found = found.map(|(subject, version)| json!({ "subject": subject, "version": version }));
    Ok(Answer(json!(page(&filter).of(found))))
}

fn page(filter: &Filter) -> Page {
    Page {
        offset: filter.offset,
        limit: filter.limit,
    }
}

/// Subjects and versions that have this identifier, by name.
fn registered(registry: &Registry, id: i32, filter: &Filter) -> Result<Vec<(String, i32)>> {
    let state = registry.state();
    state.content(id).ok_or(Error::SchemaNotFound(id))?;
    let wanted = |name: &str| filter.subject.as_deref().is_none_or(|subject| subject == name);
    let subjects = state.subjects.iter().filter(|(name, _)| wanted(name));
    let found = subjects.flat_map(|(name, subject)| {
        let versions = subject.versions.iter();
        let versions =
            versions.filter(|(_, version)| version.content.id == id && (filter.deleted || !version.deleted));
        versions.map(|(number, _)| (name.clone(), *number))
    });
    Ok(found.collect())
}
