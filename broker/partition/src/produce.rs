//! Producers that wait for their acknowledgement (Kafka's `DelayedProduce`), in the order of their offsets. How long
//! a producer waits at most is its request's to watch; it then says [`Command::CancelProduce`](crate::Command::CancelProduce) or lets the answer go.

use std::collections::{BTreeMap, BTreeSet};

use forebay_records::Offset;

use crate::{Action, AwaitProduce, Error, ProduceWaiter, RequiredAcks};

/// All producers that wait in one partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct DelayedProduces {
    waiting: BTreeMap<ProduceWaiter, AwaitProduce>,
    /// acks=all: done when the high watermark has passed the offset.
    all: BTreeSet<(Offset, ProduceWaiter)>,
    /// acks=1: done when the leader's own acknowledgement has passed the offset.
    leader: BTreeSet<(Offset, ProduceWaiter)>,
}

impl DelayedProduces {
    pub(crate) fn insert(&mut self, wait: AwaitProduce) {
        let key = (wait.required_offset, wait.waiter);
        match wait.acks {
            RequiredAcks::All => self.all.insert(key),
            RequiredAcks::Leader | RequiredAcks::None => self.leader.insert(key),
        };
        self.waiting.insert(wait.waiter, wait);
    }

    pub(crate) fn remove(&mut self, waiter: ProduceWaiter) -> Option<AwaitProduce> {
        let wait = self.waiting.remove(&waiter)?;
        let key = (wait.required_offset, waiter);
        self.all.remove(&key);
        self.leader.remove(&key);
        Some(wait)
    }

    /// Ends the waits for offsets up to `offset` of one kind.
    pub(crate) fn complete(
        &mut self,
        acks: RequiredAcks,
        offset: Offset,
        result: &Result<(), Error>,
        actions: &mut Vec<Action>,
    ) {
        loop {
            let queue = if acks == RequiredAcks::All {
                &self.all
            } else {
                &self.leader
            };
            let Some(&(required, waiter)) = queue.first() else {
                return;
            };
            if required > offset {
                return;
            }
            self.remove(waiter);
            actions.push(Action::CompleteProduce {
                waiter,
                result: result.clone(),
            });
        }
    }

    /// Ends all waits.
    pub(crate) fn fail_all(&mut self, error: &Error, actions: &mut Vec<Action>) {
        for waiter in std::mem::take(self).waiting.into_keys() {
            actions.push(Action::CompleteProduce {
                waiter,
                result: Err(error.clone()),
            });
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}
