//! `forebay console-consumer` (Kafka's `ConsoleConsumer`, `kafka-console-consumer.sh`): prints records of topics.

mod format;

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use forebay_client::Consumer;
use forebay_client::consumer::{FetchedBatch, Subscription};
use forebay_config::Properties;
use forebay_protocol::TopicPartition;
use forebay_records::Offset;

use super::options::{Options, Stop, Tool, switch, valued};
use format::{Format, Place};

static TOOL: Tool = Tool {
    name: "console-consumer",
    about: "Prints the records of topics.",
    flags: &[
        valued("bootstrap-server", "host:port,...", "REQUIRED: brokers to ask."),
        valued(
            "command-config",
            "file",
            "Properties of the consumer; --command-property is stronger.",
        ),
        valued(
            "command-property",
            "key=value",
            "A property of the consumer; as often as needed.",
        ),
        valued(
            "consumer-property",
            "key=value",
            "The old name of --command-property.",
        ),
        valued("consumer.config", "file", "The old name of --command-config."),
        switch("enable-systest-events", "Print shutdown_complete at the end."),
        valued(
            "formatter",
            "class",
            "Kafka's DefaultMessageFormatter, which is the default, or NoOpMessageFormatter.",
        ),
        valued(
            "formatter-config",
            "file",
            "Properties of the formatter; --formatter-property is stronger.",
        ),
        valued(
            "formatter-property",
            "key=value",
            "What is printed of a record: print.timestamp, print.partition, print.offset, print.epoch, print.headers, \
             print.key (all false), print.value (true); key.separator (TAB), line.separator (newline), headers.separator (,), \
             null.literal (null); key.deserializer, value.deserializer, headers.deserializer (Kafka's classes for numbers and \
             strings).",
        ),
        switch(
            "from-beginning",
            "Without a committed offset, begin with the first record, not with the next.",
        ),
        valued(
            "group",
            "id",
            "Read as a member of this group; else of one of its own that commits nothing.",
        ),
        valued(
            "include",
            "regex",
            "The topics, by a regular expression for the whole name.",
        ),
        valued(
            "isolation-level",
            "level",
            "read_uncommitted, the default, or read_committed.",
        ),
        valued(
            "key-deserializer",
            "class",
            "As the formatter's key.deserializer.",
        ),
        valued("max-messages", "count", "Stop after so many."),
        valued(
            "offset",
            "offset",
            "With --partition: earliest, latest (the default), or a number.",
        ),
        valued("partition", "number", "Read this partition, without a group."),
        valued("property", "key=value", "The old name of --formatter-property."),
        switch(
            "skip-message-on-error",
            "If a record cannot be printed, go on with the next.",
        ),
        valued("timeout-ms", "ms", "Stop when so long nothing has come."),
        valued("topic", "name", "The topic."),
        valued(
            "value-deserializer",
            "class",
            "As the formatter's value.deserializer.",
        ),
    ],
    gone: &[
        (
            "zookeeper",
            "there is no ZooKeeper any more; write --bootstrap-server with a broker's address, such as localhost:9092",
        ),
        ("broker-list", "write --bootstrap-server"),
        ("new-consumer", "it is the only one; leave it out"),
        ("whitelist", "write --include"),
        (
            "blacklist",
            "write --include with an expression that leaves those topics out",
        ),
        (
            "delete-consumer-offsets",
            "use forebay consumer-groups --delete --group ID",
        ),
        ("csv-reporter-enabled", "metrics are at the console's /metrics"),
    ],
};

