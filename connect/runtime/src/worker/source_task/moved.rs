//! The source offsets that a transaction is to commit: the newest of each source partition.

use std::collections::BTreeMap;
use std::sync::Arc;

use forebay_connect_api::OffsetMap;

/// A source partition and its newest offset; `None`: it is to be forgotten.
pub(super) type Pair = (Arc<OffsetMap>, Option<OffsetMap>);

/// By the partition's JSON, but for the one that moved last: mostly that moves next, and its JSON is not needed for that.
#[derive(Debug, Default)]
pub(super) struct Moved {
    others: BTreeMap<String, Pair>,
    last: Option<Pair>,
}

impl Moved {
    pub(super) fn is_empty(&self) -> bool {
        self.last.is_none() && self.others.is_empty()
    }

    /// Takes a newer offset.
    pub(super) fn set(&mut self, partition: &Arc<OffsetMap>, offset: Option<OffsetMap>) {
        if let Some((known, newest)) = &mut self.last
            && Arc::ptr_eq(known, partition)
        {
            *newest = offset;
            return;
        }
        self.settle();
        self.last = Some((Arc::clone(partition), offset));
    }

    /// All of them, each partition once.
    pub(super) fn pairs(&mut self) -> impl Iterator<Item = &Pair> {
        self.settle();
        self.others.values()
    }

    /// All of them; none are left.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Pair> {
        self.settle();
        std::mem::take(&mut self.others).into_values()
    }

    fn settle(&mut self) {
        if let Some(last) = self.last.take() {
            self.others.insert(last.0.to_string(), last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_its_newest_offset_in_whatever_map_it_comes() {
        let partition = |name: &str| Arc::new(OffsetMap::new().with("name", name));
        let offset = |number: i64| Some(OffsetMap::new().with("next", number));
        let mut moved = Moved::default();
        assert!(moved.is_empty());
        let (a, b) = (partition("a"), partition("b"));
        for (partition, offset) in [
            (&a, offset(1)),
            (&a, offset(2)),
            (&b, offset(1)),
            (&partition("a"), offset(3)),
            (&b, None),
            (&partition("c"), None),
            (&partition("c"), offset(4)),
        ] {
            moved.set(partition, offset);
            assert!(!moved.is_empty());
        }
        let expected = [(a, offset(3)), (b, None), (partition("c"), offset(4))];
        assert!(moved.pairs().eq(&expected));
        assert!(moved.take().eq(expected));
        assert!(moved.is_empty() && moved.take().next().is_none());
    }
}
