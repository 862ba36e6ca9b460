//! The keys of FileStreamSource: Kafka's three and four of our own.

use std::{path::PathBuf, sync::Arc};

use forebay_connect_api::{
    Error,
    config::{ConfigDef, ConfigKey, ConfigType, Importance, Properties, Validator},
};

const FILE: &str = "file";
const TOPIC: &str = "topic";
const BATCH_SIZE: &str = "batch.size";
const FILE_COMPLETE: &str = "file.complete";
const MAX_LINE_BYTES: &str = "max.line.bytes";
const INVALID_UTF8: &str = "invalid.utf8";
const ON_TRUNCATION: &str = "on.truncation";

/// 16 MiB, far above what a broker takes by default.
const MAX_LINE_BYTES_DEFAULT: i32 = 16 * 1024 * 1024;

/// What becomes of bytes that are not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InvalidUtf8 {
    /// U+FFFD stands for them, as in Kafka, and a warning says where.
    Replace,
    /// The task fails at the line.
    Fail,
}

/// What happens when the rest of a file that was truncated or replaced cannot be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnTruncation {
    /// The task fails and says what may be lost.
    Fail,
    /// What is there now is read from its beginning, and a warning says what may be lost.
    Beginning,
}

/// A configuration in its types.
#[derive(Debug, Clone)]
pub(super) struct Config {
    /// `None`: standard input.
    pub(super) file: Option<PathBuf>,
    /// The file as the user wrote it, for the source partition.
    pub(super) filename: Arc<str>,
    pub(super) topic: Arc<str>,
    pub(super) batch_size: usize,
    pub(super) complete: bool,
    pub(super) line_bytes_max: usize,
    pub(super) invalid_utf8: InvalidUtf8,
    pub(super) on_truncation: OnTruncation,
}

/// Java's `Integer` that must be positive.
fn count() -> Validator {
    Validator::between(1, i32::MAX)
}

pub(super) fn definition() -> ConfigDef {
    ConfigDef::new()
        .define(
            ConfigKey::new(FILE, ConfigType::String)
                .optional()
                .importance(Importance::High)
                .documentation("Source filename. If not specified, the standard input will be used"),
        )
        .define(
            ConfigKey::new(TOPIC, ConfigType::String)
                .validator(Validator::NonEmpty)
                .importance(Importance::High)
                .documentation("The topic to publish data to"),
        )
        .define(
            ConfigKey::new(BATCH_SIZE, ConfigType::Int)
                .default(2000)
                .documentation(
                    "The maximum number of records the source task can read from the file each time it is polled",
                ),
        )
        .define(
            ConfigKey::new(FILE_COMPLETE, ConfigType::Boolean)
                .default(false)
                .importance(Importance::Medium)
                .documentation(
                    "Whether the file is complete: it does not grow any more, so a last line without newline is a line. \
                     Otherwise such a line waits for its newline, as it does with Kafka's connector.",
                ),
        )
        .define(
            ConfigKey::new(MAX_LINE_BYTES, ConfigType::Int)
                .default(MAX_LINE_BYTES_DEFAULT)
                .validator(count())
                .documentation("The longest line in bytes, without its end. A longer one fails the task, which names its position."),
        )
        .define(
            ConfigKey::new(INVALID_UTF8, ConfigType::String)
                .default("replace")
                .validator(Validator::one_of(["replace", "fail"]))
                .documentation(
                    "What to do with bytes that are not UTF-8: put U+FFFD in their place, as Kafka's connector does, and warn; \
                     or fail the task at the line.",
                ),
        )
        .define(
            ConfigKey::new(ON_TRUNCATION, ConfigType::String)
                .default("fail")
                .validator(Validator::one_of(["fail", "beginning"]))
                .documentation(
                    "What to do when the file was truncated or replaced, and no file of its directory is provably the old one \
                     (a name that begins like the file's, and every byte that was read, at least 256): fail the task, or warn \
                     and read what is there now from the beginning. The latter is done anyway where no line was read yet.",
                ),
        )
}