/// How long one poll waits, so that signals and deadlines are seen.
const POLL: Duration = Duration::from_secs(1);

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    super::run_tool(&TOOL, arguments, |options| async move {
        let source = Source::new(&options)?;
        let (format, skip_on_error) = (format(&options)?, options.has("skip-message-on-error"));
        let limits = Limits::new(&options)?;
        let properties = consumer_properties(&options)?;
        let server = options.required("bootstrap-server")?;
        let client = super::client(server)?;
        let consumer = client
            .consumer(&properties)
            .map_err(|error| Stop::Failed(error.to_string()))?;
        let output = BufWriter::with_capacity(64 * 1024, std::io::stdout());
        let mut session = Session {
            consumer,
            format,
            skip_on_error,
            limits,
            output,
            processed: 0,
            next: BTreeMap::new(),
        };
        let ended = session.run(&source).await;
        session.finish().await;
        if options.has("enable-systest-events") {
            say!("shutdown_complete");
        }
        ended
    })
}

/// What is read.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    Topic(String),
    Matching(String),
    Partition(TopicPartition, Start),
}

#[derive(Debug, PartialEq, Eq)]
enum Start {
    Earliest,
    Latest,
    At(Offset),
}

impl Source {
    /// Which options go together (`ConsoleConsumerOptions.checkRequiredArgs`).
    fn new(options: &Options) -> Result<Self, Stop> {
        let partition: Option<i32> = options.number("partition")?;
        let source = match (options.value("topic")?, options.value("include")?) {
            (Some(topic), None) => Self::Topic(topic.to_owned()),
            (None, Some(pattern)) => Self::Matching(pattern.to_owned()),
            _ => {
                return Err(Stop::usage(
                    "Exactly one of the following arguments is required: [topic], [include]",
                ));
            }
        };
        let source = match (source, partition) {
            (Self::Topic(topic), Some(partition)) => {
                if options.has("from-beginning") && options.has("offset") {
                    return Err(Stop::usage(
                        "Options from-beginning and offset cannot be specified together.",
                    ));
                }
                Self::Partition(TopicPartition::new(topic, partition), start(options)?)
            }
            (_, Some(_)) => return Err(Stop::usage("The topic is required when partition is specified.")),
            (_, None) if options.has("offset") => {
                return Err(Stop::usage("The partition is required when offset is specified."));
            }
            (source, None) => source,
        };
        options.required("bootstrap-server")?;
        Ok(source)
    }
}

fn start(options: &Options) -> Result<Start, Stop> {
    let Some(offset) = options.value("offset")? else {
        return Ok(if options.has("from-beginning") {
            Start::Earliest
        } else {
            Start::Latest
        });
    };
    match offset.to_ascii_lowercase().as_str() {
        "earliest" => Ok(Start::Earliest),
        "latest" => Ok(Start::Latest),
        number => match number.parse() {
            Ok(number) if number >= 0 => Ok(Start::At(Offset(number))),
            _ => Err(Stop::usage(format!(
                "The provided offset value '{offset}' is incorrect. Valid values are 'earliest', 'latest', or a \
                 non-negative long."
            ))),
        },
    }
}

/// When to stop by itself.
#[derive(Debug)]
struct Limits {
    messages: Option<u64>,
    silence: Option<Duration>,
}

impl Limits {
    fn new(options: &Options) -> Result<Self, Stop> {
        let messages: Option<i32> = options.number("max-messages")?;
        let silence_ms: Option<i64> = options.number("timeout-ms")?;
        Ok(Self {
            messages: messages.and_then(|messages| messages.try_into().ok()),
            silence: silence_ms
                .and_then(|silence| silence.try_into().ok())
                .map(Duration::from_millis),
        })
    }
}

/// The consumer's properties: files, then single properties, then what options say.
fn consumer_properties(options: &Options) -> Result<Properties, Stop> {
    let mut properties = Properties::new();
    for name in ["consumer.config", "command-config"] {
        if let Some(path) = options.value(name)? {
            properties.extend(super::properties_file(path)?);
        }
    }
    for name in ["consumer-property", "command-property"] {
        properties.extend(super::pairs(&options.values(name)));
    }
    set_group(options, &mut properties)?;
    let reset = if options.has("from-beginning") {
        "earliest"
    } else {
        "latest"
    };
    match properties.get("auto.offset.reset") {
        Some(given) if options.has("from-beginning") && given != reset => {
            return Err(Stop::usage(format!(
                "Can't simultaneously specify --from-beginning and 'auto.offset.reset={given}', please remove one option"
            )));
        }
        Some(_) => {}
        None => {
            properties.insert("auto.offset.reset".to_owned(), reset.to_owned());
        }
    }
    if let Some(level) = options.value("isolation-level")? {
        properties.insert("isolation.level".to_owned(), level.to_owned());
    }
    properties
        .entry("client.id".to_owned())
        .or_insert_with(|| "console-consumer".to_owned());
    Ok(properties)
}

