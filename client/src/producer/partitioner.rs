//! Which partition a record goes to: by the murmur2 hash of its key, as every Kafka client does, so that a key's records
//! meet in one partition whoever sent them; without a key, to one partition until a batch's worth has gone there, then
//! to another (KIP-480, KIP-794).

use std::sync::{Mutex, PoisonError};

use crate::backoff::random_below;

/// The partition of a key.
pub(super) fn for_key(key: &[u8], partitions: usize) -> usize {
    let hash = murmur2(key) & i32::MAX.cast_unsigned();
    hash as usize % partitions
}

/// Kafka's murmur2 with its seed.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    #[allow(clippy::cast_possible_truncation)] // As Java's int length, which is all a key can have.
    let mut hash = SEED ^ data.len() as u32;
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k = (k ^ (k >> R)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    if !rest.is_empty() {
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u32::from_le_bytes(last)).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The partition that records without key go to at the moment.
#[derive(Debug, Default)]
pub(super) struct Sticky(Mutex<Option<Current>>);

#[derive(Debug, Clone, Copy)]
struct Current {
    partition: usize,
    bytes: usize,
}

impl Sticky {
    /// The partition for a record of so many bytes; `available` are those that have a leader, asked only when it is time
    /// to choose. After `bytes_max` another one is chosen by chance.
    pub(super) fn partition(&self, bytes: usize, bytes_max: usize, choose: impl FnOnce() -> Choice) -> usize {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = match *current {
            Some(now) if now.bytes < bytes_max => Current {
                bytes: now.bytes.saturating_add(bytes),
                ..now
            },
            before => Current {
                partition: choose().by_chance(before.map(|now| now.partition)),
                bytes,
            },
        };
        *current = Some(next);
        next.partition
    }

    /// Forgets the partition, which no longer has a leader.
    pub(super) fn forget(&self, partition: usize) {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        current.take_if(|now| now.partition == partition);
    }
}

/// What there is to choose from.
#[derive(Debug)]
pub(super) struct Choice {
    /// How many partitions there are.
    pub(super) partitions: usize,
    /// Those that have a leader.
    pub(super) available: Vec<usize>,
}

impl Choice {
    /// Any but `not`, if there is another; one without leader only if none has one.
    fn by_chance(mut self, not: Option<usize>) -> usize {
        if self.available.len() > 1 {
            self.available.retain(|partition| Some(*partition) != not);
        }
        if self.available.is_empty() {
            random_below(self.partitions)
        } else {
            self.available[random_below(self.available.len())]
        }
    }
}

/// Every record to the next partition (Kafka's `RoundRobinPartitioner`).
#[derive(Debug, Default)]
pub(super) struct RoundRobin(std::sync::atomic::AtomicUsize);

impl RoundRobin {
    pub(super) fn partition(&self, choice: &Choice) -> usize {
        let count = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        match choice.available.len() {
            0 => count % choice.partitions,
            available => choice.available[count % available],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn murmur2_is_kafkas() {
        let cases: [(&[u8], i32); 7] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            (b"abc", 479_470_107),
            (b"", 275_646_681),
        ];
        for (data, expected) in cases {
            assert_eq!(murmur2(data).cast_signed(), expected, "{data:?}");
        }
        assert_eq!(
            for_key(b"21", 10),
            usize::try_from((-973_932_308 & i32::MAX) % 10).expect("positive")
        );
    }

    #[test]
    fn sticky_stays_for_a_batch_and_moves_on() {
        let sticky = Sticky::default();
        let choose = || Choice {
            partitions: 3,
            available: vec![0, 2],
        };
        let first = sticky.partition(60, 100, choose);
        assert_eq!(sticky.partition(60, 100, || panic!("no choice yet")), first);
        let second = sticky.partition(60, 100, choose);
        assert_ne!(second, first);
        assert_ne!(second, 1, "it has no leader");
        sticky.forget(second);
        sticky.partition(1, 100, || Choice {
            partitions: 1,
            available: vec![],
        });
    }

    #[test]
    fn round_robin_takes_turns_among_those_with_a_leader() {
        let round_robin = RoundRobin::default();
        let choice = Choice {
            partitions: 3,
            available: vec![0, 2],
        };
        let taken: Vec<usize> = (0..4).map(|_| round_robin.partition(&choice)).collect();
        assert_eq!(taken, [0, 2, 0, 2]);
    }
}
