//! LeaveGroup: alone, in a batch, by an administrator; and what is left of the group.

use std::time::Duration;

use forebay_protocol::ErrorCode::{self, FencedInstanceId, InvalidGroupId, UnknownMemberId};
use forebay_protocol::messages::leave_group_request::MemberIdentity;
use forebay_protocol::messages::{JoinGroupRequest, LeaveGroupRequest};

use super::Driver;
use super::driver::{GROUP, error, join, text};
use crate::{Command, Event};

/// Members by id and instance.
pub(super) fn leave(members: &[(&str, Option<&str>)]) -> LeaveGroupRequest {
    let members = members.iter().map(|(member, instance)| MemberIdentity {
        member_id: (*member).into(),
        group_instance_id: instance.map(Into::into),
        ..Default::default()
    });
    LeaveGroupRequest {
        group_id: GROUP.into(),
        members: members.collect(),
        ..Default::default()
    }
}

#[test]
fn before_version_3_one_member_leaves_and_its_error_is_the_answer() {
    for version in 0..=2 {
        let mut driver = Driver::new();
        let (ids, _) = driver.stable_group(1);
        for (member, expected) in [("stranger", UnknownMemberId), (&*ids[0], ErrorCode::None)] {
            let request = LeaveGroupRequest {
                group_id: GROUP.into(),
                member_id: member.into(),
                ..Default::default()
            };
            let id = driver.ask_as(version, "client", Command::LeaveGroup(request));
            let response = driver.left(id);
            assert_eq!(
                (error(response.error_code), response.members.len()),
                (expected, 0),
                "version {version}"
            );
        }
        assert_eq!(driver.state(GROUP), "Empty");
    }
}

#[test]
fn since_version_3_everyone_in_the_batch_is_answered() {
    let mut driver = Driver::new();
    let id = driver.ask(Command::LeaveGroup(LeaveGroupRequest {
        group_id: text(""),
        ..leave(&[("a", None)])
    }));
    assert_eq!(error(driver.left(id).error_code), InvalidGroupId);
    let id = driver.ask(Command::LeaveGroup(leave(&[("a", None), ("b", Some("i"))])));
    let response = driver.left(id);
    assert_eq!(
        response.error_code, 0,
        "a group that is not there is its members' error"
    );
    assert!(
        response
            .members
            .iter()
            .all(|member| error(member.error_code) == UnknownMemberId)
    );
    assert_eq!(response.members[1].group_instance_id, Some(text("i")));

    let (ids, _) = driver.stable_group(3);
    let id = driver.join(JoinGroupRequest {
        group_instance_id: Some(text("static")),
        ..join("")
    });
    let pending = driver.join(join(""));
    let pending = driver.joined(pending).member_id;
    let batch = [
        (&*ids[0], None),
        ("stranger", None),
        ("", Some("static")),
        ("", Some("nobody")),
        ("", None),
        (&*ids[1], Some("nobody")),
        (&*pending, None),
        (&*ids[0], None),
    ];
    let expected = [
        ErrorCode::None,
        UnknownMemberId,
        ErrorCode::None,
        UnknownMemberId,
        UnknownMemberId,
        UnknownMemberId,
        ErrorCode::None,
        UnknownMemberId,
    ];
    let leaving = driver.ask(Command::LeaveGroup(leave(&batch)));
    let errors: Vec<ErrorCode> = driver
        .left(leaving)
        .members
        .iter()
        .map(|member| error(member.error_code))
        .collect();
    assert_eq!(errors, expected);
    // Whoever had parked a JoinGroup may come anew.
    let response = driver.joined(id);
    assert_eq!(
        (error(response.error_code), response.member_id),
        (UnknownMemberId, text(""))
    );
    let id = driver.join(join(&pending));
    assert_eq!(error(driver.joined(id).error_code), UnknownMemberId);
}

#[test]
fn a_static_member_can_be_removed_by_its_instance_but_not_under_a_wrong_id() {
    let mut driver = Driver::new();
    let id = driver.join(JoinGroupRequest {
        group_instance_id: Some(text("i")),
        ..join("")
    });
    driver.advance(Duration::from_secs(3));
    driver.joined(id);
    for (member, expected) in [
        ("wrong", FencedInstanceId),
        ("", ErrorCode::None),
        ("", UnknownMemberId),
    ] {
        let id = driver.ask(Command::LeaveGroup(leave(&[(member, Some("i"))])));
        assert_eq!(error(driver.left(id).members[0].error_code), expected);
    }
}

#[test]
fn when_the_leader_leaves_somebody_else_leads_and_when_all_have_left_the_group_is_empty() {
    let mut driver = Driver::new();
    let (ids, generation) = driver.stable_group(2);
    let id = driver.ask(Command::LeaveGroup(leave(&[(&ids[0], None)])));
    assert_eq!(driver.left(id).members[0].error_code, 0);
    assert_eq!(driver.state(GROUP), "PreparingRebalance");
    let id = driver.join(join(&ids[1]));
    let response = driver.joined(id);
    assert_eq!(
        (&*response.leader, response.generation_id),
        (&*ids[1], generation + 1)
    );

    driver.hold = true;
    let id = driver.ask(Command::LeaveGroup(leave(&[(&ids[1], None)])));
    assert_eq!(
        driver.answer(id),
        None,
        "that the group is empty is written first"
    );
    driver.commit();
    driver.hold = false;
    assert_eq!(driver.left(id).members[0].error_code, 0);
    assert_eq!(driver.state(GROUP), "Empty");
    assert!(driver.events.contains(&Event::Empty {
        group: GROUP.into(),
        generation: generation + 2
    }));
    driver.restart();
    assert_eq!(driver.state(GROUP), "Empty", "after a restart too");
    // It goes on counting.
    let (_, id) = driver.join_with_id(|request| request);
    driver.advance(Duration::from_secs(3));
    assert_eq!(driver.joined(id).generation_id, generation + 3);
}

#[test]
fn leaving_completes_a_rebalance_that_waited_for_nobody_else() {
    let mut driver = Driver::new();
    let (ids, generation) = driver.stable_group(2);
    let waiting = driver.join(join(&ids[0]));
    let id = driver.ask(Command::LeaveGroup(leave(&[(&ids[1], None)])));
    assert_eq!(driver.left(id).members[0].error_code, 0);
    assert_eq!(driver.joined(waiting).generation_id, generation + 1);
}
