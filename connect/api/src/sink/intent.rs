//! Intents: what a sink task says before it makes an object, so that whoever has the partition after it finishes the same object
//! and no other.
//!
//! Two tasks may both believe that they own a partition: one was stopped for longer than its session, and goes on. A name alone
//! does not keep their objects apart, as each may have gathered another range. So the order is, for every object:
//!
//! 1. [`Intents::intend`]: it fails for a task that does not own the partition any more;
//! 2. the object is made under its name, unless there is one of that name;
//! 3. [`Intents::done`], with which the consumer group's offset moves.
//!
//! A task that is given a partition asks for [`Intents::outstanding`] ones first. An object that exists stays as it was written;
//! one that does not is made of exactly that range, into that name.

use std::{fmt, sync::Arc};

use super::TopicPartition;
use crate::{BoxFuture, Error, Offset};

/// An object that a task is about to make of a range of offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// Its name: one of its kind among all of the connector.
    pub object: Arc<str>,
    /// Which records of the range it holds, in words of the task's own: all that are of one encoded partition, say.
    pub part: Arc<str>,
    /// The first offset of the range.
    pub start: Offset,
    /// The last one.
    pub end: Offset,
}

/// What a worker offers to tasks that say what they intend ([`crate::SinkTask::says_intents`]).
///
/// Everything is fenced: a task that has lost a partition, known to it or not, gets a retriable error and changes nothing. The
/// worker then takes the partition away from it, or gives it to it again.
pub trait Intents: fmt::Debug + Send + Sync {
    /// Intents of a partition that were said before it was given to the task, and were not done, from the lowest offset on.
    fn outstanding(&self, of: &TopicPartition) -> Vec<Intent>;

    /// Says what the task is about to make, all of it or nothing. `safe`: everything before this offset is in the store.
    ///
    /// # Errors
    /// A retriable one: nothing was said, or it is not known. The partition is given to a task again in any case.
    fn intend<'a>(
        &'a self,
        of: &'a TopicPartition,
        intents: &'a [Intent],
        safe: Offset,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// Says that these are in the store now, and that the group goes on at `safe`, both or nothing.
    ///
    /// # Errors
    /// As [`Intents::intend`].
    fn done<'a>(
        &'a self,
        of: &'a TopicPartition,
        intents: &'a [Intent],
        safe: Offset,
    ) -> BoxFuture<'a, Result<(), Error>>;
}
