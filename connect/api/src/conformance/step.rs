//! Futures that are dropped half-way, and the trail of steps that a violation shows.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use crate::BoxFuture;

/// Steps that a violation names.
const STEPS_SHOWN: usize = 12;

/// Drives a future for at most `polls` polls, then drops it: `None`, as when a worker cancels a call or is killed in it.
pub(super) fn cut_off<T>(future: BoxFuture<'_, T>, polls: u64) -> CutOff<'_, T> {
    CutOff {
        future: Some(future),
        polls,
    }
}

/// The future of [`cut_off`].
pub(super) struct CutOff<'a, T> {
    future: Option<BoxFuture<'a, T>>,
    polls: u64,
}

impl<T> Future for CutOff<'_, T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        if self.polls == 0 {
            self.future = None;
            return Poll::Ready(None);
        }
        self.polls -= 1;
        let Some(future) = &mut self.future else {
            return Poll::Ready(None);
        };
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.polls == 0 => {
                self.future = None;
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

/// The last steps of a run; `Display` joins them.
#[derive(Debug, Default)]
pub(super) struct Trail(VecDeque<String>);

impl Trail {
    pub(super) fn push(&mut self, step: impl Into<String>) {
        if self.0.len() == STEPS_SHOWN {
            self.0.pop_front();
        }
        self.0.push_back(step.into());
    }
}

impl fmt::Display for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            let arrow = if index == 0 { "" } else { " -> " };
            write!(f, "{arrow}{step}")?;
        }
        Ok(())
    }
}
