//! What a definition makes of good and bad settings, and in what words.

use std::sync::Arc;

use super::*;
use crate::{Importance, Recommender, Unit, Validator};

type Pairs = &'static [(&'static str, &'static str)];

fn properties(pairs: &[(&str, &str)]) -> Properties {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

struct OnlyWithFile;

impl Recommender for OnlyWithFile {
    fn valid_values(&self, _: &str, _: &Values) -> Vec<Value> {
        vec![Value::String("gzip".to_owned())]
    }

    fn visible(&self, _: &str, parsed: &Values) -> bool {
        parsed["file"].is_some()
    }
}

fn def() -> ConfigDef {
    ConfigDef::new()
        .define(
            ConfigKey::new("topic", ConfigType::String)
                .importance(Importance::High)
                .group("Main", 1),
        )
        .define(
            ConfigKey::new("file", ConfigType::String)
                .optional()
                .group("Main", 2)
                .dependents(["codec"]),
        )
        .define(
            ConfigKey::new("batch.size", ConfigType::Int)
                .default(2000)
                .validator(Validator::at_least(1))
                .group("Tuning", 1),
        )
        .define(
            ConfigKey::new("codec", ConfigType::String)
                .default("none")
                .validator(Validator::one_of(["none", "gzip"]))
                .recommender(Arc::new(OnlyWithFile)),
        )
        .define(
            ConfigKey::new("secret", ConfigType::Password)
                .optional()
                .alias("old.secret"),
        )
}

#[test]
fn good_settings_become_typed_values() {
    let config = def()
        .parse(&properties(&[
            ("topic", " t "),
            ("old.secret", "x"),
            ("producer.override.acks", "1"),
        ]))
        .expect("all are valid");
    assert_eq!(config.get_string("topic"), "t");
    assert_eq!(config.get_optional::<&str>("file"), None);
    assert_eq!(config.get_int("batch.size"), 2000);
    assert_eq!(config.get_password("secret").value(), "x");
    assert_eq!(
        (config.source("topic"), config.source("batch.size")),
        (&Source::Given, &Source::Default)
    );
    assert_eq!(
        config.originals_with_prefix("producer.override."),
        properties(&[("acks", "1")])
    );
    assert!(!format!("{:?}", config.values()).contains("\"x\""));
}

#[test]
fn all_mistakes_are_told_at_once() {
    let errors = def()
        .parse(&properties(&[("batch.size", "0"), ("codec", "rar")]))
        .expect_err("three things are wrong")
        .to_string();
    assert_eq!(
        errors,
        "Missing required configuration \"topic\" which has no default value.\n\
         Invalid value 0 for configuration batch.size: Value must be at least 1\n\
         Invalid value rar for configuration codec: String must be one of: none, gzip"
    );
}

#[test]
fn validation_reports_every_key_as_connect_does() {
    let values = def().validate(&properties(&[("batch.size", "many")]));
    let names: Vec<&str> = values.iter().map(|value| value.name.as_str()).collect();
    assert_eq!(names, ["topic", "file", "batch.size", "codec", "secret"]);
    assert_eq!(
        values[2].errors,
        [
            "Invalid value many for configuration batch.size: Not a number of type INT",
            "Invalid value null for configuration batch.size: Value must be non-null",
        ]
    );
    assert_eq!(values[3].recommended_values, [Value::String("gzip".to_owned())]);
    assert!(!values[3].visible);
    assert_eq!(def().groups(), ["Main", "Tuning"]);
}

#[test]
fn dependents_must_be_defined() {
    let def = ConfigDef::new().define(ConfigKey::new("a", ConfigType::Int).default(1).dependents(["b"]));
    let values = def.validate(&Properties::new());
    assert_eq!(
        values[1].errors,
        ["b is referred in the dependents, but not defined."]
    );
}

#[test]
fn a_topic_key_stands_on_the_servers() {
    let retention = ConfigKey::new("retention.ms", ConfigType::Long)
        .default(604_800_000)
        .synonym("log.retention.ms", Unit::Same)
        .synonym("log.retention.minutes", Unit::Minutes)
        .synonym("log.retention.hours", Unit::Hours);
    let def = ConfigDef::new().define(retention);
    let cases: [(Pairs, Pairs, i64, Source); 5] = [
        (&[], &[], 604_800_000, Source::Default),
        (
            &[],
            &[("log.retention.hours", "2")],
            7_200_000,
            Source::Synonym("log.retention.hours".to_owned()),
        ),
        (
            &[],
            &[("log.retention.hours", "2"), ("log.retention.minutes", "1")],
            60_000,
            Source::Synonym("log.retention.minutes".to_owned()),
        ),
        (
            &[],
            &[("log.retention.hours", "-1")],
            -1,
            Source::Synonym("log.retention.hours".to_owned()),
        ),
        (
            &[("retention.ms", "5")],
            &[("log.retention.ms", "6")],
            5,
            Source::Given,
        ),
    ];
    for (topic, server, expected, source) in cases {
        let config = def
            .parse_with_defaults(&properties(topic), &properties(server))
            .expect("valid");
        assert_eq!(
            (config.get_long("retention.ms"), config.source("retention.ms")),
            (expected, &source)
        );
    }
}

#[test]
fn embedding_puts_a_prefix_on_every_key() {
    let child = ConfigDef::new().define(ConfigKey::new("type", ConfigType::Class).optional());
    let def = ConfigDef::new().embed("transforms.x.", "Transforms: x", 0, &child);
    let key = def.key("transforms.x.type").expect("embedded");
    assert_eq!(
        (key.group.as_deref(), key.order_in_group),
        (Some("Transforms: x"), 0)
    );
}

#[test]
#[should_panic(expected = "Configuration a is defined twice.")]
fn a_key_is_defined_once() {
    let key = ConfigKey::new("a", ConfigType::Int);
    let _ = ConfigDef::new().define(key.clone()).define(key);
}

#[test]
fn values_are_held_against_each_other_once_each_is_right() {
    let def = ConfigDef::new()
        .define(ConfigKey::new("min", ConfigType::Int))
        .define(ConfigKey::new("max", ConfigType::Int));
    let check = |given: &Properties| {
        let ordered = given["min"].parse::<i32>().ok() <= given["max"].parse().ok();
        Errors::check(if ordered {
            Vec::new()
        } else {
            vec![Error::invalid("max", &given["max"], "below min")]
        })
    };
    for (min, max, faults) in [("1", "2", [0, 0]), ("2", "1", [0, 1]), ("x", "1", [1, 0])] {
        let values = def.validate_with(&properties(&[("min", min), ("max", max)]), check);
        let found: Vec<usize> = values.iter().map(|value| value.errors.len()).collect();
        assert_eq!(found, faults, "{min} {max}");
    }
}
