//! `forebay producer-perf-test` (Kafka's `ProducerPerformance`, `kafka-producer-perf-test.sh`): how fast records are taken.

mod stats;

use std::hash::{BuildHasher as _, RandomState};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use forebay_client::producer::DeliveryFuture;
use forebay_client::{Producer, ProducerRecord};
use forebay_config::Properties;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

use super::options::{Options, Stop, Tool, switch, valued};
use stats::Stats;

static TOOL: Tool = Tool {
    name: "producer-perf-test",
    about: "Sends records as fast as they are taken, and shows how fast that was.",
    flags: &[
        valued(
            "bootstrap-server",
            "host:port,...",
            "REQUIRED, here or as a property: brokers to send to.",
        ),
        valued("command-config", "file", "Properties of the producer."),
        valued("command-property", "key=value ...", "Properties of the producer."),
        valued("num-records", "count", "REQUIRED: how many."),
        valued(
            "payload-delimiter",
            "text",
            "What stands between the payloads of a file; a newline unless given.",
        ),
        valued(
            "payload-file",
            "file",
            "Payloads, of which one is taken by chance for each record.",
        ),
        switch("payload-monotonic", "Payloads are the numbers of the records."),
        valued(
            "producer-props",
            "key=value ...",
            "The old name of --command-property.",
        ),
        valued("producer.config", "file", "The old name of --command-config."),
        valued("record-size", "bytes", "How large, of letters by chance."),
        valued(
            "reporting-interval",
            "ms",
            "How often to say how it goes; 5000 unless given.",
        ),
        valued(
            "throughput",
            "records/s",
            "REQUIRED: no more than these; -1 for as many as possible.",
        ),
        valued("topic", "name", "REQUIRED: where to."),
        valued(
            "transaction-duration-ms",
            "ms",
            "How old a transaction becomes before it is committed; 3000 unless given. Without a transactional id, one by chance.",
        ),
        valued(
            "transactional-id",
            "id",
            "The transactional id: records are sent in transactions. It counts for more than that of a property.",
        ),
        valued(
            "warmup-records",
            "count",
            "So many first ones are left out of a second line of figures.",
        ),
    ],
    gone: &[("print-metrics", "metrics are at the console's /metrics")],
};

/// So many records may wait for whoever counts acknowledgements.
const WAITING_MAX: usize = 1 << 14;

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    super::run_tool(&TOOL, &spread(arguments), |options| async move {
        let test = Test::new(&options)?;
        let server = properties(&options)?;
        let bootstrap = server.get("bootstrap.servers").cloned().unwrap_or_default();
        let producer = super::client(&bootstrap)?
            .producer(&server)
            .map_err(|error| Stop::Failed(error.to_string()))?;
        test.run(producer).await?;
        Ok(ExitCode::SUCCESS)
    })
}

/// `--producer-props a=1 b=2` takes all that follows: as many options of one value each.
fn spread(arguments: &[String]) -> Vec<String> {
    let mut spread: Vec<String> = Vec::new();
    let mut many: Option<&String> = None;
    let mut taken = 0;
    for argument in arguments {
        let is_option = argument.starts_with("--");
        if is_option {
            many = matches!(argument.as_str(), "--producer-props" | "--command-property").then_some(argument);
            taken = 0;
        } else if let Some(option) = many {
            if taken > 0 {
                spread.push(option.clone());
            }
            taken += 1;
        }
        spread.push(argument.clone());
    }
    spread
}

fn properties(options: &Options) -> Result<Properties, Stop> {
    let mut properties = Properties::new();
    for (old, new) in [
        ("producer.config", "command-config"),
        ("producer-props", "command-property"),
    ] {
        if options.has(old) {
            if options.has(new) {
                return Err(Stop::usage(format!(
                    "--{new} and --{old} cannot be specified together."
                )));
            }
            say!(
                "Option --{old} has been deprecated and will be removed in a future version. Use --{new} instead."
            );
        }
    }
    for name in ["producer.config", "command-config"] {
        if let Some(path) = options.value(name)? {
            properties.extend(super::properties_file(path)?);
        }
    }
    for name in ["producer-props", "command-property"] {
        properties.extend(super::pairs(&options.values(name)));
    }
    if let Some(server) = options.value("bootstrap-server")? {
        properties.insert("bootstrap.servers".to_owned(), server.to_owned());
    }
    if !properties.contains_key("bootstrap.servers") {
        return Err(Stop::usage(
            "At least one of --bootstrap-server, --command-property, --producer-props, --producer.config or --command-config must \
             be specified.",
        ));
    }
    if let Some(id) = options.value("transactional-id")? {
        properties.insert("transactional.id".to_owned(), id.to_owned());
    } else if options.has("transaction-duration-ms") {
        properties
            .entry("transactional.id".to_owned())
            .or_insert_with(|| format!("performance-producer-{:016x}", RandomState::new().hash_one(0)));
    }
    properties
        .entry("client.id".to_owned())
        .or_insert_with(|| "perf-producer-client".to_owned());
    Ok(properties)
}

