//! Batches that a task gave while the transaction before them was committed. They share the next transaction: a commit takes the
//! cluster a handful of syncs whatever it is for, so the slower it is, the more goes into the next.

use std::collections::VecDeque;

use forebay_connect_api::{Error, SourceRecord, Value};

/// Records that are read ahead, at most, but for the last batch.
const RECORDS_MAX: usize = 50_000;
/// What they may come to, but for the last batch.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// What `poll` gave: a batch or the error that the task has had after those before.
type Polled = Result<Vec<SourceRecord>, Error>;

#[derive(Debug, Default)]
pub(super) struct ReadAhead {
    polled: VecDeque<Polled>,
    records: usize,
    bytes: usize,
}

impl ReadAhead {
    /// Whether there may be another one. Nothing comes after an error before somebody has looked at it.
    pub(super) fn has_room(&self) -> bool {
        self.records < RECORDS_MAX && self.bytes < BYTES_MAX && !matches!(self.polled.back(), Some(Err(_)))
    }

    /// An empty batch, which no task should give, is nothing: it would not count, however many there are.
    pub(super) fn push(&mut self, polled: Polled) {
        if polled.as_ref().is_ok_and(Vec::is_empty) {
            return;
        }
        self.records += polled.as_ref().map_or(0, Vec::len);
        self.bytes += held_bytes(&polled);
        self.polled.push_back(polled);
    }

    /// The first one.
    pub(super) fn pop(&mut self) -> Option<Polled> {
        let polled = self.polled.pop_front()?;
        self.records -= polled.as_ref().map_or(0, Vec::len);
        self.bytes -= held_bytes(&polled);
        Some(polled)
    }

    /// How many records there are.
    pub(super) fn records(&self) -> usize {
        self.records
    }

    /// Whether a batch is next, which the transaction that is open can have.
    pub(super) fn has_batch(&self) -> bool {
        matches!(self.polled.front(), Some(Ok(_)))
    }
}

/// The texts, bytes and items of a batch's keys, values and headers.
fn held_bytes(polled: &Polled) -> usize {
    let records = polled.as_ref().map_or(&[][..], Vec::as_slice);
    let of = |record: &SourceRecord| {
        let headers = record.headers.iter();
        let headers = headers.map(|header| header.key.len() + value_bytes(&header.value.value));
        value_bytes(&record.key.value) + value_bytes(&record.value.value) + headers.sum::<usize>()
    };
    records.iter().map(of).sum()
}

fn value_bytes(value: &Value) -> usize {
    let items = |items: &[Value]| items.iter().map(value_bytes).sum::<usize>();
    size_of::<Value>()
        + match value {
            Value::String(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::Array(values) => items(values),
            Value::Struct(of) => items(of.values()),
            Value::Map(entries) => {
                let entries = entries.iter();
                entries
                    .map(|(key, value)| value_bytes(key) + value_bytes(value))
                    .sum()
            }
            _ => 0,
        }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use forebay_connect_api::{OffsetMap, SchemaAndValue};

    use super::*;

    fn batch_of(value: SchemaAndValue, count: usize) -> Polled {
        let partition = Arc::new(OffsetMap::new());
        let record = SourceRecord::new(partition, None, "t".into(), value);
        Ok(vec![record; count])
    }

    fn batch(count: usize) -> Polled {
        batch_of(SchemaAndValue::string(""), count)
    }

    #[test]
    fn is_bounded_by_records_and_bytes() {
        let mut ahead = ReadAhead::default();
        ahead.push(batch(RECORDS_MAX - 1));
        assert!(ahead.has_room());
        ahead.push(batch(1));
        assert!(!ahead.has_room());
        ahead.pop();
        assert!(ahead.has_room());
        assert!(ahead.pop().is_some());
        let long = SchemaAndValue::string("x".repeat(BYTES_MAX / 4));
        let nested = Value::Map(vec![(Value::Int8(1), Value::Array(vec![long.value.clone()]))]);
        ahead.push(batch_of(long, 2));
        assert!(ahead.has_room());
        ahead.push(batch_of(SchemaAndValue::schemaless(nested), 2));
        assert!(!ahead.has_room());
        while ahead.pop().is_some() {}
        assert!(ahead.has_room() && ahead.bytes == 0 && ahead.records() == 0);
        ahead.push(batch(0));
        assert!(ahead.pop().is_none(), "nobody counts what is empty");
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
