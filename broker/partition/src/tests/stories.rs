//! One story each: checks of requests, the in-sync replicas, the order of things.

use forebay_protocol::NodeId;
use forebay_records::{LeaderEpoch, Offset, Timestamp};

use crate::{
    AcknowledgeAfter, Action, AwaitProduce, Command, Config, EpochEndOffset, EpochEntry, Error, FetchAnswer,
    FetchCheck, FetchIsolation, LeaderAndIsr, LogState, POSITIONS_MAX, Partition, ProduceWaiter,
    RequiredAcks, Role,
};

const NOW: Timestamp = Timestamp(1000);

fn config() -> Config {
    Config {
        min_insync_replicas: 1,
        acknowledge_after: AcknowledgeAfter::Append,
        replica_lag_time_ms_max: 100,
    }
}

fn log(end: i64) -> LogState {
    LogState {
        log_end_offset: Offset(end),
        synced_offset: Offset(end),
        high_watermark: Offset(end),
        ..LogState::default()
    }
}

fn handle(partition: &mut Partition, command: Command, now: i64) -> Vec<Action> {
    let mut actions = Vec::new();
    partition.handle(command, Timestamp(now), &mut actions);
    actions
}

fn leader_and_isr(epoch: i32, partition_epoch: i32, replicas: i32, isr: &[i32]) -> Command {
    Command::BecomeLeader(LeaderAndIsr {
        leader_epoch: LeaderEpoch(epoch),
        partition_epoch,
        replicas: (0..replicas).map(NodeId).collect(),
        isr: isr.iter().copied().map(NodeId).collect(),
    })
}

fn leader(config: Config, end: i64, replicas: i32, isr: &[i32]) -> Partition {
    let mut partition = Partition::new(NodeId(0), config, log(end));
    handle(&mut partition, leader_and_isr(5, 1, replicas, isr), NOW.0);
    partition
}

fn append(partition: &mut Partition, end: i64, now: i64) -> Vec<Action> {
    let command = Command::Appended {
        log_end_offset: Offset(end),
        bytes: 100,
        first_unstable_offset: None,
    };
    handle(partition, command, now)
}

fn fetched(replica: i32, offset: i64) -> Command {
    Command::ReplicaFetched {
        replica: NodeId(replica),
        fetch_offset: Offset(offset),
        log_start_offset: Offset(0),
    }
}

fn isr_of(actions: &[Action]) -> Option<Vec<i32>> {
    actions.iter().find_map(|action| match action {
        Action::AlterIsr { isr, .. } => Some(isr.iter().map(|id| id.0).collect()),
        _ => None,
    })
}

fn consumer(offset: i64, epoch: Option<i32>) -> FetchCheck {
    FetchCheck {
        fetch_offset: Offset(offset),
        isolation: FetchIsolation::HighWatermark,
        current_leader_epoch: epoch.map(LeaderEpoch),
        last_fetched_epoch: None,
        replica: None,
        leader_only: true,
    }
}

