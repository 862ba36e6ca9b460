//! `forebay connectors`: what the connectors of a worker or of a group of workers are doing, over Connect's REST API. Rates and lag are
//! the workers' own (`/metrics`); a JVM's worker has none there, and they are left out.

mod figures;
mod follow;
mod table;

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde::Deserialize;

use figures::Figures;

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is asked for.
#[derive(Debug, Args)]
pub(crate) struct ConnectorsArguments {
    /// Only these connectors, and of them every task.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Where a worker's REST API is.
    #[arg(long, value_name = "URL", default_value = "http://localhost:8083")]
    url: String,
    /// Show it again every so many seconds, until interrupted.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = clap::value_parser!(u64).range(1..))]
    watch: Option<u64>,
    /// Show how far sources are that have an end, such as a file that is complete, until they are there: as bars on a terminal.
    #[arg(long, conflicts_with = "watch")]
    follow: bool,
}

/// One of `GET /connectors?expand=status&expand=info`.
#[derive(Debug, Deserialize)]
struct Connector {
    #[serde(default)]
    info: Option<Info>,
    #[serde(default)]
    status: Option<Status>,
}

#[derive(Debug, Deserialize)]
struct Info {
    #[serde(default)]
    config: BTreeMap<String, String>,
    #[serde(rename = "type", default)]
    connector_type: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Status {
    connector: State,
    tasks: Vec<State>,
}

#[derive(Debug, Deserialize)]
struct State {
    #[serde(default)]
    id: Option<u32>,
    state: String,
    worker_id: String,
    #[serde(default)]
    trace: Option<String>,
}

/// Shows them; `false`: one of them has failed, or is not there.
pub(crate) fn run(arguments: &ConnectorsArguments) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(show(arguments))
}

async fn show(arguments: &ConnectorsArguments) -> anyhow::Result<bool> {
    let client = reqwest::Client::builder().timeout(TIMEOUT).build()?;
    let url = arguments.url.trim_end_matches('/');
    let with_scheme = format!("http://{url}");
    let url = if url.contains("://") { url } else { &with_scheme };
    if arguments.follow {
        return follow::follow(&client, url, &arguments.names).await;
    }
    loop {
        let connectors = connectors(&client, url).await?;
        let figures = figures::of_workers(&client, url, &connectors).await;
        let shown = table::of(&connectors, &figures, &arguments.names)?;
        if arguments.watch.is_some() && std::io::stdout().is_terminal() {
            print!("\x1b[2J\x1b[H");
        }
        print!("{}", shown.text);
        let Some(seconds) = arguments.watch else {
            return Ok(shown.is_well);
        };
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
            stopped = tokio::signal::ctrl_c() => {
                stopped?;
                return Ok(shown.is_well);
            }
        }
    }
}

async fn connectors(client: &reqwest::Client, url: &str) -> anyhow::Result<BTreeMap<String, Connector>> {
    let ask = format!("{url}/connectors?expand=status&expand=info");
    let unreachable = || {
        format!(
            "no Connect worker answers at {url}; start one (forebay start), or name one's address by --url"
        )
    };
    let answer = client.get(&ask).send().await.with_context(unreachable)?;
    let status = answer.status();
    let body = answer.text().await.with_context(unreachable)?;
    if !status.is_success() {
        bail!("{url} answers {status}: {}", body.trim());
    }
    serde_json::from_str(&body).with_context(|| format!("what answers at {url} is no Connect worker"))
}
