//! `forebay console-producer` (Kafka's `ConsoleProducer`, `kafka-console-producer.sh`): every line of standard input becomes a
//! record. A thread reads and splits, the producer batches; what is in flight is bounded on both sides.

mod line_format;
mod lines;
mod session;

use std::io::{BufReader, IsTerminal as _};
use std::process::ExitCode;

use forebay_config::Properties;
use tokio::sync::mpsc;

use super::options::{Argument, Flag, Options, Stop, Tool, switch, valued};
use line_format::LineFormat;
use session::Session;

static TOOL: Tool = Tool {
    name: "console-producer",
    about: "Sends every line of standard input to a topic.",
    flags: &[
        valued(
            "batch-size",
            "bytes",
            "batch.size: how many bytes a batch has at most; 16384 unless given.",
        ),
        valued("bootstrap-server", "host:port,...", "REQUIRED: brokers to ask."),
        valued(
            "broker-list",
            "host:port,...",
            "The old name of --bootstrap-server.",
        ),
        valued(
            "command-config",
            "file",
            "Properties of the producer; --command-property is stronger.",
        ),
        valued(
            "command-property",
            "key=value",
            "A property of the producer; as often as needed.",
        ),
        Flag {
            name: "compression-codec",
            argument: Argument::Optional("none|gzip|snappy|lz4|zstd"),
            help: "How batches are compressed; without a value, gzip.",
        },
        valued(
            "line-reader",
            "class",
            "Only Kafka's LineMessageReader, which is the default.",
        ),
        valued(
            "max-block-ms",
            "ms",
            "max.block.ms: how long to wait for metadata and space; 60000 unless given.",
        ),
        valued(
            "max-memory-bytes",
            "bytes",
            "buffer.memory: how many bytes may wait to be sent; 33554432 unless given.",
        ),
        valued(
            "max-partition-memory-bytes",
            "bytes",
            "The old name of --batch-size; stronger than that.",
        ),
        valued(
            "message-send-max-retries",
            "count",
            "retries: how often a batch is sent again; 3 unless given.",
        ),
        valued(
            "metadata-expiry-ms",
            "ms",
            "metadata.max.age.ms; 300000 unless given.",
        ),
        valued(
            "producer-property",
            "key=value",
            "The old name of --command-property.",
        ),
        valued("producer.config", "file", "The old name of --command-config."),
        valued("property", "key=value", "The old name of --reader-property."),
        valued(
            "reader-config",
            "file",
            "Properties of the line reader; --reader-property is stronger.",
        ),
        valued(
            "reader-property",
            "key=value",
            "How a line is read: parse.key=false, key.separator=TAB, parse.headers=false, headers.delimiter=TAB, \
             headers.separator=, and headers.key.separator=: as in h1:v1,h2:v2 TAB key TAB value; ignore.error=false; \
             null.marker= a text that stands for null.",
        ),
        valued(
            "request-required-acks",
            "acks",
            "acks: 0, 1, or all; all unless given.",
        ),
        valued(
            "request-timeout-ms",
            "ms",
            "request.timeout.ms; 1500 unless given.",
        ),
        valued("retry-backoff-ms", "ms", "retry.backoff.ms; 100 unless given."),
        valued(
            "socket-buffer-size",
            "bytes",
            "Does nothing: the operating system sizes its buffers.",
        ),
        switch(
            "sync",
            "Wait for the acknowledgement of each line before the next is sent.",
        ),
        valued(
            "timeout",
            "ms",
            "linger.ms: how long a batch waits for more lines; 1000 unless given, 0 at a terminal.",
        ),
        valued("topic", "name", "REQUIRED: the topic."),
    ],
    gone: &[
        (
            "zookeeper",
            "there is no ZooKeeper any more; write --bootstrap-server with a broker's address, such as localhost:9092",
        ),
        ("queue-size", "write --max-memory-bytes"),
        ("queue-enqueuetimeout-ms", "write --max-block-ms"),
        ("key-serializer", "keys are sent as the bytes that they are"),
        ("value-serializer", "values are sent as the bytes that they are"),
    ],
};

/// How many blocks of lines wait between the thread that reads and the task that sends.
const BLOCKS_MAX: usize = 8;

/// How many bytes one read takes at most.
const READ_BYTES: usize = 256 * 1024;

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    super::run_tool(&TOOL, arguments, |options| async move {
        let topic = options.required("topic")?.to_owned();
        let interactive = std::io::stdin().is_terminal();
        let server = bootstrap_server(&options)?;
        let format = LineFormat::new(&reader_properties(&options)?).map_err(Stop::Failed)?;
        let properties = producer_properties(&options, interactive)?;
        let producer = super::client(server)?
            .producer(&properties)
            .map_err(|error| Stop::Failed(error.to_string()))?;
        let line_bytes_max = producer.config().buffer_memory;
        let (blocks, received) = mpsc::channel(BLOCKS_MAX);
        std::thread::spawn(move || {
            let mut input = BufReader::with_capacity(READ_BYTES, std::io::stdin());
            lines::read(&mut input, interactive, line_bytes_max, &blocks);
        });
        let session = Session::new(producer, topic, format, options.has("sync"), interactive);
        Ok(session.run(received).await)
    })
}

