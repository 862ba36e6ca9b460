//! Records of sources that go no further, with and without transactions: what the task leaves out, and what is too large. Time is virtual.

use super::*;

/// Larger than a request may be.
const LARGE: usize = 1_100_000;

fn partition() -> OffsetMap {
    OffsetMap::new().with("file", "f")
}

fn record(number: i64, value: impl Into<String>) -> SourceRecord {
    let offset = OffsetMap::new().with("next", number + 1);
    let value = SchemaAndValue::string(value.into());
    SourceRecord::new(Arc::new(partition()), Some(offset), "t".into(), value)
}

fn records() -> Vec<SourceRecord> {
    vec![
        record(0, "first"),
        record(1, "no record").left_out("/f: it begins nowhere"),
        record(2, "x".repeat(LARGE)),
        record(3, "last"),
    ]
}

const QUEUE: [(&str, &str); 3] = [
    ("errors.deadletterqueue.topic.name", "q"),
    ("errors.deadletterqueue.topic.replication.factor", "1"),
    ("errors.deadletterqueue.context.headers.enable", "true"),
];
const TOLERANT: (&str, &str) = ("errors.tolerance", "all");

struct Bench {
    model: Arc<Model>,
    context: Arc<Context>,
    command: watch::Sender<Command>,
    running: tasks::Running,
}

impl Bench {
    async fn start(exactly_once: bool, keys: &[(&str, &str)], records: Vec<SourceRecord>) -> Self {
        let model = Model::new(1);
        model.create_topic("t", 1);
        let context = transactional::context(&model.client(&[])).await;
        let task = tasks::given(records);
        let (running, command) = tasks::spawn(&context, exactly_once, transactional::config(keys), task);
        Self {
            model,
            context,
            command,
            running,
        }
    }

    /// Stops the task after a while; gives where its next start goes on.
    async fn stop(self) -> Option<i64> {
        tokio::time::sleep(Duration::from_secs(20)).await;
        self.command.send_replace(Command::Stop);
        self.running.await.expect("no panic").expect("it ends well");
        let offsets = self.context.offsets.of("c", None).await.expect("it is there");
        offsets.refresh().await.expect("it can be read");
        let known = offsets.known();
        let (_, offset) = known.iter().find(|(of, _)| *of == partition())?;
        offset.get_int64("next")
    }
}

/// A letter's value, and its headers without what they all begin with.
fn letters(model: &Model) -> Vec<(Option<String>, BTreeSet<String>)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut letters = Vec::new();
    for batch in model.batches("q", 0) {
        if batch.header().is_control() {
            continue;
        }
        for record in batch.records().expect("it can be read") {
            let record = record.expect("it can be read");
            let headers = record.headers.iter().map(|header| {
                let key = header.key_text().replace("__connect.errors.", "");
                format!("{key}={}", text(header.value.unwrap_or_default()))
            });
            letters.push((record.value.as_deref().map(text), headers.collect()));
        }
    }
    letters
}

#[tokio::test(start_paused = true)]
async fn what_goes_no_further_is_in_the_queue_with_its_place() {
    for exactly_once in [true, false] {
        let keys = [&QUEUE[..], &[TOLERANT]].concat();
        let bench = Bench::start(exactly_once, &keys, records()).await;
        let model = Arc::clone(&bench.model);
        assert_eq!(bench.stop().await, Some(4), "{exactly_once}");
        assert_eq!(model.committed_values("t", 0), ["first", "last"]);
        let found = letters(&model);
        let [(left_out, why), (large, of_large)] = &found[..] else {
            panic!("{found:?}")
        };
        assert_eq!((left_out.as_deref(), large.as_deref()), (Some("no record"), None));
        for (headers, expected) in [
            (
                why,
                [
                    "stage=TASK_POLL",
                    "class.name=org.example.Task",
                    "exception.message=/f: it begins nowhere",
                    "source.offset={\"next\":2}",
                    "form=text",
                ],
            ),
            (
                of_large,
                [
                    "stage=KAFKA_PRODUCE",
                    "class.name=org.apache.kafka.clients.producer.KafkaProducer",
                    "topic=t",
                    "source.offset={\"next\":3}",
                    "form=omitted",
                ],
            ),
        ] {
            for one in expected {
                assert!(headers.contains(one), "{exactly_once} {one}: {headers:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_queue_they_are_left_out() {
    for exactly_once in [true, false] {
        let bench = Bench::start(exactly_once, &[TOLERANT], records()).await;
        let model = Arc::clone(&bench.model);
        assert_eq!(bench.stop().await, Some(4), "{exactly_once}");
        assert_eq!(model.committed_values("t", 0), ["first", "last"]);
    }
}

/// What the task leaves out is its own business; what is too large fails it.
#[tokio::test(start_paused = true)]
async fn errors_that_are_not_tolerated_fail_the_task() {
    for exactly_once in [true, false] {
        // Behind it there is nothing whose offset covers its own.
        let given = records().into_iter().take(2).collect();
        let bench = Bench::start(exactly_once, &QUEUE, given).await;
        let model = Arc::clone(&bench.model);
        assert_eq!(bench.stop().await, Some(2), "{exactly_once}");
        assert_eq!(model.committed_values("t", 0), ["first"]);
        let bench = Bench::start(exactly_once, &QUEUE, records()).await;
        let ended = bench.running.await.expect("no panic");
        let Err(Failure::Run(error)) = ended else {
            panic!("{ended:?}")
        };
        assert!(error.trace().contains("max.request.size"), "{}", error.trace());
    }
}
