//! One attempt: a request, the redirects that it is sent on by, and the body of the answer.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{
    Method, Response, StatusCode, Url,
    header::{self, HeaderMap, HeaderValue},
};

use super::{
    Answer, AnswerBody, Client, Error, Request,
    address::{Forbidden, Kind, Way, host},
};
use crate::{moment, url::shown};

/// Of a body that nobody wants, so much is read for the sake of its connection.
const DISCARDED_BYTES_MAX: u64 = 64 * 1024;
/// How long a body that does not decide anything is waited for.
const EXCERPT_WAIT_MAX: Duration = Duration::from_secs(1);

/// One of the requests that redirects make of one.
#[derive(Debug, Clone, Copy)]
struct Hop<'a> {
    request: &'a Request,
    way: Way,
    /// Whether its host is the one of the configuration.
    at_home: bool,
    /// How errors name it.
    target: &'a str,
}

/// How one request is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    pub(super) answer: AnswerBody,
    pub(super) redirects_max: usize,
}

impl Client {
    /// Sends the request once. Dropping the future ends it.
    pub(super) async fn attempt(&self, request: &Request, manner: Manner) -> Result<Answer, Error> {
        self.wait_for_turn().await;
        let limit = self.options.request_timeout;
        tokio::select! {
            biased;
            answer = self.exchange(request.clone(), manner) => answer,
            () = self.time.limit(limit) => Err(Error::TimedOut {
                target: target(&request.method, &request.url),
                what: "a complete answer",
                limit,
            }),
        }
    }

    async fn exchange(&self, request: Request, manner: Manner) -> Result<Answer, Error> {
        let (response, target) = self.follow(request, manner.answer, manner.redirects_max).await?;
        self.answer(response, target, manner.answer).await
    }

    /// Sends a request and what it is redirected to: the head of a 2xx, and how errors name it.
    pub(super) async fn follow(
        &self,
        mut request: Request,
        answer: AnswerBody,
        redirects_max: usize,
    ) -> Result<(Response, String), Error> {
        let mut way = Way::Configured;
        let mut last = StatusCode::FOUND;
        let home = request.url.host_str().map(str::to_owned);
        for _ in 0..=redirects_max {
            let target = target(&request.method, &request.url);
            let hop = Hop {
                request: &request,
                way,
                at_home: request.url.host_str() == home.as_deref(),
                target: &target,
            };
            let (response, kind) = self.head(hop).await?;
            let status = response.status();
            let location = response.headers().get(header::LOCATION);
            match (status.as_u16(), location) {
                (301 | 302 | 303 | 307 | 308, Some(location)) => {
                    if way == Way::Configured {
                        way = Way::Redirected(kind);
                    }
                    last = status;
                    redirect(&mut request, status, location, answer).map_err(|reason| Error::Redirect {
                        target,
                        status,
                        reason,
                    })?;
                }
                _ if status.is_success() => return Ok((response, target)),
                _ => {
                    let retry_after = self.retry_after(response.headers());
                    return Err(Error::Status {
                        excerpt: self.excerpt(response, answer).await,
                        target,
                        status,
                        retry_after,
                    });
                }
            }
        }
        Err(Error::Redirect {
            target: target(&request.method, &request.url),
            status: last,
            reason: format!("it is the last of more than {redirects_max}"),
        })
    }

    /// Sends a request and waits for the head of the answer, and says what kind of address that came from.
    async fn head(&self, hop: Hop<'_>) -> Result<(Response, Kind), Error> {
        let limit = self.options.connect_timeout + self.options.read_timeout;
        tokio::select! {
            biased;
            head = self.judged(hop) => head,
            () = self.time.limit(limit) => Err(self.timed_out(hop.target, "an answer", limit)),
        }
    }

    async fn judged(&self, hop: Hop<'_>) -> Result<(Response, Kind), Error> {
        let Hop { request, target, .. } = hop;
        let forbidden = |Forbidden { address, reason }| Error::Forbidden {
            target: target.to_owned(),
            address,
            reason,
        };
        let behind = match &self.options.proxy {
            None => {
                self.gate.set_way(hop.way);
                self.gate.check_url(&request.url).map_err(forbidden)?;
                None
            }
            // Connections are made to the proxy, which the configuration names: their way stays that.
            Some(proxy) => {
                self.gate.check_url(&proxy.url).map_err(forbidden)?;
                Some(self.behind_proxy(hop).await?)
            }
        };
        let mut raw = reqwest::Request::new(request.method.clone(), request.url.clone());
        *raw.headers_mut() = request.headers.clone();
        let identity = HeaderValue::from_static("identity");
        raw.headers_mut().insert(header::ACCEPT_ENCODING, identity);
        *raw.body_mut() = request.body.clone().map(reqwest::Body::from);
        let response = self.http.execute(raw).await;
        let response = response.map_err(|error| Error::transfer(target.to_owned(), error))?;
        let address = response.remote_addr().map(|address| address.ip());
        // A connection that was kept open may have been made on another way.
        if let Some(address) = address {
            self.gate.check_address(address).map_err(forbidden)?;
        }
        let kind = behind.or_else(|| address.map(Kind::of));
        Ok((response, kind.unwrap_or(Kind::Public)))
    }

