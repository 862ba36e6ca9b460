//! The keys of HttpSink.

mod delivery;
mod keys;

use std::{sync::Arc, time::Duration};

use forebay_connect_api::config::{
    Config as Parsed, ConfigValue, Configuration, Error, Errors, Password, Properties,
};
use reqwest::{
    Method,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};

use super::{body::Frame, fields::Variable};
use crate::{
    auth::OAuth2,
    client::{AnswerBody, Options, Statuses},
    headers::{self, Templates},
    proxy,
    template::{Escape, Template},
    tls::Tls,
    url::UrlTemplate,
};
use delivery::Delivery;
pub(super) use delivery::OnError;
pub(super) use keys::definition;

/// So much of an answer is kept for the topic of answers.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// What becomes of records without value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnNull {
    /// They are left out.
    Ignore,
    /// They are left out, and a warning says so.
    Log,
    /// They become a DELETE.
    Delete,
    /// They are at fault.
    Fail,
}

/// A configuration in its types. Has no `Debug`, as it holds secrets.
#[derive(Clone)]
pub(super) struct Config {
    pub(super) url: UrlTemplate<Variable>,
    pub(super) https: bool,
    pub(super) method: Method,
    pub(super) headers: Templates<Variable>,
    /// `None`: the record's value.
    pub(super) body: Option<Body>,
    /// `None`: each record is a request.
    pub(super) batching: Option<Batching>,
    pub(super) on_null: OnNull,
    pub(super) on_error: OnError,
    /// The header that names what a request has.
    pub(super) idempotency: Option<HeaderName>,
    pub(super) reports: Reports,
    pub(super) client: Options,
}

/// Where answers and errors go.
#[derive(Debug, Clone, Default)]
pub(super) struct Reports {
    pub(super) results: Option<Arc<str>>,
    pub(super) errors: Option<Arc<str>>,
    /// Whether a result is a status only.
    pub(super) only_status: bool,
}

/// A template, and how what goes into it is escaped.
type Body = (Template<Variable>, Escape);

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
        let url = UrlTemplate::parse(parsed.get_string(keys::URL), Variable::parse)
            .and_then(|url| not_json(url.template().variables()).map(|()| url));
        let url = url.map_err(|reason| errors.push(hidden(keys::URL, reason))).ok();
        let delivery = Delivery::from_config(&parsed);
        let (headers, body) = headers_and_body(&parsed, &delivery, &mut errors);
        let batching = batching(&parsed, &mut errors);
        let is_oauth = authorization_type(&parsed) == "oauth2";
        let credentials =
            OAuth2::from_config(&parsed).credentials(is_oauth, keys::AUTHORIZATION_TYPE, &mut errors);
        let trust = Tls::from_config(&parsed).trust(&mut errors);
        let proxy = proxy::Keys::from_config(&parsed).proxy(&mut errors);
        let retry_on = Statuses::parse(&delivery.retry_on);
        let retry_on = retry_on.map_err(|reason| {
            errors.push(Error::invalid(
                "retry.on.status.codes",
                &delivery.retry_on,
                reason,
            ));
        });
        let reports = reports(&delivery, &mut errors);
        let on_null = on_null(&parsed, batching.is_some(), &mut errors);
        let idempotency = idempotency(&delivery, &mut errors);
        let number = |key| u64::try_from(parsed.get_int(key)).expect("the validator wants it not negative");
        let timeout = match parsed.get_optional::<i32>(keys::REQUEST_TIMEOUT) {
            Some(_) => Duration::from_millis(number(keys::REQUEST_TIMEOUT)),
            None => Duration::from_secs(number(keys::TIMEOUT)),
        };
        Errors::check(errors)?;
        let url = url.expect("without errors there is one");
        Ok(Self {
            https: parsed
                .get_string(keys::URL)
                .to_ascii_lowercase()
                .starts_with("https"),
            url,
            method: match parsed.get_string(keys::METHOD).to_ascii_uppercase().as_str() {
                "PUT" => Method::PUT,
                "PATCH" => Method::PATCH,
                _ => Method::POST,
            },
            headers: headers.expect("without errors there are some"),
            body,
            batching,
            on_null,
            on_error: delivery.on_error,
            idempotency,
            client: Options {
                connect_timeout: timeout,
                read_timeout: timeout,
                request_timeout: timeout,
                retries_max: u32::try_from(number(keys::RETRIES)).expect("it is an INT"),
                backoff: Duration::from_millis(number(keys::BACKOFF)),
                retry_on: retry_on.expect("without errors there are some"),
                spacing: delivery
                    .rate
                    .map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate)),
                redirect_to_private: parsed.get_boolean(keys::REDIRECT_PRIVATE),
                answer: match reports.errors.is_some() || (reports.results.is_some() && !reports.only_status)
                {
                    true => AnswerBody::Excerpt {
                        bytes_max: ANSWER_BYTES_MAX,
                    },
                    false => AnswerBody::Discard,
                },
                credentials,
                trust,
                proxy,
            },
            reports,
        })
    }

    /// Whether nothing but the body depends on the record, and that is its value.
    pub(super) fn is_plain(&self) -> bool {
        self.url.template().is_fixed() && self.headers.is_fixed() && self.body.is_none()
    }
}

