use super::*;
use crate::testing::properties;

const URL: (&str, &str) = ("http.url", "http://a/");

/// Keys with their errors.
fn errors(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let values = validate(&properties(pairs));
    let errors = values.into_iter().flat_map(|value| {
        let name = value.name;
        value.errors.into_iter().map(move |error| (name.clone(), error))
    });
    errors.collect()
}

#[test]
fn the_configurations_that_people_have_are_read() {
    let aiven = [
        URL,
        ("http.authorization.type", "static"),
        ("http.headers.authorization", "Bearer x"),
        ("http.headers.content.type", "application/x-ndjson"),
        ("http.headers.additional", "A: 1, B: 2"),
        ("batching.enabled", "true"),
        ("batch.max.size", "10"),
        ("batch.suffix", "\n\n"),
        ("http.timeout", "5"),
    ];
    let config = Config::parse(&properties(&aiven)).expect("it is right");
    let batching = config.batching.expect("it is enabled");
    let frame = (
        batching.frame.prefix.as_str(),
        batching.frame.separator.as_str(),
        batching.frame.suffix.as_str(),
    );
    assert_eq!((batching.records_max, frame), (10, ("", "\n", "\n\n")));
    let header = |name: &str| config.headers.fixed()[name].to_str().expect("text");
    assert_eq!(
        (
            header("authorization"),
            header("content-type"),
            header("a"),
            header("b")
        ),
        ("Bearer x", "application/x-ndjson", "1", "2")
    );
    assert_eq!(config.client.request_timeout, Duration::from_secs(5));

    let confluent = [
        ("http.api.url", "http://a/"),
        ("request.method", "put"),
        ("headers", "A:1|B:2"),
        ("http.request.timeout.ms", "1500"),
        ("behavior.on.null.values", "FAIL"),
    ];
    let config = Config::parse(&properties(&confluent)).expect("it is right");
    assert_eq!(
        (config.method, config.on_null, config.batching),
        (Method::PUT, OnNull::Fail, None)
    );
    // It has no batching.enabled.
    let url = ("http.api.url", "http://a/");
    for (more, expected) in [
        (&[("batch.max.size", "5")][..], Some((5, ","))),
        (&[("batch.max.size", "1"), ("batch.separator", ";")], None),
        (
            &[("batch.max.size", "2"), ("batch.separator", ";")],
            Some((2, ";")),
        ),
        (&[("batch.json.as.array", "true")], Some((1, ","))),
        (&[("batch.max.size", "5"), ("batching.enabled", "false")], None),
    ] {
        let pairs: Vec<_> = [url].iter().chain(more).copied().collect();
        let batching = Config::parse(&properties(&pairs)).expect("it is right").batching;
        let shown = batching
            .as_ref()
            .map(|own| (own.records_max, own.frame.separator.as_str()));
        assert_eq!(shown, expected, "{more:?}");
    }
    assert_eq!(config.client.request_timeout, Duration::from_millis(1500));
}

#[test]
fn keys_that_belong_together_are_held_against_each_other() {
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);
    let cases: [Case<'_>; 11] = [
        (&[], "http.url", "Missing required configuration"),
        (&[("http.url", "ftp://a/")], "http.url", "only http and https"),
        (
            &[("http.url", "http://${topic}/")],
            "http.url",
            "path and the query only",
        ),
        (
            &[("http.url", "http://u:secret@a/")],
            "http.url",
            "belong into the keys for authorization",
        ),
        (
            &[URL, ("http.authorization.type", "static")],
            "http.headers.authorization",
            "it is needed by",
        ),
        (
            &[URL, ("http.headers.authorization", "secret")],
            "http.headers.authorization",
            "no meaning without",
        ),
        (
            &[
                URL,
                ("http.headers.content.type", "a/b"),
                ("http.headers.additional", "Content-Type: secret"),
            ],
            "http.headers.additional",
            "content-type is there already",
        ),
        (
            &[URL, ("batch.prefix", "[")],
            "batch.prefix",
            "no meaning without batching.enabled",
        ),
        (
            &[URL, ("batch.json.as.array", "true")],
            "batch.json.as.array",
            "it needs batching.enabled",
        ),
        (
            &[
                URL,
                ("batching.enabled", "true"),
                ("batch.json.as.array", "true"),
                ("batch.suffix", "x"),
            ],
            "batch.suffix",
            "no meaning with batch.json.as.array",
        ),
        (
            &[URL, ("http.request.timeout.ms", "0")],
            "http.request.timeout.ms",
            "at least 1",
        ),
    ];
    for (pairs, key, reason) in cases {
        let found = errors(pairs);
        let right = found
            .iter()
            .any(|(name, error)| name == key && error.contains(reason));
        assert!(right, "{pairs:?}: {found:?}");
        assert!(
            found.iter().all(|(_, error)| !error.contains("secret")),
            "{found:?}"
        );
    }
    assert_eq!(errors(&[URL]), []);
}

/// Keys with their values, and the keys that are wrong.
type Named<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);

#[test]
fn what_a_type_of_authorization_needs_is_named() {
    let token_url = ("oauth2.token.url", "http://a/token");
    let cases: [Named<'_>; 6] = [
        (
            &[("auth.type", "OAUTH2")],
            &["oauth2.token.url", "oauth2.client.id", "oauth2.client.secret"],
        ),
        (&[token_url], &["oauth2.token.url"]),
        (
            &[
                ("auth.type", "oauth2"),
                ("oauth2.token.url", "ftp://a"),
                ("oauth2.client.id", "i"),
                ("oauth2.client.secret", "s"),
            ],
            &["oauth2.token.url"],
        ),
        (
            &[("auth.type", "basic")],
            &["connection.user", "connection.password"],
        ),
        (&[("bearer.token", "t")], &["bearer.token"]),
        (
            &[
                ("auth.type", "oauth2"),
                token_url,
                ("oauth2.client.id", "i"),
                ("oauth2.client.secret", "s"),
                ("headers", "Authorization: x"),
            ],
            &["http.headers.additional"],
        ),
    ];
    for (pairs, keys) in cases {
        let found = errors(&[&[URL], pairs].concat());
        let mut names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        let mut keys = keys.to_vec();
        names.sort_unstable();
        keys.sort_unstable();
        assert_eq!(names, keys, "{pairs:?}");
    }
}
