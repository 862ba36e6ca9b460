//! What columns take of which a record says nothing.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use super::column::{Column, Values};
use crate::format::schemas::{Misfit, Width};

/// The memory that cells may take which one record does not have. A record of a megabyte may ask for any number of gigabytes.
pub(in crate::format) const PADDING_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What the columns of a row take that its record does not have. Two bytes of a record, `{}`, may ask for as many cells as its
/// schema has fields, so this is counted as it is filled, and bounded. Shared by the structs of a schema; only one thread at a time
/// fills them.
#[derive(Debug, Clone, Default)]
pub(super) struct Padding(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Bytes.
    padded: AtomicUsize,
    /// Structs, of which each has a cell in each of its columns.
    structs: AtomicUsize,
}

impl Padding {
    /// Begins a record.
    pub(super) fn begin(&self) {
        self.0.padded.store(0, Relaxed);
        self.0.structs.store(0, Relaxed);
    }

    /// Bytes of this record.
    pub(super) fn bytes(&self) -> usize {
        self.0.padded.load(Relaxed)
    }

    /// Structs in this record.
    pub(super) fn structs(&self) -> usize {
        self.0.structs.load(Relaxed)
    }

    pub(super) fn count_struct(&self) {
        self.0.structs.store(self.structs() + 1, Relaxed);
    }

    /// Counts bytes; more than the bound do not fit.
    pub(super) fn pay(&self, bytes: usize) -> Result<(), Misfit> {
        let bytes = self.bytes().saturating_add(bytes);
        self.0.padded.store(bytes, Relaxed);
        match bytes <= PADDING_BYTES_MAX {
            true => Ok(()),
            false => Err(Misfit),
        }
    }
}

impl Column {
    /// Adds what all columns take in a record that has nothing for them.
    pub(super) fn add_width(&self, in_items: bool, width: &mut Width) {
        match &self.values {
            Values::Struct(structs) => {
                let columns = structs.columns.iter();
                columns.for_each(|column| column.add_width(in_items, width));
                return;
            }
            Values::List(items, _) => items.add_width(true, width),
            Values::Map(both, _) => both.iter().for_each(|column| column.add_width(true, width)),
            _ => {}
        }
        width.add(self.absent_bytes, in_items);
    }
}

impl Values {
    /// The memory of a null, and of those below it.
    pub(super) fn null_bytes(&self) -> usize {
        match self {
            Self::Boolean(_) | Self::Int8(_) => 1,
            Self::Int16(_) => 2,
            Self::Int32(_) | Self::Date(_) | Self::Time(_) | Self::Float32(_) => 4,
            Self::String(_) | Self::Bytes(_) | Self::List(..) | Self::Map(..) => size_of::<i32>(),
            Self::Int64(_) | Self::Timestamp(_) | Self::Float64(_) => 8,
            Self::Decimal(..) => 16,
            Self::Struct(structs) => {
                let columns = structs.columns.iter();
                columns.map(|column| column.values.null_bytes()).sum::<usize>() + 1
            }
        }
    }
}
