//! The two tasks of a connection and what they share: the answers that are awaited, in the order of the requests.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use forebay_protocol::{
    ApiKey, Reader, Request, Response, Utf8Bytes,
    header::{RequestHeader, decode_response, decode_response_header, encode_request_frame},
    messages::ProduceResponse,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, BufReader},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    task::AbortHandle,
};

use super::{IN_FLIGHT_REQUESTS_MAX, RESPONSE_BYTES_MAX, frame};
use crate::transport::{CallFuture, Error};

/// What the reader keeps of small answers that arrive together.
const READ_BUFFER_BYTES: usize = 16 * 1024;

/// An open connection. Closes when dropped.
pub struct Tcp {
    shared: Arc<Shared>,
    tasks: [AbortHandle; 2],
}

/// What the tasks and the callers share.
struct Shared {
    address: Arc<str>,
    client_id: Utf8Bytes,
    slots: Arc<Semaphore>,
    line: Mutex<Line>,
}

/// The order of requests. `awaited` and the channel to the writer are filled under one lock, so that both have it.
struct Line {
    /// `None` once the connection has ended.
    writer: Option<mpsc::Sender<Outgoing>>,
    awaited: VecDeque<Awaited>,
    next_correlation_id: i32,
    ended: Option<Error>,
}

/// A request on its way to the socket.
struct Outgoing {
    pieces: Vec<Bytes>,
    /// Of a request that nobody answers: told once it is written. The slot goes with it.
    written: Option<(oneshot::Sender<Result<Response, Error>>, OwnedSemaphorePermit)>,
}

/// A request whose answer is to come.
struct Awaited {
    correlation_id: i32,
    api_key: ApiKey,
    api_version: i16,
    answer: oneshot::Sender<Result<Response, Error>>,
    _slot: OwnedSemaphorePermit,
}

type Answer = oneshot::Receiver<Result<Response, Error>>;

impl Tcp {
    pub(super) fn start<R, W>((reading, writing): (R, W), address: Arc<str>, client_id: Utf8Bytes) -> Self
    where
        R: AsyncRead + Unpin + Send + 'static,
        W: AsyncWrite + Unpin + Send + 'static,
    {
        let (writer, requests) = mpsc::channel(IN_FLIGHT_REQUESTS_MAX);
        let line = Line {
            writer: Some(writer),
            awaited: VecDeque::new(),
            next_correlation_id: 0,
            ended: None,
        };
        let slots = Arc::new(Semaphore::new(IN_FLIGHT_REQUESTS_MAX));
        let shared = Arc::new(Shared {
            address,
            client_id,
            slots,
            line: Mutex::new(line),
        });
        // Either task ends the connection when it fails; nothing else depends on them.
        let write = tokio::spawn(write(shared.clone(), writing, requests)).abort_handle();
        let read = tokio::spawn(read(shared.clone(), reading)).abort_handle();
        Self {
            shared,
            tasks: [write, read],
        }
    }

    pub(super) fn address(&self) -> &Arc<str> {
        &self.shared.address
    }

    pub(super) fn is_open(&self) -> bool {
        self.shared.lock().ended.is_none()
    }

    pub(super) fn fail(&self, reason: &str) {
        self.shared.end(reason);
        for task in &self.tasks {
            task.abort();
        }
    }

