//! The body in which Kafka Connect, the schema registry and the REST proxy all report an error.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// `{"error_code": …, "message": …}` under an HTTP status.
#[derive(Debug, Clone)]
pub struct ErrorBody {
    /// The status of the response.
    pub status: StatusCode,
    /// Connect: the status again; registry and REST proxy: a code of five digits.
    pub code: i32,
    /// For people: what was wrong and what to do.
    pub message: String,
    /// The `Content-Type` of the service.
    pub content_type: &'static str,
}

impl ErrorBody {
    /// An error whose code is its status, as plain JSON.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            code: status.as_u16().into(),
            message: message.into(),
            content_type: "application/json",
        }
    }
}

impl IntoResponse for ErrorBody {
    fn into_response(self) -> Response {
        let body = json!({ "error_code": self.code, "message": self.message }).to_string();
        let mut response = (self.status, body).into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        response
    }
}
