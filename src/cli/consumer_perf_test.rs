//! `forebay consumer-perf-test` (Kafka's `ConsumerPerformance`, `kafka-consumer-perf-test.sh`): how fast records are read.

mod report;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use forebay_client::Consumer;
use forebay_client::consumer::{RebalanceEvent, Subscription};
use forebay_config::Properties;

use super::options::{Options, Stop, Tool, switch, valued};
use report::{DateFormat, Progress, Report};

static TOOL: Tool = Tool {
    name: "consumer-perf-test",
    about: "Reads records as fast as they come, and shows how fast that was.",
    flags: &[
        valued(
            "bootstrap-server",
            "host:port,...",
            "REQUIRED: brokers to read from.",
        ),
        valued("command-config", "file", "Properties of the consumer."),
        valued("command-property", "key=value", "A property of the consumer."),
        valued("consumer.config", "file", "The old name of --command-config."),
        valued(
            "date-format",
            "pattern",
            "How times are written, in UTC; yyyy-MM-dd HH:mm:ss:SSS unless given.",
        ),
        valued(
            "fetch-size",
            "bytes",
            "The most that is fetched of a partition at once; 1048576 unless given.",
        ),
        switch(
            "from-latest",
            "Begin with the next record where the group has no offset.",
        ),
        valued("group", "id", "The group to read as; one by chance unless given."),
        switch("hide-header", "No line that names the figures."),
        valued("include", "regex", "The topics to read, by a pattern."),
        valued("messages", "count", "The old name of --num-records."),
        valued("num-records", "count", "REQUIRED: how many to read."),
        valued(
            "reporting-interval",
            "ms",
            "How often to say how it goes; 5000 unless given.",
        ),
        switch("show-detailed-stats", "Say how it goes after every interval."),
        valued(
            "socket-buffer-size",
            "bytes",
            "The size of the socket's buffer; the operating system's choice in any case.",
        ),
        valued(
            "timeout",
            "ms",
            "Give up when no record came for so long; 10000 unless given.",
        ),
        valued("topic", "name", "The topic to read."),
    ],
    gone: &[("print-metrics", "metrics are at the console's /metrics")],
};

