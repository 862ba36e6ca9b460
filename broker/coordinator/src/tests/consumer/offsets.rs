//! Offsets of consumer groups: who may commit and fetch them, and when they are forgotten.

use std::time::Duration;

use forebay_protocol::ErrorCode;
use forebay_protocol::messages::OffsetCommitRequest;
use forebay_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use forebay_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use forebay_protocol::messages::{OffsetDeleteRequest, TxnOffsetCommitRequest};

use super::classic_client::ClassicClient;
use super::client::Client;
use crate::tests::driver::{Driver, GROUP, error};
use crate::tests::offsets::{all_offsets, commit, committed};
use crate::{Command, Response};

fn commit_of(client: &Client, partition: i32) -> OffsetCommitRequest {
    OffsetCommitRequest {
        member_id: client.id.as_str().into(),
        generation_id_or_member_epoch: client.epoch,
        ..commit(GROUP, &[("events", partition, 1)])
    }
}

/// As `commit_of`, with the id of the topic that the server fills in.
fn by_id(driver: &Driver, mut request: OffsetCommitRequest) -> OffsetCommitRequest {
    use crate::Cluster;
    for topic in &mut request.topics {
        topic.topic_id = driver.cluster.image().topic(&topic.name).expect("it exists").id;
    }
    request
}

#[test]
fn members_commit_in_their_epoch() {
    let mut driver = Driver::new();
    driver.cluster.topic("events", 2);
    let mut first = Client::new("m1", &["events"]);
    let admin = || commit(GROUP, &[("events", 0, 1)]);
    assert_eq!(
        committed(
            &mut driver,
            commit_of(
                &Client {
                    epoch: 1,
                    ..first.clone()
                },
                0
            )
        ),
        ErrorCode::GroupIdNotFound
    );
    first.join(&mut driver);
    assert_eq!(
        committed(&mut driver, admin()),
        ErrorCode::UnknownMemberId,
        "the group has members"
    );
    assert_eq!(committed(&mut driver, commit_of(&first, 0)), ErrorCode::None);
    let stranger = Client {
        epoch: 2,
        ..Client::new("x", &[])
    };
    assert_eq!(
        committed(&mut driver, commit_of(&stranger, 0)),
        ErrorCode::UnknownMemberId
    );
    let ahead = Client {
        epoch: first.epoch + 1,
        ..first.clone()
    };
    assert_eq!(
        committed(&mut driver, commit_of(&ahead, 0)),
        ErrorCode::StaleMemberEpoch
    );
    let request = driver.ask_as(8, "client", Command::OffsetCommit(commit_of(&first, 0)));
    let Some(Response::OffsetCommit(response)) = driver.answer(request) else {
        panic!("no answer")
    };
    assert_eq!(
        error(response.topics[0].partitions[0].error_code),
        ErrorCode::UnsupportedVersion
    );
}

#[test]
fn members_commit_for_what_they_had_in_epochs_before() {
    let mut driver = Driver::new();
    driver.cluster.topic("events", 2);
    let mut first = Client::new("m1", &["events"]);
    first.join(&mut driver);
    // Another one comes; what the first keeps it has had since epoch 2, and may commit in epoch 2.
    let before = first.clone();
    driver.advance(Duration::from_secs(2));
    let mut second = Client::new("m2", &["events"]);
    second.join(&mut driver);
    driver.settle(&mut [&mut first, &mut second]);
    assert_eq!((before.epoch, first.epoch), (2, 3));
    let kept = first.owned.first().expect("one").1;
    let lost = 1 - kept;
    let old = by_id(&driver, commit_of(&before, kept));
    assert_eq!(committed(&mut driver, old), ErrorCode::None);
    let old = by_id(&driver, commit_of(&before, lost));
    assert_eq!(committed(&mut driver, old), ErrorCode::StaleMemberEpoch);
    let young = by_id(
        &driver,
        commit_of(
            &Client {
                epoch: 2,
                ..second.clone()
            },
            lost,
        ),
    );
    assert_eq!(
        committed(&mut driver, young),
        ErrorCode::StaleMemberEpoch,
        "it has it only since epoch 3"
    );

    first.leave(&mut driver);
    second.leave(&mut driver);
    assert_eq!(
        committed(&mut driver, commit(GROUP, &[("events", 0, 1)])),
        ErrorCode::None,
        "an administrator may, now that there are none"
    );
}

#[test]
fn members_of_the_classic_protocol_are_told_of_generations() {
    let mut driver = Driver::new();
    driver.cluster.topic("events", 1);
    let mut modern = Client::new("m1", &["events"]);
    modern.join(&mut driver);
    driver.advance(Duration::from_secs(2));
    let mut classic = ClassicClient::new(&["events"]);
    classic.join_and_sync(&mut driver);
    let as_member = |epoch| Client {
        id: classic.id.clone(),
        epoch,
        ..Client::default()
    };
    assert_eq!(
        committed(&mut driver, commit_of(&as_member(3), 0)),
        ErrorCode::None
    );
    assert_eq!(
        committed(&mut driver, commit_of(&as_member(4), 0)),
        ErrorCode::IllegalGeneration
    );
    assert_eq!(
        committed(&mut driver, commit_of(&as_member(2), 0)),
        ErrorCode::IllegalGeneration
    );
}

