//! Offsets of sinks that are set anew, and what their tasks had begun: it is forgotten, but only if the offsets really change.

use forebay_client::Consumer;
use forebay_client::consumer::Subscription;
use forebay_connect_api::{Intent, Offset, TopicPartition};
use forebay_protocol::{ApiKey, TopicPartition as ClientTopicPartition};
use serde_json::json;

use super::*;
use crate::herder::offsets::{ConnectorOffset, ConnectorOffsets};
use crate::store::config::TargetState;
use crate::store::intent;

const INTENTS: &str = "connect-offsets-intents";

/// A cluster, its worker, and a sink that is stopped.
struct Stopped {
    model: Arc<Model>,
    client: Client,
    herder: Arc<Herder>,
}

impl Stopped {
    async fn start() -> Self {
        let model = Model::new(1);
        model.create_topic("t", 2);
        model.create_topic(INTENTS, 5);
        let client = model.client(&[]);
        let idle = || Idle {
            tasks: 1,
            task: idle_sink,
        };
        let sink = Plugin::sink("org.example.IdleSinkConnector", "1", idle);
        let herder = worker_with(&client, &[], [sink]).await;
        let config = [
            ("connector.class", "IdleSink"),
            ("topics", "t"),
            ("tasks.max", "1"),
        ];
        let config = config.map(|(key, value)| (key.to_owned(), Some(value.to_owned())));
        let created = herder.put_connector("s", config.into(), Some(TargetState::Stopped), false);
        created.await.expect("it is sound");
        until(&herder, "it is there", |state| state.get("s").is_some()).await;
        Self {
            model,
            client,
            herder,
        }
    }

    /// A task of before has said what it makes of each partition.
    async fn intend(&self) {
        let producer = self
            .client
            .producer(&Properties::new())
            .expect("no property is wrong");
        for number in 0..2 {
            let intent = Intent {
                object: format!("object of {number}").into(),
                part: "all".into(),
                start: Offset(0),
                end: Offset(9),
            };
            let key = intent::key("s", &TopicPartition::new("t", number), &intent.object);
            let value = intent::value(&intent, None);
            let record = ProducerRecord::new(INTENTS, Some(&key), Some(&value));
            let delivery = producer.send(record).await.expect("there is room");
            delivery.await.expect("the model takes it");
        }
    }

    /// How many intents each partition has.
    async fn outstanding(&self) -> [usize; 2] {
        let intents = &self.herder.context.intents;
        intents.refresh(&self.client).await.expect("read");
        [0, 1].map(|number| intents.of("s", &TopicPartition::new("t", number)).len())
    }

    /// A task that goes on, though the connector is stopped.
    async fn zombie(&self) -> Consumer {
        let properties = [("group.id", "connect-s"), ("enable.auto.commit", "false")];
        let properties = properties
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        let mut zombie = self.client.consumer(&properties).expect("sound");
        zombie
            .subscribe(Subscription::topics(["t"]))
            .expect("it has a group");
        while zombie.assignment().is_empty() {
            let polled = zombie.poll_batches(Duration::from_millis(100)).await;
            polled.expect("it joins");
        }
        zombie
    }

    /// Such a task's.
    async fn producer(&self, transactional_id: &str) -> Producer {
        let keys = [("transactional.id".to_owned(), transactional_id.to_owned())].into();
        let producer = self.client.producer(&keys).expect("sound");
        producer.init_transactions().await.expect("begun");
        producer
    }

    async fn alter(&self) -> Result<String, Error> {
        let one = ConnectorOffset {
            partition: Some(json!({ "kafka_topic": "t", "kafka_partition": 0 })),
            offset: Some(json!({ "kafka_offset": 0 })),
        };
        self.herder
            .alter_offsets("s", ConnectorOffsets { offsets: vec![one] })
            .await
    }
}