/// How long one poll waits.
const POLL: Duration = Duration::from_millis(100);

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    super::run_tool(&TOOL, arguments, |options| async move {
        let test = Test::new(&options)?;
        let server = options.required("bootstrap-server")?;
        let properties = properties(&options)?;
        let subscription = subscription(&options)?;
        if !options.has("hide-header") {
            say!("{}", report::header(test.is_detailed));
        }
        let interval: i64 = options.number("reporting-interval")?.unwrap_or(5000);
        let interval = u64::try_from(interval).ok().filter(|interval| *interval > 0);
        let interval =
            interval.ok_or_else(|| Stop::Failed("Reporting interval must be greater than 0.".to_owned()))?;
        let mut consumer = super::client(server)?
            .consumer(&properties)
            .map_err(|error| Stop::Failed(error.to_string()))?;
        consumer.subscribe(subscription.with_events())?;
        let report = test.read(&mut consumer, Duration::from_millis(interval)).await?;
        consumer.close().await?;
        if !test.is_detailed {
            say!("{}", report.total(&test.format));
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn subscription(options: &Options) -> Result<Subscription, Stop> {
    if let Some(topic) = options.value("topic")? {
        return Ok(Subscription::topics([topic]));
    }
    let pattern = options.required("include")?;
    let regex = regex::Regex::new(&format!("^(?:{pattern})$"))
        .map_err(|_| Stop::usage(format!("{pattern} is an invalid regex.")))?;
    Ok(Subscription::matching(move |topic| regex.is_match(topic)))
}

fn properties(options: &Options) -> Result<Properties, Stop> {
    let mut properties = Properties::new();
    for name in ["consumer.config", "command-config"] {
        if let Some(path) = options.value(name)? {
            properties.extend(super::properties_file(path)?);
        }
    }
    properties.extend(super::pairs(&options.values("command-property")));
    let size = |name: &str, otherwise: i32| -> Result<String, Stop> {
        Ok(options.number(name)?.unwrap_or(otherwise).to_string())
    };
    let group = match options.value("group")? {
        Some(group) => group.to_owned(),
        None => format!("perf-consumer-{}", super::random_number() % 100_000),
    };
    let reset = if options.has("from-latest") {
        "latest"
    } else {
        "earliest"
    };
    let set = [
        ("group.id", group),
        ("max.partition.fetch.bytes", size("fetch-size", 1 << 20)?),
        ("auto.offset.reset", reset.to_owned()),
    ];
    properties.extend(set.map(|(key, value)| (key.to_owned(), value)));
    // Kafka's default is no wish of the user's, who would be told that the client has no use for it.
    if let Some(bytes) = options.number::<i32>("socket-buffer-size")? {
        properties.insert("receive.buffer.bytes".to_owned(), bytes.to_string());
    }
    properties
        .entry("client.id".to_owned())
        .or_insert_with(|| "perf-consumer-client".to_owned());
    Ok(properties)
}

#[derive(Debug)]
struct Test {
    records: u64,
    silence_max: Duration,
    is_detailed: bool,
    format: DateFormat,
}

impl Test {
    fn new(options: &Options) -> Result<Self, Stop> {
        if !options.has("bootstrap-server") {
            return Err(Stop::usage("Missing required argument \"[bootstrap-server]\""));
        }
        for (one, other) in [("topic", "include"), ("messages", "num-records")] {
            if options.has(one) == options.has(other) {
                return Err(Stop::usage(format!(
                    "Exactly one of the following arguments is required: [{one}], [{other}]"
                )));
            }
        }
        options.exclude("consumer.config", &["command-config"])?;
        if options.has("messages") {
            say!("Warning: --messages is deprecated. Use --num-records instead.");
        }
        if options.has("consumer.config") {
            say!("Warning: --consumer.config is deprecated. Use --command-config instead.");
        }
        let records: Option<i64> = match options.number("messages")? {
            Some(records) => Some(records),
            None => options.number("num-records")?,
        };
        let silence_ms: i64 = options.number("timeout")?.unwrap_or(10_000);
        let pattern = options.value("date-format")?.unwrap_or("yyyy-MM-dd HH:mm:ss:SSS");
        Ok(Self {
            records: records.and_then(|records| records.try_into().ok()).unwrap_or(0),
            silence_max: Duration::from_millis(silence_ms.try_into().unwrap_or(0)),
            is_detailed: options.has("show-detailed-stats"),
            format: DateFormat::new(pattern).map_err(Stop::Failed)?,
        })
    }

    async fn read(&self, consumer: &mut Consumer, interval: Duration) -> Result<Report, Stop> {
        let mut report = Report::new();
        let mut progress = Progress::new(&report);
        let mut rebalancing = Some(Instant::now());
        let mut heard = Instant::now();
        let mut warned = String::new();
        while report.records < self.records && heard.elapsed() <= self.silence_max {
            let records = match consumer.poll(POLL).await {
                Ok(records) => records,
                Err(error) if error.is_retriable() => {
                    let warning = super::reason(&error);
                    if warning != warned {
                        eprintln!("{warning}; trying on");
                        warned = warning;
                    }
                    Vec::new()
                }
                Err(error) => return Err(error.into()),
            };
            for event in consumer.take_events() {
                match event {
                    RebalanceEvent::Revoked(_) | RebalanceEvent::Lost(_) => {
                        rebalancing = Some(Instant::now());
                    }
                    RebalanceEvent::Assigned(_) => {
                        let took = rebalancing.map_or(Duration::ZERO, |began| began.elapsed());
                        report.rebalanced += took;
                        progress.rebalanced += took;
                    }
                }
            }
            if !records.is_empty() {
                heard = Instant::now();
            }
            for record in records {
                let length = |bytes: Option<&bytes::Bytes>| bytes.map_or(0, |bytes| bytes.len() as u64);
                report.records += 1;
                report.bytes += length(record.record.key.as_ref()) + length(record.record.value.as_ref());
                if progress.began.elapsed() >= interval {
                    if self.is_detailed {
                        say!("{}", progress.line(&report, &self.format));
                    }
                    progress = Progress::new(&report);
                }
            }
        }
        if report.records < self.records {
            say!(
                "WARNING: Exiting before consuming the expected number of records: timeout ({} ms) exceeded. You can use the \
                 --timeout option to increase the timeout.",
                self.silence_max.as_millis()
            );
        }
        report.end();
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_kafkas() {
        let checked = |text: &str| {
            let words: Vec<String> = text.split(' ').map(ToOwned::to_owned).collect();
            let options = TOOL.parse(&words).expect("reads");
            Test::new(&options).and_then(|test| Ok((test, properties(&options)?, subscription(&options)?)))
        };
        let topics = "Exactly one of the following arguments is required: [topic], [include]";
        let counts = "Exactly one of the following arguments is required: [messages], [num-records]";
        let cases = [
            ("--topic t", "Missing required argument \"[bootstrap-server]\""),
            ("--bootstrap-server b --num-records 1", topics),
            (
                "--bootstrap-server b --num-records 1 --topic t --include x",
                topics,
            ),
            ("--bootstrap-server b --topic t", counts),
            (
                "--bootstrap-server b --topic t --num-records 1 --messages 1",
                counts,
            ),
        ];
        for (arguments, message) in cases {
            assert_eq!(
                checked(arguments).expect_err("refused"),
                Stop::usage(message),
                "{arguments}"
            );
        }
        let (test, properties, _) =
            checked("--bootstrap-server b --include t.* --messages 7 --command-property fetch.min.bytes=9")
                .expect("fine");
        assert_eq!(
            (test.records, test.silence_max.as_secs(), test.is_detailed),
            (7, 10, false)
        );
        assert_eq!(properties["auto.offset.reset"], "earliest");
        assert_eq!(properties["fetch.min.bytes"], "9");
        assert!(
            properties["group.id"].starts_with("perf-consumer-"),
            "{properties:?}"
        );
    }
}
