//! Where results go. In complete mode every epoch shows all of them.

mod console;
mod topic;

use std::future::Future;
use std::pin::Pin;

use arrow_array::RecordBatch;

use crate::Error;

pub use console::ConsoleSink;
pub use topic::TopicSink;

/// Takes the result of an epoch. It may be given the same epoch again after a crash, always with the same rows.
pub trait Sink: Send {
    /// Shows or writes `rows`; when this returns, they are where they belong.
    fn write<'a>(
        &'a mut self,
        epoch: u64,
        rows: &'a RecordBatch,
    ) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>;
}
