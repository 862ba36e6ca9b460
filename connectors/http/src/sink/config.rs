//! The keys of HttpSink.

mod keys;

use std::time::Duration;

use forebay_connect_api::config::{Config as Parsed, ConfigValue, Error, Errors, Password, Properties};
use reqwest::{
    Method, Url,
    header::{self, HeaderMap, HeaderValue},
};

use super::body::Frame;
use crate::{
    client::{AnswerBody, Options},
    headers, url,
};
pub(super) use keys::definition;

/// What becomes of records without value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnNull {
    /// They are left out.
    Ignore,
    /// They are left out, and a warning says so.
    Log,
    /// They are at fault.
    Fail,
}

/// A configuration in its types. Has no `Debug`, as it holds secrets.
#[derive(Clone)]
pub(super) struct Config {
    pub(super) url: Url,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    /// `None`: each record is a request.
    pub(super) batching: Option<Batching>,
    pub(super) on_null: OnNull,
    pub(super) client: Options,
}

/// How records become one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batching {
    pub(super) records_max: usize,
    pub(super) frame: Frame,
    /// Whether the frame makes a JSON array.
    pub(super) json_array: bool,
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
        let mut errors = Vec::new();
        let url = target(&parsed, &mut errors);
        let headers = headers(&parsed, &mut errors);
        let batching = batching(&parsed, &mut errors);
        let number = |key| u64::try_from(parsed.get_int(key)).expect("the validator wants it not negative");
        let timeout = match parsed.get_optional::<i32>(keys::REQUEST_TIMEOUT) {
            Some(_) => Duration::from_millis(number(keys::REQUEST_TIMEOUT)),
            None => Duration::from_secs(number(keys::TIMEOUT)),
        };
        Errors::check(errors)?;
        Ok(Self {
            url: url.expect("without errors there is one"),
            method: match parsed.get_string(keys::METHOD).to_ascii_uppercase().as_str() {
                "PUT" => Method::PUT,
                "PATCH" => Method::PATCH,
                _ => Method::POST,
            },
            headers,
            batching,
            on_null: match parsed.get_string(keys::ON_NULL).to_ascii_lowercase().as_str() {
                "log" => OnNull::Log,
                "fail" => OnNull::Fail,
                _ => OnNull::Ignore,
            },
            client: Options {
                connect_timeout: timeout,
                read_timeout: timeout,
                request_timeout: timeout,
                retries_max: u32::try_from(number(keys::RETRIES)).expect("it is an INT"),
                backoff: Duration::from_millis(number(keys::BACKOFF)),
                redirect_to_private: parsed.get_boolean(keys::REDIRECT_PRIVATE),
                answer: AnswerBody::Discard,
            },
        })
    }
}

/// An error about a key whose value must not be shown.
fn hidden(key: &str, reason: impl Into<String>) -> Error {
    Error::invalid(key, "[hidden]", reason)
}

fn target(parsed: &Parsed, errors: &mut Vec<Error>) -> Option<Url> {
    let text = parsed.get_string(keys::URL);
    let url = match text.contains("${") {
        true => Err("variables in the URL are not supported".to_owned()),
        false => url::parse(text),
    };
    url.map_err(|reason| errors.push(hidden(keys::URL, reason))).ok()
}

fn headers(parsed: &Parsed, errors: &mut Vec<Error>) -> HeaderMap {
    let secret = |key| parsed.get_optional::<&Password>(key).map(Password::value);
    let additional = secret(keys::HEADERS_ADDITIONAL).unwrap_or_default();
    let mut headers = headers::parse(additional, None).unwrap_or_else(|reason| {
        errors.push(hidden(keys::HEADERS_ADDITIONAL, reason));
        HeaderMap::new()
    });
    let is_static = parsed
        .get_string(keys::AUTHORIZATION_TYPE)
        .eq_ignore_ascii_case("static");
    let content_type = parsed.get_optional::<&str>(keys::CONTENT_TYPE);
    let named = [
        (
            header::AUTHORIZATION,
            keys::HEADERS_AUTHORIZATION,
            secret(keys::HEADERS_AUTHORIZATION),
        ),
        (header::CONTENT_TYPE, keys::CONTENT_TYPE, content_type),
    ];
    for (name, key, given) in named {
        if name == header::AUTHORIZATION && is_static != given.is_some() {
            let reason = match is_static {
                true => "it is needed by http.authorization.type=static",
                false => "it has no meaning without http.authorization.type=static",
            };
            errors.push(hidden(key, reason));
        }
        let Some(given) = given else { continue };
        match headers::value(given) {
            Ok(value) => {
                if headers.insert(&name, value).is_some() {
                    let reason = format!("the header {name} is there already by {key}");
                    errors.push(hidden(keys::HEADERS_ADDITIONAL, reason));
                }
            }
            Err(reason) => errors.push(hidden(key, reason)),
        }
    }
    headers
        .entry(header::ACCEPT)
        .or_insert(HeaderValue::from_static("*/*"));
    headers
}

fn batching(parsed: &Parsed, errors: &mut Vec<Error>) -> Option<Batching> {
    let enabled = parsed.get_boolean(keys::BATCHING);
    let json_array = parsed.get_boolean(keys::JSON_ARRAY);
    // As given: Kafka's parser, and ours, would trim a newline to nothing.
    let given = |key: &str| parsed.originals().get(key);
    let framed = [keys::PREFIX, keys::SEPARATOR, keys::SUFFIX];
    for key in framed {
        if json_array && given(key).is_some() {
            errors.push(hidden(key, "it has no meaning with batch.json.as.array=true"));
        } else if !enabled && given(key).is_some() {
            errors.push(hidden(key, "it has no meaning without batching.enabled=true"));
        }
    }
    if json_array && !enabled {
        errors.push(Error::invalid(
            keys::JSON_ARRAY,
            true,
            "it needs batching.enabled=true",
        ));
    }
    let text = |key: &str, default: &str| given(key).map_or(default, String::as_str).to_owned();
    let frame = match json_array {
        true => Frame {
            prefix: "[".to_owned(),
            separator: ",".to_owned(),
            suffix: "]".to_owned(),
        },
        false => Frame {
            prefix: text(keys::PREFIX, ""),
            separator: text(keys::SEPARATOR, "\n"),
            suffix: text(keys::SUFFIX, "\n"),
        },
    };
    enabled.then(|| Batching {
        records_max: usize::try_from(parsed.get_int(keys::BATCH_MAX))
            .expect("the validator wants it positive"),
        frame,
        json_array,
    })
}

#[cfg(test)]
mod tests;
