//! Errors that the HTTP library answers by itself, in no words or in plain ones, in the words and the form of the service:
//! an unknown path, a method that a path does not have, a path or query that cannot be read.

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::ErrorBody;

/// How much of a plain answer is read; the library's own are a line.
const TEXT_BYTES_MAX: usize = 4096;

/// How the library begins to say that a part of the URL cannot be read. Jersey, on which Connect, the registry and the
/// proxy are built, calls that a path that does not exist.
const URL_REFUSALS: [&str; 2] = ["Invalid URL", "Failed to deserialize query string"];

pub(crate) async fn into_json(
    State(content_type): State<&'static str>,
    request: Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) || is_json(response.headers()) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let text = to_bytes(body, TEXT_BYTES_MAX).await.unwrap_or_default();
    let (status, message) = in_words(status, &String::from_utf8_lossy(&text));
    let error = ErrorBody {
        content_type,
        ..ErrorBody::new(status, message)
    };
    let mut response = error.into_response();
    if let Some(allow) = parts.headers.get(header::ALLOW) {
        response.headers_mut().insert(header::ALLOW, allow.clone());
    }
    response
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| {
        value
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .ends_with("json")
    })
}

fn in_words(status: StatusCode, text: &str) -> (StatusCode, String) {
    let status = match URL_REFUSALS.iter().any(|refusal| text.starts_with(refusal)) {
        true => StatusCode::NOT_FOUND,
        false => status,
    };
    let in_short = matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED);
    let message = match text.trim() {
        text if !in_short && !text.is_empty() => text.to_owned(),
        _ => format!("HTTP {status}"),
    };
    (status, message)
}
