//! The way to other workers: requests that this one cannot answer are sent on, and what its connectors and tasks need of the
//! leader is asked of it, signed (KIP-507).

use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use forebay_config::Properties;
use serde_json::Value;

use super::Error;
use crate::group::{ALGORITHM_HEADER, Algorithm, SIGNATURE_HEADER};
use crate::store::config::SessionKey;

/// How long it may take until another worker takes a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How large an answer may be.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The way to other workers. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    client: reqwest::Client,
    signature: Algorithm,
}

/// What another worker answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A request to another worker.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Remote {
    /// Signs as `inter.worker.signature.algorithm` says; waits for answers as long as a request may take.
    pub(crate) fn new(signature: Algorithm, timeout: Duration) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .user_agent("kafka-connect")
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { client, signature })
    }

    /// Sends a request and waits for its answer.
    pub(crate) async fn send(&self, request: Request) -> Result<Answer, Error> {
        let answer = self.exchange(request).await;
        answer.map_err(|error| Error::Internal(format!("IO Error trying to forward REST request: {error}")))
    }

    async fn exchange(&self, request: Request) -> Result<Answer, String> {
        let told = |error: reqwest::Error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
        };
        let builder = self.client.request(request.method, &request.url);
        let sent = builder.headers(request.headers).body(request.body).send();
        let mut answer = sent.await.map_err(told)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(told)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(format!("the answer is larger than {ANSWER_BYTES_MAX} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status,
            headers,
            body: body.into(),
        })
    }

    /// Has the leader write the tasks of a connector.
    pub(super) async fn put_tasks(
        &self,
        leader: &str,
        name: &str,
        tasks: &[Properties],
        key: Option<&SessionKey>,
    ) -> Result<(), Error> {
        let body = serde_json::to_vec(tasks).map_err(|error| Error::Internal(error.to_string()))?;
        let url = url(leader, &["connectors", name, "tasks"]);
        self.ask(Method::POST, url, body, key).await
    }

    /// Has the leader fence the tasks of a connector that were before its present ones (KIP-618).
    pub(crate) async fn fence(
        &self,
        leader: &str,
        name: &str,
        key: Option<&SessionKey>,
    ) -> Result<(), Error> {
        let url = url(leader, &["connectors", name, "fence"]);
        self.ask(Method::PUT, url, Vec::new(), key).await
    }

    async fn ask(
        &self,
        method: Method,
        url: String,
        body: Vec<u8>,
        key: Option<&SessionKey>,
    ) -> Result<(), Error> {
        let mut headers = HeaderMap::new();
        let json = header::HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        if let Some(key) = key {
            let signature = BASE64.encode(self.signature.sign(&key.key, &body));
            if let Ok(signature) = signature.parse() {
                headers.insert(SIGNATURE_HEADER, signature);
            }
            let algorithm = header::HeaderValue::from_static(self.signature.name());
            headers.insert(ALGORITHM_HEADER, algorithm);
        }
        let request = Request {
            method,
            url,
            headers,
            body: body.into(),
        };
        let answer = self.send(request).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
        let message = body.as_ref().and_then(|body| body.get("message")?.as_str());
        Err(Error::Remote {
            status: answer.status,
            message: message.unwrap_or("the leader gives no reason").to_owned(),
        })
    }
}

/// A place below a worker's URL.
pub(crate) fn url(base: &str, path: &[&str]) -> String {
    let mut url = base.trim_end_matches('/').to_owned();
    for segment in path {
        url.push('/');
        url.push_str(&encoded(segment));
    }
    url
}

/// A segment of a path: a name may hold what no URL does.
pub(crate) fn encoded(segment: &str) -> String {
    let encode = |byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    segment.bytes().map(encode).collect()
}
