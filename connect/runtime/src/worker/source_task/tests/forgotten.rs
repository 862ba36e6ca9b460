//! Source partitions that a task has forgotten, with and without transactions, and with a topic of the connector's own. Time is virtual.

use super::*;

const OWN: &str = "own";

fn partition(name: &str) -> OffsetMap {
    OffsetMap::new().with("file", name)
}

fn record(name: &str, number: i64) -> SourceRecord {
    let offset = OffsetMap::new().with("next", number);
    let value = SchemaAndValue::string(number.to_string());
    SourceRecord::new(Arc::new(partition(name)), Some(offset), "t".into(), value)
}

fn forgetting(name: &str) -> SourceRecord {
    SourceRecord::forgetting(Arc::new(partition(name)))
}

/// A task that has given these records for a while, and how it ended.
async fn run(
    context: &Arc<Context>,
    exactly_once: bool,
    own: Option<&str>,
    records: Vec<SourceRecord>,
) -> Result<(), Failure> {
    let keys: Vec<_> = own
        .map(|topic| ("offsets.storage.topic", topic))
        .into_iter()
        .collect();
    let config = transactional::config(&keys);
    let (running, command) = tasks::spawn(context, exactly_once, config, tasks::given(records));
    tokio::time::sleep(Duration::from_secs(20)).await;
    command.send_replace(Command::Stop);
    running.await.expect("no panic")
}

/// Source partitions with their offsets, as the topics have them.
async fn known(context: &Context, own: Option<&str>) -> Vec<(String, i64)> {
    let offsets = context.offsets.of("c", own).await.expect("it is there");
    offsets.refresh().await.expect("it can be read");
    let known = offsets.known().into_iter();
    let known = known.map(|(partition, offset)| {
        let name = partition.get_str("file").expect("the test's").to_owned();
        (name, offset.get_int64("next").expect("the test's"))
    });
    known.collect()
}

fn tombstones(model: &Model, topic: &str) -> usize {
    let batches = (0..25).flat_map(|partition| model.batches(topic, partition));
    let count = |batch: forebay_records::RecordBatch| {
        let records = batch.records().expect("sound");
        let values = records.map(|record| record.expect("sound").value);
        values.filter(|value| value.is_none()).count()
    };
    batches
        .filter(|batch| !batch.header().is_control())
        .map(count)
        .sum()
}

#[tokio::test(start_paused = true)]
async fn what_is_forgotten_is_in_no_topic_any_more() {
    for (exactly_once, own) in [(true, None), (false, None), (true, Some(OWN)), (false, Some(OWN))] {
        let model = Model::new(1);
        model.create_topic("t", 1);
        let context = transactional::context(&model.client(&[])).await;
        // In one batch and in two, and one that is begun again.
        let first = vec![
            record("a", 1),
            record("b", 2),
            forgetting("a"),
            record("c", 3),
            record("d", 4),
            forgetting("d"),
            record("d", 5),
        ];
        let ended = run(&context, exactly_once, own, first).await;
        ended.expect("it ends well");
        let in_all = [None, own];
        for topic in in_all {
            let expected = [("b", 2), ("c", 3), ("d", 5)].map(|(name, next)| (name.to_owned(), next));
            assert_eq!(known(&context, topic).await, expected, "{exactly_once} {topic:?}");
        }
        let ended = run(&context, exactly_once, own, vec![forgetting("c")]).await;
        ended.expect("it ends well");
        for topic in in_all {
            let expected = [("b", 2), ("d", 5)].map(|(name, next)| (name.to_owned(), next));
            assert_eq!(known(&context, topic).await, expected, "{exactly_once} {topic:?}");
        }
        assert_eq!(model.committed_values("t", 0), ["1", "2", "3", "4", "5"]);
    }
}

/// KAFKA-15018: a copy that stays in the worker's topic would be where the connector goes on.
#[tokio::test(start_paused = true)]
async fn what_the_workers_topic_keeps_stays_in_the_connectors_own() {
    for exactly_once in [true, false] {
        let model = Model::new(1);
        model.create_topic("t", 1);
        let context = transactional::context(&model.client(&[])).await;
        let ended = run(&context, exactly_once, Some(OWN), vec![record("a", 1)]).await;
        ended.expect("it ends well");
        let worker = model.topic_id(&context.config.offset_topic.name);
        model.faults(move |_, request| match request {
            Request::Produce(produce) if produce.topic_data.iter().any(|topic| topic.topic_id == worker) => {
                Fault::Refuse(ErrorCode::NotEnoughReplicas)
            }
            _ => Fault::None,
        });
        let ended = run(&context, exactly_once, Some(OWN), vec![forgetting("a")]).await;
        // Without transactions it is tried until the task stops.
        assert_eq!(ended.is_err(), exactly_once, "{ended:?}");
        model.faults(|_, _| Fault::None);
        assert_eq!(tombstones(&model, OWN), 0);
        let ended = run(&context, exactly_once, Some(OWN), vec![forgetting("a")]).await;
        ended.expect("it ends well");
        assert_eq!(known(&context, Some(OWN)).await, []);
        assert!(tombstones(&model, OWN) > 0);
    }
}
