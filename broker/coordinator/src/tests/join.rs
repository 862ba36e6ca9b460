//! JoinGroup of dynamic members: who comes in, how long it takes, who leads, which protocol wins.

use std::time::Duration;

use forebay_protocol::ErrorCode::{
    self, GroupMaxSizeReached, InconsistentGroupProtocol, InvalidGroupId, InvalidSessionTimeout,
    MemberIdRequired, RebalanceInProgress, UnknownMemberId,
};
use forebay_protocol::messages::JoinGroupRequest;

use super::Driver;
use super::driver::{GROUP, SESSION, error, join, protocol, sync, text};
use crate::{Command, Config, Event, RequestId};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A JoinGroup changed in one way, and the error that it gets.
type Refusal = (&'static str, fn(&mut JoinGroupRequest), ErrorCode);

#[test]
fn what_is_refused_leaves_no_trace() {
    let cases: [Refusal; 8] = [
        ("no group", |join| join.group_id = text(""), InvalidGroupId),
        (
            "session too short",
            |join| join.session_timeout_ms = 5_999,
            InvalidSessionTimeout,
        ),
        (
            "session too long",
            |join| join.session_timeout_ms = 1_800_001,
            InvalidSessionTimeout,
        ),
        (
            "session negative",
            |join| join.session_timeout_ms = -1,
            InvalidSessionTimeout,
        ),
        (
            "a member of nothing",
            |join| join.member_id = text("somebody"),
            UnknownMemberId,
        ),
        (
            "no protocol type",
            |join| join.protocol_type = text(""),
            InconsistentGroupProtocol,
        ),
        (
            "no protocol",
            |join| join.protocols.clear(),
            InconsistentGroupProtocol,
        ),
        (
            "an instance of nothing",
            |join| (join.member_id, join.group_instance_id) = (text("a"), Some(text("i"))),
            UnknownMemberId,
        ),
    ];
    for (what, change, expected) in cases {
        let mut driver = Driver::new();
        let mut request = join("");
        change(&mut request);
        let asked = request.member_id.clone();
        let id = driver.join(request);
        let response = driver.joined(id);
        assert_eq!(error(response.error_code), expected, "{what}");
        assert_eq!(
            (response.member_id, response.generation_id),
            (asked, -1),
            "{what}"
        );
        assert_eq!(
            (driver.log.len(), driver.coordinator.group_count()),
            (0, 0),
            "{what}"
        );
    }
    for session_timeout_ms in [6_000, 1_800_000] {
        let mut driver = Driver::new();
        driver.join_with_id(|request| JoinGroupRequest {
            session_timeout_ms,
            ..request
        });
    }
}

#[test]
fn answers_have_the_shape_of_their_version() {
    for version in 0..=9 {
        let mut driver = Driver::new();
        let id = driver.join_as(
            version,
            JoinGroupRequest {
                protocols: vec![],
                ..join("")
            },
        );
        let refused = driver.joined(id);
        // Before version 7 the protocol name cannot be null on the wire.
        assert_eq!(refused.protocol_name.is_none(), version >= 7, "version {version}");

        let mut id = driver.join_as(version, join(""));
        if version >= 4 {
            let response = driver.joined(id);
            assert_eq!(error(response.error_code), MemberIdRequired, "version {version}");
            id = driver.join_as(version, join(&response.member_id));
        }
        driver.advance(seconds(3));
        let response = driver.joined(id);
        assert_eq!(
            (response.error_code, response.generation_id),
            (0, 1),
            "version {version}"
        );
        assert_eq!(response.leader, response.member_id);
        assert_eq!(response.members.len(), 1);
        assert!(!response.skip_assignment);
        // "client-" and a version 4 uuid as Java prints it.
        let uuid = response
            .member_id
            .strip_prefix("client-")
            .expect("the client id comes first");
        let dashes: Vec<usize> = uuid.match_indices('-').map(|(index, _)| index).collect();
        assert_eq!(
            (uuid.len(), dashes, &uuid[14..15], &uuid[19..20]),
            (36, vec![8, 13, 18, 23], "4", "8")
        );
    }
}

#[test]
fn version_0_has_one_timeout_for_both() {
    let mut driver = Driver::new();
    let id = driver.join_as(
        0,
        JoinGroupRequest {
            rebalance_timeout_ms: -1,
            ..join("")
        },
    );
    driver.advance(seconds(3));
    let member = driver.joined(id).member_id;
    // It has as long to sync as its session lasts.
    driver.advance(SESSION - Duration::from_millis(1));
    assert_eq!(driver.heartbeat(&member, 1), ErrorCode::None);
    driver.advance(Duration::from_millis(1));
    assert_eq!(driver.heartbeat(&member, 1), UnknownMemberId);
}

#[test]
fn a_member_id_that_is_never_used_expires() {
    let mut driver = Driver::new();
    let first = driver.join(join(""));
    let member = driver.joined(first).member_id;
    driver.advance(SESSION);
    let late = driver.join(join(&member));
    assert_eq!(error(driver.joined(late).error_code), UnknownMemberId);
    // Whoever was given an id and came is waited for no longer than the rebalance lasts.
    let (_, join_1) = driver.join_with_id(|request| request);
    let pending = driver.join(join(""));
    driver.joined(pending);
    driver.advance(seconds(3));
    assert_eq!(
        driver.joined(join_1).generation_id,
        1,
        "the first generation does not wait for ids that were given out"
    );
}

#[test]
fn the_first_rebalance_waits_for_late_members_up_to_the_rebalance_timeout() {
    // Seconds at which members join, and when all of them are answered, with a rebalance timeout of 8 s.
    let cases: [(&[u64], u64); 4] = [(&[0], 3), (&[0, 2], 6), (&[0, 2, 5], 8), (&[0, 2, 5, 7], 8)];
    for (joins, answered) in cases {
        let mut driver = Driver::new();
        let mut clock = 0;
        let mut ids: Vec<RequestId> = Vec::new();
        for at in joins {
            driver.advance(seconds(at - clock));
            clock = *at;
            ids.push(
                driver
                    .join_with_id(|request| JoinGroupRequest {
                        rebalance_timeout_ms: 8_000,
                        ..request
                    })
                    .1,
            );
        }
        driver.advance(seconds(answered - clock) - Duration::from_millis(1));
        assert!(
            driver.answers.is_empty(),
            "{joins:?}: nobody is answered before {answered} s"
        );
        driver.advance(Duration::from_millis(1));
        for id in ids {
            assert_eq!(driver.joined(id).generation_id, 1, "{joins:?}");
        }
    }
}

#[test]
fn the_protocol_with_most_votes_among_those_that_all_support_wins() {
    let cases: [(&[&[&str]], &str); 5] = [
        (&[&["a", "b"]], "a"),
        (&[&["a", "b"], &["b", "a"], &["b", "a"]], "b"),
        (&[&["a", "b"], &["c", "b"]], "b"),
        (&[&["a", "b", "c"], &["c", "b"], &["c", "b"]], "c"),
        (&[&["b", "a"], &["a", "b"]], "a"),
    ];
    for (members, winner) in cases {
        let mut driver = Driver::new();
        let joins: Vec<RequestId> = members
            .iter()
            .map(|names| {
                let protocols = names.iter().map(|name| protocol(name, name)).collect::<Vec<_>>();
                driver
                    .join_with_id(|request| JoinGroupRequest {
                        protocols: protocols.clone(),
                        ..request
                    })
                    .1
            })
            .collect();
        driver.advance(seconds(6));
        for join in joins {
            let response = driver.joined(join);
            assert_eq!(response.protocol_name, Some(text(winner)), "{members:?}");
            for member in response.members {
                assert_eq!(
                    member.metadata,
                    winner.as_bytes(),
                    "the leader gets the metadata of the winner"
                );
            }
        }
    }
}

#[test]
fn members_without_a_common_protocol_stay_out() {
    let mut driver = Driver::new();
    driver.stable_group(2);
    let cases: [fn(&mut JoinGroupRequest); 3] = [
        |join| join.protocol_type = text("consumer"),
        |join| join.protocols = vec![protocol("v1", "")],
        |join| join.protocols.clear(),
    ];
    for change in cases {
        let mut request = join("");
        change(&mut request);
        let id = driver.join(request);
        assert_eq!(error(driver.joined(id).error_code), InconsistentGroupProtocol);
    }
    // The same protocol twice counts once.
    driver.join_with_id(|request| JoinGroupRequest {
        protocols: vec![protocol("v0", "a"), protocol("v0", "b")],
        ..request
    });
    assert_eq!(driver.state(GROUP), "PreparingRebalance");
}

#[test]
fn a_group_takes_as_many_members_as_it_may_and_not_one_more() {
    let mut driver = Driver::with(Config {
        group_size_max: 2,
        ..Config::default()
    });
    let (_, first) = driver.join_with_id(|request| request);
    let (_, second) = driver.join_with_id(|request| request);
    let third = driver.join(join(""));
    let refused = driver.joined(third);
    assert_eq!(
        (error(refused.error_code), refused.member_id),
        (GroupMaxSizeReached, text(""))
    );
    driver.advance(seconds(9));
    assert_eq!(
        (driver.joined(first).error_code, driver.joined(second).error_code),
        (0, 0)
    );
    let third = driver.join(join(""));
    assert_eq!(
        error(driver.joined(third).error_code),
        GroupMaxSizeReached,
        "nor once they have joined"
    );
}

#[test]
fn joining_again_rebalances_if_it_says_something_new_or_comes_from_the_leader() {
    let changed = |request| JoinGroupRequest {
        protocols: vec![protocol("v0", "new")],
        ..request
    };
    // In a stable group: who joins, with other metadata, and whether that begins a rebalance.
    for (member, is_changed, rebalances) in [
        (0, false, true),
        (0, true, true),
        (1, false, false),
        (1, true, true),
    ] {
        let mut driver = Driver::new();
        let (members, generation) = driver.stable_group(2);
        let request = join(&members[member]);
        let id = driver.join(if is_changed { changed(request) } else { request });
        assert_eq!(driver.answers.contains_key(&id), !rebalances);
        assert_eq!(
            driver.state(GROUP),
            if rebalances {
                "PreparingRebalance"
            } else {
                "Stable"
            }
        );
        if !rebalances {
            let response = driver.joined(id);
            assert_eq!((response.generation_id, response.members.len()), (generation, 0));
            assert_eq!(
                (&*response.leader, &*response.member_id),
                (&*members[0], &*members[1])
            );
        }
    }
    // While the leader assigns: an answer that got lost is given again.
    for (member, is_changed, rebalances) in [
        (0, false, false),
        (0, true, true),
        (1, false, false),
        (1, true, true),
    ] {
        let mut driver = Driver::new();
        let (members, generation) = driver.stable_group(2);
        for id in members
            .iter()
            .map(|member| driver.join(join(member)))
            .collect::<Vec<_>>()
        {
            assert_eq!(driver.joined(id).generation_id, generation + 1);
        }
        assert_eq!(driver.state(GROUP), "CompletingRebalance");
        let request = join(&members[member]);
        let id = driver.join(if is_changed { changed(request) } else { request });
        assert_eq!(driver.answers.contains_key(&id), !rebalances);
        if !rebalances {
            let response = driver.joined(id);
            assert_eq!(
                (response.generation_id, response.members.len()),
                (generation + 1, [2, 0][member])
            );
        }
    }
}

#[test]
fn a_join_that_replaces_a_parked_one_sends_that_back() {
    let mut driver = Driver::new();
    let (members, _) = driver.stable_group(2);
    let first = driver.join(join(&members[0]));
    let second = driver.join(join(&members[0]));
    assert_eq!(error(driver.joined(first).error_code), RebalanceInProgress);
    driver.join(join(&members[1]));
    assert_eq!(driver.joined(second).error_code, 0);
}

#[test]
fn members_that_do_not_join_in_time_are_out_and_another_one_leads() {
    let mut driver = Driver::new();
    let (members, generation) = driver.stable_group(3);
    let changed = JoinGroupRequest {
        protocols: vec![protocol("v0", "new")],
        ..join(&members[1])
    };
    let joined = driver.join(changed);
    for _ in 0..11 {
        driver.advance(seconds(5));
        assert_eq!(driver.heartbeat(&members[0], generation), RebalanceInProgress);
        assert_eq!(driver.heartbeat(&members[2], generation), RebalanceInProgress);
    }
    driver.advance(seconds(5));
    let response = driver.joined(joined);
    assert_eq!((&*response.leader, response.members.len()), (&*members[1], 1));
    assert_eq!(response.generation_id, generation + 1);
    for late in [&members[0], &members[2]] {
        assert_eq!(driver.heartbeat(late, generation + 1), UnknownMemberId);
    }
}

#[test]
fn a_rebalance_timeout_of_nothing_is_over_before_the_member_can_sync() {
    for rebalance_timeout_ms in [0, -1, i32::MIN] {
        let mut driver = Driver::new();
        let (member, id) = driver.join_with_id(|request| JoinGroupRequest {
            rebalance_timeout_ms,
            ..request
        });
        driver.advance(seconds(3));
        assert_eq!(driver.joined(id).error_code, 0);
        let id = driver.ask(Command::SyncGroup(sync(&member, 1, &[])));
        assert_eq!(error(driver.synced(id).error_code), UnknownMemberId);
        assert_eq!(driver.state(GROUP), "Empty");
    }
}

#[test]
fn a_new_member_may_wait_five_minutes_and_no_longer() {
    let mut driver = Driver::new();
    let slow = |request| JoinGroupRequest {
        rebalance_timeout_ms: 1_000_000,
        session_timeout_ms: 1_000_000,
        ..request
    };
    let (_, leader) = driver.join_with_id(slow);
    driver.advance(seconds(6));
    let response = driver.joined(leader);
    let id = driver.ask(Command::SyncGroup(sync(&response.member_id, 1, &[])));
    driver.synced(id);
    let (_, waiting) = driver.join_with_id(slow);
    driver.advance(seconds(300) - Duration::from_millis(1));
    assert_eq!(driver.answer(waiting), None);
    driver.advance(Duration::from_millis(1));
    let response = driver.joined(waiting);
    assert_eq!(
        (error(response.error_code), response.member_id),
        (UnknownMemberId, text(""))
    );
}

#[test]
fn the_reason_that_the_client_gives_is_told_to_the_operator() {
    for (reason, told) in [
        (Some("rolling upgrade"), "rolling upgrade"),
        (Some(""), "not provided"),
        (None, "not provided"),
    ] {
        let mut driver = Driver::new();
        let (member, _) = driver.join_with_id(|request| JoinGroupRequest {
            reason: reason.map(Into::into),
            ..request
        });
        let event = driver.events.iter().find_map(|event| match event {
            Event::PreparingRebalance { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        let expected =
            format!("Adding new member {member} with group instance id null; client reason: {told}");
        assert_eq!(event, Some(expected));
    }
}

#[test]
fn the_generation_after_the_last_is_the_first() {
    let mut driver = Driver::new();
    let (members, _) = driver.stable_group(1);
    let last = driver.log.last_mut().expect("a stable group is written");
    let value = last.value.take().expect("no tombstone").to_vec();
    // Value version, then the protocol type "sr", then the generation.
    let (head, tail) = value.split_at(2 + 4);
    last.value = Some([head, &i32::MAX.to_be_bytes(), &tail[4..]].concat().into());
    driver.restart();
    assert_eq!(driver.heartbeat(&members[0], i32::MAX), ErrorCode::None);
    let id = driver.join(join(&members[0]));
    assert_eq!(driver.joined(id).generation_id, 1);
}

#[test]
fn an_endless_client_id_is_cut_so_that_the_member_id_can_be_written() {
    let mut driver = Driver::new();
    let client_id = format!("x{}", "ß".repeat(16_383));
    let id = driver.ask_as(3, &client_id, Command::JoinGroup(join(""), 0));
    driver.advance(seconds(3));
    let member = driver.joined(id).member_id;
    assert_eq!(member.len(), 32_766, "at a character's border");
    let id = driver.ask(Command::SyncGroup(sync(&member, 1, &[])));
    assert_eq!(driver.synced(id).error_code, 0);
}
