//! One session: its partitions in the order in which they are read, and what the client was last told of each. A partition
//! that has given records goes to the end, so that the bounds of bytes starve none.

use std::collections::{BTreeMap, HashMap, HashSet};

use forebay_protocol::Utf8Bytes;
use forebay_records::{NO_OFFSET, Offset, Timestamp};

use super::{FetchAsk, FetchFound, FetchKey};

/// What a partition costs besides its topic's name, rounded up.
pub(super) const PARTITION_BYTES: usize = 256;

/// What is kept of a client's fetches.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) privileged: bool,
    pub(super) uses_topic_ids: bool,
    pub(super) created: Timestamp,
    pub(super) last_used: Timestamp,
    /// The epoch that the next request has to have.
    pub(super) epoch: i32,
    /// Each name once, however many of its partitions are fetched; with how many are.
    topics: HashMap<Utf8Bytes, usize>,
    bytes: usize,
    places: HashMap<FetchKey, u64>,
    in_order: BTreeMap<u64, Cached>,
    next_place: u64,
}

#[derive(Debug)]
struct Cached {
    key: FetchKey,
    ask: FetchAsk,
    /// As the client was told; none: not yet, or an error since.
    high_watermark: Offset,
    last_stable_offset: Offset,
    log_start_offset: Offset,
}

impl Session {
    /// A session of a full fetch that is being answered.
    pub(super) fn new<'a>(
        privileged: bool,
        uses_topic_ids: bool,
        now: Timestamp,
        partitions: impl Iterator<Item = (&'a (FetchKey, FetchAsk), &'a FetchFound)>,
    ) -> Self {
        let mut session = Self {
            privileged,
            uses_topic_ids,
            created: now,
            last_used: now,
            epoch: 0,
            topics: HashMap::new(),
            bytes: 0,
            places: HashMap::new(),
            in_order: BTreeMap::new(),
            next_place: 0,
        };
        for ((key, ask), found) in partitions {
            session.ask(key, ask);
            if let Some(cached) = session.cached(key) {
                cached.told(found);
            }
        }
        session
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// What it takes in memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is room for all of these beside those that are there: so many partitions, which are so many bytes.
    pub(super) fn may_grow_by<'a>(
        &self,
        asked: impl Iterator<Item = &'a FetchKey>,
        partitions_left: usize,
        bytes_left: usize,
    ) -> bool {
        let mut partitions = HashSet::new();
        let mut topics = HashSet::new();
        let mut bytes = 0;
        for key in asked.filter(|key| !self.places.contains_key(*key)) {
            if partitions.insert(key) {
                bytes += PARTITION_BYTES;
                if !self.topics.contains_key(&key.topic) && topics.insert(&key.topic) {
                    bytes += key.topic.len();
                }
            }
            if partitions.len() > partitions_left || bytes > bytes_left {
                return false;
            }
        }
        true
    }

    /// Adds a partition, or changes what is asked of it.
    pub(super) fn ask(&mut self, key: &FetchKey, ask: &FetchAsk) {
        if let Some(cached) = self.cached(key) {
            cached.ask = *ask;
            return;
        }
        let key = FetchKey {
            topic: self.keep(&key.topic),
            ..*key
        };
        let cached = Cached {
            key: key.clone(),
            ask: *ask,
            high_watermark: NO_OFFSET,
            last_stable_offset: NO_OFFSET,
            log_start_offset: NO_OFFSET,
        };
        self.places.insert(key, self.next_place);
        self.in_order.insert(self.next_place, cached);
        self.next_place += 1;
    }

    pub(super) fn forget(&mut self, key: &FetchKey) {
        if let Some(place) = self.places.remove(key) {
            self.in_order.remove(&place);
            self.let_go(&key.topic);
        }
    }

    /// The name as it is kept: those of requests lie in their frames, which are not to be.
    fn keep(&mut self, topic: &Utf8Bytes) -> Utf8Bytes {
        #[cfg(test)]
        PUT_IN.set(PUT_IN.get() + 1);
        self.bytes += PARTITION_BYTES;
        let topic = match self.topics.get_key_value(topic) {
            Some((kept, _)) => kept.clone(),
            None => {
                self.bytes += topic.len();
                topic.detach()
            }
        };
        *self.topics.entry(topic.clone()).or_default() += 1;
        topic
    }

    fn let_go(&mut self, topic: &Utf8Bytes) {
        self.bytes -= PARTITION_BYTES;
        if let Some(count) = self.topics.get_mut(topic) {
            *count -= 1;
            if *count == 0 {
                self.bytes -= topic.len();
                self.topics.remove(topic);
            }
        }
    }

    /// All partitions, in order.
    pub(super) fn asks(&self) -> Vec<(FetchKey, FetchAsk)> {
        let asks = self.in_order.values();
        asks.map(|cached| (cached.key.clone(), cached.ask)).collect()
    }

    /// Whether the answer names the partition; if so the client knows from now on.
    pub(super) fn answer(&mut self, key: &FetchKey, found: &FetchFound) -> bool {
        let Some(cached) = self.cached(key) else {
            return true;
        };
        let included = found.news || found.failed || !cached.is_known(found);
        cached.told(found);
        if found.records
            && let Some(place) = self.places.get_mut(key)
            && let Some(cached) = self.in_order.remove(place)
        {
            *place = self.next_place;
            self.in_order.insert(self.next_place, cached);
            self.next_place += 1;
        }
        included
    }

    fn cached(&mut self, key: &FetchKey) -> Option<&mut Cached> {
        self.in_order.get_mut(self.places.get(key)?)
    }
}

impl Cached {
    fn is_known(&self, found: &FetchFound) -> bool {
        self.high_watermark == found.high_watermark
            && self.last_stable_offset == found.last_stable_offset
            && self.log_start_offset == found.log_start_offset
    }

    fn told(&mut self, found: &FetchFound) {
        // After an error the partition is named again as soon as there is none.
        self.high_watermark = if found.failed {
            NO_OFFSET
        } else {
            found.high_watermark
        };
        self.last_stable_offset = found.last_stable_offset;
        self.log_start_offset = found.log_start_offset;
    }
}

#[cfg(test)]
thread_local! {
    /// How many partitions this thread has put into sessions.
    pub(super) static PUT_IN: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}
