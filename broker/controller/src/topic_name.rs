//! What a topic may be called, and which names would collide in the names of metrics (Kafka's `Topic`).

/// The longest name of a topic; with the partition's number it must still be a file name.
pub const NAME_LENGTH_MAX: usize = 249;

/// Consumer groups and their offsets.
pub const CONSUMER_OFFSETS: &str = "__consumer_offsets";
/// Transactions.
pub const TRANSACTION_STATE: &str = "__transaction_state";
/// Share groups (KIP-932).
pub const SHARE_GROUP_STATE: &str = "__share_group_state";
/// The metadata log; not a topic that clients can make.
pub const CLUSTER_METADATA: &str = "__cluster_metadata";

/// Whether Kafka keeps its own state in a topic of this name.
pub fn is_internal_topic(name: &str) -> bool {
    [CONSUMER_OFFSETS, TRANSACTION_STATE, SHARE_GROUP_STATE].contains(&name)
}

/// Why a topic may not be called so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It has no name.
    #[error("Topic name is invalid: the empty string is not allowed")]
    Empty,
    /// It would be a folder's own or parent's name.
    #[error("Topic name is invalid: '{0}' is not allowed")]
    Dots(&'static str),
    /// It is longer than [`NAME_LENGTH_MAX`].
    #[error(
        "Topic name is invalid: the length of '{0}' is longer than the max allowed length {NAME_LENGTH_MAX}"
    )]
    TooLong(String),
    /// It has characters that are not allowed.
    #[error(
        "Topic name is invalid: '{0}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
    )]
    Characters(String),
}

/// Checks the name of a topic.
///
/// # Errors
/// Says what is wrong, in Kafka's words.
pub fn validate_topic_name(name: &str) -> Result<(), Error> {
    match name {
        "" => Err(Error::Empty),
        "." => Err(Error::Dots(".")),
        ".." => Err(Error::Dots("..")),
        // Java counts UTF-16 units.
        _ if name.encode_utf16().count() > NAME_LENGTH_MAX => Err(Error::TooLong(name.to_owned())),
        _ if name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) =>
        {
            Ok(())
        }
        _ => Err(Error::Characters(name.to_owned())),
    }
}

/// Whether the name has characters that metrics cannot tell apart.
pub(crate) fn has_collision_chars(name: &str) -> bool {
    name.contains(['.', '_'])
}

/// The name as metrics have it: two topics whose names become the same collide.
pub(crate) fn unify(name: &str) -> String {
    name.replace('.', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_refused_in_kafkas_words() {
        let long = "a".repeat(NAME_LENGTH_MAX + 1);
        let cases = [
            ("", "Topic name is invalid: the empty string is not allowed".to_owned()),
            (".", "Topic name is invalid: '.' is not allowed".to_owned()),
            ("..", "Topic name is invalid: '..' is not allowed".to_owned()),
            (
                &long,
                format!("Topic name is invalid: the length of '{long}' is longer than the max allowed length 249"),
            ),
            (
                "a/../b",
                "Topic name is invalid: 'a/../b' contains one or more characters other than ASCII alphanumerics, '.', \
                 '_' and '-'"
                    .to_owned(),
            ),
        ];
        for (name, message) in cases {
            assert_eq!(validate_topic_name(name).expect_err(name).to_string(), message);
        }
        for name in ["a", "...", "A.b_c-9", &long[1..]] {
            assert_eq!(validate_topic_name(name), Ok(()), "{name}");
        }
        for name in ["a\0", "naïve", "a b", "a:b"] {
            assert!(
                matches!(validate_topic_name(name), Err(Error::Characters(_))),
                "{name}"
            );
        }
    }
}
