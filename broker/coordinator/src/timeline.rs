//! A map that remembers what its newest writes replaced until they are committed (Kafka's `TimelineHashMap`): the newest
//! value decides the next command, the committed one answers readers, and a failed append takes its values back.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeBounds;

use crate::AppendId;

/// What a key holds now and what it held at the last commit.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Versions<V> {
    committed: Option<V>,
    /// Boxed: nearly every key has none, and one word instead of four counts.
    uncommitted: Option<Box<Uncommitted<V>>>,
}

/// What was written since the last commit, newest last; `None` is a deletion.
type Uncommitted<V> = VecDeque<(AppendId, Option<V>)>;

impl<V> Versions<V> {
    fn newest(&self) -> Option<&V> {
        match self.uncommitted.as_ref().and_then(|versions| versions.back()) {
            Some((_, value)) => value.as_ref(),
            None => self.committed.as_ref(),
        }
    }

    fn is_nothing(&self) -> bool {
        self.committed.is_none() && self.uncommitted.is_none()
    }
}

/// The map. Writes name the append that carries them; appends come in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Timeline<K, V> {
    entries: BTreeMap<K, Versions<V>>,
    /// Which keys each uncommitted append wrote, in order.
    written: VecDeque<(AppendId, K)>,
}

impl<K: Ord + Clone, V> Default for Timeline<K, V> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            written: VecDeque::new(),
        }
    }
}

impl<K: Ord + Clone, V> Timeline<K, V> {
    /// The newest value.
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).and_then(Versions::newest)
    }

    /// The value that a reader may see.
    pub(crate) fn committed(&self, key: &K) -> Option<&V> {
        self.entries
            .get(key)
            .and_then(|versions| versions.committed.as_ref())
    }

    /// Keys in `range` with their newest values.
    pub(crate) fn range(&self, range: impl RangeBounds<K>) -> impl Iterator<Item = (&K, &V)> {
        self.entries
            .range(range)
            .filter_map(|(key, versions)| Some((key, versions.newest()?)))
    }

    /// Keys in `range` with their committed values.
    pub(crate) fn committed_range(&self, range: impl RangeBounds<K>) -> impl Iterator<Item = (&K, &V)> {
        self.entries
            .range(range)
            .filter_map(|(key, versions)| Some((key, versions.committed.as_ref()?)))
    }

    /// Writes what is committed already: a record that is read back. Nothing uncommitted may exist.
    pub(crate) fn load(&mut self, key: K, value: Option<V>) {
        debug_assert!(
            self.written.is_empty(),
            "records are loaded before any is written"
        );
        match value {
            Some(value) => {
                self.entries.insert(
                    key,
                    Versions {
                        committed: Some(value),
                        uncommitted: None,
                    },
                );
            }
            None => {
                self.entries.remove(&key);
            }
        }
    }

    /// Writes as part of `append`; `None` deletes.
    pub(crate) fn write(&mut self, append: AppendId, key: K, value: Option<V>) {
        debug_assert!(
            self.written.back().is_none_or(|(last, _)| *last <= append),
            "appends come in order"
        );
        let versions = self.entries.entry(key.clone()).or_insert_with(|| Versions {
            committed: None,
            uncommitted: None,
        });
        versions
            .uncommitted
            .get_or_insert_default()
            .push_back((append, value));
        self.written.push_back((append, key));
    }

    /// Everything up to and including `through` is committed.
    pub(crate) fn commit(&mut self, through: AppendId) {
        while self.written.front().is_some_and(|(append, _)| *append <= through) {
            let (_, key) = self.written.pop_front().expect("there is a front");
            self.settle(&key, |versions, uncommitted| {
                if let Some((_, value)) = uncommitted.pop_front() {
                    versions.committed = value;
                }
            });
        }
    }

    /// Takes back everything from `from` on.
    pub(crate) fn revert(&mut self, from: AppendId) {
        while self.written.back().is_some_and(|(append, _)| *append >= from) {
            let (_, key) = self.written.pop_back().expect("there is a back");
            self.settle(&key, |_, uncommitted| {
                uncommitted.pop_back();
            });
        }
    }

    fn settle(&mut self, key: &K, change: impl FnOnce(&mut Versions<V>, &mut Uncommitted<V>)) {
        let versions = self
            .entries
            .get_mut(key)
            .expect("a written key keeps its entry until it is settled");
        let mut uncommitted = versions
            .uncommitted
            .take()
            .expect("one version for every entry of `written`");
        change(versions, &mut uncommitted);
        if !uncommitted.is_empty() {
            versions.uncommitted = Some(uncommitted);
        } else if versions.is_nothing() {
            self.entries.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Write(u8, Option<u16>),
        Commit(usize),
        Revert(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..6_u8, proptest::option::weighted(0.7, any::<u16>())).prop_map(|(key, value)| Step::Write(key, value)),
            1 => (0..4_usize).prop_map(Step::Commit),
            1 => (0..4_usize).prop_map(Step::Revert),
        ]
    }

    proptest! {
        /// Against whole copies of a plain map: one per uncommitted append.
        #[test]
        fn behaves_like_a_stack_of_copies(steps in proptest::collection::vec(step(), 0..80)) {
            let mut timeline = Timeline::default();
            let mut copies: Vec<(AppendId, BTreeMap<u8, u16>)> = vec![(AppendId(0), BTreeMap::new())];
            let mut next = 1;
            for step in steps {
                match step {
                    Step::Write(key, value) => {
                        let append = AppendId(next);
                        next += 1;
                        timeline.write(append, key, value);
                        let mut copy = copies.last().expect("never empty").1.clone();
                        match value {
                            Some(value) => copy.insert(key, value),
                            None => copy.remove(&key),
                        };
                        copies.push((append, copy));
                    }
                    Step::Commit(count) => {
                        let count = count.min(copies.len() - 1);
                        timeline.commit(copies[count].0);
                        copies.drain(..count);
                    }
                    Step::Revert(count) if count > 0 && copies.len() > 1 => {
                        let keep = copies.len() - count.min(copies.len() - 1);
                        timeline.revert(copies[keep].0);
                        copies.truncate(keep);
                    }
                    Step::Revert(_) => {}
                }
                let newest: BTreeMap<u8, u16> = timeline.range(..).map(|(key, value)| (*key, *value)).collect();
                let committed: BTreeMap<u8, u16> =
                    timeline.committed_range(..).map(|(key, value)| (*key, *value)).collect();
                prop_assert_eq!(&newest, &copies.last().expect("never empty").1);
                prop_assert_eq!(&committed, &copies[0].1);
                for key in 0..6 {
                    prop_assert_eq!(timeline.get(&key), newest.get(&key));
                    prop_assert_eq!(timeline.committed(&key), committed.get(&key));
                }
                if copies.len() == 1 {
                    prop_assert_eq!(timeline.entries.len(), newest.len(), "no entry without a value stays behind");
                }
            }
        }
    }
}
