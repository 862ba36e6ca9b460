//! The levels of loggers, as `/admin/loggers` shows and sets them (KIP-495, KIP-976; Kafka's `Loggers`). What a level does is the
//! business of whoever starts the worker.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use forebay_records::Timestamp;
use serde::Serialize;

use crate::herder::Error;

/// The logger above all others, in whatever case.
const ROOT: &str = "root";

/// The levels of log4j.
const LEVELS: [&str; 8] = ["OFF", "FATAL", "ERROR", "WARN", "INFO", "DEBUG", "TRACE", "ALL"];

/// How many loggers may have a level of their own: anybody can make one up.
const LOGGERS_MAX: usize = 1_000;

/// The loggers of the process that a worker runs in. One without a level of its own has that of the longest name that its own begins
/// with, or `root`'s.
pub trait ProcessLoggers: fmt::Debug + Send + Sync {
    /// Every logger, `root` among them, with the level that holds for it.
    fn effective(&self) -> BTreeMap<String, String>;

    /// Those with a level of their own.
    fn own(&self) -> BTreeMap<String, String>;

    /// Gives each of these a level of its own, one of log4j's in capitals. What no logger has, such as `ALL`, is taken for the nearest.
    fn set(&self, names: &[String], level: &str);
}

/// What is told of a logger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct LoggerLevel {
    level: String,
    /// When it was last set here; `None`: never.
    last_modified: Option<i64>,
}

/// The loggers of the worker's process, and when their levels were set.
#[derive(Debug)]
pub(crate) struct Loggers {
    process: Option<Arc<dyn ProcessLoggers>>,
    modified: Mutex<BTreeMap<String, (&'static str, Timestamp)>>,
}

impl Loggers {
    /// Those of a process, or none.
    pub(crate) fn new(process: Option<Arc<dyn ProcessLoggers>>) -> Self {
        Self {
            process,
            modified: Mutex::default(),
        }
    }

    /// Those with a level of their own.
    pub(crate) fn all(&self) -> BTreeMap<String, LoggerLevel> {
        let own = self.process.iter().flat_map(|process| process.own());
        own.map(|(name, level)| {
            let told = self.told(&name, level);
            (name, told)
        })
        .collect()
    }

    /// One of them; `None`: there is no such logger.
    pub(crate) fn get(&self, name: &str) -> Option<LoggerLevel> {
        let name = canonical(name);
        let level = self.known().remove(name)?;
        Some(self.told(name, level))
    }

    /// Sets the level of a logger and of those below it; gives the names of those that had another.
    ///
    /// # Errors
    /// If there are too many loggers already.
    pub(crate) fn set(
        &self,
        namespace: &str,
        level: &'static str,
        now: Timestamp,
    ) -> Result<Vec<String>, Error> {
        let namespace = canonical(namespace);
        let Some(process) = &self.process else {
            return Err(not_found(namespace));
        };
        let known = self.known();
        if !known.contains_key(namespace) && process.own().len() >= LOGGERS_MAX {
            return Err(Error::BadRequest(format!(
                "there are {LOGGERS_MAX} loggers with levels of their own; this one is not added"
            )));
        }
        let is_meant = |name: &str| namespace == ROOT || is_within(name, namespace);
        let mut names: Vec<String> = known.keys().filter(|name| is_meant(name)).cloned().collect();
        if !known.contains_key(namespace) {
            names.push(namespace.to_owned());
        }
        names.retain(|name| known.get(name).is_none_or(|before| before != level));
        names.sort();
        process.set(&names, level);
        let mut modified = self.modified.lock().unwrap_or_else(PoisonError::into_inner);
        modified.extend(names.iter().map(|name| (name.clone(), (level, now))));
        Ok(names)
    }

    fn known(&self) -> BTreeMap<String, String> {
        let mut known = BTreeMap::new();
        if let Some(process) = &self.process {
            known.extend(process.effective());
            known.extend(process.own());
        }
        known
    }

    fn told(&self, name: &str, level: String) -> LoggerLevel {
        let modified = self.modified.lock().unwrap_or_else(PoisonError::into_inner);
        let modified = modified.get(name);
        LoggerLevel {
            // No logger has `ALL`; whoever has set it sees it nevertheless.
            level: match modified {
                Some(("ALL", _)) if level == "TRACE" => "ALL".to_owned(),
                _ => level,
            },
            last_modified: modified.map(|(_, at)| at.0),
        }
    }
}

/// No logger goes by this name.
pub(crate) fn not_found(name: &str) -> Error {
    Error::NotFound(format!("Logger {name} not found."))
}

/// The level of this name, in whatever case.
pub(crate) fn level(name: &str) -> Option<&'static str> {
    LEVELS.into_iter().find(|level| level.eq_ignore_ascii_case(name))
}

fn canonical(name: &str) -> &str {
    if name.eq_ignore_ascii_case(ROOT) {
        ROOT
    } else {
        name
    }
}

fn is_within(name: &str, namespace: &str) -> bool {
    name.starts_with(namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default)]
    struct Three(Mutex<BTreeMap<String, String>>);

    impl ProcessLoggers for Three {
        fn effective(&self) -> BTreeMap<String, String> {
            let own = self.own();
            let level = |name: &str| own.get(name).cloned().unwrap_or_else(|| "WARN".to_owned());
            ["a", "a::b", "c", ROOT]
                .map(|name| (name.to_owned(), level(name)))
                .into()
        }

        fn own(&self) -> BTreeMap<String, String> {
            self.0.lock().expect("nobody panics with it").clone()
        }

        fn set(&self, names: &[String], level: &str) {
            let levels = names.iter().map(|name| (name.clone(), level.to_owned()));
            self.0.lock().expect("nobody panics with it").extend(levels);
        }
    }

    #[test]
    fn a_level_is_set_for_a_logger_and_those_below_it() {
        let loggers = Loggers::new(Some(Arc::new(Three::default())));
        let told = |name: &str| loggers.get(name).map(|told| (told.level, told.last_modified));
        assert!(loggers.all().is_empty());
        assert_eq!(told("a::b"), Some(("WARN".to_owned(), None)));
        assert_eq!(told("nobody"), None);
        let set = |name: &str, level, now| loggers.set(name, level, Timestamp(now)).expect("there is room");
        assert_eq!(set("a", "DEBUG", 1), ["a", "a::b"]);
        assert_eq!(told("a::b"), Some(("DEBUG".to_owned(), Some(1))));
        assert!(set("a::b", "DEBUG", 2).is_empty());
        assert_eq!(
            told("a::b"),
            Some(("DEBUG".to_owned(), Some(1))),
            "nothing has changed"
        );
        assert_eq!(set("new.one", "INFO", 3), ["new.one"]);
        assert_eq!(loggers.all().len(), 3);
        assert_eq!(set("ROOT", "ERROR", 4), ["a", "a::b", "c", "new.one", "root"]);
        assert_eq!(told("Root"), Some(("ERROR".to_owned(), Some(4))));
        assert_eq!(level("dEbug"), Some("DEBUG"));
        assert_eq!(level("loud"), None);
    }

    #[test]
    fn loggers_that_are_made_up_have_a_bound() {
        let loggers = Loggers::new(Some(Arc::new(Three::default())));
        for number in 0..LOGGERS_MAX {
            loggers
                .set(&format!("made.up.{number}"), "INFO", Timestamp(0))
                .expect("there is room");
        }
        assert!(loggers.set("made.up.too", "INFO", Timestamp(0)).is_err());
        loggers
            .set("made.up.7", "WARN", Timestamp(0))
            .expect("it is there");
    }
}
