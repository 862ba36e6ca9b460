//! `/config`: compatibility levels, of all subjects and of one. Confluent's asymmetry is kept: reading gives
//! `compatibilityLevel`, writing takes and gives `compatibility`.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use forebay_schema_registry_schema::compatibility::CompatibilityLevel;
use serde::Deserialize;
use serde_json::json;

use super::{Answer, Result, body};
use crate::decide::check_subject;
use crate::error::Error;
use crate::record::{Key, Record};
use crate::registry::Registry;

pub(super) fn router() -> Router<Arc<Registry>> {
    Router::new()
        .route("/config", get(global).put(set_global).delete(unset_global))
        .route(
            "/config/{subject}",
            get(of_subject).put(set_subject).delete(unset_subject),
        )
}

#[derive(Debug, Deserialize)]
struct LevelRequest {
    #[serde(alias = "compatibilityLevel")]
    compatibility: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Fallback {
    default_to_global: bool,
}

type Shared = State<Arc<Registry>>;

fn level_of_all(registry: &Registry) -> CompatibilityLevel {
    registry.state().global_level()
}

async fn global(State(registry): Shared) -> Answer {
    Answer(json!({ "compatibilityLevel": level_of_all(&registry).name() }))
}

async fn of_subject(
    State(registry): Shared,
    Path(subject): Path<String>,
    Query(fallback): Query<Fallback>,
) -> Result {
    let own = registry
        .state()
        .subjects
        .get(&subject)
        .and_then(|subject| subject.level);
    let level = match own {
        Some(level) => level,
        None if fallback.default_to_global => level_of_all(&registry),
        None => return Err(Error::NoSubjectLevel(subject)),
    };
    Ok(Answer(json!({ "compatibilityLevel": level.name() })))
}

async fn set_global(State(registry): Shared, bytes: Bytes) -> Result {
    set(&registry, None, &bytes).await
}

async fn set_subject(State(registry): Shared, Path(subject): Path<String>, bytes: Bytes) -> Result {
    check_subject(&subject)?;
    set(&registry, Some(&subject), &bytes).await
}

async fn set(registry: &Registry, subject: Option<&str>, bytes: &Bytes) -> Result {
    let level: CompatibilityLevel = body::<LevelRequest>(bytes)?.compatibility.parse()?;
    let record = Record::config(subject, level);
    registry.change(move |_| Ok(((), vec![record.clone()]))).await?;
    Ok(Answer(json!({ "compatibility": level.name() })))
}

async fn unset_global(State(registry): Shared) -> Result {
    let before = level_of_all(&registry);
    registry
        .change(|_| Ok(((), vec![Record::tombstone(&Key::Config { subject: None })])))
        .await?;
    Ok(Answer(json!({ "compatibilityLevel": before.name() })))
}

async fn unset_subject(State(registry): Shared, Path(subject): Path<String>) -> Result {
    let before = registry
        .change(move |state| {
            let own = state.subjects.get(&subject).and_then(|subject| subject.level);
            let before = own.ok_or_else(|| Error::SubjectNotFound(subject.clone()))?;
            Ok((
                before,
                vec![Record::tombstone(&Key::Config {
                    subject: Some(subject.clone()),
                })],
            ))
        })
        .await?;
    Ok(Answer(json!({ "compatibilityLevel": before.name() })))
}
