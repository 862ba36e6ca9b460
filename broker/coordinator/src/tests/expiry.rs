//! When offsets and groups are forgotten (KIP-211).

use std::time::Duration;

use forebay_protocol::ErrorCode;
use forebay_protocol::messages::{OffsetCommitRequest, SyncGroupRequest};

use super::Driver;
use super::driver::{GROUP, consuming, join, sync, text};
use super::offsets::{all_offsets, commit, committed};
use crate::{Command, Config, Event};

const RETENTION: Duration = Duration::from_secs(1_000);
const CHECK: Duration = Duration::from_secs(10);

fn driver() -> Driver {
    Driver::with(Config {
        offsets_retention: RETENTION,
        offsets_retention_check_interval: CHECK,
        ..Config::default()
    })
}

/// Lets time pass in which a member heartbeats.
fn advance_alive(driver: &mut Driver, by: Duration, member: &str, generation: i32) {
    let end = driver.now.elapsed + by;
    while driver.now.elapsed < end {
        driver.advance((end - driver.now.elapsed).min(Duration::from_secs(5)));
        assert_eq!(driver.heartbeat(member, generation), ErrorCode::None);
    }
}

/// A stable group of one consumer of `t`.
fn consumer(driver: &mut Driver) -> String {
    let (member, id) = driver.join_with_id(|request| consuming(request, &["t"]));
    driver.advance(Duration::from_secs(3));
    driver.joined(id);
    let request = SyncGroupRequest {
        protocol_type: Some(text("consumer")),
        protocol_name: Some(text("range")),
        ..sync(&member, 1, &[])
    };
    driver.ask(Command::SyncGroup(request));
    assert_eq!(driver.state(GROUP), "Stable");
    member
}

#[test]
fn offsets_of_nobody_are_kept_from_their_commit_on_and_then_the_group_is_gone() {
    let mut driver = driver();
    committed(&mut driver, commit(GROUP, &[("t", 0, 1)]));
    driver.advance(RETENTION / 2);
    committed(&mut driver, commit(GROUP, &[("t", 1, 1)]));
    driver.advance(RETENTION / 2 - CHECK);
    assert_eq!(all_offsets(&mut driver, GROUP).len(), 2);
    driver.advance(CHECK);
    assert_eq!(all_offsets(&mut driver, GROUP), [("t".to_owned(), 1, 1)]);
    driver.advance(RETENTION / 2);
    assert_eq!(driver.state(GROUP), "Dead");
    assert_eq!(
        driver.events.last(),
        Some(&Event::Expired {
            offsets: 1,
            groups: 1
        })
    );
    driver.restart();
    assert_eq!(driver.state(GROUP), "Dead");
}

#[test]
fn offsets_of_members_are_kept_while_they_consume_the_topic_and_from_the_end_of_the_group_on() {
    let mut driver = driver();
    let member = consumer(&mut driver);
    for (topic, offset) in [("t", 1), ("u", 2)] {
        let request = OffsetCommitRequest {
            generation_id_or_member_epoch: 1,
            member_id: member.as_str().into(),
            ..commit(GROUP, &[(topic, 0, offset)])
        };
        assert_eq!(committed(&mut driver, request), ErrorCode::None);
    }
    advance_alive(&mut driver, RETENTION - CHECK, &member, 1);
    assert_eq!(all_offsets(&mut driver, GROUP).len(), 2);
    advance_alive(&mut driver, CHECK * 2, &member, 1);
    assert_eq!(
        all_offsets(&mut driver, GROUP),
        [("t".to_owned(), 0, 1)],
        "nobody consumes the other topic any more"
    );
    advance_alive(&mut driver, RETENTION * 2, &member, 1);
    assert_eq!(
        all_offsets(&mut driver, GROUP).len(),
        1,
        "what is consumed is kept for ever"
    );

    driver.advance(super::driver::SESSION);
    assert_eq!(driver.state(GROUP), "Empty");
    driver.advance(RETENTION / 2);
    driver.restart();
    driver.advance(RETENTION / 2 - CHECK * 2);
    assert_eq!(all_offsets(&mut driver, GROUP).len(), 1);
    driver.advance(CHECK * 3);
    assert_eq!(driver.state(GROUP), "Dead");
}

