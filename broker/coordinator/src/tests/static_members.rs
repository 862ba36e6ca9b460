//! Static members (KIP-345, 814): fenced, replaced without a rebalance where nothing changes, given back when that cannot be written.

use std::time::Duration;

use forebay_protocol::ErrorCode::{
    self, CoordinatorNotAvailable, FencedInstanceId, NotEnoughReplicas, RebalanceInProgress, UnknownMemberId,
    UnknownServerError,
};
use forebay_protocol::messages::{HeartbeatRequest, JoinGroupRequest, OffsetCommitRequest};

use super::Driver;
use super::driver::{GROUP, SESSION, consuming, error, first_error, join, protocol, sync, text};
use crate::{Command, Config, RequestId, Response};

fn instance(name: &str, member: &str) -> JoinGroupRequest {
    JoinGroupRequest {
        group_instance_id: Some(name.into()),
        ..join(member)
    }
}

/// A stable group of static members `0`, `1`, …; their member ids, and which of them leads.
fn stable_group(driver: &mut Driver, members: usize) -> (Vec<String>, usize) {
    let joins: Vec<RequestId> = (0..members)
        .map(|index| driver.join(instance(&index.to_string(), "")))
        .collect();
    driver.advance(Duration::from_secs(9));
    let joined: Vec<_> = joins.into_iter().map(|join| driver.joined(join)).collect();
    let leader = joined
        .iter()
        .position(|joined| joined.leader == joined.member_id)
        .expect("somebody leads");
    let ids: Vec<String> = joined.iter().map(|joined| joined.member_id.to_string()).collect();
    let assignments: Vec<(&str, &str)> = ids.iter().map(|id| (&**id, &**id)).collect();
    let first = driver.ask(Command::SyncGroup(sync(&ids[leader], 1, &assignments)));
    assert_eq!(driver.synced(first).error_code, 0);
    for id in &ids {
        let id = driver.ask(Command::SyncGroup(sync(id, 1, &[])));
        assert_eq!(driver.synced(id).error_code, 0);
    }
    (ids, leader)
}

#[test]
fn a_static_member_gets_its_id_at_once_and_opens_with_its_instance() {
    let mut driver = Driver::new();
    let id = driver.join(instance("one", ""));
    driver.advance(Duration::from_secs(3));
    let response = driver.joined(id);
    assert!(response.member_id.starts_with("one-"), "{}", response.member_id);
    assert_eq!(response.members[0].group_instance_id, Some(text("one")));
}

#[test]
fn one_that_comes_back_to_a_stable_group_changes_nothing_but_its_id() {
    for (version, leads) in [(8, true), (8, false), (9, true), (9, false)] {
        let what = format!("version {version}, leader: {leads}");
        let mut driver = Driver::new();
        let (ids, leader) = stable_group(&mut driver, 2);
        let index = if leads { leader } else { 1 - leader };
        let old = &ids[index];
        let records = driver.log.len();
        let id = driver.join_as(version, instance(&index.to_string(), ""));
        let response = driver.joined(id);
        let new = response.member_id.to_string();
        assert_eq!((response.error_code, response.generation_id), (0, 1), "{what}");
        assert_ne!(&new, old, "{what}");
        assert_eq!(driver.log.len(), records + 1, "{what}: the new id is written");
        // Since version 9 a leader is told that it leads but need not assign; before, that somebody else does.
        assert_eq!(response.skip_assignment, leads && version >= 9, "{what}");
        assert_eq!(
            response.members.len(),
            if leads && version >= 9 { 2 } else { 0 },
            "{what}"
        );
        let leader_told = if leads && version >= 9 { &new } else { &ids[leader] };
        assert_eq!(&*response.leader, leader_told, "{what}");

        let id = driver.ask(Command::SyncGroup(sync(&new, 1, &[])));
        assert_eq!(
            driver.synced(id).assignment,
            old.as_bytes(),
            "{what}: it has the assignment that it had"
        );
        assert_eq!(
            driver.heartbeat_as(old, Some(&index.to_string()), 1),
            FencedInstanceId,
            "{what}"
        );
        assert_eq!(driver.heartbeat(old, 1), UnknownMemberId, "{what}");
        assert_eq!(
            driver.heartbeat_as(&new, Some(&index.to_string()), 1),
            ErrorCode::None,
            "{what}"
        );
        assert_eq!(
            driver.heartbeat_as(&new, Some("another"), 1),
            UnknownMemberId,
            "{what}"
        );
        assert_eq!(driver.state(GROUP), "Stable", "{what}");
        driver.restart();
        assert_eq!(
            driver.heartbeat_as(&new, Some(&index.to_string()), 1),
            ErrorCode::None,
            "{what}: after a restart"
        );
    }
}

