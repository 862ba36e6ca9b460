//! Requests as both connectors make them: with limits of time, size and rate, bounded retries, redirects that stay where the user
//! pointed, addresses that the worker allows, and tokens (OAuth2). Header values never get into an error or a log.

mod address;
mod certificate;
mod error;
mod exchange;
mod oauth;
mod statuses;
mod stream;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use forebay_connect_api::{Access, Error as ConnectError};
use reqwest::{
    Method, StatusCode, Url,
    header::{self, HeaderMap},
};

use crate::{proxy::Proxy, time::Time, tls::Trust};
use address::{Gate, Names, Resolver, SystemNames};
pub(crate) use error::{Error, Failure};
use exchange::Manner;
use oauth::Tokens;
pub(crate) use oauth::{Credentials, CredentialsIn};
pub(crate) use statuses::Statuses;
pub(crate) use stream::Stream;

/// No pause between two attempts is longer, unless `retry.backoff.ms` itself is.
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// A server that asks for a longer pause is asked again after this one.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
/// How often one request may be sent on.
const REDIRECTS_MAX: usize = 5;

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
    /// The statuses after which another attempt is made.
    pub(crate) retry_on: Statuses,
    /// The least time between two attempts.
    pub(crate) spacing: Duration,
    /// Whether redirects may lead to private addresses of another kind than the URL's own.
    pub(crate) redirect_to_private: bool,
    /// What becomes of bodies.
    pub(crate) answer: AnswerBody,
    /// Where tokens come from, if requests need one.
    pub(crate) credentials: Option<Credentials>,
    /// How servers are known over TLS, and how they know us.
    pub(crate) trust: Trust,
    /// Where requests go first.
    pub(crate) proxy: Option<Proxy>,
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
    /// As [`AnswerBody::Discard`], but the beginning of the body is kept, as far as it comes.
    Excerpt {
        /// So much of it.
        bytes_max: usize,
    },
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

/// A 2xx.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Which.
    pub(crate) status: StatusCode,
    /// What answered: another URL than was asked after redirects.
    pub(crate) url: Url,
    /// Its headers.
    pub(crate) headers: HeaderMap,
    /// As much of its body as is wanted.
    pub(crate) body: Bytes,
}

/// Takes what keeps requests from being answered, and `None` when they are again.
pub(crate) type Tell = Arc<dyn Fn(Option<&str>) + Send + Sync>;

/// Sends requests, one at a time.
pub(crate) struct Client {
    http: reqwest::Client,
    gate: Arc<Gate>,
    names: Arc<dyn Names>,
    options: Options,
    time: Arc<dyn Time>,
    tokens: Option<Tokens>,
    tell: Option<Tell>,
    /// When the next attempt may be made, in milliseconds since 1970.
    next_attempt: Mutex<i64>,
}

impl Client {
    /// A client for URLs of this scheme: redirects keep it, so roots of trust are only read for https.
    ///
    /// # Errors
    /// If there are no roots of trust on this machine, or the files with certificates cannot be used.
    pub(crate) fn new(
        options: Options,
        https: bool,
        access: Access,
        time: Arc<dyn Time>,
    ) -> Result<Self, ConnectError> {
        Self::with_names(options, https, access, time, Arc::new(SystemNames))
    }