#[test]
fn fetches_are_checked_for_epoch_then_role_then_offset() {
    let mut partition = leader(config(), 10, 1, &[0]);
    handle(&mut partition, Command::LogStart { offset: Offset(4) }, NOW.0);
    let check = |check: &FetchCheck| {
        partition
            .check_fetch(check, &[])
            .map_err(|error| error.error_code().name())
    };
    for (offset, epoch, expected) in [
        (4, None, Ok(())),
        (10, Some(5), Ok(())),
        (3, Some(5), Err("OFFSET_OUT_OF_RANGE")),
        (11, None, Err("OFFSET_OUT_OF_RANGE")),
        (3, Some(4), Err("FENCED_LEADER_EPOCH")),
        (3, Some(6), Err("UNKNOWN_LEADER_EPOCH")),
    ] {
        assert_eq!(
            check(&consumer(offset, epoch)).map(|_| ()),
            expected,
            "{offset} {epoch:?}"
        );
    }
    let stranger = |epoch| FetchCheck {
        replica: Some(NodeId(9)),
        ..consumer(4, epoch)
    };
    assert_eq!(check(&stranger(Some(5))), Err("UNKNOWN_LEADER_EPOCH"));
    assert_eq!(check(&stranger(None)), Err("NOT_LEADER_OR_FOLLOWER"));

    let follow = Command::BecomeFollower {
        leader: None,
        leader_epoch: LeaderEpoch(6),
        partition_epoch: 2,
    };
    handle(&mut partition, follow, NOW.0);
    let check = |check: &FetchCheck| {
        partition
            .check_fetch(check, &[])
            .map_err(|error| error.error_code().name())
    };
    assert_eq!(check(&consumer(4, Some(5))), Err("FENCED_LEADER_EPOCH"));
    assert_eq!(check(&consumer(4, Some(6))), Err("NOT_LEADER_OR_FOLLOWER"));
    assert!(
        check(&FetchCheck {
            leader_only: false,
            ..consumer(4, Some(6))
        })
        .is_ok(),
        "KIP-392"
    );
    handle(&mut partition, Command::Fail, NOW.0);
    assert_eq!(
        partition.check_fetch(&consumer(4, None), &[]),
        Err(Error::Storage)
    );
    assert_eq!(partition.check_append(RequiredAcks::None), Err(Error::Storage));
    handle(&mut partition, Command::Delete, NOW.0);
    assert_eq!(
        partition.check_fetch(&consumer(4, None), &[]),
        Err(Error::UnknownTopicOrPartition)
    );
    assert_eq!(partition.role(), Role::Deleted);
}

#[test]
fn a_diverging_fetcher_is_told_where_to_cut() {
    let partition = leader(config(), 30, 2, &[0, 1]);
    let entry = |epoch, offset| EpochEntry {
        epoch: LeaderEpoch(epoch),
        start_offset: Offset(offset),
    };
    let epochs = [entry(1, 0), entry(3, 20)];
    let check = |offset, last| {
        let check = FetchCheck {
            last_fetched_epoch: Some(LeaderEpoch(last)),
            ..consumer(offset, None)
        };
        partition.check_fetch(&check, &epochs)
    };
    assert!(matches!(check(20, 1), Ok(FetchAnswer::Read(_))));
    assert!(matches!(check(30, 3), Ok(FetchAnswer::Read(_))));
    for (offset, last, epoch, end) in [(25, 1, 1, 20), (15, 2, 1, 20), (31, 3, 3, 30)] {
        let expected = EpochEndOffset {
            leader_epoch: LeaderEpoch(epoch),
            end_offset: Offset(end),
        };
        match check(offset, last) {
            Ok(FetchAnswer::Diverging { end, .. }) => assert_eq!(end, expected),
            other => panic!("{offset} {last}: {other:?}"),
        }
    }
    assert!(
        matches!(check(20, 4), Err(Error::OffsetOutOfRange { .. })),
        "an epoch we never had"
    );
    let asked = partition.offset_for_leader_epoch(Some(LeaderEpoch(5)), LeaderEpoch(1), true, &epochs);
    assert_eq!(asked.unwrap().end_offset, Offset(20));
    let fenced = partition.offset_for_leader_epoch(Some(LeaderEpoch(4)), LeaderEpoch(1), true, &epochs);
    assert!(matches!(fenced, Err(Error::FencedLeaderEpoch { .. })));
}

