//! Settling batches by what the broker said, or did not say: acknowledged, sent again, taken apart, or given up.

use std::{collections::HashMap, sync::Arc};

use forebay_protocol::{
    ErrorCode, NodeId, TopicPartition,
    messages::{
        ProduceResponse,
        produce_response::{BatchIndexAndErrorMessage, PartitionProduceResponse},
    },
};
use forebay_records::{LeaderEpoch, Offset, Timestamp};
use tokio::time::Instant;

use super::{Answered, Sender};
use crate::{
    cluster::{LeaderHint, says_stale},
    error::Error,
    producer::{
        batch::Batch,
        delivery::{Acknowledgement, Outcome},
        sequences::{Refusal, Verdict},
    },
};

impl Sender {
    pub(super) fn answered(&mut self, answered: Answered) {
        let Answered {
            node,
            batches,
            result,
        } = answered;
        if let Some(state) = self.nodes.get_mut(&node) {
            state.in_flight = state.in_flight.saturating_sub(1);
        }
        for batch in &batches {
            self.is_back(batch);
        }
        match result {
            Err(error) => {
                tracing::debug!("{} batches went unanswered: {error}", batches.len());
                self.metadata_wanted |= error.is_retriable();
                for batch in batches {
                    self.unanswered(batch, error.clone());
                }
            }
            // Nobody answers where nobody is asked to.
            Ok(_) if self.accumulator.config.acks.code() == 0 => {
                for batch in batches {
                    self.acknowledged(
                        &batch,
                        Acknowledgement {
                            base_offset: None,
                            log_append_time: None,
                        },
                    );
                }
            }
            Ok(response) => self.answered_by(batches, response),
        }
    }

    /// No longer at the broker.
    fn is_back(&mut self, batch: &Batch) {
        let deadline = self.deadline(batch);
        self.deadlines.remove(&deadline);
        if let Some(count) = self.in_flight.get_mut(&batch.topic_partition) {
            *count -= 1;
            if *count == 0 {
                self.in_flight.remove(&batch.topic_partition);
            }
        }
    }

    fn answered_by(&mut self, batches: Vec<Batch>, response: ProduceResponse) {
        for endpoint in &response.node_endpoints {
            self.cluster
                .learn_broker(NodeId(endpoint.node_id), &endpoint.host, endpoint.port);
        }
        let mut answers: HashMap<TopicPartition, PartitionProduceResponse> = HashMap::new();
        for topic in response.responses {
            for partition in topic.partition_responses {
                answers.insert(
                    TopicPartition {
                        topic: topic.name.clone(),
                        partition: partition.index,
                    },
                    partition,
                );
            }
        }
        for batch in batches {
            match answers.remove(&batch.topic_partition) {
                Some(answer) => self.answered_for(batch, &answer),
                None => {
                    let action = format!("produce to {}", batch.topic_partition);
                    let reason = "it does not mention the partition".into();
                    self.unanswered(
                        batch,
                        Error::InvalidResponse {
                            action: action.into(),
                            reason,
                        },
                    );
                }
            }
        }
    }

    fn answered_for(&mut self, batch: Batch, answer: &PartitionProduceResponse) {
        let code = ErrorCode::from_i16(answer.error_code);
        match code {
            ErrorCode::None => {
                let acknowledgement = Acknowledgement {
                    base_offset: Some(Offset(answer.base_offset)).filter(|offset| offset.0 >= 0),
                    log_append_time: Some(Timestamp(answer.log_append_time_ms)).filter(|time| time.0 >= 0),
                };
                self.acknowledged(&batch, acknowledgement);
            }
            // It is there, from an attempt so long ago that the broker no longer knows where.
            ErrorCode::DuplicateSequenceNumber => {
                self.acknowledged(
                    &batch,
                    Acknowledgement {
                        base_offset: None,
                        log_append_time: None,
                    },
                );
            }
            ErrorCode::MessageTooLarge if batch.count() > 1 && !batch.delivery.is_done() => {
                self.split(batch, code);
            }
            _ => self.refused(batch, code, answer),
        }
    }

    fn acknowledged(&mut self, batch: &Batch, acknowledgement: Acknowledgement) {
        if let (Some(sequences), Some(producer)) = (&mut self.sequences, batch.producer) {
            sequences.acked(&batch.topic_partition, producer.base_sequence);
        }
        self.accumulator.is_out_of_trouble();
        batch.delivery.complete(Outcome::Acknowledged(acknowledgement));
    }

    /// No word of it: it may have been written.
    fn unanswered(&mut self, batch: Batch, error: Error) {
        if let (Some(sequences), Some(producer)) = (&mut self.sequences, batch.producer) {
            match &error {
                // These were never sent.
                Error::UnsupportedVersion { .. } => {
                    let refusal = Refusal {
                        code: ErrorCode::UnsupportedVersion,
                        log_start_offset_unknown: true,
                    };
                    sequences.refused(&batch.topic_partition, producer.base_sequence, refusal);
                }
                _ => sequences.lost(&batch.topic_partition, producer.base_sequence),
            }
        }
        if error.is_retriable() && self.may_retry(&batch) {
            self.retry(batch, error);
        } else {
            self.fail(&batch, Outcome::Failed(error));
        }
    }

