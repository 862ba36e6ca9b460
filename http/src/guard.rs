//! The guard against web pages: a browser on this machine can reach a loopback port, and a page of any site can make it
//! send requests there. While a service listens on loopback only, a `Host` (DNS rebinding) or `Origin` (cross-site
//! request) that is not loopback is refused; on a listener that is open to the network, an `Origin` that is not the service
//! itself; always, a body of a type that a page may send without asking first.

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
    /// Whether only this machine can reach the service, so that any other name for it is a trick.
    pub(crate) is_loopback: bool,
    /// Hosts that may use it besides (`allowed.hosts`).
    pub(crate) allowed_hosts: Vec<String>,
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
        let host = text(headers, header::HOST).or(authority);
        let origin = text(headers, header::ORIGIN);
        match self.is_loopback {
            true => host
                .and_then(|host| self.stranger("Host", host, is_loopback))
                .or_else(|| self.stranger("Origin", origin?, is_loopback)),
            // It has whatever name people give it: only the pages that it served itself may use it.
            false => {
                let own = host_of(host.unwrap_or_default());
                self.stranger("Origin", origin?, |host| host.eq_ignore_ascii_case(own))
            }
        }
    }

    fn stranger(&self, what: &str, value: &str, is_own: impl Fn(&str) -> bool) -> Option<ErrorBody> {
        let host = host_of(value);
        let is_allowed = |allowed: &String| allowed.eq_ignore_ascii_case(host);
        if is_own(host) || self.allowed_hosts.iter().any(is_allowed) {
            return None;
        }
        let message = format!(
            "{what} {value} is not this machine; add {host} to allowed.hosts if it may use this service"
        );
        Some(ErrorBody::new(StatusCode::FORBIDDEN, message))
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
            is_loopback: true,
            allowed_hosts: vec!["hub.example".to_owned()],
        };
        let open = Guard {
            is_loopback: false,
            allowed_hosts: Vec::new(),
        };
        for (pairs, of_closed, of_open) in [
            (&[("host", "localhost:8083")][..], None, None),
            (
                &[("host", "127.0.0.1:8083"), ("origin", "http://localhost:8080")],
                None,
                Some(403),
            ),
            (&[("host", "[::1]:8083")], None, None),
            (&[("host", "HUB.example:8083")], None, None),
            (&[("host", "evil.example:8083")], Some(403), None),
            (&[("host", "localhost.evil.example")], Some(403), None),
            (
                &[("host", "127.0.0.1"), ("origin", "https://evil.example")],
                Some(403),
                Some(403),
            ),
            (&[("host", "127.0.0.1"), ("origin", "null")], Some(403), Some(403)),
            (
                &[("host", "hub.lan:8083"), ("origin", "http://hub.lan:8080")],
                Some(403),
                None,
            ),
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
