//! What a sink task intends and has done ([`Intents`]), as transactions: of a transactional id per connector and partition, and in
//! the name of the member and generation that own the partition. Whoever takes a partition over fences it first; then it
//! reads what its predecessor intended, and where the group goes on.
//!
//! The order that must hold: fenced, then read. And whatever goes wrong in a transaction, or may have gone wrong, ends this
//! ownership: the partition is taken over anew, and what is true is read from the cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use forebay_client::consumer::{GroupMetadata, OffsetAndMetadata};
use forebay_client::{Error as ClientError, Producer, ProducerRecord};
use forebay_connect_api::{
    AssignedPartition, BoxFuture, Error, Intent, Intents, Offset, Offsets, TaskId, TopicPartition,
};
use forebay_protocol::TopicPartition as ClientTopicPartition;

use super::super::clients;
use super::super::context::Context;
use super::partitions::for_client;
use super::reporter::Reporter;
use super::results::Results;
use crate::connector_config::ConnectorConfig;
use crate::store::intent;

/// The way of one task.
pub(super) struct TaskIntents {
    context: Arc<Context>,
    config: ConnectorConfig,
    id: TaskId,
    topic: String,
    reporter: Option<Arc<Reporter>>,
    results: Arc<Results>,
    owned: Mutex<BTreeMap<TopicPartition, Owned>>,
    group: Mutex<Option<GroupMetadata>>,
    /// Partitions whose ownership has ended with an error.
    lost: Mutex<BTreeSet<TopicPartition>>,
    /// What transactions have committed.
    committed: Mutex<Offsets>,
}

/// A partition that was taken over.
#[derive(Clone, Default)]
struct Owned {
    /// Made with the first transaction.
    producer: Option<Producer>,
    topic_id: Option<Arc<str>>,
    outstanding: Vec<Intent>,
}

