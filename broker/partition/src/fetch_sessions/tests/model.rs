//! Sessions against a client that keeps its own books (Java's `FetchSessionHandler`): both must agree on what is fetched and on
//! what the client knows, whatever is lost, repeated or evicted.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// What may happen to a client and its broker.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// The client fetches a partition from an offset from now on, or no longer.
    Subscribe(i32, Option<i64>),
    /// Something in a partition moves on; an error comes, or goes.
    Move(i32, bool),
    /// A fetch. The answer may be lost.
    Fetch { lost: bool },
    /// The last request comes again.
    Replay,
    /// Another client takes the slot.
    Evict,
    /// The client begins anew with a full fetch.
    Reset,
}

fn event() -> impl Strategy<Value = Event> {
    let partition = 0..6_i32;
    prop_oneof![
        4 => (partition.clone(), proptest::option::weighted(0.7, 0..50_i64)).prop_map(|(one, at)| Event::Subscribe(one, at)),
        4 => (partition, proptest::bool::weighted(0.2)).prop_map(|(one, failed)| Event::Move(one, failed)),
        8 => proptest::bool::weighted(0.1).prop_map(|lost| Event::Fetch { lost }),
        1 => Just(Event::Replay),
        1 => Just(Event::Evict),
        1 => Just(Event::Reset),
    ]
}

#[derive(Default)]
struct Client {
    wanted: BTreeMap<i32, i64>,
    /// What the session has by the client's books.
    in_session: BTreeMap<i32, i64>,
    session_id: i32,
    epoch: i32,
    /// High watermarks as they were told; none: an error.
    knows: BTreeMap<i32, Option<i64>>,
    last: Option<SessionRequest>,
}

impl Client {
    fn next_request(&mut self) -> SessionRequest {
        let full = self.epoch == 0;
        let in_session = if full {
            BTreeMap::new()
        } else {
            self.in_session.clone()
        };
        let changed = self
            .wanted
            .iter()
            .filter(|(one, at)| in_session.get(one) != Some(at));
        let request = SessionRequest {
            session_id: self.session_id,
            epoch: self.epoch,
            uses_topic_ids: false,
            privileged: false,
            partitions: changed.map(|(one, at)| (key(*one), ask(*at))).collect(),
            forgotten: in_session
                .keys()
                .filter(|one| !self.wanted.contains_key(one))
                .map(|one| key(*one))
                .collect(),
        };
        self.in_session = self.wanted.clone();
        self.last = Some(request.clone());
        request
    }

    fn reset(&mut self) {
        self.epoch = 0;
        self.knows.clear();
    }
}

struct World {
    sessions: FetchSessions,
    client: Client,
    /// High watermarks as they are; none: an error.
    watermarks: BTreeMap<i32, Option<i64>>,
    moves: i64,
}

impl World {
    fn happen(&mut self, event: Event, now: Timestamp) {
        match event {
            Event::Subscribe(one, at) => {
                self.client.knows.remove(&one);
                match at {
                    Some(at) => self.client.wanted.insert(one, at),
                    None => self.client.wanted.remove(&one),
                };
            }
            Event::Move(one, failed) => {
                self.moves += 1;
                self.watermarks.insert(one, (!failed).then_some(self.moves));
            }
            Event::Evict => {
                let ids: Vec<i32> = self.sessions.sessions.keys().copied().collect();
                ids.into_iter().for_each(|id| self.sessions.remove(id));
            }
            Event::Reset => self.client.reset(),
            Event::Replay => {
                let last = self.client.last.clone();
                if let Some(request) = last.filter(|request| request.epoch > 0) {
                    assert!(
                        self.sessions.begin(request, now).is_err(),
                        "a request counts once"
                    );
                }
            }
            Event::Fetch { lost } => self.fetch(lost, now),
        }
        let counted: usize = self.sessions.sessions.values().map(Session::len).sum();
        assert_eq!(self.sessions.partition_count(), counted);
        assert!(self.sessions.len() <= 1);
    }

    fn fetch(&mut self, lost: bool, now: Timestamp) {
        let request = self.client.next_request();
        let Ok(context) = self.sessions.begin(request, now) else {
            return self.client.reset();
        };
        let partitions = context.partitions.iter();
        let read: BTreeMap<i32, i64> = partitions
            .map(|(key, ask)| (key.partition, ask.fetch_offset.0))
            .collect();
        assert_eq!(read, self.client.wanted, "both agree on what is fetched");
        let answer = |key: &FetchKey| FetchFound {
            failed: self.watermarks[&key.partition].is_none(),
            ..found(self.watermarks[&key.partition].unwrap_or(-1))
        };
        let found: Vec<FetchFound> = context.partitions.iter().map(|(key, _)| answer(key)).collect();
        let new_id = || now.0 as i32 + 1;
        let finished = self.sessions.finish(&context, &found, now, new_id);
        let finished = finished.expect("nobody came in between");
        if lost {
            return self.client.reset();
        }
        self.client.session_id = finished.session_id;
        self.client.epoch = if finished.session_id == 0 {
            0
        } else {
            self.client.epoch + 1
        };
        for (index, (key, _)) in context.partitions.iter().enumerate() {
            if finished.included.as_ref().is_none_or(|included| included[index]) {
                let told = self.watermarks[&key.partition];
                self.client.knows.insert(key.partition, told);
            }
        }
        for one in self.client.wanted.keys() {
            if let Some(known) = self.client.knows.get(one) {
                assert_eq!(*known, self.watermarks[one], "the client knows what there is");
            }
        }
    }
}

proptest! {
    #[test]
    fn client_and_broker_agree(events in vec(event(), 1..120)) {
        let mut world = World {
            sessions: FetchSessions::new(1),
            client: Client::default(),
            watermarks: (0..6).map(|one| (one, Some(0))).collect(),
            moves: 0,
        };
        for (now, event) in (0..).zip(events) {
            world.happen(event, Timestamp(now));
        }
    }

    /// However few partitions fit into an answer, none is starved.
    #[test]
    fn every_partition_has_its_turn(size in 1..12_i32, room in 1..4_usize) {
        let mut sessions = FetchSessions::new(1);
        let id = open(&mut sessions, size, false, 0);
        let mut served = vec![0; size as usize];
        let rounds = size * 3;
        for epoch in 1..=rounds {
            let context = sessions.begin(request(id, epoch, &[]), Timestamp(0)).expect("in order");
            let found: Vec<FetchFound> = (0..context.partitions.len())
                .map(|place| if place < room { RECORDS } else { found(0) })
                .collect();
            for (key, _) in context.partitions.iter().take(room) {
                served[key.partition as usize] += 1;
            }
            sessions.finish(&context, &found, Timestamp(0), || 1).expect("in order");
        }
        let (least, most) = (served.iter().min(), served.iter().max());
        prop_assert!(most.copied() <= least.map(|least| least + 1), "{served:?}");
    }
}
