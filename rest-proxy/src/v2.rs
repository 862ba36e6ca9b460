//! Version 2 of the API: one file per resource.

mod consumers;
mod produce;
mod topics;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::error::{CONTENT_TYPE, Error};
use crate::service::Shared;

type State = axum::extract::State<Arc<Shared>>;
type Result<T = Answer> = std::result::Result<T, Error>;

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(|| async { Answer::new(json!({})) }))
        .merge(topics::router())
        .merge(produce::router())
        .merge(consumers::router())
        .with_state(shared)
}

/// JSON under a media type.
struct Answer {
    json: Value,
    content_type: &'static str,
}

impl Answer {
    fn new(json: Value) -> Self {
        Self {
            json,
            content_type: CONTENT_TYPE,
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = self.json.to_string().into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        response
    }
}

fn body<T: DeserializeOwned>(bytes: &Bytes) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| Error::Body(error.to_string()))
}
