//! What is logged to standard error: warnings and errors, or what `FOREBAY_LOG` asks for (`info`, `forebay_client=debug`, ...), until
//! somebody changes the levels of the running broker's loggers. A logger is a crate or a module of one.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _, Stderr, Write};
use std::sync::{Arc, Mutex, PoisonError};

use forebay_broker_server::{LogLevel, LogLevels, Loggers};
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt, reload};

/// The crates of this program: they are loggers before they have logged.
const CRATES: [&str; 27] = [
    "forebay",
    "forebay_broker_controller",
    "forebay_broker_coordinator",
    "forebay_broker_log",
    "forebay_broker_partition",
    "forebay_broker_server",
    "forebay_client",
    "forebay_config",
    "forebay_connect_api",
    "forebay_connect_avro",
    "forebay_connect_runtime",
    "forebay_connect_transforms",
    "forebay_connectors_datagen",
    "forebay_connectors_file",
    "forebay_connectors_http",
    "forebay_connectors_object_store",
    "forebay_console",
    "forebay_disk",
    "forebay_http",
    "forebay_metrics",
    "forebay_protocol",
    "forebay_records",
    "forebay_rest_proxy",
    "forebay_schema_registry_client",
    "forebay_schema_registry_schema",
    "forebay_schema_registry_server",
    "forebay_streams",
];

const ROOT: &str = "root";

/// Starts to log, and gives the loggers.
pub(crate) fn to_stderr() -> Arc<Loggers> {
    let asked = std::env::var("FOREBAY_LOG").ok();
    let asked = asked.filter(|text| EnvFilter::try_new(text).is_ok());
    let Asked { levels, others } = Asked::of(asked.as_deref().unwrap_or("warn"));
    let (filter, handle) = reload::Layer::new(filter(&levels, &others));
    let seen = Seen::default();
    let names = seen.clone();
    tracing_subscriber::registry()
        .with(filter)
        .with(
            fmt::layer()
                .with_writer(|| Redacting(io::stderr()))
                .with_ansi(io::stderr().is_terminal()),
        )
        .with(seen)
        .init();
    Arc::new(Loggers::new(
        levels,
        move || names.all(),
        move |levels| {
            // It fails only once the program has no logging left.
            let _ = handle.reload(self::filter(levels, &others));
        },
    ))
}

/// Writes no secret that a config provider has given to a connector: the reference to it stands in its place.
struct Redacting(Stderr);

impl Write for Redacting {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        self.0
            .write_all(forebay_connect_runtime::redact(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn filter(levels: &LogLevels, others: &[String]) -> EnvFilter {
    EnvFilter::new(directives(levels, others))
}

/// In the words of `EnvFilter`.
fn directives(levels: &LogLevels, others: &[String]) -> String {
    let own = levels.iter().map(|(name, level)| {
        let level = match level {
            LogLevel::Fatal => LogLevel::Error.name(),
            level => level.name(),
        };
        if name == ROOT {
            level.to_owned()
        } else {
            format!("{name}={level}")
        }
    });
    own.chain(others.iter().cloned()).collect::<Vec<_>>().join(",")
}

/// What `FOREBAY_LOG` says.
#[derive(Debug, PartialEq)]
struct Asked {
    levels: LogLevels,
    /// What is about spans, and stays as it is.
    others: Vec<String>,
}

impl Asked {
    fn of(text: &str) -> Self {
        let mut levels = LogLevels::from([(ROOT.to_owned(), LogLevel::Off)]);
        if text.contains('[') {
            let others = vec![text.to_owned()];
            return Self { levels, others };
        }
        for directive in text
            .split(',')
            .map(str::trim)
            .filter(|directive| !directive.is_empty())
        {
            let (name, level) = match directive.split_once('=') {
                Some((name, level)) => (name, level.parse()),
                None => match directive.parse() {
                    Ok(level) => (ROOT, Ok(level)),
                    // A name alone is all of it.
                    Err(_) => (directive, Ok(LogLevel::Trace)),
                },
            };
            if let Ok(level) = level {
                levels.insert(name.to_owned(), level);
            }
        }
        let others = Vec::new();
        Self { levels, others }
    }
}

/// The names that have had something to log, wanted or not; as many as there are modules.
#[derive(Debug, Clone, Default)]
struct Seen(Arc<Mutex<BTreeSet<&'static str>>>);

impl Seen {
    fn all(&self) -> BTreeSet<String> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = seen.iter().copied();
        CRATES.into_iter().chain(seen).map(ToOwned::to_owned).collect()
    }
}

impl<S: Subscriber> Layer<S> for Seen {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(metadata.target());
        Interest::always()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_levels_of_loggers() {
        type Levels<'a> = &'a [(&'a str, LogLevel)];
        let cases: [(&str, Levels<'_>, &str); 5] = [
            ("warn", &[(ROOT, LogLevel::Warn)], "WARN"),
            (
                "info, forebay_client=debug",
                &[(ROOT, LogLevel::Info), ("forebay_client", LogLevel::Debug)],
                "forebay_client=DEBUG,INFO",
            ),
            (
                "forebay_client",
                &[(ROOT, LogLevel::Off), ("forebay_client", LogLevel::Trace)],
                "forebay_client=TRACE,OFF",
            ),
            ("off", &[(ROOT, LogLevel::Off)], "OFF"),
            (
                "forebay[request{id=7}]=debug",
                &[(ROOT, LogLevel::Off)],
                "OFF,forebay[request{id=7}]=debug",
            ),
        ];
        for (text, levels, expected) in cases {
            let asked = Asked::of(text);
            let levels: LogLevels = levels
                .iter()
                .map(|(name, level)| ((*name).to_owned(), *level))
                .collect();
            assert_eq!(asked.levels, levels, "{text}");
            let told = directives(&asked.levels, &asked.others);
            assert_eq!(told, expected);
            assert!(EnvFilter::try_new(&told).is_ok(), "{told}");
        }
        let worst = LogLevels::from([(ROOT.to_owned(), LogLevel::Fatal)]);
        assert_eq!(directives(&worst, &[]), "ERROR");
    }

    #[test]
    fn every_crate_is_a_logger() {
        let members = include_str!("../Cargo.toml").lines().filter_map(|line| {
            let path = line.trim().strip_prefix('"')?.strip_suffix("\",")?;
            (!path.contains(' ')).then(|| format!("forebay_{}", path.replace(['/', '-'], "_")))
        });
        // No part of the process.
        let tools = [
            "forebay_config_derive",
            "forebay_connect_testing",
            "forebay_xtask",
        ];
        let rooms = members.filter(|name| !tools.contains(&name.as_str()));
        let expected: BTreeSet<String> = rooms.chain(["forebay".to_owned()]).collect();
        assert_eq!(Seen::default().all(), expected);
    }
}
