//! SyncGroup and Heartbeat: who gets which assignment when, and what a log that fails does to it.

use std::time::Duration;

use forebay_protocol::ErrorCode::{
    self, CoordinatorNotAvailable, IllegalGeneration, InconsistentGroupProtocol, InvalidGroupId,
    KafkaStorageError, MessageTooLarge, NotCoordinator, NotEnoughReplicas, NotLeaderOrFollower,
    RebalanceInProgress, RequestTimedOut, UnknownMemberId, UnknownServerError, UnknownTopicOrPartition,
};
use forebay_protocol::messages::{JoinGroupRequest, SyncGroupRequest};

use super::Driver;
use super::driver::{GROUP, REBALANCE, error, join, protocol, sync, text};
use crate::{Command, Config, RequestId};

/// A group that waits for its leader, who comes first; the generation is 2.
fn completing_group(driver: &mut Driver, members: usize) -> Vec<String> {
    let (ids, generation) = driver.stable_group(members);
    let joins: Vec<RequestId> = ids.iter().map(|id| driver.join(join(id))).collect();
    for join in joins {
        let response = driver.joined(join);
        assert_eq!(
            (&*response.leader, response.generation_id),
            (&*ids[0], generation + 1)
        );
    }
    assert_eq!(driver.state(GROUP), "CompletingRebalance");
    ids
}

fn ask(driver: &mut Driver, request: SyncGroupRequest) -> RequestId {
    driver.ask(Command::SyncGroup(request))
}