#[test]
fn without_enough_replicas_nothing_is_taken_and_the_high_watermark_stands() {
    let mut partition = leader(
        Config {
            min_insync_replicas: 2,
            ..config()
        },
        10,
        3,
        &[0],
    );
    let refused = Error::NotEnoughReplicas {
        in_sync_replicas: 1,
        min_insync_replicas: 2,
    };
    assert_eq!(partition.check_append(RequiredAcks::All), Err(refused));
    assert_eq!(partition.check_append(RequiredAcks::Leader), Ok(LeaderEpoch(5)));
    append(&mut partition, 12, NOW.0);
    assert_eq!(partition.high_watermark(), Offset(10), "KIP-966");
    // A second replica joins, and all is acknowledged.
    let actions = handle(&mut partition, fetched(1, 12), NOW.0);
    assert_eq!(isr_of(&actions), Some(vec![0, 1]));
    handle(&mut partition, leader_and_isr(5, 2, 3, &[0, 1]), NOW.0);
    assert_eq!(partition.high_watermark(), Offset(12));
    // More replicas than there are cannot be asked for.
    let alone = leader(
        Config {
            min_insync_replicas: 2,
            ..config()
        },
        10,
        1,
        &[0],
    );
    assert!(alone.check_append(RequiredAcks::All).is_ok());
}

#[test]
fn appended_but_too_few_are_left() {
    let mut partition = leader(
        Config {
            min_insync_replicas: 2,
            ..config()
        },
        10,
        3,
        &[0, 1],
    );
    handle(&mut partition, fetched(1, 10), NOW.0);
    append(&mut partition, 12, NOW.0);
    handle(&mut partition, fetched(1, 12), NOW.0);
    assert_eq!(partition.high_watermark(), Offset(12));
    handle(&mut partition, leader_and_isr(5, 2, 3, &[0]), NOW.0);
    // The producer comes to wait only now: its records are below the high watermark, but two copies are no longer kept.
    let wait = AwaitProduce {
        waiter: ProduceWaiter(1),
        acks: RequiredAcks::All,
        required_offset: Offset(12),
    };
    let actions = handle(&mut partition, Command::AwaitProduce(wait), NOW.0);
    let too_few = Err(Error::NotEnoughReplicasAfterAppend {
        in_sync_replicas: 1,
        min_insync_replicas: 2,
    });
    assert_eq!(
        actions,
        [Action::CompleteProduce {
            waiter: ProduceWaiter(1),
            result: too_few
        }]
    );
}

#[test]
fn a_follower_that_lags_leaves_and_one_that_has_caught_up_joins() {
    let mut partition = leader(config(), 10, 2, &[0, 1]);
    handle(&mut partition, fetched(1, 10), 1000);
    assert_eq!(partition.next_deadline(), None, "it has everything");
    append(&mut partition, 12, 1050);
    // Last caught up at 1000: out after more than 100 ms.
    assert_eq!(partition.next_deadline(), Some(Timestamp(1101)));
    assert_eq!(handle(&mut partition, Command::Tick, 1100), []);
    let actions = handle(&mut partition, Command::Tick, 1101);
    assert_eq!(isr_of(&actions), Some(vec![0]));
    assert_eq!(
        partition.next_deadline(),
        None,
        "the controller's answer is awaited"
    );
    assert_eq!(
        partition.high_watermark(),
        Offset(10),
        "until it is out, it counts"
    );
    let actions = handle(&mut partition, leader_and_isr(5, 2, 2, &[0]), 1110);
    assert!(actions.contains(&Action::HighWatermark { offset: Offset(12) }));
    assert_eq!(handle(&mut partition, fetched(1, 11), 1120), [], "not yet");
    let actions = handle(&mut partition, fetched(1, 12), 1130);
    assert_eq!(isr_of(&actions), Some(vec![0, 1]));
    append(&mut partition, 13, 1140);
    assert_eq!(
        partition.high_watermark(),
        Offset(12),
        "it counts before it is in"
    );
    handle(&mut partition, Command::AlterIsrRefused, 1150);
    assert_eq!(partition.high_watermark(), Offset(13));
    assert_eq!(
        isr_of(&handle(&mut partition, fetched(1, 13), 1160)),
        Some(vec![0, 1]),
        "proposed again"
    );
}

