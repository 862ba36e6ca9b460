//! OffsetCommit, OffsetFetch, OffsetDelete, and offsets of topics that are deleted.

use std::time::Duration;

use forebay_protocol::ErrorCode::{
    self, CoordinatorNotAvailable, GroupIdNotFound, IllegalGeneration, NotCoordinator, NotEnoughReplicas,
    OffsetMetadataTooLarge, RebalanceInProgress, UnknownMemberId, UnknownServerError,
};
use forebay_protocol::Uuid;
use forebay_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use forebay_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use forebay_protocol::messages::offset_fetch_response::OffsetFetchResponseGroup;
use forebay_protocol::messages::{OffsetCommitRequest, OffsetFetchRequest};

use super::Driver;
use super::driver::{GROUP, error, first_error, join, text};
use crate::{Command, Config, RequestId, Response, offset_fetch_groups, offset_fetch_response};

pub(super) const TOPIC_ID: Uuid = Uuid::from_bytes([7; 16]);

/// Offsets (topic, partition, offset) of nobody in particular.
pub(super) fn commit(group: &str, offsets: &[(&str, i32, i64)]) -> OffsetCommitRequest {
    let topics = offsets.iter().map(
        |(topic, partition_index, committed_offset)| OffsetCommitRequestTopic {
            name: (*topic).into(),
            topic_id: TOPIC_ID,
            partitions: vec![OffsetCommitRequestPartition {
                partition_index: *partition_index,
                committed_offset: *committed_offset,
                committed_leader_epoch: 5,
                committed_metadata: Some(text("note")),
                ..Default::default()
            }],
            ..Default::default()
        },
    );
    OffsetCommitRequest {
        group_id: group.into(),
        generation_id_or_member_epoch: -1,
        retention_time_ms: -1,
        topics: topics.collect(),
        ..Default::default()
    }
}

pub(super) fn committed(driver: &mut Driver, request: OffsetCommitRequest) -> ErrorCode {
    let id = driver.ask(Command::OffsetCommit(request));
    match driver.answer(id) {
        Some(Response::OffsetCommit(response)) => first_error(&response),
        other => panic!("{other:?}"),
    }
}

fn fetch(group: &str, partitions: &[(&str, i32)]) -> OffsetFetchRequestGroup {
    let topics = partitions
        .iter()
        .map(|(topic, partition)| OffsetFetchRequestTopics {
            name: (*topic).into(),
            partition_indexes: vec![*partition],
            ..Default::default()
        });
    OffsetFetchRequestGroup {
        group_id: group.into(),
        topics: Some(topics.collect()),
        ..Default::default()
    }
}

fn ask_fetch(driver: &mut Driver, group: OffsetFetchRequestGroup, require_stable: bool) -> RequestId {
    driver.ask(Command::OffsetFetch {
        group,
        require_stable,
    })
}

fn fetched(driver: &mut Driver, id: RequestId) -> OffsetFetchResponseGroup {
    match driver.answer(id) {
        Some(Response::OffsetFetch(response)) => response,
        other => panic!("{other:?}"),
    }
}

/// Topic, partition, offset of everything that a group has, as readers see it.
pub(super) fn all_offsets(driver: &mut Driver, group: &str) -> Vec<(String, i32, i64)> {
    let request = OffsetFetchRequestGroup {
        group_id: group.into(),
        topics: None,
        ..Default::default()
    };
    let id = ask_fetch(driver, request, false);
    let response = fetched(driver, id);
    assert_eq!(response.error_code, 0);
    let offsets = response.topics.iter().flat_map(|topic| {
        let offset =
            |partition: &forebay_protocol::messages::offset_fetch_response::OffsetFetchResponsePartitions| {
                (
                    topic.name.to_string(),
                    partition.partition_index,
                    partition.committed_offset,
                )
            };
        topic.partitions.iter().map(offset)
    });
    offsets.collect()
}

