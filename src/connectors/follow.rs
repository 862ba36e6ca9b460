//! `forebay connectors --follow`: how far sources are that have an end, until they are there.

mod bars;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::bail;

use super::figures::{self, Figures, Progress};
use super::{Connector, State, connectors, table};
use bars::Display;

/// How often workers are asked.
const INTERVAL: Duration = Duration::from_millis(500);

/// For how long a source may run without saying how far it is, and workers may not answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// A task that has an end.
#[derive(Debug, Clone, PartialEq)]
struct Part {
    /// The connector, and the task where it has more than one.
    name: String,
    state: String,
    progress: Progress,
    /// Records per second.
    rate: Option<f64>,
    /// Whether everything is done and acknowledged.
    is_done: bool,
}

/// What is seen of the sources at one moment.
#[derive(Debug, Default, PartialEq)]
struct Look {
    parts: Vec<Part>,
    /// Sources that should say how far they are and have not yet.
    silent: Vec<String>,
    /// Who has failed, and why.
    failures: Vec<String>,
}

/// Tasks that have said how far they are. What becomes of them counts from then on as if they were named: a task that has failed, or is
/// started again, says nothing.
type Seen = BTreeSet<(String, u32)>;

impl Look {
    /// At these connectors, or at every source that says how far it is, or has said it.
    fn at(
        connectors: &BTreeMap<String, Connector>,
        figures: &Figures,
        names: &[String],
        seen: &mut Seen,
    ) -> anyhow::Result<Self> {
        table::check_names(connectors, names)?;
        let mut look = Self::default();
        for (name, connector) in connectors {
            let is_named = names.contains(name);
            let kind = connector
                .info
                .as_ref()
                .and_then(|info| info.connector_type.as_deref());
            if kind == Some("sink") && is_named {
                bail!("{name} is a sink: what it reads has no end");
            }
            if kind == Some("sink") || !(is_named || names.is_empty()) {
                continue;
            }
            let tasks = connector.status.as_ref().map_or(&[][..], |status| &status.tasks);
            let was_seen = |seen: &Seen| seen.iter().any(|(known, _)| known == name);
            if tasks.is_empty() && (is_named || was_seen(seen)) {
                look.silent.push(name.clone());
            }
            let is_one = tasks.len() == 1;
            for task in tasks {
                let id = (name.clone(), task.id.unwrap_or_default());
                let is_followed = is_named || seen.contains(&id);
                if look.take(&id, (task, is_one), figures, is_followed) {
                    seen.insert(id);
                }
            }
            let states = connector.status.iter().map(|status| &status.connector);
            look.failures
                .extend(states.filter_map(|state| table::failure(name, state)));
        }
        Ok(look)
    }

    /// Whether the task says how far it is.
    fn take(
        &mut self,
        id: &(String, u32),
        (task, is_one): (&State, bool),
        figures: &Figures,
        is_followed: bool,
    ) -> bool {
        let (connector, number) = id;
        let known = figures.get(id).copied().unwrap_or_default();
        let name = if is_one {
            connector.clone()
        } else {
            format!("{connector}-{number}")
        };
        let failure = table::failure(connector, task);
        match known.progress {
            Some(progress) => self.parts.push(Part {
                name,
                state: task.state.clone(),
                progress,
                rate: known.rate,
                is_done: progress.is_done() && known.active.is_none_or(|active| active == 0.0),
            }),
            // Its worker has no figures of what has failed.
            None if failure.is_none() && is_followed => self.silent.push(name),
            None => {}
        }
        let says = known.progress.is_some();
        self.failures.extend(failure.filter(|_| is_followed || says));
        says
    }

    fn is_done(&self) -> bool {
        self.silent.is_empty() && !self.parts.is_empty() && self.parts.iter().all(|part| part.is_done)
    }
}

/// Shows them until they are done; `false`: one has failed, or the user has had enough.
pub(super) async fn follow(client: &reqwest::Client, url: &str, names: &[String]) -> anyhow::Result<bool> {
    let (mut display, mut quiet_since) = (Display::new(), Instant::now());
    let mut seen = Seen::new();
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    let mut was_done = false;
    loop {
        let looked = tokio::select! {
            looked = look(client, url, names, &mut seen) => looked,
            stopped = &mut interrupted => {
                stopped?;
                break;
            }
        };
        let has_news = match looked {
            Ok(look) => {
                display.show(&look.parts, Instant::now());
                if let [first, more @ ..] = &look.failures[..] {
                    display.leave();
                    let more = more
                        .iter()
                        .map(|failure| format!("\n{failure}"))
                        .collect::<String>();
                    println!("{first}{more}");
                    return Ok(false);
                }
                // Seen twice: a batch that is being given out is not counted as being on its way yet.
                if look.is_done() && was_done {
                    display.leave();
                    return Ok(true);
                }
                was_done = look.is_done();
                if quiet_since.elapsed() > PATIENCE {
                    display.leave();
                    bail!("{}", says_nothing(&look));
                }
                look.silent.is_empty() && !look.parts.is_empty()
            }
            // A worker that is started again is soon back.
            Err(error) if display.is_empty() || quiet_since.elapsed() > PATIENCE => {
                display.leave();
                return Err(error);
            }
            Err(_) => false,
        };
        if has_news {
            quiet_since = Instant::now();
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            stopped = &mut interrupted => {
                stopped?;
                break;
            }
        }
    }
    display.leave();
    println!("interrupted; the connectors go on");
    Ok(false)
}

async fn look(
    client: &reqwest::Client,
    url: &str,
    names: &[String],
    seen: &mut Seen,
) -> anyhow::Result<Look> {
    let connectors = connectors(client, url).await?;
    let figures = figures::of_workers(client, url, &connectors).await;
    Look::at(&connectors, &figures, names, seen)
}

fn says_nothing(look: &Look) -> String {
    let who = match &look.silent[..] {
        [] => "no source says".to_owned(),
        [one] => format!("{one} does not say"),
        many => format!("{} do not say", many.join(", ")),
    };
    format!(
        "{who} how far it is. Those with an end do: FileStreamSource and DirectorySource with file.complete=true, generated records \
         with iterations or count; their workers have to be Forebay's"
    )
}

#[cfg(test)]
mod tests;
