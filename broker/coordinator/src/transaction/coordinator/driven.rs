//! The transaction coordinator in the words that drivers share.

use std::time::Duration;

use forebay_protocol::ErrorCode;
use forebay_records::RecordBatch;

use super::TransactionCoordinator;
use crate::contract::Coordinator;
use crate::transaction::{Action, Command, Completion, Error, Event, Outcome, Request, Response};
use crate::{AppendId, Now};

impl Coordinator for TransactionCoordinator {
    type Command = Command;
    type Response = Response;
    type Event = Event;
    type Action = Action;
    type Error = Error;

    fn refuse(request: Request, error: ErrorCode) -> Completion {
        request.refuse(error)
    }

    fn replay_batch(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        self.replay_batch(batch)
    }

    fn activate(&mut self, now: Now) -> Outcome {
        self.activate(now)
    }

    fn set_append_bytes_max(&mut self, bytes: usize) {
        self.config.append_bytes_max = bytes;
    }

    fn handle(&mut self, request: Request, now: Now) -> Outcome {
        self.handle(request, now)
    }

    fn next_deadline(&self) -> Option<Duration> {
        self.next_deadline()
    }

    fn tick(&mut self, now: Now) -> Outcome {
        self.tick(now)
    }

    fn committed(&mut self, append: AppendId, now: Now) -> Outcome {
        self.committed(append, now)
    }

    fn append_failed(&mut self, from: AppendId, error: ErrorCode, now: Now) -> Outcome {
        self.append_failed(from, error, now)
    }

    /// None of its records is part of a transaction: it says what becomes of them.
    fn appends_refused(&mut self, refused: &[(AppendId, ErrorCode)], now: Now) -> Outcome {
        debug_assert!(refused.is_empty(), "no append of its own is refused alone");
        let first = refused.iter().min_by_key(|(append, _)| *append);
        first.map_or_else(Outcome::default, |(append, error)| {
            self.append_failed(*append, *error, now)
        })
    }

    fn resign(self, now: Now) -> Vec<Completion> {
        self.resign(now)
    }

    fn is_alarming(event: &Event) -> bool {
        matches!(
            event,
            Event::NotWritten { .. } | Event::MarkerNotWritten { .. } | Event::CoordinatorFenced { .. }
        )
    }
}