#[test]
fn the_old_id_is_fenced_everywhere() {
    let mut driver = Driver::new();
    let (ids, _) = stable_group(&mut driver, 1);
    let id = driver.join(instance("0", ""));
    driver.joined(id);
    let fenced = |driver: &mut Driver, command| {
        let id = driver.ask(command);
        match driver.answer(id).expect("answered at once") {
            Response::JoinGroup(response) => error(response.error_code),
            Response::SyncGroup(response) => error(response.error_code),
            Response::Heartbeat(response) => error(response.error_code),
            Response::LeaveGroup(response) => error(response.members[0].error_code),
            Response::OffsetCommit(response) => first_error(&response),
            other => panic!("{other:?}"),
        }
    };
    let group_instance_id = Some(text("0"));
    let commands = [
        Command::JoinGroup(instance("0", &ids[0]), 0),
        Command::SyncGroup(forebay_protocol::messages::SyncGroupRequest {
            group_instance_id: group_instance_id.clone(),
            ..sync(&ids[0], 1, &[])
        }),
        Command::Heartbeat(HeartbeatRequest {
            group_id: GROUP.into(),
            generation_id: 1,
            member_id: ids[0].as_str().into(),
            group_instance_id: group_instance_id.clone(),
            ..Default::default()
        }),
        Command::LeaveGroup(super::leave::leave(&[(&ids[0], Some("0"))])),
        Command::OffsetCommit(OffsetCommitRequest {
            generation_id_or_member_epoch: 1,
            member_id: ids[0].as_str().into(),
            group_instance_id,
            ..super::offsets::commit(GROUP, &[("t", 0, 1)])
        }),
    ];
    for command in commands {
        let what = format!("{command:?}");
        assert_eq!(fenced(&mut driver, command), FencedInstanceId, "{what}");
    }
}

#[test]
fn one_that_comes_back_fences_what_its_old_self_has_parked() {
    let mut driver = Driver::new();
    let (ids, leader) = stable_group(&mut driver, 2);
    // Everybody joins again, then the follower waits for its assignment.
    let first = driver.join(instance(&leader.to_string(), &ids[leader]));
    let follower = (1 - leader).to_string();
    let second = driver.join(instance(&follower, ""));
    let new = driver.joined(second).member_id.to_string();
    assert_eq!(driver.joined(first).generation_id, 2);
    let waiting = driver.ask(Command::SyncGroup(sync(&new, 2, &[])));
    // It comes back once more: the leader may assign to an id that is no more, so all join again.
    let third = driver.join(instance(&follower, ""));
    assert_eq!(error(driver.synced(waiting).error_code), FencedInstanceId);
    assert_eq!(driver.state(GROUP), "PreparingRebalance");
    // And again, while it waits for the leader to join.
    let fourth = driver.join(instance(&follower, ""));
    let fenced = driver.joined(third);
    assert_eq!(
        (error(fenced.error_code), fenced.generation_id),
        (FencedInstanceId, -1)
    );
    driver.join(instance(&leader.to_string(), &ids[leader]));
    assert_eq!(driver.joined(fourth).generation_id, 3);
}

#[test]
fn one_that_would_change_the_protocol_begins_a_rebalance() {
    let mut driver = Driver::new();
    let both = |request| JoinGroupRequest {
        protocols: vec![protocol("a", ""), protocol("b", "")],
        ..request
    };
    let id = driver.join(both(instance("0", "")));
    driver.advance(Duration::from_secs(3));
    let member = driver.joined(id).member_id;
    let request = forebay_protocol::messages::SyncGroupRequest {
        protocol_name: Some(text("a")),
        ..sync(&member, 1, &[])
    };
    let id = driver.ask(Command::SyncGroup(request));
    assert_eq!(driver.synced(id).error_code, 0);
    let id = driver.join(JoinGroupRequest {
        protocols: vec![protocol("b", "")],
        ..instance("0", "")
    });
    let response = driver.joined(id);
    assert_eq!(
        (response.generation_id, response.protocol_name),
        (2, Some(text("b")))
    );
}