    fn refused(&mut self, batch: Batch, code: ErrorCode, answer: &PartitionProduceResponse) {
        let refusal = Refusal {
            code,
            log_start_offset_unknown: answer.log_start_offset < 0,
        };
        let verdict = match (&mut self.sequences, batch.producer) {
            (Some(sequences), Some(producer)) => {
                sequences.refused(&batch.topic_partition, producer.base_sequence, refusal)
            }
            _ if code.is_retriable() => Verdict::Retry,
            _ => Verdict::Fail,
        };
        self.follow_leader(&batch.topic_partition, code, answer);
        let error = Error::Broker {
            action: format!("produce to {}", batch.topic_partition).into(),
            code,
            message: answer.error_message.as_deref().map(Arc::from),
        };
        if verdict == Verdict::Retry && self.may_retry(&batch) {
            tracing::debug!("{error}; trying again (attempt {})", batch.attempts);
            self.retry(batch, error);
        } else {
            let outcome = outcome(error, &answer.record_errors);
            self.fail(&batch, outcome);
        }
    }

    /// The broker leads no longer: it may have said who does, else that has to be asked.
    fn follow_leader(
        &mut self,
        partition: &TopicPartition,
        code: ErrorCode,
        answer: &PartitionProduceResponse,
    ) {
        if !says_stale(code) {
            return;
        }
        let current = &answer.current_leader;
        let known = current.leader_id >= 0 && current.leader_epoch >= 0;
        let hint = LeaderHint {
            topic_partition: partition.clone(),
            leader: NodeId(current.leader_id),
            leader_epoch: LeaderEpoch(current.leader_epoch),
        };
        if !(known && self.cluster.learn_leader(&hint)) {
            self.metadata_wanted = true;
        }
    }

    fn may_retry(&self, batch: &Batch) -> bool {
        let deadline = batch.created + self.accumulator.config.delivery_timeout;
        let attempts_left = batch.attempts <= self.accumulator.config.retries;
        attempts_left && deadline > Instant::now() && !batch.delivery.is_done()
    }

    fn retry(&mut self, mut batch: Batch, error: Error) {
        batch.not_before = Some(Instant::now() + self.cluster.backoff().delay(batch.attempts));
        self.accumulator.is_in_trouble(&error);
        batch.last_error = Some(error);
        self.put_back(batch);
    }

    fn put_back(&mut self, batch: Batch) {
        let queues = self.accumulator.topic(&batch.topic_partition.topic);
        let partition = usize::try_from(batch.topic_partition.partition).unwrap_or(usize::MAX);
        let queue = queues.and_then(|queues| queues.partition(partition));
        let queue = queue.expect("a batch comes from a queue, which stays as long as the batch is in flight");
        let mut locked = queue.lock();
        locked.put_back(batch);
        self.accumulator.list(&queue, &mut locked);
    }

    fn fail(&mut self, batch: &Batch, outcome: Outcome) {
        if let (Some(sequences), Some(producer)) = (&mut self.sequences, batch.producer) {
            sequences.failed(&batch.topic_partition, producer.base_sequence);
        }
        if let Some(error) = outcome.error() {
            self.batch_failed(&error);
        }
        batch.delivery.complete(outcome);
    }

    /// Too large for the broker, but made of several records: these go on in two batches.
    fn split(&mut self, batch: Batch, code: ErrorCode) {
        let (topic_partition, base) = (batch.topic_partition.clone(), batch.base_sequence());
        tracing::warn!(
            "a batch of {} records is too large for {topic_partition}; splitting it",
            batch.count()
        );
        match batch.split(self.accumulator.config.compression) {
            Ok(parts) => {
                if let (Some(sequences), Some(base)) = (&mut self.sequences, base) {
                    sequences.split(&topic_partition, base, &[parts[0].count(), parts[1].count()]);
                }
                for part in parts {
                    self.accumulator.track_part(&part.delivery);
                    self.put_back(part);
                }
            }
            Err(batch) => {
                let error = batch.last_error.clone();
                let error =
                    error.unwrap_or_else(|| Error::broker(format!("produce to {topic_partition}"), code));
                self.fail(&batch, Outcome::Failed(error));
            }
        }
    }
}

/// What each record of a refused batch is told.
fn outcome(error: Error, record_errors: &[BatchIndexAndErrorMessage]) -> Outcome {
    let Error::Broker { action, code, .. } = &error else {
        return Outcome::Failed(error);
    };
    if record_errors.is_empty() {
        return Outcome::Failed(error);
    }
    let refused = record_errors.iter().filter_map(|record| {
        let message = record.batch_index_error_message.as_deref().map(Arc::from);
        let error = Error::Broker {
            action: action.clone(),
            code: *code,
            message,
        };
        Some((u32::try_from(record.batch_index).ok()?, error))
    });
    let others = Error::Broker {
        action: action.clone(),
        code: *code,
        message: Some(
            "other records of its batch are invalid, and a batch is taken or refused as a whole".into(),
        ),
    };
    Outcome::RecordsFailed {
        refused: refused.collect(),
        others,
    }
}
