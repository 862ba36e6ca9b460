//! `forebay dlq`: what lies in a dead letter queue of a connector, and how it gets back to where it came from. Kafka has no such tool.

mod letter;
mod read;
mod replay;
mod replayed;

use std::process::ExitCode;

use super::commands::{Command, Commands};
use super::options::{Options, Stop, Tool, switch, valued};
use super::table::table;
use letter::{Letter, Selection};

static TOOL: Tool = Tool {
    name: "dlq",
    about: "forebay dlq list: shows the letters in a dead letter queue; forebay dlq replay: sends them to the topics that they are from, \
            each once, however often it is run.",
    flags: &[
        switch("again", "replay: those too that have been replayed before."),
        valued("bootstrap-server", "host:port,...", "REQUIRED: brokers to ask."),
        valued("command-config", "file", "Properties of the clients."),
        valued("connector", "name", "Only letters of this connector."),
        switch("dry-run", "replay: only says what would be done."),
        valued(
            "error",
            "text",
            "Only letters in whose exception's class or message this stands.",
        ),
        valued(
            "from-topic",
            "name",
            "Only letters that were on their way from, or to, this topic.",
        ),
        switch(
            "raw",
            "replay: also letters that are not in the form of the topic, as no converter or parser could read them.",
        ),
        valued(
            "stage",
            "name",
            "Only letters that failed at this stage, such as VALUE_CONVERTER.",
        ),
        valued(
            "to-topic",
            "name",
            "replay: to this topic. For letters without context headers there is no other way to tell.",
        ),
        valued("topic", "name", "REQUIRED: the dead letter queue."),
    ],
    gone: &[],
};

static COMMANDS: Commands = Commands {
    tool: &TOOL,
    commands: &[
        Command {
            name: "list",
            flags: &[],
            required: &["bootstrap-server", "topic"],
        },
        Command {
            name: "replay",
            flags: &["again", "dry-run", "raw", "to-topic"],
            required: &["bootstrap-server", "topic"],
        },
    ],
    short: &[],
};

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    COMMANDS.run(arguments, |command, options| async move {
        let server = options.required("bootstrap-server")?;
        let work = async {
            match command.name {
                "list" => list(&options).await,
                _ => replay::replay(&options).await,
            }
        };
        super::patiently(server, work).await?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn list(options: &Options) -> Result<(), Stop> {
    let (queue, selection) = (options.required("topic")?, Selection::new(options)?);
    let mut reader = read::Reader::new(options, queue).await?;
    let mut rows = Vec::new();
    while let Some(letter) = reader.next().await? {
        if selection.has(&letter) {
            rows.push(row(&letter));
        }
    }
    let header = [
        "PARTITION",
        "OFFSET",
        "FROM",
        "CONNECTOR",
        "TASK",
        "STAGE",
        "ERROR",
        "MESSAGE",
    ];
    super::print(&table(&header, &rows));
    Ok(())
}

fn row(letter: &Letter) -> Vec<String> {
    let text = |key| letter.context(key).unwrap_or("-").to_owned();
    let first_line = text("exception.message");
    let from = match (
        letter.context("topic"),
        letter.context("partition"),
        letter.context("offset"),
    ) {
        (Some(topic), Some(partition), Some(offset)) => format!("{topic}-{partition}@{offset}"),
        (Some(topic), ..) => topic.to_owned(),
        (None, ..) => "-".to_owned(),
    };
    vec![
        letter.partition.to_string(),
        letter.record.offset.to_string(),
        from,
        text("connector.name"),
        text("task.id"),
        text("stage"),
        text("exception.class.name")
            .rsplit('.')
            .next()
            .unwrap_or_default()
            .to_owned(),
        first_line.lines().next().unwrap_or_default().to_owned(),
    ]
}
