//! What a step has decided about a classic group goes into one record; what then happens waits for it, and something else if it fails.

use forebay_protocol::{ErrorCode, Utf8Bytes};

use crate::coordinator::GroupCoordinator;
use crate::record::CoordinatorRecord;
use crate::turn::{GroupWrite, Replacement, Then, Turn};
use crate::{AppendId, Event, Now, Outcome};

impl GroupCoordinator {
    /// A successor that waited and was fenced by the next one has left nobody behind who knows its id: should its own record not
    /// be written either, it must not keep the place.
    fn give_up_fenced(&mut self, group: &Utf8Bytes, then: &Then) {
        let Then::Replace(Replacement {
            old,
            old_was_waiting: true,
            ..
        }) = then
        else {
            return;
        };
        for append in &mut self.appends.uncommitted {
            if let Some((written, Then::Replace(earlier))) = &mut append.then
                && written == group
                && earlier.new == *old
            {
                earlier.given_up = true;
            }
        }
    }

    /// Writes what a step has decided about a group. If that cannot even be tried, it has failed already.
    pub(in crate::coordinator) fn write_group(
        &mut self,
        group: &Utf8Bytes,
        write: GroupWrite,
        now: Now,
        outcome: &mut Outcome,
    ) -> Option<AppendId> {
        let GroupWrite { metadata, then } = write;
        self.give_up_fenced(group, &then);
        match self.append(
            &[CoordinatorRecord::Group(group.clone(), Some(metadata))],
            now,
            outcome,
        ) {
            Ok(id) => {
                if !matches!(then, Then::Nothing) {
                    self.be_patient_with(id, now);
                }
                if let Some(append) = self.appends.get_mut(id) {
                    append.then = Some((group.clone(), then));
                }
                Some(id)
            }
            Err(error) => {
                self.not_written(group, then, error, now, outcome);
                None
            }
        }
    }

    pub(super) fn not_written(
        &mut self,
        group: &Utf8Bytes,
        then: Then,
        error: ErrorCode,
        now: Now,
        outcome: &mut Outcome,
    ) {
        outcome.events.push(Event::MetadataNotWritten {
            group: group.clone(),
            error,
        });
        self.decide(group, now, outcome, |turn: &mut Turn<'_>, group| {
            turn.not_written(group, then, error);
        });
    }
}