/// A group of its own commits nothing, so that it leaves nothing behind.
fn set_group(options: &Options, properties: &mut Properties) -> Result<(), Stop> {
    let by_property = properties.get("group.id").cloned();
    let by_option = options.value("group")?.map(ToOwned::to_owned);
    if let (Some(one), Some(other)) = (&by_option, &by_property)
        && one != other
    {
        return Err(Stop::usage(format!(
            "The group ids provided in different places (directly using '--group', via '--command-property', or via \
             '--command-config') do not match. Detected group ids: '{one}', '{other}'"
        )));
    }
    let group = by_option.or(by_property);
    if group.is_some() && options.has("partition") {
        return Err(Stop::usage(
            "Options group and partition cannot be specified together.",
        ));
    }
    let group = group.unwrap_or_else(|| {
        properties
            .entry("enable.auto.commit".to_owned())
            .or_insert_with(|| "false".to_owned());
        format!("console-consumer-{}", random_number() % 100_000)
    });
    properties.insert("group.id".to_owned(), group);
    Ok(())
}

/// The standard library seeds its hash maps by chance.
fn random_number() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(std::process::id())
}

fn format(options: &Options) -> Result<Format, Stop> {
    let mut properties = match options.value("formatter-config")? {
        Some(path) => super::properties_file(path)?,
        None => Properties::new(),
    };
    for (option, key) in [
        ("key-deserializer", "key.deserializer"),
        ("value-deserializer", "value.deserializer"),
    ] {
        if let Some(class) = options.value(option)?.filter(|class| !class.is_empty()) {
            properties.insert(key.to_owned(), class.to_owned());
        }
    }
    for name in ["property", "formatter-property"] {
        properties.extend(super::pairs(&options.values(name)));
    }
    Format::new(options.value("formatter")?, &properties).map_err(Stop::Usage)
}

struct Session<W: Write> {
    consumer: Consumer,
    format: Format,
    skip_on_error: bool,
    limits: Limits,
    output: W,
    processed: u64,
    /// Of partitions of which not everything that was polled has been printed: where to go on.
    next: BTreeMap<TopicPartition, Offset>,
}

