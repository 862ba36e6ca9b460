//! What requests of a session, in order and out of it, get and change.

mod model;

use super::session::PUT_IN;
use super::*;

fn key(partition: i32) -> FetchKey {
    FetchKey {
        topic: "t".into(),
        topic_id: Uuid::default(),
        partition,
    }
}

fn ask(offset: i64) -> FetchAsk {
    FetchAsk {
        fetch_offset: Offset(offset),
        max_bytes: 1,
        current_leader_epoch: LeaderEpoch(-1),
        last_fetched_epoch: LeaderEpoch(-1),
        log_start_offset: Offset(-1),
    }
}

fn request(session_id: i32, epoch: i32, partitions: &[i32]) -> SessionRequest {
    SessionRequest {
        session_id,
        epoch,
        uses_topic_ids: false,
        privileged: false,
        partitions: partitions.iter().map(|one| (key(*one), ask(0))).collect(),
        forgotten: Vec::new(),
    }
}

fn found(high_watermark: i64) -> FetchFound {
    FetchFound {
        news: false,
        records: false,
        failed: false,
        high_watermark: Offset(high_watermark),
        last_stable_offset: Offset(high_watermark),
        log_start_offset: Offset(0),
    }
}

const RECORDS: FetchFound = FetchFound {
    news: true,
    records: true,
    failed: false,
    high_watermark: Offset(9),
    last_stable_offset: Offset(9),
    log_start_offset: Offset(0),
};

/// Opens a session of so many partitions.
fn open(sessions: &mut FetchSessions, size: i32, privileged: bool, now: i64) -> i32 {
    let partitions: Vec<i32> = (0..size).collect();
    let request = SessionRequest {
        privileged,
        ..request(0, 0, &partitions)
    };
    let context = sessions.begin(request, Timestamp(now)).expect("a full fetch");
    let found = vec![found(0); context.partitions.len()];
    let mut next = 0;
    let new_id = || {
        next += 1;
        next
    };
    sessions
        .finish(&context, &found, Timestamp(now), new_id)
        .expect("it ends")
        .session_id
}

/// One incremental fetch in which each partition has what `of` says; gives the partitions read and those named.
fn fetch(
    sessions: &mut FetchSessions,
    request: SessionRequest,
    of: impl Fn(i32) -> FetchFound,
) -> Result<(Vec<i32>, Vec<i32>), SessionError> {
    let context = sessions.begin(request, Timestamp(0))?;
    let read: Vec<i32> = context.partitions.iter().map(|(key, _)| key.partition).collect();
    let found: Vec<FetchFound> = read.iter().map(|one| of(*one)).collect();
    let finished = sessions.finish(&context, &found, Timestamp(0), || 7)?;
    let included = finished.included.unwrap_or_else(|| vec![true; read.len()]);
    let named = read.iter().zip(included).filter(|(_, included)| *included);
    let named = named.map(|(one, _)| *one).collect();
    Ok((read, named))
}

#[test]
fn only_what_is_new_is_named_and_who_gave_records_goes_to_the_end() {
    let mut sessions = FetchSessions::new(1);
    let id = open(&mut sessions, 3, false, 0);
    let quiet = |_| found(0);
    assert_eq!(
        fetch(&mut sessions, request(id, 1, &[]), quiet),
        Ok((vec![0, 1, 2], vec![]))
    );
    let one_has_records = |one| if one == 0 { RECORDS } else { found(0) };
    assert_eq!(
        fetch(&mut sessions, request(id, 2, &[]), one_has_records),
        Ok((vec![0, 1, 2], vec![0]))
    );
    for (epoch, field) in (3..).zip(0..3) {
        let moved = |one| {
            let mut found = if one == 0 { found(9) } else { found(0) };
            if one == 2 {
                let field = match field {
                    0 => &mut found.high_watermark,
                    1 => &mut found.last_stable_offset,
                    _ => &mut found.log_start_offset,
                };
                *field = Offset(5);
            }
            found
        };
        let (read, named) = fetch(&mut sessions, request(id, epoch, &[]), moved).expect("in order");
        assert_eq!(read, [1, 2, 0]);
        assert!(
            named.contains(&2) && !named.contains(&1),
            "field {field}: {named:?}"
        );
    }
    let failed = |one| FetchFound {
        failed: one == 1,
        ..found(0)
    };
    let (_, named) = fetch(&mut sessions, request(id, 6, &[]), failed).expect("in order");
    assert!(named.contains(&1), "an error is told");
    let (_, named) = fetch(&mut sessions, request(id, 7, &[]), failed).expect("in order");
    assert_eq!(named, [1], "each time");
    let (_, named) = fetch(&mut sessions, request(id, 8, &[]), quiet).expect("in order");
    assert_eq!(named, [1], "and that it is over");
}

