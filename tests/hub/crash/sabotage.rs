//! Guarantees broken from outside, behind the product's back, to see that the test sees it.

use std::fs::OpenOptions;

use super::check::file_names;
use super::pipeline::{LINES, Pipeline};

/// Which guarantee is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// A stored Parquet file goes away, with a later one behind it.
    Store,
    /// The broker forgets acknowledged records: the second half of a segment.
    Log,
    /// The word count forgets its state, but not that it has read what is there.
    Count,
}

impl Sabotage {
    pub(crate) const ALL: [(&'static str, Self); 3] =
        [("store", Self::Store), ("log", Self::Log), ("count", Self::Count)];

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
        }
    }

    /// Done while everything is dead.
    pub(crate) fn strike(self, pipeline: &mut Pipeline) {
        match self {
            Self::Store => {
                let files = file_names(&pipeline.stored_folder(), LINES);
                let with_a_later_one = files.windows(2).find(|pair| pair[0].1.0 == pair[1].1.0);
                let (path, _) = &with_a_later_one.expect("two files of one partition")[0];
                std::fs::remove_file(path).expect("removed");
            }
            Self::Log => {
                let segment = pipeline
                    .hub()
                    .partition_dir(LINES, 0)
                    .join("00000000000000000000.log");
                let file = OpenOptions::new().write(true).open(segment).expect("the segment");
                let length = file.metadata().expect("its length").len();
                file.set_len(length / 2).expect("cut");
            }
            Self::Count => {
                std::fs::remove_dir_all(pipeline.checkpoint()).expect("removed");
                pipeline.count_from("latest");
            }
        }
    }
}
