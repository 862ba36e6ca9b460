//! The offsets of a sink that are set anew while a task of before has a transaction open, with intents and an offset in it (SIGSTOP, a dead
//! network): it cannot end that any more, and what was set stays.

use std::time::Duration;

use forebay_client::admin::NewTopic;
use forebay_client::consumer::Subscription;
use forebay_client::producer::DeliveryFuture;
use forebay_client::{Client, ClientConfig, Consumer, Producer, ProducerRecord};
use forebay_config::Properties;
use forebay_connect_api::Offset;
use forebay_connect_testing::{Connect, Error};
use forebay_protocol::TopicPartition;
use serde_json::{Value, json};

const TOPIC: &str = "t";
const INTENTS: &str = "connect-offsets-intents";
const FIRST: i64 = 2;

/// A task of before.
struct Zombie {
    consumer: Consumer,
    producer: Producer,
}

fn properties<const N: usize>(pairs: [(&str, &str); N]) -> Properties {
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

impl Zombie {
    /// In the connector's group, and in the middle of a transaction.
    async fn start(client: &Client, connector: &str) -> Self {
        let group = format!("connect-{connector}");
        let keys = properties([("group.id", &group), ("enable.auto.commit", "false")]);
        let mut consumer = client.consumer(&keys).expect("sound");
        consumer
            .subscribe(Subscription::topics([TOPIC]))
            .expect("it has a group");
        while consumer.assignment().is_empty() {
            let polled = consumer.poll_batches(Duration::from_millis(100)).await;
            polled.expect("it joins");
        }
        let group = consumer.group_metadata().expect("it is in its group");
        let id = format!("connect-{connector}/{TOPIC}-0");
        let producer = client.producer(&properties([("transactional.id", &id)]));
        let producer = producer.expect("sound");
        producer.init_transactions().await.expect("begun");
        producer.begin_transaction().expect("begun");
        drop(intend(&producer, connector, "another object").await);
        let offsets = [(TopicPartition::new(TOPIC, 0), Offset(FIRST).into())].into();
        let sent = producer.send_offsets_to_transaction(&offsets, &group).await;
        sent.expect("it is a member");
        Self { consumer, producer }
    }

    /// The group is rid of it.
    async fn leave(self) -> Producer {
        self.consumer.close().await.expect("it leaves");
        self.producer
    }
}

fn intent(connector: &str, object: &str) -> String {
    json!([connector, TOPIC, 0, object]).to_string()
}

/// Says what a task would.
async fn intend(producer: &Producer, connector: &str, object: &str) -> DeliveryFuture {
    let key = intent(connector, object);
    let value = json!({"part": "all", "start": 0, "end": 1, "topic_id": null}).to_string();
    let record = ProducerRecord::new(INTENTS, Some(key.as_bytes()), Some(value.as_bytes()));
    producer.send(record).await.expect("sent")
}

async fn make_intents_topic(client: &Client) {
    let admin = client.admin(&Properties::new()).expect("sound");
    let topic = NewTopic::new(INTENTS)
        .partitions(5)
        .config("cleanup.policy", "compact");
    let made = admin.create_topics(&[topic], false).await.expect("made");
    assert!(made.into_values().all(|one| one.is_ok()));
}

#[test]
fn whoever_was_stopped_within_a_transaction_cannot_end_it_once_offsets_are_set_anew() {
    let connect = Connect::start(forebay_connectors_file::plugins()).expect("started");
    connect.produce(TOPIC, ["a", "b", "c"]).expect("produced");
    let client = ClientConfig::bootstrap(connect.bootstrap_servers()).expect("an address");
    let client = Client::new(client);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(make_intents_topic(&client));
    let patch = |offset: Value| {
        let partition = json!({"kafka_topic": TOPIC, "kafka_partition": 0});
        json!({"offsets": [{"partition": partition, "offset": offset}]})
    };
    let at = |offset: i64| json!({ "kafka_offset": offset });
    let producer = runtime.block_on(async { client.producer(&Properties::new()) });
    let producer = producer.expect("sound");
    for (number, (name, request, left)) in [
        ("set", Some(patch(at(1))), Some(at(1))),
        ("forgotten", Some(patch(Value::Null)), None),
        ("reset", None, None),
    ]
    .into_iter()
    .enumerate()
    {
        let path = connect.directory().join(name).display().to_string();
        let config = [
            ("connector.class", "FileStreamSink"),
            ("topics", TOPIC),
            ("file", &path),
        ];
        connect.run(name, &config).expect("it runs");
        connect
            .put(&format!("/connectors/{name}/stop"), &Value::Null)
            .expect("it stops");
        let change = || match &request {
            Some(body) => connect.set_offsets(name, body),
            None => connect.reset_offsets(name),
        };
        let described = || change().map_err(|error| error.to_string());
        connect
            .wait_until("its offsets can be reset", || {
                Ok(connect.reset_offsets(name).is_ok())
            })
            .expect("it has stopped");
        runtime
            .block_on(async { intend(&producer, name, "object").await.await })
            .expect("said");
        let zombie = runtime.block_on(Zombie::start(&client, name));
        let refused = change().expect_err("somebody is in the group");
        assert!(
            matches!(&refused, Error::Refused { status: 500, message, .. }
                if message.contains("haven't stopped completely yet")),
            "{refused}"
        );
        let producer = runtime.block_on(zombie.leave());
        described().expect("nobody is in the group any more");
        let ended = runtime.block_on(producer.commit_transaction());
        assert!(ended.is_err(), "{name}: what it has begun is committed");
        let offsets = connect.get(&format!("/connectors/{name}/offsets"));
        let offsets = offsets.expect("told")["offsets"].clone();
        let left: Vec<Value> = left
            .iter()
            .map(|left| patch(left.clone())["offsets"][0].clone())
            .collect();
        assert_eq!(offsets, Value::Array(left), "{name}");
        // What was said before is forgotten, and nothing else has come.
        let said = connect.records(INTENTS, 2 * (number + 1)).expect("two for each");
        let of_object = said
            .iter()
            .filter(|one| one.record.key.as_deref() == Some(intent(name, "object").as_bytes()));
        let is_forgotten: Vec<bool> = of_object.map(|one| one.record.value.is_none()).collect();
        assert_eq!(is_forgotten, [false, true], "{name}");
    }
}