#[test]
fn requests_out_of_order_are_refused_and_change_nothing() {
    let mut sessions = FetchSessions::new(9);
    let id = open(&mut sessions, 1, false, 0);
    let invalid = SessionError::InvalidEpoch { session_id: 0 };
    for (session_id, epoch, expected) in [
        (id, 2, invalid),
        (id, i32::MAX, invalid),
        (id, i32::MIN, invalid),
        (id + 1, 1, SessionError::NotFound),
        (0, 1, SessionError::NotFound),
        (-1, 1, SessionError::NotFound),
    ] {
        let refused = fetch(&mut sessions, request(session_id, epoch, &[5]), |_| found(0));
        assert_eq!(refused, Err(expected), "session {session_id} epoch {epoch}");
    }
    let by_id = SessionRequest {
        uses_topic_ids: true,
        ..request(id, 1, &[])
    };
    assert_eq!(
        fetch(&mut sessions, by_id, |_| found(0)),
        Err(SessionError::TopicIds)
    );
    let (read, _) = fetch(&mut sessions, request(id, 1, &[]), |_| found(0)).expect("the right one");
    assert_eq!(read, [0]);
    let replayed = fetch(&mut sessions, request(id, 1, &[]), |_| found(0));
    assert_eq!(replayed, Err(invalid));

    // A request that comes while another of the session waits goes on with it; the one that waited is told so.
    let waiting = sessions
        .begin(request(id, 2, &[]), Timestamp(0))
        .expect("in order");
    fetch(&mut sessions, request(id, 3, &[]), |_| found(0)).expect("in order");
    let late = sessions.finish(&waiting, &[found(0)], Timestamp(0), || 1);
    assert_eq!(late, Err(SessionError::InvalidEpoch { session_id: id }));
}

#[test]
fn a_session_ends_with_its_partitions_or_by_a_full_fetch() {
    for ending in [
        SessionRequest {
            forgotten: vec![key(0), key(1), key(9)],
            ..request(0, 1, &[])
        },
        request(0, -1, &[0]),
        request(0, 0, &[0]),
    ] {
        // Room for no other: the full fetch gets the place of the one that it closes.
        let mut sessions = FetchSessions::new(1);
        let id = open(&mut sessions, 2, false, 0);
        let epoch = ending.epoch;
        let ending = SessionRequest {
            session_id: id,
            ..ending
        };
        let context = sessions.begin(ending, Timestamp(0)).expect("it is known");
        assert!(sessions.is_empty() && sessions.partition_count() == 0);
        let found = vec![found(0); context.partitions.len()];
        let finished = sessions
            .finish(&context, &found, Timestamp(0), || 9)
            .expect("it ends");
        assert_eq!(finished.session_id, if epoch == 0 { 9 } else { 0 });
        let gone = fetch(&mut sessions, request(id, 2, &[]), |_| RECORDS);
        assert_eq!(gone, Err(SessionError::NotFound));
    }
}

#[test]
fn epochs_begin_anew_after_the_last() {
    let mut sessions = FetchSessions::new(1);
    let id = open(&mut sessions, 1, false, 0);
    sessions.sessions.get_mut(&id).expect("it is kept").epoch = i32::MAX;
    for epoch in [i32::MAX, 1, 2] {
        fetch(&mut sessions, request(id, epoch, &[]), |_| found(0)).expect("in order");
    }
}

#[test]
fn who_gives_way_to_whom() {
    const OLD: i64 = EVICTION_MS + 1;
    // Whether the session there is a follower's, its size, how old it is and when it was last used; the new one.
    for (there, new, expected) in [
        ((false, 1, OLD, OLD), (false, 1), true),
        ((true, 9, OLD, OLD), (false, 1), true),
        ((false, 1, OLD - 1, OLD - 1), (false, 9), false),
        ((false, 1, OLD, 0), (false, 2), true),
        ((false, 1, OLD, 0), (false, 1), false),
        ((false, 9, 0, 0), (true, 1), true),
        ((true, 1, 0, 0), (true, 9), false),
        ((true, 1, OLD, 0), (true, 2), true),
        ((true, 1, OLD, 0), (false, 9), false),
    ] {
        let mut sessions = FetchSessions::new(1);
        let (privileged, size, age, unused) = there;
        let now = 1_000_000;
        let id = open(&mut sessions, size, privileged, now - age);
        let session = sessions.sessions.get_mut(&id).expect("it is kept");
        session.last_used = Timestamp(now - unused);
        let opened = open(&mut sessions, new.1, new.0, now);
        assert_eq!(opened != 0, expected, "{there:?} and {new:?}");
        assert_eq!(
            (sessions.len(), sessions.evictions()),
            (1, u64::from(expected)),
            "{there:?} and {new:?}"
        );
    }
    assert_eq!(open(&mut FetchSessions::new(0), 1, false, 0), 0, "no slots");
}

#[test]
fn partitions_of_all_sessions_are_bounded() {
    let mut sessions = FetchSessions::bounded(9, 5, SESSION_BYTES_MAX);
    let first = open(&mut sessions, 3, false, 0);
    assert_eq!(open(&mut sessions, 3, false, 0), 0);
    let second = open(&mut sessions, 2, false, 0);
    assert!(first != 0 && second != 0);
    let grown = fetch(&mut sessions, request(second, 1, &[7]), |_| found(0));
    assert_eq!(grown, Err(SessionError::NotFound));
    assert_eq!((sessions.len(), sessions.partition_count()), (1, 3));
}

