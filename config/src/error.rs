//! What can be wrong with a configuration, in Kafka's own words, and the list of all that was wrong.

use crate::entries::Location;

/// One thing that is wrong with a configuration (Kafka's `ConfigException`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A key without default was not given.
    #[error("Missing required configuration \"{key}\" which has no default value.")]
    Missing {
        /// The key.
        key: String,
    },
    /// A value could not be read or is not allowed.
    #[error("Invalid value {value} for configuration {key}: {reason}")]
    Invalid {
        /// The key.
        key: String,
        /// The value as given; `null` for none, `[hidden]` for a password.
        value: String,
        /// Why, in Kafka's words.
        reason: String,
    },
    /// A key that no definition has.
    #[error("Unknown configuration \"{key}\"{}", hint(.nearest.as_deref()))]
    Unknown {
        /// The key.
        key: String,
        /// The known key that it nearly is, if there is one.
        nearest: Option<String>,
    },
    /// Something that concerns several keys, or that only the role itself can see.
    #[error("{message}")]
    Other {
        /// The key it is most about.
        key: Option<String>,
        /// The whole message.
        message: String,
    },
    /// A file that is not in its format.
    #[error("{message}")]
    Syntax {
        /// What is wrong and how to put it right.
        message: String,
    },
    /// Another error, with the place in the file that caused it.
    #[error("{location}: {error}")]
    At {
        /// File and line.
        location: Location,
        /// The error itself.
        error: Box<Error>,
    },
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!("; did you mean \"{nearest}\"?"))
}

impl Error {
    /// The key that the error is about.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Missing { key } | Self::Invalid { key, .. } | Self::Unknown { key, .. } => Some(key),
            Self::Other { key, .. } => key.as_deref(),
            Self::Syntax { .. } => None,
            Self::At { error, .. } => error.key(),
        }
    }

    /// A value that is not allowed, for checks that a role makes itself.
    #[allow(clippy::needless_pass_by_value)] // Literals of many types.
    pub fn invalid(key: impl Into<String>, value: impl ToString, reason: impl Into<String>) -> Self {
        Self::Invalid {
            key: key.into(),
            value: value.to_string(),
            reason: reason.into(),
        }
    }

    /// A message of the role's own.
    pub fn other(message: impl Into<String>) -> Self {
        Self::Other {
            key: None,
            message: message.into(),
        }
    }
}

/// Everything that was wrong with a configuration, at least one thing. `Display` puts one per line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errors(Vec<Error>);

impl Errors {
    /// `Ok` if nothing was wrong.
    pub fn check(errors: Vec<Error>) -> Result<(), Self> {
        if errors.is_empty() {
            Ok(())
        } else {
            Err(Self(errors))
        }
    }

    /// Each of them, in the order of the definition.
    pub fn iter(&self) -> std::slice::Iter<'_, Error> {
        self.0.iter()
    }
}

impl From<Error> for Errors {
    fn from(error: Error) -> Self {
        Self(vec![error])
    }
}

impl IntoIterator for Errors {
    type Item = Error;
    type IntoIter = std::vec::IntoIter<Error>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Errors {
    type Item = &'a Error;
    type IntoIter = std::slice::Iter<'a, Error>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl std::fmt::Display for Errors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}
