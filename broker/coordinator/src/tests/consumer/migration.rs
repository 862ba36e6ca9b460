//! Groups that go from one protocol to the other, empty and live, there and back.

use std::time::Duration;

use bytes::Bytes;
use forebay_protocol::ErrorCode;
use forebay_protocol::messages::ConsumerGroupHeartbeatRequest;

use super::classic_client::{ClassicClient, assignment};
use super::client::Client;
use crate::tests::driver::{Driver, GROUP, error};
use crate::tests::offsets::{all_offsets, commit, committed};
use crate::{Command, Config, ConsumerConfig, MigrationPolicy};

fn with_policy(policy: MigrationPolicy) -> Driver {
    let consumer = ConsumerConfig {
        migration_policy: policy,
        ..ConsumerConfig::default()
    };
    let driver = Driver::with(Config {
        consumer,
        ..Config::default()
    });
    driver.cluster.topic("events", 4);
    driver
}

/// A stable classic group of two consumers, assigned as given.
fn classic_group(driver: &mut Driver, assignments: [Bytes; 2]) -> [ClassicClient; 2] {
    let mut clients = [ClassicClient::new(&["events"]), ClassicClient::new(&["events"])];
    rejoin(driver, &mut clients, assignments);
    clients
}

/// All join, the leader assigns, all sync.
fn rejoin(driver: &mut Driver, clients: &mut [ClassicClient; 2], assignments: [Bytes; 2]) {
    let joins: Vec<_> = clients.iter_mut().map(|client| client.ask_join(driver)).collect();
    driver.advance(driver.config.initial_rebalance_delay * 3);
    for (client, join) in clients.iter_mut().zip(joins) {
        let joined = driver.joined(join);
        client.hear_join(&joined);
    }
    let ids = clients.clone().map(|client| client.id);
    let assignments: Vec<(&str, Bytes)> = ids.iter().map(|id| &**id).zip(assignments).collect();
    clients.sort_by_key(|client| !client.leads);
    for client in clients.iter_mut() {
        let assignments = if client.leads { &assignments[..] } else { &[] };
        let sync = driver.ask(Command::SyncGroup(client.sync_request(assignments)));
        let synced = driver.synced(sync);
        client.hear_assignment(&synced.assignment);
    }
    assert_eq!(driver.state(GROUP), "Stable");
}

fn halves() -> [Bytes; 2] {
    [&[("events", 0), ("events", 1)], &[("events", 2), ("events", 3)]].map(|half| assignment(half, None))
}

#[test]
fn a_live_group_is_upgraded_by_the_first_member_of_the_consumer_protocol_and_downgraded_with_the_last() {
    let mut driver = with_policy(MigrationPolicy::Bidirectional);
    let mut classic = classic_group(&mut driver, halves());
    assert_eq!(classic[0].generation, 1);
    let mut modern = Client::new("m1", &["events"]);
    modern.join(&mut driver);
    driver.coordinator.assert_consistent(true);
    // From the generation the group goes on.
    assert_eq!((modern.epoch, modern.owned.len()), (2, 0));
    assert_eq!(driver.epochs(), ("Reconciling".into(), 2, 2));
    assert!(driver.events.iter().any(|event| {
        event
            .to_string()
            .contains("classic group group to a consumer group")
    }));
    for _ in 0..4 {
        driver.advance(Duration::from_secs(3));
        classic.iter_mut().for_each(|client| {
            client.beat(&mut driver);
        });
        modern.beat(&mut driver);
    }
    assert_eq!(driver.epochs(), ("Stable".into(), 2, 2));
    let sizes = [classic[0].owned.len(), classic[1].owned.len(), modern.owned.len()];
    assert_eq!(sizes.iter().sum::<usize>(), 4);
    assert!(sizes.iter().all(|size| *size >= 1), "{sizes:?}");

    modern.leave(&mut driver);
    driver.coordinator.assert_consistent(false);
    assert_eq!(driver.state(GROUP), "PreparingRebalance");
    for client in &classic {
        assert_eq!(
            client.heartbeat(&mut driver),
            ErrorCode::RebalanceInProgress,
            "in the generation that it was in"
        );
    }
    rejoin(&mut driver, &mut classic, halves());
    assert_eq!(classic[0].generation, 3);
    driver.coordinator.assert_consistent(true);
    driver.restart();
    assert_eq!(driver.state(GROUP), "Stable");
    assert!(
        classic
            .iter()
            .all(|client| client.heartbeat(&mut driver) == ErrorCode::None)
    );
}

#[test]
fn whoever_waits_in_a_classic_group_that_is_upgraded_joins_again() {
    let mut driver = with_policy(MigrationPolicy::Bidirectional);
    let mut client = ClassicClient::new(&["events"]);
    let join = client.ask_join(&mut driver);
    Client::new("m1", &["events"]).join(&mut driver);
    let told = driver.joined(join);
    assert_eq!(error(told.error_code), ErrorCode::RebalanceInProgress);
    driver.advance(Duration::from_secs(2));
    client.join_and_sync(&mut driver);
    driver.coordinator.assert_consistent(true);
}

