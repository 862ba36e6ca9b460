//! An answer that does not end: its body is handed on as it comes. Nothing is lost when a future of it is dropped.

use std::time::Duration;

use bytes::Bytes;
use forebay_connect_api::BoxFuture;
use reqwest::{Response, header::HeaderMap};

use super::{Client, Error, Failure, REDIRECTS_MAX, Request, exchange::target};

/// The body of a 2xx that is under way.
pub(crate) struct Stream {
    response: Response,
    target: String,
    /// Passes when it has been silent for too long: since the last bytes, however often a future of it was dropped.
    silence: Option<BoxFuture<'static, ()>>,
}

impl Stream {
    /// The headers of the answer.
    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// Its status.
    pub(crate) fn status(&self) -> reqwest::StatusCode {
        self.response.status()
    }
}

impl Client {
    /// Sends a request once, and waits for the head of a 2xx.
    ///
    /// # Errors
    /// Any other answer, or none.
    pub(crate) async fn open(&self, request: &Request) -> Result<Stream, Failure> {
        self.begin(request).await.map_err(|error| Failure {
            retriable: self.is_retriable(&error),
            error,
            attempts: 1,
        })
    }

    async fn begin(&self, request: &Request) -> Result<Stream, Error> {
        let mut request = request.clone();
        let mut is_new = true;
        loop {
            if let Some(tokens) = &self.tokens {
                let (token, new) = tokens.get(self).await?;
                is_new = new;
                request.headers.insert(reqwest::header::AUTHORIZATION, token);
            }
            self.wait_for_turn().await;
            let limit = self.options.request_timeout;
            let begun = tokio::select! {
                biased;
                begun = self.follow(request.clone(), self.options.answer, REDIRECTS_MAX) => begun,
                () = self.time.limit(limit) => Err(Error::TimedOut {
                    target: target(&request.method, &request.url),
                    what: "an answer",
                    limit,
                }),
            };
            match (begun, &self.tokens) {
                (Err(error), Some(tokens)) if error.status().is_some_and(|status| status.as_u16() == 401) => {
                    tokens.forget();
                    if is_new {
                        return Err(error);
                    }
                }
                (begun, _) => {
                    return begun.map(|(response, target)| Stream {
                        response,
                        target,
                        silence: None,
                    });
                }
            }
        }
    }

    /// The next bytes; `None`: it has ended.
    ///
    /// # Errors
    /// If it broke, or nothing came for that long.
    pub(crate) async fn next(
        &self,
        stream: &mut Stream,
        silence_max: Duration,
    ) -> Result<Option<Bytes>, Error> {
        let silence = stream.silence.get_or_insert_with(|| self.time.limit(silence_max));
        tokio::select! {
            biased;
            chunk = stream.response.chunk() => {
                stream.silence = None;
                chunk.map_err(|error| Error::transfer(stream.target.clone(), error))
            }
            () = silence => Err(Error::TimedOut {
                target: stream.target.clone(),
                what: "anything more",
                limit: silence_max,
            }),
        }
    }

    /// How long to wait after that many failures in a row.
    pub(crate) fn pause_after_failure(&self, failure: &Failure, failures: u32) -> Duration {
        self.pause_after(&failure.error, failures)
    }
}
