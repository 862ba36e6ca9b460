//! Plays the worker of a sink task.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use super::{
    Delivery, Violation,
    chance::Chance,
    context::SinkContext,
    intents::Cluster,
    log::Log,
    step::{Trail, cut_off},
};
use crate::{
    Access, AssignedPartition, BoxFuture, Error, Offset, Offsets, SinkTask, TopicPartition,
    config::Properties,
};

/// Steps of one run, before everything left is delivered and committed.
const STEPS: u64 = 120;
/// Records delivered at once, at most.
const BATCH_MAX: u64 = 40;
/// How often a retriable error is met with another attempt.
const ATTEMPTS_MAX: u32 = 50;
/// The same for opening partitions.
const OPEN_ATTEMPTS_MAX: u32 = 100_000;
/// How often time passes at the end before a task must have committed everything.
const ROUNDS_MAX: u32 = 20;
/// Records that a violation names.
const RECORDS_SHOWN: usize = 5;

/// A sink under test.
pub struct SinkSubject<'a> {
    /// A new task, on the store that its predecessors left.
    pub task: &'a (dyn Fn() -> Box<dyn SinkTask> + Sync),
    /// Its configuration.
    pub properties: Properties,
    /// The topic from which it is fed.
    pub topic: &'a str,
    /// In which form.
    pub delivery: Delivery,
    /// Everything that the store shows to readers at this moment: the values, in any order.
    pub read: &'a (dyn Fn() -> BoxFuture<'static, Vec<String>> + Sync),
    /// Lets so much time pass that every open file has to be closed.
    pub pass_time: &'a (dyn Fn() + Sync),
    /// Whether a record may be stored twice after a kill. A sink of files or objects has no reason to.
    pub may_repeat: bool,
}

impl fmt::Debug for SinkSubject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkSubject")
            .field("topic", &self.topic)
            .field("delivery", &self.delivery)
            .finish_non_exhaustive()
    }
}

/// What happened in a run, for tests to see that something did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SinkReport {
    /// Tasks that were dropped without a word.
    pub kills: u32,
    /// Of these, how many while records were delivered but not committed.
    pub kills_in_flight: u32,
    /// Records that the store shows at the end.
    pub stored: usize,
    /// Of these, how many are there more than once.
    pub repeated: usize,
}

/// Runs a sink task through a schedule made from `seed`.
///
/// # Errors
/// The first promise that it breaks.
pub async fn check_sink(subject: &SinkSubject<'_>, seed: u64) -> Result<SinkReport, Violation> {
    let records_per_partition = 150 + i64::try_from(seed % 100).expect("less than 100");
    let mut run = Run {
        subject,
        log: Log::new(subject.topic, records_per_partition),
        chance: Chance::new(seed),
        trail: Trail::default(),
        committed: Offsets::new(),
        cluster: Cluster::default(),
        positions: Offsets::new(),
        owned: BTreeSet::new(),
        running: None,
        report: SinkReport::default(),
    };
    run.trail.push(format!("seed {seed}"));
    run.start().await?;
    for _ in 0..STEPS {
        run.step().await?;
    }
    run.settle().await?;
    Ok(run.report)
}

struct Running {
    task: Box<dyn SinkTask>,
    context: Arc<SinkContext>,
}

struct Run<'a> {
    subject: &'a SinkSubject<'a>,
    log: Log,
    chance: Chance,
    trail: Trail,
    /// What survives a kill, beside the store.
    committed: Offsets,
    /// The same, for a task that says what it intends.
    cluster: Cluster,
    positions: Offsets,
    owned: BTreeSet<TopicPartition>,
    running: Option<Running>,
    report: SinkReport,
}

