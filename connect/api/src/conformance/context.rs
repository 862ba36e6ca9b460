//! The worker's side of a sink task.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::intents::Owner;
use crate::{Access, ErrantRecordReporter, Intents, Offset, SinkTaskContext, TaskId, TopicPartition};

/// Keeps what the task asks for until the kit acts on it.
#[derive(Debug)]
pub(super) struct Context {
    task_id: TaskId,
    offsets: Mutex<Vec<(TopicPartition, Offset)>>,
    /// If the task says what it intends.
    pub(super) owner: OnceLock<Arc<Owner>>,
}

impl Default for Context {
    fn default() -> Self {
        let task_id = TaskId {
            connector: "conformance".into(),
            task: 0,
        };
        Self {
            task_id,
            offsets: Mutex::default(),
            owner: OnceLock::new(),
        }
    }
}

impl Context {
    pub(super) fn take_offsets(&self) -> Vec<(TopicPartition, Offset)> {
        std::mem::take(&mut self.offsets.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl SinkTaskContext for Context {
    fn task_id(&self) -> &TaskId {
        &self.task_id
    }

    fn access(&self) -> &Access {
        const ACCESS: &Access = &Access::unrestricted();
        ACCESS
    }

    fn offset(&self, topic_partition: &TopicPartition, offset: Offset) {
        let mut offsets = self.offsets.lock().unwrap_or_else(PoisonError::into_inner);
        offsets.push((topic_partition.clone(), offset));
    }

    // The kit delivers in any order that it likes, so a pause changes nothing.
    fn pause(&self, _partitions: &[TopicPartition]) {}

    fn resume(&self, _partitions: &[TopicPartition]) {}

    fn request_commit(&self) {}

    fn intents(&self) -> Option<&dyn Intents> {
        self.owner.get().map(|owner| &**owner as _)
    }

    fn errant_record_reporter(&self) -> Option<&dyn ErrantRecordReporter> {
        None
    }
}
