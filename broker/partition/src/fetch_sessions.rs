//! Incremental fetch sessions (KIP-227; Kafka's `FetchSessionCache` and `FetchManager`): which partitions a client fetches is
//! kept here, so that a request names only what has changed and an answer only what is new. Pure: time and session ids come in.
//! Reads and waits lie between [`FetchSessions::begin`] and [`FetchSessions::finish`].

mod session;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use forebay_protocol::{Utf8Bytes, Uuid};
use forebay_records::{LeaderEpoch, Offset, Timestamp};

use session::{PARTITION_BYTES, Session};

/// A session that was unused for longer gives way to any new one, and one that was created longer ago to a larger one
/// (`FetchSession`'s eviction time).
const EVICTION_MS: i64 = 120_000;
/// Partitions of all sessions together; beyond it no session is made or grown, and clients fetch in full.
const SESSION_PARTITIONS_MAX: usize = 1_000_000;
/// The same in bytes, names of topics included.
const SESSION_BYTES_MAX: usize = 256 << 20;

/// The epoch of a request that may open a session.
const INITIAL_EPOCH: i32 = 0;
/// The epoch of a request that wants none.
const FINAL_EPOCH: i32 = -1;
/// No session.
const NO_SESSION: i32 = 0;

/// A partition as requests name it: by its topic's id from version 13 on, with an empty name; by name before, with a zero id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FetchKey {
    /// The topic's name, or empty.
    pub topic: Utf8Bytes,
    /// The topic's id, or zero.
    pub topic_id: Uuid,
    /// The partition's index.
    pub partition: i32,
}

/// What a request wants of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchAsk {
    /// From where it reads.
    pub fetch_offset: Offset,
    /// The most that it gives, but for the first batch.
    pub max_bytes: i32,
    /// The leader epoch that the client knows, or none.
    pub current_leader_epoch: LeaderEpoch,
    /// The epoch of the last record that it has, or none.
    pub last_fetched_epoch: LeaderEpoch,
    /// A follower's log start offset.
    pub log_start_offset: Offset,
}

/// A Fetch request's part that concerns sessions.
#[derive(Clone, Debug)]
pub struct SessionRequest {
    /// The session, or 0.
    pub session_id: i32,
    /// Its epoch; 0 asks for a new session, -1 for none.
    pub epoch: i32,
    /// Whether partitions are named by topic id.
    pub uses_topic_ids: bool,
    /// Whether a follower asks.
    pub privileged: bool,
    /// What is fetched, or what of it has changed.
    pub partitions: Vec<(FetchKey, FetchAsk)>,
    /// What is no longer fetched.
    pub forgotten: Vec<FetchKey>,
}

/// A fetch under way.
#[derive(Debug)]
pub struct FetchContext {
    /// What is to be read, in this order.
    pub partitions: Vec<(FetchKey, FetchAsk)>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Sessionless,
    Full { uses_topic_ids: bool, privileged: bool },
    Incremental { session_id: i32, next_epoch: i32 },
}

impl FetchContext {
    /// The session that the request goes on with; 0 if there is none yet.
    pub fn session_id(&self) -> i32 {
        match self.kind {
            Kind::Sessionless | Kind::Full { .. } => 0,
            Kind::Incremental { session_id, .. } => session_id,
        }
    }
}

/// What was found in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchFound {
    /// It has records, or something else that is said each time: a diverging epoch, a replica to prefer.
    pub news: bool,
    /// It has records.
    pub records: bool,
    /// It has an error.
    pub failed: bool,
    /// The partition's high watermark.
    pub high_watermark: Offset,
    /// The partition's last stable offset.
    pub last_stable_offset: Offset,
    /// The partition's log start offset.
    pub log_start_offset: Offset,
}

/// How a fetch is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchFinished {
    /// The session to go on with, or 0.
    pub session_id: i32,
    /// Which of the context's partitions the answer names; none: all.
    pub included: Option<Vec<bool>>,
}

/// Why a request of a session is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// There is no such session: it was closed, or gave way to others.
    #[error("the fetch session is not known")]
    NotFound,
    /// The request is not the one after the last, or one came in between.
    #[error("the fetch session is at another epoch")]
    InvalidEpoch {
        /// The session that the answer names; 0 if the request was refused at once.
        session_id: i32,
    },
    /// The session names topics by id and the request by name, or the other way round.
    #[error("the fetch session names topics differently")]
    TopicIds,
}

