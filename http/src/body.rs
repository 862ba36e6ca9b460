//! Reading a request's body: as a whole, before the handler runs, within bounds of length, of time, and of what all
//! requests of a service hold together.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ErrorBody;
use crate::server::Options;

/// The bounds, and what is left of them.
#[derive(Debug)]
pub(crate) struct Bodies {
    bytes_max: usize,
    bytes_max_at: fn(&Method, &Uri) -> Option<usize>,
    /// One permit for each byte that may still be held.
    free: Arc<Semaphore>,
    idle_max: Duration,
}

/// A body, and its share of what may be held.
type Held = (Vec<u8>, Option<OwnedSemaphorePermit>);

pub(crate) async fn read(State(bodies): State<Arc<Bodies>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let bytes_max = (bodies.bytes_max_at)(&parts.method, &parts.uri).unwrap_or(bodies.bytes_max);
    match bodies.read(&parts.headers, body, bytes_max).await {
        Ok((bytes, share)) => {
            let response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
            drop(share);
            response
        }
        Err(refusal) => refusal.into_response(),
    }
}

impl Bodies {
    /// Bodies within the bounds of a service; no pause in one is longer than `idle_max`.
    pub(crate) fn new(options: &Options) -> Self {
        let all = options.all_request_bytes_max.min(Semaphore::MAX_PERMITS);
        Self {
            bytes_max: options.request_bytes_max,
            bytes_max_at: options.request_bytes_max_at,
            free: Arc::new(Semaphore::new(all)),
            idle_max: options.idle_max,
        }
    }

    async fn read(&self, headers: &HeaderMap, mut body: Body, bytes_max: usize) -> Result<Held, ErrorBody> {
        if announced(headers).is_some_and(|length| length > bytes_max as u64) {
            return Err(too_long(bytes_max));
        }
        let (mut bytes, mut share): Held = (Vec::new(), None);
        loop {
            let frame = match tokio::time::timeout(self.idle_max, body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(None) => return Ok((bytes, share)),
                Ok(Some(Err(error))) => {
                    let message = format!("the body of the request cannot be read: {error}");
                    return Err(ErrorBody::new(StatusCode::BAD_REQUEST, message));
                }
                Err(_) => {
                    let message = format!(
                        "nothing more of the body came for {} ms",
                        self.idle_max.as_millis()
                    );
                    return Err(ErrorBody::new(StatusCode::REQUEST_TIMEOUT, message));
                }
            };
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > bytes_max {
                return Err(too_long(bytes_max));
            }
            let more = self.share(data.len())?;
            match &mut share {
                Some(share) => share.merge(more),
                None => share = Some(more),
            }
            bytes.extend_from_slice(&data);
        }
    }

    fn share(&self, length: usize) -> Result<OwnedSemaphorePermit, ErrorBody> {
        let taken = u32::try_from(length)
            .ok()
            .and_then(|length| Arc::clone(&self.free).try_acquire_many_owned(length).ok());
        taken.ok_or_else(|| {
            let message = "too many bytes of requests are being worked on; try again";
            ErrorBody::new(StatusCode::SERVICE_UNAVAILABLE, message)
        })
    }
}

fn too_long(bytes_max: usize) -> ErrorBody {
    let message = format!("the body of the request is longer than {bytes_max} bytes");
    ErrorBody::new(StatusCode::PAYLOAD_TOO_LARGE, message)
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
