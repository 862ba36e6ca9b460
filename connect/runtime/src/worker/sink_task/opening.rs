//! Partitions that the group has given to the task and that it does not have yet: their topic is gone, nobody says where they
//! begin, or the task's store is away. Nothing of them is fetched. They are tried again between two polls, so that meanwhile
//! the other partitions flow, and the user is heard.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use forebay_connect_api::{AssignedPartition, Error, Offset};
use forebay_protocol::TopicPartition as ClientTopicPartition;
use tokio::time::Instant;

use super::super::progress::Hold;
use super::partitions::for_task;
use super::{RETRY_DELAY, RETRY_DELAY_MAX, SinkTaskRunner};
use crate::outage::Outage;

/// How long the first look at new partitions may keep the others waiting; grows like the pause before the next one.
const LOOK_PATIENCE: Duration = Duration::from_secs(5);

/// To what that grows.
const LOOK_PATIENCE_MAX: Duration = Duration::from_secs(40);

/// Why a partition was given to the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The group has assigned it.
    Assigned,
    /// Its log goes on before what the task has had.
    BegunAnew,
    /// The task was refused to say what it intends of it.
    Refused {
        /// Where it was before, if the group has no offset.
        from: Offset,
    },
}

/// The partitions, and when they are tried next.
#[derive(Debug)]
pub(super) struct Waiting {
    partitions: BTreeMap<ClientTopicPartition, Cause>,
    not_before: Instant,
    delay: Duration,
    patience: Duration,
    outage: Outage,
}

impl Default for Waiting {
    fn default() -> Self {
        Self {
            partitions: BTreeMap::new(),
            not_before: Instant::now(),
            delay: RETRY_DELAY,
            patience: LOOK_PATIENCE,
            outage: Outage::default(),
        }
    }
}

impl Waiting {
    /// One more, to be tried at once, and the others with it.
    fn add(&mut self, partition: ClientTopicPartition, cause: Cause) {
        self.partitions.insert(partition, cause);
        self.not_before = Instant::now();
        (self.delay, self.patience) = (RETRY_DELAY, LOOK_PATIENCE);
    }

    /// One more, after a pause in which a poll may find out that it is somebody else's.
    pub(super) fn add_later(&mut self, partition: ClientTopicPartition, cause: Cause) {
        self.partitions.insert(partition, cause);
        self.not_before = self.not_before.max(Instant::now() + RETRY_DELAY);
    }

    /// It waits no more; why it did.
    pub(super) fn remove(&mut self, partition: &ClientTopicPartition) -> Option<Cause> {
        self.partitions.remove(partition)
    }

    pub(super) fn clear(&mut self) {
        self.partitions.clear();
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &ClientTopicPartition> {
        self.partitions.keys()
    }

    /// When they are tried next, if there are any.
    pub(super) fn next(&self) -> Option<Instant> {
        (!self.partitions.is_empty()).then_some(self.not_before)
    }

    /// An attempt has failed; `true`: the first one.
    fn put_off(&mut self) -> bool {
        self.not_before = Instant::now() + self.delay;
        self.delay = (self.delay * 2).min(RETRY_DELAY_MAX);
        self.patience = (self.patience * 2).min(LOOK_PATIENCE_MAX);
        self.outage.begins()
    }
}

impl SinkTaskRunner {
    /// These are the task's from now on. They are opened by [`Self::open_waiting`].
    pub(super) fn take_over(
        &mut self,
        partitions: &[ClientTopicPartition],
        cause: Cause,
    ) -> Result<(), Error> {
        for partition in partitions {
            self.waiting.add(partition.clone(), cause);
        }
        self.apply_pauses()
    }

    /// Gives the task those of the waiting partitions that can be opened, if it is time for that.
    pub(super) async fn open_waiting(&mut self) -> Result<(), Error> {
        if self.waiting.next().is_none_or(|next| next > Instant::now()) {
            return Ok(());
        }
        let (there, away): (Vec<ClientTopicPartition>, Vec<ClientTopicPartition>) = self
            .waiting
            .names()
            .cloned()
            .partition(|partition| self.consumer.knows(partition));
        if there.is_empty() {
            let why = || format!("the cluster does not have {}", list(&away));
            self.progress.fails(Hold::Partitions, why);
            if self.waiting.put_off() {
                tracing::warn!(task = %self.id, partitions = %list(&away), "the cluster does not have these partitions; they are left out until it has");
            }
            return Ok(());
        }
        let (mut command, patience) = (self.command.clone(), self.waiting.patience);
        let looked = tokio::select! {
            looked = tokio::time::timeout(patience, self.look_at(&there)) => looked,
            // Tried again once the task has done what it is told.
            _ = command.changed() => return Ok(()),
        };
        let error = match looked {
            Ok(Ok(assigned)) => return self.open(assigned, !away.is_empty()).await,
            Ok(Err(error)) if error.is_retriable() => error.trace(),
            Ok(Err(error)) => return Err(error),
            Err(_) => format!("no answer within {patience:?}"),
        };
        let why = || format!("{} cannot be looked at: {error}", list(&there));
        self.progress.fails(Hold::Partitions, why);
        if self.waiting.put_off() {
            tracing::warn!(task = %self.id, partitions = %list(&there), %error, "new partitions cannot be looked at; trying again");
        }
        Ok(())
    }