/// What is sent.
#[derive(Debug)]
enum Payload {
    Letters(usize),
    OneOf(Vec<Vec<u8>>),
    Numbers,
}

#[derive(Debug)]
struct Test {
    topic: String,
    records: u64,
    warmup_records: u64,
    payload: Payload,
    /// Records in a second; no bound where none.
    throughput: Option<f64>,
    reporting_interval: Duration,
    /// How old a transaction becomes, where there are any.
    transaction_duration: Duration,
}

/// How old a transaction becomes unless it is told (Kafka's `DEFAULT_TRANSACTION_DURATION_MS`).
const TRANSACTION_DURATION_MS: i64 = 3000;

impl Test {
    fn new(options: &Options) -> Result<Self, Stop> {
        let given = ["record-size", "payload-file", "payload-monotonic"]
            .into_iter()
            .filter(|name| options.has(name));
        if given.count() != 1 {
            return Err(Stop::usage(
                "you must provide exactly one of --record-size, --payload-file or --payload-monotonic.",
            ));
        }
        let positive = |name: &str, default: Option<i64>| -> Result<u64, Stop> {
            let number = options.number(name)?.or(default);
            let number: i64 = number.ok_or_else(|| Stop::usage(format!("argument --{name} is required")))?;
            u64::try_from(number)
                .ok()
                .filter(|number| *number > 0)
                .ok_or_else(|| Stop::usage(format!("--{name} should be greater than zero.")))
        };
        let records = positive("num-records", None)?;
        let warmup_records = options.number("warmup-records")?.unwrap_or(0);
        if warmup_records >= records {
            return Err(Stop::usage(
                "The value for --warmup-records must be strictly fewer than the number of records in the test, --num-records.",
            ));
        }
        let payload = match options.value("payload-file")? {
            Some(path) => Payload::OneOf(payloads(
                path,
                options.value("payload-delimiter")?.unwrap_or("\\n"),
            )?),
            None if options.has("payload-monotonic") => Payload::Numbers,
            None => Payload::Letters(usize::try_from(positive("record-size", None)?).unwrap_or(usize::MAX)),
        };
        let throughput: Option<f64> = options.number("throughput")?;
        let throughput = throughput.ok_or_else(|| Stop::usage("argument --throughput is required"))?;
        Ok(Self {
            topic: options.required("topic")?.to_owned(),
            records,
            warmup_records,
            payload,
            throughput: Some(throughput).filter(|throughput| *throughput > 0.0),
            reporting_interval: Duration::from_millis(positive("reporting-interval", Some(5000))?),
            transaction_duration: Duration::from_millis(positive(
                "transaction-duration-ms",
                Some(TRANSACTION_DURATION_MS),
            )?),
        })
    }

    async fn run(&self, producer: Producer) -> Result<(), Stop> {
        if self.warmup_records > 0 {
            say!(
                "Warmup first {} records. Steady state results will print after the complete test summary.",
                self.warmup_records
            );
        }
        let is_transactional = producer.config().transactional_id.is_some();
        if is_transactional {
            producer.init_transactions().await?;
        }
        let mut transaction: Option<Instant> = None;
        let (sent, acknowledged) = mpsc::channel(WAITING_MAX);
        let counting = tokio::spawn(count(acknowledged, self.warmup_records, self.reporting_interval));
        let began = Instant::now();
        let mut chance = Chance(0x9E37_79B9_7F4A_7C15);
        let mut bytes = Vec::new();
        for number in 0..self.records {
            self.fill(&mut bytes, number, &mut chance);
            let at = Instant::now();
            if is_transactional && transaction.is_none() {
                producer.begin_transaction()?;
                transaction = Some(at);
            }
            let delivery = producer
                .send(ProducerRecord::new(&self.topic, None, Some(&bytes)))
                .await?;
            if sent.send((at, bytes.len(), delivery)).await.is_err() {
                break;
            }
            if transaction.is_some_and(|begun| at.duration_since(begun) >= self.transaction_duration) {
                producer.commit_transaction().await?;
                transaction = None;
            }
            if let Some(throughput) = self.throughput {
                let due = Duration::from_secs_f64((number + 1) as f64 / throughput);
                tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
            }
        }
        if transaction.is_some() {
            producer.commit_transaction().await?;
        }
        producer.flush().await;
        drop(sent);
        let counted = counting.await;
        producer.close().await;
        let (all, steady) = counted.map_err(|error| Stop::Failed(error.to_string()))?;
        say!("{}", all.total(began.elapsed()));
        if let Some(steady) = steady {
            say!("{}", steady.total(steady.elapsed()));
        }
        Ok(())
    }

