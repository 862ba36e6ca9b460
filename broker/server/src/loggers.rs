//! The loggers of this process and their levels, which tools may see and change while it runs (KIP-412; `Log4jController`). Which loggers
//! there are, and what a level does, is the business of whoever starts the broker: it gives both.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use forebay_broker_controller::ROOT_LOGGER;

/// From which level on a logger logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Nothing; it can only be there from the start.
    Off,
    /// As Error: there is nothing worse here.
    Fatal,
    /// Errors.
    Error,
    /// Warnings too.
    Warn,
    /// Unusual events too.
    Info,
    /// What helps to find a fault, too.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    const ALL: [Self; 7] = [
        Self::Off,
        Self::Fatal,
        Self::Error,
        Self::Warn,
        Self::Info,
        Self::Debug,
        Self::Trace,
    ];

    /// Kafka's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "OFF",
            Self::Fatal => "FATAL",
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
            Self::Trace => "TRACE",
        }
    }
}

/// No level has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no log level of this name")]
pub struct UnknownLevel;

/// Of Kafka's name, in whatever case.
impl FromStr for LogLevel {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        let known = Self::ALL.into_iter();
        let mut known = known.filter(|level| level.name().eq_ignore_ascii_case(text));
        known.next().ok_or(UnknownLevel)
    }
}

/// The levels that are set, by logger.
pub type LogLevels = BTreeMap<String, LogLevel>;

type Names = Box<dyn Fn() -> BTreeSet<String> + Send + Sync>;
type Apply = Box<dyn Fn(&LogLevels) + Send + Sync>;

/// All loggers. A logger that has no level of its own has that of the longest name that its own begins with, or `root`'s.
pub struct Loggers {
    levels: Mutex<LogLevels>,
    names: Names,
    apply: Apply,
}

impl Loggers {
    /// What is set now (that of `root` is [`LogLevel::Off`] unless given); which loggers there are; and how what is set takes effect.
    pub fn new(
        levels: LogLevels,
        names: impl Fn() -> BTreeSet<String> + Send + Sync + 'static,
        apply: impl Fn(&LogLevels) + Send + Sync + 'static,
    ) -> Self {
        Self {
            levels: Mutex::new(levels),
            names: Box::new(names),
            apply: Box::new(apply),
        }
    }

    /// Those that there are, without `root`.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        (self.names)()
    }

    /// Every logger, `root` among them, with the level that holds.
    pub fn effective(&self) -> LogLevels {
        let levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        let root = levels.get(ROOT_LOGGER).copied().unwrap_or(LogLevel::Off);
        let mut effective: LogLevels = self.names().into_iter().map(|name| (name, root)).collect();
        for (name, level) in &mut effective {
            let above = levels
                .iter()
                .filter(|(set, _)| *set != ROOT_LOGGER && name.starts_with(set.as_str()));
            if let Some((_, nearest)) = above.max_by_key(|(set, _)| set.len()) {
                *level = *nearest;
            }
        }
        effective.insert(ROOT_LOGGER.to_owned(), root);
        effective
    }

    /// The levels that are set.
    pub fn own(&self) -> LogLevels {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets levels, and takes those back that have none.
    pub fn change(&self, changes: impl Iterator<Item = (String, Option<LogLevel>)>) {
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, level) in changes {
            match level {
                Some(level) => {
                    tracing::warn!("Updated the log level of {name} to {}", level.name());
                    levels.insert(name, level);
                }
                None => {
                    tracing::warn!("Unset the log level of {name}");
                    levels.remove(&name);
                }
            }
        }
        (self.apply)(&levels);
    }
}

impl fmt::Debug for Loggers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Loggers")
            .field("levels", &self.levels)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logger_has_its_own_level_or_that_of_the_nearest_above() {
        let names = || ["a", "a::b", "a::b::c", "d"].map(str::to_owned).into();
        let levels = [(ROOT_LOGGER, LogLevel::Warn), ("a", LogLevel::Info)];
        let levels = levels.map(|(name, level)| (name.to_owned(), level)).into();
        let (applied, of_apply) = std::sync::mpsc::channel();
        let loggers = Loggers::new(levels, names, move |levels| {
            applied.send(levels.len()).expect("somebody listens");
        });
        let told = || {
            let told = loggers.effective();
            told.into_iter()
                .map(|(name, level)| format!("{name}={}", level.name()))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            told(),
            ["a=INFO", "a::b=INFO", "a::b::c=INFO", "d=WARN", "root=WARN"]
        );
        let change = |name: &str, level| loggers.change([(name.to_owned(), level)].into_iter());
        change("a::b", "DEBUG".parse().ok());
        change(ROOT_LOGGER, Some(LogLevel::Fatal));
        assert_eq!(
            told(),
            ["a=INFO", "a::b=DEBUG", "a::b::c=DEBUG", "d=FATAL", "root=FATAL"]
        );
        change("a", None);
        assert_eq!(
            told(),
            ["a=FATAL", "a::b=DEBUG", "a::b::c=DEBUG", "d=FATAL", "root=FATAL"]
        );
        assert_eq!(of_apply.try_iter().collect::<Vec<_>>(), [3, 3, 2]);
        assert_eq!("nosuch".parse::<LogLevel>(), Err(UnknownLevel));
    }
}
