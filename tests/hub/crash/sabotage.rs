//! Guarantees broken from outside, behind the product's back, to see that the test sees it.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::check::file_names;
use super::pipeline::{LINES, Pipeline};

/// How long the pipeline may take until there is something to break.
const PREPARATION_MAX: Duration = Duration::from_secs(60);

const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Which guarantee is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// A stored Parquet file goes away, with a later one behind it.
    Store,
    /// The broker forgets acknowledged records: the second half of a segment.
    Log,
    /// The word count forgets its state, but not that it has read what is there.
    Count,
    /// Sources have no transactions.
    Transaction,
}

impl Sabotage {
    pub(crate) const ALL: [(&'static str, Self); 4] = [
        ("store", Self::Store),
        ("log", Self::Log),
        ("count", Self::Count),
        ("transaction", Self::Transaction),
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        let known = Self::ALL.into_iter().find(|(known, _)| *known == name);
        known.map(|(_, sabotage)| sabotage)
    }

    /// What the checker must say of it.
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::Store => "is in no Parquet file",
            Self::Log => "missing from the topic",
            Self::Count => "is counted",
            Self::Transaction => "times more than in the input",
        }
    }

    /// Waits until there is something to break.
    pub(crate) fn wait(self, pipeline: &Pipeline) {
        let deadline = Instant::now() + PREPARATION_MAX;
        while !self.can_strike(pipeline) {
            assert!(Instant::now() < deadline, "there is nothing to break: {self:?}");
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    fn can_strike(self, pipeline: &Pipeline) -> bool {
        match self {
            Self::Store => with_a_later_one(pipeline).is_some(),
            Self::Log | Self::Transaction => has_records(pipeline),
            Self::Count => has_records(pipeline) && pipeline.checkpoint().exists(),
        }
    }

    /// Done while everything is dead.
    pub(crate) fn strike(self, pipeline: &mut Pipeline) {
        match self {
            Self::Store => {
                let path = with_a_later_one(pipeline).expect("two files of one partition");
                std::fs::remove_file(path).expect("removed");
            }
            Self::Log => {
                let segment = OpenOptions::new().write(true).open(segment(pipeline));
                let file = segment.expect("the segment");
                file.set_len(written(pipeline) / 2).expect("cut");
            }
            // It was from the beginning, by the hub's configuration.
            Self::Transaction => {}
            Self::Count => {
                std::fs::remove_dir_all(pipeline.checkpoint()).expect("removed");
                pipeline.count_from("latest");
            }
        }
    }
}

/// A stored file that another of its partition follows.
fn with_a_later_one(pipeline: &Pipeline) -> Option<PathBuf> {
    let files = file_names(&pipeline.stored_folder(), LINES);
    let pair = files.windows(2).find(|pair| pair[0].1.0 == pair[1].1.0)?;
    Some(pair[0].0.clone())
}

/// Whether the topic has so many that the half of them are whole batches.
fn has_records(pipeline: &Pipeline) -> bool {
    written(pipeline) > 10_000
}

/// How much of the segment is records: the log has zeros behind them, ahead of what it will write.
fn written(pipeline: &Pipeline) -> u64 {
    let bytes = std::fs::read(segment(pipeline)).unwrap_or_default();
    bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last as u64 + 1)
}

fn segment(pipeline: &Pipeline) -> PathBuf {
    pipeline
        .hub()
        .partition_dir(LINES, 0)
        .join("00000000000000000000.log")
}
