//! The group coordinator in the words that drivers share.

use std::time::Duration;

use forebay_protocol::ErrorCode;
use forebay_records::RecordBatch;

use super::GroupCoordinator;
use crate::contract::{Coordinator, OutcomeOf};
use crate::{Action, AppendId, Command, Completion, Event, Now, Request, Response, record};

impl Coordinator for GroupCoordinator {
    type Command = Command;
    type Response = Response;
    type Event = Event;
    type Action = Action;
    type Error = record::Error;

    fn refuse(request: Request, error: ErrorCode) -> Completion {
        request.refuse(error)
    }

    fn replay_batch(&mut self, batch: &RecordBatch) -> Result<(), record::Error> {
        self.replay_batch(batch)
    }

    fn activate(&mut self, now: Now) -> OutcomeOf<Self> {
        self.activate(now)
    }

    fn set_append_bytes_max(&mut self, bytes: usize) {
        self.config.append_bytes_max = bytes;
    }

    fn handle(&mut self, request: Request, now: Now) -> OutcomeOf<Self> {
        self.handle(request, now)
    }

    fn next_deadline(&self) -> Option<Duration> {
        self.next_deadline()
    }

    fn tick(&mut self, now: Now) -> OutcomeOf<Self> {
        self.tick(now)
    }

    fn committed(&mut self, append: AppendId, now: Now) -> OutcomeOf<Self> {
        self.committed(append, now)
    }

    fn append_failed(&mut self, from: AppendId, error: ErrorCode, now: Now) -> OutcomeOf<Self> {
        self.append_failed(from, error, now)
    }

    fn appends_refused(&mut self, refused: &[(AppendId, ErrorCode)], now: Now) -> OutcomeOf<Self> {
        self.appends_refused(refused, now)
    }

    fn resign(self, now: Now) -> Vec<Completion> {
        self.resign(now)
    }

    fn is_alarming(event: &Event) -> bool {
        matches!(event, Event::MetadataNotWritten { .. })
    }
}
