//! What a request names more than once. Kafka answers each time in full, so that a small request can ask for gigabytes: here a few repetitions
//! are answered as Kafka does, and more of them refused. And the order of answers that come from several places.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use forebay_protocol::{ErrorCode, Utf8Bytes};

/// How many repetitions of one request are answered.
const REPETITIONS_MAX: usize = 16;

/// What the rest is told.
pub(super) const REPEATED: ErrorCode = ErrorCode::InvalidRequest;
/// The same in words.
pub(super) const REPEATED_MESSAGE: &str = "The request names this too often.";

/// What a request has asked for so far.
#[derive(Debug)]
pub(super) struct Repetitions<K> {
    seen: HashSet<K>,
    left: usize,
}

impl<K> Default for Repetitions<K> {
    fn default() -> Self {
        Self {
            seen: HashSet::new(),
            left: REPETITIONS_MAX,
        }
    }
}

impl<K: Hash + Eq> Repetitions<K> {
    /// Whether what `key` names is to be answered: it was not before, or this is one of a few repetitions.
    pub(super) fn allow(&mut self, key: K) -> bool {
        if self.seen.insert(key) {
            return true;
        }
        let allowed = self.left > 0;
        self.left = self.left.saturating_sub(1);
        allowed
    }
}

/// A number for each name: as keys, names that stand once in a request for many partitions would be hashed once for each.
#[derive(Debug, Default)]
pub(super) struct Numbers(HashMap<Utf8Bytes, usize>);

impl Numbers {
    /// The number of a name.
    pub(super) fn of(&mut self, name: &Utf8Bytes) -> usize {
        let next = self.0.len();
        *self.0.entry(name.clone()).or_insert(next)
    }
}

/// Names that are to be answered, in which order, and names that are not.
#[derive(Debug)]
pub(super) struct Names {
    /// To be answered.
    pub(super) wanted: Vec<Utf8Bytes>,
    /// To be refused.
    pub(super) refused: Vec<Utf8Bytes>,
    places: HashMap<Utf8Bytes, usize>,
}

impl Names {
    /// The names of a request.
    pub(super) fn of(names: Vec<Utf8Bytes>) -> Self {
        let mut repetitions = Repetitions::default();
        let mut places = HashMap::with_capacity(names.len());
        for (place, name) in names.iter().enumerate() {
            places.entry(name.clone()).or_insert(place);
        }
        let (wanted, refused) = names
            .into_iter()
            .partition(|name| repetitions.allow(name.clone()));
        Self {
            wanted,
            refused,
            places,
        }
    }

    /// The same of a request whose repetitions count once.
    pub(super) fn distinct(names: Vec<Utf8Bytes>) -> Self {
        let mut all = Self::of(names);
        let mut seen = HashSet::with_capacity(all.wanted.len());
        all.wanted.retain(|name| seen.insert(name.clone()));
        all.refused.clear();
        all
    }

    /// Sorts answers as the request has their names.
    pub(super) fn sort<T>(&self, answers: &mut [T], name: impl Fn(&T) -> &Utf8Bytes) {
        answers.sort_by_key(|answer| self.places.get(name(answer)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_repetitions_are_answered_and_the_order_is_the_request_s() {
        let mut names: Vec<Utf8Bytes> = vec!["b".into(), "a".into()];
        names.extend((0..40).map(|_| Utf8Bytes::from("b")));
        let asked = Names::of(names.clone());
        assert_eq!(
            (asked.wanted.len(), asked.refused.len()),
            (2 + REPETITIONS_MAX, 40 - REPETITIONS_MAX)
        );
        let mut answers = asked.wanted.clone();
        answers.sort();
        asked.sort(&mut answers, |name| name);
        assert_eq!((&*answers[0], &*answers[REPETITIONS_MAX + 1]), ("b", "a"));
        let distinct = Names::distinct(names);
        assert_eq!((distinct.wanted.len(), distinct.refused.len()), (2, 0));
    }
}
