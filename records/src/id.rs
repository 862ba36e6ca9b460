//! The numbers of the log as types of their own, so that an offset is never taken for a timestamp.
//! Arithmetic saturates (offsets, timestamps) or wraps as Kafka's does (sequences): values read from outside cannot overflow.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl $name {
            /// The number as it stands on the wire.
            #[must_use]
            pub const fn value(self) -> $inner {
                self.0
            }

            /// False for the negative numbers by which Kafka says "none".
            #[must_use]
            pub const fn is_some(self) -> bool {
                self.0 >= 0
            }

            /// True for the negative numbers by which Kafka says "none".
            #[must_use]
            pub const fn is_none(self) -> bool {
                self.0 < 0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<$inner> for $name {
            fn from(value: $inner) -> Self {
                Self(value)
            }
        }

        impl From<$name> for $inner {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    };
}

number! {
    /// A record's position in its partition; counts from 0.
    Offset(i64)
}
number! {
    /// The term of a partition's leader; grows by one with each election.
    LeaderEpoch(i32)
}
number! {
    /// An idempotent or transactional producer, as the broker handed it out.
    ProducerId(i64)
}
number! {
    /// The incarnation of a producer; a higher one fences the lower.
    ProducerEpoch(i16)
}
number! {
    /// A producer's own number of a record in one partition; after `i32::MAX` comes 0.
    Sequence(i32)
}
number! {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64)
}

/// No offset is known (Kafka's `UNKNOWN_OFFSET`).
pub const NO_OFFSET: Offset = Offset(-1);
/// The epoch is unknown or does not matter (`NO_PARTITION_LEADER_EPOCH`).
pub const NO_LEADER_EPOCH: LeaderEpoch = LeaderEpoch(-1);
/// The batch is not idempotent.
pub const NO_PRODUCER_ID: ProducerId = ProducerId(-1);
/// The batch is not idempotent.
pub const NO_PRODUCER_EPOCH: ProducerEpoch = ProducerEpoch(-1);
/// The batch is not idempotent, or is a control batch.
pub const NO_SEQUENCE: Sequence = Sequence(-1);
/// The record carries no timestamp.
pub const NO_TIMESTAMP: Timestamp = Timestamp(-1);

impl Offset {
    /// The first offset of every log.
    pub const ZERO: Self = Self(0);
    /// Past every offset that a log can reach.
    pub const MAX: Self = Self(i64::MAX);

    /// The offset after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Saturates at the ends of `i64`.
impl Add<i64> for Offset {
    type Output = Self;
    fn add(self, count: i64) -> Self {
        Self(self.0.saturating_add(count))
    }
}

impl AddAssign<i64> for Offset {
    fn add_assign(&mut self, count: i64) {
        *self = *self + count;
    }
}

/// Saturates at the ends of `i64`.
impl Sub<i64> for Offset {
    type Output = Self;
    fn sub(self, count: i64) -> Self {
        Self(self.0.saturating_sub(count))
    }
}

/// The number of offsets from `other` to here.
impl Sub for Offset {
    type Output = i64;
    fn sub(self, other: Self) -> i64 {
        self.0.saturating_sub(other.0)
    }
}

impl LeaderEpoch {
    /// The epoch of a partition's first leader.
    pub const ZERO: Self = Self(0);

    /// The epoch after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl ProducerEpoch {
    /// The epoch after this one, or none where the producer needs a new id (`i16::MAX` is reserved for fencing).
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        if self.0 >= i16::MAX - 1 {
            None
        } else {
            Some(Self(self.0 + 1))
        }
    }
}

impl Sequence {
    /// The first sequence of a producer in a partition.
    pub const ZERO: Self = Self(0);

    /// The sequence `count` records later: `i32::MAX` is followed by 0 (`DefaultRecordBatch.incrementSequence`).
    /// "None" stays none; a negative `count` counts back.
    #[must_use]
    pub const fn plus(self, count: i32) -> Self {
        if self.0 < 0 {
            return self;
        }
        // 2^31 sequences exist, 0 ..= i32::MAX, so arithmetic modulo 2^31 is the wrap.
        Self((self.0.wrapping_add(count)) & i32::MAX)
    }

    /// The sequence `count` records earlier (`decrementSequence`).
    #[must_use]
    pub const fn minus(self, count: i32) -> Self {
        self.plus(count.wrapping_neg())
    }

    /// The sequence after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        self.plus(1)
    }
}

impl Timestamp {
    /// The earliest time.
    pub const ZERO: Self = Self(0);
    /// Later than every time.
    pub const MAX: Self = Self(i64::MAX);
}

/// Saturates at the ends of `i64`.
impl Add<i64> for Timestamp {
    type Output = Self;
    fn add(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// Saturates at the ends of `i64`.
impl Sub<i64> for Timestamp {
    type Output = Self;
    fn sub(self, ms: i64) -> Self {
        Self(self.0.saturating_sub(ms))
    }
}

/// Milliseconds from `earlier` to here; saturates.
impl Sub for Timestamp {
    type Output = i64;
    fn sub(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_wrap_from_the_largest_to_zero() {
        let last = Sequence(i32::MAX);
        for (start, count, expected) in [
            (Sequence(0), 0, Sequence(0)),
            (Sequence(7), 5, Sequence(12)),
            (last, 1, Sequence(0)),
            (last, 5, Sequence(4)),
            (Sequence(i32::MAX - 2), 5, Sequence(2)),
            (last, i32::MAX, Sequence(i32::MAX - 1)),
            (NO_SEQUENCE, 5, NO_SEQUENCE),
        ] {
            assert_eq!(start.plus(count), expected, "{start} plus {count}");
            assert_eq!(expected.minus(count), start, "{expected} minus {count}");
        }
    }

    #[test]
    fn offsets_and_timestamps_saturate() {
        assert_eq!(Offset::MAX + 1, Offset::MAX);
        assert_eq!(Offset(i64::MIN) - Offset::MAX, i64::MIN);
        assert_eq!(Timestamp(i64::MIN) - 1, Timestamp(i64::MIN));
        assert_eq!(Offset(9).next() - Offset(4), 6);
    }
}
