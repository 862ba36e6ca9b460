//! What JAX-RS sees to for Kafka's workers before a resource is asked: a body must be JSON (415), and what the client accepts must be,
//! too (406).

use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use forebay_http::ErrorBody;

/// Judges a request of a path that is there.
pub(super) async fn check(request: Request, next: Next) -> Response {
    match refusal(request.method(), request.headers()) {
        Some(status) => ErrorBody::new(status, format!("HTTP {status}")).into_response(),
        None => next.run(request).await,
    }
}

fn refusal(method: &Method, headers: &HeaderMap) -> Option<StatusCode> {
    if *method == Method::OPTIONS {
        return None;
    }
    let texts = |name| {
        headers
            .get_all(name)
            .iter()
            .map(|value| value.to_str().unwrap_or_default())
    };
    let mut accepted = texts(header::ACCEPT)
        .flat_map(|value| value.split(','))
        .peekable();
    if accepted.peek().is_some() && !accepted.any(|range| takes_json(essence(range))) {
        return Some(StatusCode::NOT_ACCEPTABLE);
    }
    let has_body = headers.contains_key(header::TRANSFER_ENCODING)
        || texts(header::CONTENT_LENGTH).any(|length| length.trim() != "0");
    let may_have_body = [Method::POST, Method::PUT, Method::PATCH].contains(method);
    if !(has_body && may_have_body) {
        return None;
    }
    let is_json = texts(header::CONTENT_TYPE)
        .next()
        .is_some_and(|value| essence(value).eq_ignore_ascii_case("application/json"));
    (!is_json).then_some(StatusCode::UNSUPPORTED_MEDIA_TYPE)
}

/// A type without its parameters.
fn essence(value: &str) -> &str {
    value.split(';').next().unwrap_or_default().trim()
}

fn takes_json(range: &str) -> bool {
    ["application/json", "application/*", "*/*", "*"]
        .iter()
        .any(|wanted| range.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn what_is_said_and_wanted_must_be_json() {
        let post = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, HeaderValue::from_static(value));
            }
            refusal(&Method::POST, &headers).map(|status| status.as_u16())
        };
        for (pairs, status) in [
            (&[][..], None),
            (&[("content-length", "0")], None),
            (&[("content-length", "2")], Some(415)),
            (
                &[("content-length", "2"), ("content-type", "application/json")],
                None,
            ),
            (
                &[
                    ("transfer-encoding", "chunked"),
                    ("content-type", "Application/JSON; charset=utf-8"),
                ],
                None,
            ),
            (
                &[("content-length", "2"), ("content-type", "application/xml")],
                Some(415),
            ),
            (&[("accept", "*/*")], None),
            (&[("accept", "text/html, application/json;q=0.5")], None),
            (&[("accept", "text/html"), ("accept", "application/*")], None),
            (&[("accept", "text/html, image/*")], Some(406)),
        ] {
            assert_eq!(post(pairs), status, "{pairs:?}");
        }
    }
}
