//! The requests of one connection in their order, as a broker takes them from a socket: one begins when those before it are
//! answered, except that Produce requests follow each other up to a bound. Answers come in the same order.

use std::{
    collections::VecDeque,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use forebay_protocol::{ApiKey, Request, Response};
use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot, watch};

use super::{IN_WORK_BYTES_MAX, IN_WORK_MAX, in_memory};
use crate::transport::{CallFuture, Error, Transport};

type Answer = oneshot::Sender<Result<Response, Error>>;

/// What the callers and the driver share.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) node: Arc<dyn Transport>,
    state: Mutex<State>,
    /// Set once it has ended: for the driver, which waits for an answer that may never come.
    has_ended: watch::Sender<bool>,
}

#[derive(Debug)]
struct State {
    /// To the driver; `None` once there will be nothing more. Has room for all that may be in work.
    begun: Option<mpsc::Sender<Begun>>,
    /// What is in work, all of it of this API.
    in_work: usize,
    in_work_bytes: usize,
    in_work_api: Option<ApiKey>,
    /// What may not begin yet. A caller would hold its request in any case, so there is no bound of its own.
    waiting: VecDeque<Waiting>,
    /// Why nothing begins any more.
    ended: Option<Error>,
    /// Nobody calls any more; what is there goes on.
    left: bool,
}

#[derive(Debug)]
struct Waiting {
    api_version: i16,
    request: Request,
    bytes: usize,
    answer: Answer,
}

struct Begun {
    response: CallFuture,
    bytes: usize,
    answer: Answer,
}

impl Line {
    /// A line to `node`, and its driver; must be called inside a tokio runtime.
    pub(super) fn start(node: Arc<dyn Transport>) -> Arc<Self> {
        let (begun, to_answer) = mpsc::channel(IN_WORK_MAX);
        let line = Arc::new(Self {
            node,
            state: Mutex::new(State {
                begun: Some(begun),
                in_work: 0,
                in_work_bytes: 0,
                in_work_api: None,
                waiting: VecDeque::new(),
                ended: None,
                left: false,
            }),
            has_ended: watch::Sender::new(false),
        });
        tokio::spawn(drive(line.clone(), to_answer));
        line
    }

    /// Puts a request in line; it has its place when this returns, and has begun if it may.
    pub(super) fn enqueue(
        &self,
        api_version: i16,
        request: Request,
        bytes: usize,
    ) -> oneshot::Receiver<Result<Response, Error>> {
        let (answer, answered) = oneshot::channel();
        let mut state = self.lock();
        if let Some(ended) = &state.ended {
            // The receiver is at hand.
            let _ = answer.send(Err(ended.clone()));
            return answered;
        }
        state.waiting.push_back(Waiting {
            api_version,
            request,
            bytes,
            answer,
        });
        self.begin(&mut state);
        answered
    }

    pub(super) fn is_open(&self) -> bool {
        self.lock().ended.is_none()
    }

    /// Whatever is in flight fails, as with a connection that is lost: what has begun is carried out all the same, what has
    /// not never will be.
    pub(super) fn end(&self, error: &Error) {
        let waiting = {
            let mut state = self.lock();
            state.ended.get_or_insert_with(|| error.clone());
            std::mem::take(&mut state.waiting)
        };
        self.has_ended.send_replace(true);
        for waiting in waiting {
            // Nobody may wait for it any more.
            let _ = waiting.answer.send(Err(error.clone()));
        }
    }

    /// Nobody calls any more; the driver ends when all is answered.
    pub(super) fn leave(&self) {
        let mut state = self.lock();
        state.left = true;
        state.let_go();
    }

    /// Begins what may begin, in order. The calls are made under the lock: so they are in the order of the line.
    fn begin(&self, state: &mut State) {
        while let Some(waiting) = state.next() {
            let Some(begun) = &state.begun else { return };
            state.in_work += 1;
            state.in_work_bytes += waiting.bytes;
            state.in_work_api = Some(waiting.request.api_key());
            let response = self.node.call(waiting.api_version, waiting.request);
            let sent = begun.try_send(Begun {
                response,
                bytes: waiting.bytes,
                answer: waiting.answer,
            });
            debug_assert!(sent.is_ok(), "there is room for all that may be in work");
        }
    }

    fn answered(&self, bytes: usize) {
        let mut state = self.lock();
        state.in_work -= 1;
        state.in_work_bytes -= bytes;
        self.begin(&mut state);
        state.let_go();
    }

    /// Why it has ended.
    fn why(&self) -> Error {
        let closed = || Error::Disconnected {
            address: self.node.address().clone(),
            reason: "it was closed on this side".into(),
        };
        self.lock().ended.clone().unwrap_or_else(closed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is complete in itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes the first in line if it may begin.
    fn next(&mut self) -> Option<Waiting> {
        let first = self.waiting.front()?;
        let follows = || {
            let produce = Some(ApiKey::Produce);
            (self.in_work_api, Some(first.request.api_key())) == (produce, produce)
                && self.in_work < IN_WORK_MAX
                && self.in_work_bytes < IN_WORK_BYTES_MAX
        };
        if self.in_work == 0 || follows() {
            self.waiting.pop_front()
        } else {
            None
        }
    }

    fn let_go(&mut self) {
        if self.left && self.in_work == 0 && self.waiting.is_empty() {
            self.begun = None;
        }
    }
}

/// Waits for the answers, one after the other.
async fn drive(line: Arc<Line>, mut begun: mpsc::Receiver<Begun>) {
    let mut has_ended = line.has_ended.subscribe();
    while let Some(Begun {
        response,
        bytes,
        answer,
    }) = begun.recv().await
    {
        let lost = |reason: &str| Error::Disconnected {
            address: line.node.address().clone(),
            reason: reason.into(),
        };
        let response = tokio::select! {
            biased;
            response = AssertUnwindSafe(response).catch_unwind() => response,
            Ok(_) = has_ended.wait_for(|ended| *ended) => Ok(Err(line.why())),
        };
        let response = match response {
            // The contract of Transport: nobody above knows how to read a broker's files.
            Ok(Ok(response)) if !in_memory(&response) => Err(lost("its records are not in memory")),
            Ok(response) => response,
            Err(_) => Err(lost("the request failed")),
        };
        if let Err(error) = &response
            && error.is_disconnect()
        {
            line.end(error);
        }
        // Nobody may wait for it any more.
        let _ = answer.send(response);
        line.answered(bytes);
    }
}