#[test]
fn members_commit_in_their_generation_and_others_when_there_are_no_members() {
    // Generation, member (by index, or a name), what an empty group says, what a stable one says; the group's generation is 1.
    let cases: [(i32, &str, ErrorCode, ErrorCode); 6] = [
        (-1, "", ErrorCode::None, UnknownMemberId),
        (1, "", UnknownMemberId, UnknownMemberId),
        (1, "0", UnknownMemberId, ErrorCode::None),
        (0, "0", UnknownMemberId, IllegalGeneration),
        (-1, "0", ErrorCode::None, IllegalGeneration),
        (1, "stranger", UnknownMemberId, UnknownMemberId),
    ];
    for (generation, member, when_empty, when_stable) in cases {
        let mut driver = Driver::new();
        let (ids, _) = driver.stable_group(1);
        let member_id = if member == "0" { ids[0].as_str() } else { member }.into();
        let request = OffsetCommitRequest {
            generation_id_or_member_epoch: generation,
            member_id,
            ..commit(GROUP, &[("t", 0, 1)])
        };
        let what = format!("generation {generation}, member {member:?}");
        assert_eq!(
            committed(&mut driver, request.clone()),
            when_stable,
            "{what}, stable"
        );
        driver.advance(super::driver::SESSION);
        assert_eq!(driver.state(GROUP), "Empty");
        assert_eq!(committed(&mut driver, request), when_empty, "{what}, empty");
    }
}

#[test]
fn a_group_that_is_not_there_comes_to_be_by_a_commit_that_claims_no_membership() {
    for (version, expected) in [
        (8, IllegalGeneration),
        (9, GroupIdNotFound),
        (10, GroupIdNotFound),
    ] {
        let mut driver = Driver::new();
        let request = OffsetCommitRequest {
            generation_id_or_member_epoch: 0,
            ..commit(GROUP, &[("t", 0, 1)])
        };
        let id = driver.ask_as(version, "client", Command::OffsetCommit(request));
        let Some(Response::OffsetCommit(response)) = driver.answer(id) else {
            panic!("no answer")
        };
        assert_eq!(first_error(&response), expected, "version {version}");
    }
    for group in [GROUP, ""] {
        let mut driver = Driver::new();
        assert_eq!(
            committed(&mut driver, commit(group, &[("t", 0, 1)])),
            ErrorCode::None
        );
        assert_eq!(driver.state(group), "Empty");
        assert_eq!(all_offsets(&mut driver, group), [("t".to_owned(), 0, 1)]);
        driver.restart();
        assert_eq!(driver.state(group), "Empty");
        assert_eq!(all_offsets(&mut driver, group), [("t".to_owned(), 0, 1)]);
    }
}

#[test]
fn while_the_leader_assigns_nobody_commits_and_while_members_join_the_last_generation_does() {
    let mut driver = Driver::new();
    let (ids, generation) = driver.stable_group(2);
    let mut request = OffsetCommitRequest {
        generation_id_or_member_epoch: generation,
        member_id: ids[1].as_str().into(),
        ..commit(GROUP, &[("t", 0, 1)])
    };
    driver.join(join(&ids[0]));
    assert_eq!(driver.state(GROUP), "PreparingRebalance");
    assert_eq!(committed(&mut driver, request.clone()), ErrorCode::None);
    driver.join(join(&ids[1]));
    assert_eq!(committed(&mut driver, request.clone()), IllegalGeneration);
    request.generation_id_or_member_epoch += 1;
    assert_eq!(committed(&mut driver, request), RebalanceInProgress);
}

#[test]
fn committing_keeps_a_session() {
    let mut driver = Driver::new();
    let (ids, generation) = driver.stable_group(1);
    for _ in 0..10 {
        driver.advance(super::driver::SESSION - Duration::from_millis(1));
        let request = OffsetCommitRequest {
            generation_id_or_member_epoch: generation,
            member_id: ids[0].as_str().into(),
            ..commit(GROUP, &[("t", 0, 1)])
        };
        assert_eq!(committed(&mut driver, request), ErrorCode::None);
    }
}

