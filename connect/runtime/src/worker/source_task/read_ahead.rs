//! Batches that a task gave while the transaction before them was committed. They share the next transaction: a commit takes the
//! cluster a handful of syncs whatever it is for, so the slower it is, the more goes into the next.

use std::collections::VecDeque;

use forebay_connect_api::{Error, SourceRecord};

/// Records that are read ahead, at most, but for the last batch.
const RECORDS_MAX: usize = 50_000;
/// What they may come to, by the records before them.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// What `poll` gave: a batch or the error that the task has had after those before.
type Polled = Result<Vec<SourceRecord>, Error>;

#[derive(Debug, Default)]
pub(super) struct ReadAhead {
    polled: VecDeque<Polled>,
    records: usize,
    /// What a record came to in the newest transaction.
    record_bytes: usize,
}

impl ReadAhead {
    /// Whether there may be another one. Nothing comes after an error before somebody has looked at it.
    pub(super) fn has_room(&self) -> bool {
        self.records < RECORDS_MAX
            && self.records.saturating_mul(self.record_bytes) < BYTES_MAX
            && !matches!(self.polled.back(), Some(Err(_)))
    }

    pub(super) fn push(&mut self, polled: Polled) {
        self.records += polled.as_ref().map_or(0, Vec::len);
        self.polled.push_back(polled);
    }

    /// The first one.
    pub(super) fn pop(&mut self) -> Option<Polled> {
        let polled = self.polled.pop_front()?;
        self.records -= polled.as_ref().map_or(0, Vec::len);
        Some(polled)
    }

    /// Whether a batch is next, which the transaction that is open can have.
    pub(super) fn has_batch(&self) -> bool {
        matches!(self.polled.front(), Some(Ok(_)))
    }

    /// A transaction had so many records of so many bytes.
    pub(super) fn measured(&mut self, records: usize, bytes: usize) {
        if let Some(each) = bytes.checked_div(records) {
            self.record_bytes = each;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use forebay_connect_api::{OffsetMap, SchemaAndValue};

    use super::*;

    fn batch(count: usize) -> Polled {
        let partition = Arc::new(OffsetMap::new());
        let record = SourceRecord::new(partition, None, "t".into(), SchemaAndValue::string(""));
        Ok(vec![record; count])
    }

    #[test]
    fn is_bounded_by_records_and_by_what_they_came_to() {
        let mut ahead = ReadAhead::default();
        ahead.push(batch(RECORDS_MAX - 1));
        assert!(ahead.has_room());
        ahead.push(batch(1));
        assert!(!ahead.has_room());
        ahead.pop();
        assert!(ahead.has_room());
        ahead.measured(10, 10 * BYTES_MAX);
        assert!(!ahead.has_room(), "one record is as much as there may be");
        ahead.measured(0, 0);
        assert!(!ahead.has_room(), "an empty transaction says nothing");
        assert!(ahead.pop().is_some());
        assert!(ahead.has_room(), "there is always room for one batch");
    }

    #[test]
    fn nothing_comes_behind_an_error() {
        let mut ahead = ReadAhead::default();
        ahead.push(batch(1));
        ahead.push(Err(Error::retriable("not now")));
        assert!(ahead.has_batch() && !ahead.has_room());
        assert!(ahead.pop().is_some_and(|polled| polled.is_ok()));
        assert!(
            !ahead.has_batch(),
            "the transaction ends before the error is looked at"
        );
        assert!(ahead.pop().is_some_and(|polled| polled.is_err()));
        assert!(ahead.has_room());
    }
}