#[test]
fn a_static_member_that_comes_back_with_the_classic_protocol_takes_the_group_with_it() {
    let mut driver = with_policy(MigrationPolicy::Bidirectional);
    let mut modern = Client::new("m1", &["events"]).with_instance("i");
    modern.join(&mut driver);
    let mut successor = ClassicClient {
        instance: Some("i".into()),
        ..ClassicClient::new(&["events"])
    };
    let join = successor.ask_join(&mut driver);
    let joined = driver.joined(join);
    successor.hear_join(&joined);
    assert_eq!(driver.state(GROUP), "Stable", "nothing has changed but the words");
    driver.coordinator.assert_consistent(true);
    let sync = driver.ask(Command::SyncGroup(successor.sync_request(&[])));
    let synced = driver.synced(sync);
    successor.hear_assignment(&synced.assignment);
    assert_eq!(successor.owned.len(), 4);
    assert_eq!(successor.heartbeat(&mut driver), ErrorCode::None);
    let (refused, _) = driver.refused_heartbeat(modern.short());
    assert_eq!(refused, ErrorCode::GroupIdNotFound);
}

/// One member has yet to let go of what another is to have when the group goes back to the classic protocol.
#[test]
fn nobody_has_the_targets_of_a_group_that_was_on_its_way_to_them() {
    let mut driver = with_policy(MigrationPolicy::Bidirectional);
    let mut owner = ClassicClient::new(&["events"]);
    let join = owner.ask_join(&mut driver);
    driver.advance(driver.config.initial_rebalance_delay * 3);
    owner.hear_join(&driver.joined(join));
    let all = assignment(
        &[("events", 0), ("events", 1), ("events", 2), ("events", 3)],
        None,
    );
    let id = owner.id.clone();
    let sync = driver.ask(Command::SyncGroup(owner.sync_request(&[(&id, all)])));
    owner.hear_assignment(&driver.synced(sync).assignment);
    assert_eq!(owner.owned.len(), 4);

    let mut modern = Client::new("m1", &["events"]).with_instance("i");
    modern.join(&mut driver);
    assert_eq!(modern.owned.len(), 0, "the owner has not heard of it");
    let mut successor = ClassicClient {
        instance: Some("i".into()),
        ..ClassicClient::new(&["events"])
    };
    let join = successor.ask_join(&mut driver);
    successor.hear_join(&driver.joined(join));
    assert_eq!(driver.state(GROUP), "PreparingRebalance");
    let sync = driver.ask(Command::SyncGroup(successor.sync_request(&[])));
    let synced = driver.synced(sync);
    assert_eq!(error(synced.error_code), ErrorCode::RebalanceInProgress);
    // It is of the generation before: it begins anew, too.
    assert_eq!(owner.heartbeat(&mut driver), ErrorCode::IllegalGeneration);
    driver.coordinator.assert_consistent(false);
}

#[test]
fn a_group_whose_deletion_failed_is_seen_again() {
    let mut driver = with_policy(MigrationPolicy::Bidirectional);
    classic_group(&mut driver, halves());
    driver.hold = true;
    let modern = Client::new("m1", &["events"]);
    let joined = driver.ask_consumer_heartbeat(modern.full());
    let leave = ConsumerGroupHeartbeatRequest {
        member_epoch: -1,
        ..modern.short()
    };
    driver.ask_consumer_heartbeat(leave);
    driver.commit_some(1);
    assert_eq!(driver.consumer_heard(joined).error_code, 0);
    assert_eq!(driver.consumer_group(GROUP).members.len(), 3);
    driver.fail(0, ErrorCode::KafkaStorageError);
    assert_eq!(driver.consumer_group(GROUP).members.len(), 3);
    driver.hold = false;
    driver.coordinator.assert_consistent(true);
}

#[test]
fn policies_say_which_live_groups_may_go_where() {
    let cases = [
        (MigrationPolicy::Bidirectional, true, true),
        (MigrationPolicy::Upgrade, true, false),
        (MigrationPolicy::Downgrade, false, true),
        (MigrationPolicy::Disabled, false, false),
    ];
    for (policy, upgrades, downgrades) in cases {
        let mut driver = with_policy(policy);
        classic_group(&mut driver, halves());
        let refused = driver.refused_heartbeat(Client::new("m1", &["events"]).full());
        if upgrades {
            assert_eq!(refused.0, ErrorCode::None, "{policy:?}");
        } else {
            let message =
                "Cannot upgrade classic group group to consumer group because online upgrade is disabled.";
            assert_eq!(
                refused,
                (ErrorCode::GroupIdNotFound, message.to_owned()),
                "{policy:?}"
            );
            assert_eq!(driver.state(GROUP), "Stable");
        }
        if policy == MigrationPolicy::Disabled {
            continue;
        }
        let mut driver = with_policy(policy);
        let mut modern = Client::new("m1", &["events"]);
        modern.join(&mut driver);
        driver.advance(Duration::from_secs(2));
        ClassicClient::new(&["events"]).join_and_sync(&mut driver);
        modern.leave(&mut driver);
        let state = driver.state(GROUP);
        assert_eq!(state == "PreparingRebalance", downgrades, "{policy:?} {state}");
        assert_eq!(
            driver.consumer_group(GROUP).error_code == 0,
            !downgrades,
            "{policy:?}"
        );
    }
}

