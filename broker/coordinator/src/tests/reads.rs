//! DescribeGroups, ListGroups and DeleteGroups: what is seen when, and by which filter.

use forebay_protocol::ErrorCode::{
    self, CoordinatorNotAvailable, GroupIdNotFound, NonEmptyGroup, NotEnoughReplicas,
};
use forebay_protocol::messages::ListGroupsRequest;
use forebay_protocol::messages::describe_groups_response::DescribedGroup;

use super::Driver;
use super::driver::{GROUP, error, join, text};
use super::offsets::{all_offsets, commit, committed};
use crate::{Command, Config, Response};

fn described(driver: &mut Driver, version: i16, group: &str) -> DescribedGroup {
    let id = driver.ask_as(version, "client", Command::DescribeGroups(vec![group.into()]));
    match driver.answer(id) {
        Some(Response::DescribeGroups(mut groups)) if groups.len() == 1 => groups.remove(0),
        other => panic!("{other:?}"),
    }
}

fn listed(driver: &mut Driver, states: &[&str], types: &[&str]) -> Vec<[String; 4]> {
    let words = |words: &[&str]| words.iter().map(|word| text(word)).collect();
    let request = ListGroupsRequest {
        states_filter: words(states),
        types_filter: words(types),
        ..Default::default()
    };
    let id = driver.ask(Command::ListGroups(request));
    let Some(Response::ListGroups(Ok(groups))) = driver.answer(id) else {
        panic!("no answer")
    };
    let fields = |group: forebay_protocol::messages::list_groups_response::ListedGroup| {
        [
            group.group_id,
            group.protocol_type,
            group.group_state,
            group.group_type,
        ]
        .map(Into::into)
    };
    groups.into_iter().map(fields).collect()
}

fn deleted(driver: &mut Driver, groups: &[&str]) -> Vec<(String, ErrorCode)> {
    let id = driver.ask(Command::DeleteGroups(
        groups.iter().map(|group| text(group)).collect(),
    ));
    let Some(Response::DeleteGroups(results)) = driver.answer(id) else {
        panic!("no answer")
    };
    results
        .into_iter()
        .map(|result| (result.group_id.into(), error(result.error_code)))
        .collect()
}

#[test]
fn a_group_that_is_not_there_is_dead_or_since_version_6_an_error() {
    let mut driver = Driver::new();
    for version in 0..=6 {
        let group = described(&mut driver, version, "nobody");
        assert_eq!((&*group.group_id, &*group.group_state), ("nobody", "Dead"));
        let expected = if version >= 6 {
            GroupIdNotFound
        } else {
            ErrorCode::None
        };
        assert_eq!(error(group.error_code), expected, "version {version}");
        let message = (version >= 6).then(|| text("Group nobody not found."));
        assert_eq!(group.error_message, message, "version {version}");
    }
}

#[test]
fn a_stable_group_shows_what_its_members_said_and_got() {
    let mut driver = Driver::new();
    let (ids, _) = driver.stable_group(2);
    let group = described(&mut driver, 6, GROUP);
    assert_eq!(
        (
            &*group.group_state,
            &*group.protocol_type,
            &*group.protocol_data,
            group.error_code
        ),
        ("Stable", "sr", "v0", 0)
    );
    assert_eq!(group.authorized_operations, i32::MIN);
    for member in &group.members {
        assert!(ids.iter().any(|id| *id == *member.member_id));
        assert_eq!(
            (&*member.client_id, &*member.client_host),
            ("client", "/127.0.0.1")
        );
        assert_eq!(&*member.member_metadata, b"metadata");
        assert_eq!(member.member_assignment, member.member_id.as_bytes());
    }
    driver.join(join(&ids[0]));
    let group = described(&mut driver, 6, GROUP);
    assert_eq!(
        (&*group.group_state, &*group.protocol_data),
        ("PreparingRebalance", "")
    );
    assert!(
        group
            .members
            .iter()
            .all(|member| member.member_metadata.is_empty())
    );
}