    async fn open(&mut self, assigned: Vec<AssignedPartition>, are_some_away: bool) -> Result<(), Error> {
        for partition in &assigned {
            let name = partition.topic_partition.clone();
            self.partitions.add(name, partition.position, partition.committed);
        }
        if let Err(error) = self.task.open(&assigned).await {
            if !error.is_retriable() {
                return Err(error);
            }
            // They are not open, and so not to be committed or closed.
            for partition in &assigned {
                self.partitions.remove(&partition.topic_partition);
            }
            let why = || format!("new partitions cannot be opened: {}", error.trace());
            self.progress.fails(Hold::Partitions, why);
            if self.waiting.put_off() {
                tracing::warn!(task = %self.id, %error, "the task cannot open new partitions; trying again");
            }
            return Ok(());
        }
        self.take_requests()?;
        for one in &assigned {
            let client = super::partitions::for_client(&one.topic_partition);
            if self.waiting.remove(&client) == Some(Cause::BegunAnew) {
                self.check_begun_anew(one)?;
            }
        }
        if !are_some_away {
            self.progress.works(Hold::Partitions);
        }
        if are_some_away {
            self.waiting.put_off();
        } else if let Some(lasted) = self.waiting.outage.ends() {
            tracing::info!(task = %self.id, ?lasted, "all partitions of the task are open");
        }
        self.apply_pauses()
    }

    /// A task whose store has more than the new log cannot tell which records it has.
    fn check_begun_anew(&self, one: &AssignedPartition) -> Result<(), Error> {
        let (name, end) = (&one.topic_partition, one.log_end_offset);
        let next = self.partitions.get(name).map(|partition| partition.next);
        match next.filter(|next| *next > end) {
            Some(next) => Err(Error::fatal(format!(
                "the task wants to go on at offset {next} of {name}, which ends at {end}: its topic was made anew, or its log was cut. \
                 Move away what the task wrote before, or give the connector another name or target"
            ))),
            None => Ok(()),
        }
    }

    /// Where new partitions begin, end, and go on.
    async fn look_at(
        &mut self,
        partitions: &[ClientTopicPartition],
    ) -> Result<Vec<AssignedPartition>, Error> {
        let Some(intents) = self.intents.clone() else {
            return self.look_at_logs(partitions).await.map_err(cannot_look);
        };
        // In this order: who is not fenced yet could still say and commit something.
        intents.fence(partitions).await.map_err(|error| {
            let retriable = error.is_retriable();
            let message = "tasks that had these partitions before cannot be fenced, for which the cluster needs transactions, and the \
                           task the right to use them; some connectors can do without (intents.enable=false)";
            match retriable {
                true => Error::retriable(message).with_source(error),
                false => Error::fatal(message).with_source(error),
            }
        })?;
        let assigned = self.look_at_logs(partitions).await.map_err(cannot_look)?;
        let read = intents.read(&assigned).await;
        read.map_err(|error| Error::retriable("intents cannot be read").with_source(error))?;
        Ok(assigned)
    }

    async fn look_at_logs(
        &mut self,
        partitions: &[ClientTopicPartition],
    ) -> Result<Vec<AssignedPartition>, forebay_client::Error> {
        let committed = self.consumer.committed(partitions).await?;
        let starts = self.consumer.beginning_offsets(partitions).await?;
        let ends = self.consumer.end_offsets(partitions).await?;
        // After the ends: they are of these topics, or of ones that were made anew before and have no other id since.
        let topics: BTreeSet<&str> = partitions.iter().map(|partition| &*partition.topic).collect();
        let topics: Vec<&str> = topics.into_iter().collect();
        let ids = self.consumer.topic_ids(&topics).await?;
        let mut assigned = Vec::with_capacity(partitions.len());
        for partition in partitions {
            if let Some(Cause::Refused { from }) = self.waiting.partitions.get(partition) {
                let committed = committed.get(partition).map(|committed| committed.offset);
                self.consumer.seek(partition, committed.unwrap_or(*from))?;
            }
            let position = self.consumer.position(partition).await?;
            let log_end_offset = ends.get(partition).copied().unwrap_or(position);
            let committed = committed.get(partition).map(|committed| committed.offset);
            assigned.push(AssignedPartition {
                topic_partition: for_task(partition),
                topic_id: ids.get(&*partition.topic).map(|id| id.to_string().into()),
                // Not one of a log that is no more, which the consumer has left already.
                committed: committed.filter(|offset| *offset <= position.max(log_end_offset)),
                position,
                log_start_offset: starts.get(partition).copied().unwrap_or(Offset(0)),
                log_end_offset,
            });
        }
        Ok(assigned)
    }
}

fn cannot_look(error: forebay_client::Error) -> Error {
    let message = "cannot look at new partitions";
    match error.is_retriable() {
        true => Error::retriable(message).with_source(error),
        false => Error::fatal(message).with_source(error),
    }
}

fn list(partitions: &[ClientTopicPartition]) -> String {
    let names: Vec<String> = partitions.iter().map(ToString::to_string).collect();
    names.join(", ")
}
