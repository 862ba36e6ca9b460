//! Taking connections and serving them: so many at once, none of them idle or half said for longer than is allowed.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

/// How long to wait before connections are taken again where the process has no file descriptor left.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What a router answers to one request, for one that stands before it.
pub async fn answer(router: Router, request: axum::extract::Request) -> Response {
    match TowerToHyperService::new(router).call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// What the connections of one service share.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    max: usize,
    idle_max: Duration,
    stopped: watch::Receiver<bool>,
}

impl Connections {
    /// At most `max` at once on each listener.
    pub(crate) fn new(max: usize, idle_max: Duration, stopped: watch::Receiver<bool>) -> Self {
        Self {
            max,
            idle_max,
            stopped,
        }
    }

    /// Serves until it is told to stop, then until the requests in flight are answered. Dropping the future drops them.
    pub(crate) async fn serve(mut self, socket: TcpListener, router: Router) {
        // Of its own, as one listener holds a permit while it waits for a connection.
        let free = Arc::new(Semaphore::new(self.max));
        let mut serving = JoinSet::new();
        let stopped = self.stopped.clone();
        loop {
            tokio::select! {
                // An error means that the server itself is gone: stop as well.
                _ = self.stopped.wait_for(|stopped| *stopped) => break,
                Some(_) = serving.join_next() => {}
                (stream, permit) = accept(&socket, &free) => {
                    let connection = connection(stream, router.clone(), self.idle_max, stopped.clone());
                    serving.spawn(async move {
                        connection.await;
                        drop(permit);
                    });
                }
            }
        }
        drop(socket);
        while serving.join_next().await.is_some() {}
    }
}

/// The next connection, as soon as there may be one more.
async fn accept(socket: &TcpListener, free: &Arc<Semaphore>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // A semaphore that is never closed gives a permit.
    let permit = Arc::clone(free).acquire_owned().await.ok();
    loop {
        match socket.accept().await {
            Ok((stream, _)) => return (stream, permit),
            Err(error) if is_of_the_peer(&error) => {}
            Err(error) => {
                tracing::error!(%error, "connections cannot be taken; trying again");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// The methods of a path, from an answer that refuses `OPTIONS`: as with JAX-RS, that is one of them.
fn methods(refusal: &Response) -> Response {
    let allowed = refusal.headers().get(header::ALLOW);
    let allowed = allowed.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let methods: Vec<&str> = allowed
        .split(',')
        .map(str::trim)
        .filter(|method| !method.is_empty())
        .chain(["OPTIONS"])
        .collect();
    let mut response = methods.join(", ").into_response();
    let headers = response.headers_mut();
    if let Ok(allow) = HeaderValue::try_from(methods.join(",")) {
        headers.insert(header::ALLOW, allow);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

/// A slash at the end of a path counts for nothing, as with JAX-RS, on which the services of others are built.
fn without_slash(uri: &Uri) -> Option<Uri> {
    let path = uri.path().strip_suffix('/')?;
    if path.is_empty() || path.ends_with('/') {
        return None;
    }
    let shorter = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(shorter.parse().ok()?);
    Uri::from_parts(parts).ok()
}

async fn connection(
    stream: TcpStream,
    router: Router,
    idle_max: Duration,
    mut stopped: watch::Receiver<bool>,
) {
    // Without it an answer in two writes waits for the peer's acknowledgement; where it cannot be set, it is slower.
    let _ = stream.set_nodelay(true);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(idle_max);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        if let Some(uri) = without_slash(request.uri()) {
            *request.uri_mut() = uri;
        }
        let is_options = request.method() == Method::OPTIONS;
        let answer = router.call(request);
        async move {
            let response = answer.await?;
            let is_there = response.status() == StatusCode::METHOD_NOT_ALLOWED;
            Ok::<_, Infallible>(if is_options && is_there {
                methods(&response)
            } else {
                response
            })
        }
    });
    let mut serving = pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = serving.as_mut() => Some(ended),
        _ = stopped.wait_for(|stopped| *stopped) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection has ended early");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slash_at_the_end_counts_for_nothing() {
        for (uri, expected) in [
            ("/", None),
            ("/a", None),
            ("/a/", Some("/a")),
            ("/a/?b=c/", Some("/a?b=c/")),
            ("/a//", None),
            ("http://h:1/a/", Some("http://h:1/a")),
            ("*", None),
        ] {
            let shorter = without_slash(&uri.parse().expect("a URI"));
            assert_eq!(shorter.map(|uri| uri.to_string()).as_deref(), expected, "{uri}");
        }
    }
}
