//! The configuration of HttpSource in its types, and what its keys have to do with each other.

mod keys;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use forebay_connect_api::config::{Config as Parsed, ConfigValue, Error, Errors, Password, Properties};
use reqwest::{
    Method, Url,
    header::{self, HeaderMap, HeaderValue},
};

use super::{
    feed::{Direction, Order, Rules, Shape},
    pointer::Pointer,
};
use crate::{
    client::{AnswerBody, Options, Request},
    headers,
    template::{Escape, Template},
    url,
};
pub(super) use keys::definition;

/// A configuration in its types. Has no `Debug`, as it holds secrets.
#[derive(Clone)]
pub(super) struct Config {
    /// The URL as configured, for the source partition.
    pub(super) url_text: Arc<str>,
    pub(super) https: bool,
    pub(super) topic: Arc<str>,
    pub(super) interval: Duration,
    pub(super) catchup_interval: Duration,
    pub(super) initial_offset: Option<Arc<str>>,
    pub(super) batch_size: usize,
    pub(super) shape: Shape,
    pub(super) rules: Rules,
    pub(super) client: Options,
    request: RequestTemplate,
}

/// What requests are made from.
#[derive(Clone)]
struct RequestTemplate {
    method: Method,
    url: Template,
    params: Template,
    body: Option<(Template, Escape)>,
    headers: HeaderMap,
}

impl RequestTemplate {
    fn has_offset(&self) -> bool {
        self.url.has_offset()
            || self.params.has_offset()
            || self.body.as_ref().is_some_and(|(body, _)| body.has_offset())
    }

    fn url(&self, offset: &str) -> Result<Url, String> {
        let mut url = url::parse(&self.url.render(offset, Escape::Percent))?;
        let params = self.params.render(offset, Escape::Percent);
        if !params.is_empty() {
            let query = match url.query() {
                Some(query) if !query.is_empty() => format!("{query}&{params}"),
                _ => params,
            };
            url.set_query(Some(&query));
        }
        Ok(url)
    }
}

/// As Kafka's `Connector.validate`; keys are only held against each other once each is right by itself.
pub(super) fn validate(properties: &Properties) -> Vec<ConfigValue> {
    definition().validate_with(properties, |properties| Config::parse(properties).map(drop))
}

impl Config {
    /// # Errors
    /// Everything that is wrong, each about one key.
    pub(super) fn parse(properties: &Properties) -> Result<Self, Errors> {
        let parsed = definition().parse(properties)?;
        let mut reader = Reader {
            parsed: &parsed,
            errors: Vec::new(),
        };
        let config = reader.config();
        Errors::check(reader.errors)?;
        Ok(config)
    }

    /// The request for what follows this offset, and why there can be none.
    pub(super) fn request(&self, offset: Option<&str>) -> Result<Request, String> {
        let template = &self.request;
        let offset = offset.or(self.initial_offset.as_deref()).unwrap_or_default();
        if template.url.has_offset() && matches!(offset, "." | "..") {
            return Err(format!(
                "the offset {offset} cannot be put into a URL: it would change the path"
            ));
        }
        let body = template.body.as_ref();
        Ok(Request {
            method: template.method.clone(),
            url: template.url(offset)?,
            headers: template.headers.clone(),
            body: body.map(|(body, escape)| Bytes::from(body.render(offset, *escape))),
        })
    }
}

/// Reads keys and gathers what is wrong with them.
struct Reader<'a> {
    parsed: &'a Parsed,
    errors: Vec<Error>,
}