impl fmt::Debug for TaskIntents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskIntents")
            .field("id", &self.id)
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TaskIntents {
    /// `None`: the worker has no topic for them.
    pub(super) fn new(
        context: &Arc<Context>,
        config: &ConnectorConfig,
        id: &TaskId,
        (reporter, results): (Option<Arc<Reporter>>, Arc<Results>),
    ) -> Option<Arc<Self>> {
        let topic = context.intents.topic()?.to_owned();
        Some(Arc::new(Self {
            reporter,
            results,
            context: Arc::clone(context),
            config: config.clone(),
            id: id.clone(),
            topic,
            owned: Mutex::default(),
            group: Mutex::default(),
            lost: Mutex::default(),
            committed: Mutex::default(),
        }))
    }

    /// Who the task is in its group from now on. Outside of a generation it is nobody: the group would not check that.
    pub(super) fn set_group(&self, group: Option<GroupMetadata>) {
        *locked(&self.group) = group.filter(|group| group.generation_id >= 0 && !group.member_id.is_empty());
    }

    /// Fences whoever had these partitions before, and ends what it has left open.
    ///
    /// # Errors
    /// If the cluster does not do so.
    pub(super) async fn fence(&self, partitions: &[ClientTopicPartition]) -> Result<(), ClientError> {
        let ids: Vec<String> = partitions
            .iter()
            .map(|partition| clients::intents_id(&self.config, partition))
            .collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let admin = clients::admin(&self.context, &self.config)?;
        let fenced = admin.fence_producers(&ids).await?;
        fenced.into_values().collect::<Result<Vec<_>, _>>()?;
        for partition in partitions {
            let name = TopicPartition::new(&*partition.topic, partition.partition);
            locked(&self.lost).remove(&name);
            locked(&self.committed).remove(&name);
            locked(&self.owned).insert(name, Owned::default());
        }
        Ok(())
    }

    /// Reads what was intended of partitions that are fenced.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) async fn read(&self, assigned: &[AssignedPartition]) -> Result<(), crate::store::Error> {
        self.context.intents.refresh(&self.context.client).await?;
        for one in assigned {
            let stored = self.context.intents.of(&self.id.connector, &one.topic_partition);
            let (of_topic, of_another): (Vec<_>, Vec<_>) = stored.into_iter().partition(|stored| {
                let ids = stored.topic_id.as_deref().zip(one.topic_id.as_deref());
                ids.is_none_or(|(then, now)| then == now)
            });
            if !of_another.is_empty() {
                tracing::warn!(
                    partition = %one.topic_partition, count = of_another.len(),
                    "objects that were begun are left out: they were of a topic that had this name before"
                );
            }
            if let Some(owned) = locked(&self.owned).get_mut(&one.topic_partition) {
                owned.topic_id.clone_from(&one.topic_id);
                owned.outstanding = of_topic.into_iter().map(|stored| stored.intent).collect();
            }
        }
        Ok(())
    }

    /// The partitions are not the task's any more.
    pub(super) fn give_up(&self, partitions: &[TopicPartition]) {
        for partition in partitions {
            locked(&self.owned).remove(partition);
            locked(&self.lost).remove(partition);
        }
    }

    /// Partitions whose ownership has ended with an error since this was asked last.
    pub(super) fn take_lost(&self) -> BTreeSet<TopicPartition> {
        std::mem::take(&mut *locked(&self.lost))
    }

    /// What transactions have committed since this was asked last.
    pub(super) fn take_committed(&self) -> Offsets {
        std::mem::take(&mut *locked(&self.committed))
    }

    async fn change(
        &self,
        of: &TopicPartition,
        intents: &[Intent],
        are_done: bool,
        safe: Offset,
    ) -> Result<(), Error> {
        let owned = locked(&self.owned).get(of).cloned();
        let group = locked(&self.group).clone();
        let (Some(owned), Some(group)) = (owned, group) else {
            return Err(Error::retriable(format!("{of} is not the task's any more")));
        };
        // What was reported of records before the offset must be in its topics.
        if let Some(reporter) = &self.reporter {
            reporter.flush().await?;
        }
        self.results.flush().await?;
        let records = intents.iter().map(|intent| {
            let value = (!are_done).then(|| intent::value(intent, owned.topic_id.as_deref()));
            (intent::key(&self.id.connector, of, &intent.object), value)
        });
        let transaction = Transaction {
            topic: &self.topic,
            records: records.collect(),
            offsets: [(for_client(of), safe.into())].into(),
            group,
        };
        match self.carry_out(of, owned.producer, transaction).await {
            Ok(()) => {
                let committed = [(of.clone(), safe)].into();
                if let Some(reporter) = &self.reporter {
                    reporter.committed(&committed);
                }
                locked(&self.committed).extend(committed);
                Ok(())
            }
            Err(error) => {
                let owned = locked(&self.owned).remove(of);
                if let Some(producer) = owned.and_then(|owned| owned.producer) {
                    producer.abort();
                }
                locked(&self.lost).insert(of.clone());
                let message = format!("what is intended of {of} cannot be said: it may have another owner");
                Err(Error::retriable(message).with_source(error))
            }
        }
    }

    async fn carry_out(
        &self,
        of: &TopicPartition,
        producer: Option<Producer>,
        transaction: Transaction<'_>,
    ) -> Result<(), ClientError> {
        if let Some(producer) = producer {
            return transaction.run(&producer).await;
        }
        let producer = clients::intents_producer(&self.context, &self.config, &self.id, &for_client(of))?;
        producer.init_transactions().await?;
        if let Some(owned) = locked(&self.owned).get_mut(of) {
            owned.producer = Some(producer.clone());
        }
        transaction.run(&producer).await
    }
}

/// Intents, or that they are done, and the group's offset.
struct Transaction<'a> {
    topic: &'a str,
    records: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    offsets: BTreeMap<ClientTopicPartition, OffsetAndMetadata>,
    group: GroupMetadata,
}

impl Transaction<'_> {
    async fn run(&self, producer: &Producer) -> Result<(), ClientError> {
        producer.begin_transaction()?;
        for (key, value) in &self.records {
            // What becomes of it the commit says.
            drop(
                producer
                    .send(ProducerRecord::new(self.topic, Some(key), value.as_deref()))
                    .await?,
            );
        }
        producer
            .send_offsets_to_transaction(&self.offsets, &self.group)
            .await?;
        producer.commit_transaction().await
    }
}

impl Intents for TaskIntents {
    fn outstanding(&self, of: &TopicPartition) -> Vec<Intent> {
        let owned = locked(&self.owned);
        owned
            .get(of)
            .map(|owned| owned.outstanding.clone())
            .unwrap_or_default()
    }

    fn intend<'a>(
        &'a self,
        of: &'a TopicPartition,
        intents: &'a [Intent],
        safe: Offset,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.change(of, intents, false, safe))
    }

    fn done<'a>(
        &'a self,
        of: &'a TopicPartition,
        intents: &'a [Intent],
        safe: Offset,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.change(of, intents, true, safe))
    }
}