#[test]
fn metadata_may_be_as_long_as_java_counts() {
    // Characters, and how often: Java counts UTF-16 units, whatever the key says of bytes.
    let cases = [
        ("x", 8, ErrorCode::None),
        ("x", 9, OffsetMetadataTooLarge),
        ("ß", 8, ErrorCode::None),
        ("ß", 9, OffsetMetadataTooLarge),
        ("🦀", 4, ErrorCode::None),
        ("🦀", 5, OffsetMetadataTooLarge),
    ];
    for (character, count, expected) in cases {
        let mut driver = Driver::with(Config {
            offset_metadata_bytes_max: 8,
            ..Config::default()
        });
        let mut request = commit(GROUP, &[("t", 0, 1), ("t", 1, 2)]);
        request.topics[0].partitions[0].committed_metadata = Some(character.repeat(count).into());
        request.topics[1].partitions[0].committed_metadata = None;
        assert_eq!(
            committed(&mut driver, request),
            expected,
            "{count} times {character}"
        );
        let kept = all_offsets(&mut driver, GROUP).len();
        assert_eq!(
            kept,
            if expected == ErrorCode::None { 2 } else { 1 },
            "the other partition is committed"
        );
    }
}

#[test]
fn what_does_not_fit_into_a_batch_is_refused_whole() {
    let mut driver = Driver::with(Config {
        append_bytes_max: 1_000,
        ..Config::default()
    });
    let many: Vec<(&str, i32, i64)> = (0..20).map(|partition| ("t", partition, 1)).collect();
    assert_eq!(committed(&mut driver, commit(GROUP, &many)), UnknownServerError);
    assert_eq!(all_offsets(&mut driver, GROUP), []);
    assert_eq!(driver.coordinator.group_count(), 0);
    assert_eq!(committed(&mut driver, commit(GROUP, &many[..5])), ErrorCode::None);
}

#[test]
fn an_offset_is_seen_when_it_is_committed_and_by_those_who_insist_on_the_newest_no_earlier() {
    let mut driver = Driver::new();
    assert_eq!(
        committed(&mut driver, commit(GROUP, &[("t", 0, 1)])),
        ErrorCode::None
    );
    driver.hold = true;
    let write = driver.ask(Command::OffsetCommit(commit(GROUP, &[("t", 0, 2)])));
    let now = ask_fetch(&mut driver, fetch(GROUP, &[("t", 0)]), false);
    let stable = ask_fetch(&mut driver, fetch(GROUP, &[("t", 0)]), true);
    assert_eq!(
        fetched(&mut driver, now).topics[0].partitions[0].committed_offset,
        1
    );
    assert!(driver.answers.is_empty());
    driver.commit();
    assert_eq!(
        fetched(&mut driver, stable).topics[0].partitions[0].committed_offset,
        2
    );
    assert!(driver.answer(write).is_some());
}

#[test]
fn success_that_overtakes_is_not_told_before_what_it_was_decided_upon() {
    for first_succeeds in [true, false] {
        let mut driver = Driver::new();
        driver.hold = true;
        let asked =
            [1, 2].map(|offset| driver.ask(Command::OffsetCommit(commit(GROUP, &[("t", 0, offset)]))));
        let [first, second] = [0, 1].map(|index| driver.written[index].id);
        let outcome = driver.coordinator.committed(second, driver.now);
        driver.take(outcome);
        assert!(driver.answers.is_empty());
        assert_eq!(all_offsets(&mut driver, GROUP), []);
        let outcome = if first_succeeds {
            driver.coordinator.committed(first, driver.now)
        } else {
            driver
                .coordinator
                .append_failed(first, NotEnoughReplicas, driver.now)
        };
        driver.take(outcome);
        for id in asked {
            let Some(Response::OffsetCommit(response)) = driver.answer(id) else {
                panic!("no answer")
            };
            let expected = if first_succeeds {
                ErrorCode::None
            } else {
                CoordinatorNotAvailable
            };
            assert_eq!(first_error(&response), expected);
        }
        let left = if first_succeeds {
            vec![("t".to_owned(), 0, 2)]
        } else {
            vec![]
        };
        assert_eq!(all_offsets(&mut driver, GROUP), left);
    }
}