impl Config {
    pub(super) fn parse(properties: &Properties) -> Result<Self, Error> {
        let config = definition().parse(properties)?;
        let filename = config.get_optional::<&str>(FILE).unwrap_or_default();
        let size = |key| usize::try_from(config.get_int(key)).expect("the validator wants it positive");
        Ok(Self {
            file: (!filename.is_empty()).then(|| PathBuf::from(filename)),
            filename: filename.into(),
            topic: config.get_string(TOPIC).into(),
            // Kafka's task takes any number, and gives out one record at least.
            batch_size: usize::try_from(config.get_int(BATCH_SIZE)).unwrap_or(1).max(1),
            complete: config.get_boolean(FILE_COMPLETE),
            line_bytes_max: size(MAX_LINE_BYTES),
            invalid_utf8: match config.get_string(INVALID_UTF8) {
                "fail" => InvalidUtf8::Fail,
                _ => InvalidUtf8::Replace,
            },
            on_truncation: match config.get_string(ON_TRUNCATION) {
                "beginning" => OnTruncation::Beginning,
                _ => OnTruncation::Fail,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_connect_api::config::{ConfigValue, Width};

    fn validated(given: &[(&str, &str)]) -> Vec<ConfigValue> {
        let given = given
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        definition().validate(&given.collect())
    }

    /// What a worker of Kafka 4.3.1 answered to `PUT /connector-plugins/FileStreamSource/config/validate`.
    #[test]
    fn kafkas_keys_are_defined_as_by_kafka() {
        let definition = definition();
        let documentation = [
            "Source filename. If not specified, the standard input will be used",
            "The topic to publish data to",
            "The maximum number of records the source task can read from the file each time it is polled",
        ];
        let importance = [Importance::High, Importance::High, Importance::Low];
        let types = [ConfigType::String, ConfigType::String, ConfigType::Int];
        for (index, name) in [FILE, TOPIC, BATCH_SIZE].into_iter().enumerate() {
            let key = &definition.keys()[index];
            let found = (
                key.name.as_str(),
                key.config_type,
                key.importance,
                key.documentation.as_str(),
            );
            assert_eq!(
                found,
                (name, types[index], importance[index], documentation[index])
            );
            assert_eq!(
                (key.is_required(), key.display_name.as_str()),
                (name == TOPIC, name)
            );
            assert_eq!(
                (&key.group, key.order_in_group, key.width),
                (&None, -1, Width::None)
            );
            assert!(key.dependents.is_empty());
        }
    }

    #[test]
    fn values_are_judged_as_by_kafka() {
        type Answer<'a> = (Option<&'a str>, &'a [&'a str]);
        type Case<'a> = (&'a [(&'a str, &'a str)], [Answer<'a>; 3]);
        let cases: [Case<'_>; 3] = [
            (
                &[],
                [
                    (None, &[]),
                    (
                        None,
                        &["Missing required configuration \"topic\" which has no default value."],
                    ),
                    (Some("2000"), &[]),
                ],
            ),
            (
                &[(TOPIC, ""), (BATCH_SIZE, "x"), (FILE, "")],
                [
                    (Some(""), &[]),
                    (
                        Some(""),
                        &["Invalid value  for configuration topic: String must be non-empty"],
                    ),
                    (
                        None,
                        &["Invalid value x for configuration batch.size: Not a number of type INT"],
                    ),
                ],
            ),
            (
                &[(TOPIC, "t"), (BATCH_SIZE, "0")],
                [(None, &[]), (Some("t"), &[]), (Some("0"), &[])],
            ),
        ];
        for (given, expected) in cases {
            for (found, (value, errors)) in validated(given).iter().zip(expected) {
                let shown = found.value.as_ref().map(ToString::to_string);
                assert_eq!(shown.as_deref(), value, "{given:?}");
                assert_eq!(found.errors, errors, "{given:?}");
            }
        }
    }
}
