//! The tagged fields of a structure that this version of Kafka does not know (KIP-482): kept, and written back.

use bytes::Bytes;

use crate::decode::Cause;

/// How many tagged fields that it does not know one structure may carry.
pub const UNKNOWN_TAGS_MAX: usize = 64;

/// For how many there is room at first; then for twice as many.
const ROOM_MIN: usize = 4;

/// Unknown tagged fields, in the order of their tags. Nearly always there are none: one word, no allocation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(clippy::box_collection)] // one word instead of three in each of many small structures
pub struct TaggedFields(Option<Box<Vec<(u32, Bytes)>>>);

impl TaggedFields {
    /// What one more costs in memory: nothing as long as there is room.
    pub(crate) fn growth_bytes(&self) -> usize {
        let room = |count: usize| count * size_of::<(u32, Bytes)>();
        match &self.0 {
            None => size_of::<Vec<(u32, Bytes)>>() + room(ROOM_MIN),
            Some(fields) if fields.len() == fields.capacity() => room(2 * fields.len()),
            Some(_) => 0,
        }
    }

    /// Adds a field; refuses a second one of the same tag, and more than [`UNKNOWN_TAGS_MAX`].
    pub fn insert(&mut self, tag: u32, value: Bytes) -> Result<(), Cause> {
        let fields = self.0.get_or_insert_default();
        if fields.len() == UNKNOWN_TAGS_MAX {
            return Err(Cause::TooManyTags);
        }
        match fields.binary_search_by_key(&tag, |&(tag, _)| tag) {
            Ok(_) => Err(Cause::TagRepeated { tag }),
            Err(index) => {
                if fields.len() == fields.capacity() {
                    fields.reserve_exact(fields.len().max(ROOM_MIN));
                }
                fields.insert(index, (tag, value));
                Ok(())
            }
        }
    }

    /// The fields by rising tag.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Bytes)> {
        self.0
            .iter()
            .flat_map(|fields| fields.iter())
            .map(|(tag, value)| (*tag, value))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |fields| fields.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