#[test]
fn groups_that_cannot_be_upgraded_say_why_and_stay() {
    let mut driver = Driver::new();
    driver.stable_group(1);
    let prefix = "Cannot upgrade classic group group to consumer group because";
    let (refused, message) = driver.refused_heartbeat(Client::new("m1", &[]).full());
    assert_eq!(refused, ErrorCode::GroupIdNotFound);
    assert_eq!(
        message,
        format!("{prefix} the group does not use the consumer embedded protocol.")
    );

    let mut driver = with_policy(MigrationPolicy::Bidirectional);
    let half = assignment(&[("events", 0)], Some(b"sticky"));
    let clients = classic_group(&mut driver, [half.clone(), half]);
    let (refused, message) = driver.refused_heartbeat(Client::new("m1", &[]).full());
    assert_eq!(refused, ErrorCode::GroupIdNotFound);
    assert!(
        message.starts_with(&format!("{prefix} an unsupported custom assignor is in use.")),
        "{message}"
    );
    assert_eq!(clients[0].heartbeat(&mut driver), ErrorCode::None);
    driver.coordinator.assert_consistent(true);
}

#[test]
fn a_conversion_that_is_not_written_has_not_happened() {
    let mut driver = with_policy(MigrationPolicy::Bidirectional);
    let classic = classic_group(&mut driver, halves());
    driver.hold = true;
    let modern = Client::new("m1", &["events"]);
    let asked = driver.ask_consumer_heartbeat(modern.full());
    assert_eq!(driver.state(GROUP), "Stable", "readers see what is committed");
    let also = driver.ask_consumer_heartbeat(Client::new("m2", &["events"]).full());
    driver.fail(0, ErrorCode::NotEnoughReplicas);
    for request in [asked, also] {
        assert_eq!(
            error(driver.consumer_heard(request).error_code),
            ErrorCode::CoordinatorNotAvailable
        );
    }
    driver.hold = false;
    driver.coordinator.assert_consistent(false);
    assert!(
        classic
            .iter()
            .all(|client| client.heartbeat(&mut driver) == ErrorCode::None)
    );

    // And back.
    let mut modern = modern;
    modern.join(&mut driver);
    driver.hold = true;
    let leave = ConsumerGroupHeartbeatRequest {
        member_epoch: -1,
        ..modern.short()
    };
    let asked = driver.ask_consumer_heartbeat(leave);
    driver.fail(0, ErrorCode::NotEnoughReplicas);
    assert_eq!(
        error(driver.consumer_heard(asked).error_code),
        ErrorCode::CoordinatorNotAvailable
    );
    driver.hold = false;
    driver.coordinator.assert_consistent(true);
    modern.beat(&mut driver);
    assert_eq!(driver.consumer_group(GROUP).members.len(), 3);
    driver.advance(driver.config.consumer.session_timeout);
    assert_eq!(driver.epochs().0, "Empty", "all sessions are over");
    driver.coordinator.assert_consistent(true);
}

#[test]
fn groups_without_members_go_either_way_and_keep_their_offsets() {
    let mut driver = with_policy(MigrationPolicy::Disabled);
    assert_eq!(
        committed(&mut driver, commit(GROUP, &[("events", 0, 7)])),
        ErrorCode::None
    );
    let mut modern = Client::new("m1", &["events"]);
    modern.join(&mut driver);
    driver.coordinator.assert_consistent(true);
    assert_eq!(driver.epochs().0, "Stable");
    modern.leave(&mut driver);

    let mut classic = ClassicClient::new(&["events"]);
    let join = classic.ask_join(&mut driver);
    driver.advance(driver.config.initial_rebalance_delay * 3);
    let joined = driver.joined(join);
    classic.hear_join(&joined);
    assert!(classic.leads);
    driver.coordinator.assert_consistent(false);
    driver.restart();
    assert_eq!(
        driver.state(GROUP),
        "Empty",
        "its first generation was never assigned"
    );
    assert_eq!(all_offsets(&mut driver, GROUP), [("events".to_owned(), 0, 7)]);
    modern.join(&mut driver);
    assert_eq!(driver.epochs().0, "Stable");
    driver.restart();
    driver.coordinator.assert_consistent(true);
    assert_eq!(driver.epochs(), ("Stable".into(), 2, 2), "epochs begin anew");
}