    pub(super) fn enqueue(&self, api_version: i16, request: Request) -> CallFuture {
        let shared = self.shared.clone();
        match shared.slots.clone().try_acquire_owned() {
            Ok(slot) => {
                let answer = shared.send(api_version, &request, slot);
                Box::pin(async move { shared.receive(answer?).await })
            }
            Err(_) => Box::pin(async move {
                let slot = shared.slots.clone().acquire_owned().await;
                let slot = slot.map_err(|_| shared.disconnected("it was closed"))?;
                let answer = shared.send(api_version, &request, slot)?;
                shared.receive(answer).await
            }),
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Line> {
        // Every change under the lock is complete in itself.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Encodes the request and puts it in line.
    fn send(&self, api_version: i16, request: &Request, slot: OwnedSemaphorePermit) -> Result<Answer, Error> {
        let api_key = request.api_key();
        let (answer, answered) = oneshot::channel();
        let mut line = self.lock();
        if let Some(ended) = &line.ended {
            return Err(ended.clone());
        }
        let correlation_id = line.next_correlation_id;
        let client_id = Some(self.client_id.clone());
        let header = RequestHeader {
            api_key,
            api_version,
            correlation_id,
            client_id,
        };
        let chunks = encode_request_frame(&header, request).map_err(|source| Error::Encode {
            api: api_key.name(),
            version: api_version,
            source: Arc::new(source),
        })?;
        let pieces = frame::in_memory(chunks).map_err(|reason| self.disconnected(reason))?;
        let unanswered = matches!(request, Request::Produce(produce) if produce.acks == 0);
        let outgoing = if unanswered {
            Outgoing {
                pieces,
                written: Some((answer, slot)),
            }
        } else {
            let awaited = Awaited {
                correlation_id,
                api_key,
                api_version,
                answer,
                _slot: slot,
            };
            line.awaited.push_back(awaited);
            Outgoing {
                pieces,
                written: None,
            }
        };
        line.next_correlation_id = correlation_id.wrapping_add(1) & i32::MAX;
        let writer = line
            .writer
            .as_ref()
            .expect("there is a writer until the connection has ended");
        // There are as many places as slots, and this request has a slot; only a writer that has just failed refuses.
        if writer.try_send(outgoing).is_err() {
            drop(line);
            return Err(self.end("it can no longer be written to"));
        }
        Ok(answered)
    }

    async fn receive(&self, answer: Answer) -> Result<Response, Error> {
        match answer.await {
            Ok(result) => result,
            Err(_) => Err(self.end("its task has ended")),
        }
    }

    fn disconnected(&self, reason: &str) -> Error {
        Error::Disconnected {
            address: self.address.clone(),
            reason: reason.into(),
        }
    }

    /// Ends the connection, unless it has ended: everything in flight fails. Gives the error with which it ended.
    fn end(&self, reason: &str) -> Error {
        let mut line = self.lock();
        let error = line
            .ended
            .get_or_insert_with(|| self.disconnected(reason))
            .clone();
        line.writer = None;
        let awaited = std::mem::take(&mut line.awaited);
        drop(line);
        for awaited in awaited {
            // Whoever asked may have gone.
            let _ = awaited.answer.send(Err(error.clone()));
        }
        error
    }

    /// Gives a frame to the request that it answers.
    fn answer(&self, frame: Bytes) -> Result<(), String> {
        let Some(awaited) = self.lock().awaited.pop_front() else {
            return Err("it answered what was not asked".to_owned());
        };
        let Awaited {
            correlation_id,
            api_key,
            api_version,
            answer,
            _slot,
        } = awaited;
        let mut reader = Reader::new(frame);
        let result = match decode_response_header(api_key, api_version, &mut reader) {
            Ok(found) if found != correlation_id => {
                let reason = format!("it answered request {found} instead of {correlation_id}");
                let _ = answer.send(Err(self.disconnected(&reason)));
                return Err(reason);
            }
            Ok(_) => decode_response(api_key, api_version, &mut reader),
            Err(error) => Err(error),
        };
        let result = result.map_err(|source| Error::Decode {
            address: self.address.clone(),
            api: api_key.name(),
            version: api_version,
            source: Arc::new(source),
        });
        let _ = answer.send(result);
        Ok(())
    }
}

impl Drop for Tcp {
    fn drop(&mut self) {
        self.fail("it was closed on this side");
    }
}

impl fmt::Debug for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tcp")
            .field("address", &self.shared.address)
            .field("open", &self.is_open())
            .finish()
    }
}

async fn write(
    shared: Arc<Shared>,
    mut stream: impl AsyncWrite + Unpin,
    mut requests: mpsc::Receiver<Outgoing>,
) {
    let mut outgoing = Vec::new();
    while requests.recv_many(&mut outgoing, IN_FLIGHT_REQUESTS_MAX).await > 0 {
        let mut pieces = Vec::new();
        let mut told = Vec::new();
        for request in outgoing.drain(..) {
            pieces.extend(request.pieces);
            told.extend(request.written);
        }
        let result = frame::write(&mut stream, &pieces).await;
        let failed = result.err().map(|error| shared.end(&error.to_string()));
        for (written, _slot) in told {
            let result = failed
                .clone()
                .map_or_else(|| Ok(ProduceResponse::default().into()), Err);
            let _ = written.send(result);
        }
        if failed.is_some() {
            return;
        }
    }
}

async fn read(shared: Arc<Shared>, stream: impl AsyncRead + Unpin) {
    let mut stream = BufReader::with_capacity(READ_BUFFER_BYTES, stream);
    let reason = loop {
        match frame::read(&mut stream, RESPONSE_BYTES_MAX).await {
            Ok(Some(frame)) => {
                if let Err(reason) = shared.answer(frame) {
                    break reason;
                }
            }
            Ok(None) => break "the broker closed it".to_owned(),
            Err(error) => break error.to_string(),
        }
    };
    shared.end(&reason);
}
