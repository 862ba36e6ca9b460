//! `forebay console-consumer` (Kafka's `ConsoleConsumer`, `kafka-console-consumer.sh`): prints records of topics.

mod format;
mod session;
mod settings;

use std::io::BufWriter;
use std::process::ExitCode;

use super::options::{Stop, Tool, switch, valued};
use session::Session;
use settings::{Limits, Source};

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

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    super::run_tool(&TOOL, arguments, |options| async move {
        let source = Source::new(&options)?;
        let (format, skip_on_error) = (settings::format(&options)?, options.has("skip-message-on-error"));
        let limits = Limits::new(&options)?;
        let properties = settings::consumer_properties(&options)?;
        let server = options.required("bootstrap-server")?;
        let client = super::client(server)?;
        let consumer = client
            .consumer(&properties)
            .map_err(|error| Stop::Failed(error.to_string()))?;
        let output = BufWriter::with_capacity(64 * 1024, std::io::stdout());
        let mut session = Session::new(consumer, format, skip_on_error, limits, output);
        let ended = session.run(&source).await;
        session.finish().await;
        if options.has("enable-systest-events") {
            say!("shutdown_complete");
        }
        ended
    })
}

#[cfg(test)]
mod tests;