impl<W: Write> Session<W> {
    /// Reads until a limit, an error or a signal.
    async fn run(&mut self, source: &Source) -> Result<ExitCode, Stop> {
        self.begin(source)?;
        let mut interrupted = std::pin::pin!(super::interrupted());
        let mut heard = Instant::now();
        let mut warned = String::new();
        while self
            .limits
            .messages
            .is_none_or(|messages| self.processed < messages)
        {
            let wait = self
                .limits
                .silence
                .map_or(POLL, |silence| silence.saturating_sub(heard.elapsed()).min(POLL));
            let polled = tokio::select! {
                code = &mut interrupted => return Ok(code),
                polled = self.consumer.poll_batches(wait) => polled,
            };
            match polled {
                Ok(batches) if batches.is_empty() => {}
                Ok(batches) => {
                    if !self.print_all(&batches)? {
                        return Ok(ExitCode::FAILURE);
                    }
                    heard = Instant::now();
                }
                Err(error) if error.is_retriable() => {
                    // Once, not with every poll.
                    let warning = super::reason(&error);
                    if warning != warned {
                        eprintln!("{warning}; trying on");
                        warned = warning;
                    }
                    tokio::time::sleep(wait.min(Duration::from_millis(100))).await;
                }
                Err(error) => {
                    let reason = super::reason(&error);
                    eprintln!("Error processing message, terminating consumer process: {reason}");
                    return Ok(ExitCode::FAILURE);
                }
            }
            if let Some(silence) = self.limits.silence
                && heard.elapsed() >= silence
            {
                let ms = silence.as_millis();
                eprintln!(
                    "Error processing message, terminating consumer process: no message came within {ms} ms"
                );
                return Ok(ExitCode::SUCCESS);
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn begin(&mut self, source: &Source) -> Result<(), Stop> {
        match source {
            Source::Topic(topic) => self.consumer.subscribe(Subscription::topics([topic.as_str()]))?,
            Source::Matching(pattern) => {
                let regex = regex::Regex::new(&format!("^(?:{pattern})$"))
                    .map_err(|_| Stop::usage(format!("{pattern} is an invalid regex.")))?;
                self.consumer
                    .subscribe(Subscription::matching(move |topic| regex.is_match(topic)))?;
            }
            Source::Partition(partition, start) => {
                self.consumer.assign([partition.clone()])?;
                let partitions = std::slice::from_ref(partition);
                match start {
                    Start::Earliest => self.consumer.seek_to_beginning(partitions)?,
                    Start::Latest => self.consumer.seek_to_end(partitions)?,
                    Start::At(offset) => self.consumer.seek(partition, *offset)?,
                }
            }
        }
        Ok(())
    }

    /// Prints batches as far as the limit allows. `false`: nobody reads the output any more.
    fn print_all(&mut self, batches: &[FetchedBatch]) -> Result<bool, Stop> {
        for batch in batches {
            if self
                .limits
                .messages
                .is_some_and(|messages| self.processed >= messages)
            {
                // Polled, but not printed: the group must not take it for read.
                self.next
                    .entry(batch.topic_partition.clone())
                    .or_insert(batch.first_offset);
            } else if let Err(error) = self.print(batch)? {
                return Ok(self.unwritable(&error));
            }
        }
        match self.output.flush() {
            Ok(()) => Ok(true),
            Err(error) => Ok(self.unwritable(&error)),
        }
    }

    fn unwritable(&self, error: &std::io::Error) -> bool {
        eprintln!("Unable to write to standard out, closing consumer: {error}");
        false
    }

    fn print(&mut self, batch: &FetchedBatch) -> Result<std::io::Result<()>, Stop> {
        let failed =
            |error: forebay_records::Error| Stop::Failed(format!("{}: {error}", batch.topic_partition));
        let place = Place {
            partition: batch.topic_partition.partition,
            leader_epoch: batch.batch.header().partition_leader_epoch,
            timestamp_type: batch.batch.header().timestamp_type(),
        };
        for record in batch.records().map_err(failed)? {
            let record = record.map_err(failed)?;
            if self
                .limits
                .messages
                .is_some_and(|messages| self.processed >= messages)
            {
                self.next.insert(batch.topic_partition.clone(), record.offset);
                break;
            }
            self.processed += 1;
            match self.format.write(&mut self.output, &place, &record) {
                Ok(()) => {}
                Err(format::Error::Output(error)) => return Ok(Err(error)),
                Err(format::Error::Record(reason)) if self.skip_on_error => {
                    eprintln!("Error processing message, skipping this message: {reason}");
                }
                Err(format::Error::Record(reason)) => return Err(Stop::Failed(reason)),
            }
        }
        Ok(Ok(()))
    }

    /// Commits no more than was printed, leaves the group, and says how much it was.
    async fn finish(mut self) {
        // Where nobody reads any more there is nobody to tell.
        let _ = self.output.flush();
        for (partition, offset) in std::mem::take(&mut self.next) {
            // A partition that has gone to another member in the meantime is that one's business.
            let _ = self.consumer.seek(&partition, offset);
        }
        if let Err(error) = self.consumer.close().await {
            eprintln!("{}", super::reason(&error));
        }
        eprintln!("Processed a total of {} messages", self.processed);
    }
}

#[cfg(test)]
mod tests;