#[test]
fn transactions_commit_by_the_same_rules_in_older_words() {
    let mut driver = Driver::new();
    driver.cluster.topic("events", 1);
    let mut client = Client::new("m1", &["events"]);
    client.join(&mut driver);
    let cases = [
        ("", -1, ErrorCode::None),
        ("m1", 2, ErrorCode::None),
        ("m1", 3, ErrorCode::IllegalGeneration),
        ("m1", 1, ErrorCode::IllegalGeneration),
        ("x", 2, ErrorCode::UnknownMemberId),
        ("m1", -1, ErrorCode::IllegalGeneration),
    ];
    for (member, generation, expected) in cases {
        let request = TxnOffsetCommitRequest {
            member_id: member.into(),
            generation_id: generation,
            ..crate::tests::transactions::txn_commit(GROUP, 1, &[("events", 0, 5)])
        };
        let asked = driver.ask(Command::TxnOffsetCommit {
            request,
            verification: 0,
        });
        let Some(Response::TxnOffsetCommit(response)) = driver.answer(asked) else {
            panic!("no answer")
        };
        assert_eq!(
            error(response.topics[0].partitions[0].error_code),
            expected,
            "{member} {generation}"
        );
    }
}

#[test]
fn members_fetch_in_their_epoch_and_others_without_one() {
    let mut driver = Driver::new();
    driver.cluster.topic("events", 1);
    let mut client = Client::new("m1", &["events"]);
    client.join(&mut driver);
    assert_eq!(committed(&mut driver, commit_of(&client, 0)), ErrorCode::None);
    let cases = [
        (None, -1, ErrorCode::None),
        (Some("m1"), 2, ErrorCode::None),
        (Some("m1"), 1, ErrorCode::StaleMemberEpoch),
        (Some("m1"), 3, ErrorCode::StaleMemberEpoch),
        (Some("x"), 2, ErrorCode::UnknownMemberId),
        (Some(""), -1, ErrorCode::UnknownMemberId),
    ];
    for (member, epoch, expected) in cases {
        for require_stable in [false, true] {
            let group = OffsetFetchRequestGroup {
                group_id: GROUP.into(),
                topics: None,
                member_id: member.map(Into::into),
                member_epoch: epoch,
                ..Default::default()
            };
            let asked = driver.ask(Command::OffsetFetch {
                group,
                require_stable,
            });
            let Some(Response::OffsetFetch(response)) = driver.answer(asked) else {
                panic!("no answer")
            };
            assert_eq!(error(response.error_code), expected, "{member:?} {epoch}");
            assert_eq!(response.topics.len(), usize::from(expected == ErrorCode::None));
        }
    }
}

#[test]
fn offsets_of_topics_that_nobody_consumes_expire_and_can_be_deleted_and_the_group_goes_with_the_last() {
    let mut driver = Driver::new();
    for topic in ["events", "old"] {
        driver.cluster.topic(topic, 1);
    }
    let mut client = Client::new("m1", &["events", "old"]);
    client.join(&mut driver);
    for topic in ["events", "old"] {
        let request = OffsetCommitRequest {
            topics: commit(GROUP, &[(topic, 0, 1)]).topics,
            ..commit_of(&client, 0)
        };
        assert_eq!(committed(&mut driver, request), ErrorCode::None);
    }
    let delete = |driver: &mut Driver, topic: &str| {
        let partitions = vec![OffsetDeleteRequestPartition::default()];
        let topics = vec![OffsetDeleteRequestTopic {
            name: topic.into(),
            partitions,
        }];
        let asked = driver.ask(Command::OffsetDelete(OffsetDeleteRequest {
            group_id: GROUP.into(),
            topics,
        }));
        let Some(Response::OffsetDelete(response)) = driver.answer(asked) else {
            panic!("no answer")
        };
        (
            error(response.error_code),
            error(response.topics[0].partitions[0].error_code),
        )
    };
    assert_eq!(
        delete(&mut driver, "events"),
        (ErrorCode::None, ErrorCode::GroupSubscribedToTopic)
    );
    client.topics = vec!["events".into()];
    driver.advance(Duration::from_secs(2));
    let full = client.full();
    client.hear(&driver.consumer_heartbeat(full));
    client.follow_assignment();

    let retention = driver.config.offsets_retention + driver.config.offsets_retention_check_interval * 2;
    let step = Duration::from_secs(30);
    for _ in 0..retention.as_secs() / step.as_secs() {
        driver.advance(step);
        client.beat(&mut driver);
    }
    assert_eq!(
        all_offsets(&mut driver, GROUP),
        [("events".to_owned(), 0, 1)],
        "the other has expired"
    );
    client.leave(&mut driver);
    driver.advance(driver.config.offsets_retention_check_interval);
    assert_eq!(
        all_offsets(&mut driver, GROUP),
        [],
        "kept since its commit, and nobody consumes it any more"
    );
    assert_eq!(driver.coordinator.group_count(), 0);
    driver.restart();
    assert_eq!(driver.coordinator.group_count(), 0);

    client.join(&mut driver);
    client.leave(&mut driver);
    assert_eq!(
        committed(&mut driver, commit(GROUP, &[("old", 0, 3)])),
        ErrorCode::None
    );
    assert_eq!(delete(&mut driver, "old"), (ErrorCode::None, ErrorCode::None));
    assert_eq!(all_offsets(&mut driver, GROUP), []);
}
