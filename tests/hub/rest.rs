//! The HTTP services as `curl` meets them.

mod console;
mod guard;
mod proxy;
mod registry;

use reqwest::Method;
use serde_json::Value;

use crate::process::{Hub, PATIENCE};

/// What a service answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    /// Where what was made is.
    pub(crate) location: Option<String>,
    pub(crate) text: String,
}

impl Answer {
    /// The body as JSON; null where there is none.
    pub(crate) fn json(&self) -> Value {
        if self.text.is_empty() {
            return Value::Null;
        }
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The JSON of a success.
    pub(crate) fn ok(&self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        self.json()
    }
}

/// One request: method, role, path, headers, body.
pub(crate) fn send(
    hub: &Hub,
    (method, role, path): (&str, &str, &str),
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> Answer {
    try_send(&hub.url(role, path), method, headers, body).expect("the service answers")
}

/// The same, to any URL; an error where nobody answers.
pub(crate) fn try_send(
    url: &str,
    method: &str,
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> Result<Answer, reqwest::Error> {
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    crate::librdkafka::wait(async {
        let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build()?;
        let mut request = client.request(method, url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body.to_owned());
        }
        let response = request.send().await?;
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let (content_type, location) = (header("content-type"), header("location"));
        Ok(Answer {
            status: response.status().as_u16(),
            content_type: content_type.unwrap_or_default(),
            location,
            text: response.text().await?,
        })
    })
}

/// A request without a body.
pub(crate) fn get(hub: &Hub, role: &str, path: &str) -> Answer {
    send(hub, ("GET", role, path), &[], None)
}
