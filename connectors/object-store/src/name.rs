//! Names of objects: how they are made and what they say.

use forebay_connect_api::{Offset, TopicPartition};
use object_store::path::Path;

/// The parts of names that the configuration sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// `topics`.
    pub(crate) topics_dir: String,
    /// `/`
    pub(crate) directory_delimiter: String,
    /// `+`; see [`Layout::is_good_delimiter`].
    pub(crate) file_delimiter: String,
    /// Offsets are filled up with zeros to so many digits.
    pub(crate) pad_width: usize,
    /// `snappy.parquet`.
    pub(crate) extension: String,
}

/// Where the objects of one encoded partition are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folder {
    /// The folder: `topics/t/partition=0`.
    pub(crate) path: String,
    /// With what all of their names begin there: nothing, if `directory.delim` is a slash.
    pub(crate) prefix: String,
}

/// What an object stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Range {
    /// The first offset.
    pub(crate) start: Offset,
    /// The last one.
    pub(crate) end: Offset,
    /// Of which schema alone, where records of others between them are in other objects.
    pub(crate) schema: Option<String>,
}

/// What a file's name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// It stands for these offsets, both included.
    Range(Range),
    /// It begins with this offset and does not say where it ends, as those of Confluent's S3 sink.
    StartOnly(Offset),
    /// It is not of this partition.
    Foreign,
}

/// What stands before the schema in a name: `t+0+5+9.schema-3.avro`.
const SCHEMA: &str = "schema-";

impl Layout {
    /// Whether names made with it can be read again, in every store: some keep `~` as `%7E`.
    pub(crate) fn is_good_delimiter(delimiter: &str) -> bool {
        !delimiter.is_empty()
            && !delimiter.contains(|c: char| c.is_ascii_digit() || c == '/' || c == '.')
            && Path::from(delimiter).as_ref() == delimiter
    }

    /// What the names of a topic's objects begin with: `topics/t/`.
    fn topic(&self, topic: &str) -> String {
        let delimiter = &self.directory_delimiter;
        match self.topics_dir.as_str() {
            "" => format!("{topic}{delimiter}"),
            dir => format!("{dir}{delimiter}{topic}{delimiter}"),
        }
    }

    /// The folder below which all objects of a topic are.
    pub(crate) fn root(&self, topic: &str) -> Folder {
        Folder::of(self.topic(topic))
    }

    /// Where the objects of an encoded partition are.
    pub(crate) fn folder(&self, topic: &str, encoded: &str) -> Folder {
        Folder::of(format!(
            "{}{encoded}{}",
            self.topic(topic),
            self.directory_delimiter
        ))
    }

    /// What the names of the objects of one partition of a topic begin with in their folder.
    pub(crate) fn beginning(&self, of: &TopicPartition, encoded: &str) -> String {
        let delimiter = &self.file_delimiter;
        let prefix = self.folder(&of.topic, encoded).prefix;
        format!("{prefix}{}{delimiter}{}{delimiter}", of.topic, of.partition)
    }

    /// The name of an object, with its folder.
    pub(crate) fn name(&self, of: &TopicPartition, encoded: &str, range: &Range) -> String {
        let (delimiter, width) = (&self.file_delimiter, self.pad_width);
        let path = self.folder(&of.topic, encoded).path;
        let beginning = self.beginning(of, encoded);
        let slash = if path.is_empty() { "" } else { "/" };
        let schema = range.schema.as_deref();
        let schema = schema.map_or_else(String::new, |schema| format!("{SCHEMA}{schema}."));
        format!(
            "{path}{slash}{beginning}{:0width$}{delimiter}{:0width$}.{schema}{}",
            range.start.value(),
            range.end.value(),
            self.extension
        )
    }

    /// As long a name as objects of an encoded partition may have.
    pub(crate) fn longest(&self, of: &TopicPartition, encoded: &str) -> String {
        let longest = Range {
            // As long as `Files::kind` has it.
            schema: Some("00000000".to_owned()),
            ..Range::new(Offset(i64::MAX), Offset(i64::MAX))
        };
        self.name(of, encoded, &longest)
    }

    /// Reads a name without its folder and prefix, of whatever extension.
    pub(crate) fn parse(&self, of: &TopicPartition, name: &str) -> Parsed {
        let delimiter = self.file_delimiter.as_str();
        let rest = name
            .strip_prefix(&*of.topic)
            .and_then(|rest| rest.strip_prefix(delimiter))
            .and_then(|rest| rest.strip_prefix(&of.partition.to_string()))
            .and_then(|rest| rest.strip_prefix(delimiter))
            .and_then(|rest| rest.split_once('.'));
        let Some((offsets, extension)) = rest else {
            return Parsed::Foreign;
        };
        let schema = extension
            .strip_prefix(SCHEMA)
            .and_then(|rest| rest.split_once('.'))
            .map(|(schema, _)| schema.to_owned());
        match offsets.split_once(delimiter) {
            Some((start, end)) => match (offset(start), offset(end)) {
                (Some(start), Some(end)) if start <= end => Parsed::Range(Range { start, end, schema }),
                _ => Parsed::Foreign,
            },
            None => offset(offsets).map_or(Parsed::Foreign, Parsed::StartOnly),
        }
    }
}