/// `--bootstrap-server`, or as of old `--broker-list`.
fn bootstrap_server(options: &Options) -> Result<&str, Stop> {
    let given = match options.value("bootstrap-server")? {
        Some(server) => server,
        None => match options.value("broker-list")? {
            Some(server) => server,
            None => return options.required("bootstrap-server"),
        },
    };
    let valid = given.split(',').all(|address| {
        let port = address.trim().rsplit_once(':').map(|(_, port)| port);
        port.is_some_and(|port| port.parse::<u16>().is_ok())
    });
    if valid {
        Ok(given)
    } else {
        Err(Stop::usage(
            "Please provide valid host:port like host1:9091,host2:9092",
        ))
    }
}

fn reader_properties(options: &Options) -> Result<Properties, Stop> {
    if let Some(class) = options.value("line-reader")?
        && !class.ends_with("LineMessageReader")
    {
        return Err(Stop::usage(format!(
            "there are no Java classes here: {class} cannot read lines"
        )));
    }
    let mut properties = match options.value("reader-config")? {
        Some(path) => super::properties_file(path)?,
        None => Properties::new(),
    };
    for name in ["property", "reader-property"] {
        properties.extend(super::pairs(&options.values(name)));
    }
    Ok(properties)
}

/// The producer's properties: files, then single properties, then what options say or else Kafka's tool sets.
fn producer_properties(options: &Options, interactive: bool) -> Result<Properties, Stop> {
    let mut properties = Properties::new();
    for name in ["producer.config", "command-config"] {
        if let Some(path) = options.value(name)? {
            properties.extend(super::properties_file(path)?);
        }
    }
    for name in ["producer-property", "command-property"] {
        properties.extend(super::pairs(&options.values(name)));
    }
    if options.has("compression-codec") {
        let codec = options
            .value("compression-codec")?
            .filter(|codec| !codec.is_empty())
            .unwrap_or("gzip");
        properties.insert("compression.type".to_owned(), codec.to_owned());
    }
    properties
        .entry("client.id".to_owned())
        .or_insert_with(|| "console-producer".to_owned());
    // Somebody who types wants to see the line arrive.
    let linger = if interactive { "0" } else { "1000" };
    let merged = [
        ("timeout", "linger.ms", linger),
        ("request-required-acks", "acks", "-1"),
        ("request-timeout-ms", "request.timeout.ms", "1500"),
        ("message-send-max-retries", "retries", "3"),
        ("retry-backoff-ms", "retry.backoff.ms", "100"),
        ("max-memory-bytes", "buffer.memory", "33554432"),
        ("batch-size", "batch.size", "16384"),
        ("max-partition-memory-bytes", "batch.size", "16384"),
        ("metadata-expiry-ms", "metadata.max.age.ms", "300000"),
        ("max-block-ms", "max.block.ms", "60000"),
    ];
    for (option, key, default) in merged {
        if let Some(value) = options.value(option)? {
            properties.insert(key.to_owned(), value.to_owned());
        } else {
            properties
                .entry(key.to_owned())
                .or_insert_with(|| default.to_owned());
        }
    }
    Ok(properties)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &str) -> Options {
        let arguments: Vec<String> = arguments.split(' ').map(Into::into).collect();
        TOOL.parse(&arguments).expect("reads")
    }

    #[test]
    fn properties_come_from_options_then_properties_then_kafkas_defaults() {
        let given = options(
            "--topic t --producer-property acks=1 --producer-property linger.ms=7 --command-property linger.ms=8 \
             --max-memory-bytes 99 --compression-codec --batch-size 5 --timeout 9",
        );
        let properties = producer_properties(&given, false).expect("fine");
        let cases = [
            ("acks", "1"),
            ("linger.ms", "9"),
            ("buffer.memory", "99"),
            ("compression.type", "gzip"),
            ("batch.size", "5"),
            ("retries", "3"),
            ("request.timeout.ms", "1500"),
            ("client.id", "console-producer"),
        ];
        for (key, value) in cases {
            assert_eq!(properties.get(key).map(String::as_str), Some(value), "{key}");
        }
        let linger = |interactive| {
            producer_properties(&options("--topic t"), interactive).expect("fine")["linger.ms"].clone()
        };
        assert_eq!((linger(false), linger(true)), ("1000".to_owned(), "0".to_owned()));
    }

    #[test]
    fn the_old_name_of_the_bootstrap_server_works() {
        assert_eq!(bootstrap_server(&options("--broker-list a:1,b:2")), Ok("a:1,b:2"));
        assert_eq!(
            bootstrap_server(&options("--bootstrap-server a:1 --broker-list b:2")),
            Ok("a:1")
        );
        assert_eq!(
            bootstrap_server(&options("--topic t")),
            Err(Stop::usage("Missing required argument \"[bootstrap-server]\""))
        );
        assert_eq!(
            bootstrap_server(&options("--bootstrap-server nohost")),
            Err(Stop::usage(
                "Please provide valid host:port like host1:9091,host2:9092"
            ))
        );
    }
}