impl Run<'_> {
    async fn step(&mut self) -> Result<(), Violation> {
        match self.chance.below(100) {
            0..60 => self.put(None).await,
            60..72 => self.commit(true).await,
            72..76 => {
                self.commit(false).await?;
                self.restart().await
            }
            76..84 => self.restart().await,
            84..88 => {
                let polls = self.chance.below(4);
                self.put(Some(polls)).await?;
                self.restart().await
            }
            88..93 => self.rebalance().await,
            93..96 => {
                (self.subject.pass_time)();
                self.on_deadline().await
            }
            _ => self.on_deadline().await,
        }
    }

    async fn start(&mut self) -> Result<(), Violation> {
        let context = Arc::new(SinkContext::new(Access::unrestricted()));
        let mut task = (self.subject.task)();
        let start = task.start(Arc::clone(&context) as _, &self.subject.properties);
        let started = start.await;
        self.ok(started)?;
        if let Delivery::Raw(format) = &self.subject.delivery
            && !task.takes_raw(format)
        {
            return Err(self.contract(format!("the task does not take raw values of format {format:?}")));
        }
        if task.says_intents() {
            context.set_owner(self.cluster.owner());
        }
        self.running = Some(Running { task, context });
        self.open(self.log.ends.keys().cloned().collect()).await
    }

    async fn open(&mut self, partitions: Vec<TopicPartition>) -> Result<(), Violation> {
        self.owned.extend(partitions.iter().cloned());
        self.trail.push("open");
        for _ in 0..OPEN_ATTEMPTS_MAX {
            let assigned = self.assign(&partitions);
            match self.running().task.open(&assigned).await {
                // What a task that was killed had under way on another thread may still be in the way.
                Err(error) if error.is_retriable() => std::thread::yield_now(),
                other => {
                    self.ok(other)?;
                    self.learn_committed();
                    return self.apply_requests();
                }
            }
        }
        Err(self.contract(format!("{OPEN_ATTEMPTS_MAX} retriable errors from open")))
    }

    /// Gives partitions to the task, from where the group has them.
    fn assign(&mut self, partitions: &[TopicPartition]) -> Vec<AssignedPartition> {
        if let Some(owner) = self.running().context.owner().cloned() {
            partitions.iter().for_each(|one| owner.take_over(one));
        }
        self.learn_committed();
        let assigned: Vec<AssignedPartition> = partitions
            .iter()
            .map(|topic_partition| AssignedPartition {
                topic_partition: topic_partition.clone(),
                topic_id: Some("uCwhBlOMQVyTsBvNKpXkQg".into()),
                committed: self.committed.get(topic_partition).copied(),
                position: self.committed_or_start(topic_partition),
                log_start_offset: Offset::ZERO,
                log_end_offset: self.log.ends[topic_partition],
            })
            .collect();
        for one in &assigned {
            self.positions.insert(one.topic_partition.clone(), one.position);
        }
        assigned
    }

    /// A task that says what it intends commits by itself, too.
    fn learn_committed(&mut self) {
        for topic_partition in self.log.ends.keys() {
            if let Some(offset) = self.cluster.committed(topic_partition) {
                self.committed.insert(topic_partition.clone(), offset);
            }
        }
    }

    async fn put(&mut self, polls: Option<u64>) -> Result<(), Violation> {
        let owned: Vec<TopicPartition> = self.owned.iter().cloned().collect();
        let Some(topic_partition) = pick(&mut self.chance, &owned) else {
            return Ok(());
        };
        let from = self.positions[topic_partition].value();
        let count = i64::try_from(1 + self.chance.below(BATCH_MAX)).expect("small");
        let to = (from + count).min(self.log.ends[topic_partition].value());
        if from == to {
            return Ok(());
        }
        let batch = Log::batch(&self.subject.delivery, topic_partition, from..to);
        self.trail.push(format!("put {topic_partition} {from}..{to}"));
        if let Some(polls) = polls {
            self.trail.push(format!("cut off after {polls} polls"));
            let _ = cut_off(self.running().task.put(&batch), polls).await;
            self.positions.insert(topic_partition.clone(), Offset(to));
            return Ok(());
        }
        for _ in 0..ATTEMPTS_MAX {
            match self.running().task.put(&batch).await {
                Err(error) if error.is_retriable() => self.trail.push("retriable error"),
                other => {
                    self.ok(other)?;
                    self.positions.insert(topic_partition.clone(), Offset(to));
                    return self.apply_requests();
                }
            }
        }
        Err(self.contract(format!("{ATTEMPTS_MAX} retriable errors for one batch")))
    }

    /// Asks what may be committed, and commits it unless the worker is to die just before.
    async fn commit(&mut self, goes_through: bool) -> Result<(), Violation> {
        let current: Offsets = self
            .positions
            .iter()
            .filter(|(topic_partition, _)| self.owned.contains(topic_partition))
            .map(|(topic_partition, offset)| (topic_partition.clone(), *offset))
            .collect();
        self.trail.push(if goes_through {
            "commit"
        } else {
            "commit that does not arrive"
        });
        let safe = match self.running().task.pre_commit(&current).await {
            Err(error) if error.is_retriable() => return Ok(()),
            other => self.ok(other)?,
        };
        for (topic_partition, offset) in &safe {
            if current
                .get(topic_partition)
                .is_none_or(|delivered| offset > delivered)
            {
                return Err(self.contract(format!(
                    "{topic_partition}: {offset} was never delivered, but is to be committed"
                )));
            }
        }
        if goes_through {
            if let Some(owner) = self.running().context.owner() {
                for (topic_partition, offset) in &safe {
                    owner.commit(topic_partition, *offset);
                }
            }
            self.committed.extend(safe);
            self.check_store().await?;
        }
        self.apply_requests()
    }

    async fn on_deadline(&mut self) -> Result<(), Violation> {
        self.trail.push("deadline");
        match self.running().task.on_deadline().await {
            Err(error) if error.is_retriable() => {}
            other => self.ok(other)?,
        }
        self.apply_requests()
    }

    /// Kills the task and starts another.
    async fn restart(&mut self) -> Result<(), Violation> {
        self.trail.push("kill");
        self.report.kills += 1;
        let in_flight = self
            .owned
            .iter()
            .any(|owned| self.positions[owned] > self.committed_or_start(owned));
        self.report.kills_in_flight += u32::from(in_flight);
        self.running = None;
        self.owned.clear();
        self.learn_committed();
        self.check_store().await?;
        self.start().await
    }

    /// Takes a partition away and gives it back later.
    async fn rebalance(&mut self) -> Result<(), Violation> {
        let owned: Vec<TopicPartition> = self.owned.iter().cloned().collect();
        let Some(topic_partition) = pick(&mut self.chance, &owned).cloned() else {
            let all = self.log.ends.keys().cloned().collect();
            return self.open(all).await;
        };
        self.commit(true).await?;
        self.trail.push(format!("close {topic_partition}"));
        let closed = self
            .running()
            .task
            .close(std::slice::from_ref(&topic_partition))
            .await;
        self.ok(closed)?;
        self.owned.remove(&topic_partition);
        if self.chance.below(2) == 0 {
            return self.open(vec![topic_partition]).await;
        }
        Ok(())
    }

    /// Delivers what is left; with time, all of it has to be committed and stored.
    async fn settle(&mut self) -> Result<(), Violation> {
        let missing = self.log.ends.keys().filter(|one| !self.owned.contains(one));
        let missing: Vec<TopicPartition> = missing.cloned().collect();
        if !missing.is_empty() {
            self.open(missing).await?;
        }
        for _ in 0..ROUNDS_MAX {
            while self
                .owned
                .iter()
                .any(|owned| self.positions[owned] < self.log.ends[owned])
            {
                self.put(None).await?;
            }
            if self.committed == self.log.ends {
                break;
            }
            (self.subject.pass_time)();
            self.on_deadline().await?;
            self.commit(true).await?;
        }
        if self.committed != self.log.ends {
            let stuck = format!("offsets stay at {:?}, not {:?}", self.committed, self.log.ends);
            return Err(self.contract(stuck));
        }
        self.trail.push("stop");
        let mut running = self.running.take().expect("a task runs");
        running.task.stop().await;
        self.check_store().await
    }

    /// Everything committed is stored, and nothing is stored twice.
    async fn check_store(&mut self) -> Result<(), Violation> {
        let mut stored = BTreeMap::<String, usize>::new();
        for value in (self.subject.read)().await {
            *stored.entry(value).or_default() += 1;
        }
        let repeated = stored.iter().filter(|(_, count)| **count > 1);
        let repeated: Vec<String> = repeated.map(|(value, _)| value.clone()).collect();
        self.report.repeated = repeated.len();
        self.report.stored = stored.len();
        let after = self.trail.to_string();
        if !repeated.is_empty() && !self.subject.may_repeat {
            let records = repeated.into_iter().take(RECORDS_SHOWN).collect();
            return Err(Violation::Repeated { after, records });
        }
        let mut lost = Vec::new();
        let mut known = BTreeSet::new();
        for (topic_partition, end) in &self.log.ends {
            let committed = self.committed_or_start(topic_partition).value();
            let needed = Log::values(topic_partition, 0..committed).into_iter();
            lost.extend(needed.filter(|value| !stored.contains_key(value)));
            known.extend(Log::values(topic_partition, 0..end.value()));
        }
        if !lost.is_empty() {
            let records = lost.into_iter().take(RECORDS_SHOWN).collect();
            return Err(Violation::Lost { after, records });
        }
        match stored.keys().find(|value| !known.contains(*value)) {
            Some(strange) => Err(self.contract(format!("{strange:?} is stored, which no record says"))),
            None => Ok(()),
        }
    }

    /// Moves positions as the task asked.
    fn apply_requests(&mut self) -> Result<(), Violation> {
        for (topic_partition, offset) in self.running().context.take_offsets() {
            self.trail.push(format!("go to {topic_partition} {offset}"));
            let end = self.log.ends.get(&topic_partition).copied();
            if end.is_none_or(|end| offset > end) {
                return Err(self.contract(format!("{topic_partition} has no offset {offset}")));
            }
            self.positions.insert(topic_partition, offset);
        }
        Ok(())
    }

    fn running(&mut self) -> &mut Running {
        self.running.as_mut().expect("a task runs between start and kill")
    }

    fn committed_or_start(&self, topic_partition: &TopicPartition) -> Offset {
        self.committed
            .get(topic_partition)
            .copied()
            .unwrap_or(Offset::ZERO)
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

fn pick<'a, T>(chance: &mut Chance, from: &'a [T]) -> Option<&'a T> {
    from.get(usize::try_from(chance.below(from.len() as u64)).unwrap_or(0))
}
