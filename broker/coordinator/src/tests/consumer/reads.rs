//! What readers are told of groups of both protocols.

use forebay_protocol::ErrorCode;
use forebay_protocol::messages::ListGroupsRequest;

use super::client::Client;
use crate::tests::driver::{Driver, GROUP, error, join};
use crate::{Command, Response};

fn list(driver: &mut Driver, states: &[&str], types: &[&str]) -> Vec<(String, String, String, String)> {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).into()).collect();
    let request = ListGroupsRequest {
        states_filter: texts(states),
        types_filter: texts(types),
        ..Default::default()
    };
    let asked = driver.ask(Command::ListGroups(request));
    let Some(Response::ListGroups(Ok(groups))) = driver.answer(asked) else {
        panic!("no answer")
    };
    let told = groups.into_iter().map(|group| {
        let told = [
            group.group_id,
            group.group_type,
            group.protocol_type,
            group.group_state,
        ];
        let [id, kind, protocol, state] = told.map(|text| text.to_string());
        (id, kind, protocol, state)
    });
    told.collect()
}

#[test]
fn groups_of_both_protocols_are_listed_by_type_and_state_and_described_by_their_own_api() {
    let mut driver = Driver::new();
    Client::new("m1", &["events"]).join(&mut driver);
    let other = forebay_protocol::messages::JoinGroupRequest {
        group_id: "classic".into(),
        ..join("")
    };
    driver.join_as(3, other);
    let row = |id: &str, kind: &str, protocol: &str, state: &str| {
        (
            id.to_owned(),
            kind.to_owned(),
            protocol.to_owned(),
            state.to_owned(),
        )
    };
    let classic = row("classic", "classic", "sr", "PreparingRebalance");
    let consumer = row(GROUP, "consumer", "consumer", "Stable");
    assert_eq!(list(&mut driver, &[], &[]), [classic.clone(), consumer.clone()]);
    assert_eq!(
        list(&mut driver, &[], &["Consumer"]),
        std::slice::from_ref(&consumer)
    );
    assert_eq!(
        list(&mut driver, &["stable"], &["consumer", "classic"]),
        [consumer]
    );
    assert_eq!(list(&mut driver, &["PreparingRebalance"], &[]), [classic]);
    assert_eq!(list(&mut driver, &["Assigning", "Reconciling"], &[]), []);
    assert_eq!(list(&mut driver, &[], &["share"]), []);

    let asked = driver.ask(Command::DescribeGroups(vec![GROUP.into()]));
    let Some(Response::DescribeGroups(groups)) = driver.answer(asked) else {
        panic!("no answer")
    };
    assert_eq!(error(groups[0].error_code), ErrorCode::GroupIdNotFound);
    assert_eq!(
        groups[0].error_message.as_deref(),
        Some("Group group is not a classic group.")
    );
    assert_eq!(&*groups[0].group_state, "Dead");
    let nameless = driver.consumer_group("");
    assert_eq!(
        (error(nameless.error_code), nameless.error_message),
        (ErrorCode::InvalidGroupId, None)
    );
    for (group, message) in [
        ("classic", "Group classic is not a consumer group."),
        ("x", "Group x not found."),
    ] {
        let described = driver.consumer_group(group);
        assert_eq!(error(described.error_code), ErrorCode::GroupIdNotFound);
        assert_eq!(described.error_message.as_deref(), Some(message));
    }
}

#[test]
fn a_member_is_shown_with_what_it_has_said_has_and_is_to_have() {
    let mut driver = Driver::new();
    let topic = driver.cluster.topic("events", 2);
    let mut first = Client {
        assignor: Some("range".into()),
        ..Client::new("m1", &["events"]).with_instance("i")
    };
    first.join(&mut driver);
    driver.advance(std::time::Duration::from_secs(2));
    Client::new("m2", &["events"]).join(&mut driver);
    // It is told to let go of one, and has not.
    first.hear(&driver.consumer_heartbeat(first.short()));
    let group = driver.consumer_group(GROUP);
    assert_eq!(
        (&*group.assignor_name, group.group_epoch, group.assignment_epoch),
        ("range", 3, 3)
    );
    let shown = |member: usize| {
        let partitions =
            |assignment: &forebay_protocol::messages::consumer_group_describe_response::Assignment| {
                let topics = assignment.topic_partitions.iter();
                topics
                    .flat_map(|one| {
                        one.partitions
                            .iter()
                            .map(|partition| (one.topic_id, one.topic_name.to_string(), *partition))
                    })
                    .collect::<Vec<_>>()
            };
        let member = &group.members[member];
        (
            partitions(&member.assignment).len(),
            partitions(&member.target_assignment),
        )
    };
    assert_eq!(
        shown(0),
        (2, vec![(topic, "events".into(), 0)]),
        "what it has yet to let go of is still its own"
    );
    assert_eq!(shown(1), (0, vec![(topic, "events".into(), 1)]));
    let member = &group.members[0];
    assert_eq!(member.instance_id.as_deref(), Some("i"));
    assert_eq!(
        (&*member.client_id, &*member.client_host, member.member_epoch),
        ("client", "/127.0.0.1", 2)
    );
    assert_eq!(member.member_type, 1);

    driver.cluster.delete("events");
    let group = driver.consumer_group(GROUP);
    assert!(
        group.members[0].assignment.topic_partitions.is_empty(),
        "there is no name to tell it by"
    );
}

#[test]
fn only_groups_without_members_can_be_deleted() {
    let mut driver = Driver::new();
    let mut client = Client::new("m1", &["events"]);
    client.join(&mut driver);
    let delete = |driver: &mut Driver| {
        let asked = driver.ask(Command::DeleteGroups(vec![GROUP.into()]));
        let Some(Response::DeleteGroups(results)) = driver.answer(asked) else {
            panic!("no answer")
        };
        error(results[0].error_code)
    };
    assert_eq!(delete(&mut driver), ErrorCode::NonEmptyGroup);
    client.leave(&mut driver);
    driver.hold = true;
    let asked = driver.ask(Command::DeleteGroups(vec![GROUP.into()]));
    assert_eq!(
        driver.consumer_group(GROUP).error_code,
        0,
        "readers see it until that is committed"
    );
    driver.fail(0, ErrorCode::NotEnoughReplicas);
    driver.hold = false;
    let Some(Response::DeleteGroups(results)) = driver.answer(asked) else {
        panic!("no answer")
    };
    assert_eq!(error(results[0].error_code), ErrorCode::CoordinatorNotAvailable);
    driver.coordinator.assert_consistent(true);
    assert_eq!(delete(&mut driver), ErrorCode::None);
    assert_eq!(delete(&mut driver), ErrorCode::GroupIdNotFound);
    driver.restart();
    assert_eq!(driver.coordinator.group_count(), 0, "nothing of it is left");
}
