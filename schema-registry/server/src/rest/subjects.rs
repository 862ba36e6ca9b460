//! `/subjects`: registration, lookup, versions, deletion.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Answer, Page, RawSchema, Result, SchemaRequest, body, describe};
use crate::decide::VersionId;
use crate::error::Error;
use crate::registry::Registry;
use crate::state::Version;

pub(super) fn router() -> Router<Arc<Registry>> {
    Router::new()
        .route("/subjects", get(list))
        .route("/subjects/{subject}", post(lookup).delete(delete_subject))
        .route("/subjects/{subject}/versions", get(versions).post(register))
        .route(
            "/subjects/{subject}/versions/{version}",
            get(version).delete(delete_version),
        )
        .route(
            "/subjects/{subject}/versions/{version}/schema",
            get(version_schema),
        )
        .route(
            "/subjects/{subject}/versions/{version}/referencedby",
            get(referenced_by),
        )
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Filter {
    subject_prefix: String,
    deleted: bool,
    deleted_only: bool,
    permanent: bool,
    offset: usize,
    limit: Option<i64>,
}

impl Filter {
    fn page(&self) -> Page {
        Page {
            offset: self.offset,
            limit: self.limit,
        }
    }

    fn wants(&self, deleted: bool) -> bool {
        if self.deleted_only {
            deleted
        } else {
            self.deleted || !deleted
        }
    }
}

type Shared = State<Arc<Registry>>;

async fn list(State(registry): Shared, Query(filter): Query<Filter>) -> Answer {
    let state = registry.state();
    let prefix = if filter.subject_prefix == ":*:" {
        ""
    } else {
        &filter.subject_prefix
    };
    let wanted = state.subjects.iter().filter(|(name, subject)| {
        name.starts_with(prefix)
            && subject
                .versions
                .values()
                .any(|version| filter.wants(version.deleted))
    });
    Answer(json!(filter.page().of(wanted.map(|(name, _)| name))))
}

async fn register(State(registry): Shared, Path(subject): Path<String>, bytes: Bytes) -> Result {
    let request: SchemaRequest = body(&bytes)?;
    if request.id.is_some_and(|id| id > 0) {
        let message = format!("Subject {subject} is not in import mode; a schema id cannot be chosen");
        return Err(Error::NotPermitted(message));
    }
    let wanted = request.version.filter(|version| *version > 0);
    let submitted = request.submitted();
    let registration = registry
        .change(move |state| {
            let mut registration = state.register(&subject, &submitted)?;
            if let Some(wanted) = wanted.filter(|wanted| *wanted != registration.version) {
                let reason = format!(
                    "Version {wanted} is not the next version, {}",
                    registration.version
                );
                return Err(Error::InvalidSchema {
                    schema: registration.text,
                    reason,
                });
            }
            let records = std::mem::take(&mut registration.records);
            Ok((registration, records))
        })
        .await?;
    let mut answer = Map::new();
    answer.insert("id".to_owned(), json!(registration.id));
    answer.insert("version".to_owned(), json!(registration.version));
    if !registration.references.is_empty() {
        answer.insert("references".to_owned(), json!(registration.references));
    }
    answer.insert("schema".to_owned(), json!(registration.text));
    Ok(Answer(Value::Object(answer)))
}

async fn lookup(
    State(registry): Shared,
    Path(subject): Path<String>,
    Query(filter): Query<Filter>,
    bytes: Bytes,
) -> Result {
    let submitted = body::<SchemaRequest>(&bytes)?.submitted();
    let state = registry.state();
    let (number, version) = state.lookup(&subject, &submitted, filter.deleted)?;
    Ok(Answer(entity(&subject, number, version)))
}

async fn versions(
    State(registry): Shared,
    Path(subject): Path<String>,
    Query(filter): Query<Filter>,
) -> Result {
    let state = registry.state();
    let known = state.subject(&subject, filter.deleted || filter.deleted_only)?;
    let numbers = known
        .versions
        .iter()
        .filter(|(_, version)| filter.wants(version.deleted));
    Ok(Answer(json!(filter.page().of(numbers.map(|(number, _)| number)))))
}

async fn version(
    State(registry): Shared,
    Path((subject, version)): Path<(String, String)>,
    Query(filter): Query<Filter>,
) -> Result {
    let state = registry.state();
    let (number, found) = state.version(&subject, VersionId::parse(&version)?, filter.deleted)?;
    Ok(Answer(entity(&subject, number, found)))
}

async fn version_schema(
    State(registry): Shared,
    Path((subject, version)): Path<(String, String)>,
    Query(filter): Query<Filter>,
) -> Result<RawSchema> {
    let state = registry.state();
    let (_, found) = state.version(&subject, VersionId::parse(&version)?, filter.deleted)?;
    Ok(RawSchema(found.content.identity.text.clone()))
}

async fn referenced_by(
    State(registry): Shared,
    Path((subject, version)): Path<(String, String)>,
    Query(page): Query<Page>,
) -> Result {
    let state = registry.state();
    let (number, _) = state.version(&subject, VersionId::parse(&version)?, false)?;
    Ok(Answer(json!(page.of(state.referenced_by(&subject, number)))))
}

async fn delete_subject(
    State(registry): Shared,
    Path(subject): Path<String>,
    Query(filter): Query<Filter>,
) -> Result {
    let deleted = registry
        .change(move |state| state.delete_subject(&subject, filter.permanent))
        .await?;
    Ok(Answer(json!(deleted)))
}

async fn delete_version(
    State(registry): Shared,
    Path((subject, version)): Path<(String, String)>,
    Query(filter): Query<Filter>,
) -> Result {
    let version = VersionId::parse(&version)?;
    let deleted = registry
        .change(move |state| state.delete_version(&subject, version, filter.permanent))
        .await?;
    Ok(Answer(json!(deleted)))
}

/// Confluent's `Schema` entity.
fn entity(subject: &str, number: i32, version: &Version) -> Value {
    let mut entity = Map::new();
    entity.insert("subject".to_owned(), json!(subject));
    entity.insert("version".to_owned(), json!(number));
    entity.insert("id".to_owned(), json!(version.content.id));
    describe(&version.content, &mut entity);
    if version.deleted {
        entity.insert("deleted".to_owned(), json!(true));
    }
    Value::Object(entity)
}
