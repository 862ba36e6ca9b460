//! The outcome of a batch, and the futures of its records that wait for it. One allocation for the batch, none per record.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use forebay_protocol::TopicPartition;
use forebay_records::{Offset, Timestamp};

use super::RecordMetadata;
use crate::error::Error;

/// What becomes of a batch.
#[derive(Debug)]
pub(super) struct Delivery {
    topic_partition: TopicPartition,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    outcome: Option<Outcome>,
    /// By the slot of each future that waits; a place is only ever added.
    waiting: Vec<Option<Waker>>,
}

/// How it ended.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    Acknowledged(Acknowledgement),
    Failed(Error),
    /// Some records were refused for what they are; the others for their company.
    RecordsFailed {
        refused: Arc<[(u32, Error)]>,
        others: Error,
    },
    /// The batch was too large and went on as several; each with the index of its first record.
    Split(Arc<[(u32, Arc<Delivery>)]>),
}

impl Outcome {
    /// What failed, if something did.
    pub(super) fn error(&self) -> Option<Error> {
        match self {
            Self::Failed(error) => Some(error.clone()),
            Self::RecordsFailed { refused, others } => {
                Some(refused.first().map_or(others, |(_, error)| error).clone())
            }
            Self::Acknowledged(_) | Self::Split(_) => None,
        }
    }
}

/// What the broker said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Acknowledgement {
    /// Of the first record; unknown with `acks=0` and for late duplicates.
    pub(super) base_offset: Option<Offset>,
    /// With LogAppendTime, the timestamp of all records.
    pub(super) log_append_time: Option<Timestamp>,
}

impl Delivery {
    pub(super) fn new(topic_partition: TopicPartition) -> Arc<Self> {
        Arc::new(Self {
            topic_partition,
            state: Mutex::default(),
        })
    }

    /// Sets the outcome, unless there is one: a batch that took too long may still be acknowledged later.
    pub(super) fn complete(&self, outcome: Outcome) -> bool {
        let mut state = self.lock();
        if state.outcome.is_some() {
            return false;
        }
        state.outcome = Some(outcome);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().flatten().for_each(Waker::wake);
        true
    }

    pub(super) fn is_done(&self) -> bool {
        self.lock().outcome.is_some()
    }

    /// Waits for the outcome of all records, of all parts.
    pub(super) async fn done(self: Arc<Self>) {
        let mut parts = vec![self];
        while let Some(delivery) = parts.pop() {
            let mut slot = None;
            let outcome = std::future::poll_fn(|context| delivery.poll(&mut slot, context)).await;
            if let Outcome::Split(split) = outcome {
                parts.extend(split.iter().map(|(_, part)| part.clone()));
            }
        }
    }

