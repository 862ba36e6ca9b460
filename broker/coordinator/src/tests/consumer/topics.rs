//! Topics come, grow and go; at the next heartbeat of a member the group knows.

use std::time::Duration;

use super::client::Client;
use crate::tests::driver::Driver;

#[test]
fn topics_that_are_created_grow_or_go_change_the_target() {
    let mut driver = Driver::new();
    let mut client = Client::new("m1", &["events", "later"]);
    client.join(&mut driver);
    assert_eq!(
        (client.epoch, client.owned.len()),
        (2, 0),
        "there is nothing to consume yet"
    );
    let steps: [(&str, Option<i32>, usize); 5] = [
        ("events", Some(2), 2),
        ("events", Some(5), 5),
        ("other", Some(3), 5),
        ("later", Some(1), 6),
        ("events", None, 1),
    ];
    let mut epoch = client.epoch;
    for (topic, partitions, owned) in steps {
        match partitions {
            Some(partitions) => {
                driver.cluster.topic(topic, partitions);
            }
            None => driver.cluster.delete(topic),
        }
        driver.advance(Duration::from_secs(5));
        client.beat(&mut driver).beat(&mut driver);
        assert_eq!(client.owned.len(), owned, "{topic} {partitions:?}");
        epoch += i32::from(topic != "other");
        assert_eq!(client.epoch, epoch, "{topic} {partitions:?}");
        driver.coordinator.assert_consistent(true);
    }
}

#[test]
fn a_topic_that_was_made_anew_is_another_one() {
    let mut driver = Driver::new();
    let before = driver.cluster.topic("events", 1);
    let mut client = Client::new("m1", &["events"]);
    client.join(&mut driver);
    driver.cluster.delete("events");
    let after = driver.cluster.topic("events", 1);
    assert_ne!(before, after);
    driver.advance(Duration::from_secs(5));
    client.beat(&mut driver).beat(&mut driver);
    assert_eq!(client.owned, [(after, 0)].into());
}

#[test]
fn another_coordinator_needs_no_rebalance_to_know_the_topics() {
    let mut driver = Driver::new();
    driver.cluster.topic("events", 3);
    let mut client = Client::new("m1", &["events"]);
    client.join(&mut driver);
    driver.restart();
    client.beat(&mut driver);
    assert_eq!(driver.epochs(), ("Stable".into(), 2, 2));
    driver.cluster.topic("events", 4);
    driver.restart();
    driver.advance(Duration::from_secs(5));
    client.beat(&mut driver);
    assert_eq!(client.owned.len(), 4, "what has changed meanwhile it sees");
}
