//! One attempt: a request, the redirects that it is sent on by, and the body of the answer.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{
    Method, Response, StatusCode, Url,
    header::{self, HeaderMap, HeaderValue},
};

use super::{
    AnswerBody, Client, Error, Request,
    address::{Forbidden, Kind, Way},
};
use crate::{moment, url::shown};

/// How often one request may be sent on.
const REDIRECTS_MAX: usize = 5;
/// Of a body that nobody wants, so much is read for the sake of its connection.
const DISCARDED_BYTES_MAX: u64 = 64 * 1024;

impl Client {
    /// Sends the request once. Dropping the future ends it.
    pub(super) async fn attempt(&self, request: &Request) -> Result<Bytes, Error> {
        let limit = self.options.request_timeout;
        tokio::select! {
            biased;
            answer = self.exchange(request.clone()) => answer,
            () = self.time.limit(limit) => Err(Error::TimedOut {
                target: target(&request.method, &request.url),
                what: "a complete answer",
                limit,
            }),
        }
    }

    async fn exchange(&self, mut request: Request) -> Result<Bytes, Error> {
        let mut way = Way::Configured;
        let mut last = StatusCode::FOUND;
        for _ in 0..=REDIRECTS_MAX {
            let target = target(&request.method, &request.url);
            let response = self.head(&request, way, &target).await?;
            let status = response.status();
            let location = response.headers().get(header::LOCATION);
            match (status.as_u16(), location) {
                (301 | 302 | 303 | 307 | 308, Some(location)) => {
                    if way == Way::Configured {
                        let from = response.remote_addr();
                        way = Way::Redirected(from.map_or(Kind::Public, |from| Kind::of(from.ip())));
                    }
                    last = status;
                    self.redirect(&mut request, status, location)
                        .map_err(|reason| Error::Redirect {
                            target,
                            status,
                            reason,
                        })?;
                }
                _ if status.is_success() => return self.body(response, target).await,
                _ => {
                    return Err(Error::Status {
                        target,
                        status,
                        retry_after: self.retry_after(response.headers()),
                    });
                }
            }
        }
        Err(Error::Redirect {
            target: target(&request.method, &request.url),
            status: last,
            reason: format!("it is the last of more than {REDIRECTS_MAX}"),
        })
    }

    /// Sends a request and waits for the head of the answer.
    async fn head(&self, request: &Request, way: Way, target: &str) -> Result<Response, Error> {
        let forbidden = |Forbidden { address, reason }| Error::Forbidden {
            target: target.to_owned(),
            address,
            reason,
        };
        self.gate.set_way(way);
        self.gate.check_url(&request.url).map_err(forbidden)?;
        let mut raw = reqwest::Request::new(request.method.clone(), request.url.clone());
        *raw.headers_mut() = request.headers.clone();
        let identity = HeaderValue::from_static("identity");
        raw.headers_mut().insert(header::ACCEPT_ENCODING, identity);
        *raw.body_mut() = request.body.clone().map(reqwest::Body::from);
        let limit = self.options.connect_timeout + self.options.read_timeout;
        let response = tokio::select! {
            biased;
            response = self.http.execute(raw) => {
                response.map_err(|error| Error::transfer(target.to_owned(), error))?
            }
            () = self.time.limit(limit) => return Err(self.timed_out(target, "an answer", limit)),
        };
        // A connection that was kept open may have been made on another way.
        if let Some(address) = response.remote_addr() {
            self.gate.check_address(address.ip()).map_err(forbidden)?;
        }
        Ok(response)
    }

    /// Changes a request to where it is sent on.
    fn redirect(
        &self,
        request: &mut Request,
        status: StatusCode,
        location: &HeaderValue,
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
        if becomes_get && self.options.answer == AnswerBody::Discard {
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

    async fn body(&self, mut response: Response, target: String) -> Result<Bytes, Error> {
        let AnswerBody::Keep { bytes_max } = self.options.answer else {
            self.discard(response).await;
            return Ok(Bytes::new());
        };
        if let Some(encoding) = response.headers().get(header::CONTENT_ENCODING)
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

    /// Reads a short body to its end, so that the connection can be used again. What goes wrong here does not matter.
    async fn discard(&self, mut response: Response) {
        if response
            .content_length()
            .is_none_or(|bytes| bytes > DISCARDED_BYTES_MAX)
        {
            return;
        }
        while let Ok(Some(_)) = self.chunk(&mut response, "").await {}
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

/// How errors name a request.
fn target(method: &Method, url: &Url) -> String {
    format!("{method} {}", shown(url))
}
