//! From the records of a batch to what is sent of each.

use std::sync::Arc;

use bytes::Bytes;
use forebay_connect_api::{Error, Offset, SinkBatch, SinkRecord, SinkRecords, TopicPartition};
use reqwest::Method;

use super::{
    body::{self, Piece, Target},
    config::{Config, OnNull},
};

/// One record of a batch.
pub(super) enum Step {
    Send(Piece),
    LeaveOut(Offset),
    /// It cannot be sent.
    Fault(Offset, Error),
}

/// Makes pieces of records.
pub(super) struct Pieces {
    config: Arc<Config>,
    /// Where all records go, if that is the same.
    fixed: Option<Arc<Target>>,
    /// How many records without value were left out.
    nulls: u64,
}

impl Pieces {
    pub(super) fn new(config: Arc<Config>) -> Result<Self, Error> {
        let fixed = match config.url.template().is_fixed() && config.headers.is_fixed() {
            true => Some(Arc::new(Target {
                method: config.method.clone(),
                url: config.url.render(|_| Ok(String::new())).map_err(Error::fatal)?,
                headers: config.headers.fixed().clone(),
            })),
            false => None,
        };
        Ok(Self {
            config,
            fixed,
            nulls: 0,
        })
    }

    /// The records of a batch from an offset on.
    ///
    /// # Errors
    /// If the batch cannot be read.
    pub(super) fn steps(&mut self, batch: &SinkBatch, from: Offset) -> Result<Vec<Step>, Error> {
        let mut steps = Vec::new();
        match &batch.records {
            SinkRecords::Converted(records) => {
                for record in records.iter().filter(|record| record.offset >= from) {
                    let step = self.converted(&batch.topic_partition, record);
                    steps.push(step.unwrap_or_else(|error| Step::Fault(record.offset, error)));
                }
            }
            SinkRecords::Raw(records) => records.try_for_each::<Error>(|record| {
                if record.offset >= from {
                    steps.push(match (record.value, &self.fixed) {
                        (Some(value), Some(target)) => {
                            let bytes = body::raw_value(records.format(), value);
                            self.piece(record.offset, Arc::clone(target), bytes, false)
                        }
                        (None, Some(target)) => {
                            let target = Arc::clone(target);
                            self.null(&batch.topic_partition, record.offset, target)
                        }
                        // `takes_raw` does not let that happen.
                        (_, None) => {
                            Step::Fault(record.offset, Error::fatal("templates need converted records"))
                        }
                    });
                }
                Ok(())
            })?,
        }
        Ok(steps)
    }

    fn converted(&mut self, topic_partition: &TopicPartition, record: &SinkRecord) -> Result<Step, Error> {
        let value = body::value(record)?;
        if value.is_none() && matches!(self.config.on_null, OnNull::Ignore | OnNull::Log | OnNull::Fail) {
            let target = self.fixed.clone();
            return Ok(self.without_value(topic_partition, record.offset, target));
        }
        let target = self.target(topic_partition, record)?;
        let Some((bytes, json)) = value else {
            return Ok(self.null(topic_partition, record.offset, target));
        };
        let Some((template, escape)) = &self.config.body else {
            return Ok(self.piece(record.offset, target, bytes, json));
        };
        let text = template.render_each(|variable| {
            let escape = if variable.is_json {
                crate::template::Escape::None
            } else {
                *escape
            };
            variable.of(topic_partition, record).map(|value| (value, escape))
        });
        let text = text.map_err(Error::fatal)?;
        Ok(self.piece(record.offset, target, text.into(), false))
    }

    fn target(&self, topic_partition: &TopicPartition, record: &SinkRecord) -> Result<Arc<Target>, Error> {
        if let Some(target) = &self.fixed {
            return Ok(Arc::clone(target));
        }
        let of = |variable: &super::fields::Variable| variable.of(topic_partition, record);
        Ok(Arc::new(Target {
            method: self.config.method.clone(),
            url: self.config.url.render(of).map_err(Error::fatal)?,
            headers: self.config.headers.render(of).map_err(Error::fatal)?,
        }))
    }

    /// One text that is no JSON would spoil the whole array.
    fn piece(&self, offset: Offset, target: Arc<Target>, bytes: Bytes, json: bool) -> Step {
        let batching = self.config.batching.as_ref();
        let in_array = batching.is_some_and(|batching| batching.json_array);
        if in_array
            && !json
            && let Err(error) = serde_json::from_slice::<serde_json::Value>(&bytes)
        {
            let message = "the value is not JSON, which batch.json.as.array=true asks for";
            return Step::Fault(offset, Error::fatal(message).with_source(error));
        }
        Step::Send(Piece {
            offset,
            target,
            bytes: Some(bytes),
            json,
        })
    }

    fn null(&mut self, topic_partition: &TopicPartition, offset: Offset, target: Arc<Target>) -> Step {
        self.without_value(topic_partition, offset, Some(target))
    }

    fn without_value(
        &mut self,
        topic_partition: &TopicPartition,
        offset: Offset,
        target: Option<Arc<Target>>,
    ) -> Step {
        match (self.config.on_null, target) {
            (OnNull::Fail, _) => {
                let message = "the value is null, and behavior.on.null.values=fail";
                return Step::Fault(offset, Error::fatal(message));
            }
            (OnNull::Delete, Some(target)) => {
                let method = Method::DELETE;
                return Step::Send(Piece {
                    offset,
                    target: Arc::new(Target {
                        method,
                        ..(*target).clone()
                    }),
                    bytes: None,
                    json: false,
                });
            }
            _ => {}
        }
        self.nulls += 1;
        if self.config.on_null == OnNull::Log && self.nulls.is_power_of_two() {
            tracing::warn!(%topic_partition, %offset, nulls = self.nulls, "a record without value is left out");
        }
        Step::LeaveOut(offset)
    }
}