#[test]
fn a_follower_that_is_always_one_fetch_behind_is_in_sync() {
    let mut partition = leader(config(), 0, 2, &[0, 1]);
    let mut end = 0;
    for now in (1000..3000).step_by(40) {
        // What it has is what the leader had at its fetch before; by now the leader has more.
        append(&mut partition, end + 10, now);
        handle(&mut partition, fetched(1, end), now + 1);
        end += 10;
        assert_eq!(handle(&mut partition, Command::Tick, now + 39), [], "at {now}");
    }
}

#[test]
fn after_an_election_the_latest_offset_is_not_told_before_the_epoch_is_acknowledged() {
    let mut partition = Partition::new(
        NodeId(0),
        config(),
        LogState {
            log_end_offset: Offset(10),
            high_watermark: Offset(7),
            ..LogState::default()
        },
    );
    handle(&mut partition, leader_and_isr(5, 1, 3, &[0, 1]), NOW.0);
    let unavailable = Error::OffsetNotAvailable {
        high_watermark: Offset(7),
        epoch_start_offset: Offset(10),
    };
    assert_eq!(partition.check_latest_available(), Err(unavailable));
    let bounds = partition
        .check_list_offsets(None, FetchIsolation::HighWatermark, true)
        .unwrap();
    assert_eq!(bounds.end_offset, Offset(7));
    let actions = handle(&mut partition, fetched(2, 9), NOW.0);
    assert_eq!(
        isr_of(&actions),
        None,
        "past the high watermark, but not yet in this leader's epoch"
    );
    handle(&mut partition, fetched(1, 10), NOW.0);
    assert_eq!(partition.check_latest_available(), Ok(()));
}

#[test]
fn metadata_that_come_late_are_ignored() {
    let mut partition = leader(config(), 10, 2, &[0, 1]);
    handle(&mut partition, leader_and_isr(5, 0, 2, &[0]), NOW.0);
    assert_eq!(partition.isr().count(), 2);
    let follow = Command::BecomeFollower {
        leader: None,
        leader_epoch: LeaderEpoch(4),
        partition_epoch: 9,
    };
    handle(&mut partition, follow, NOW.0);
    assert_eq!(
        (partition.role(), partition.leader()),
        (Role::Leader, Some(NodeId(0)))
    );
}

#[test]
fn low_watermark_is_the_least_start_of_those_who_fetched() {
    let mut partition = leader(config(), 10, 3, &[0, 1]);
    handle(&mut partition, fetched(1, 10), NOW.0);
    handle(&mut partition, Command::LogStart { offset: Offset(6) }, NOW.0);
    assert_eq!(partition.low_watermark(), Offset(0));
    let deleted = Command::ReplicaFetched {
        replica: NodeId(1),
        fetch_offset: Offset(10),
        log_start_offset: Offset(6),
    };
    handle(&mut partition, deleted, NOW.0);
    assert_eq!(partition.low_watermark(), Offset(6));
}

#[test]
fn only_so_many_appends_are_remembered_and_the_rest_counts_as_plenty() {
    for (appends, bytes) in [
        (POSITIONS_MAX - 1, 100 * (POSITIONS_MAX as u64 - 1)),
        (POSITIONS_MAX, 1_000_000),
    ] {
        let mut partition = leader(config(), 0, 1, &[0]);
        for end in 1..=appends as i64 {
            append(&mut partition, end, NOW.0);
        }
        let wait = crate::AwaitFetch {
            waiter: crate::FetchWaiter(1),
            index: 0,
            fetch_offset: Offset(0),
            isolation: FetchIsolation::HighWatermark,
            bytes_max: 1_000_000,
            leader_epoch: LeaderEpoch(5),
        };
        let actions = handle(&mut partition, Command::AwaitFetch(wait), NOW.0);
        let expected = Action::FetchProgress {
            waiter: crate::FetchWaiter(1),
            index: 0,
            available_bytes: bytes,
        };
        assert_eq!(actions, [expected]);
    }
}
