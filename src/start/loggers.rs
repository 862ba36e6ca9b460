//! The loggers of this process as a Connect worker's `/admin/loggers` has them: under log4j's levels, of which `ALL` is as good as `TRACE`.

use std::collections::BTreeMap;
use std::sync::Arc;

use forebay_broker_server::{LogLevel, LogLevels, Loggers};
use forebay_connect_runtime::ProcessLoggers;

/// The loggers that broker and worker share.
#[derive(Debug)]
pub(super) struct WorkerLoggers(pub(super) Arc<Loggers>);

impl ProcessLoggers for WorkerLoggers {
    fn effective(&self) -> BTreeMap<String, String> {
        named(self.0.effective())
    }

    fn own(&self) -> BTreeMap<String, String> {
        named(self.0.own())
    }

    fn set(&self, names: &[String], level: &str) {
        let level: LogLevel = level.parse().unwrap_or(LogLevel::Trace);
        self.0
            .change(names.iter().map(|name| (name.clone(), Some(level))));
    }
}

fn named(levels: LogLevels) -> BTreeMap<String, String> {
    let levels = levels.into_iter();
    levels
        .map(|(name, level)| (name, level.name().to_owned()))
        .collect()
}
