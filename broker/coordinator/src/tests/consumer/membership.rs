//! Who may join, stay and leave, and in which epochs.

use std::time::Duration;

use forebay_protocol::ErrorCode;
use forebay_protocol::messages::ConsumerGroupHeartbeatRequest;
use forebay_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;

use super::client::Client;
use crate::tests::driver::{Driver, GROUP};
use crate::{Command, Config, ConsumerConfig, Event, GroupConfig};

#[test]
fn a_member_that_joins_gets_its_partitions_in_the_same_answer() {
    let mut driver = Driver::new();
    let topic = driver.cluster.topic("events", 3);
    let mut client = Client::new("m1", &["events"]);
    let response = driver.consumer_heartbeat(client.full());
    client.hear(&response);
    // The group begins in epoch 1; a new subscription begins epoch 2.
    assert_eq!(
        (
            response.error_code,
            response.member_epoch,
            response.heartbeat_interval_ms
        ),
        (0, 2, 5_000)
    );
    assert_eq!(response.member_id.as_deref(), Some("m1"));
    assert_eq!(client.assigned, [(topic, 0), (topic, 1), (topic, 2)].into());
    assert_eq!(driver.epochs(), ("Stable".into(), 2, 2));

    client.follow_assignment();
    let response = driver.consumer_heartbeat(client.short());
    assert_eq!(
        (response.member_epoch, response.assignment),
        (2, None),
        "nothing new is not repeated"
    );
    let response = driver.consumer_heartbeat(ConsumerGroupHeartbeatRequest {
        topic_partitions: Some(client.owned_topics()),
        ..client.full()
    });
    assert!(
        response.assignment.is_some(),
        "who says everything is told everything"
    );
    driver.coordinator.assert_consistent(true);
}

