//! The three converters of a task, and what happens while they wait for what they need.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_config::{Errors, Properties};
use forebay_connect_api::{
    Error as ConnectError, Header, Headers, SchemaAndValue, SinkRecord, SourceRecord, Text, TimestampType,
};
use forebay_records::{Headers as RawHeaders, Record};
use tokio::time::Instant;
use uuid::Uuid;

use super::progress::{Hold, Progress};
use super::stage::Stage;
use crate::config::Config;
use crate::connector_config::{ConnectorConfig, ErrorHandling};
use crate::converter::{self, Converter, Error, Role, Wanted};

/// How long to wait before a retry, the first time (Kafka's `RetryWithToleranceOperator`).
const RETRY_DELAY_MIN: Duration = Duration::from_millis(300);

/// A task's converters.
#[derive(Debug, Clone)]
pub(crate) struct Converters {
    key: Arc<dyn Converter>,
    value: Arc<dyn Converter>,
    header: Arc<dyn Converter>,
    /// Whether a sink may read values without the converter.
    pub(crate) value_format: Option<forebay_connect_api::ValueFormat>,
    errors: ErrorHandling,
    /// Where it is said that one has to wait.
    progress: Option<Arc<Progress>>,
    connector: Arc<Properties>,
    worker: Arc<Properties>,
}

/// A record that cannot be converted.
#[derive(Debug)]
pub(crate) struct Rejected {
    /// Where it failed.
    pub(crate) stage: Stage,
    /// The Java class that failed, where the stage does not tell.
    pub(crate) class: Option<&'static str>,
    /// Why.
    pub(crate) error: ConnectError,
}

/// A record as it is produced.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) headers: RawHeaders,
}

impl Converters {
    /// Those of a connector.
    pub(crate) fn new(worker: &Config, config: &ConnectorConfig) -> Result<Self, Errors> {
        let registry = worker.schema_registry_url.as_deref();
        let new = |role| converter::new(role, &config.originals, &worker.originals, registry);
        let value = new(Role::Value)?;
        Ok(Self {
            key: new(Role::Key)?,
            value_format: Arc::clone(&value).value_format(),
            value,
            header: new(Role::Header)?,
            errors: config.errors.clone(),
            progress: None,
            connector: Arc::clone(&config.originals),
            worker: Arc::clone(&worker.originals),
        })
    }

    /// The same, of a task whose status says when one has to wait.
    pub(super) fn with_progress(mut self, progress: &Arc<Progress>) -> Self {
        self.progress = Some(Arc::clone(progress));
        self
    }

    /// The same with another converter of values.
    #[cfg(test)]
    pub(super) fn with_value(mut self, value: Arc<dyn Converter>) -> Self {
        self.value = value;
        self
    }

    /// From a task's record to one that is produced.
    pub(crate) async fn encode(&self, record: &SourceRecord) -> Result<Encoded, Rejected> {
        let topic = &*record.topic;
        let headers = if record.headers.is_empty() {
            RawHeaders::EMPTY
        } else {
            let mut pairs = Vec::with_capacity(record.headers.len());
            for Header { key, value } in &record.headers {
                let bytes = self
                    .to_bytes(Stage::HeaderConverter, &*self.header, topic, value)
                    .await?;
                pairs.push((key.as_str(), bytes));
            }
            pairs.into_iter().collect()
        };
        Ok(Encoded {
            key: self
                .to_bytes(Stage::KeyConverter, &*self.key, topic, &record.key)
                .await?,
            value: self
                .to_bytes(Stage::ValueConverter, &*self.value, topic, &record.value)
                .await?,
            headers,
        })
    }

    /// From a task's record back to what was consumed, for one whose bytes are gone: the same data, if not the same bytes.
    pub(crate) async fn encode_again(&self, record: &SinkRecord) -> Result<Record, Rejected> {
        let topic = &*record.topic;
        let mut headers = Vec::with_capacity(record.headers.len());
        for Header { key, value } in &record.headers {
            let bytes = self
                .to_bytes(Stage::HeaderConverter, &*self.header, topic, value)
                .await?;
            headers.push((key.as_str(), bytes));
        }
        Ok(Record {
            offset: record.offset,
            timestamp: record.timestamp,
            key: self
                .to_bytes(Stage::KeyConverter, &*self.key, topic, &record.key)
                .await?,
            value: self
                .to_bytes(Stage::ValueConverter, &*self.value, topic, &record.value)
                .await?,
            headers: headers.into_iter().collect(),
        })
    }

