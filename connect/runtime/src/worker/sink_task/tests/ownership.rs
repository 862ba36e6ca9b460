//! What a task may say of a partition, and when: what it intends, without the runner around it, over the client's model cluster.

use std::sync::atomic::{AtomicBool, Ordering};

use forebay_client::consumer::GroupMetadata;
use forebay_client::model::Fault;
use forebay_connect_api::{AssignedPartition, Intent, Intents, Offset, Offsets, ResultRecord};
use forebay_protocol::TopicPartition as ClientTopicPartition;
use forebay_records::{Headers, Record};

use super::super::partitions::for_client;
use super::super::reporter::Report;
use super::*;
use crate::worker::stage::Stage;

/// A member of the connector's group, what it may say, and what it tells beside that.
struct Speaker {
    model: Arc<Model>,
    consumer: Consumer,
    reporter: Arc<Reporter>,
    results: Arc<Results>,
    intents: Arc<TaskIntents>,
}

impl Speaker {
    async fn new(model: &Arc<Model>, connector: &str) -> Self {
        let properties = [
            ("name", connector),
            ("connector.class", "Speaker"),
            ("topics", "t"),
            ("errors.tolerance", "all"),
            ("errors.deadletterqueue.topic.name", "dead"),
        ];
        let properties: Properties = properties
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        let config = ConnectorConfig::new(PluginType::Sink, Arc::new(properties)).expect("sound");
        let id = TaskId {
            connector: connector.into(),
            task: 0,
        };
        let context = context(model);
        let mut consumer = clients::sink_consumer(&context, &config, &id).expect("sound");
        consumer
            .subscribe(Subscription::topics(["t"]))
            .expect("it has a group");
        while consumer.assignment().is_empty() {
            consumer.poll_batches(POLL_MAX).await.expect("it joins");
        }
        let converters = Converters::new(&context.config, &config).expect("sound");
        let progress = Arc::new(Progress::new(&context, &id));
        let reporter = Reporter::new(
            &context,
            &config,
            Arc::clone(&progress),
            "Task".to_owned(),
            converters,
        );
        let reporter = Arc::new(reporter.await.expect("the model makes topics"));
        let results = Arc::new(Results::new(Arc::clone(&context), config.clone(), progress));
        let told = (Some(Arc::clone(&reporter)), Arc::clone(&results));
        let intents = TaskIntents::new(&context, &config, &id, told).expect("the worker has a topic");
        Self {
            model: Arc::clone(model),
            consumer,
            reporter,
            results,
            intents,
        }
    }

    /// Of a topic with two partitions.
    async fn start() -> Self {
        let model = Model::new(1);
        model.create_topic("t", 2);
        Self::new(&model, "c").await
    }

    fn join(&self) {
        self.intents.set_group(self.consumer.group_metadata());
    }

    async fn fence(&self, number: i32) {
        let fenced = self.intents.fence(&[client(number)]).await;
        fenced.expect("the model has transactions");
    }

    /// Opens a partition, of a topic of this id.
    async fn open(&self, number: i32, topic_id: Option<&str>) -> Vec<Intent> {
        self.fence(number).await;
        self.join();
        let assigned = AssignedPartition {
            topic_partition: partition(number),
            topic_id: topic_id.map(Into::into),
            committed: None,
            position: Offset(0),
            log_start_offset: Offset(0),
            log_end_offset: Offset(100),
        };
        self.intents.read(&[assigned]).await.expect("read");
        self.intents.outstanding(&partition(number))
    }

    async fn intend(&self, number: i32, safe: i64) -> Result<(), Error> {
        let intents = [intent(safe)];
        self.intents
            .intend(&partition(number), &intents, Offset(safe))
            .await
    }

    fn committed(&self) -> Option<i64> {
        self.model.committed(GROUP, "t", 0)
    }
}

fn client(number: i32) -> ClientTopicPartition {
    for_client(&partition(number))
}

fn intent(start: i64) -> Intent {
    Intent {
        object: format!("object {start}").into(),
        part: "all".into(),
        start: Offset(start),
        end: Offset(start + 4),
    }
}

