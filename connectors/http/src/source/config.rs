//! The configuration of HttpSource in its types, and what its keys have to do with each other.

mod authentication;
mod keys;
mod paging;

use std::{sync::Arc, time::Duration};

use forebay_connect_api::config::{
    Config as Parsed, ConfigValue, Configuration, Error, Errors, Password, Properties,
};
use reqwest::{
    Method,
    header::{self, HeaderMap, HeaderValue},
};

use super::{
    feed::{Format, Rules, Shape},
    pages::Step,
    request::{Ask, RequestTemplate, Variable},
};
use crate::{
    client::{AnswerBody, Options, Statuses},
    headers::{self, Templates},
    pointer::Pointer,
    proxy,
    template::Template,
    tls::Tls,
    url::UrlTemplate,
};
pub(super) use keys::definition;
use paging::Paging;

/// A configuration in its types. Has no `Debug`, as it holds secrets.
#[derive(Clone)]
pub(super) struct Config {
    /// The URL as configured, for the source partition.
    pub(super) url_text: Arc<str>,
    pub(super) https: bool,
    pub(super) topic: Arc<str>,
    pub(super) interval: Duration,
    /// `None`: the same.
    pub(super) catchup_interval: Option<Duration>,
    pub(super) initial_offset: Option<Arc<str>>,
    pub(super) batch_size: usize,
    pub(super) shape: Shape,
    pub(super) mode: Mode,
    /// Whether a header names the next page.
    pub(super) link: bool,
    pub(super) conditional: bool,
    /// The longest answer, or event.
    pub(super) bytes_max: usize,
    pub(super) client: Options,
    pub(super) request: RequestTemplate,
}

/// How the feed goes on.
#[derive(Debug, Clone)]
pub(super) enum Mode {
    /// It does not: every answer is given out whole.
    Whole,
    /// By the offsets of items.
    Items {
        rules: Rules,
        /// Whether all pages are gathered first, and how many bytes they may have.
        gathered_bytes_max: Option<usize>,
    },
    /// Page by page.
    Pages { step: Step },
    /// By server-sent events.
    Events {
        /// `None`: all.
        types: Option<Vec<String>>,
        idle_timeout: Duration,
    },
}

/// As Kafka's `Connector.validate`; keys are only held against each other once each is right by itself.
pub(super) fn validate(properties: &Properties) -> Vec<ConfigValue> {
    definition().validate_with(properties, |properties| Config::parse(properties).map(drop))
}

impl Config {
    /// Whether all pages are gathered before anything is given out.
    pub(super) fn gathers(&self) -> bool {
        matches!(
            self.mode,
            Mode::Items {
                gathered_bytes_max: Some(_),
                ..
            }
        )
    }

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
        Ok(config.expect("without errors there is one"))
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