#[test]
fn members_whose_protocol_is_their_own_keep_all_offsets() {
    let mut driver = driver();
    let (ids, generation) = driver.stable_group(1);
    let request = OffsetCommitRequest {
        generation_id_or_member_epoch: generation,
        member_id: ids[0].as_str().into(),
        ..commit(GROUP, &[("t", 0, 1)])
    };
    assert_eq!(committed(&mut driver, request), ErrorCode::None);
    advance_alive(&mut driver, RETENTION * 3, &ids[0], generation);
    assert_eq!(all_offsets(&mut driver, GROUP).len(), 1);
}

#[test]
fn nothing_expires_in_the_middle_of_a_rebalance() {
    let mut driver = driver();
    let member = consumer(&mut driver);
    let request = OffsetCommitRequest {
        generation_id_or_member_epoch: 1,
        member_id: member.as_str().into(),
        ..commit(GROUP, &[("u", 0, 1)])
    };
    assert_eq!(committed(&mut driver, request), ErrorCode::None);
    advance_alive(&mut driver, RETENTION - CHECK * 2, &member, 1);
    driver.join_with_id(|request| consuming(request, &["t"]));
    for _ in 0..10 {
        driver.advance(Duration::from_secs(5));
        assert_eq!(driver.heartbeat(&member, 1), ErrorCode::RebalanceInProgress);
    }
    assert_eq!(all_offsets(&mut driver, GROUP).len(), 1);
}

#[test]
fn old_clients_say_themselves_how_long() {
    for (retention_time_ms, kept) in [(1, 0), (20_000, 1), (i64::MAX, 1)] {
        let mut driver = driver();
        let request = OffsetCommitRequest {
            retention_time_ms,
            ..commit(GROUP, &[("t", 0, 1)])
        };
        let id = driver.ask_as(4, "client", Command::OffsetCommit(request));
        assert!(driver.answer(id).is_some());
        driver.restart();
        driver.advance(CHECK);
        assert_eq!(
            all_offsets(&mut driver, GROUP).len(),
            kept,
            "{retention_time_ms} ms"
        );
        driver.advance(CHECK);
        assert_eq!(
            all_offsets(&mut driver, GROUP).len(),
            usize::from(retention_time_ms == i64::MAX)
        );
    }
}

#[test]
fn a_group_that_nobody_came_back_to_is_gone_with_the_next_check() {
    let mut driver = driver();
    let id = driver.join(join(""));
    let member = driver.joined(id).member_id;
    assert_eq!(driver.state(GROUP), "Empty");
    driver.advance(CHECK);
    assert_eq!(driver.state(GROUP), "Dead");
    let id = driver.join(join(&member));
    assert_eq!(driver.joined(id).error_code, ErrorCode::UnknownMemberId.to_i16());
}

#[test]
fn tombstones_come_in_as_many_batches_as_they_need() {
    let mut driver = Driver::with(Config {
        offsets_retention: RETENTION,
        offsets_retention_check_interval: CHECK,
        append_bytes_max: 400,
        ..Config::default()
    });
    for partition in 0..20 {
        committed(&mut driver, commit(GROUP, &[("t", partition, 1)]));
    }
    driver.hold = true;
    driver.advance(RETENTION);
    assert!(driver.written.len() > 2, "{} appends", driver.written.len());
    // The log takes only some: what is left is found again.
    driver.commit_some(1);
    driver.fail(0, ErrorCode::NotEnoughReplicas);
    driver.hold = false;
    let left = all_offsets(&mut driver, GROUP).len();
    assert!((1..20).contains(&left), "{left} left");
    assert_eq!(driver.state(GROUP), "Empty");
    driver.advance(CHECK);
    assert_eq!(driver.state(GROUP), "Dead");
}
