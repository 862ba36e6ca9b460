//! What a cleaner can do wrong, and has done wrong in other brokers. A test switches one of them on, on its own thread, to
//! show that the model would notice; elsewhere this is nothing.

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Markers go as soon as they are seen (KAFKA-14055; markers removed by their key).
    MarkersAtOnce,
    /// Tombstones go the first time that they are seen (KAFKA-4529).
    TombstonesAtOnce,
    /// Tombstones never begin to age (KAFKA-8522).
    TombstonesForEver,
    /// Records of aborted transactions are taken for committed (KAFKA-13727).
    AbortedCounts,
    /// Records of open transactions are cleaned like others.
    OpenTransactionsToo,
    /// The last batch of a producer goes like any other.
    ProducersForgotten,
    /// The old segments go before the new one is in its place.
    OldSegmentsFirst,
}

#[cfg(test)]
thread_local! {
    static BROKEN: std::cell::Cell<Option<Broken>> = const { std::cell::Cell::new(None) };
}

impl Broken {
    /// Whether this mistake is made.
    pub(crate) fn is_on(self) -> bool {
        #[cfg(test)]
        return BROKEN.get() == Some(self);
        #[cfg(not(test))]
        return false;
    }

    /// From now on this thread makes this mistake, or none.
    #[cfg(test)]
    pub(crate) fn switch(broken: Option<Broken>) {
        BROKEN.set(broken);
    }
}
