//! What a coordinator is at, for those who count or have to know whether it can be asked.

use super::{Driver, Shard, State};

/// What a coordinator is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its log is being read.
    Loading,
    /// It answers.
    Active,
    /// It answers no more.
    Resigned,
}

impl<D: Driver> Shard<D> {
    /// What it is at.
    pub(crate) fn phase(&self) -> Phase {
        match *self.state() {
            State::Loading => Phase::Loading,
            State::Active(_) => Phase::Active,
            State::Resigned => Phase::Resigned,
        }
    }

    /// Whether it coordinates no more.
    pub(crate) fn is_resigned(&self) -> bool {
        self.phase() == Phase::Resigned
    }

    /// Whether its log is still being read.
    #[cfg(test)]
    pub(crate) fn is_loading(&self) -> bool {
        self.phase() == Phase::Loading
    }
}
