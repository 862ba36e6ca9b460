//! Sends requests on that another worker has to answer, to the leader or to the one that has the connector or task (Kafka's
//! `HerderRequestHandler`). Two hops lead to the right one, or a rebalance is under way.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Result;
use crate::group::{ALGORITHM_HEADER, SIGNATURE_HEADER};
use crate::herder::{Error, Herder, RemoteRequest, Target};

/// The key of the query that counts hops: not there, then `true`, then `false`.
const FORWARD: &str = "forward";

/// Requests are in memory before they get here, within the bounds of the service.
const BODY_BYTES_MAX: usize = usize::MAX;

/// Answers of other workers that concern the connection are not passed on.
const PASSED_ON: [header::HeaderName; 1] = [header::CONTENT_TYPE];

pub(super) async fn forward(State(herder): State<Arc<Herder>>, request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let body = match axum::body::to_bytes(body, BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err(error) => return super::body::bad(error.to_string()).into_response(),
    };
    let asked = Request::from_parts(parts.clone(), Body::from(body.clone()));
    let mut response = next.run(asked).await;
    match response.extensions_mut().remove::<Target>() {
        Some(target) => send_on(&herder, &parts, body, target)
            .await
            .unwrap_or_else(IntoResponse::into_response),
        None => response,
    }
}

async fn send_on(herder: &Herder, parts: &Parts, body: Bytes, Target(url): Target) -> Result {
    let is_last_hop = match hops(&parts.uri) {
        None => false,
        Some(true) => true,
        Some(false) => {
            let message =
                "Cannot complete request because of a conflicting operation (e.g. worker rebalance)";
            return Err(Error::Conflict(message.to_owned()));
        }
    };
    let (Some(url), Some(remote)) = (url, herder.remote()) else {
        let message = "Cannot complete request momentarily due to no known leader URL, likely because a rebalance was underway.";
        return Err(Error::Conflict(message.to_owned()));
    };
    let request = RemoteRequest {
        method: parts.method.clone(),
        url: place(&url, &parts.uri, !is_last_hop),
        headers: headers(&parts.headers, !body.is_empty()),
        body,
    };
    tracing::debug!(method = %request.method, url = request.url, "the request is sent on");
    let answer = remote.send(request).await?;
    let mut response = (answer.status, answer.body).into_response();
    response.headers_mut().remove(header::CONTENT_TYPE);
    for name in PASSED_ON {
        if let Some(value) = answer.headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    let made = answer
        .headers
        .get(header::LOCATION)
        .and_then(|value| value.to_str().ok());
    if let Some(location) = made.and_then(|made| at_host(made, &parts.headers)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// The place of what was made, below where the client has found this worker.
fn at_host(made: &str, headers: &HeaderMap) -> Option<HeaderValue> {
    let made: Uri = made.parse().ok()?;
    let host = headers.get(header::HOST)?.to_str().ok()?;
    HeaderValue::try_from(format!("http://{host}{}", made.path())).ok()
}

/// What the query says of hops so far; `None`: the request comes from a user.
fn hops(uri: &Uri) -> Option<bool> {
    let query = uri.query().unwrap_or_default();
    let value = query.split('&').find_map(|pair| pair.strip_prefix("forward="))?;
    Some(value.eq_ignore_ascii_case("true"))
}

/// The same place at another worker.
fn place(base: &str, uri: &Uri, is_first_hop: bool) -> String {
    let query = uri.query().unwrap_or_default();
    let others = query
        .split('&')
        .filter(|pair| !pair.is_empty() && pair.split('=').next() != Some(FORWARD));
    let others: String = others.map(|pair| format!("&{pair}")).collect();
    let base = base.trim_end_matches('/');
    format!("{base}{}?{FORWARD}={is_first_hop}{others}", uri.path())
}

fn headers(from: &HeaderMap, has_body: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in ["authorization", SIGNATURE_HEADER, ALGORITHM_HEADER] {
        if let Some(value) = from.get(name)
            && let Ok(name) = header::HeaderName::try_from(name)
        {
            headers.insert(name, value.clone());
        }
    }
    if has_body {
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_the_same_and_hops_are_counted() {
        for (uri, hops_so_far, first, last) in [
            (
                "/connectors",
                None,
                "http://a:1/connectors?forward=true",
                "http://a:1/connectors?forward=false",
            ),
            (
                "/connectors/a%2Fb/restart?includeTasks=true&forward=true&onlyFailed=false",
                Some(true),
                "http://a:1/connectors/a%2Fb/restart?forward=true&includeTasks=true&onlyFailed=false",
                "http://a:1/connectors/a%2Fb/restart?forward=false&includeTasks=true&onlyFailed=false",
            ),
            (
                "/x?forward=false",
                Some(false),
                "http://a:1/x?forward=true",
                "http://a:1/x?forward=false",
            ),
        ] {
            let uri: Uri = uri.parse().expect("it is one");
            assert_eq!(hops(&uri), hops_so_far);
            assert_eq!(place("http://a:1/", &uri, true), first);
            assert_eq!(place("http://a:1", &uri, false), last);
        }
    }
}
