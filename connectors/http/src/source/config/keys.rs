//! The keys of HttpSource: castorm's and Confluent's names for the same things, and some of our own.

use forebay_connect_api::config::{
    ConfigDef, ConfigKey, ConfigType, Configuration, Importance, Validator, Value,
};

use super::paging::Paging;
use crate::{auth::OAuth2, others, proxy, tls};

pub(super) const URL: &str = "http.request.url";
pub(super) const METHOD: &str = "http.request.method";
pub(super) const HEADERS: &str = "http.request.headers";
pub(super) const HEADERS_SEPARATOR: &str = "http.request.headers.separator";
pub(super) const PARAMS: &str = "http.request.params";
pub(super) const BODY: &str = "http.request.body";
pub(super) const TOPIC: &str = "topic.name.pattern";
pub(super) const INTERVAL: &str = "request.interval.ms";
pub(super) const CATCHUP_INTERVAL: &str = "http.timer.catchup.interval.millis";
pub(super) const BATCH_SIZE: &str = "batch.size";
pub(super) const OFFSET_INITIAL: &str = "http.initial.offset";
pub(super) const OFFSET_POINTER: &str = "http.offset.json.pointer";
pub(super) const OFFSET_ORDER: &str = "http.offset.order";
pub(super) const DIRECTION: &str = "http.response.list.order.direction";
pub(super) const LIST_POINTER: &str = "http.response.data.json.pointer";
pub(super) const RECORD_POINTER: &str = "http.response.record.pointer";
pub(super) const KEY_POINTER: &str = "http.response.record.key.pointer";
pub(super) const TIMESTAMP_POINTER: &str = "http.response.record.timestamp.pointer";
pub(super) const BYTES_MAX: &str = "http.response.bytes.max";
pub(super) const AUTH_TYPE: &str = "http.auth.type";
pub(super) const AUTH_USER: &str = "http.auth.user";
pub(super) const AUTH_PASSWORD: &str = "http.auth.password";
pub(super) const AUTH_TOKEN: &str = "http.auth.bearer.token";
pub(super) const API_KEY_NAME: &str = "api.key.name";
pub(super) const API_KEY_VALUE: &str = "api.key.value";
pub(super) const API_KEY_LOCATION: &str = "api.key.location";
pub(super) const RATE: &str = "http.requests.per.second";
pub(super) const RETRY_ON: &str = "retry.on.status.codes";
pub(super) const CONNECT_TIMEOUT: &str = "http.client.connection.timeout.millis";
pub(super) const READ_TIMEOUT: &str = "http.client.read.timeout.millis";
pub(super) const REQUEST_TIMEOUT: &str = "http.request.timeout.ms";
pub(super) const RETRIES: &str = "max.retries";
pub(super) const BACKOFF: &str = "retry.backoff.ms";
pub(super) const REDIRECT_PRIVATE: &str = "http.redirect.private.allowed";

/// What may pass by itself.
pub(super) const RETRY_ON_DEFAULT: &str = "408,429,500-";
const BYTES_MAX_DEFAULT: i32 = 10 * 1024 * 1024;
/// Longer than anybody waits: a week.
const MILLISECONDS_MAX: i32 = 7 * 24 * 60 * 60 * 1000;

/// All keys.
pub(in crate::source) fn definition() -> ConfigDef {
    let groups = [
        request(),
        offsets(),
        Paging::definition(),
        response(),
        authentication(),
        OAuth2::definition(),
        tls::definition(),
        proxy::Keys::definition(),
        failures(),
    ];
    let own = groups
        .iter()
        .fold(ConfigDef::new(), |definition, group| definition.extend(group));
    others::of_sources(own)
}

fn string(name: &str) -> ConfigKey {
    ConfigKey::new(name, ConfigType::String)
}

fn milliseconds(name: &str) -> ConfigKey {
    ConfigKey::new(name, ConfigType::Long).validator(Validator::between(1, MILLISECONDS_MAX))
}

fn password(name: &str) -> ConfigKey {
    ConfigKey::new(name, ConfigType::Password).optional().guards()
}

