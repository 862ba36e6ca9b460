//! Members of the classic protocol in a consumer group.

use std::time::Duration;

use forebay_protocol::ErrorCode;
use forebay_protocol::messages::leave_group_request::MemberIdentity;
use forebay_protocol::messages::{JoinGroupRequest, LeaveGroupRequest};

use super::classic_client::ClassicClient;
use super::client::Client;
use crate::tests::driver::{Driver, GROUP, REBALANCE, SESSION, error, join};
use crate::{Command, Config, ConsumerConfig, MigrationPolicy};

/// A consumer group of one member of each protocol, with two partitions each.
fn mixed_group() -> (Driver, Client, ClassicClient) {
    let mut driver = Driver::new();
    driver.cluster.topic("events", 4);
    let mut modern = Client::new("m1", &["events"]);
    modern.join(&mut driver);
    driver.advance(Duration::from_secs(2));
    let mut classic = ClassicClient::new(&["events"]);
    classic.join_and_sync(&mut driver);
    assert_eq!(
        (classic.generation, classic.owned.len()),
        (3, 0),
        "the other has to let go first"
    );
    modern.beat(&mut driver).beat(&mut driver);
    classic.beat(&mut driver);
    assert_eq!((modern.owned.len(), classic.owned.len()), (2, 2));
    assert_eq!(driver.epochs(), ("Stable".into(), 3, 3));
    (driver, modern, classic)
}

#[test]
fn members_of_both_protocols_share_a_group() {
    let (mut driver, mut modern, mut classic) = mixed_group();
    driver.coordinator.assert_consistent(true);
    let types: Vec<i8> = driver
        .consumer_group(GROUP)
        .members
        .iter()
        .map(|member| member.member_type)
        .collect();
    assert_eq!(
        types.iter().map(|one| i32::from(*one)).sum::<i32>(),
        1,
        "one of each: {types:?}"
    );

    // Another one comes: the classic member hears it by its heartbeat, lets go, and joins again.
    let mut third = Client::new("m3", &["events"]);
    driver.advance(Duration::from_secs(2));
    third.join(&mut driver);
    for _ in 0..4 {
        driver.advance(Duration::from_secs(3));
        classic.beat(&mut driver);
        modern.beat(&mut driver);
        third.beat(&mut driver);
    }
    assert_eq!(driver.epochs(), ("Stable".into(), 4, 4));
    let mut sizes = [modern.owned.len(), classic.owned.len(), third.owned.len()];
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 1, 2]);
    assert_eq!(classic.generation, 4);

    // The classic member says something new.
    driver.cluster.topic("more", 1);
    classic.topics.push("more".into());
    driver.advance(Duration::from_secs(2));
    classic.join_and_sync(&mut driver).beat(&mut driver);
    assert!(classic.owned.contains(&("more".to_owned(), 0)));
    driver.restart();
    driver.coordinator.assert_consistent(true);
    assert_eq!(
        classic.heartbeat(&mut driver),
        ErrorCode::None,
        "another coordinator knows it"
    );
}

#[test]
fn a_classic_member_is_out_when_its_time_is_over() {
    let gone = |driver: &mut Driver, reason: &str| {
        assert_eq!(driver.consumer_group(GROUP).members.len(), 1, "{reason}");
        assert!(
            driver
                .events
                .iter()
                .any(|event| event.to_string().contains(reason)),
            "{:?}",
            driver.events
        );
        driver.coordinator.assert_consistent(true);
    };
    // Its session is the one that it asked for.
    let (mut driver, mut modern, _) = mixed_group();
    driver.advance(SESSION - Duration::from_millis(1));
    modern.beat(&mut driver);
    assert_eq!(driver.consumer_group(GROUP).members.len(), 2);
    driver.advance(Duration::from_millis(1));
    gone(&mut driver, "the member session expired");

    // It has joined, and does not sync.
    let (mut driver, mut modern, mut classic) = mixed_group();
    classic.topics.push("more".into());
    let join = classic.ask_join(&mut driver);
    let joined = driver.joined(join);
    classic.hear_join(&joined);
    for _ in 0..REBALANCE.as_secs() / 5 {
        assert_eq!(driver.consumer_group(GROUP).members.len(), 2);
        driver.advance(Duration::from_secs(5));
        modern.beat(&mut driver);
        let _either_way = classic.heartbeat(&mut driver);
    }
    gone(&mut driver, "the member failed to sync within timeout");

    // It is told to join again, and only heartbeats.
    let (mut driver, mut modern, classic) = mixed_group();
    modern.topics.push("more".into());
    driver.advance(Duration::from_secs(2));
    let full = modern.full();
    modern.hear(&driver.consumer_heartbeat(full));
    assert_eq!(classic.heartbeat(&mut driver), ErrorCode::RebalanceInProgress);
    for _ in 0..REBALANCE.as_secs() / 5 {
        assert_eq!(driver.consumer_group(GROUP).members.len(), 2);
        driver.advance(Duration::from_secs(5));
        modern.beat(&mut driver);
        let _either_way = classic.heartbeat(&mut driver);
    }
    gone(
        &mut driver,
        "the classic member failed to join within the rebalance timeout",
    );
}

