//! What a request names more than once. Kafka answers each time in full, so that a small request can ask for gigabytes: here a few repetitions
//! are answered as Kafka does, and more of them refused. And the order of answers that come from several places.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use forebay_protocol::{ErrorCode, Utf8Bytes};

/// How many repetitions of one request are answered.
const REPETITIONS_MAX: usize = 16;

/// How many of the rest are told so: each has an answer under its name already, and one costs more than it takes to ask.
const REFUSALS_MAX: usize = 1_000;
/// How many different names a request may have where an answer is much larger than a name.
const NAMES_MAX: usize = 100_000;

/// What the rest is told.
pub(super) const REPEATED: ErrorCode = ErrorCode::InvalidRequest;
/// The same in words.
pub(super) const REPEATED_MESSAGE: &str = "The request names this too often.";

/// What a request has asked for so far.
#[derive(Debug)]
pub(super) struct Repetitions<K> {
    seen: HashSet<K>,
    names_max: usize,
    left: usize,
    refusals_left: usize,
}

impl<K> Default for Repetitions<K> {
    fn default() -> Self {
        Self {
            seen: HashSet::new(),
            names_max: usize::MAX,
            left: REPETITIONS_MAX,
            refusals_left: REFUSALS_MAX,
        }
    }
}

impl<K: Hash + Eq> Repetitions<K> {
    /// Of a request that may name so many and no more.
    pub(super) fn of_bounded() -> Self {
        Self {
            names_max: NAMES_MAX,
            ..Self::default()
        }
    }

    /// Whether what `key` names is to be answered: it was not before, or this is one of a few repetitions.
    pub(super) fn allow(&mut self, key: K) -> bool {
        if !self.seen.contains(&key) {
            return self.seen.len() < self.names_max && self.seen.insert(key);
        }
        let allowed = self.left > 0;
        self.left = self.left.saturating_sub(1);
        allowed
    }

    /// Whether one that is not to be answered is to be told so: after many it is left out, so that refusals do not cost what answers would.
    pub(super) fn tell(&mut self) -> bool {
        let tells = self.refusals_left > 0;
        self.refusals_left = self.refusals_left.saturating_sub(1);
        tells
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
        let mut repetitions = Repetitions::of_bounded();
        let mut places = HashMap::new();
        let (mut wanted, mut refused) = (Vec::new(), Vec::new());
        for (place, name) in names.into_iter().enumerate() {
            if repetitions.allow(name.clone()) {
                places.entry(name.clone()).or_insert(place);
                wanted.push(name);
            } else if repetitions.tell() {
                places.entry(name.clone()).or_insert(place);
                refused.push(name);
            }
        }
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
    #[test]
    fn neither_repetitions_nor_refusals_cost_more_than_was_sent() {
        let asked = Names::of(vec!["g".into(); 200_000]);
        assert_eq!(
            (asked.wanted.len(), asked.refused.len(), asked.places.len()),
            (1 + REPETITIONS_MAX, REFUSALS_MAX, 1)
        );
        let many = (0..NAMES_MAX + 2 * REFUSALS_MAX).map(|name| name.to_string().into());
        let asked = Names::of(many.collect());
        assert_eq!(
            (asked.wanted.len(), asked.refused.len()),
            (NAMES_MAX, REFUSALS_MAX)
        );
        assert_eq!(&*asked.refused[0], "100000");
        let mut free = Repetitions::default();
        assert!((0..=NAMES_MAX).all(|name| free.allow(name)));
    }
}
