//! Plays the worker of a source task, with exactly-once on: what was produced but not committed when the task is killed is taken
//! back, as an aborted transaction is.

use std::{fmt, sync::Arc};

use super::{
    SourceContext, Violation,
    chance::Chance,
    step::{Trail, cut_off},
};
use crate::{Access, Error, OffsetMap, SourceRecord, SourceTask, config::Properties};

/// Calls of `poll` in a row that may be cut off without a record coming.
const FRUITLESS_MAX: u32 = 10_000;
/// How often a retriable error is met with another attempt.
const ATTEMPTS_MAX: u32 = 50;

/// A source under test.
pub struct SourceSubject<'a> {
    /// A new task.
    pub task: &'a (dyn Fn() -> Box<dyn SourceTask> + Sync),
    /// Its configuration.
    pub properties: Properties,
    /// The values that the outside system has, in order.
    pub expected: Vec<String>,
    /// Called now and then with how many values came so far: lets the outside system grow or fail.
    pub disturb: &'a (dyn Fn(usize) + Sync),
}

impl fmt::Debug for SourceSubject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceSubject")
            .field("expected", &self.expected.len())
            .finish_non_exhaustive()
    }
}

/// What happened in a run, for tests to see that something did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SourceReport {
    /// Tasks that were dropped without a word.
    pub kills: u32,
    /// Of these, how many while records were produced but not committed.
    pub kills_in_flight: u32,
    /// Calls of `poll` that were dropped.
    pub polls_cut_off: u32,
    /// Source partitions that the task has had forgotten, and that was committed.
    pub forgotten: u32,
}

/// Runs a source task through a schedule made from `seed`, until everything expected is there.
///
/// # Errors
/// The first promise that it breaks.
pub async fn check_source(subject: &SourceSubject<'_>, seed: u64) -> Result<SourceReport, Violation> {
    let mut run = Run {
        subject,
        chance: Chance::new(seed),
        trail: Trail::default(),
        committed: Vec::new(),
        values_committed: 0,
        produced: Vec::new(),
        since_commit: Vec::new(),
        report: SourceReport::default(),
    };
    run.trail.push(format!("seed {seed}"));
    run.until_all_is_there().await?;
    Ok(run.report)
}

struct Run<'a> {
    subject: &'a SourceSubject<'a>,
    chance: Chance,
    trail: Trail,
    /// Source partitions with their committed offsets.
    committed: Vec<(OffsetMap, OffsetMap)>,
    values_committed: usize,
    produced: Vec<String>,
    since_commit: Vec<(OffsetMap, Option<OffsetMap>)>,
    report: SourceReport,
}