    fn fill(&self, bytes: &mut Vec<u8>, number: u64, chance: &mut Chance) {
        bytes.clear();
        match &self.payload {
            Payload::Letters(size) => bytes.extend((0..*size).map(|_| b'A' + (chance.next() % 26) as u8)),
            Payload::OneOf(payloads) => {
                let index = usize::try_from(chance.next()).unwrap_or_default() % payloads.len();
                bytes.extend_from_slice(&payloads[index]);
            }
            Payload::Numbers => bytes.extend_from_slice(number.to_string().as_bytes()),
        }
    }
}

fn payloads(path: &str, delimiter: &str) -> Result<Vec<Vec<u8>>, Stop> {
    say!("Reading payloads from: {path}");
    let text = super::text_file(path)?;
    if text.is_empty() {
        return Err(Stop::Failed(
            "File does not exist or empty file provided.".to_owned(),
        ));
    }
    let delimiter = if delimiter == "\\n" { "\n" } else { delimiter };
    let mut payloads: Vec<Vec<u8>> = text
        .split(delimiter)
        .map(|payload| payload.as_bytes().to_vec())
        .collect();
    if payloads.len() > 1 && payloads.last().is_some_and(Vec::is_empty) {
        payloads.pop();
    }
    say!("Number of records read: {}", payloads.len());
    Ok(payloads)
}

/// A xorshift generator: the same payloads in each run, as in Kafka's.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

type Sent = (Instant, usize, DeliveryFuture);

/// Counts acknowledgements as they come.
async fn count(mut sent: mpsc::Receiver<Sent>, warmup: u64, interval: Duration) -> (Stats, Option<Stats>) {
    let mut waiting = FuturesUnordered::new();
    let mut all = Stats::new(interval, false);
    let mut steady: Option<Stats> = None;
    let mut open = true;
    while open || !waiting.is_empty() {
        tokio::select! {
            next = sent.recv(), if open && waiting.len() < WAITING_MAX => match next {
                Some((at, bytes, delivery)) => waiting.push(async move { (at, bytes, delivery.await) }),
                None => open = false,
            },
            Some((at, bytes, outcome)) = waiting.next() => match outcome {
                Ok(_) => {
                    let latency = u32::try_from(at.elapsed().as_millis()).unwrap_or(u32::MAX);
                    if warmup > 0 && all.count() == warmup {
                        all.silence();
                        steady = Some(Stats::new(interval, true));
                    }
                    for stats in std::iter::once(&mut all).chain(&mut steady) {
                        if let Some(line) = stats.record(latency, bytes) {
                            say!("{line}");
                        }
                    }
                }
                Err(error) => eprintln!("{}", super::java::exception(&error)),
            },
        }
    }
    (all, steady)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_kafkas() {
        let words = |text: &str| -> Vec<String> { text.split(' ').map(ToOwned::to_owned).collect() };
        let spread = spread(&words(
            "--producer-props bootstrap.servers=b acks=1 --topic t --num-records 10",
        ));
        let expected =
            "--producer-props bootstrap.servers=b --producer-props acks=1 --topic t --num-records 10";
        assert_eq!(spread, words(expected));
        let checked = |text: &str| {
            let options = TOOL.parse(&words(text)).expect("reads");
            properties(&options).and_then(|_| Test::new(&options))
        };
        let cases = [
            (
                "--topic t",
                "At least one of --bootstrap-server, --command-property, --producer-props, --producer.config or --command-config must be specified.",
            ),
            (
                "--bootstrap-server b --topic t",
                "you must provide exactly one of --record-size, --payload-file or --payload-monotonic.",
            ),
            (
                "--bootstrap-server b --topic t --record-size 0 --num-records 1",
                "--record-size should be greater than zero.",
            ),
            (
                "--bootstrap-server b --topic t --record-size 1 --num-records 0",
                "--num-records should be greater than zero.",
            ),
            (
                "--bootstrap-server b --topic t --record-size 1 --num-records 5",
                "argument --throughput is required",
            ),
            (
                "--bootstrap-server b --topic t --record-size 1 --num-records 5 --warmup-records 5",
                "The value for --warmup-records must be strictly fewer than the number of records in the test, --num-records.",
            ),
        ];
        for (arguments, message) in cases {
            assert_eq!(
                checked(arguments).expect_err("refused"),
                Stop::usage(message),
                "{arguments}"
            );
        }
        let test = checked("--bootstrap-server b --topic t --record-size 9 --num-records 5 --throughput -1")
            .expect("fine");
        assert_eq!((test.records, test.throughput), (5, None));
        let mut bytes = Vec::new();
        test.fill(&mut bytes, 0, &mut Chance(7));
        assert!(bytes.len() == 9 && bytes.iter().all(u8::is_ascii_uppercase));
    }
}
