//! A record of a dead letter queue: what it was before, and what its context headers tell (KIP-298).

use forebay_records::{Headers, Record};

use crate::cli::options::{Options, Stop};

/// What the keys of context headers begin with.
const CONTEXT: &str = "__connect.errors.";

/// A record of a dead letter queue.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    /// The queue's partition that it lies in.
    pub(super) partition: i32,
    pub(super) record: Record,
    context: Vec<(String, String)>,
}

impl Letter {
    pub(super) fn new(partition: i32, record: Record) -> Self {
        let context = record.headers.iter().filter_map(|header| {
            let key = header.key_text().strip_prefix(CONTEXT)?.to_owned();
            Some((key, String::from_utf8_lossy(header.value?).into_owned()))
        });
        let context = context.collect();
        Self {
            partition,
            record,
            context,
        }
    }

    /// What a context header tells, by the rest of its key: `topic`, `exception.message`. Of two, such as of a letter that was
    /// replayed and came back, the last.
    pub(super) fn context(&self, key: &str) -> Option<&str> {
        let found = self.context.iter().rfind(|(known, _)| known == key);
        found
            .map(|(_, text)| text.as_str())
            .filter(|text| !text.is_empty())
    }

    /// Its headers as they were before.
    pub(super) fn headers(&self) -> Headers {
        let before = self.record.headers.iter().filter_map(|header| {
            let key = header.key_text().into_owned();
            let value = header.value.map(|value| self.record.headers.share(value));
            (!key.starts_with(CONTEXT)).then_some((key, value))
        });
        before.collect()
    }

    /// Whether its key and value are not what the topic has, as they could not be converted or read.
    pub(super) fn is_raw(&self) -> bool {
        self.context("form").is_some()
    }
}

/// Which letters are meant.
#[derive(Debug, Default)]
pub(super) struct Selection {
    connector: Option<String>,
    error: Option<String>,
    topic: Option<String>,
    stage: Option<String>,
}

impl Selection {
    pub(super) fn new(options: &Options) -> Result<Self, Stop> {
        let text = |name| Ok::<_, Stop>(options.value(name)?.map(ToOwned::to_owned));
        Ok(Self {
            connector: text("connector")?,
            error: text("error")?,
            topic: text("from-topic")?,
            stage: text("stage")?,
        })
    }

    pub(super) fn has(&self, letter: &Letter) -> bool {
        let is = |wanted: &Option<String>, key: &str| {
            wanted
                .as_deref()
                .is_none_or(|wanted| letter.context(key) == Some(wanted))
        };
        let has_error = self.error.as_deref().is_none_or(|wanted| {
            let keys = ["exception.class.name", "exception.message"];
            keys.iter()
                .any(|key| letter.context(key).is_some_and(|text| text.contains(wanted)))
        });
        let stage = self.stage.as_deref().is_none_or(|wanted| {
            letter
                .context("stage")
                .is_some_and(|stage| stage.eq_ignore_ascii_case(wanted))
        });
        is(&self.connector, "connector.name") && is(&self.topic, "topic") && has_error && stage
    }
}

#[cfg(test)]
mod tests {
    use forebay_records::{Offset, Timestamp};

    use super::*;

    fn letter(headers: &[(&str, &str)]) -> Letter {
        let headers = headers.iter().map(|(key, value)| (*key, Some(*value)));
        let record = Record {
            offset: Offset(7),
            timestamp: Timestamp(1),
            key: None,
            value: Some("v".into()),
            headers: headers.collect::<Headers>(),
        };
        Letter::new(0, record)
    }

    #[test]
    fn context_is_told_from_what_was_there_before() {
        let letter = letter(&[
            ("mine", "1"),
            ("__connect.errors.topic", "first"),
            ("__connect.errors.exception.message", "no JSON"),
            ("__connect.errors.topic", "t"),
            ("__connect.errors.stage", "VALUE_CONVERTER"),
        ]);
        assert_eq!(letter.context("topic"), Some("t"), "the last");
        let before: Vec<String> = letter
            .headers()
            .iter()
            .map(|header| header.key_text().into_owned())
            .collect();
        assert_eq!(before, ["mine"]);
        let selection = |topic: &str, error: &str, stage: &str| Selection {
            topic: Some(topic.to_owned()),
            error: Some(error.to_owned()),
            stage: Some(stage.to_owned()),
            connector: None,
        };
        assert!(selection("t", "JSON", "value_converter").has(&letter));
        for other in [
            ("first", "JSON", "VALUE_CONVERTER"),
            ("t", "XML", "VALUE_CONVERTER"),
            ("t", "JSON", "TASK_PUT"),
        ] {
            assert!(!selection(other.0, other.1, other.2).has(&letter), "{other:?}");
        }
        assert!(Selection::default().has(&letter));
        let of_connector = Selection {
            connector: Some("c".to_owned()),
            ..Selection::default()
        };
        assert!(!of_connector.has(&letter));
    }
}