    /// Judges what a proxy is to be asked for, by what its name resolves to here: every address, as the proxy may take any. One that
    /// does not resolve here could be anything.
    async fn behind_proxy(&self, hop: Hop<'_>) -> Result<Kind, Error> {
        let target = || hop.target.to_owned();
        let addresses = match host(&hop.request.url) {
            (_, Some(address)) => vec![address],
            (name, None) => {
                let found = self.names.lookup(name.to_owned()).await.unwrap_or_default();
                let way = if hop.at_home { Way::Configured } else { hop.way };
                if found.is_empty() && !self.gate.allows_unknown(way) {
                    let host = name.to_owned();
                    return Err(Error::Unresolved {
                        target: target(),
                        host,
                    });
                }
                found
            }
        };
        for address in &addresses {
            let judged = self.gate.check(hop.way, *address);
            judged.map_err(|Forbidden { address, reason }| Error::Forbidden {
                target: target(),
                address,
                reason,
            })?;
        }
        Ok(Kind::of_all(&addresses))
    }

    async fn answer(
        &self,
        mut response: Response,
        target: String,
        answer: AnswerBody,
    ) -> Result<Answer, Error> {
        let (status, url) = (response.status(), response.url().clone());
        let headers = std::mem::take(response.headers_mut());
        let body = match answer {
            AnswerBody::Keep { bytes_max } => self.body(response, &headers, target, bytes_max).await?,
            other => self.excerpt(response, other).await,
        };
        Ok(Answer {
            status,
            url,
            headers,
            body,
        })
    }

    async fn body(
        &self,
        mut response: Response,
        headers: &HeaderMap,
        target: String,
        bytes_max: usize,
    ) -> Result<Bytes, Error> {
        if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
            && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
        {
            let encoding = String::from_utf8_lossy(encoding.as_bytes()).into_owned();
            return Err(Error::Encoded { target, encoding });
        }
        let fits = |bytes: u64| usize::try_from(bytes).is_ok_and(|bytes| bytes <= bytes_max);
        if response.content_length().is_some_and(|bytes| !fits(bytes)) {
            return Err(Error::TooLong { target, bytes_max });
        }
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk(&mut response, &target).await? {
            if chunk.len() > bytes_max - body.len() {
                return Err(Error::TooLong { target, bytes_max });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.into())
    }

    async fn chunk(&self, response: &mut Response, target: &str) -> Result<Option<Bytes>, Error> {
        let limit = self.options.read_timeout;
        tokio::select! {
            biased;
            chunk = response.chunk() => chunk.map_err(|error| Error::transfer(target.to_owned(), error)),
            () = self.time.limit(limit) => Err(self.timed_out(target, "the rest of the answer", limit)),
        }
    }

    /// The beginning of a body, where it is wanted. A short one is read to its end, so that the connection can be used again. What
    /// goes wrong here does not matter.
    async fn excerpt(&self, mut response: Response, answer: AnswerBody) -> Bytes {
        let bytes_max = match answer {
            AnswerBody::Excerpt { bytes_max } => bytes_max,
            AnswerBody::Discard => 0,
            AnswerBody::Keep { .. } => return Bytes::new(),
        };
        let is_short = |bytes| bytes <= DISCARDED_BYTES_MAX;
        if bytes_max == 0 && !response.content_length().is_some_and(is_short) {
            return Bytes::new();
        }
        let read_max = bytes_max.max(usize::try_from(DISCARDED_BYTES_MAX).unwrap_or(usize::MAX));
        let (mut kept, mut read) = (Vec::new(), 0);
        // The answer stands, however slowly its body comes.
        let mut limit = self.time.limit(EXCERPT_WAIT_MAX.min(self.options.read_timeout));
        while read <= read_max {
            let chunk = tokio::select! {
                biased;
                chunk = response.chunk() => chunk,
                () = &mut limit => break,
            };
            let Ok(Some(chunk)) = chunk else { break };
            let room = bytes_max - kept.len();
            kept.extend_from_slice(&chunk[..room.min(chunk.len())]);
            read += chunk.len();
        }
        kept.into()
    }

    /// Seconds or a date.
    fn retry_after(&self, headers: &HeaderMap) -> Option<Duration> {
        let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let milliseconds = moment::http_date(text)?.saturating_sub(self.time.now());
        u64::try_from(milliseconds).ok().map(Duration::from_millis)
    }

    fn timed_out(&self, target: &str, what: &'static str, limit: Duration) -> Error {
        Error::TimedOut {
            target: target.to_owned(),
            what,
            limit,
        }
    }
}

/// Changes a request to where it is sent on.
fn redirect(
    request: &mut Request,
    status: StatusCode,
    location: &HeaderValue,
    answer: AnswerBody,
) -> Result<(), String> {
    let location = location
        .to_str()
        .map_err(|_| "its Location is no text".to_owned())?;
    let to = request
        .url
        .join(location)
        .map_err(|error| format!("its Location is no URL: {error}"))?;
    if to.scheme() != request.url.scheme() {
        return Err(format!(
            "it leads from {}: to {}:; if that is meant, put its target into the configuration",
            request.url.scheme(),
            to.scheme()
        ));
    }
    let becomes_get = match status {
        StatusCode::SEE_OTHER => request.method != Method::GET,
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => request.method == Method::POST,
        _ => false,
    };
    if becomes_get && !matches!(answer, AnswerBody::Keep { .. }) {
        return Err(format!(
            "{} would become GET and lose its body; put its target {} into the configuration",
            request.method,
            shown(&to)
        ));
    }
    if becomes_get {
        request.method = Method::GET;
        request.body = None;
        request.headers.remove(header::CONTENT_TYPE);
    }
    if to.origin() != request.url.origin() {
        let mut kept = HeaderMap::new();
        for name in [header::ACCEPT, header::CONTENT_TYPE] {
            if let Some(value) = request.headers.remove(&name) {
                kept.insert(name, value);
            }
        }
        request.headers = kept;
    }
    request.url = to;
    Ok(())
}

/// How errors name a request.
pub(super) fn target(method: &Method, url: &Url) -> String {
    format!("{method} {}", shown(url))
}
