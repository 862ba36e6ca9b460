//! How members come to what they are to have: they let go first, and nobody gets what another has not let go of.

use std::time::Duration;

use forebay_protocol::messages::ConsumerGroupHeartbeatRequest;

use super::client::Client;
use crate::tests::driver::{Driver, GROUP};

fn two_members() -> (Driver, Client, Client) {
    let mut driver = Driver::new();
    driver.cluster.topic("events", 4);
    let [mut first, mut second] = ["m1", "m2"].map(|id| Client::new(id, &["events"]));
    first.join(&mut driver);
    assert_eq!(first.owned.len(), 4);
    driver.advance(Duration::from_secs(2));
    second.join(&mut driver);
    (driver, first, second)
}

#[test]
fn the_second_member_gets_what_the_first_has_let_go_of() {
    let (mut driver, mut first, mut second) = two_members();
    // It is in the new epoch, and waits.
    assert_eq!((second.epoch, second.owned.len()), (3, 0));
    assert_eq!(driver.epochs(), ("Reconciling".into(), 3, 3));

    let response = driver.consumer_heartbeat(first.short());
    first.hear(&response);
    assert_eq!(
        (first.epoch, first.assigned.len()),
        (2, 2),
        "it is to let go, and stays in its epoch until it has"
    );
    second.beat(&mut driver);
    assert_eq!(second.owned.len(), 0, "nothing is free yet");
    let response = driver.consumer_heartbeat(ConsumerGroupHeartbeatRequest {
        topic_partitions: Some(first.owned_topics()),
        ..first.short()
    });
    assert_eq!(
        (response.member_epoch, response.assignment),
        (2, None),
        "it still owns them"
    );

    first.follow_assignment();
    first.beat(&mut driver);
    assert_eq!((first.epoch, first.owned.len()), (3, 2));
    second.beat(&mut driver);
    assert_eq!(second.owned.len(), 2);
    assert!(first.owned.is_disjoint(&second.owned));
    assert_eq!(driver.epochs(), ("Stable".into(), 3, 3));
    driver.coordinator.assert_consistent(true);
}

#[test]
fn who_does_not_let_go_in_time_is_out() {
    let (mut driver, mut first, mut second) = two_members();
    first.hear(&driver.consumer_heartbeat(first.short()));
    let mut waited = Duration::ZERO;
    let rebalance = Duration::from_secs(60);
    while waited + Duration::from_secs(20) < rebalance {
        driver.advance(Duration::from_secs(20));
        waited += Duration::from_secs(20);
        // It heartbeats, and owns everything still.
        driver.consumer_heartbeat(first.short());
        second.beat(&mut driver);
    }
    assert_eq!(driver.consumer_group(GROUP).members.len(), 2);
    driver.advance(rebalance - waited);
    assert_eq!(driver.consumer_group(GROUP).members.len(), 1);
    let reason = "it failed to transition from epoch 2 within 60000ms";
    assert!(
        driver
            .events
            .iter()
            .any(|event| event.to_string().contains(reason)),
        "{:?}",
        driver.events
    );
    second.beat(&mut driver);
    assert_eq!(second.owned.len(), 4);
    driver.coordinator.assert_consistent(true);
}

#[test]
fn who_has_let_go_has_no_deadline_any_more() {
    let (mut driver, mut first, mut second) = two_members();
    first.beat(&mut driver).beat(&mut driver);
    assert_eq!(first.epoch, 3);
    for _ in 0..10 {
        driver.advance(Duration::from_secs(20));
        first.beat(&mut driver);
        second.beat(&mut driver);
    }
    assert_eq!(driver.consumer_group(GROUP).members.len(), 2);
}

#[test]
fn partitions_of_a_member_that_is_gone_are_free_at_once() {
    let (mut driver, mut first, mut second) = two_members();
    first.leave(&mut driver);
    driver.advance(Duration::from_secs(1));
    second.beat(&mut driver);
    assert_eq!(second.owned.len(), 4);
    assert_eq!(driver.epochs(), ("Stable".into(), 4, 4));
}

#[test]
fn one_target_stands_for_the_assignment_interval() {
    let mut driver = Driver::new();
    driver.cluster.topic("events", 4);
    let [mut first, mut second] = ["m1", "m2"].map(|id| Client::new(id, &["events"]));
    first.join(&mut driver);
    driver.advance(Duration::from_millis(999));
    second.join(&mut driver);
    assert_eq!(
        (second.epoch, second.owned.len()),
        (2, 0),
        "it is in the epoch of the target that there is"
    );
    assert_eq!(driver.epochs(), ("Assigning".into(), 3, 2));
    driver.advance(Duration::from_millis(1));
    second.beat(&mut driver);
    assert_eq!(second.epoch, 3);
    driver.settle(&mut [&mut first, &mut second]);
    assert_eq!((first.owned.len(), second.owned.len()), (2, 2));
}

#[test]
fn what_is_not_subscribed_to_any_more_is_let_go_of_before_there_is_a_new_target() {
    let mut driver = Driver::new();
    let [events, more] = ["events", "more"].map(|topic| driver.cluster.topic(topic, 1));
    let mut client = Client::new("m1", &["events", "more"]);
    client.join(&mut driver);
    assert_eq!(client.owned, [(events, 0), (more, 0)].into());
    // Within the assignment interval.
    client.topics = vec!["events".into()];
    let request = client.full();
    client.hear(&driver.consumer_heartbeat(request));
    assert_eq!(driver.epochs(), ("Assigning".into(), 3, 2));
    assert_eq!(client.assigned, [(events, 0)].into());
    client.follow_assignment();
    driver.settle(&mut [&mut client]);
    assert_eq!((client.epoch, client.owned.len()), (3, 1));
}

#[test]
fn the_assignor_that_most_members_ask_for_is_the_groups() {
    let mut driver = Driver::new();
    driver.cluster.topic("events", 4);
    let mut clients: Vec<Client> = ["m1", "m2", "m3"].map(|id| Client::new(id, &["events"])).into();
    let assignor = |driver: &mut Driver| driver.consumer_group(GROUP).assignor_name.to_string();
    clients[0].join(&mut driver);
    assert_eq!(assignor(&mut driver), "uniform", "nobody has asked for one");
    for (index, expected) in [(1, "range"), (2, "range")] {
        clients[index].assignor = Some("range".into());
        driver.advance(Duration::from_secs(2));
        clients[index].join(&mut driver);
        assert_eq!(assignor(&mut driver), expected);
    }
}

#[test]
fn a_state_of_a_later_kafka_makes_the_member_begin_anew() {
    use crate::consumer::{ConsumerKey, ConsumerValue, CurrentAssignment, MemberState, Part};
    use crate::record::CoordinatorRecord;

    let (mut driver, mut first, _) = two_members();
    let current = CurrentAssignment {
        member_epoch: 2,
        previous_member_epoch: 2,
        state: MemberState::Unknown,
        ..CurrentAssignment::default()
    };
    let key = ConsumerKey {
        group: GROUP.into(),
        part: Part::Current("m1".into()),
    };
    let record = CoordinatorRecord::Consumer(key, Some(ConsumerValue::Current(current.into())));
    driver.log.push(record.encode().expect("short"));
    driver.restart();
    let (error, _) = driver.refused_heartbeat(first.short());
    assert_eq!(error, forebay_protocol::ErrorCode::FencedMemberEpoch);
    first.abandon();
    first.join(&mut driver);
    assert_eq!(first.epoch, 3);
}
