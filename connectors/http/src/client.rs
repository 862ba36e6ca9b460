//! Requests as both connectors make them: with limits of time and size, bounded retries, redirects that stay where the user
//! pointed, and addresses that the worker allows. Header values never get into an error or a log.

mod address;
mod error;
mod exchange;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use forebay_connect_api::Access;
use reqwest::{Method, Url, header::HeaderMap};

use crate::time::Time;
use address::{Gate, Resolver};
pub(crate) use error::{Error, Failure};

/// No pause between two attempts is longer, unless `retry.backoff.ms` itself is.
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// A server that asks for a longer pause is asked again after this one.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// How a client behaves.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// For a connection to be made, TLS included.
    pub(crate) connect_timeout: Duration,
    /// For the next bytes to come.
    pub(crate) read_timeout: Duration,
    /// For one attempt as a whole, redirects and body included.
    pub(crate) request_timeout: Duration,
    /// Attempts after the first.
    pub(crate) retries_max: u32,
    /// The pause before the first of these; it doubles with each.
    pub(crate) backoff: Duration,
    /// Whether redirects may lead to private addresses of another kind than the URL's own.
    pub(crate) redirect_to_private: bool,
    /// What becomes of bodies.
    pub(crate) answer: AnswerBody,
}

/// What is done with the body of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerBody {
    /// It is wanted, up to so many bytes. Redirects may turn a POST into a GET, as browsers do.
    Keep {
        /// A longer one is an error.
        bytes_max: usize,
    },
    /// Only the status counts: what was sent has to arrive, so a redirect may not change the method.
    Discard,
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// The method.
    pub(crate) method: Method,
    /// Where to.
    pub(crate) url: Url,
    /// All headers. A redirect to another origin takes `Accept` and `Content-Type` along, and no other.
    pub(crate) headers: HeaderMap,
    /// The body.
    pub(crate) body: Option<Bytes>,
}

/// Sends requests, one at a time.
pub(crate) struct Client {
    http: reqwest::Client,
    gate: Arc<Gate>,
    options: Options,
    time: Arc<dyn Time>,
}

impl Client {
    /// A client for URLs of this scheme: redirects keep it, so roots of trust are only read for https.
    ///
    /// # Errors
    /// If there are no roots of trust on this machine.
    pub(crate) fn new(
        options: Options,
        https: bool,
        access: Access,
        time: Arc<dyn Time>,
    ) -> Result<Self, reqwest::Error> {
        let gate = Arc::new(Gate::new(access, options.redirect_to_private));
        let http = reqwest::Client::builder()
            .user_agent(concat!("forebay/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(Arc::new(Resolver::new(Arc::clone(&gate))))
            // A proxy would resolve names behind the gate's back.
            .no_proxy()
            .tls_built_in_root_certs(https)
            .connect_timeout(options.connect_timeout)
            // Bodies are taken as they come: another crate may have switched these on for the whole program.
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            .build()?;
        Ok(Self {
            http,
            gate,
            options,
            time,
        })
    }

    /// Sends a request, and again after failures that may pass: the body of the 2xx that it got in the end, empty if it is not wanted.
    ///
    /// # Errors
    /// The last one, when the retries are used up or would not help.
    pub(crate) async fn send(&self, request: &Request) -> Result<Bytes, Failure> {
        let mut attempts = 0;
        loop {
            let error = match self.attempt(request).await {
                Ok(body) => return Ok(body),
                Err(error) => error,
            };
            attempts += 1;
            if !error.is_retriable() || attempts > self.options.retries_max {
                return Err(Failure { error, attempts });
            }
            let pause = self.pause_after(&error, attempts);
            tracing::warn!(
                error = error.trace(),
                attempts,
                ?pause,
                "a request failed and will be tried again"
            );
            self.time.pause(pause).await;
        }
    }

    /// Half of the doubled backoff, and a part of the other half by chance, so that many tasks do not come back at once; longer
    /// if the server says so.
    fn pause_after(&self, error: &Error, attempts: u32) -> Duration {
        let longest = BACKOFF_MAX.max(self.options.backoff);
        let factor = 1_u32.checked_shl(attempts - 1).unwrap_or(u32::MAX);
        let doubled = self.options.backoff.saturating_mul(factor).min(longest);
        let half = doubled / 2;
        let nanoseconds = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
        let more = Duration::from_nanos(self.time.chance() % nanoseconds.saturating_add(1));
        let asked = error.retry_after().unwrap_or_default().min(RETRY_AFTER_MAX);
        (half + more).max(asked)
    }
}

#[cfg(test)]
mod tests;
