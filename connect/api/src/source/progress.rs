//! How far a source is that has an end.

/// What a task has given out of all that there is: of a file that does not grow any more, of a sequence with a last record. What it did
/// before it was started again counts, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// So much is given out.
    pub done: u64,
    /// So much there is; it may become more.
    pub whole: u64,
    /// What these are numbers of.
    pub unit: ProgressUnit,
}

/// What a [`Progress`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgressUnit {
    /// Bytes of files, as they lie there.
    Bytes,
    /// Records.
    Records,
}

impl Progress {
    /// Of bytes.
    pub fn bytes(done: u64, whole: u64) -> Self {
        let unit = ProgressUnit::Bytes;
        Self { done, whole, unit }
    }

    /// Of records.
    pub fn records(done: u64, whole: u64) -> Self {
        let unit = ProgressUnit::Records;
        Self { done, whole, unit }
    }
}

impl ProgressUnit {
    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Records => "records",
        }
    }
}
