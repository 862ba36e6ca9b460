//! Keyed state between epochs: the seam behind which state larger than memory will come.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, Int64Builder};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema};

use crate::Error;
use crate::words::Counts;

/// How many keys a query may keep: some 100 bytes each.
pub(crate) const KEYS_MAX: usize = 20_000_000;

/// How many bytes they may have together; an Arrow column of them holds at most 2 GiB.
pub(crate) const KEY_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// How many keys there may be, and how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) keys_max: usize,
    pub(crate) key_bytes_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            keys_max: KEYS_MAX,
            key_bytes_max: KEY_BYTES_MAX,
        }
    }
}

impl Bounds {
    /// # Errors
    /// If there are more.
    pub(crate) fn check(self, keys: usize, key_bytes: usize) -> Result<(), Error> {
        let Self {
            keys_max,
            key_bytes_max,
        } = self;
        if keys <= keys_max && key_bytes <= key_bytes_max {
            return Ok(());
        }
        Err(Error::StateTooLarge {
            keys_max,
            key_bytes_max,
        })
    }
}

/// A count for each key. What is applied is there at once; what lasts is decided by the checkpoint, which takes a scan.
pub trait StateStore: Send {
    /// The count of each key, 0 where there is none.
    fn get_many(&self, keys: &mut dyn Iterator<Item = &[u8]>) -> Vec<i64>;

    /// Adds to the counts.
    ///
    /// # Errors
    /// If the state has no room; nothing is applied then.
    fn apply(&mut self, delta: &HashMap<Box<[u8]>, i64>) -> Result<(), Error>;

    /// Everything, as columns `value` (binary) and `count` (64 bits), in no particular order.
    ///
    /// # Errors
    /// If it cannot be put into columns.
    fn scan(&self) -> Result<RecordBatch, ArrowError>;

    /// Replaces everything by what [`StateStore::scan`] gave.
    ///
    /// # Errors
    /// If the batch has other columns.
    fn restore(&mut self, batch: &RecordBatch) -> Result<(), ArrowError>;
}

/// All in memory.
#[derive(Debug, Default)]
pub struct MemoryStateStore {
    counts: Counts,
    key_bytes: usize,
    bounds: Bounds,
}

/// The columns of a word count.
pub(crate) fn schema() -> Arc<Schema> {
    let value = Field::new("value", DataType::Binary, false);
    Arc::new(Schema::new(vec![
        value,
        Field::new("count", DataType::Int64, false),
    ]))
}

impl StateStore for MemoryStateStore {
    fn get_many(&self, keys: &mut dyn Iterator<Item = &[u8]>) -> Vec<i64> {
        keys.map(|key| self.counts.get(key).copied().unwrap_or(0))
            .collect()
    }

    fn apply(&mut self, delta: &HashMap<Box<[u8]>, i64>) -> Result<(), Error> {
        let new = delta.keys().filter(|key| !self.counts.contains_key(*key));
        let (keys, key_bytes) = new.fold((self.counts.len(), self.key_bytes), |(keys, bytes), key| {
            (keys + 1, bytes + key.len())
        });
        self.bounds.check(keys, key_bytes)?;
        self.key_bytes = key_bytes;
        for (key, count) in delta {
            *self.counts.entry(key.clone()).or_default() += count;
        }
        Ok(())
    }

    fn scan(&self) -> Result<RecordBatch, ArrowError> {
        let mut values = BinaryBuilder::with_capacity(self.counts.len(), self.key_bytes);
        let mut counts = Int64Builder::with_capacity(self.counts.len());
        for (key, count) in &self.counts {
            values.append_value(key);
            counts.append_value(*count);
        }
        RecordBatch::try_new(
            schema(),
            vec![Arc::new(values.finish()), Arc::new(counts.finish())],
        )
    }

    fn restore(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        if batch.schema() != schema() {
            return Err(ArrowError::SchemaError("the state has other columns".to_owned()));
        }
        let (values, counts) = (
            batch.column(0).as_binary::<i32>(),
            batch.column(1).as_primitive::<Int64Type>(),
        );
        self.counts = (0..values.len())
            .map(|row| (values.value(row).into(), counts.value(row)))
            .collect();
        self.key_bytes = self.counts.keys().map(|key| key.len()).sum();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_applied_is_found_and_survives_a_scan() {
        let delta: Counts = [(b"a"[..].into(), 2), (b""[..].into(), 1)].into();
        let mut store = MemoryStateStore::default();
        store.apply(&delta).unwrap();
        store.apply(&delta).unwrap();
        let mut restored = MemoryStateStore::default();
        restored.restore(&store.scan().unwrap()).unwrap();
        for store in [&store, &restored] {
            assert_eq!(store.get_many(&mut [&b"a"[..], b"", b"b"].into_iter()), [4, 2, 0]);
        }
    }

    #[test]
    fn keys_and_their_bytes_are_bounded_and_nothing_is_applied_beyond() {
        let bounds = Bounds {
            keys_max: 3,
            key_bytes_max: 10,
        };
        let apply = |first: &[&[u8]], second: &[&[u8]]| {
            let mut store = MemoryStateStore {
                bounds,
                ..MemoryStateStore::default()
            };
            let delta = |keys: &[&[u8]]| keys.iter().map(|key| ((*key).into(), 1)).collect();
            store.apply(&delta(first)).unwrap();
            let mut restored = MemoryStateStore {
                bounds,
                ..MemoryStateStore::default()
            };
            restored.restore(&store.scan().unwrap()).unwrap();
            let applied =
                [store.apply(&delta(second)), restored.apply(&delta(second))].map(|one| one.is_ok());
            assert_eq!(
                applied[0], applied[1],
                "a state that was restored has the same bounds"
            );
            (applied[0], store.scan().unwrap().num_rows())
        };
        assert_eq!(apply(&[b"a", b"b"], &[b"a", b"c"]), (true, 3));
        assert_eq!(apply(&[b"a", b"b"], &[b"c", b"d"]), (false, 2));
        assert_eq!(apply(&[b"12345"], &[b"12345", b"abcde"]), (true, 2));
        assert_eq!(apply(&[b"12345"], &[b"abcdef"]), (false, 1));
    }
}
