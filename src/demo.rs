//! `forebay demo`: a file becomes a topic, a word count and Parquet, through the hub's own REST API, and everything is
//! counted again at the end.

mod check;
mod connectors;
mod directory;
mod progress;
mod report;
mod text;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use forebay_broker_server::Loggers;
use forebay_client::Client;
use forebay_client::admin::NewTopic;
use forebay_config::Properties;
use forebay_disk::RealDisk;
use forebay_streams::{ConsoleSink, Query, QueryOptions, StartingOffsets, Trigger};

use crate::start::{Hub, Ports, Role, Settings, StartArguments, listener_line};
use check::Counts;
use connectors::Connectors;
use progress::{Bars, Counted};

/// Where the demo keeps everything.
const DIRECTORY: &str = "./forebay-demo";

/// The topic that everything goes through.
const TOPIC: &str = "demo-lines";
const PARTITIONS: i32 = 2;

/// How often the word count runs.
const TRIGGER: Duration = Duration::from_secs(1);

/// How often progress is looked at, and how long none may be made before the demo gives up.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
const STANDSTILL_MAX: Duration = Duration::from_secs(60);

/// What `forebay demo` is given.
#[derive(Debug, Clone, Args)]
pub(crate) struct DemoArguments {
    /// The text to stream, instead of the demo's own.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Stop after the report; the exit status is 1 if any count differs.
    #[arg(long)]
    exit: bool,
    #[command(flatten)]
    ports: Ports,
}

/// Runs the demo; `false` if a count differs.
pub(crate) fn run(arguments: DemoArguments, loggers: Arc<Loggers>) -> anyhow::Result<bool> {
    let began = Instant::now();
    let fresh = directory::fresh(Path::new(DIRECTORY))?;
    let directory = fresh.path.as_path();
    let input = match &arguments.input {
        Some(input) => std::fs::canonicalize(input)
            .with_context(|| format!("cannot read --input {}", input.display()))?,
        None => directory::write_text(directory)?,
    };
    let expected = Counts::of_text(&input)?;
    println!("{}: {expected}", input.display());
    let settings = Settings::new(StartArguments {
        config: None,
        data_dir: directory.join("data"),
        roles: Vec::new(),
        ports: arguments.ports,
        r#override: Vec::new(),
    })?;
    let mut hub = Hub::start(&settings, loggers, |role, addresses| {
        println!("{}", listener_line(role, addresses));
    })?;
    println!("ready in {} ms", began.elapsed().as_millis());
    let client = hub.client(&settings, Role::Console)?;
    let outcome = hub
        .services_runtime()
        .block_on(pipeline(&hub, &client, directory, &input, &expected));
    let agrees = match outcome {
        Ok(agrees) => agrees,
        Err(error) => {
            hub.stop()?;
            return Err(error);
        }
    };
    if !arguments.exit {
        report::print_urls(&hub);
        println!("\nPress Ctrl-C to stop.");
        hub.wait()?;
    }
    hub.stop()?;
    Ok(agrees)
}

/// Everything from the file to the counts.
async fn pipeline(
    hub: &Hub,
    client: &Client,
    directory: &Path,
    input: &Path,
    expected: &Counts,
) -> anyhow::Result<bool> {
    let store = directory.join("store");
    let admin = client.admin(&Properties::new())?;
    admin
        .create_topics(&[NewTopic::new(TOPIC).partitions(PARTITIONS)], false)
        .await?
        .into_values()
        .try_for_each(|it| it.map(drop))?;
    let port = hub
        .port(Role::Connect)
        .context("the demo needs the role connect")?;
    let connectors = Connectors::new(port);
    connectors
        .create("demo-source", &connectors::source(input))
        .await?;
    connectors.create("demo-sink", &connectors::sink(&store)).await?;

    let bars = Bars::new(expected.lines);
    let counted = Counted::default();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let query = word_count(client, directory, &bars, &counted).await?;
    let counting = tokio::spawn(query.run(async {
        // The sender going away is the end of the demo.
        let _ = stopped.await;
    }));
    let finished = watch(&admin, &connectors, &store, (expected, &bars, &counted)).await;
    drop(stop);
    counting.await.context("the word count has panicked")??;
    finished?;
    bars.finish();
    let parquet = Counts::of_parquet(&store.join("topics").join(TOPIC))?;
    Ok(report::print_counts(expected, &parquet, &counted))
}

async fn word_count(
    client: &Client,
    directory: &Path,
    bars: &Bars,
    counted: &Counted,
) -> anyhow::Result<Query> {
    let options = QueryOptions {
        topic: TOPIC.to_owned(),
        starting_offsets: StartingOffsets::Earliest,
        trigger: Trigger::ProcessingTime(TRIGGER),
        max_offsets_per_trigger: u64::MAX,
        checkpoint_location: directory.join("checkpoint"),
    };
    let sink = Box::new(ConsoleSink::new(bars.output()));
    let query = Query::open(client, Arc::new(RealDisk), options, sink).await?;
    let counted = counted.clone();
    Ok(query.on_progress(move |progress| counted.add(progress)))
}

/// Moves the bars until everything has arrived everywhere.
async fn watch(
    admin: &forebay_client::Admin,
    connectors: &Connectors,
    store: &Path,
    (expected, bars, counted): (&Counts, &Bars, &Counted),
) -> anyhow::Result<()> {
    let mut last = (0, Instant::now());
    loop {
        let produced = progress::produced(admin, TOPIC).await?;
        let stored = progress::stored(&store.join("topics").join(TOPIC))?;
        bars.show(produced, counted.lines(), stored);
        if [produced, counted.lines(), stored]
            .iter()
            .all(|lines| *lines >= expected.lines)
        {
            return Ok(());
        }
        let done = produced + counted.lines() + stored;
        if done > last.0 {
            last = (done, Instant::now());
        }
        connectors.check().await?;
        if last.1.elapsed() > STANDSTILL_MAX {
            bail!(
                "nothing has moved for {} s: {produced} lines are in the topic, {} are counted, {stored} are stored, of {}",
                STANDSTILL_MAX.as_secs(),
                counted.lines(),
                expected.lines
            );
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