    /// The Java class of the converter that a stage is about.
    pub(crate) fn class(&self, stage: Stage) -> Option<&'static str> {
        let role = match stage {
            Stage::KeyConverter => Role::Key,
            Stage::ValueConverter => Role::Value,
            Stage::HeaderConverter => Role::Header,
            Stage::Transformation | Stage::TaskPoll | Stage::TaskPut | Stage::KafkaProduce => return None,
        };
        converter::class_of(role, &self.connector, &self.worker)
    }

    /// From a consumed record to one for a task.
    pub(crate) async fn decode(
        &self,
        topic: &Arc<str>,
        partition: i32,
        timestamp_type: TimestampType,
        record: &Record,
    ) -> Result<SinkRecord, Rejected> {
        let key = self
            .to_data(Stage::KeyConverter, &*self.key, topic, record.key.as_ref())
            .await?;
        let value = self
            .to_data(Stage::ValueConverter, &*self.value, topic, record.value.as_ref())
            .await?;
        let mut headers = Headers::new();
        for header in &record.headers {
            let bytes = header.value.map(|value| record.headers.share(value));
            let key = match header.key_text() {
                Cow::Borrowed(key) => Text::from(key),
                Cow::Owned(key) => Text::from(key),
            };
            let data = self
                .to_data(Stage::HeaderConverter, &*self.header, topic, bytes.as_ref())
                .await?;
            headers.add(key, data);
        }
        Ok(SinkRecord {
            topic: Arc::clone(topic),
            partition,
            offset: record.offset,
            timestamp: record.timestamp,
            timestamp_type,
            key,
            value,
            headers,
        })
    }

    async fn to_bytes(
        &self,
        stage: Stage,
        converter: &dyn Converter,
        topic: &str,
        data: &SchemaAndValue,
    ) -> Result<Option<Bytes>, Rejected> {
        loop {
            match converter.from_connect_data(topic, data) {
                Ok(bytes) => return Ok(bytes),
                Err(Error::Wanted(wanted)) => self.prepare(stage, converter, &wanted).await?,
                Err(error) => {
                    return Err(Rejected {
                        stage,
                        class: None,
                        error: error.into(),
                    });
                }
            }
        }
    }

    async fn to_data(
        &self,
        stage: Stage,
        converter: &dyn Converter,
        topic: &str,
        bytes: Option<&Bytes>,
    ) -> Result<SchemaAndValue, Rejected> {
        loop {
            match converter.to_connect_data(topic, bytes) {
                Ok(data) => return Ok(data),
                Err(Error::Wanted(wanted)) => self.prepare(stage, converter, &wanted).await?,
                Err(error) => {
                    return Err(Rejected {
                        stage,
                        class: None,
                        error: error.into(),
                    });
                }
            }
        }
    }

    /// Fetches what the converter wants, as long as `errors.retry.timeout` allows. Its default of 0 is taken as no bound here:
    /// a registry that is away is no fault of a record, and the hub's own starts together with the tasks.
    async fn prepare(
        &self,
        stage: Stage,
        converter: &dyn Converter,
        wanted: &Wanted,
    ) -> Result<(), Rejected> {
        let give_up = self
            .errors
            .retry_timeout
            .filter(|timeout| !timeout.is_zero())
            .map(|timeout| Instant::now() + timeout);
        let mut attempt = 0;
        loop {
            let error = match converter.prepare(wanted).await {
                Ok(()) => {
                    if let Some(progress) = &self.progress {
                        progress.works(Hold::Converter);
                    }
                    return Ok(());
                }
                Err(error @ Error::Unavailable { .. }) => error,
                Err(error) => {
                    return Err(Rejected {
                        stage,
                        class: None,
                        error: error.into(),
                    });
                }
            };
            attempt += 1;
            let delay = retry_delay(attempt, self.errors.retry_delay_max, chance());
            if give_up.is_some_and(|at| Instant::now() + delay > at) {
                let error = ConnectError::from(error).into_fatal();
                return Err(Rejected {
                    stage,
                    class: None,
                    error,
                });
            }
            let error = ConnectError::from(error).trace();
            tracing::warn!(
                error,
                stage = stage.name(),
                "a converter has to wait; trying again"
            );
            if let Some(progress) = &self.progress {
                let why = format!("{} has to wait and tries again: {error}", stage.name());
                progress.waits(Hold::Converter, &why);
            }
            tokio::time::sleep(delay).await;
        }
    }
}

/// How long to wait after so many failed attempts: doubled each time, and beyond the longest by chance up to that, so that tasks that lost the
/// same system do not all come back to it at once (Kafka's `RetryWithToleranceOperator.backoff`). `chance` is below 1.
fn retry_delay(attempt: u32, longest: Duration, chance: f64) -> Duration {
    let factor = 2_u32.saturating_pow(attempt.saturating_sub(1));
    let (delay, longest) = (
        RETRY_DELAY_MIN.saturating_mul(factor),
        longest.max(RETRY_DELAY_MIN),
    );
    if delay > longest {
        longest.mul_f64(chance)
    } else {
        delay
    }
}

/// A number from 0 to below 1.
fn chance() -> f64 {
    let (high, _) = Uuid::new_v4().as_u64_pair();
    // The version is in the bits that are cut off.
    f64::from(u32::try_from(high >> 32).unwrap_or(0)) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_double_and_scatter_at_the_longest() {
        let milliseconds = Duration::from_millis;
        let longest = milliseconds(2000);
        for (attempt, chance, expected) in [
            (1, 0.5, 300),
            (2, 0.5, 600),
            (3, 0.5, 1200),
            (4, 0.0, 0),
            (4, 0.5, 1000),
            (4, 0.75, 1500),
            (u32::MAX, 0.25, 500),
        ] {
            assert_eq!(
                retry_delay(attempt, longest, chance),
                milliseconds(expected),
                "{attempt} {chance}"
            );
        }
        assert_eq!(retry_delay(1, Duration::ZERO, 0.9), RETRY_DELAY_MIN);
        let drawn: Vec<f64> = (0..100).map(|_| chance()).collect();
        assert!(drawn.iter().all(|one| (0.0..1.0).contains(one)) && drawn.iter().any(|one| *one != drawn[0]));
    }
}
