//! The keys of HttpSink: Aiven's names, Confluent's as aliases where they mean the same.

use forebay_connect_api::config::{ConfigDef, ConfigKey, ConfigType, Configuration, Importance, Validator};

use super::delivery::Delivery;
use crate::{auth::OAuth2, others, proxy, tls};

pub(super) const URL: &str = "http.url";
pub(super) const METHOD: &str = "http.method";
pub(super) const AUTHORIZATION_TYPE: &str = "http.authorization.type";
pub(super) const HEADERS_AUTHORIZATION: &str = "http.headers.authorization";
pub(super) const AUTH_USER: &str = "connection.user";
pub(super) const AUTH_PASSWORD: &str = "connection.password";
pub(super) const AUTH_TOKEN: &str = "bearer.token";
pub(super) const CONTENT_TYPE: &str = "http.headers.content.type";
pub(super) const HEADERS_ADDITIONAL: &str = "http.headers.additional";
/// What Confluent's sink calls the URL.
pub(super) const CONFLUENTS_URL: &str = "http.api.url";
pub(super) const BATCHING: &str = "batching.enabled";
pub(super) const BATCH_MAX: &str = "batch.max.size";
pub(super) const PREFIX: &str = "batch.prefix";
pub(super) const SEPARATOR: &str = "batch.separator";
pub(super) const SUFFIX: &str = "batch.suffix";
pub(super) const JSON_ARRAY: &str = "batch.json.as.array";
pub(super) const ON_NULL: &str = "behavior.on.null.values";
pub(super) const RETRIES: &str = "max.retries";
pub(super) const BACKOFF: &str = "retry.backoff.ms";
pub(super) const TIMEOUT: &str = "http.timeout";
pub(super) const REQUEST_TIMEOUT: &str = "http.request.timeout.ms";
pub(super) const REDIRECT_PRIVATE: &str = "http.redirect.private.allowed";

/// More records in a request make it slow to find the one at fault.
const BATCH_MAX_MAX: i32 = 1_000_000;
/// A day.
const SECONDS_MAX: i32 = 24 * 60 * 60;

/// All keys.
pub(in crate::sink) fn definition() -> ConfigDef {
    let groups = [
        connection(),
        authorization(),
        OAuth2::definition(),
        tls::definition(),
        proxy::Keys::definition(),
        batching(),
        failures(),
        Delivery::definition(),
    ];
    let own = groups
        .iter()
        .fold(ConfigDef::new(), |definition, group| definition.extend(group));
    others::of_sinks(own)
}

fn string(name: &str) -> ConfigKey {
    ConfigKey::new(name, ConfigType::String)
}

fn connection() -> ConfigDef {
    let group = "Connection";
    ConfigDef::new()
        .define(
            string(URL)
                .alias("http.api.url")
                .validator(Validator::NonEmpty)
                .importance(Importance::High)
                .group(group, 1)
                .documentation(
                    "The http or https URL that records are sent to. In its path and query may be ${topic}, ${partition}, ${offset}, \
                     ${timestamp}, ${key}, ${value}, and fields of the key and the value by JSON pointer, such as ${key/id} and \
                     ${/user/id}; they are percent-encoded. Only records with the same URL are sent together.",
                ),
        )
        .define(
            string(METHOD)
                .alias("http.request.method")
                .alias("request.method")
                .default("POST")
                .validator(Validator::one_of_ignoring_case(["POST", "PUT", "PATCH"]))
                .importance(Importance::Medium)
                .group(group, 2)
                .documentation("POST, PUT or PATCH."),
        )
        .define(
            string(CONTENT_TYPE)
                .optional()
                .importance(Importance::Medium)
                .group(group, 5)
                .documentation(
                    "The Content-Type. By default application/json for bodies that are JSON by the connector's own doing: single \
                     structures, and arrays of batch.json.as.array; else none.",
                ),
        )
        .define(
            ConfigKey::new(HEADERS_ADDITIONAL, ConfigType::Password)
                .alias("headers")
                .optional()
                .group(group, 6)
                .documentation(
                    "More headers as Name: value, separated by | or, if there is none, by commas, with variables as in http.url. \
                     Treated as secrets.",
                ),
        )
}