#[test]
fn an_id_that_could_not_be_written_is_taken_back() {
    for (log_error, told) in [
        (NotEnoughReplicas, CoordinatorNotAvailable),
        (ErrorCode::RecordListTooLarge, UnknownServerError),
    ] {
        let mut driver = Driver::new();
        let (ids, leader) = stable_group(&mut driver, 2);
        let index = 1 - leader;
        driver.hold = true;
        let id = driver.join(instance(&index.to_string(), ""));
        assert_eq!(driver.answer(id), None, "nothing is told before it is written");
        driver.fail(0, log_error);
        let response = driver.joined(id);
        assert_eq!((error(response.error_code), response.member_id), (told, text("")));
        driver.hold = false;
        assert_eq!(
            driver.heartbeat_as(&ids[index], Some(&index.to_string()), 1),
            ErrorCode::None,
            "{told:?}"
        );
        assert_eq!(driver.state(GROUP), "Stable");
    }
}

#[test]
fn an_id_that_takes_too_long_to_write_is_refused_but_stays_if_it_is_written_after_all() {
    let timeout = Duration::from_secs(5);
    for written in [true, false] {
        let mut driver = Driver::new();
        let (ids, _) = stable_group(&mut driver, 1);
        driver.hold = true;
        let id = driver.join(instance("0", ""));
        driver.advance(timeout - Duration::from_millis(1));
        assert_eq!(driver.answer(id), None);
        driver.advance(Duration::from_millis(1));
        assert_eq!(error(driver.joined(id).error_code), CoordinatorNotAvailable);
        if written {
            driver.commit();
        } else {
            driver.fail(0, NotEnoughReplicas);
        }
        driver.hold = false;
        let expected = if written {
            FencedInstanceId
        } else {
            ErrorCode::None
        };
        assert_eq!(
            driver.heartbeat_as(&ids[0], Some("0"), 1),
            expected,
            "written: {written}"
        );
        let live = members(&mut driver);
        driver.restart();
        assert_eq!(members(&mut driver), live);
    }
}

#[test]
fn one_that_waited_longer_for_the_log_than_its_session_lasts_still_has_a_session() {
    for outcome in ["written", "not written", "given up"] {
        let offset_commit_timeout = if outcome == "given up" {
            SESSION
        } else {
            SESSION * 3
        } + Duration::from_secs(1);
        let mut driver = Driver::with(Config {
            offset_commit_timeout,
            ..Config::default()
        });
        stable_group(&mut driver, 1);
        driver.hold = true;
        let id = driver.join(instance("0", ""));
        driver.advance(SESSION + Duration::from_secs(1));
        match outcome {
            "written" => driver.commit(),
            "not written" => driver.fail(0, NotEnoughReplicas),
            _ => {}
        }
        driver.joined(id);
        driver.coordinator.assert_consistent(false);
        driver.hold = false;
        driver.commit();
        assert_eq!(driver.state(GROUP), "Stable", "{outcome}");
        driver.advance(SESSION);
        assert_eq!(driver.state(GROUP), "Empty", "{outcome}");
    }
}