fn idempotency(delivery: &Delivery, errors: &mut Vec<Error>) -> Option<HeaderName> {
    let name = delivery.idempotency_header.as_ref()?;
    let parsed = name.parse::<HeaderName>();
    let wrong = |_| {
        let reason = "it is no name of a header";
        errors.push(Error::invalid("http.idempotency.header", name, reason));
    };
    parsed.map_err(wrong).ok()
}

fn not_json<'a>(mut variables: impl Iterator<Item = &'a Variable>) -> Result<(), String> {
    match variables.any(|variable| variable.is_json) {
        true => Err("${json:…} may be in a body only".to_owned()),
        false => Ok(()),
    }
}

fn authorization_type(parsed: &Parsed) -> String {
    parsed.get_string(keys::AUTHORIZATION_TYPE).to_ascii_lowercase()
}

fn on_null(parsed: &Parsed, is_batching: bool, errors: &mut Vec<Error>) -> OnNull {
    match parsed.get_string(keys::ON_NULL).to_ascii_lowercase().as_str() {
        "log" => OnNull::Log,
        "fail" => OnNull::Fail,
        "delete" => {
            if is_batching {
                let reason = "a DELETE is for one record; set batching.enabled=false";
                errors.push(Error::invalid(keys::ON_NULL, "delete", reason));
            }
            OnNull::Delete
        }
        _ => OnNull::Ignore,
    }
}

fn reports(delivery: &Delivery, errors: &mut Vec<Error>) -> Reports {
    let topics = [
        ("reporter.result.topic.name", &delivery.result_topic),
        ("reporter.error.topic.name", &delivery.error_topic),
    ];
    let [results, errors_of] = topics.map(|(key, topic)| {
        let topic = topic.as_deref().filter(|topic| !topic.is_empty())?;
        if let Err(reason) = crate::topic::check(topic) {
            errors.push(Error::invalid(key, topic, reason));
        }
        Some(topic.into())
    });
    Reports {
        results,
        errors: errors_of,
        only_status: delivery.only_status,
    }
}

/// An error about a key whose value must not be shown.
fn hidden(key: &str, reason: impl Into<String>) -> Error {
    Error::invalid(key, "[hidden]", reason)
}

/// The headers and the template of the body, whose escape depends on them.
fn headers_and_body(
    parsed: &Parsed,
    delivery: &Delivery,
    errors: &mut Vec<Error>,
) -> (Option<Templates<Variable>>, Option<Body>) {
    let mut headers = headers(parsed, errors);
    let body = delivery.body.as_deref().and_then(|text| {
        let template = Template::parse(text, Variable::parse);
        template
            .map_err(|reason| errors.push(hidden("http.request.body", reason)))
            .ok()
    });
    if body.is_some() {
        let json = HeaderValue::from_static("application/json");
        headers.entry(header::CONTENT_TYPE).or_insert(json);
    }
    let escape = headers::escape_for(headers.get(header::CONTENT_TYPE));
    let headers = Templates::new(headers, Variable::parse)
        .and_then(|headers| not_json(headers.variables()).map(|()| headers));
    let headers = headers.map_err(|reason| errors.push(hidden(keys::HEADERS_ADDITIONAL, reason)));
    (headers.ok(), body.map(|body| (body, escape)))
}

