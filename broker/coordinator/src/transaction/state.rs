//! The states of a transactional id (Kafka's `TransactionState`).

/// Where a transactional id stands. The numbers are those of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// It has a producer, and no transaction yet.
    Empty = 0,
    /// A transaction has partitions.
    Ongoing = 1,
    /// It is decided that the transaction commits; its partitions are being told.
    PrepareCommit = 2,
    /// It is decided that the transaction aborts; its partitions are being told.
    PrepareAbort = 3,
    /// All partitions have been told of the commit.
    CompleteCommit = 4,
    /// All partitions have been told of the abort.
    CompleteAbort = 5,
    /// It has expired and is about to be forgotten. Never written: a tombstone is.
    Dead = 6,
    /// Its producer is being fenced. Never written: what follows at once, `PrepareAbort`, is.
    PrepareEpochFence = 7,
}

impl State {
    const ALL: [Self; 8] = [
        Self::Empty,
        Self::Ongoing,
        Self::PrepareCommit,
        Self::PrepareAbort,
        Self::CompleteCommit,
        Self::CompleteAbort,
        Self::Dead,
        Self::PrepareEpochFence,
    ];

    /// The state with this number.
    #[must_use]
    pub fn from_id(id: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.id() == id)
    }

    /// The state with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Its number in the log.
    #[must_use]
    pub const fn id(self) -> i8 {
        self as i8
    }

    /// Its name in DescribeTransactions and ListTransactions.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
            Self::Dead => "Dead",
            Self::PrepareEpochFence => "PrepareEpochFence",
        }
    }

    /// Whether it is decided how the transaction ends, and its partitions are being told.
    pub(crate) const fn is_prepared(self) -> bool {
        matches!(self, Self::PrepareCommit | Self::PrepareAbort)
    }

    /// Whether there is no transaction: one may begin, and the id may expire.
    pub(crate) const fn is_idle(self) -> bool {
        matches!(self, Self::Empty | Self::CompleteCommit | Self::CompleteAbort)
    }

    /// Whether it may come after `previous`.
    pub(crate) fn follows(self, previous: Self) -> bool {
        match self {
            Self::Empty | Self::Dead => previous.is_idle(),
            Self::Ongoing => previous.is_idle() || previous == Self::Ongoing,
            Self::PrepareCommit | Self::PrepareEpochFence => previous == Self::Ongoing,
            // With transaction version 2 a producer may abort without having added a partition.
            Self::PrepareAbort => previous.is_idle() || previous == Self::Ongoing,
            Self::CompleteCommit => previous == Self::PrepareCommit,
            Self::CompleteAbort => previous == Self::PrepareAbort,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::State;

    #[test]
    fn numbers_and_names_lead_back() {
        for (number, state) in (0..).zip(State::ALL) {
            assert_eq!(State::from_id(number), Some(state));
            assert_eq!(State::from_name(state.name()), Some(state));
        }
        assert_eq!(State::from_id(8), None);
        assert_eq!(State::from_id(-1), None);
        assert_eq!(State::from_name("ongoing"), None);
    }
}