impl Run<'_> {
    async fn until_all_is_there(&mut self) -> Result<(), Violation> {
        let mut task = self.start().await?;
        let mut fruitless = 0;
        while self.values_committed < self.subject.expected.len() {
            (self.subject.disturb)(self.produced.len());
            if self.produced.len() == self.subject.expected.len() {
                // A task that has nothing more would wait for ever.
                self.commit(&mut *task).await?;
                continue;
            }
            match self.poll(&mut *task).await? {
                Some(records) => {
                    fruitless = 0;
                    self.produce(records)?;
                }
                None => fruitless += 1,
            }
            if fruitless > FRUITLESS_MAX {
                let expected = self.subject.expected.get(self.produced.len());
                return Err(self.contract(format!("no more records come, where {expected:?} is expected")));
            }
            match self.chance.below(20) {
                0..8 => self.commit(&mut *task).await?,
                8..11 => {
                    drop(task);
                    self.kill();
                    task = self.start().await?;
                }
                11 => {
                    self.commit(&mut *task).await?;
                    self.trail.push("stop");
                    task.stop().await;
                    task = self.start().await?;
                }
                _ => {}
            }
        }
        // Nothing may follow: neither from this task nor from one that starts at the last offset.
        for _ in 0..2 {
            if let Some(Ok(more)) = cut_off(task.poll(), 1).await {
                // Fails for any record.
                self.produce(more)?;
                self.commit(&mut *task).await?;
            }
            task.stop().await;
            task = self.start().await?;
        }
        task.stop().await;
        Ok(())
    }

    async fn start(&mut self) -> Result<Box<dyn SourceTask>, Violation> {
        self.trail.push("start");
        let mut task = (self.subject.task)();
        let context = SourceContext::new(Access::unrestricted()).with_offsets(self.committed.clone());
        let context = Arc::new(context);
        let started = task.start(context, &self.subject.properties).await;
        self.ok(started)?;
        Ok(task)
    }

    /// `None`: the poll was cut off.
    async fn poll(&mut self, task: &mut dyn SourceTask) -> Result<Option<Vec<SourceRecord>>, Violation> {
        for _ in 0..ATTEMPTS_MAX {
            let polled = if self.chance.below(4) == 0 {
                cut_off(task.poll(), 1 + self.chance.below(2)).await
            } else {
                Some(task.poll().await)
            };
            match polled {
                None => {
                    self.report.polls_cut_off += 1;
                    return Ok(None);
                }
                Some(Err(error)) if error.is_retriable() => self.trail.push("retriable error"),
                Some(other) => return self.ok(other).map(Some),
            }
        }
        Err(self.contract(format!("{ATTEMPTS_MAX} retriable errors in a row")))
    }

    fn produce(&mut self, records: Vec<SourceRecord>) -> Result<(), Violation> {
        if records.is_empty() {
            return Err(self.contract("an empty batch came".to_owned()));
        }
        self.trail.push(format!("{} records", records.len()));
        for record in records {
            if record.forgets {
                set(&mut self.since_commit, &record.source_partition, None);
                continue;
            }
            let value = record.value.value.to_string();
            let expected = self.subject.expected.get(self.produced.len());
            if expected != Some(&value) {
                let after = self.trail.to_string();
                let records = vec![format!("{value:?} instead of {expected:?}")];
                return Err(if self.produced.contains(&value) {
                    Violation::Repeated { after, records }
                } else {
                    Violation::Lost { after, records }
                });
            }
            self.produced.push(value);
            let Some(offset) = record.source_offset else {
                return Err(self.contract("a record without source offset came".to_owned()));
            };
            set(&mut self.since_commit, &record.source_partition, Some(offset));
        }
        Ok(())
    }

    async fn commit(&mut self, task: &mut dyn SourceTask) -> Result<(), Violation> {
        self.trail.push(format!("commit at {}", self.produced.len()));
        let moved = std::mem::take(&mut self.since_commit);
        for (partition, offset) in &moved {
            match offset {
                Some(offset) => set(&mut self.committed, partition, offset.clone()),
                None => {
                    self.committed.retain(|(known, _)| known != partition);
                    self.report.forgotten += 1;
                }
            }
        }
        self.values_committed = self.produced.len();
        let moved: Vec<(Arc<OffsetMap>, OffsetMap)> = moved
            .into_iter()
            .filter_map(|(partition, offset)| Some((Arc::new(partition), offset?)))
            .collect();
        let committed = task.commit(&moved).await;
        self.ok(committed)
    }

    fn kill(&mut self) {
        self.trail.push("kill");
        self.report.kills += 1;
        self.report.kills_in_flight += u32::from(!self.since_commit.is_empty());
        self.since_commit.clear();
        self.produced.truncate(self.values_committed);
    }

    fn ok<T>(&self, result: Result<T, Error>) -> Result<T, Violation> {
        let after = || self.trail.to_string();
        result.map_err(|error| Violation::Failed {
            after: after(),
            error,
        })
    }

    fn contract(&self, what: String) -> Violation {
        let after = self.trail.to_string();
        Violation::Contract { after, what }
    }
}

fn set<T>(offsets: &mut Vec<(OffsetMap, T)>, partition: &OffsetMap, offset: T) {
    match offsets.iter_mut().find(|(known, _)| known == partition) {
        Some((_, last)) => *last = offset,
        None => offsets.push((partition.clone(), offset)),
    }
}
