//! The newest offset of each key, in bounded memory (Kafka's `SkimpyOffsetMap`): keys are kept as hashes only.
//!
//! The hash has 128 bits: two SipHash-1-3 of 64 with independent secret keys. Two keys of one log that collide would be
//! taken for one; among a thousand million keys that happens with a probability of 10^-21, and as nobody outside knows the
//! secrets, nobody can make it happen.

use std::hash::{BuildHasher, RandomState};

use forebay_records::Offset;

/// Hash, and the offset plus one: zero means empty.
type Slot = [u64; 3];

const SLOT_BYTES: u64 = size_of::<Slot>() as u64;

/// Open addressing with linear probing; nothing is ever removed.
#[derive(Debug)]
pub(crate) struct OffsetMap {
    slots: Vec<Slot>,
    secrets: [RandomState; 2],
    entries: usize,
    entries_max: usize,
}

impl OffsetMap {
    /// For up to `keys` keys, or as many as fit into `bytes` with the load factor; at least one.
    pub(crate) fn new(keys: u64, bytes: u64, load_factor: f64) -> OffsetMap {
        let load_factor = load_factor.clamp(0.01, 1.0);
        // One more than needed: a search ends at an empty slot.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an estimate, bounded by the line below"
        )]
        let wanted = (keys as f64 / load_factor).ceil() as u64 + 1;
        let slots = wanted.min(bytes / SLOT_BYTES).max(2);
        let slots = usize::try_from(slots).unwrap_or(usize::MAX);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of a length"
        )]
        let entries_max = ((slots as f64 * load_factor) as usize).clamp(1, slots - 1);
        OffsetMap {
            slots: vec![[0; 3]; slots],
            secrets: [RandomState::new(), RandomState::new()],
            entries: 0,
            entries_max,
        }
    }

    /// Notes a key's newest offset. False: the key is new and there is no more room.
    pub(crate) fn put(&mut self, key: &[u8], offset: Offset) -> bool {
        let [high, low] = self.hash(key);
        let index = self.find(high, low);
        if self.slots[index][2] == 0 {
            if self.entries == self.entries_max {
                return false;
            }
            self.entries += 1;
        }
        self.slots[index] = [high, low, offset.value().unsigned_abs() + 1];
        true
    }

    /// The newest offset that was noted for a key.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Offset> {
        let [high, low] = self.hash(key);
        let stored = self.slots[self.find(high, low)][2];
        let offset = stored.checked_sub(1)?;
        Some(Offset(i64::try_from(offset).expect("it was one")))
    }

    /// How many of the slots are in use, of 1.
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    pub(crate) fn utilization(&self) -> f64 {
        self.entries as f64 / self.slots.len() as f64
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        [self.secrets[0].hash_one(key), self.secrets[1].hash_one(key)]
    }

    /// The slot that has the hash, or the empty one where it belongs. There is always an empty one.
    fn find(&self, high: u64, low: u64) -> usize {
        let count = self.slots.len();
        // The hash as a fraction of the table: no division, any length.
        let start = (u128::from(low) * count as u128) >> 64;
        let mut index = usize::try_from(start).expect("less than the length");
        loop {
            let slot = &self.slots[index];
            if slot[2] == 0 || (slot[0] == high && slot[1] == low) {
                return index;
            }
            index = if index + 1 == count { 0 } else { index + 1 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_offset_of_each_key_until_it_is_full() {
        // 100 slots of 24 bytes; 90 keys.
        let mut map = OffsetMap::new(1_000_000, 100 * 24 + 23, 0.9);
        for offset in 0..90_i64 {
            assert!(map.put(&offset.to_be_bytes(), Offset(offset)));
        }
        assert!(!map.put(b"one more", Offset(90)), "no more room");
        assert!(
            map.put(&5_i64.to_be_bytes(), Offset(91)),
            "a known key needs none"
        );
        assert_eq!(map.get(&5_i64.to_be_bytes()), Some(Offset(91)));
        assert_eq!(map.get(&89_i64.to_be_bytes()), Some(Offset(89)));
        assert_eq!(map.get(b"one more"), None);
        assert!((map.utilization() - 0.9).abs() < 0.001);
    }

    #[test]
    fn it_takes_no_more_memory_than_it_can_need() {
        let mut map = OffsetMap::new(10, u64::MAX, 0.9);
        assert!(map.slots.len() < 20);
        for offset in 0..10_i64 {
            assert!(map.put(&offset.to_be_bytes(), Offset(offset)));
        }
        let mut smallest = OffsetMap::new(0, 0, 0.9);
        assert!(smallest.put(b"", Offset(0)) && !smallest.put(b"a", Offset(1)));
        assert_eq!(smallest.get(b""), Some(Offset(0)));
    }
}
