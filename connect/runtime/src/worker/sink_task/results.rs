//! What a sink task tells of records in topics of its own (`SinkTaskContext::report_results`). No offset is committed before the
//! cluster has what was told until then; if it cannot have it, the task fails.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use forebay_client::admin::NewTopic;
use forebay_client::producer::DeliveryFuture;
use forebay_client::{Error as ClientError, Producer, ProducerRecord};
use forebay_connect_api::{Error, ResultRecord, TaskId};
use forebay_records::Headers;
use tokio::sync::OnceCell;

use super::super::clients;
use super::super::context::Context;
use super::super::dead_letters::make_topic;
use super::super::progress::{Hold, Progress, because};
use crate::connector_config::ConnectorConfig;

/// How long to rest before a topic that could not be made is tried again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// How many results may be on their way.
const PENDING_MAX: usize = 1_000;

/// The results of one task. Its producer is made when there are any.
pub(super) struct Results {
    context: Arc<Context>,
    config: ConnectorConfig,
    id: TaskId,
    /// What the status says of holds.
    progress: Arc<Progress>,
    producer: OnceCell<Producer>,
    /// Those that are there.
    topics: Mutex<BTreeSet<Arc<str>>>,
    pending: Mutex<Vec<DeliveryFuture>>,
}

impl fmt::Debug for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Results")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Results {
    pub(super) fn new(context: Arc<Context>, config: ConnectorConfig, progress: Arc<Progress>) -> Self {
        Self {
            context,
            config,
            id: progress.id().clone(),
            progress,
            producer: OnceCell::new(),
            topics: Mutex::default(),
            pending: Mutex::default(),
        }
    }

    /// Sends results.
    ///
    /// # Errors
    /// If they cannot be sent.
    pub(super) async fn send(&self, records: Vec<ResultRecord>) -> Result<(), Error> {
        for record in records {
            self.make_sure_of(&record.topic).await?;
            let failed = |error: ClientError| not_told(&record.topic, error);
            let make = || async { clients::results_producer(&self.context, &self.config, &self.id) };
            let producer = self.producer.get_or_try_init(make).await.map_err(failed)?;
            let headers = record
                .headers
                .iter()
                .map(|(key, value)| (key.clone(), Some(value.clone())));
            let headers: Headers = headers.collect();
            let delivery = producer.send(ProducerRecord {
                topic: &record.topic,
                partition: None,
                timestamp: None,
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                headers: &headers,
            });
            let delivery = delivery.await.map_err(failed)?;
            let is_full = {
                let mut pending = self.pending();
                pending.push(delivery);
                pending.len() >= PENDING_MAX
            };
            if is_full {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Waits until the cluster has everything that was sent.
    ///
    /// # Errors
    /// If it cannot have it; the task fails.
    pub(super) async fn flush(&self) -> Result<(), Error> {
        let pending = std::mem::take(&mut *self.pending());
        if pending.is_empty() {
            return Ok(());
        }
        let all = async {
            for delivery in pending {
                delivery.await.map_err(|error| not_told("its topic", error))?;
            }
            Ok(())
        };
        let why = || {
            let because = self.producer.get().map(because).unwrap_or_default();
            format!("what became of records cannot be told yet{because}")
        };
        self.progress.telling(Hold::Results, why, all).await
    }

    async fn make_sure_of(&self, topic: &Arc<str>) -> Result<(), Error> {
        if self.topics().contains(topic) {
            return Ok(());
        }
        let made = async {
            loop {
                let new = NewTopic::new(&**topic).partitions(1);
                match make_topic(&self.context, &self.config, new).await {
                    Err(error) if error.is_retriable() => {
                        tracing::warn!(task = %self.id, %topic, %error, "the topic cannot be made; trying again");
                        tokio::time::sleep(RETRY_DELAY).await;
                    }
                    made => return made.map_err(|error| not_told(topic, error)),
                }
            }
        };
        let why = || format!("the topic {topic} has yet to be made");
        // Once for each topic, and large.
        self.progress.telling(Hold::Topic, why, Box::pin(made)).await?;
        self.topics().insert(Arc::clone(topic));
        Ok(())
    }

    fn topics(&self) -> MutexGuard<'_, BTreeSet<Arc<str>>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pending(&self) -> MutexGuard<'_, Vec<DeliveryFuture>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_told(topic: &str, error: ClientError) -> Error {
    Error::fatal(format!("what became of records cannot be told in {topic}")).with_source(error)
}
