//! Futures as trait objects can return them.

use std::{future::Future, pin::Pin};

/// A future on the heap that may move between threads: what the methods of tasks and connectors return, so that they can be
/// called through `dyn` and by any runtime.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