#[tokio::test]
async fn what_was_begun_is_forgotten_where_offsets_are_set_anew_and_only_there() {
    let stopped = Stopped::start().await;
    stopped.intend().await;
    assert_eq!(stopped.outstanding().await, [1, 1]);
    let zombie = stopped.zombie().await;
    let _producer = stopped.producer("connect-s/t-0").await;
    let fenced = || stopped.model.count(ApiKey::InitProducerId);
    let before = fenced();
    let refused = stopped.alter().await.expect_err("somebody is in the group");
    assert!(
        refused.to_string().contains("haven't stopped completely yet"),
        "{refused}"
    );
    assert_eq!(fenced(), before, "nothing is taken from a task that may go on");
    assert_eq!(
        stopped.outstanding().await,
        [1, 1],
        "its next task has to finish it"
    );
    zombie.close().await.expect("it leaves");
    stopped.alter().await.expect("nobody is there any more");
    assert_eq!(
        stopped.outstanding().await,
        [0, 1],
        "of the partition that was named"
    );
    assert_eq!(stopped.model.committed("connect-s", "t", 0), Some(0));
    stopped.herder.stop().await;
}

/// SIGSTOP, or a dead network, between a task's offset commit and the end of its transaction.
#[tokio::test]
async fn a_task_that_was_stopped_within_a_transaction_cannot_end_it_once_offsets_are_set_anew() {
    let stopped = Stopped::start().await;
    let zombie = stopped.zombie().await;
    let group = zombie.group_metadata().expect("it is in its group");
    let mut producers = Vec::new();
    for (id, number) in [("connect-s/t-0", 0), ("connect-s/t-1", 1), ("connect-s/u/t-0", 0)] {
        let producer = stopped.producer(id).await;
        producer.begin_transaction().expect("begun");
        let key = intent::key("s", &TopicPartition::new("t", number), id);
        let record = ProducerRecord::new("t", Some(&key), None);
        drop(producer.send(record).await.expect("sent"));
        let offsets = [(ClientTopicPartition::new("t", number), Offset(7).into())].into();
        let sent = producer.send_offsets_to_transaction(&offsets, &group).await;
        sent.expect("it is a member");
        producers.push(producer);
    }
    stopped.model.expire_members("connect-s");
    stopped.alter().await.expect("nobody is in the group any more");
    assert_eq!(stopped.model.committed("connect-s", "t", 0), Some(0));
    let mut ends = Vec::new();
    for producer in &producers {
        ends.push(producer.commit_transaction().await.is_ok());
    }
    assert_eq!(
        ends,
        [false, true, true],
        "of the partition that was named, and of this connector"
    );
    assert_eq!(stopped.model.committed("connect-s", "t", 1), Some(7));
    stopped.herder.stop().await;
}

/// Each of these says that something is not as it must be: then nothing is changed, or nothing is forgotten.
#[tokio::test]
async fn offsets_are_not_set_anew_where_something_fails_before() {
    let stopped = Stopped::start().await;
    stopped.intend().await;
    assert_eq!(stopped.outstanding().await, [1, 1]);
    let _producer = stopped.producer("connect-s/t-0").await;
    for (api, code, told) in [
        (
            ApiKey::InitProducerId,
            ErrorCode::TransactionalIdAuthorizationFailed,
            "Failed to fence out sink tasks",
        ),
        // Somebody has come into the group since.
        (
            ApiKey::OffsetCommit,
            ErrorCode::UnknownMemberId,
            "haven't stopped completely yet",
        ),
    ] {
        stopped.model.faults(move |_, request| match request.api_key() {
            asked if asked == api => Fault::Refuse(code),
            _ => Fault::None,
        });
        let refused = stopped.alter().await.expect_err("it fails");
        stopped.model.faults(|_, _| Fault::None);
        assert!(refused.to_string().contains(told), "{refused}");
        assert_eq!(stopped.model.committed("connect-s", "t", 0), None);
        assert_eq!(stopped.outstanding().await, [1, 1], "{refused}");
    }
    stopped.herder.stop().await;
}

/// Nothing to fence is no reason to refuse, nor is a cluster that cannot tell.
#[tokio::test]
async fn a_cluster_that_cannot_list_transactions_still_takes_offsets() {
    let stopped = Stopped::start().await;
    stopped.model.remove_api(ApiKey::ListTransactions);
    stopped.alter().await.expect("taken");
    assert_eq!(stopped.model.committed("connect-s", "t", 0), Some(0));
    stopped.herder.stop().await;
}
