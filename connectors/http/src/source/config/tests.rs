use super::*;
use crate::{client::Request, testing::properties};

fn request(config: &Config, offset: &str) -> Result<Request, String> {
    config.request.request(&Ask {
        offset: offset.to_owned(),
        ..Ask::default()
    })
}

const URL: (&str, &str) = ("url", "http://a/x?since=${offset}");
const TOPIC: (&str, &str) = ("kafka.topic", "t");
const INITIAL: (&str, &str) = ("http.offset.initial", "0");
const POINTER: (&str, &str) = ("http.response.record.offset.pointer", "/id");

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
fn requests_have_the_offset_where_it_belongs() {
    let more = [
        ("http.request.params", "q=a b&after=${offset}"),
        ("http.request.method", "post"),
        ("http.request.body", r#"{"after":"${offset}"}"#),
        ("http.request.headers", "X-Key: 1"),
        ("auth.type", "Basic"),
        ("connection.user", "u"),
        ("connection.password", "p"),
    ];
    let pairs = [&[URL, TOPIC, INITIAL, POINTER][..], &more].concat();
    let config = Config::parse(&properties(&pairs)).expect("it is right");
    let request_of = request(&config, "a\"&b").expect("a request");
    assert_eq!(request_of.method, Method::POST);
    assert_eq!(
        request_of.url.as_str(),
        "http://a/x?since=a%22%26b&q=a%20b&after=a%22%26b"
    );
    assert_eq!(request_of.body.expect("a body"), r#"{"after":"a\"&b"}"#);
    let header = |name: &str| request_of.headers[name].to_str().expect("text");
    assert_eq!(header("authorization"), "Basic dTpw");
    assert_eq!(
        (header("content-type"), header("accept")),
        ("application/json", "application/json")
    );
    let first = super::super::place::Place::first(&config.mode);
    assert_eq!(first.ask(&config).expect("a request").offset, "0");

    let in_path = [("url", "http://a/x/${offset}/y"), TOPIC, INITIAL, POINTER];
    let config = Config::parse(&properties(&in_path)).expect("it is right");
    assert_eq!(
        request(&config, "../../admin?").expect("a request").url.as_str(),
        "http://a/x/..%2F..%2Fadmin%3F/y"
    );
    for dots in [".", ".."] {
        request(&config, dots).expect_err("it would climb");
    }
}

const PLAIN: (&str, &str) = ("url", "http://a/");

/// Keys, the key that is wrong, and why.
type Case = (
    &'static [(&'static str, &'static str)],
    &'static str,
    &'static str,
);

const WRONG: [Case; 20] = [
    (&[TOPIC], "http.request.url", "Missing required configuration"),
    (&[PLAIN], "topic.name.pattern", "Missing required configuration"),
    (
        &[("url", "file:///etc/passwd"), TOPIC],
        "http.request.url",
        "only http and https",
    ),
    (
        &[("url", "http://u:secret@a/"), TOPIC],
        "http.request.url",
        "belong into the keys for authorization",
    ),
    (
        &[("url", "http://${offset}.a/"), TOPIC, INITIAL, POINTER],
        "http.request.url",
        "path and the query only",
    ),
    (
        &[("url", "http://a/${offset.id?c}"), TOPIC],
        "http.request.url",
        "${offset.id?c} is not known",
    ),
    (
        &[URL, TOPIC, INITIAL],
        "http.offset.json.pointer",
        "it is needed, as the request has ${offset}",
    ),
    (
        &[URL, TOPIC, POINTER],
        "http.initial.offset",
        "it is needed, as the request has ${offset}",
    ),
    (
        &[PLAIN, TOPIC, ("http.offset.json.pointer", "key=/id")],
        "http.offset.json.pointer",
        "begins with /",
    ),
    (
        &[PLAIN, TOPIC, ("http.offset.mode", "CHAINING")],
        "http.offset.json.pointer",
        "http.offset.mode=CHAINING",
    ),
    (
        &[PLAIN, TOPIC, ("http.offset.mode", "CURSOR_PAGINATION")],
        "http.next.page.json.pointer",
        "it is needed by http.offset.mode=CURSOR_PAGINATION",
    ),
    (
        &[("url", "http://a/?key=secret&x=${y}"), TOPIC],
        "http.request.url",
        "${y} is not known",
    ),
    (
        &[PLAIN, TOPIC, ("http.request.body", "secret")],
        "http.request.body",
        "only POST has a body",
    ),
    (
        &[PLAIN, TOPIC, ("http.auth.type", "digest")],
        "http.auth.type",
        "String must be one of",
    ),
    (
        &[PLAIN, TOPIC, ("http.auth.type", "bearer")],
        "http.auth.bearer.token",
        "it is needed by",
    ),
    (
        &[PLAIN, TOPIC, ("http.auth.password", "secret")],
        "http.auth.password",
        "no meaning with http.auth.type=none",
    ),
    (
        &[PLAIN, TOPIC, ("headers", "X-Key secret")],
        "http.request.headers",
        "has no colon",
    ),
    (
        &[
            PLAIN,
            TOPIC,
            ("headers", "Authorization: secret"),
            ("auth.type", "bearer"),
            ("bearer.token", "secret"),
        ],
        "http.request.headers",
        "Authorization is there already",
    ),
    (
        &[PLAIN, ("topic", "a/b")],
        "topic.name.pattern",
        "a topic's name has",
    ),
    (
        &[PLAIN, TOPIC, ("request.interval.ms", "0")],
        "request.interval.ms",
        "Value must be at least 1",
    ),
];

#[test]
fn keys_that_belong_together_are_held_against_each_other() {
    for (pairs, key, reason) in WRONG {
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
    for good in [&[PLAIN, TOPIC][..], &[URL, TOPIC, INITIAL, POINTER]] {
        assert_eq!(errors(good), []);
    }
}
