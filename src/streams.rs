//! `forebay streams wordcount`: Spark's word count over a topic, from a cluster of one's choice.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use forebay_client::{Client, ClientConfig};
use forebay_disk::RealDisk;
use forebay_streams::{ConsoleSink, Query, QueryOptions, Sink, StartingOffsets, TopicSink, Trigger};

use crate::start::termination;

/// The micro-batch queries that there are.
#[derive(Debug, Subcommand)]
pub(crate) enum StreamsCommand {
    /// Counts words: lines of a topic, split at blanks as Spark splits them, in complete mode.
    Wordcount(WordcountArguments),
}

/// What the word count is given.
#[derive(Debug, Args)]
pub(crate) struct WordcountArguments {
    /// The topic whose values are lines.
    #[arg(long)]
    topic: String,
    /// Brokers to ask first, as host:port,…
    #[arg(long, default_value = "localhost:9092")]
    bootstrap_server: String,
    /// How often a batch starts, such as 1s or 500ms; without it, as soon as the last one has ended.
    #[arg(long, value_parser = parse_interval, conflicts_with = "available_now")]
    trigger: Option<Duration>,
    /// Count what is there now, then stop.
    #[arg(long)]
    available_now: bool,
    /// Where to begin, unless the checkpoint says.
    #[arg(long, value_enum, default_value_t = Starting::Earliest)]
    starting_offsets: Starting,
    /// At most about so many offsets in a batch.
    #[arg(long, value_name = "N", default_value_t = u64::MAX, hide_default_value = true)]
    max_offsets_per_trigger: u64,
    /// Where offsets and state are kept; the query goes on from there. Default: ./forebay-streams/wordcount-TOPIC
    #[arg(long, value_name = "DIR")]
    checkpoint_location: Option<PathBuf>,
    /// Write the counts to this topic (key: word, value: count) instead of the console.
    #[arg(long, value_name = "TOPIC")]
    output_topic: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Starting {
    Earliest,
    Latest,
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    Trigger::parse_interval(text)
        .ok_or_else(|| "expected an interval such as 1s, 500ms or 2 minutes".to_owned())
}

/// Runs the query until it ends or is told to.
pub(crate) fn run(command: StreamsCommand) -> anyhow::Result<()> {
    let StreamsCommand::Wordcount(arguments) = command;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(word_count(arguments))
}

async fn word_count(arguments: WordcountArguments) -> anyhow::Result<()> {
    let client = Client::new(ClientConfig::bootstrap(&arguments.bootstrap_server)?);
    let sink: Box<dyn Sink> = match &arguments.output_topic {
        Some(topic) => Box::new(TopicSink::new(&client, topic)?),
        None => Box::new(ConsoleSink::new(Box::new(std::io::stdout()))),
    };
    let default_location = || PathBuf::from("forebay-streams").join(format!("wordcount-{}", arguments.topic));
    let trigger = match arguments.available_now {
        true => Trigger::AvailableNow,
        false => Trigger::ProcessingTime(arguments.trigger.unwrap_or_default()),
    };
    let options = QueryOptions {
        starting_offsets: match arguments.starting_offsets {
            Starting::Earliest => StartingOffsets::Earliest,
            Starting::Latest => StartingOffsets::Latest,
        },
        trigger,
        max_offsets_per_trigger: arguments.max_offsets_per_trigger.max(1),
        checkpoint_location: arguments
            .checkpoint_location
            .clone()
            .unwrap_or_else(default_location),
        topic: arguments.topic,
    };
    let query = Query::open(&client, Arc::new(RealDisk), options, sink)
        .await
        .context("the query cannot start")?;
    let shutdown = async {
        // A process without signal handlers runs until it is killed, which is as safe.
        if termination().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    Ok(query.run(shutdown).await?)
}
