//! Keys of other people's connectors that have no meaning here, with what to use instead: Confluent's V2 connectors, which have
//! several APIs (`api1.*`), and what of V1 and Aiven's is done by other means.

use forebay_connect_api::config::ConfigDef;

const ONE_API: &str =
    "one connector has one API: make one for each, with the keys that have no apiN. before them";
const BY_POINTERS: &str = "take variables such as ${key/id} and ${/user/id} into http.url, http.headers.additional and http.request.body";
const HERE: &str = "topics of answers and errors are written by the worker, to its own cluster";
const JWT: &str = "tokens are got by client id and secret: oauth2.client.id, oauth2.client.secret";

/// A key, and what replaces it.
type Other = (&'static str, &'static str);

const OF_BOTH: [Other; 8] = [
    ("apis.num", ONE_API),
    (
        "api1.test.api",
        "PUT /connector-plugins/…/config/validate says what is wrong with a configuration",
    ),
    ("api1.http.path.parameters", "put them into the URL"),
    (
        "retry.backoff.policy",
        "pauses double with each attempt, and a part of them is left to chance",
    ),
    (
        "api1.retry.backoff.policy",
        "pauses double with each attempt, and a part of them is left to chance",
    ),
    ("oauth2.client.header.separator", "headers are separated by |"),
    (
        "sensitive.headers",
        "all headers are treated as secrets; put them among the others",
    ),
    (
        "api1.http.request.sensitive.headers",
        "all headers are treated as secrets; put them among the others",
    ),
];

const OF_SINKS: [Other; 20] = [
    (
        "http.api.base.url",
        "http.url has the whole URL, with api1.http.api.path behind it",
    ),
    (
        "api1.http.api.path",
        "http.url has the whole URL, with http.api.base.url before it",
    ),
    ("api1.topics", "use topics"),
    (
        "api1.max.batch.size",
        "use batch.max.size, with batching.enabled=true",
    ),
    ("api1.http.request.headers", "use http.headers.additional"),
    (
        "api1.http.request.headers.separator",
        "headers are separated by |",
    ),
    ("header.separator", "headers are separated by |"),
    (
        "http.connect.timeout.ms",
        "http.request.timeout.ms holds for the connection, too",
    ),
    (
        "api1.http.connect.timeout.ms",
        "http.request.timeout.ms holds for the connection, too",
    ),
    (
        "request.body.format",
        "strings and bytes are sent as they are, all else as JSON; http.request.body has a template",
    ),
    (
        "api1.request.body.format",
        "strings and bytes are sent as they are, all else as JSON; http.request.body has a template",
    ),
    ("regex.patterns", BY_POINTERS),
    ("regex.replacements", BY_POINTERS),
    ("regex.separator", BY_POINTERS),
    ("api1.regex.patterns", BY_POINTERS),
    (
        "batch.key.pattern",
        "only records with the same URL and headers are sent together",
    ),
    (
        "api1.batch.key.pattern",
        "only records with the same URL and headers are sent together",
    ),
    (
        "report.errors.as",
        "records of reporter.error.topic.name have the error as value and the answer as header http_response",
    ),
    (
        "kafka.retry.backoff.ms",
        "with behavior.on.error=retry the worker delivers again, after errors.retry.delay.max.ms at most",
    ),
    ("reporter.bootstrap.servers", HERE),
];

const OF_SOURCES: [Other; 9] = [
    (
        "entity.names",
        "one connector has one entity: make one for each, with its name in the URL in place of ${entityName}",
    ),
    (
        "http.api.base.url",
        "http.request.url has the whole URL, with api1.http.api.path behind it",
    ),
    (
        "api1.http.api.path",
        "http.request.url has the whole URL, with http.api.base.url before it",
    ),
    ("api1.topics", "use topic.name.pattern"),
    (
        "api1.http.request.parameters.separator",
        "http.request.params is written as a=1&b=2",
    ),
    (
        "http.request.parameters.separator",
        "http.request.params is written as a=1&b=2",
    ),
    (
        "behavior.on.error",
        "what fails for good fails the task; errors.restart.* starts it again",
    ),
    (
        "http.chaining.timestamp.json.pointer",
        "http.offset.json.pointer may point to a timestamp: with http.offset.mode=CHAINING the greater is the newer",
    ),
    (
        "api1.http.chaining.timestamp.json.pointer",
        "http.offset.json.pointer may point to a timestamp: with http.offset.mode=CHAINING the greater is the newer",
    ),
];

