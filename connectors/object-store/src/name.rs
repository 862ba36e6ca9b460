//! Names of objects: how they are made and what they say.

use forebay_connect_api::{Offset, TopicPartition};
use object_store::path::Path;

/// The parts of names that the configuration sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// `topics`.
    pub(crate) topics_dir: String,
    /// `+`; see [`Layout::is_good_delimiter`].
    pub(crate) file_delimiter: String,
    /// Offsets are filled up with zeros to so many digits.
    pub(crate) pad_width: usize,
    /// `snappy.parquet`.
    pub(crate) extension: String,
}

/// What a file's name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// It stands for these offsets, both included.
    Range(Offset, Offset),
    /// It begins with this offset and does not say where it ends, as those of Confluent's S3 sink.
    StartOnly(Offset),
    /// It is not of this partition.
    Foreign,
}

impl Layout {
    /// Whether names made with it can be read again, in every store: some keep `~` as `%7E`.
    pub(crate) fn is_good_delimiter(delimiter: &str) -> bool {
        !delimiter.is_empty()
            && !delimiter.contains(|c: char| c.is_ascii_digit() || c == '/' || c == '.')
            && Path::from(delimiter).as_ref() == delimiter
    }

    /// Where the objects of a partition are: `topics/t/partition=0`.
    pub(crate) fn folder(&self, of: &TopicPartition) -> String {
        let (dir, slash) = match self.topics_dir.as_str() {
            "" => ("", ""),
            dir => (dir, "/"),
        };
        format!("{dir}{slash}{}/partition={}", of.topic, of.partition)
    }

    /// The name of an object of that range, with its folder.
    pub(crate) fn name(&self, of: &TopicPartition, start: Offset, end: Offset) -> String {
        let (delimiter, width) = (&self.file_delimiter, self.pad_width);
        format!(
            "{}/{}{delimiter}{}{delimiter}{:0width$}{delimiter}{:0width$}.{}",
            self.folder(of),
            of.topic,
            of.partition,
            start.value(),
            end.value(),
            self.extension
        )
    }

    /// Reads a name without its folder, of whatever extension.
    pub(crate) fn parse(&self, of: &TopicPartition, name: &str) -> Parsed {
        let delimiter = self.file_delimiter.as_str();
        let offsets = name
            .strip_prefix(&*of.topic)
            .and_then(|rest| rest.strip_prefix(delimiter))
            .and_then(|rest| rest.strip_prefix(&of.partition.to_string()))
            .and_then(|rest| rest.strip_prefix(delimiter))
            .and_then(|rest| rest.split_once('.'))
            .map(|(offsets, _extension)| offsets);
        let Some(offsets) = offsets else {
            return Parsed::Foreign;
        };
        match offsets.split_once(delimiter) {
            Some((start, end)) => match (offset(start), offset(end)) {
                (Some(start), Some(end)) if start <= end => Parsed::Range(start, end),
                _ => Parsed::Foreign,
            },
            None => offset(offsets).map_or(Parsed::Foreign, Parsed::StartOnly),
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

    fn layout(file_delimiter: &str) -> Layout {
        Layout {
            topics_dir: "topics".to_owned(),
            file_delimiter: file_delimiter.to_owned(),
            pad_width: 10,
            extension: "snappy.parquet".to_owned(),
        }
    }

    #[test]
    fn names_say_what_they_hold() {
        let of = TopicPartition::new("my-topic.v1", 3);
        for delimiter in ["+", "-", "_", "--"] {
            let layout = layout(delimiter);
            for (start, end) in [(0, 0), (17, 9_999_999_999), (12_345_678_901, i64::MAX)] {
                let name = layout.name(&of, Offset(start), Offset(end));
                let (folder, file) = name.rsplit_once('/').expect("it has a folder");
                assert_eq!(folder, "topics/my-topic.v1/partition=3");
                assert_eq!(
                    layout.parse(&of, file),
                    Parsed::Range(Offset(start), Offset(end)),
                    "{name}"
                );
            }
        }
        let name = layout("+").name(&TopicPartition::new("t", 0), Offset(5), Offset(9));
        assert_eq!(
            name,
            "topics/t/partition=0/t+0+0000000005+0000000009.snappy.parquet"
        );
    }

    #[test]
    fn other_names_are_told_apart() {
        let (layout, of) = (layout("+"), TopicPartition::new("t", 1));
        let cases = [
            ("t+1+0000000005.avro", Parsed::StartOnly(Offset(5))),
            ("t+1+5+7.json", Parsed::Range(Offset(5), Offset(7))),
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
