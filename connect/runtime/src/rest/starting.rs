//! What is answered while the worker starts: requests wait until it has read what it has to know, as they do behind the herder of Kafka's
//! worker, and `/health` says that it is not ready yet (KIP-1017).

use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::herder::{Error, doing};

/// How long `/health` waits (Kafka's `RestServer.DEFAULT_HEALTH_CHECK_TIMEOUT_MS`).
const HEALTH_PATIENCE: Duration = Duration::from_secs(10);

/// What a worker does that starts, in the words of Kafka's.
const STAGE: &str = "initializing and reading to the end of internal topics";

/// A worker's routes, as soon as they are there; what they are not there for within `patience` is answered with what it is doing.
pub(crate) fn router(ready: watch::Receiver<Option<Router>>, patience: Duration) -> Router {
    let began = Instant::now();
    Router::new().fallback(move |request| answer(ready.clone(), patience, began, request))
}

async fn answer(
    mut ready: watch::Receiver<Option<Router>>,
    patience: Duration,
    began: Instant,
    request: Request,
) -> Response {
    let is_health = request.uri().path() == "/health";
    let patience = if is_health {
        HEALTH_PATIENCE.min(patience)
    } else {
        patience
    };
    let routes = match tokio::time::timeout(patience, ready.wait_for(Option::is_some)).await {
        Ok(Ok(routes)) => routes.clone(),
        Ok(Err(_)) | Err(_) => None,
    };
    let Some(routes) = routes else {
        return starts(is_health, began);
    };
    forebay_http::answer(routes, request).await
}

fn starts(is_health: bool, began: Instant) -> Response {
    let (stage, seconds) = (STAGE, began.elapsed().as_secs());
    if !is_health {
        return Error::TimedOut { stage, seconds }.into_response();
    }
    let message = format!("Worker is still starting up. {}", doing(stage, seconds));
    let body = json!({ "status": "starting", "message": message });
    super::json(StatusCode::SERVICE_UNAVAILABLE, &body).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;

    use super::*;

    fn request(path: &str) -> Request {
        Request::get(path).body(Body::empty()).expect("a request")
    }

    async fn text(response: Response) -> (u16, String) {
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1000)
            .await
            .expect("a body");
        (status, String::from_utf8(body.to_vec()).expect("UTF-8"))
    }

    #[tokio::test(start_paused = true)]
    async fn requests_wait_and_are_told_for_what() {
        let (routes, ready) = watch::channel(None);
        let worker = router(ready, Duration::from_secs(90));
        let (status, told) = text(forebay_http::answer(worker.clone(), request("/health")).await).await;
        let doing =
            "The worker is currently initializing and reading to the end of internal topics, which began";
        assert_eq!(status, 503);
        assert_eq!(
            told,
            format!(r#"{{"status":"starting","message":"Worker is still starting up. {doing} 10 s ago."}}"#)
        );
        let (status, told) = text(forebay_http::answer(worker.clone(), request("/connectors")).await).await;
        assert_eq!(status, 500);
        assert!(
            told.contains(&format!("Request timed out. {doing} 100 s ago.")),
            "{told}"
        );

        // What came before it was ready is answered once it is.
        let waiting = tokio::spawn(forebay_http::answer(worker.clone(), request("/connectors")));
        tokio::time::sleep(Duration::from_secs(1)).await;
        routes.send_replace(Some(Router::new().route("/connectors", get(|| async { "[]" }))));
        let waited = waiting.await.expect("it ends");
        assert_eq!(text(waited).await, (200, "[]".to_owned()));
        let (status, _) = text(forebay_http::answer(worker, request("/nowhere")).await).await;
        assert_eq!(status, 404);
    }
}