fn authorization() -> ConfigDef {
    let group = "Connection";
    ConfigDef::new()
        .define(
            string(AUTHORIZATION_TYPE)
                .alias("auth.type")
                .default("none")
                .validator(Validator::one_of_ignoring_case([
                    "none", "static", "basic", "bearer", "oauth2",
                ]))
                .importance(Importance::High)
                .group(group, 3)
                .guards()
                .documentation(
                    "none; static: the header Authorization is what http.headers.authorization says; basic: it is made of \
                     connection.user and connection.password; bearer: of bearer.token; oauth2: of a token from oauth2.token.url, by \
                     client credentials.",
                ),
        )
        .define(
            ConfigKey::new(HEADERS_AUTHORIZATION, ConfigType::Password)
                .optional()
                .importance(Importance::Medium)
                .group(group, 4)
                .guards()
                .documentation("The whole value of the header Authorization, such as Bearer and a token."),
        )
        .define(
            string(AUTH_USER)
                .alias("http.auth.user")
                .optional()
                .group(group, 7)
                .documentation("The user for basic authentication."),
        )
        .define(
            ConfigKey::new(AUTH_PASSWORD, ConfigType::Password)
                .optional()
                .group(group, 8)
                .guards()
                .documentation("The password for basic authentication."),
        )
        .define(
            ConfigKey::new(AUTH_TOKEN, ConfigType::Password)
                .optional()
                .group(group, 9)
                .guards()
                .documentation("The token for bearer authentication."),
        )
}

fn batching() -> ConfigDef {
    let group = "Batching";
    let text = |name: &str, documentation: &str| string(name).optional().documentation(documentation);
    ConfigDef::new()
        .define(
            ConfigKey::new(BATCHING, ConfigType::Boolean)
                .default(false)
                .importance(Importance::High)
                .group(group, 1)
                .documentation("Whether several records of a partition go into one request. With http.api.url in place of http.url, as in configurations of \
                     Confluent's sink: unless given, whether batch.max.size is more than 1 (there by default 1, batch.separator a comma and \
                     batch.suffix empty)."),
        )
        .define(
            ConfigKey::new(BATCH_MAX, ConfigType::Int)
                .default(500)
                .validator(Validator::between(1, BATCH_MAX_MAX))
                .importance(Importance::Medium)
                .group(group, 2)
                .documentation("The most records in one request. A request may have fewer: nothing waits for it to fill."),
        )
        .define(text(PREFIX, "What a body of several records begins with. By default nothing.").group(group, 3))
        .define(text(SEPARATOR, "What is between two records of a body. By default a newline.").group(group, 4))
        .define(text(SUFFIX, "What a body of several records ends with. By default a newline.").group(group, 5))
        .define(
            ConfigKey::new(JSON_ARRAY, ConfigType::Boolean)
                .default(false)
                .group(group, 6)
                .documentation(
                    "Whether a body is a JSON array of the records: [ and ] around, commas between. Strings must be JSON then.",
                ),
        )
}

fn failures() -> ConfigDef {
    let group = "Failures";
    let number = |name: &str| ConfigKey::new(name, ConfigType::Int);
    ConfigDef::new()
        .define(
            string(ON_NULL)
                .default("ignore")
                .validator(Validator::one_of_ignoring_case(["ignore", "log", "delete", "fail"]))
                .group(group, 1)
                .documentation(
                    "What becomes of records whose value is null: they are left out (log: with a warning), they become a request of \
                     method DELETE without a body (delete, without batching), or they are at fault (fail).",
                ),
        )
        .define(
            number(RETRIES)
                .default(10)
                .validator(Validator::between(0, i32::MAX))
                .importance(Importance::Medium)
                .group(group, 2)
                .documentation(
                    "How often a request is sent again that failed by its connection, a timeout, or a status of \
                     retry.on.status.codes. After that behavior.on.error says what becomes of its records.",
                ),
        )
        .define(
            number(BACKOFF)
                .default(3000)
                .validator(Validator::between(1, i32::MAX))
                .importance(Importance::Medium)
                .group(group, 3)
                .documentation(
                    "The pause before the first retry in milliseconds; it doubles with each, up to a minute, and up to half of it is \
                     left to chance. A longer Retry-After of the server's is waited for, up to five minutes.",
                ),
        )
        .define(
            number(TIMEOUT)
                .default(30)
                .validator(Validator::between(1, SECONDS_MAX))
                .group(group, 4)
                .documentation("How long a request may take as a whole, in seconds."),
        )
        .define(
            number(REQUEST_TIMEOUT)
                .optional()
                .validator(Validator::custom("[1,...] or null", |_, value| match value {
                    Some(forebay_connect_api::config::Value::Int(number)) if *number < 1 => {
                        Err("Value must be at least 1".to_owned())
                    }
                    _ => Ok(()),
                }))
                .group(group, 5)
                .documentation("The same in milliseconds; it goes before http.timeout."),
        )
        .define(
            ConfigKey::new(REDIRECT_PRIVATE, ConfigType::Boolean)
                .default(false)
                .group(group, 6)
                .guards()
                .documentation(
                    "Whether a redirect may lead to this machine or a private network from a URL that is not there itself. What the \
                     worker forbids stays forbidden.",
                ),
        )
}