/// A SyncGroup changed in one way, and the error that it gets.
type Refusal = (&'static str, fn(&mut SyncGroupRequest), ErrorCode);

#[test]
fn what_is_refused() {
    let cases: [Refusal; 8] = [
        ("no group", |sync| sync.group_id = text(""), InvalidGroupId),
        (
            "an unknown group",
            |sync| sync.group_id = text("other"),
            UnknownMemberId,
        ),
        (
            "an unknown member",
            |sync| sync.member_id = text("other"),
            UnknownMemberId,
        ),
        (
            "an unknown instance",
            |sync| sync.group_instance_id = Some(text("other")),
            UnknownMemberId,
        ),
        (
            "an old generation",
            |sync| sync.generation_id -= 1,
            IllegalGeneration,
        ),
        (
            "another type",
            |sync| sync.protocol_type = Some(text("consumer")),
            InconsistentGroupProtocol,
        ),
        (
            "another protocol",
            |sync| sync.protocol_name = Some(text("v1")),
            InconsistentGroupProtocol,
        ),
        (
            "no protocol",
            |sync| sync.protocol_name = None,
            InconsistentGroupProtocol,
        ),
    ];
    for (what, change, expected) in cases {
        let mut driver = Driver::new();
        let (ids, generation) = driver.stable_group(1);
        let mut request = sync(&ids[0], generation, &[]);
        change(&mut request);
        let id = ask(&mut driver, request);
        let response = driver.synced(id);
        assert_eq!(error(response.error_code), expected, "{what}");
        assert_eq!(
            (response.protocol_type, response.protocol_name),
            (None, None),
            "{what}"
        );
    }
    // Before version 5 nobody has to name the protocol.
    let mut driver = Driver::new();
    let (ids, generation) = driver.stable_group(1);
    let request = SyncGroupRequest {
        protocol_type: None,
        protocol_name: None,
        ..sync(&ids[0], generation, &[])
    };
    let id = driver.ask_as(4, "client", Command::SyncGroup(request));
    assert_eq!(driver.synced(id).error_code, 0);
}

#[test]
fn members_wait_for_the_leader_and_for_the_log() {
    let mut driver = Driver::new();
    let ids = completing_group(&mut driver, 3);
    let follower = ask(
        &mut driver,
        sync(&ids[1], 2, &[(&ids[1], "not the leader's: ignored")]),
    );
    driver.hold = true;
    let assignments = [(&*ids[0], "a"), (&*ids[1], "b"), ("stranger", "c")];
    let leader = ask(&mut driver, sync(&ids[0], 2, &assignments));
    let late = ask(&mut driver, sync(&ids[2], 2, &[]));
    assert!(driver.answers.is_empty());
    assert_eq!(driver.written.len(), 1);
    driver.commit();
    for (id, assignment) in [(leader, "a"), (follower, "b"), (late, "")] {
        let response = driver.synced(id);
        assert_eq!(
            (response.error_code, &*response.assignment),
            (0, assignment.as_bytes())
        );
        assert_eq!(
            (response.protocol_type, response.protocol_name),
            (Some(text("sr")), Some(text("v0")))
        );
    }
    driver.hold = false;
    let again = ask(&mut driver, sync(&ids[1], 2, &[]));
    assert_eq!(
        &*driver.synced(again).assignment,
        b"b",
        "a stable group tells it again"
    );
    driver.restart();
    let again = ask(&mut driver, sync(&ids[1], 2, &[]));
    assert_eq!(
        &*driver.synced(again).assignment,
        b"b",
        "and so does the next coordinator"
    );
}

#[test]
fn an_assignment_that_cannot_be_written_sends_everybody_back_to_join() {
    let cases = [
        (NotEnoughReplicas, CoordinatorNotAvailable),
        (UnknownTopicOrPartition, CoordinatorNotAvailable),
        (RequestTimedOut, CoordinatorNotAvailable),
        (NotLeaderOrFollower, NotCoordinator),
        (KafkaStorageError, NotCoordinator),
        (MessageTooLarge, UnknownServerError),
        (ErrorCode::InvalidRequiredAcks, ErrorCode::InvalidRequiredAcks),
    ];
    for (log_error, told) in cases {
        let mut driver = Driver::new();
        let ids = completing_group(&mut driver, 2);
        let follower = ask(&mut driver, sync(&ids[1], 2, &[]));
        driver.hold = true;
        let leader = ask(&mut driver, sync(&ids[0], 2, &[(&ids[0], "a"), (&ids[1], "b")]));
        driver.fail(0, log_error);
        driver.hold = false;
        for id in [leader, follower] {
            let response = driver.synced(id);
            assert_eq!(
                (error(response.error_code), response.assignment.len()),
                (told, 0),
                "{log_error:?}"
            );
        }
        assert_eq!(driver.state(GROUP), "PreparingRebalance", "{log_error:?}");
        let joins: Vec<RequestId> = ids.iter().map(|id| driver.join(join(id))).collect();
        for join in joins {
            assert_eq!(driver.joined(join).generation_id, 3, "{log_error:?}");
        }
    }
}

#[test]
fn an_assignment_larger_than_a_batch_is_refused_before_it_is_tried() {
    let mut driver = Driver::with(Config {
        append_bytes_max: 4_096,
        ..Config::default()
    });
    let ids = completing_group(&mut driver, 1);
    let written = driver.log.len();
    let id = ask(&mut driver, sync(&ids[0], 2, &[(&ids[0], &"x".repeat(4_096))]));
    assert_eq!(error(driver.synced(id).error_code), UnknownServerError);
    assert_eq!(driver.log.len(), written);
    assert_eq!(driver.state(GROUP), "PreparingRebalance");
}

#[test]
fn an_assignment_that_takes_too_long_to_write_is_given_up() {
    let mut driver = Driver::new();
    let ids = completing_group(&mut driver, 1);
    driver.hold = true;
    let id = ask(&mut driver, sync(&ids[0], 2, &[(&ids[0], "a")]));
    driver.advance(Duration::from_millis(4_999));
    assert_eq!(driver.answer(id), None);
    driver.advance(Duration::from_millis(1));
    assert_eq!(error(driver.synced(id).error_code), CoordinatorNotAvailable);
    driver.commit();
    driver.hold = false;
    assert_eq!(
        driver.state(GROUP),
        "PreparingRebalance",
        "that it is written after all comes too late"
    );
    let id = driver.join(join(&ids[0]));
    assert_eq!(driver.joined(id).generation_id, 3);
}

#[test]
fn a_rebalance_that_begins_while_the_assignment_is_written_wins() {
    let mut driver = Driver::new();
    let ids = completing_group(&mut driver, 2);
    driver.hold = true;
    let leader = ask(&mut driver, sync(&ids[0], 2, &[(&ids[0], "a")]));
    driver.join(JoinGroupRequest {
        protocols: vec![protocol("v0", "new")],
        ..join(&ids[1])
    });
    assert_eq!(error(driver.synced(leader).error_code), RebalanceInProgress);
    driver.commit();
    assert_eq!(driver.state(GROUP), "PreparingRebalance");
}

#[test]
fn an_assignment_of_the_past_is_not_that_of_the_next_generation() {
    let mut driver = Driver::new();
    let ids = completing_group(&mut driver, 2);
    driver.hold = true;
    ask(&mut driver, sync(&ids[0], 2, &[(&ids[0], "old")]));
    driver.join(JoinGroupRequest {
        protocols: vec![protocol("v0", "new")],
        ..join(&ids[1])
    });
    driver.join(join(&ids[0]));
    let waiting = ask(&mut driver, sync(&ids[1], 3, &[]));
    driver.commit();
    assert_eq!(driver.answer(waiting), None);
    let leader = ask(&mut driver, sync(&ids[0], 3, &[(&ids[1], "new")]));
    driver.commit();
    assert_eq!(&*driver.synced(waiting).assignment, b"new");
    assert_eq!(driver.synced(leader).error_code, 0);
}

#[test]
fn a_leader_that_loses_patience_and_assigns_again_changes_nothing() {
    let mut driver = Driver::new();
    let ids = completing_group(&mut driver, 2);
    driver.hold = true;
    let follower = ask(&mut driver, sync(&ids[1], 2, &[]));
    let first = ask(&mut driver, sync(&ids[0], 2, &[(&ids[1], "first")]));
    let second = ask(&mut driver, sync(&ids[0], 2, &[(&ids[1], "second")]));
    assert_eq!(error(driver.synced(first).error_code), RebalanceInProgress);
    driver.commit();
    driver.hold = false;
    assert_eq!(driver.synced(second).error_code, 0);
    assert_eq!(&*driver.synced(follower).assignment, b"first");
    driver.restart();
    let again = ask(&mut driver, sync(&ids[1], 2, &[]));
    assert_eq!(
        &*driver.synced(again).assignment,
        b"first",
        "the log says the same"
    );
}

#[test]
fn a_sync_that_replaces_a_parked_one_sends_that_back() {
    let mut driver = Driver::new();
    let ids = completing_group(&mut driver, 2);
    let first = ask(&mut driver, sync(&ids[1], 2, &[]));
    let second = ask(&mut driver, sync(&ids[1], 2, &[]));
    assert_eq!(error(driver.synced(first).error_code), RebalanceInProgress);
    let leader = ask(&mut driver, sync(&ids[0], 2, &[(&ids[1], "b")]));
    assert_eq!(&*driver.synced(second).assignment, b"b");
    assert_eq!(driver.synced(leader).error_code, 0);
}

#[test]
fn who_does_not_sync_within_the_rebalance_timeout_is_out() {
    // Whether the leader has synced, or only the follower.
    for leader_syncs in [true, false] {
        let mut driver = Driver::new();
        let ids = completing_group(&mut driver, 2);
        let (there, missing) = if leader_syncs {
            (&ids[0], &ids[1])
        } else {
            (&ids[1], &ids[0])
        };
        let id = ask(&mut driver, sync(there, 2, &[(there, "mine")]));
        for _ in 0..59 {
            driver.advance(Duration::from_secs(1));
            assert_eq!(driver.heartbeat(there, 2), ErrorCode::None);
            assert_eq!(
                driver.heartbeat(missing, 2),
                ErrorCode::None,
                "it is there, it just does not sync"
            );
        }
        driver.advance(REBALANCE - Duration::from_secs(59));
        assert_eq!(driver.heartbeat(missing, 2), UnknownMemberId);
        let told = error(driver.synced(id).error_code);
        assert_eq!(
            told,
            if leader_syncs {
                ErrorCode::None
            } else {
                RebalanceInProgress
            }
        );
        assert_eq!(driver.state(GROUP), "PreparingRebalance");
        let id = driver.join(join(there));
        assert_eq!(&driver.joined(id).leader, there, "whoever is left leads");
    }
}

#[test]
fn heartbeats_are_answered_by_state() {
    let mut driver = Driver::new();
    assert_eq!(driver.heartbeat("anybody", 0), UnknownMemberId);
    let (ids, generation) = driver.stable_group(2);
    assert_eq!(driver.heartbeat(&ids[0], generation), ErrorCode::None);
    assert_eq!(driver.heartbeat(&ids[0], generation + 1), IllegalGeneration);
    assert_eq!(driver.heartbeat("stranger", generation), UnknownMemberId);
    driver.join(join(&ids[0]));
    assert_eq!(driver.heartbeat(&ids[1], generation), RebalanceInProgress);
    driver.join(join(&ids[1]));
    assert_eq!(driver.state(GROUP), "CompletingRebalance");
    assert_eq!(driver.heartbeat(&ids[1], generation + 1), ErrorCode::None);
    assert_eq!(driver.heartbeat(&ids[1], generation), IllegalGeneration);
}

#[test]
fn a_session_lasts_exactly_as_long_as_it_was_asked_for() {
    let mut driver = Driver::new();
    let (ids, generation) = driver.stable_group(1);
    let (session, tick) = (super::driver::SESSION, Duration::from_millis(1));
    driver.advance(session - tick);
    assert_eq!(driver.heartbeat(&ids[0], generation), ErrorCode::None);
    driver.advance(session - tick);
    assert_eq!(driver.state(GROUP), "Stable");
    driver.advance(tick);
    assert_eq!(driver.state(GROUP), "Empty");
    assert_eq!(driver.heartbeat(&ids[0], generation), UnknownMemberId);
}

#[test]
fn a_step_of_the_wall_clock_ends_no_session() {
    let mut driver = Driver::new();
    let (ids, generation) = driver.stable_group(1);
    for step_ms in [86_400_000, -172_800_000] {
        driver.now.timestamp.0 += step_ms;
        driver.advance(Duration::from_secs(1));
        assert_eq!(driver.heartbeat(&ids[0], generation), ErrorCode::None);
    }
}

#[test]
fn a_heartbeat_waits_for_the_log_like_everything_else() {
    let mut driver = Driver::new();
    let (ids, generation) = driver.stable_group(1);
    driver.hold = true;
    let write = driver.ask(Command::OffsetCommit(super::offsets::commit(
        "simple",
        &[("t", 0, 1)],
    )));
    let request = forebay_protocol::messages::HeartbeatRequest {
        group_id: GROUP.into(),
        generation_id: generation,
        member_id: ids[0].as_str().into(),
        ..Default::default()
    };
    let beat = driver.ask(Command::Heartbeat(request));
    assert!(
        driver.answers.is_empty(),
        "a coordinator that cannot write is perhaps none any more"
    );
    driver.advance(Duration::from_secs(5));
    for id in [write, beat] {
        let response = driver.answer(id).expect("nobody waits for ever");
        let told = match response {
            crate::Response::OffsetCommit(response) => super::driver::first_error(&response),
            crate::Response::Heartbeat(response) => error(response.error_code),
            other => panic!("{other:?}"),
        };
        assert_eq!(told, CoordinatorNotAvailable);
    }
}