impl Folder {
    fn of(beginning: String) -> Self {
        match beginning.rsplit_once('/') {
            Some((path, prefix)) => Self {
                path: path.to_owned(),
                prefix: prefix.to_owned(),
            },
            None => Self {
                path: String::new(),
                prefix: beginning,
            },
        }
    }
}

impl Range {
    /// Of all schemas.
    pub(crate) fn new(start: Offset, end: Offset) -> Self {
        Self {
            start,
            end,
            schema: None,
        }
    }
}

fn offset(digits: &str) -> Option<Offset> {
    let only_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| only_digits).map(Offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(directory_delimiter: &str, file_delimiter: &str) -> Layout {
        Layout {
            topics_dir: "topics".to_owned(),
            directory_delimiter: directory_delimiter.to_owned(),
            file_delimiter: file_delimiter.to_owned(),
            pad_width: 10,
            extension: "snappy.parquet".to_owned(),
        }
    }

    fn range(start: i64, end: i64) -> Range {
        Range::new(Offset(start), Offset(end))
    }

    #[test]
    fn names_say_what_they_hold() {
        let of = TopicPartition::new("my-topic.v1", 3);
        for delimiter in ["+", "-", "_", "--"] {
            let layout = layout("/", delimiter);
            for (start, end) in [(0, 0), (17, 9_999_999_999), (12_345_678_901, i64::MAX)] {
                for schema in [None, Some("7".to_owned())] {
                    let range = Range {
                        schema,
                        ..range(start, end)
                    };
                    let name = layout.name(&of, "partition=3", &range);
                    let (folder, file) = name.rsplit_once('/').expect("it has a folder");
                    assert_eq!(folder, "topics/my-topic.v1/partition=3");
                    assert_eq!(layout.parse(&of, file), Parsed::Range(range), "{name}");
                }
            }
        }
        let of = TopicPartition::new("t", 0);
        let cases = [
            (
                "topics",
                "/",
                "a=1/b=2",
                None,
                "topics/t/a=1/b=2/t+0+0000000005+0000000009.snappy.parquet",
            ),
            (
                "",
                "/",
                "a=1",
                None,
                "t/a=1/t+0+0000000005+0000000009.snappy.parquet",
            ),
            (
                "",
                "_",
                "a=1",
                None,
                "t_a=1_t+0+0000000005+0000000009.snappy.parquet",
            ),
            (
                "x/y",
                "_",
                "a=1",
                None,
                "x/y_t_a=1_t+0+0000000005+0000000009.snappy.parquet",
            ),
            (
                "x",
                "/",
                "a=1",
                Some("9f"),
                "x/t/a=1/t+0+0000000005+0000000009.schema-9f.snappy.parquet",
            ),
        ];
        for (dir, delimiter, encoded, schema, expected) in cases {
            let layout = Layout {
                topics_dir: dir.to_owned(),
                ..layout(delimiter, "+")
            };
            let range = Range {
                schema: schema.map(str::to_owned),
                ..range(5, 9)
            };
            assert_eq!(layout.name(&of, encoded, &range), expected);
            let Folder { path, prefix } = layout.folder("t", encoded);
            let rest = expected
                .strip_prefix(&path)
                .expect("it is there")
                .trim_start_matches('/');
            let rest = rest.strip_prefix(&prefix).expect("it begins so");
            assert_eq!(layout.parse(&of, rest), Parsed::Range(range));
        }
    }

    #[test]
    fn other_names_are_told_apart() {
        let (layout, of) = (layout("/", "+"), TopicPartition::new("t", 1));
        let cases = [
            ("t+1+0000000005.avro", Parsed::StartOnly(Offset(5))),
            ("t+1+5+7.json", Parsed::Range(range(5, 7))),
            (
                "t+1+5+7.schema-.json",
                Parsed::Range(Range {
                    schema: Some(String::new()),
                    ..range(5, 7)
                }),
            ),
            ("t+1+5+7.schema-json", Parsed::Range(range(5, 7))),
            ("t+10+0000000005+0000000007.json", Parsed::Foreign),
            ("tt+1+0000000005+0000000007.json", Parsed::Foreign),
            ("t+1+7+5.json", Parsed::Foreign),
            ("t+1+-5+7.json", Parsed::Foreign),
            ("t+1++7.json", Parsed::Foreign),
            ("t+1+5+99999999999999999999.json", Parsed::Foreign),
            (".t+1+5+7.json.tmp", Parsed::Foreign),
            ("_SUCCESS", Parsed::Foreign),
            ("t+1+5+7", Parsed::Foreign),
        ];
        for (name, expected) in cases {
            assert_eq!(layout.parse(&of, name), expected, "{name}");
        }
        for bad in ["", "/", "1", ".", "~", "#", "|", "%", "<", "+~", "{", "é", " \n"] {
            assert!(!Layout::is_good_delimiter(bad), "{bad:?}");
        }
    }
}
