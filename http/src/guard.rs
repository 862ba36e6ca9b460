//! The guard against web pages: a browser on this machine can reach a loopback port, and a page of any site can make it
//! send requests there. While a service listens on loopback only, a `Host` (DNS rebinding) or `Origin` (cross-site
//! request) that is not loopback is refused; always, a body of a type that a page may send without asking first is.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::ErrorBody;

/// The types that a page may send across sites without a preflight request.
const SIMPLE_TYPES: [&str; 3] = [
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "text/plain",
];

/// What is let through.
#[derive(Debug)]
pub(crate) struct Guard {
    /// Hosts beyond loopback (`allowed.hosts`); `None` where the service is open to the network and any host will do.
    pub(crate) allowed_hosts: Option<Vec<String>>,
}

pub(crate) async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    match guard.refusal(
        request.headers(),
        request.uri().authority().map(|authority| authority.as_str()),
    ) {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    }
}

impl Guard {
    fn refusal(&self, headers: &HeaderMap, authority: Option<&str>) -> Option<ErrorBody> {
        if let Some(content_type) = text(headers, header::CONTENT_TYPE) {
            let essence = content_type
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase();
            if SIMPLE_TYPES.contains(&essence.as_str()) {
                let message = format!("Content-Type {essence} is not accepted; send application/json");
                return Some(ErrorBody::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
            }
        }
        let allowed = self.allowed_hosts.as_ref()?;
        let named = [
            ("Host", text(headers, header::HOST).or(authority)),
            ("Origin", text(headers, header::ORIGIN)),
        ];
        for (what, value) in named {
            let Some(value) = value else { continue };
            let host = host_of(value);
            if !is_loopback(host) && !allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(host)) {
                let message = format!(
                    "{what} {value} is not this machine; add {host} to allowed.hosts if it may use this service"
                );
                return Some(ErrorBody::new(StatusCode::FORBIDDEN, message));
            }
        }
        None
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    // What is no text is no host that is allowed either.
    headers
        .get(name)
        .map(|value| value.to_str().unwrap_or("(not text)"))
}

/// The host of `host`, `host:port`, `[::1]:port` or `scheme://host:port`.
fn host_of(value: &str) -> &str {
    let authority = value.split_once("://").map_or(value, |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or_default();
    match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(guard: &Guard, pairs: &[(&'static str, &'static str)]) -> Option<u16> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        guard
            .refusal(&headers, None)
            .map(|refusal| refusal.status.as_u16())
    }

    #[test]
    fn pages_of_other_sites_are_kept_out() {
        let closed = Guard {
            allowed_hosts: Some(vec!["hub.example".to_owned()]),
        };
        let open = Guard { allowed_hosts: None };
        for (pairs, of_closed, of_open) in [
            (&[("host", "localhost:8083")][..], None, None),
            (
                &[("host", "127.0.0.1:8083"), ("origin", "http://localhost:8080")],
                None,
                None,
            ),
            (&[("host", "[::1]:8083")], None, None),
            (&[("host", "HUB.example:8083")], None, None),
            (&[("host", "evil.example:8083")], Some(403), None),
            (&[("host", "localhost.evil.example")], Some(403), None),
            (
                &[("host", "127.0.0.1"), ("origin", "https://evil.example")],
                Some(403),
                None,
            ),
            (&[("host", "127.0.0.1"), ("origin", "null")], Some(403), None),
            (
                &[
                    ("host", "localhost"),
                    ("content-type", "text/plain; charset=utf-8"),
                ],
                Some(415),
                Some(415),
            ),
            (
                &[("content-type", "multipart/form-data; boundary=x")],
                Some(415),
                Some(415),
            ),
            (
                &[("host", "localhost"), ("content-type", "application/json")],
                None,
                None,
            ),
        ] {
            assert_eq!(status(&closed, pairs), of_closed, "{pairs:?}");
            assert_eq!(status(&open, pairs), of_open, "{pairs:?}");
        }
    }
}