/// A sink's keys, and the others.
pub(crate) fn of_sinks(definition: ConfigDef) -> ConfigDef {
    let definition = OF_SINKS.into_iter().fold(definition, known);
    of_both(definition)
        .meaningless_below("reporter.result.topic.", HERE)
        .meaningless_below("reporter.error.topic.", HERE)
}

/// A source's keys, and the others.
pub(crate) fn of_sources(definition: ConfigDef) -> ConfigDef {
    of_both(OF_SOURCES.into_iter().fold(definition, known))
}

fn of_both(definition: ConfigDef) -> ConfigDef {
    let v2: Vec<(String, String)> = definition
        .keys()
        .iter()
        .flat_map(|key| {
            let names = std::iter::once(&key.name).chain(&key.aliases);
            names.map(|name| (format!("api1.{name}"), format!("use {}", key.name)))
        })
        .collect();
    let definition = OF_BOTH.into_iter().fold(definition, known);
    let definition = v2.into_iter().fold(definition, |definition, (key, instead)| {
        if definition.is_meaningless(&key) {
            return definition; // What is said of it is more than its name.
        }
        definition.meaningless(key, instead)
    });
    let definition = (1..=15).fold(definition, |definition, number| {
        definition.meaningless_below(format!("api{number}."), ONE_API)
    });
    definition
        .meaningless_below("oauth2.jwt.", JWT)
        .meaningless_below("confluent.", "there is no licence to keep")
}

fn known(definition: ConfigDef, (key, instead): Other) -> ConfigDef {
    definition.meaningless(key, instead)
}

#[cfg(test)]
mod tests {
    use forebay_connect_api::{
        Connector,
        config::{Origin, UnknownKeys, Warning},
    };

    use crate::{sink::HttpSinkConnector, source::HttpSourceConnector};

    /// What is said of a key.
    fn said(definition: &forebay_connect_api::config::ConfigDef, key: &str) -> String {
        let verdict = UnknownKeys::check(definition, [key], Origin::ConnectorJson);
        assert!(verdict.errors.is_empty(), "{key}: {:?}", verdict.errors);
        match &verdict.warnings[..] {
            [Warning::Meaningless { instead, .. }] => instead.clone(),
            other => panic!("{key}: {other:?}"),
        }
    }

    #[test]
    fn keys_of_others_are_told_with_what_to_use_instead() {
        let (sink, source) = (
            HttpSinkConnector::default().config(),
            HttpSourceConnector::default().config(),
        );
        for (definition, key, instead) in [
            (&source, "entity.names", "make one for each"),
            (&source, "api1.http.offset.mode", "use http.offset.mode"),
            (&source, "api1.http.initial.offset", "use http.initial.offset"),
            (&source, "api1.topics", "use topic.name.pattern"),
            (
                &source,
                "api1.http.api.path",
                "http.request.url has the whole URL",
            ),
            (&source, "api2.http.api.path", "one connector has one API"),
            (&source, "api15.anything", "one connector has one API"),
            (&source, "apis.num", "one connector has one API"),
            (&source, "https.ssl.protocol", "TLS 1.3"),
            (&source, "oauth2.jwt.keystore.password", "oauth2.client.secret"),
            (&sink, "api1.max.batch.size", "use batch.max.size"),
            (&sink, "api1.batch.separator", "use batch.separator"),
            (
                &sink,
                "api1.behavior.on.null.values",
                "use behavior.on.null.values",
            ),
            (&sink, "api1.http.request.method", "use http.method"),
            (&sink, "http.api.base.url", "http.url has the whole URL"),
            (&sink, "regex.patterns", "${/user/id}"),
            (
                &sink,
                "https.ssl.truststorefile",
                "https.ssl.truststore.certificates",
            ),
            (
                &sink,
                "reporter.error.topic.replication.factor",
                "written by the worker",
            ),
            (&sink, "confluent.topic.bootstrap.servers", "no licence"),
            (&sink, "ssl.enabled", "the URL says"),
        ] {
            let said = said(definition, key);
            assert!(said.contains(instead), "{key}: {said}");
        }
        // What is read is not among them.
        for (definition, key) in [
            (&sink, "reporter.error.topic.name"),
            (&sink, "http.proxy.host"),
            (&source, "ssl.keystore.key"),
        ] {
            assert!(definition.reads(key), "{key}");
        }
    }
}