#[test]
fn what_a_session_would_grow_to_is_judged_before_it_grows() {
    let size = |partitions| usize::try_from(partitions).expect("few") * PARTITION_BYTES;
    for (partitions_max, bytes_max) in [(10, usize::MAX), (1_000, 1 + size(10))] {
        let mut sessions = FetchSessions::bounded(9, partitions_max, bytes_max);
        let id = open(&mut sessions, 8, false, 0);
        assert_ne!(id, 0);
        // Those that are there, and those that are named twice, are not counted again.
        let just = request(id, 1, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 8]);
        assert!(sessions.begin(just, Timestamp(0)).is_ok());
        assert_eq!((sessions.partition_count(), sessions.bytes), (10, 1 + size(10)));
        let put_in = PUT_IN.get();
        let many: Vec<i32> = (10..1_000).collect();
        let refused = sessions.begin(request(id, 2, &many), Timestamp(0));
        assert_eq!(refused.expect_err("too large"), SessionError::NotFound);
        assert_eq!(PUT_IN.get(), put_in);
        assert_eq!(
            (sessions.len(), sessions.partition_count(), sessions.bytes),
            (0, 0, 0)
        );
    }
}

#[test]
fn a_partition_named_twice_is_read_once() {
    let mut sessions = FetchSessions::new(1);
    let mut twice = request(0, 0, &[1, 2, 1]);
    twice.partitions[2].1 = ask(5);
    let context = sessions.begin(twice, Timestamp(0)).expect("a full fetch");
    assert_eq!(context.partitions, [(key(1), ask(5)), (key(2), ask(0))]);
}

#[test]
fn nobody_gives_way_to_what_is_not_kept() {
    const LONG: i64 = 2 * EVICTION_MS;
    for (slots, partitions_max, bytes) in [(9, 5, usize::MAX), (1, 5, usize::MAX), (9, 100, 5), (1, 100, 5)] {
        let bytes_max = bytes.saturating_mul(PARTITION_BYTES).saturating_add(100);
        let mut sessions = FetchSessions::bounded(slots, partitions_max, bytes_max);
        let small = open(&mut sessions, 2, false, 0);
        assert_ne!(small, 0);
        assert_eq!(open(&mut sessions, 6, false, LONG), 0);
        assert_eq!((sessions.len(), sessions.evictions()), (1, 0));
        assert_ne!(
            open(&mut sessions, 5, false, LONG),
            0,
            "the small one has not been used for long"
        );
        assert_eq!((sessions.len(), sessions.evictions()), (1, 1));
    }
}

#[test]
fn a_topic_s_name_is_kept_once_and_bytes_are_bounded() {
    let name: Utf8Bytes = "n".repeat(32_000).into();
    let of_name = |partition| {
        let key = FetchKey {
            topic: name.clone(),
            ..key(partition)
        };
        (key, ask(0))
    };
    let open = |sessions: &mut FetchSessions, partitions: std::ops::Range<i32>| {
        let request = SessionRequest {
            partitions: partitions.map(of_name).collect(),
            ..request(0, 0, &[])
        };
        let context = sessions.begin(request, Timestamp(0)).expect("a full fetch");
        let found = vec![found(0); context.partitions.len()];
        let id = i32::try_from(sessions.len()).expect("few") + 1;
        let finished = sessions.finish(&context, &found, Timestamp(0), || id);
        finished.expect("it ends").session_id
    };
    let size = 32_000 + 1_000 * PARTITION_BYTES;
    let mut sessions = FetchSessions::bounded(9, 10_000, size);
    let id = open(&mut sessions, 0..1_000);
    assert_eq!(id, 1, "a session of just so many bytes is kept");
    let kept = sessions.sessions[&id].asks();
    let addresses: HashSet<*const u8> = kept.iter().map(|(key, _)| key.topic.as_ptr()).collect();
    assert_eq!(addresses.len(), 1, "one name");
    assert_ne!(
        addresses.into_iter().next(),
        Some(name.as_ptr()),
        "not the request's"
    );
    assert_eq!(open(&mut sessions, 0..1), 0, "no room for one partition more");

    let forgotten = (1..1_000).map(|partition| of_name(partition).0).collect();
    let smaller = SessionRequest {
        forgotten,
        ..request(id, 1, &[])
    };
    sessions.begin(smaller, Timestamp(0)).expect("it goes on");
    assert_eq!(sessions.bytes, 32_000 + PARTITION_BYTES);
    let larger = SessionRequest {
        partitions: (0..2_000).map(of_name).collect(),
        ..request(id, 2, &[])
    };
    let refused = sessions.begin(larger, Timestamp(0)).expect_err("too large");
    assert_eq!(refused, SessionError::NotFound);
    assert_eq!(
        (sessions.len(), sessions.partition_count(), sessions.bytes),
        (0, 0, 0)
    );
}