#[test]
fn heartbeats_that_are_none_are_refused_in_kafkas_words() {
    let mut driver = Driver::new();
    driver.cluster.topic("events", 1);
    let client = Client::new("m1", &["events"]);
    type Case = (fn(&mut ConsumerGroupHeartbeatRequest), &'static str);
    let cases: [Case; 11] = [
        (|request| request.group_id = "".into(), "GroupId can't be empty."),
        (|request| request.group_id = " ".into(), "GroupId can't be empty."),
        (
            |request| request.member_id = "".into(),
            "MemberId can't be empty.",
        ),
        (
            |request| request.instance_id = Some("".into()),
            "InstanceId can't be empty.",
        ),
        (
            |request| request.rack_id = Some("".into()),
            "RackId can't be empty.",
        ),
        (
            |request| request.rebalance_timeout_ms = -1,
            "RebalanceTimeoutMs must be provided in first request.",
        ),
        (
            |request| request.topic_partitions = None,
            "TopicPartitions must be empty when (re-)joining.",
        ),
        (
            |request| request.topic_partitions = Some(vec![TopicPartitions::default()]),
            "TopicPartitions must be empty when (re-)joining.",
        ),
        (
            |request| request.subscribed_topic_names = None,
            "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
        ),
        (|request| request.member_epoch = -2, "InstanceId can't be null."),
        (|request| request.member_epoch = -3, "MemberEpoch is invalid."),
    ];
    for (spoil, message) in cases {
        let mut request = client.full();
        spoil(&mut request);
        let refused = driver.refused_heartbeat(request.clone());
        assert_eq!(
            refused,
            (ErrorCode::InvalidRequest, message.into()),
            "{request:?}"
        );
    }
    let request = ConsumerGroupHeartbeatRequest {
        server_assignor: Some("sticky".into()),
        ..client.full()
    };
    let message = "ServerAssignor sticky is not supported. Supported assignors: uniform, range.";
    assert_eq!(
        driver.refused_heartbeat(request),
        (ErrorCode::UnsupportedAssignor, message.into())
    );
    assert_eq!(
        driver.coordinator.group_count(),
        0,
        "none of them has left a trace"
    );
    assert!(driver.log.is_empty());
}

#[test]
fn before_version_1_the_coordinator_makes_the_member_id() {
    let mut driver = Driver::new();
    driver.cluster.topic("events", 1);
    let client = Client::new("", &["events"]);
    let command = Command::consumer_group_heartbeat(client.full(), 7);
    let request = driver.ask_as(0, "client", command);
    let response = driver.consumer_heard(request);
    assert_eq!(response.error_code, 0);
    assert_eq!(response.member_id.expect("an id").len(), 22);
}

#[test]
fn nobody_stays_in_a_group_that_is_not_there_or_knows_it_not() {
    let mut driver = Driver::new();
    driver.cluster.topic("events", 1);
    let stranger = Client {
        epoch: 5,
        ..Client::new("m2", &["events"])
    };
    let not_found = |message: &str| (ErrorCode::GroupIdNotFound, message.to_owned());
    assert_eq!(
        driver.refused_heartbeat(stranger.short()),
        not_found("Consumer group group not found.")
    );
    let leave = || ConsumerGroupHeartbeatRequest {
        member_epoch: -1,
        ..stranger.short()
    };
    assert_eq!(
        driver.refused_heartbeat(leave()),
        not_found("Group group not found.")
    );

    Client::new("m1", &["events"]).join(&mut driver);
    let unknown = (
        ErrorCode::UnknownMemberId,
        "Member m2 is not a member of group group.".to_owned(),
    );
    assert_eq!(driver.refused_heartbeat(stranger.short()), unknown);
    assert_eq!(driver.refused_heartbeat(leave()), unknown);

    let mut driver = Driver::new();
    driver.stable_group(1);
    assert_eq!(
        driver.refused_heartbeat(stranger.short()),
        not_found("Group group is not a consumer group.")
    );
    assert_eq!(
        driver.refused_heartbeat(leave()),
        not_found("Group group is not a consumer group.")
    );
}

#[test]
fn a_member_is_heard_in_its_epoch_and_in_the_one_before_if_it_owns_nothing_else() {
    let mut driver = Driver::new();
    let topic = driver.cluster.topic("events", 2);
    let mut client = Client::new("m1", &["events"]);
    client.join(&mut driver);
    driver.cluster.topic("more", 1);
    client.topics.push("more".into());
    // The answer to this is lost.
    driver.advance(Duration::from_secs(2));
    let response = driver.consumer_heartbeat(client.full());
    assert_eq!((client.epoch, response.member_epoch), (2, 3));

    let response = driver.consumer_heartbeat(client.full());
    assert_eq!(response.member_epoch, 3, "it is told again");
    let fenced = |compared: &str, received: i32| {
        let message = format!(
            "The consumer group member has a {compared} member epoch ({received}) than the one known by the group coordinator \
             (3). The member must abandon all its partitions and rejoin."
        );
        (ErrorCode::FencedMemberEpoch, message)
    };
    assert_eq!(
        driver.refused_heartbeat(client.short()),
        fenced("smaller", 2),
        "it does not say what it owns"
    );
    let foreign = TopicPartitions {
        topic_id: topic,
        partitions: vec![7],
        ..Default::default()
    };
    let request = ConsumerGroupHeartbeatRequest {
        topic_partitions: Some(vec![foreign]),
        ..client.short()
    };
    assert_eq!(
        driver.refused_heartbeat(request),
        fenced("smaller", 2),
        "it owns what it has not in the new epoch"
    );
    client.epoch = 1;
    assert_eq!(driver.refused_heartbeat(client.full()), fenced("smaller", 1));
    client.epoch = 4;
    assert_eq!(driver.refused_heartbeat(client.full()), fenced("greater", 4));
    // Whoever begins anew is not fenced.
    client.join(&mut driver);
    assert_eq!(client.epoch, 3);
}

#[test]
fn a_group_takes_as_many_members_as_it_may_and_not_one_more() {
    let consumer = ConsumerConfig {
        group_size_max: 2,
        ..ConsumerConfig::default()
    };
    let mut driver = Driver::with(Config {
        consumer,
        ..Config::default()
    });
    driver.cluster.topic("events", 4);
    let [mut first, mut second] = ["m1", "m2"].map(|id| Client::new(id, &["events"]));
    first.join(&mut driver);
    second.join(&mut driver);
    let message = "The consumer group has reached its maximum capacity of 2 members.";
    let third = Client::new("m3", &["events"]);
    assert_eq!(
        driver.refused_heartbeat(third.full()),
        (ErrorCode::GroupMaxSizeReached, message.into())
    );
    second.beat(&mut driver).join(&mut driver);
    second.leave(&mut driver);
    assert_eq!(driver.consumer_heartbeat(third.full()).error_code, 0);
}

#[test]
fn a_silent_member_is_out_when_its_session_is_over_and_not_before() {
    let mut driver = Driver::new();
    driver.cluster.topic("events", 2);
    let [mut silent, mut other] = ["m1", "m2"].map(|id| Client::new(id, &["events"]));
    silent.join(&mut driver);
    driver.advance(Duration::from_secs(2));
    other.join(&mut driver);
    driver.advance(Duration::from_secs(40));
    silent.beat(&mut driver);
    other.beat(&mut driver);
    let session = driver.config.consumer.session_timeout;
    driver.advance(session - Duration::from_millis(1));
    other.beat(&mut driver);
    assert_eq!(driver.consumer_group(GROUP).members.len(), 2);
    driver.advance(Duration::from_millis(1));
    let group = driver.consumer_group(GROUP);
    assert_eq!(group.members.len(), 1);
    assert_eq!(&*group.members[0].member_id, "m2");
    assert!(driver.events.iter().any(|event| matches!(
        event,
        Event::MembersRemoved { members, reason, .. } if *members == ["m1"] && reason == "the member session expired"
    )));
    other.beat(&mut driver);
    assert_eq!(other.owned.len(), 2, "it has what the other had");
    let refused = driver.refused_heartbeat(silent.short());
    assert_eq!(
        refused,
        (
            ErrorCode::UnknownMemberId,
            "Member m1 is not a member of group group.".into()
        )
    );
    driver.coordinator.assert_consistent(true);
}

#[test]
fn a_group_may_have_timeouts_of_its_own() {
    let mut driver = Driver::new();
    driver.cluster.topic("events", 1);
    driver.cluster.change(|image| {
        let config = GroupConfig {
            consumer_session_timeout: Some(Duration::from_secs(50)),
            consumer_heartbeat_interval: Some(Duration::from_secs(7)),
            consumer_assignment_interval: Some(Duration::from_secs(3)),
        };
        image.group_configs.insert(GROUP.into(), config);
    });
    let mut client = Client::new("m1", &["events"]);
    let response = driver.consumer_heartbeat(client.full());
    assert_eq!(response.heartbeat_interval_ms, 7_000);
    client.hear(&response);
    driver.advance(Duration::from_millis(49_999));
    assert_eq!(driver.epochs().0, "Stable");
    driver.advance(Duration::from_millis(1));
    assert_eq!(driver.epochs().0, "Empty");
}

#[test]
fn the_last_member_leaves_an_empty_group_that_goes_on_in_its_epochs() {
    let mut driver = Driver::new();
    driver.cluster.topic("events", 1);
    let mut client = Client::new("m1", &["events"]);
    client.join(&mut driver);
    client.leave(&mut driver);
    assert_eq!(driver.epochs(), ("Empty".into(), 3, 2));
    driver.advance(Duration::from_secs(5));
    client.join(&mut driver);
    assert_eq!(client.epoch, 4);
    assert_eq!(driver.epochs(), ("Stable".into(), 4, 4));
    driver.restart();
    driver.coordinator.assert_consistent(true);
    client.beat(&mut driver);
    assert_eq!(client.epoch, 4, "another coordinator knows it");
    driver.advance(driver.config.consumer.session_timeout);
    assert_eq!(
        driver.epochs().0,
        "Empty",
        "its session begins anew there, and ends"
    );
}

#[test]
fn answers_wait_for_what_they_are_about_and_nothing_has_happened_if_that_is_not_written() {
    let mut driver = Driver::new();
    driver.cluster.topic("events", 2);
    let [first, second] = ["m1", "m2"].map(|id| Client::new(id, &["events"]));
    driver.hold = true;
    let one = driver.ask_consumer_heartbeat(first.full());
    let two = driver.ask_consumer_heartbeat(second.full());
    assert!(driver.answer(one).is_none() && driver.answer(two).is_none());
    assert_eq!(driver.epochs().0, "", "readers see no group yet");
    driver.commit_some(1);
    driver.fail(0, ErrorCode::NotEnoughReplicas);
    assert_eq!(driver.consumer_heard(one).error_code, 0);
    let failed = driver.consumer_heard(two);
    assert_eq!(
        ErrorCode::from_i16(failed.error_code),
        ErrorCode::CoordinatorNotAvailable
    );
    assert_eq!(driver.consumer_group(GROUP).members.len(), 1);
    driver.coordinator.assert_consistent(true);

    driver.ask_consumer_heartbeat(
        Client {
            epoch: 2,
            topics: vec![],
            ..first
        }
        .full(),
    );
    driver.fail(0, ErrorCode::KafkaStorageError);
    driver.coordinator.assert_consistent(true);
    assert_eq!(driver.epochs(), ("Stable".into(), 2, 2));

    let mut driver = Driver::new();
    driver.hold = true;
    let request = driver.ask_consumer_heartbeat(second.full());
    driver.fail(0, ErrorCode::KafkaStorageError);
    assert_eq!(
        ErrorCode::from_i16(driver.consumer_heard(request).error_code),
        ErrorCode::NotCoordinator
    );
    assert_eq!(driver.coordinator.group_count(), 0);
    driver.coordinator.assert_consistent(true);
}

/// 250 members, 2,500 partitions: they join one after the other and come to rest. The bound is for a build without optimization on a busy
/// machine.
#[test]
fn a_large_group_comes_to_rest_in_bounded_time() {
    let started = std::time::Instant::now();
    let mut driver = Driver::new();
    let topics: Vec<String> = (0..25).map(|number| format!("topic-{number}")).collect();
    for topic in &topics {
        driver.cluster.topic(topic, 100);
    }
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    let mut clients: Vec<Client> = (0..250)
        .map(|number| Client::new(&format!("member-{number}"), &topics))
        .collect();
    for client in &mut clients {
        client.join(&mut driver);
        driver.advance(Duration::from_millis(1));
    }
    for _ in 0..10 {
        driver.advance(Duration::from_secs(3));
        for client in &mut clients {
            client.beat(&mut driver);
        }
        if driver.epochs().0 == "Stable" {
            break;
        }
    }
    assert_eq!(driver.epochs().0, "Stable");
    assert!(
        clients.iter().all(|client| client.owned.len() == 10),
        "each has its share"
    );
    driver.coordinator.assert_sound();
    assert!(
        started.elapsed() < Duration::from_secs(60),
        "{:?}",
        started.elapsed()
    );
}
