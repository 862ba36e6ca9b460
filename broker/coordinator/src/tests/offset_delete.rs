//! OffsetDelete, and offsets of topics that are deleted.

use std::time::Duration;

use forebay_protocol::ErrorCode::{
    self, GroupIdNotFound, GroupSubscribedToTopic, InvalidGroupId, NonEmptyGroup,
};
use forebay_protocol::Uuid;
use forebay_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use forebay_protocol::messages::{OffsetCommitRequest, OffsetDeleteRequest, OffsetDeleteResponse};

use super::Driver;
use super::driver::{GROUP, consuming, error, sync, text};
use super::offsets::{TOPIC_ID, all_offsets, commit, committed};
use crate::{Command, Config, Response};

fn delete(group: &str, partitions: &[(&str, i32)]) -> OffsetDeleteRequest {
    let topics = partitions
        .iter()
        .map(|(topic, partition_index)| OffsetDeleteRequestTopic {
            name: (*topic).into(),
            partitions: vec![OffsetDeleteRequestPartition {
                partition_index: *partition_index,
            }],
        });
    OffsetDeleteRequest {
        group_id: group.into(),
        topics: topics.collect(),
    }
}

fn deleted(driver: &mut Driver, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let id = driver.ask(Command::OffsetDelete(request));
    match driver.answer(id) {
        Some(Response::OffsetDelete(response)) => response,
        other => panic!("{other:?}"),
    }
}

#[test]
fn offsets_are_deleted_unless_a_member_consumes_the_topic() {
    let mut driver = Driver::new();
    for (group, expected) in [("", InvalidGroupId), ("other", GroupIdNotFound)] {
        let response = deleted(&mut driver, delete(group, &[("t", 0)]));
        assert_eq!((error(response.error_code), response.topics.len()), (expected, 0));
    }
    committed(
        &mut driver,
        commit(GROUP, &[("t", 0, 1), ("u", 0, 1), ("u", 1, 1)]),
    );
    let (member, id) = driver.join_with_id(|request| consuming(request, &["t"]));
    driver.advance(Duration::from_secs(3));
    driver.joined(id);
    let request = forebay_protocol::messages::SyncGroupRequest {
        protocol_type: Some(text("consumer")),
        protocol_name: Some(text("range")),
        ..sync(&member, 1, &[])
    };
    driver.ask(Command::SyncGroup(request));
    assert_eq!(driver.state(GROUP), "Stable");

    let response = deleted(&mut driver, delete(GROUP, &[("t", 0), ("u", 0), ("u", 9)]));
    let errors: Vec<ErrorCode> = response
        .topics
        .iter()
        .map(|topic| error(topic.partitions[0].error_code))
        .collect();
    assert_eq!(errors, [GroupSubscribedToTopic, ErrorCode::None, ErrorCode::None]);
    let left = vec![("t".to_owned(), 0, 1), ("u".to_owned(), 1, 1)];
    assert_eq!(all_offsets(&mut driver, GROUP), left);
    driver.restart();
    assert_eq!(all_offsets(&mut driver, GROUP), left);
    let response = deleted(&mut driver, delete(GROUP, &[("t", 0)]));
    assert_eq!(
        error(response.topics[0].partitions[0].error_code),
        GroupSubscribedToTopic,
        "after a restart too"
    );
}

#[test]
fn of_groups_that_are_no_consumers_offsets_are_deleted_only_without_members() {
    let mut driver = Driver::new();
    let (ids, generation) = driver.stable_group(1);
    let request = OffsetCommitRequest {
        generation_id_or_member_epoch: generation,
        member_id: ids[0].as_str().into(),
        ..commit(GROUP, &[("t", 0, 1)])
    };
    assert_eq!(committed(&mut driver, request), ErrorCode::None);
    assert_eq!(
        error(deleted(&mut driver, delete(GROUP, &[("t", 0)])).error_code),
        NonEmptyGroup
    );
    driver.advance(super::driver::SESSION);
    assert_eq!(deleted(&mut driver, delete(GROUP, &[("t", 0)])).error_code, 0);
    assert_eq!(all_offsets(&mut driver, GROUP), []);
}

#[test]
fn consumers_whose_metadata_nobody_can_read_keep_all_their_offsets() {
    let mut driver = Driver::new();
    committed(&mut driver, commit(GROUP, &[("t", 0, 1)]));
    driver.join_with_id(|mut request| {
        request.protocol_type = text("consumer");
        request
    });
    driver.advance(Duration::from_secs(3));
    let response = deleted(&mut driver, delete(GROUP, &[("t", 0)]));
    assert_eq!(
        error(response.topics[0].partitions[0].error_code),
        GroupSubscribedToTopic
    );
}

#[test]
fn when_a_topic_is_deleted_its_offsets_go_in_every_group() {
    // So small a batch that the tombstones need several.
    let mut driver = Driver::with(Config {
        append_bytes_max: 300,
        ..Config::default()
    });
    for group in ["a", "b"] {
        for partition in 0..5 {
            committed(
                &mut driver,
                commit(group, &[("t", partition, 1), ("u", partition, 1)]),
            );
        }
    }
    let mut of_another_id = commit("a", &[("t", 9, 1)]);
    of_another_id.topics[0].topic_id = Uuid::from_bytes([8; 16]);
    let mut of_no_id = commit("a", &[("t", 10, 1)]);
    of_no_id.topics[0].topic_id = Uuid::ZERO;
    for request in [of_another_id, of_no_id] {
        assert_eq!(committed(&mut driver, request), ErrorCode::None);
    }
    driver.hold = true;
    let id = driver.ask(Command::TopicsDeleted(vec![
        (text("t"), TOPIC_ID),
        (text("other"), TOPIC_ID),
    ]));
    assert!(driver.written.len() > 1, "{} appends", driver.written.len());
    driver.commit_some(1);
    assert_eq!(driver.answer(id), None);
    driver.commit();
    assert_eq!(driver.answer(id), Some(Response::TopicsDeleted(Ok(()))));
    driver.hold = false;
    let kept: Vec<(String, i32)> = all_offsets(&mut driver, "a")
        .into_iter()
        .map(|(topic, partition, _)| (topic, partition))
        .collect();
    let mut expected = vec![("t".to_owned(), 9)];
    expected.extend((0..5).map(|partition| ("u".to_owned(), partition)));
    assert_eq!(kept, expected);
    assert_eq!(all_offsets(&mut driver, "b").len(), 5);
    let id = driver.ask(Command::TopicsDeleted(vec![]));
    assert_eq!(driver.answer(id), Some(Response::TopicsDeleted(Ok(()))));
}