    fn poll(&self, slot: &mut Option<usize>, context: &Context<'_>) -> Poll<Outcome> {
        let mut state = self.lock();
        if let Some(outcome) = &state.outcome {
            return Poll::Ready(outcome.clone());
        }
        match *slot {
            Some(place) => state.waiting[place] = Some(context.waker().clone()),
            None => {
                *slot = Some(state.waiting.len());
                state.waiting.push(Some(context.waker().clone()));
            }
        }
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The acknowledgement of one record, some time. Records are sent whether or not it is awaited.
#[derive(Debug)]
#[must_use = "an error is told to nobody if this is dropped; flush waits, but tells no errors"]
pub struct DeliveryFuture {
    pub(super) delivery: Arc<Delivery>,
    /// The record's place in its batch.
    pub(super) index: u32,
    /// The record's own timestamp.
    pub(super) timestamp: Timestamp,
    slot: Option<usize>,
}

impl DeliveryFuture {
    pub(super) fn new(delivery: Arc<Delivery>, index: u32, timestamp: Timestamp) -> Self {
        Self {
            delivery,
            index,
            timestamp,
            slot: None,
        }
    }

    fn metadata(&self, acknowledgement: Acknowledgement) -> RecordMetadata {
        RecordMetadata {
            topic_partition: self.delivery.topic_partition.clone(),
            offset: acknowledgement
                .base_offset
                .map(|base| base + i64::from(self.index)),
            timestamp: acknowledgement.log_append_time.unwrap_or(self.timestamp),
        }
    }

    /// Goes on with the part of a split batch that the record is in.
    fn follow(&mut self, parts: &[(u32, Arc<Delivery>)]) {
        let part = parts.iter().rev().find(|(first, _)| *first <= self.index);
        let (first, delivery) = part.expect("the parts begin with index 0");
        self.index -= first;
        self.delivery = delivery.clone();
        self.slot = None;
    }
}

impl Future for DeliveryFuture {
    type Output = Result<RecordMetadata, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            let delivery = this.delivery.clone();
            let Poll::Ready(outcome) = delivery.poll(&mut this.slot, context) else {
                return Poll::Pending;
            };
            return Poll::Ready(match outcome {
                Outcome::Acknowledged(acknowledgement) => Ok(this.metadata(acknowledgement)),
                Outcome::Failed(error) => Err(error),
                Outcome::RecordsFailed { refused, others } => {
                    let own = refused.iter().find(|(index, _)| *index == this.index);
                    Err(own.map_or(others, |(_, error)| error.clone()))
                }
                Outcome::Split(parts) => {
                    this.follow(&parts);
                    continue;
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn future(delivery: &Arc<Delivery>, index: u32) -> DeliveryFuture {
        DeliveryFuture::new(delivery.clone(), index, Timestamp(7))
    }

    #[tokio::test]
    async fn every_record_of_a_batch_is_told() {
        let delivery = Delivery::new(TopicPartition::new("t", 0));
        let waiting: Vec<_> = (0..3)
            .map(|index| tokio::spawn(future(&delivery, index)))
            .collect();
        tokio::task::yield_now().await;
        let acknowledgement = Acknowledgement {
            base_offset: Some(Offset(40)),
            log_append_time: None,
        };
        assert!(delivery.complete(Outcome::Acknowledged(acknowledgement)));
        assert!(
            !delivery.complete(Outcome::Failed(Error::Closed("producer"))),
            "the first outcome holds"
        );
        for (waiting, offset) in waiting.into_iter().zip(40..) {
            let metadata = waiting.await.expect("no panic").expect("acknowledged");
            assert_eq!(
                (metadata.offset, metadata.timestamp),
                (Some(Offset(offset)), Timestamp(7))
            );
        }
    }

    #[tokio::test]
    async fn the_records_of_a_split_batch_follow_their_parts() {
        let topic_partition = TopicPartition::new("t", 0);
        let whole = Delivery::new(topic_partition.clone());
        let parts = [
            Delivery::new(topic_partition.clone()),
            Delivery::new(topic_partition),
        ];
        let waiting = tokio::spawn(future(&whole, 5));
        tokio::task::yield_now().await;
        whole.complete(Outcome::Split(
            [(0, parts[0].clone()), (3, parts[1].clone())].into(),
        ));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        for (part, base) in parts.iter().zip([10, 13]) {
            let base_offset = Some(Offset(base));
            part.complete(Outcome::Acknowledged(Acknowledgement {
                base_offset,
                log_append_time: None,
            }));
        }
        let metadata = waiting.await.expect("no panic").expect("acknowledged");
        assert_eq!(metadata.offset, Some(Offset(15)));
        whole.done().await;
    }

    #[tokio::test]
    async fn refused_records_are_told_apart_from_their_company() {
        let delivery = Delivery::new(TopicPartition::new("t", 0));
        let refused = [(1, Error::IllegalState("bad".into()))].into();
        delivery.complete(Outcome::RecordsFailed {
            refused,
            others: Error::IllegalState("company".into()),
        });
        let errors = [future(&delivery, 0).await, future(&delivery, 1).await]
            .map(|result| result.err().map(|error| error.to_string()));
        assert_eq!(errors, [Some("company".to_owned()), Some("bad".to_owned())]);
    }
}