/// Whether a change was refused, without anything having been asked of the cluster.
async fn is_refused_at_once(one: &Speaker, what: &str) {
    let requests = |one: &Speaker| {
        [
            ApiKey::InitProducerId,
            ApiKey::AddPartitionsToTxn,
            ApiKey::TxnOffsetCommit,
            ApiKey::EndTxn,
        ]
        .map(|api| one.model.count(api))
    };
    let before = requests(one);
    let error = one.intend(0, 90).await.expect_err(what);
    assert!(error.is_retriable(), "{what}: {error}");
    assert_eq!(requests(one), before, "{what}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_said_of_a_partition_that_the_task_does_not_have() {
    let one = Speaker::start().await;
    one.join();
    is_refused_at_once(&one, "it is not fenced").await;
    one.open(0, None).await;
    let outside = one.consumer.group_metadata().map(|group| GroupMetadata {
        generation_id: -1,
        ..group
    });
    let nobody = one.consumer.group_metadata().map(|group| GroupMetadata {
        member_id: String::new(),
        ..group
    });
    for group in [None, outside, nobody] {
        one.intents.set_group(group);
        is_refused_at_once(&one, "outside of a generation the group checks nothing").await;
    }
    one.join();
    one.intend(0, 5).await.expect("it is the task's");
    assert_eq!(one.committed(), Some(5));
    one.intents.give_up(&[partition(0)]);
    assert_eq!(one.intents.outstanding(&partition(0)), []);
    is_refused_at_once(&one, "it was given up").await;
    assert_eq!(one.committed(), Some(5));
}

#[tokio::test(start_paused = true)]
async fn after_an_error_nothing_is_said_until_the_partition_is_taken_over_anew() {
    let one = Speaker::start().await;
    one.open(0, None).await;
    let produced = [1, 2, 3];
    for safe in produced {
        one.intend(0, safe).await.expect("it is the task's");
        let committed = one.intents.take_committed();
        assert_eq!(committed, Offsets::from([(partition(0), Offset(safe))]));
        assert_eq!(one.intents.take_committed(), Offsets::new(), "it is told once");
    }
    // One to fence, and one producer for all transactions.
    assert_eq!(one.model.count(ApiKey::InitProducerId), 2);
    one.intend(0, 4).await.expect("it is the task's");
    one.model.faults(|_, request| match request.api_key() {
        ApiKey::EndTxn => Fault::Refuse(ErrorCode::InvalidProducerEpoch),
        _ => Fault::None,
    });
    let error = one.intend(0, 5).await.expect_err("it was fenced");
    assert!(error.is_retriable(), "{error}");
    one.model.faults(|_, _| Fault::None);
    is_refused_at_once(&one, "its ownership has ended").await;
    assert_eq!(one.intents.take_lost(), [partition(0)].into());
    assert_eq!(one.intents.take_lost(), [].into(), "it is told once");
    is_refused_at_once(&one, "who asks does not own it anew").await;
    let outstanding = one.open(0, None).await;
    let starts: Vec<i64> = outstanding.iter().map(|intent| intent.start.value()).collect();
    assert_eq!(starts, [1, 2, 3, 4], "not what was not committed");
    assert_eq!(
        one.intents.take_committed(),
        Offsets::new(),
        "it begins with what the group has"
    );
    one.intend(0, 6).await.expect("it is the task's again");
    // What was lost before a partition is taken over does not make it lost again.
    one.model.faults(|_, request| match request.api_key() {
        ApiKey::EndTxn => Fault::Refuse(ErrorCode::InvalidProducerEpoch),
        _ => Fault::None,
    });
    one.intend(0, 7).await.expect_err("it was fenced");
    one.model.faults(|_, _| Fault::None);
    one.open(0, None).await;
    assert_eq!(one.intents.take_lost(), [].into());
}

#[tokio::test(start_paused = true)]
async fn what_was_lost_and_is_given_up_is_not_opened_again() {
    let one = Speaker::start().await;
    one.open(0, None).await;
    one.model.faults(|_, request| match request.api_key() {
        ApiKey::EndTxn => Fault::Refuse(ErrorCode::InvalidProducerEpoch),
        _ => Fault::None,
    });
    one.intend(0, 5).await.expect_err("it was fenced");
    one.intents.give_up(&[partition(0)]);
    assert_eq!(one.intents.take_lost(), [].into());
}

/// A second attempt to open it, say, after one that the store did not answer.
#[tokio::test(start_paused = true)]
async fn who_fences_itself_begins_with_a_producer_that_is_not_fenced() {
    let one = Speaker::start().await;
    for safe in [1, 2, 3] {
        one.open(0, None).await;
        one.intend(0, safe).await.expect("it is the task's");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_outstanding_is_of_the_same_connector_partition_and_topic() {
    let one = Speaker::start().await;
    one.open(0, Some("first")).await;
    one.open(1, Some("first")).await;
    one.intend(0, 5).await.expect("it is the task's");
    one.intend(1, 6).await.expect("it is the task's");
    let another = Speaker::new(&one.model, "d").await;
    another.open(0, Some("first")).await;
    another.intend(0, 7).await.expect("it is the task's");
    for (number, topic_id, expected) in [
        (0, Some("first"), vec![intent(5)]),
        (0, None, vec![intent(5)]),
        // The topic was made anew: these offsets are of other records.
        (0, Some("second"), vec![]),
        (1, Some("first"), vec![intent(6)]),
    ] {
        assert_eq!(
            one.open(number, topic_id).await,
            expected,
            "{number} {topic_id:?}"
        );
    }
}

/// With the commit of an offset everything before it is done with: so what became of records before it is told first.
#[tokio::test(start_paused = true)]
async fn what_was_told_of_records_is_there_before_the_offset_moves() {
    for topic in ["dead", "told"] {
        let one = Speaker::start().await;
        one.open(0, None).await;
        let is_away = Arc::new(AtomicBool::new(true));
        let away = Arc::clone(&is_away);
        // All but what is part of a transaction.
        one.model.faults(move |_, request| match request {
            Request::Produce(request)
                if request.transactional_id.is_none() && away.load(Ordering::Acquire) =>
            {
                Fault::LoseRequest
            }
            _ => Fault::None,
        });
        let record = Record {
            offset: Offset(3),
            timestamp: Timestamp(0),
            key: None,
            value: Some("bad".into()),
            headers: Headers::default(),
        };
        let of = partition(0);
        let report = || Report {
            stage: Stage::ValueConverter,
            class: None,
            topic_partition: &of,
            record: &record,
            error: Error::fatal("it is bad"),
        };
        if topic == "dead" {
            one.reporter
                .report_record(report())
                .await
                .expect("it is on its way");
        } else {
            let record = ResultRecord {
                topic: topic.into(),
                key: None,
                value: Some("good".into()),
                headers: Vec::new(),
            };
            one.results.send(vec![record]).await.expect("it is on its way");
        }
        let intents = Arc::clone(&one.intents);
        let saying = tokio::spawn(async move {
            let intents_said = [intent(5)];
            intents.intend(&partition(0), &intents_said, Offset(5)).await
        });
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!((one.committed(), saying.is_finished()), (None, false), "{topic}");
        is_away.store(false, Ordering::Release);
        saying.await.expect("it does not panic").expect("said");
        assert_eq!(
            (one.committed(), one.model.values(topic, 0).len()),
            (Some(5), 1),
            "{topic}"
        );
        if topic == "dead" {
            // It is not kept in mind for longer than it may come again.
            for _ in 0..2 {
                one.reporter.report_record(report()).await.expect("taken");
            }
            one.reporter.flush().await.expect("there");
            assert_eq!(one.model.values(topic, 0).len(), 2);
        }
    }
}

/// Whoever reads what is intended waits for transactions that are open: no longer than a broker lets these be.
#[tokio::test(start_paused = true)]
async fn a_transaction_that_hangs_holds_up_others_for_a_short_time() {
    let one = Speaker::start().await;
    one.open(0, None).await;
    one.model.faults(|_, request| match request {
        Request::EndTxn(request) if request.transactional_id.starts_with("connect-c/") => Fault::LoseRequest,
        _ => Fault::None,
    });
    let hanging = Arc::clone(&one.intents);
    let hanging = tokio::spawn(async move {
        let intents = [intent(5)];
        hanging.intend(&partition(0), &intents, Offset(5)).await
    });
    let another = Speaker::new(&one.model, "d").await;
    while one.model.count(ApiKey::TxnOffsetCommit) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let began = Instant::now();
    let model = Arc::clone(&one.model);
    let ticking = tokio::spawn(async move {
        // The model looks at the time of transactions when it is asked something about some.
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let admin = model.client(&[]).admin(&Properties::new()).expect("sound");
            let _ = admin.fence_producers(&["somebody"]).await;
        }
    });
    assert_eq!(another.open(0, None).await, []);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    ticking.abort();
    hanging.abort();
}