/// All sessions of a broker.
#[derive(Debug)]
pub struct FetchSessions {
    slots: usize,
    partitions_max: usize,
    bytes_max: usize,
    sessions: HashMap<i32, Session>,
    partition_count: usize,
    bytes: usize,
    evictions: u64,
}

impl FetchSessions {
    /// None yet, and never more than `slots` (`max.incremental.fetch.session.cache.slots`).
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self::bounded(slots, SESSION_PARTITIONS_MAX, SESSION_BYTES_MAX)
    }

    fn bounded(slots: usize, partitions_max: usize, bytes_max: usize) -> Self {
        Self {
            slots,
            partitions_max,
            bytes_max,
            sessions: HashMap::new(),
            partition_count: 0,
            bytes: 0,
            evictions: 0,
        }
    }

    /// Takes in a request, and says what it fetches.
    ///
    /// # Errors
    /// When it belongs to a session that is not, or not so, kept.
    pub fn begin(&mut self, request: SessionRequest, now: Timestamp) -> Result<FetchContext, SessionError> {
        if !matches!(request.epoch, INITIAL_EPOCH | FINAL_EPOCH) {
            return self.begin_incremental(request, now);
        }
        // A full fetch closes the session that it names.
        self.remove(request.session_id);
        let kind = if request.epoch == FINAL_EPOCH {
            Kind::Sessionless
        } else {
            Kind::Full {
                uses_topic_ids: request.uses_topic_ids,
                privileged: request.privileged,
            }
        };
        Ok(FetchContext {
            partitions: without_duplicates(request.partitions),
            kind,
        })
    }

    fn begin_incremental(
        &mut self,
        request: SessionRequest,
        now: Timestamp,
    ) -> Result<FetchContext, SessionError> {
        let session_id = request.session_id;
        let session = self.sessions.get_mut(&session_id).ok_or(SessionError::NotFound)?;
        if session.epoch != request.epoch {
            return Err(SessionError::InvalidEpoch {
                session_id: NO_SESSION,
            });
        }
        if session.uses_topic_ids != request.uses_topic_ids {
            return Err(SessionError::TopicIds);
        }
        // Judged before anything is put in, by its largest: a request may name millions.
        let (partitions_left, bytes_left) = (
            self.partitions_max.saturating_sub(self.partition_count),
            self.bytes_max.saturating_sub(self.bytes),
        );
        let asked = request.partitions.iter().map(|(key, _)| key);
        if !session.may_grow_by(asked, partitions_left, bytes_left) {
            self.remove(session_id);
            return Err(SessionError::NotFound);
        }
        let before = (session.len(), session.bytes());
        for (key, ask) in &request.partitions {
            session.ask(key, ask);
        }
        for key in &request.forgotten {
            session.forget(key);
        }
        self.partition_count = self.partition_count - before.0 + session.len();
        self.bytes = self.bytes - before.1 + session.bytes();
        if session.is_empty() {
            self.remove(session_id);
            return Ok(FetchContext {
                partitions: without_duplicates(request.partitions),
                kind: Kind::Sessionless,
            });
        }
        session.last_used = now;
        session.epoch = next_epoch(session.epoch);
        Ok(FetchContext {
            partitions: session.asks(),
            kind: Kind::Incremental {
                session_id,
                next_epoch: session.epoch,
            },
        })
    }

    /// Takes in what was found, one for each of the context's partitions, and says what the answer names. `new_id` gives
    /// positive numbers by chance.
    ///
    /// # Errors
    /// When another request has gone on with the session meanwhile, or it is gone.
    pub fn finish(
        &mut self,
        context: &FetchContext,
        found: &[FetchFound],
        now: Timestamp,
        new_id: impl FnMut() -> i32,
    ) -> Result<FetchFinished, SessionError> {
        debug_assert_eq!(context.partitions.len(), found.len());
        match context.kind {
            Kind::Sessionless => Ok(FetchFinished {
                session_id: NO_SESSION,
                included: None,
            }),
            Kind::Full {
                uses_topic_ids,
                privileged,
            } => {
                let partitions = context.partitions.iter().zip(found);
                let make = || Session::new(privileged, uses_topic_ids, now, partitions);
                let session_id = self.create(privileged, found.len(), now, new_id, make);
                Ok(FetchFinished {
                    session_id,
                    included: None,
                })
            }
            Kind::Incremental {
                session_id,
                next_epoch,
            } => {
                let session = self.sessions.get_mut(&session_id).ok_or(SessionError::NotFound)?;
                if session.epoch != next_epoch {
                    return Err(SessionError::InvalidEpoch { session_id });
                }
                let partitions = context.partitions.iter().zip(found);
                let included = partitions.map(|((key, _), found)| session.answer(key, found));
                Ok(FetchFinished {
                    session_id,
                    included: Some(included.collect()),
                })
            }
        }
    }

    /// Sessions that are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// No session is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Partitions of all sessions together.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        self.partition_count
    }

    /// Sessions that had to give way to others so far.
    #[must_use]
    pub fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Makes a session if there is room, or room can be made; gives its id, or 0.
    fn create(
        &mut self,
        privileged: bool,
        size: usize,
        now: Timestamp,
        mut new_id: impl FnMut() -> i32,
        make: impl FnOnce() -> Session,
    ) -> i32 {
        // Nobody gives way to what is not kept after all.
        let may_go = |one: &&Session| gives_way(one, (privileged, size), now);
        let (mut slots_left, mut partitions_left, mut bytes_left) = (
            self.slots.saturating_sub(self.sessions.len()),
            self.partitions_max.saturating_sub(self.partition_count),
            self.bytes_max.saturating_sub(self.bytes),
        );
        for one in self.sessions.values().filter(may_go) {
            slots_left += 1;
            partitions_left += one.len();
            bytes_left += one.bytes();
        }
        if slots_left == 0 || size > partitions_left || size.saturating_mul(PARTITION_BYTES) > bytes_left {
            return NO_SESSION;
        }
        let session_id = loop {
            let id = new_id();
            if id > NO_SESSION && !self.sessions.contains_key(&id) {
                break id;
            }
        };
        let mut session = make();
        if session.bytes() > bytes_left {
            return NO_SESSION;
        }
        while self.sessions.len() >= self.slots
            || self.partition_count + session.len() > self.partitions_max
            || self.bytes + session.bytes() > self.bytes_max
        {
            if !self.evict(privileged, size, now) {
                return NO_SESSION;
            }
        }
        session.epoch = next_epoch(INITIAL_EPOCH);
        self.partition_count += session.len();
        self.bytes += session.bytes();
        self.sessions.insert(session_id, session);
        session_id
    }

    /// Removes the session that is worth least, if it is worth less than a new one: one that nobody has used for long; else,
    /// for a follower, a client's; else a smaller one that is not young. Walks all sessions, which are as few as slots, and only
    /// when those are taken.
    fn evict(&mut self, privileged: bool, size: usize, now: Timestamp) -> bool {
        let least_used = self.sessions.iter().min_by_key(|(id, one)| (one.last_used, **id));
        let Some((&stale, session)) = least_used else {
            return false;
        };
        let evicted = if now - session.last_used > EVICTION_MS {
            Some(stale)
        } else {
            let evictable = self
                .sessions
                .iter()
                .filter(|(_, one)| gives_way(one, (privileged, size), now));
            let least = evictable.min_by_key(|(id, one)| (worth(one), **id));
            least.map(|(id, _)| *id)
        };
        let Some(evicted) = evicted else { return false };
        self.remove(evicted);
        self.evictions += 1;
        true
    }

    fn remove(&mut self, session_id: i32) {
        if let Some(session) = self.sessions.remove(&session_id) {
            self.partition_count -= session.len();
            self.bytes -= session.bytes();
        }
    }
}

fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}

/// What a session is worth besides its age.
fn worth(session: &Session) -> (bool, usize) {
    (session.privileged, session.len())
}

/// Whether a session makes room for one that is worth this.
fn gives_way(session: &Session, new: (bool, usize), now: Timestamp) -> bool {
    let (privileged, _) = new;
    let is_stale = now - session.last_used > EVICTION_MS;
    let is_old = now - session.created > EVICTION_MS;
    is_stale || ((is_old || (privileged && !session.privileged)) && new > worth(session))
}

/// A partition that is named twice is asked for as it was the last time.
fn without_duplicates(mut partitions: Vec<(FetchKey, FetchAsk)>) -> Vec<(FetchKey, FetchAsk)> {
    if partitions.len() < 2 {
        return partitions;
    }
    let mut seen = HashSet::with_capacity(partitions.len());
    if partitions.iter().all(|(key, _)| seen.insert(key)) {
        return partitions;
    }
    let last: HashMap<FetchKey, FetchAsk> = partitions.iter().cloned().collect();
    let mut seen = HashSet::with_capacity(last.len());
    partitions.retain_mut(|(key, ask)| {
        *ask = last[key];
        seen.insert(key.clone())
    });
    partitions
}