fn members(driver: &mut Driver) -> Vec<String> {
    let id = driver.ask(Command::DescribeGroups(vec![GROUP.into()]));
    match driver.answer(id) {
        Some(Response::DescribeGroups(groups)) => groups[0]
            .members
            .iter()
            .map(|member| member.member_id.to_string())
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_id_that_a_rebalance_has_made_known_stays_even_if_its_own_append_fails() {
    let mut driver = Driver::new();
    let (ids, leader) = stable_group(&mut driver, 2);
    let index = 1 - leader;
    driver.hold = true;
    let id = driver.join(instance(&index.to_string(), ""));
    let other = driver.join(instance(&leader.to_string(), &ids[leader]));
    assert_eq!(
        driver.joined(other).generation_id,
        2,
        "it counts as joined: the rebalance is complete"
    );
    let new = driver.joined(id).member_id.to_string();
    driver.fail(0, NotEnoughReplicas);
    driver.hold = false;
    assert_eq!(
        driver.heartbeat_as(&new, Some(&index.to_string()), 2),
        ErrorCode::None
    );
}

#[test]
fn one_that_comes_back_before_it_has_synced_is_waited_for_under_its_new_id() {
    for syncs in [true, false] {
        let mut driver = Driver::new();
        let joins = ["0", "1"].map(|name| driver.join(instance(name, "")));
        driver.advance(Duration::from_secs(9));
        let joined = joins.map(|join| driver.joined(join));
        let leader = joined[0].leader.clone();
        let other = usize::from(joined[0].member_id == leader).to_string();
        let id = driver.ask(Command::SyncGroup(sync(&leader, 1, &[])));
        assert_eq!(driver.synced(id).error_code, 0);
        let id = driver.join(instance(&other, ""));
        let new = driver.joined(id).member_id;
        if syncs {
            let id = driver.ask(Command::SyncGroup(sync(&new, 1, &[])));
            assert_eq!(driver.synced(id).error_code, 0);
        }
        for _ in 0..10 {
            driver.advance(Duration::from_secs(6));
            for member in [&leader, &new] {
                driver.heartbeat(member, 1);
            }
        }
        assert_eq!(
            driver.state(GROUP),
            if syncs { "Stable" } else { "PreparingRebalance" }
        );
    }
}

#[test]
fn those_that_are_late_stay_until_their_session_is_over() {
    let mut driver = Driver::new();
    let (ids, leader) = stable_group(&mut driver, 2);
    let other = 1 - leader;
    let short = |request| JoinGroupRequest {
        rebalance_timeout_ms: 1_000,
        ..request
    };
    for index in [leader, other] {
        driver.join(short(instance(&index.to_string(), &ids[index])));
    }
    driver.answers.clear();
    let joined = driver.join(JoinGroupRequest {
        protocols: vec![protocol("v0", "new")],
        ..short(instance(&other.to_string(), &ids[other]))
    });
    driver.advance(Duration::from_secs(1));
    let response = driver.joined(joined);
    assert_eq!(
        (response.generation_id, response.members.len()),
        (3, 2),
        "the late one is still a member"
    );
    assert_eq!(&*response.leader, &*ids[other], "but leads no longer");
    driver.advance(SESSION);
    assert_eq!(driver.heartbeat(&ids[leader], 3), UnknownMemberId);
}

#[test]
fn a_group_whose_static_members_are_all_late_waits_without_spinning() {
    let mut driver = Driver::new();
    let id = driver.join(JoinGroupRequest {
        rebalance_timeout_ms: 0,
        ..consuming(instance("0", ""), &["t"])
    });
    driver.advance(Duration::from_millis(2_999));
    let (_, dynamic) = driver.join_with_id(|request| consuming(request, &["t"]));
    let mut ticks = 0;
    let end = driver.now.elapsed + Duration::from_secs(60);
    while let Some(deadline) = driver
        .coordinator
        .next_deadline()
        .filter(|deadline| *deadline <= end)
    {
        let step = deadline.saturating_sub(driver.now.elapsed);
        driver.advance(step);
        ticks += 1;
    }
    assert!(ticks < 2_000, "{ticks} ticks in a minute");
    assert!(driver.answers.contains_key(&id) && driver.answers.contains_key(&dynamic));
    assert_eq!(driver.state(GROUP), "Empty");
}

#[test]
fn an_instance_that_rebalances_is_still_the_same_member() {
    let mut driver = Driver::new();
    let (ids, _) = stable_group(&mut driver, 1);
    let id = driver.join(instance("0", &ids[0]));
    let response = driver.joined(id);
    assert_eq!((&*response.member_id, response.generation_id), (&*ids[0], 2));
    assert_eq!(
        driver.heartbeat_as(&ids[0], Some("0"), 1),
        ErrorCode::IllegalGeneration
    );
    let id = driver.join(instance("1", ""));
    assert_eq!(driver.heartbeat_as(&ids[0], Some("0"), 2), RebalanceInProgress);
    driver.join(instance("0", &ids[0]));
    assert_eq!(driver.joined(id).generation_id, 3);
}
