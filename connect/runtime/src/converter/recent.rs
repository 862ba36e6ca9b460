//! A small cache of what is expensive to make of a schema.

use std::sync::Mutex;

/// How many entries are compared with the one at hand; the schemas of one topic are mostly one.
const CACHE_MAX: usize = 64;

/// The schemas of the last records: a few, so that looking is comparing.
#[derive(Debug)]
pub(super) struct Recent<K, V>(Mutex<Vec<(K, V)>>);

impl<K, V: Clone> Recent<K, V> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    pub(super) fn get(&self, is_same: impl Fn(&K) -> bool) -> Option<V> {
        let mut recent = self.0.lock().expect("nobody panics with it");
        let place = recent.iter().position(|(key, _)| is_same(key))?;
        recent.swap(0, place);
        Some(recent[0].1.clone())
    }

    pub(super) fn put(&self, key: K, value: V) {
        let mut recent = self.0.lock().expect("nobody panics with it");
        recent.insert(0, (key, value));
        recent.truncate(CACHE_MAX);
    }
}