#[test]
fn who_cannot_join_a_consumer_group_is_told_why() {
    let (mut driver, _, classic) = mixed_group();
    let cases: [(&str, JoinGroupRequest, ErrorCode); 5] = [
        ("no consumer", join(""), ErrorCode::InconsistentGroupProtocol),
        (
            "no protocol in common",
            JoinGroupRequest {
                protocols: vec![crate::tests::driver::protocol("sticky", "x")],
                ..classic.request()
            },
            ErrorCode::InconsistentGroupProtocol,
        ),
        (
            "a session that is too short",
            JoinGroupRequest {
                session_timeout_ms: 5_999,
                ..classic.request()
            },
            ErrorCode::InvalidSessionTimeout,
        ),
        (
            "metadata that is no subscription",
            JoinGroupRequest {
                protocols: vec![crate::tests::driver::protocol("range", "?")],
                ..classic.request()
            },
            ErrorCode::UnknownServerError,
        ),
        (
            "an instance that nobody is",
            JoinGroupRequest {
                group_instance_id: Some("i".into()),
                ..classic.request()
            },
            ErrorCode::UnknownMemberId,
        ),
    ];
    for (what, request, expected) in cases {
        let join = driver.join(request);
        assert_eq!(error(driver.joined(join).error_code), expected, "{what}");
    }
    for (policy, expected) in [
        (MigrationPolicy::Disabled, ErrorCode::InconsistentGroupProtocol),
        (MigrationPolicy::Upgrade, ErrorCode::MemberIdRequired),
        (MigrationPolicy::Downgrade, ErrorCode::MemberIdRequired),
    ] {
        let consumer = ConsumerConfig {
            migration_policy: policy,
            ..ConsumerConfig::default()
        };
        let mut driver = Driver::with(Config {
            consumer,
            ..Config::default()
        });
        Client::new("m1", &[]).join(&mut driver);
        let join = driver.join(ClassicClient::new(&[]).request());
        assert_eq!(error(driver.joined(join).error_code), expected, "{policy:?}");
    }
}

#[test]
fn who_does_not_belong_hears_it_in_the_words_of_the_classic_protocol() {
    let (mut driver, modern, classic) = mixed_group();
    let sync = |driver: &mut Driver, change: fn(&mut forebay_protocol::messages::SyncGroupRequest)| {
        let mut request = classic.sync_request(&[]);
        change(&mut request);
        let sync = driver.ask(Command::SyncGroup(request));
        error(driver.synced(sync).error_code)
    };
    assert_eq!(sync(&mut driver, |_| {}), ErrorCode::None, "it may ask again");
    assert_eq!(
        sync(&mut driver, |request| request.generation_id = 2),
        ErrorCode::IllegalGeneration
    );
    assert_eq!(
        sync(&mut driver, |request| request.member_id = "x".into()),
        ErrorCode::UnknownMemberId
    );
    assert_eq!(
        sync(&mut driver, |request| request.member_id = "m1".into()),
        ErrorCode::UnknownMemberId,
        "it speaks the other"
    );
    let other_protocol: fn(&mut forebay_protocol::messages::SyncGroupRequest) =
        |request| request.protocol_name = Some("range".into());
    assert_eq!(
        sync(&mut driver, other_protocol),
        ErrorCode::InconsistentGroupProtocol
    );
    assert_eq!(
        sync(&mut driver, |request| request.protocol_type = None),
        ErrorCode::InconsistentGroupProtocol
    );
    assert_eq!(driver.heartbeat(&classic.id, 2), ErrorCode::IllegalGeneration);
    assert_eq!(driver.heartbeat("x", 3), ErrorCode::UnknownMemberId);
    assert_eq!(
        driver.heartbeat(&modern.id, 3),
        ErrorCode::UnknownMemberId,
        "it speaks the other protocol"
    );
    assert_eq!(
        driver.heartbeat_as(&classic.id, Some("i"), 3),
        ErrorCode::UnknownMemberId
    );
}

#[test]
fn members_of_either_protocol_can_be_made_to_leave() {
    let (mut driver, modern, classic) = mixed_group();
    let member = |id: &str| MemberIdentity {
        member_id: id.into(),
        ..Default::default()
    };
    let request = |members| LeaveGroupRequest {
        group_id: GROUP.into(),
        members,
        ..Default::default()
    };
    let leave = driver.ask(Command::LeaveGroup(request(vec![
        member("x"),
        member(&classic.id),
    ])));
    let left = driver.left(leave);
    let errors: Vec<ErrorCode> = left
        .members
        .iter()
        .map(|member| error(member.error_code))
        .collect();
    assert_eq!(errors, [ErrorCode::UnknownMemberId, ErrorCode::None]);
    assert_eq!(driver.consumer_group(GROUP).members.len(), 1);
    assert_eq!(classic.heartbeat(&mut driver), ErrorCode::UnknownMemberId);
    let leave = driver.ask(Command::LeaveGroup(request(vec![member(&modern.id)])));
    assert_eq!(driver.left(leave).members[0].error_code, 0);
    assert_eq!(driver.epochs().0, "Empty");
    driver.coordinator.assert_consistent(true);

    let mut driver = Driver::new();
    Client::new("m1", &[]).with_instance("i").join(&mut driver);
    let admin = |instance: &str| MemberIdentity {
        group_instance_id: Some(instance.into()),
        ..Default::default()
    };
    let leave = driver.ask(Command::LeaveGroup(request(vec![admin("j"), admin("i")])));
    let errors: Vec<ErrorCode> = driver
        .left(leave)
        .members
        .iter()
        .map(|one| error(one.error_code))
        .collect();
    assert_eq!(errors, [ErrorCode::UnknownMemberId, ErrorCode::None]);
    assert_eq!(driver.epochs().0, "Empty");
}