    /// The same, with names resolved so.
    fn with_names(
        options: Options,
        https: bool,
        access: Access,
        time: Arc<dyn Time>,
        names: Arc<dyn Names>,
    ) -> Result<Self, ConnectError> {
        let https_for_tokens = |credentials: &Credentials| credentials.url.scheme() == "https";
        let https = https || options.credentials.as_ref().is_some_and(https_for_tokens);
        let builder = options.trust.apply(reqwest::Client::builder(), https, &access)?;
        let gate = Arc::new(Gate::new(access, options.redirect_to_private));
        let mut builder = builder
            .user_agent(concat!("forebay/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(Arc::new(Resolver::new(Arc::clone(&gate), Arc::clone(&names))))
            // One of the environment would resolve names behind the gate's back.
            .no_proxy()
            .connect_timeout(options.connect_timeout)
            // Bodies are taken as they come: another crate may have switched these on for the whole program.
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd();
        let unusable = |error| ConnectError::fatal("the HTTP client cannot be made").with_source(error);
        if let Some(Proxy { url, authorization }) = &options.proxy {
            let proxy = reqwest::Proxy::all(url.clone()).map_err(unusable)?;
            builder = builder.proxy(match authorization {
                Some(value) => proxy.custom_http_auth(value.clone()),
                None => proxy,
            });
        }
        let http = builder.build().map_err(unusable)?;
        Ok(Self {
            http,
            gate,
            names,
            tokens: options.credentials.clone().map(Tokens::new),
            options,
            time,
            tell: None,
            next_attempt: Mutex::new(i64::MIN),
        })
    }

    /// The same, which tells why it tries again.
    pub(crate) fn telling(mut self, tell: Tell) -> Self {
        self.tell = Some(tell);
        self
    }

    /// Sends a request, and again after failures that may pass: the 2xx that it got in the end.
    ///
    /// # Errors
    /// The last one, when the retries are used up or would not help.
    pub(crate) async fn send(&self, request: &Request) -> Result<Answer, Failure> {
        let mut attempts = 0;
        loop {
            let error = match self.authorized(request).await {
                Ok(answer) => {
                    self.tell(None);
                    return Ok(answer);
                }
                Err(error) => error,
            };
            attempts += 1;
            if !self.is_retriable(&error) || attempts > self.options.retries_max {
                let retriable = self.is_retriable(&error);
                self.tell(None);
                return Err(Failure {
                    error,
                    attempts,
                    retriable,
                });
            }
            let pause = self.pause_after(&error, attempts);
            let error = error.trace();
            self.tell(Some(&error));
            tracing::warn!(
                error,
                attempts,
                ?pause,
                "a request failed and will be tried again"
            );
            self.time.pause(pause).await;
        }
    }

    /// Says for what it waits: a request that is tried again.
    pub(crate) fn tell(&self, why: Option<&str>) {
        if let Some(tell) = &self.tell {
            let why = why.map(|why| format!("a request is tried again: {why}"));
            tell(why.as_deref());
        }
    }

    /// One attempt, with a token if there is to be one. A token that the server does not take any more is replaced once.
    async fn authorized(&self, request: &Request) -> Result<Answer, Error> {
        let manner = Manner {
            answer: self.options.answer,
            redirects_max: REDIRECTS_MAX,
        };
        let Some(tokens) = &self.tokens else {
            return self.attempt(request, manner).await;
        };
        let (token, is_new) = tokens.get(self).await?;
        let mut request = request.clone();
        request.headers.insert(header::AUTHORIZATION, token);
        match self.attempt(&request, manner).await {
            Err(error) if error.status() == Some(StatusCode::UNAUTHORIZED) => {
                tokens.forget();
                if is_new {
                    return Err(error);
                }
                let (token, _) = tokens.get(self).await?;
                request.headers.insert(header::AUTHORIZATION, token);
                self.attempt(&request, manner).await
            }
            answered => answered,
        }
    }

    /// Waits until the rate allows another attempt.
    async fn wait_for_turn(&self) {
        if self.options.spacing.is_zero() {
            return;
        }
        let spacing = i64::try_from(self.options.spacing.as_millis()).unwrap_or(i64::MAX);
        let wait = {
            let mut next = self.next_attempt.lock().unwrap_or_else(PoisonError::into_inner);
            let now = self.time.now();
            // A clock that was put back must not make it wait for longer than the spacing.
            let turn = (*next).clamp(now, now.saturating_add(spacing));
            *next = turn.saturating_add(spacing);
            turn - now
        };
        if let Ok(wait @ 1..) = u64::try_from(wait) {
            self.time.pause(Duration::from_millis(wait)).await;
        }
    }

    /// Whether another attempt may succeed.
    fn is_retriable(&self, error: &Error) -> bool {
        match error.status() {
            Some(status) => self.options.retry_on.contains(status),
            None => error.is_retriable(),
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