#[test]
fn what_could_not_be_written_never_was() {
    let mut driver = Driver::new();
    assert_eq!(
        committed(&mut driver, commit(GROUP, &[("t", 0, 1)])),
        ErrorCode::None
    );
    driver.hold = true;
    let kept = driver.ask(Command::OffsetCommit(commit(GROUP, &[("t", 0, 2)])));
    let lost = [
        driver.ask(Command::OffsetCommit(commit(GROUP, &[("t", 0, 3), ("u", 0, 3)]))),
        driver.ask(Command::OffsetCommit(commit("new", &[("t", 0, 3)]))),
    ];
    let stable = ask_fetch(&mut driver, fetch("new", &[("t", 0)]), true);
    driver.fail(1, NotEnoughReplicas);
    for id in lost {
        let Some(Response::OffsetCommit(response)) = driver.answer(id) else {
            panic!("no answer")
        };
        for topic in &response.topics {
            assert_eq!(error(topic.partitions[0].error_code), CoordinatorNotAvailable);
        }
    }
    // Old consumers know NOT_COORDINATOR, not COORDINATOR_NOT_AVAILABLE.
    assert_eq!(error(fetched(&mut driver, stable).error_code), NotCoordinator);
    driver.commit();
    driver.hold = false;
    assert!(driver.answer(kept).is_some());
    assert_eq!(all_offsets(&mut driver, GROUP), [("t".to_owned(), 0, 2)]);
    assert_eq!(driver.state("new"), "Dead");
    assert_eq!(driver.coordinator.group_count(), 1);
}

#[test]
fn fetching_by_partition_by_group_and_by_topic_id() {
    let mut driver = Driver::new();
    committed(
        &mut driver,
        commit(GROUP, &[("t", 0, 1), ("t", 3, 4), ("u", 0, 7)]),
    );
    let id = ask_fetch(&mut driver, fetch(GROUP, &[("t", 3), ("t", 1), ("v", 0)]), false);
    let response = fetched(&mut driver, id);
    let found: Vec<_> = response
        .topics
        .iter()
        .map(|topic| &topic.partitions[0])
        .map(|found| {
            (
                found.committed_offset,
                found.committed_leader_epoch,
                found.metadata.as_deref(),
                found.error_code,
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (4, 5, Some("note"), 0),
            (-1, -1, Some(""), 0),
            (-1, -1, Some(""), 0)
        ]
    );
    assert_eq!(all_offsets(&mut driver, GROUP).len(), 3);
    assert_eq!(all_offsets(&mut driver, "other"), []);

    // A topic that was deleted and created again has another id: its offsets are others, too.
    for (asked, expected) in [(TOPIC_ID, 1), (Uuid::ZERO, 1), (Uuid::from_bytes([8; 16]), -1)] {
        let mut request = fetch(GROUP, &[("t", 0)]);
        request.topics.as_mut().expect("named")[0].topic_id = asked;
        let id = ask_fetch(&mut driver, request, false);
        let response = fetched(&mut driver, id);
        assert_eq!(
            response.topics[0].partitions[0].committed_offset, expected,
            "{asked}"
        );
        assert_eq!(response.topics[0].topic_id, asked);
    }
}

#[test]
fn every_version_of_fetch_has_the_same_groups() {
    use forebay_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
    let mut driver = Driver::new();
    committed(&mut driver, commit(GROUP, &[("t", 0, 1)]));
    for version in 1..=10 {
        let old = OffsetFetchRequest {
            group_id: GROUP.into(),
            topics: Some(vec![OffsetFetchRequestTopic {
                name: text("t"),
                partition_indexes: vec![0, 1],
                ..Default::default()
            }]),
            ..Default::default()
        };
        let new = OffsetFetchRequest {
            groups: vec![fetch(GROUP, &[("t", 0)]), fetch("b", &[])],
            ..Default::default()
        };
        let groups = offset_fetch_groups(if version < 8 { old } else { new }, version);
        let ids: Vec<RequestId> = groups
            .into_iter()
            .map(|group| ask_fetch(&mut driver, group, false))
            .collect();
        let answers = ids.into_iter().map(|id| fetched(&mut driver, id)).collect();
        let response = offset_fetch_response(answers, version);
        if version < 8 {
            let offsets: Vec<i64> = response.topics[0]
                .partitions
                .iter()
                .map(|partition| partition.committed_offset)
                .collect();
            assert_eq!(
                (offsets, response.groups.len()),
                (vec![1, -1], 0),
                "version {version}"
            );
        } else {
            assert_eq!(
                (response.groups.len(), response.topics.len()),
                (2, 0),
                "version {version}"
            );
            assert_eq!(response.groups[0].topics[0].partitions[0].committed_offset, 1);
        }
    }
}
