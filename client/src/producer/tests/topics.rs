//! Which topics a producer knows, and which of them the broker creates for it.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_deleted_topic_comes_back_only_when_something_is_sent_to_it() {
    let model = Model::new(1);
    model.change(|state| state.auto_create = true);
    let producer = model.producer(&[("metadata.max.age.ms", "1000")]);
    for topic in ["t", "u"] {
        send(&producer, topic, 0, "a").await.await.expect("acknowledged");
    }
    model.delete_topic("t");
    let exists = |topic: &str| model.lock().topics.contains_key(topic);
    // Another topic is found, and what is known is refreshed by age.
    send(&producer, "v", 0, "a").await.await.expect("acknowledged");
    tokio::time::sleep(Duration::from_secs(2)).await;
    send(&producer, "u", 0, "b").await.await.expect("acknowledged");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!exists("t") && exists("v"));
    send(&producer, "t", 0, "b")
        .await
        .await
        .expect("the broker makes it again");
    assert_eq!(model.values("t", 0), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn topics_are_forgotten_when_nothing_is_sent_to_them() {
    let model = Model::new(1);
    for topic in ["t", "u"] {
        model.create_topic(topic, 1);
    }
    let producer = model.producer(&[("metadata.max.idle.ms", "10000"), ("max.block.ms", "300")]);
    let known = || {
        let snapshot = producer.shared.cluster.snapshot();
        let mut known: Vec<String> = snapshot.topics.keys().map(ToString::to_string).collect();
        known.sort_unstable();
        known
    };
    send(&producer, "t", 0, "first")
        .await
        .await
        .expect("acknowledged");
    for missing in ["no1", "no2"] {
        let record = ProducerRecord::new(missing, None, None);
        producer.send(record).await.expect_err("there is no such topic");
    }
    assert_eq!(known(), ["t"], "what nobody waits for is not looked for");
    for number in 0..20 {
        let value = number.to_string();
        send(&producer, "u", 0, &value).await.await.expect("acknowledged");
        tokio::time::sleep(Duration::from_secs(1)).await;
        if number < 9 {
            assert_eq!(known(), ["t", "u"], "{number}");
        }
    }
    assert_eq!(known(), ["u"]);
    assert!(producer.shared.accumulator.topic("t").is_none());
    send(&producer, "t", 0, "again")
        .await
        .await
        .expect("acknowledged");
    assert_eq!(model.values("t", 0), ["first", "again"]);
    assert_eq!(known(), ["t", "u"]);

    // What waits to be sent, or is at a broker, is not idle.
    model.faults(|_, request| match request {
        Request::Produce(_) => Fault::Refuse(ErrorCode::NotEnoughReplicas),
        _ => Fault::None,
    });
    let waiting = send(&producer, "t", 0, "patient").await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(known(), ["t"]);
    model.faults(|_, _| Fault::None);
    waiting.await.expect("acknowledged");
    assert_eq!(model.values("t", 0), ["first", "again", "patient"]);
}
