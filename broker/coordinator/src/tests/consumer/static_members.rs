//! Static members (KIP-345, 848): they leave for a while and come back to what they had; their id fences.

use std::time::Duration;

use forebay_protocol::ErrorCode;
use forebay_protocol::messages::ConsumerGroupHeartbeatRequest;

use super::client::Client;
use crate::tests::driver::{Driver, GROUP};

fn with_static_member() -> (Driver, Client) {
    let mut driver = Driver::new();
    driver.cluster.topic("events", 2);
    let mut client = Client::new("m1", &["events"]).with_instance("i");
    client.join(&mut driver);
    (driver, client)
}

fn leave_for_a_while(driver: &mut Driver, client: &Client) {
    let response = driver.consumer_heartbeat(ConsumerGroupHeartbeatRequest {
        member_epoch: -2,
        ..client.short()
    });
    assert_eq!((response.error_code, response.member_epoch), (0, -2));
}

#[test]
fn a_static_member_that_left_for_a_while_comes_back_to_its_partitions() {
    let (mut driver, client) = with_static_member();
    let mut other = Client::new("m2", &["events"]);
    leave_for_a_while(&mut driver, &client);
    let epochs = driver.epochs();
    assert_eq!((epochs.1, epochs.2), (2, 2), "no rebalance");
    driver.advance(Duration::from_secs(30));
    assert_eq!(driver.consumer_group(GROUP).members.len(), 1);

    let mut successor = Client {
        id: "m9".into(),
        ..client.clone()
    };
    successor.join(&mut driver);
    assert_eq!(successor.epoch, 2, "nothing has changed");
    assert_eq!(successor.owned, client.owned);
    assert_eq!(driver.epochs(), ("Stable".into(), 2, 2));
    driver.coordinator.assert_consistent(true);

    let fenced = driver.refused_heartbeat(client.short());
    let message = "Static member m1 with instance id i was fenced by member m9.";
    assert_eq!(fenced, (ErrorCode::FencedInstanceId, message.into()));
    let leave = ConsumerGroupHeartbeatRequest {
        member_epoch: -1,
        ..client.short()
    };
    assert_eq!(driver.refused_heartbeat(leave).0, ErrorCode::FencedInstanceId);

    driver.advance(Duration::from_secs(2));
    other.join(&mut driver);
    driver.settle(&mut [&mut successor, &mut other]);
    assert_eq!((successor.owned.len(), other.owned.len()), (1, 1));
}

#[test]
fn one_that_does_not_come_back_is_out_when_its_session_is_over() {
    let (mut driver, client) = with_static_member();
    leave_for_a_while(&mut driver, &client);
    driver.advance(driver.config.consumer.session_timeout - Duration::from_millis(1));
    assert_eq!(driver.consumer_group(GROUP).members.len(), 1);
    driver.advance(Duration::from_millis(1));
    assert_eq!(driver.epochs().0, "Empty");
    driver.coordinator.assert_consistent(true);
}

#[test]
fn nobody_takes_the_place_of_a_static_member_that_is_there() {
    let (mut driver, client) = with_static_member();
    let successor = Client {
        id: "m9".into(),
        ..client.clone()
    };
    let message = "Static member m9 with instance id i cannot join the group because the instance id is owned by m1 member.";
    let mut full = successor.full();
    full.member_epoch = 0;
    full.topic_partitions = Some(Vec::new());
    assert_eq!(
        driver.refused_heartbeat(full),
        (ErrorCode::UnreleasedInstanceId, message.into())
    );

    let mut gone = client.clone();
    gone.leave(&mut driver);
    assert_eq!(driver.epochs().0, "Empty");
    let unknown = (ErrorCode::UnknownMemberId, "Instance id i is unknown.".to_owned());
    assert_eq!(driver.refused_heartbeat(client.short()), unknown);
    let leave = ConsumerGroupHeartbeatRequest {
        member_epoch: -2,
        ..client.short()
    };
    assert_eq!(driver.refused_heartbeat(leave), unknown);
}
