//! The REST API: one file per resource.

mod compatibility;
mod config;
mod schemas;
mod subjects;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::decide::Submitted;
use crate::error::{CONTENT_TYPE, Error};
use crate::record::Reference;
use crate::registry::Registry;
use crate::state::{AVRO, Content};

/// How many entries a list has where `limit` asks for none or for more.
const LIST_MAX: usize = 1000;

pub(crate) fn router(registry: Arc<Registry>) -> Router {
    Router::new()
        .route(
            "/",
            get(|| async { Answer(json!({})) }).post(|| async { Answer(json!({})) }),
        )
        .route("/mode", get(|| async { Answer(json!({ "mode": "READWRITE" })) }))
        .route("/contexts", get(|| async { Answer(json!(["."])) }))
        .merge(subjects::router())
        .merge(schemas::router())
        .merge(compatibility::router())
        .merge(config::router())
        .with_state(registry)
}

/// JSON under the registry's media type.
struct Answer(Value);

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = self.0.to_string().into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        response
    }
}

/// A schema's text as it is, not as a JSON string.
struct RawSchema(String);

impl IntoResponse for RawSchema {
    fn into_response(self) -> Response {
        let mut response = self.0.into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        response
    }
}

type Result<T = Answer> = std::result::Result<T, Error>;

/// Reads a body as JSON whatever its declared type: clients send several, `application/octet-stream` among them.
fn body<T: DeserializeOwned>(bytes: &Bytes) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| Error::Body(error.to_string()))
}

/// What clients send to register, look up and check; members that this registry does not know are ignored, as
/// Confluent's does.
#[derive(Debug, serde::Deserialize)]
struct SchemaRequest {
    schema: String,
    #[serde(default, rename = "schemaType")]
    schema_type: Option<String>,
    #[serde(default)]
    references: Option<Vec<Reference>>,
    #[serde(default)]
    id: Option<i32>,
    #[serde(default)]
    version: Option<i32>,
}

impl SchemaRequest {
    fn submitted(self) -> Submitted {
        Submitted {
            schema: self.schema,
            schema_type: self.schema_type,
            references: self.references.unwrap_or_default(),
        }
    }
}

/// The members that describe a schema's content; those that would be empty are left out, which clients rely on.
fn describe(content: &Content, into: &mut serde_json::Map<String, Value>) {
    if content.identity.schema_type != AVRO {
        into.insert("schemaType".to_owned(), json!(content.identity.schema_type));
    }
    if !content.identity.references.is_empty() {
        into.insert("references".to_owned(), json!(content.identity.references));
    }
    into.insert("schema".to_owned(), json!(content.identity.text));
}

/// `offset` and `limit` of every list.
#[derive(Debug, Default, Clone, Copy, serde::Deserialize)]
struct Page {
    #[serde(default)]
    offset: usize,
    #[serde(default)]
    limit: Option<i64>,
}

impl Page {
    fn of<T>(self, list: impl IntoIterator<Item = T>) -> Vec<T> {
        let limit = self
            .limit
            .and_then(|limit| usize::try_from(limit).ok())
            .filter(|limit| (1..=LIST_MAX).contains(limit));
        list.into_iter()
            .skip(self.offset)
            .take(limit.unwrap_or(usize::MAX))
            .collect()
    }
}