impl Reader<'_> {
    fn wrong(&mut self, key: &str, reason: impl Into<String>) {
        let value = match self.parsed.values().get(key) {
            Some(Some(value)) if may_hold_secret(key, &value.to_string()) => "[hidden]".to_owned(),
            Some(Some(value)) => value.to_string(),
            _ => "null".to_owned(),
        };
        self.errors.push(Error::invalid(key, value, reason));
    }

    /// Empty if it is not given.
    fn text(&self, key: &str) -> &str {
        self.parsed.get_optional::<&str>(key).unwrap_or_default()
    }

    fn secret(&self, key: &str) -> &str {
        let password = self.parsed.get_optional::<&Password>(key);
        password.map(Password::value).unwrap_or_default()
    }

    fn milliseconds(&self, key: &str) -> Duration {
        let milliseconds = u64::try_from(self.parsed.get_long(key));
        Duration::from_millis(milliseconds.expect("the validator wants it positive"))
    }

    fn count(&self, key: &str) -> usize {
        usize::try_from(self.parsed.get_int(key)).expect("the validator wants it positive")
    }

    fn template(&mut self, key: &str) -> Template {
        Template::parse(self.text(key)).unwrap_or_else(|reason| {
            self.wrong(key, reason);
            Template::default()
        })
    }

    fn pointer(&mut self, key: &str) -> Option<Pointer> {
        let text = self.text(key);
        if text.is_empty() {
            return None;
        }
        match Pointer::parse(text) {
            Ok(pointer) => Some(pointer),
            Err(reason) => {
                self.wrong(key, reason);
                None
            }
        }
    }

    fn config(&mut self) -> Config {
        let request = self.request();
        let shape = Shape {
            list: self.pointer(keys::LIST_POINTER).unwrap_or_default(),
            record: self.pointer(keys::RECORD_POINTER).unwrap_or_default(),
            offset: self.pointer(keys::OFFSET_POINTER),
            key: self.pointer(keys::KEY_POINTER),
            timestamp: self.pointer(keys::TIMESTAMP_POINTER),
        };
        let initial_offset = Some(self.text(keys::OFFSET_INITIAL)).filter(|text| !text.is_empty());
        let initial_offset: Option<Arc<str>> = initial_offset.map(Into::into);
        self.check_offset(&request, &shape, initial_offset.is_some());
        let interval = self.milliseconds(keys::INTERVAL);
        let catchup = self.parsed.get_optional::<i64>(keys::CATCHUP_INTERVAL);
        Config {
            url_text: self.text(keys::URL).into(),
            https: request.url("0").is_ok_and(|url| url.scheme() == "https"),
            topic: self.text(keys::TOPIC).into(),
            interval,
            catchup_interval: catchup.map_or(interval, |_| self.milliseconds(keys::CATCHUP_INTERVAL)),
            initial_offset,
            batch_size: self.count(keys::BATCH_SIZE),
            rules: self.rules(request.has_offset()),
            shape,
            client: Options {
                connect_timeout: self.milliseconds(keys::CONNECT_TIMEOUT),
                read_timeout: self.milliseconds(keys::READ_TIMEOUT),
                request_timeout: self.milliseconds(keys::REQUEST_TIMEOUT),
                retries_max: u32::try_from(self.parsed.get_int(keys::RETRIES)).expect("not negative"),
                backoff: self.milliseconds(keys::BACKOFF),
                redirect_to_private: self.parsed.get_boolean(keys::REDIRECT_PRIVATE),
                answer: AnswerBody::Keep {
                    bytes_max: self.count(keys::BYTES_MAX),
                },
            },
            request,
        }
    }

    fn rules(&self, offset_in_request: bool) -> Rules {
        Rules {
            order: match self.text(keys::OFFSET_ORDER) {
                "response" => Order::Response,
                _ => Order::Value,
            },
            direction: match self.text(keys::DIRECTION).to_ascii_uppercase().as_str() {
                "ASC" => Direction::Ascending,
                "DESC" => Direction::Descending,
                _ => Direction::Implicit,
            },
            offset_in_request,
        }
    }

    fn check_offset(&mut self, request: &RequestTemplate, shape: &Shape, has_initial: bool) {
        if request.has_offset() && shape.offset.is_none() {
            self.wrong(
                keys::OFFSET_POINTER,
                "it is needed, as the request has ${offset}: it says where in a record the offset is",
            );
        }
        if request.has_offset() && !has_initial {
            self.wrong(
                keys::OFFSET_INITIAL,
                "it is needed, as the request has ${offset}: it is what the first request asks for",
            );
        }
        let mode = self.text(keys::OFFSET_MODE);
        if !mode.is_empty() && shape.offset.is_none() {
            self.wrong(keys::OFFSET_POINTER, "it is needed by http.offset.mode=CHAINING");
        }
    }

    fn request(&mut self) -> RequestTemplate {
        let (url, params) = (self.template(keys::URL), self.template(keys::PARAMS));
        let post = self.text(keys::METHOD).eq_ignore_ascii_case("POST");
        let mut headers = self.headers();
        let accept = HeaderValue::from_static("application/json");
        headers.entry(header::ACCEPT).or_insert(accept.clone());
        let body = self.template(keys::BODY);
        let has_body = !self.text(keys::BODY).is_empty();
        if has_body && !post {
            self.wrong(
                keys::BODY,
                format!("only POST has a body; set {}=POST", keys::METHOD),
            );
        }
        if has_body {
            headers.entry(header::CONTENT_TYPE).or_insert(accept);
        }
        let escape = escape_for(headers.get(header::CONTENT_TYPE));
        let template = RequestTemplate {
            method: if post { Method::POST } else { Method::GET },
            url,
            params,
            body: has_body.then_some((body, escape)),
            headers,
        };
        // What an offset is put into must not be the host.
        match (template.url("0"), template.url("x")) {
            (Err(reason), _) | (_, Err(reason)) => self.wrong(keys::URL, reason),
            (Ok(one), Ok(other)) if one.origin() != other.origin() => {
                self.wrong(keys::URL, "${offset} may be in the path and the query only");
            }
            _ => {}
        }
        template
    }

    fn headers(&mut self) -> HeaderMap {
        let separator = self
            .parsed
            .originals()
            .get(keys::HEADERS_SEPARATOR)
            .map(String::as_str);
        let mut headers = headers::parse(self.secret(keys::HEADERS), separator).unwrap_or_else(|reason| {
            self.wrong(keys::HEADERS, reason);
            HeaderMap::new()
        });
        if let Some(value) = self.authorization() {
            match headers::value(&value) {
                Ok(value) => {
                    if headers.insert(header::AUTHORIZATION, value).is_some() {
                        let both = format!("Authorization is there already by {}", keys::AUTH_TYPE);
                        self.wrong(keys::HEADERS, both);
                    }
                }
                Err(reason) => self.wrong(keys::AUTH_TOKEN, reason),
            }
        }
        headers
    }

    fn authorization(&mut self) -> Option<String> {
        let auth_type = self.text(keys::AUTH_TYPE).to_ascii_lowercase();
        let wanted: &[&str] = match auth_type.as_str() {
            "basic" => &[keys::AUTH_USER, keys::AUTH_PASSWORD],
            "bearer" => &[keys::AUTH_TOKEN],
            _ => &[],
        };
        for key in [keys::AUTH_USER, keys::AUTH_PASSWORD, keys::AUTH_TOKEN] {
            let given = self.parsed.values().get(key).is_some_and(Option::is_some);
            if given != wanted.contains(&key) {
                let reason = match given {
                    true => format!("it has no meaning with {}={auth_type}", keys::AUTH_TYPE),
                    false => format!("it is needed by {}={auth_type}", keys::AUTH_TYPE),
                };
                self.wrong(key, reason);
            }
        }
        match auth_type.as_str() {
            "basic" => {
                let user = self.text(keys::AUTH_USER);
                if user.contains(':') {
                    self.wrong(
                        keys::AUTH_USER,
                        "a user's name for basic authentication has no colon",
                    );
                }
                Some(headers::basic(
                    self.text(keys::AUTH_USER),
                    self.secret(keys::AUTH_PASSWORD),
                ))
            }
            "bearer" => Some(format!("Bearer {}", self.secret(keys::AUTH_TOKEN))),
            _ => None,
        }
    }
}

/// Keys to an API are often in a query or a body, and passwords before an @.
fn may_hold_secret(key: &str, value: &str) -> bool {
    match key {
        keys::URL => value.contains(['@', '?']),
        keys::PARAMS | keys::BODY => true,
        _ => false,
    }
}

fn escape_for(content_type: Option<&HeaderValue>) -> Escape {
    let text = content_type
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media_type = text
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match media_type.as_str() {
        "application/x-www-form-urlencoded" => Escape::Percent,
        json if json.ends_with("/json") || json.ends_with("+json") => Escape::Json,
        _ => Escape::None,
    }
}

#[cfg(test)]
mod tests;
