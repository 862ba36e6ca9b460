//! Which partition a log is of, how its folder is called, and which topic names are allowed (Kafka's `Topic`):
//! no name that gets through here leaves the data directory.

use std::fmt;
use std::sync::Arc;

/// The longest topic name, so that `<topic>-<partition>` with a suffix fits into a file name.
pub const TOPIC_NAME_LENGTH_MAX: usize = 249;

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    topic: Arc<str>,
    partition: i32,
}

/// Why a name cannot be a topic's. The texts are Kafka's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTopic {
    /// The name is empty.
    #[error("the empty string is not allowed")]
    Empty,
    /// The name is `.` or `..`.
    #[error("'{name}' is not allowed")]
    Dots {
        /// The name.
        name: String,
    },
    /// The name is too long.
    #[error("the length of '{name}' is longer than the max allowed length {TOPIC_NAME_LENGTH_MAX}")]
    TooLong {
        /// The name.
        name: String,
    },
    /// The name has other characters than letters, digits, `.`, `_` and `-`.
    #[error("'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'")]
    Characters {
        /// The name.
        name: String,
    },
    /// The partition number is negative.
    #[error("partition {partition} of topic '{name}' is negative")]
    NegativePartition {
        /// The topic.
        name: String,
        /// The number.
        partition: i32,
    },
}

/// Whether `name` can be a topic's (`Topic.validate`).
///
/// # Errors
/// What is wrong with it.
pub fn validate_topic_name(name: &str) -> Result<(), InvalidTopic> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    match name {
        "" => Err(InvalidTopic::Empty),
        "." | ".." => Err(InvalidTopic::Dots {
            name: name.to_owned(),
        }),
        _ if name.len() > TOPIC_NAME_LENGTH_MAX => Err(InvalidTopic::TooLong {
            name: name.to_owned(),
        }),
        _ if !name.bytes().all(legal) => Err(InvalidTopic::Characters {
            name: name.to_owned(),
        }),
        _ => Ok(()),
    }
}

impl TopicPartition {
    /// A partition of a topic with a valid name.
    ///
    /// # Errors
    /// If the name is not valid or the partition negative.
    pub fn new(topic: &str, partition: i32) -> Result<TopicPartition, InvalidTopic> {
        validate_topic_name(topic)?;
        if partition < 0 {
            return Err(InvalidTopic::NegativePartition {
                name: topic.to_owned(),
                partition,
            });
        }
        Ok(TopicPartition {
            topic: Arc::from(topic),
            partition,
        })
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The number within the topic.
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// The partition whose folder has this name: `<topic>-<partition>`.
    pub fn from_folder_name(name: &str) -> Option<TopicPartition> {
        let (topic, partition) = name.rsplit_once('-')?;
        let canonical = partition == "0" || !partition.starts_with(['0', '+', '-']);
        let partition = partition.parse().ok().filter(|_| canonical)?;
        TopicPartition::new(topic, partition).ok()
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_names() {
        let longest = "x".repeat(TOPIC_NAME_LENGTH_MAX);
        for good in ["a", "a.b_c-d", "...", "__consumer_offsets", "0", &longest] {
            assert_eq!(validate_topic_name(good), Ok(()), "{good}");
        }
        let too_long = "x".repeat(TOPIC_NAME_LENGTH_MAX + 1);
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "../a",
            "a\0b",
            "\u{e9}t\u{e9}",
            "a b",
            "a\\b",
            &too_long,
        ] {
            assert!(validate_topic_name(bad).is_err(), "{bad:?}");
            assert!(TopicPartition::new(bad, 0).is_err(), "{bad:?}");
        }
        assert!(TopicPartition::new("a", -1).is_err());
    }

    #[test]
    fn folder_names_and_back() {
        for (topic, partition, name) in [
            ("a", 0, "a-0"),
            ("a-1", 12, "a-1-12"),
            ("x.y_z", i32::MAX, "x.y_z-2147483647"),
        ] {
            let partition = TopicPartition::new(topic, partition).expect("valid");
            assert_eq!(partition.to_string(), name);
            assert_eq!(TopicPartition::from_folder_name(name), Some(partition));
        }
        for name in [
            "a",
            "a-",
            "-0",
            "a-x",
            "a-01",
            "a-+1",
            "a-2147483648",
            "a/b-0",
            "..-0x",
        ] {
            assert_eq!(TopicPartition::from_folder_name(name), None, "{name}");
        }
        // ".." cannot be a topic, "..-0" is the folder of none.
        assert_eq!(TopicPartition::from_folder_name("..-0"), None);
    }
}