/// The value of the header Authorization, and the key that it is from.
fn authorization(parsed: &Parsed, errors: &mut Vec<Error>) -> Option<(&'static str, String)> {
    let auth_type = authorization_type(parsed);
    let secret = |key| parsed.get_optional::<&Password>(key).map(Password::value);
    let given = [
        (
            keys::HEADERS_AUTHORIZATION,
            "static",
            secret(keys::HEADERS_AUTHORIZATION),
        ),
        (
            keys::AUTH_USER,
            "basic",
            parsed.get_optional::<&str>(keys::AUTH_USER),
        ),
        (keys::AUTH_PASSWORD, "basic", secret(keys::AUTH_PASSWORD)),
        (keys::AUTH_TOKEN, "bearer", secret(keys::AUTH_TOKEN)),
    ];
    for (key, of_type, value) in given {
        let reason = match (of_type == auth_type, value.is_some()) {
            (true, false) => format!("it is needed by {}={of_type}", keys::AUTHORIZATION_TYPE),
            (false, true) => format!("it has no meaning without {}={of_type}", keys::AUTHORIZATION_TYPE),
            _ => continue,
        };
        errors.push(hidden(key, reason));
    }
    let [whole, user, password, token] =
        given.map(|(_, of_type, value)| value.filter(|_| of_type == auth_type));
    if let Some(whole) = whole {
        return Some((keys::HEADERS_AUTHORIZATION, whole.to_owned()));
    }
    if let (Some(user), Some(password)) = (user, password) {
        if user.contains(':') {
            errors.push(hidden(
                keys::AUTH_USER,
                "a user's name for basic authentication has no colon",
            ));
        }
        return Some((keys::AUTH_PASSWORD, headers::basic(user, password)));
    }
    token.map(|token| (keys::AUTH_TOKEN, format!("Bearer {token}")))
}

fn headers(parsed: &Parsed, errors: &mut Vec<Error>) -> HeaderMap {
    let additional = parsed.get_optional::<&Password>(keys::HEADERS_ADDITIONAL);
    let additional = additional.map(Password::value).unwrap_or_default();
    let mut headers = headers::parse(additional, None).unwrap_or_else(|reason| {
        errors.push(hidden(keys::HEADERS_ADDITIONAL, reason));
        HeaderMap::new()
    });
    let is_oauth = authorization_type(parsed) == "oauth2";
    if is_oauth && headers.contains_key(header::AUTHORIZATION) {
        let reason = format!(
            "the header authorization is there already by {}",
            keys::AUTHORIZATION_TYPE
        );
        errors.push(hidden(keys::HEADERS_ADDITIONAL, reason));
    }
    let content_type = parsed.get_optional::<&str>(keys::CONTENT_TYPE);
    let content_type = content_type.map(|value| (keys::CONTENT_TYPE, value.to_owned()));
    let named = [
        (header::AUTHORIZATION, authorization(parsed, errors)),
        (header::CONTENT_TYPE, content_type),
    ];
    for (name, given) in named {
        let Some((key, given)) = given else { continue };
        match headers::value(&given) {
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

/// A configuration of Confluent's sink, which has another key for the URL, says by `batch.max.size` alone whether there are batches.
fn batching(parsed: &Parsed, errors: &mut Vec<Error>) -> Option<Batching> {
    let json_array = parsed.get_boolean(keys::JSON_ARRAY);
    // As given: Kafka's parser, and ours, would trim a newline to nothing.
    let given = |key: &str| parsed.originals().get(key);
    let is_confluents = given(keys::CONFLUENTS_URL).is_some() && given(keys::BATCHING).is_none();
    let records_max = match is_confluents && given(keys::BATCH_MAX).is_none() {
        true => 1,
        false => parsed.get_int(keys::BATCH_MAX),
    };
    let enabled = parsed.get_boolean(keys::BATCHING) || is_confluents && (records_max > 1 || json_array);
    let framed = [keys::PREFIX, keys::SEPARATOR, keys::SUFFIX];
    for key in framed {
        if json_array && given(key).is_some() {
            errors.push(hidden(key, "it has no meaning with batch.json.as.array=true"));
        } else if !enabled && !is_confluents && given(key).is_some() {
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
            separator: text(keys::SEPARATOR, if is_confluents { "," } else { "\n" }),
            suffix: text(keys::SUFFIX, if is_confluents { "" } else { "\n" }),
        },
    };
    enabled.then(|| Batching {
        records_max: usize::try_from(records_max).expect("the validator wants it positive"),
        frame,
        json_array,
    })
}

#[cfg(test)]
mod tests;
