//! Reading a request's body: as a whole, before the handler runs, within bounds of length, of time, and of what all
//! requests of a service hold together.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ErrorBody;

/// The bounds, and what is left of them.
#[derive(Debug)]
pub(crate) struct Bodies {
    bytes_max: usize,
    /// One permit for each byte that may still be held.
    free: Arc<Semaphore>,
    idle_max: Duration,
}

/// A body, and its share of what may be held.
type Held = (Vec<u8>, Option<OwnedSemaphorePermit>);

pub(crate) async fn read(State(bodies): State<Arc<Bodies>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match bodies.read(&parts.headers, body).await {
        Ok((bytes, share)) => {
            let response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
            drop(share);
            response
        }
        Err(refusal) => refusal.into_response(),
    }
}

impl Bodies {
    /// Bodies of at most `bytes_max` bytes, and `all_bytes_max` in all; no pause in one is longer than `idle_max`.
    pub(crate) fn new(bytes_max: usize, all_bytes_max: usize, idle_max: Duration) -> Self {
        Self {
            bytes_max,
            free: Arc::new(Semaphore::new(all_bytes_max.min(Semaphore::MAX_PERMITS))),
            idle_max,
        }
    }

    async fn read(&self, headers: &HeaderMap, mut body: Body) -> Result<Held, ErrorBody> {
        if announced(headers).is_some_and(|length| length > self.bytes_max as u64) {
            return Err(self.too_long());
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
            if bytes.len() + data.len() > self.bytes_max {
                return Err(self.too_long());
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

    fn too_long(&self) -> ErrorBody {
        let message = format!("the body of the request is longer than {} bytes", self.bytes_max);
        ErrorBody::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    }
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