    fn template(&mut self, key: &str) -> Template<Variable> {
        Template::parse(self.text(key), Variable::parse).unwrap_or_else(|reason| {
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

    /// `None` only if something is wrong.
    fn config(&mut self) -> Option<Config> {
        let paging = Paging::from_config(self.parsed);
        let mut shape = Shape {
            list: self.pointer(keys::LIST_POINTER).unwrap_or_default(),
            record: self.pointer(keys::RECORD_POINTER).unwrap_or_default(),
            offset: self.pointer(keys::OFFSET_POINTER),
            key: self.pointer(keys::KEY_POINTER),
            timestamp: self.pointer(keys::TIMESTAMP_POINTER),
            next: self.pointer(paging::NEXT_POINTER),
            format: paging.format,
        };
        let request = self.request(paging.cursor_parameter.clone(), paging.format);
        let initial_offset = Some(self.text(keys::OFFSET_INITIAL)).filter(|text| !text.is_empty());
        let initial_offset: Option<Arc<str>> = initial_offset.map(Into::into);
        let link = paging.link || paging.mode == Some(paging::Mode::Link);
        let mode = self.mode(&paging, &shape, request.as_ref());
        if !matches!(mode, Mode::Items { .. }) {
            shape.offset = None;
        }
        let credentials = self.credentials();
        let trust = Tls::from_config(self.parsed).trust(&mut self.errors);
        let proxy = proxy::Keys::from_config(self.parsed).proxy(&mut self.errors);
        let request = request?;
        let keep = self.count(keys::BYTES_MAX);
        Some(Config {
            url_text: self.text(keys::URL).into(),
            https: request
                .url(&Ask::default())
                .is_ok_and(|url| url.scheme() == "https"),
            topic: self.text(keys::TOPIC).into(),
            interval: self.milliseconds(keys::INTERVAL),
            catchup_interval: self
                .parsed
                .get_optional::<i64>(keys::CATCHUP_INTERVAL)
                .map(|_| self.milliseconds(keys::CATCHUP_INTERVAL)),
            initial_offset,
            batch_size: self.count(keys::BATCH_SIZE),
            shape,
            mode,
            link,
            conditional: paging.conditional && !has_conditions(request.headers.fixed()),
            bytes_max: keep,
            client: Options {
                connect_timeout: self.milliseconds(keys::CONNECT_TIMEOUT),
                read_timeout: self.milliseconds(keys::READ_TIMEOUT),
                request_timeout: self.milliseconds(keys::REQUEST_TIMEOUT),
                retries_max: u32::try_from(self.parsed.get_int(keys::RETRIES)).expect("not negative"),
                backoff: self.milliseconds(keys::BACKOFF),
                retry_on: self.retry_on()?,
                spacing: self
                    .parsed
                    .get_optional::<f64>(keys::RATE)
                    .map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate)),
                redirect_to_private: self.parsed.get_boolean(keys::REDIRECT_PRIVATE),
                answer: AnswerBody::Keep { bytes_max: keep },
                credentials,
                trust,
                proxy,
            },
            request,
        })
    }

    fn retry_on(&mut self) -> Option<Statuses> {
        let parsed = Statuses::parse(self.text(keys::RETRY_ON));
        parsed.map_err(|reason| self.wrong(keys::RETRY_ON, reason)).ok()
    }

    fn request(&mut self, cursor_parameter: Option<String>, format: Format) -> Option<RequestTemplate> {
        let url = UrlTemplate::parse(self.text(keys::URL), Variable::parse);
        let url = url.map_err(|reason| self.wrong(keys::URL, reason)).ok();
        let params = self.template(keys::PARAMS);
        let post = self.text(keys::METHOD).eq_ignore_ascii_case("POST");
        let (mut headers, secret_parameter) = self.headers();
        let accept = HeaderValue::from_static(match format {
            Format::Json => "application/json",
            Format::Ndjson => "application/x-ndjson, application/json",
            Format::Sse => "text/event-stream",
        });
        headers.entry(header::ACCEPT).or_insert(accept);
        let body = self.template(keys::BODY);
        let has_body = !self.text(keys::BODY).is_empty();
        if has_body && !post {
            self.wrong(
                keys::BODY,
                format!("only POST has a body; set {}=POST", keys::METHOD),
            );
        }
        if has_body {
            let json = HeaderValue::from_static("application/json");
            headers.entry(header::CONTENT_TYPE).or_insert(json);
        }
        let escape = headers::escape_for(headers.get(header::CONTENT_TYPE));
        let headers = Templates::new(headers, Variable::parse);
        let headers = headers.map_err(|reason| self.wrong(keys::HEADERS, reason)).ok();
        Some(RequestTemplate {
            method: if post { Method::POST } else { Method::GET },
            url: url?,
            params,
            body: has_body.then_some((body, escape)),
            headers: headers?,
            cursor_parameter,
            secret_parameter,
        })
    }
}

/// Whether the user says what is known of an answer.
fn has_conditions(headers: &HeaderMap) -> bool {
    headers.contains_key(header::IF_NONE_MATCH) || headers.contains_key(header::IF_MODIFIED_SINCE)
}

/// Keys to an API are often in a query or a body, and passwords before an @.
fn may_hold_secret(key: &str, value: &str) -> bool {
    match key {
        keys::URL => value.contains(['@', '?']),
        keys::PARAMS | keys::BODY => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
