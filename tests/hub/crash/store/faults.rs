//! What an S3 server does wrong, and what it was asked.

use std::sync::{Mutex, MutexGuard};

use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use s3s::service::S3Service;
use s3s::{Body, HttpError, HttpResponse};

/// What it does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It answers with this status and this code of S3's, and does nothing.
    Refuses(u16, &'static str),
    /// It does what it is asked, and the connection ends before the answer that it is done.
    LosesAnswer,
}

/// What is wrong with one server; nothing at first.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    fault: Option<Fault>,
    of_puts: bool,
    hits: usize,
    lost: usize,
    requests: Vec<String>,
}

impl Faults {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panics with it")
    }

    /// From now on it is wrong, with all requests or only with those that make objects.
    pub(crate) fn begin(&self, fault: Fault, of_puts: bool) {
        let mut state = self.lock();
        (state.fault, state.of_puts) = (Some(fault), of_puts);
    }

    /// All is well again.
    pub(crate) fn end(&self) {
        self.lock().fault = None;
    }

    /// How many requests met a fault.
    pub(crate) fn hits(&self) -> usize {
        self.lock().hits
    }

    /// How many answers were lost.
    pub(crate) fn lost(&self) -> usize {
        self.lock().lost
    }

    /// The requests, as `METHOD path?query`, that have this text.
    pub(crate) fn requests_with(&self, text: &str) -> Vec<String> {
        let state = self.lock();
        let found = state.requests.iter().filter(|request| request.contains(text));
        found.cloned().collect()
    }

    fn of(&self, request: &Request<Incoming>) -> Option<Fault> {
        let mut state = self.lock();
        state
            .requests
            .push(format!("{} {}", request.method(), request.uri()));
        let is_meant = !state.of_puts || request.method() == Method::PUT;
        let fault = state.fault.filter(|_| is_meant);
        state.hits += usize::from(fault.is_some());
        fault
    }

    /// Answers a request, or does not.
    pub(super) async fn serve(
        &self,
        service: &S3Service,
        request: Request<Incoming>,
    ) -> Result<HttpResponse, HttpError> {
        let has_body = request.method() != Method::HEAD;
        match self.of(&request) {
            None => service.call(request.map(Body::from)).await,
            Some(Fault::Refuses(status, code)) => {
                let text = format!(
                    "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
                );
                let body = if has_body { Body::from(text) } else { Body::empty() };
                let answer = Response::builder().status(status).body(body);
                Ok(answer.expect("it is a status"))
            }
            Some(Fault::LosesAnswer) => {
                let answer = service.call(request.map(Body::from)).await?;
                if !answer.status().is_success() {
                    return Ok(answer);
                }
                self.lock().lost += 1;
                Err(HttpError::new("the connection ends here".into()))
            }
        }
    }
}