/// Filters by state and by type, and which groups pass them.
type Filters<'a> = (&'a [&'a str], &'a [&'a str], Vec<&'a [String; 4]>);

#[test]
fn groups_are_listed_by_state_and_type() {
    let mut driver = Driver::new();
    driver.stable_group(1);
    committed(&mut driver, commit("simple", &[("t", 0, 1)]));
    let stable = [GROUP, "sr", "Stable", "classic"].map(str::to_owned);
    let empty = ["simple", "", "Empty", "classic"].map(str::to_owned);
    let cases: [Filters; 9] = [
        (&[], &[], vec![&stable, &empty]),
        (&["Stable"], &[], vec![&stable]),
        (&[" stable ", "EMPTY"], &[], vec![&stable, &empty]),
        (&["PreparingRebalance"], &[], vec![]),
        (&["nonsense"], &[], vec![]),
        (&[], &["classic"], vec![&stable, &empty]),
        (&[], &["CLASSIC", "consumer"], vec![&stable, &empty]),
        (&[], &["consumer"], vec![]),
        (&["Empty"], &["classic"], vec![&empty]),
    ];
    for (states, types, expected) in cases {
        let listed = listed(&mut driver, states, types);
        assert_eq!(
            listed.iter().collect::<Vec<_>>(),
            expected,
            "{states:?} {types:?}"
        );
    }
}

#[test]
fn readers_see_what_is_committed() {
    let mut driver = Driver::new();
    committed(&mut driver, commit("old", &[("t", 0, 1)]));
    driver.hold = true;
    let create = driver.ask(Command::OffsetCommit(commit("new", &[("t", 0, 1)])));
    let delete = driver.ask(Command::DeleteGroups(vec![text("old")]));
    let create_again = driver.ask(Command::OffsetCommit(commit("old", &[("t", 0, 2)])));
    let names = |driver: &mut Driver| {
        listed(driver, &[], &[])
            .into_iter()
            .map(|[name, ..]| name)
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&mut driver), ["old"]);
    assert_eq!(
        (driver.state("new"), driver.state("old")),
        ("Dead".to_owned(), "Empty".to_owned())
    );
    assert_eq!(all_offsets(&mut driver, "old"), [("t".to_owned(), 0, 1)]);
    driver.commit_some(1);
    assert_eq!(names(&mut driver), ["new", "old"]);
    driver.commit_some(1);
    assert_eq!(names(&mut driver), ["new"]);
    assert_eq!(all_offsets(&mut driver, "old"), []);
    driver.commit();
    assert_eq!(names(&mut driver), ["new", "old"]);
    assert_eq!(all_offsets(&mut driver, "old"), [("t".to_owned(), 0, 2)]);
    for id in [create, delete, create_again] {
        assert!(driver.answer(id).is_some());
    }
}

#[test]
fn a_deletion_that_could_not_be_written_leaves_the_group_as_it_was() {
    let mut driver = Driver::new();
    let (_, generation) = driver.stable_group(1);
    driver.advance(super::driver::SESSION);
    let pending = driver.join(join(""));
    let pending = driver.joined(pending).member_id;
    driver.hold = true;
    let delete = driver.ask(Command::DeleteGroups(vec![GROUP.into()]));
    let create = driver.ask_as(3, "client", Command::JoinGroup(join(""), 7));
    driver.fail(0, NotEnoughReplicas);
    driver.hold = false;
    let Some(Response::DeleteGroups(results)) = driver.answer(delete) else {
        panic!("no answer")
    };
    assert_eq!(error(results[0].error_code), CoordinatorNotAvailable);
    let refused = driver.joined(create);
    assert_eq!(
        error(refused.error_code),
        CoordinatorNotAvailable,
        "the group that it had made new never was"
    );
    assert_eq!(driver.state(GROUP), "Empty");
    let id = driver.join(join(&pending));
    assert_eq!(
        error(driver.joined(id).error_code),
        ErrorCode::UnknownMemberId,
        "ids that were given out are forgotten"
    );
    let (_, id) = driver.join_with_id(|request| request);
    driver.advance(std::time::Duration::from_secs(3));
    assert_eq!(driver.joined(id).generation_id, generation + 2);
}

#[test]
fn groups_without_members_can_be_deleted_with_all_they_have() {
    let mut driver = Driver::new();
    driver.stable_group(1);
    committed(&mut driver, commit("simple", &[("t", 0, 1), ("u", 1, 1)]));
    let results = deleted(&mut driver, &[GROUP, "simple", "nobody", "simple"]);
    let expected = [
        (GROUP, NonEmptyGroup),
        ("simple", ErrorCode::None),
        ("nobody", GroupIdNotFound),
    ];
    assert_eq!(results, expected.map(|(group, error)| (group.to_owned(), error)));
    assert_eq!(
        driver.log[driver.log.len() - 3..]
            .iter()
            .filter(|record| record.value.is_none())
            .count(),
        3
    );
    driver.restart();
    assert_eq!(driver.state("simple"), "Dead");
    assert_eq!(all_offsets(&mut driver, "simple"), []);

    driver.join_with_id(|request| request);
    assert_eq!(driver.state(GROUP), "PreparingRebalance");
    assert_eq!(
        deleted(&mut driver, &[GROUP]),
        [(GROUP.to_owned(), NonEmptyGroup)]
    );
}

#[test]
fn a_group_with_more_offsets_than_a_batch_holds_can_be_deleted() {
    let mut driver = Driver::with(Config {
        append_bytes_max: 400,
        ..Config::default()
    });
    for partition in 0..20 {
        committed(&mut driver, commit(GROUP, &[("t", partition, 1)]));
    }
    assert_eq!(
        deleted(&mut driver, &[GROUP]),
        [(GROUP.to_owned(), ErrorCode::None)]
    );
    driver.restart();
    assert_eq!(driver.coordinator.group_count(), 0);
}