fn request() -> ConfigDef {
    let group = "Request";
    ConfigDef::new()
        .define(
            string(URL)
                .alias("url")
                .validator(Validator::NonEmpty)
                .importance(Importance::High)
                .group(group, 1)
                .documentation(
                    "The http or https URL to poll. ${offset} in its path or query is replaced by the offset, percent-encoded, \
                     as are ${cursor}, ${window.start} and ${window.end}, also in parameters, headers and body. Also what the \
                     committed offsets are kept under, so a change of it starts anew.",
                ),
        )
        .define(
            string(METHOD)
                .default("GET")
                .validator(Validator::one_of_ignoring_case(["GET", "POST"]))
                .importance(Importance::High)
                .group(group, 2)
                .documentation("GET or POST."),
        )
        .define(
            ConfigKey::new(HEADERS, ConfigType::Password)
                .alias("headers")
                .optional()
                .importance(Importance::Medium)
                .group(group, 3)
                .documentation(
                    "Headers as Name: value, separated by | or, if there is none, by commas. Treated as secrets.",
                ),
        )
        .define(
            string(HEADERS_SEPARATOR)
                .optional()
                .group(group, 4)
                .documentation("What separates the headers, for values that hold | or look like headers themselves."),
        )
        .define(
            string(PARAMS)
                .alias("http.request.parameters")
                .optional()
                .importance(Importance::Medium)
                .group(group, 5)
                .documentation(
                    "Parameters that are added to the URL's query, as a=1&b=${offset}. The offset is percent-encoded.",
                ),
        )
        .define(
            string(BODY)
                .optional()
                .importance(Importance::Medium)
                .group(group, 6)
                .documentation(
                    "The body of a POST. ${offset} is escaped as the Content-Type asks for (application/json unless a header says \
                     otherwise): inside JSON put it between quotes if it is a string.",
                ),
        )
        .define(
            milliseconds(INTERVAL)
                .alias("http.timer.interval.millis")
                .default(60_000)
                .importance(Importance::High)
                .group(group, 7)
                .documentation("The pause after an answer before the next request, in milliseconds."),
        )
        .define(
            ConfigKey::new(CATCHUP_INTERVAL, ConfigType::Long)
                .optional()
                .validator(Validator::custom("[1,...] or null", |_, value| match value {
                    Some(Value::Long(number)) if !(1..=i64::from(MILLISECONDS_MAX)).contains(number) => {
                        Err(format!("Value must be at least 1 and no more than {MILLISECONDS_MAX}"))
                    }
                    _ => Ok(()),
                }))
                .group(group, 8)
                .documentation("The same after an answer that brought something new. By default the same pause."),
        )
}

fn offsets() -> ConfigDef {
    let group = "Offset";
    ConfigDef::new()
        .define(
            string(OFFSET_INITIAL)
                .alias("http.offset.initial")
                .optional()
                .importance(Importance::High)
                .group(group, 2)
                .documentation("What ${offset} is before there are records. It leaves no record of an answer out."),
        )
        .define(
            string(OFFSET_POINTER)
                .alias("http.response.record.offset.pointer")
                .optional()
                .importance(Importance::High)
                .group(group, 3)
                .documentation(
                    "The JSON pointer to the offset in each item: a number or a string that grows, or an id. Without it every \
                     answer is given out whole.",
                ),
        )
        .define(
            string(OFFSET_ORDER)
                .default("value")
                .validator(Validator::one_of(["value", "response"]))
                .importance(Importance::Medium)
                .group(group, 4)
                .documentation(
                    "Which items are new. value: those whose offset is greater than the last one (numbers and strings of digits by \
                     number, other strings by their bytes). response: those that follow the last one in the answer, or all if it is \
                     not in there any more.",
                ),
        )
        .define(
            string(DIRECTION)
                .default("IMPLICIT")
                .validator(Validator::one_of_ignoring_case(["ASC", "DESC", "IMPLICIT"]))
                .group(group, 5)
                .documentation(
                    "Whether answers have the oldest item first (ASC) or last (DESC). IMPLICIT: the first and last offset tell; with \
                     http.offset.order=response it means ASC.",
                ),
        )
}

fn response() -> ConfigDef {
    let group = "Response";
    let pointer = |name: &str| string(name).optional().importance(Importance::Medium);
    ConfigDef::new()
        .define(
            string(TOPIC)
                .alias("kafka.topic")
                .alias("topic")
                .validator(topic_name())
                .importance(Importance::High)
                .group(group, 1)
                .documentation("The topic to publish to."),
        )
        .define(
            pointer(LIST_POINTER)
                .alias("http.response.list.pointer")
                .group(group, 2)
                .documentation(
                    "The JSON pointer to the list in an answer, or to an object that is the only item. By default the whole answer.",
                ),
        )
        .define(
            pointer(RECORD_POINTER)
                .group(group, 3)
                .documentation("The JSON pointer to the record's value in an item. By default the whole item."),
        )
        .define(
            pointer(KEY_POINTER)
                .group(group, 4)
                .documentation("The JSON pointer to the record's key in an item. By default there is no key."),
        )
        .define(pointer(TIMESTAMP_POINTER).group(group, 5).documentation(
            "The JSON pointer to the record's timestamp in an item: milliseconds since 1970, or RFC 3339 with a time zone. By \
             default, and for items without it, the time of producing.",
        ))
        .define(
            ConfigKey::new(BYTES_MAX, ConfigType::Int)
                .default(BYTES_MAX_DEFAULT)
                .validator(Validator::between(1, i32::MAX))
                .group(group, 6)
                .documentation("The longest answer in bytes. A longer one fails the task. Answers are taken uncompressed."),
        )
        .define(
            ConfigKey::new(BATCH_SIZE, ConfigType::Int)
                .default(2000)
                .validator(Validator::between(1, i32::MAX))
                .group(group, 7)
                .documentation("The most records of an answer that are handed on at once."),
        )
}

fn topic_name() -> Validator {
    Validator::custom("a topic's name", |_, value| {
        let Some(Value::String(name)) = value else {
            return Ok(());
        };
        if name.contains("${") {
            return Err("there are no variables in the name of the topic: one connector has one entity, whose name is to be written here".to_owned());
        }
        crate::topic::check(name)
    })
}

fn authentication() -> ConfigDef {
    let group = "Authentication";
    ConfigDef::new()
        .define(
            string(AUTH_TYPE)
                .alias("auth.type")
                .default("none")
                .validator(Validator::one_of_ignoring_case([
                    "none", "basic", "bearer", "api_key", "oauth2",
                ]))
                .importance(Importance::Medium)
                .group(group, 1)
                .guards()
                .documentation(
                    "How to authenticate: none, basic (user and password), bearer (a token), api_key (a header or parameter) or oauth2 \
                     (a token from oauth2.token.url, by client credentials).",
                ),
        )
        .define(
            string(AUTH_USER)
                .alias("connection.user")
                .optional()
                .importance(Importance::Medium)
                .group(group, 2)
                .documentation("The user for basic authentication."),
        )
        .define(
            password(AUTH_PASSWORD)
                .alias("connection.password")
                .importance(Importance::Medium)
                .group(group, 3)
                .documentation("The password for basic authentication."),
        )
        .define(
            password(AUTH_TOKEN)
                .alias("bearer.token")
                .importance(Importance::Medium)
                .group(group, 4)
                .documentation("The token for bearer authentication."),
        )
        .define(
            string(API_KEY_NAME)
                .optional()
                .group(group, 5)
                .documentation("The header or parameter that holds the key to the API."),
        )
        .define(
            password(API_KEY_VALUE)
                .group(group, 6)
                .documentation("The key to the API."),
        )
        .define(
            string(API_KEY_LOCATION)
                .default("header")
                .validator(Validator::one_of_ignoring_case(["header", "query"]))
                .group(group, 7)
                .documentation("Where the key to the API goes: into a header, or into the query of the URL."),
        )
}

fn failures() -> ConfigDef {
    let group = "Failures";
    ConfigDef::new()
        .define(
            ConfigKey::new(RETRIES, ConfigType::Int)
                .default(5)
                .validator(Validator::between(0, i32::MAX))
                .importance(Importance::Medium)
                .group(group, 1)
                .documentation(
                    "How often a request is sent again that failed by its connection, a timeout, or a status of \
                     retry.on.status.codes. After that, and after any other status but 2xx, the task fails.",
                ),
        )
        .define(
            milliseconds(BACKOFF)
                .default(3000)
                .importance(Importance::Medium)
                .group(group, 2)
                .documentation(
                    "The pause before the first retry in milliseconds; it doubles with each, up to a minute, and up to half of it is \
                     left to chance. A longer Retry-After of the server's is waited for, up to five minutes.",
                ),
        )
        .define(
            string(RETRY_ON)
                .default(RETRY_ON_DEFAULT)
                .group(group, 7)
                .documentation("The statuses after which a request is sent again, and ranges of them: 429,500-599 or 400-."),
        )
        .define(
            ConfigKey::new(RATE, ConfigType::Double)
                .optional()
                .validator(Validator::NullOr(Box::new(Validator::between(0.000_1, 1_000_000))))
                .group(group, 8)
                .documentation("The most requests per second, retries included. By default they are not limited."),
        )
        .define(
            milliseconds(CONNECT_TIMEOUT)
                .alias("http.connect.timeout.ms")
                .default(2000)
                .group(group, 3)
                .documentation("How long making a connection may take, in milliseconds."),
        )
        .define(
            milliseconds(READ_TIMEOUT)
                .alias("read.timeout.millis")
                .default(2000)
                .group(group, 4)
                .documentation("How long the server may be silent while its answer is waited for or read, in milliseconds."),
        )
        .define(
            milliseconds(REQUEST_TIMEOUT)
                .default(30_000)
                .group(group, 5)
                .documentation("How long a request may take as a whole, redirects and answer included, in milliseconds."),
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
