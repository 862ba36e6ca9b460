//! What one write takes: the batches of several requests, and what they change.

use bytes::{Bytes, BytesMut};
use forebay_records::{BatchHeader, HEADER_BYTES, LeaderEpoch, Offset, Timestamp};

use crate::producer_state::{Marker, ProducerUpdate};
use crate::segment::Place;
use crate::tail_cache::Block;

/// Batches up to this size are copied together: cheaper than a buffer each in the write and in every later read, and
/// what is kept in memory does not pin a whole request.
const GATHERED_BYTES_MAX: usize = 32 * 1024;

/// A batch with its place in the log.
pub(super) struct Assigned {
    pub(super) header: BatchHeader,
    /// The rewritten head; none if the batch stays as it is.
    pub(super) head: Option<[u8; HEADER_BYTES]>,
    /// What follows the head, or all of it.
    pub(super) rest: Bytes,
    pub(super) marker: Option<Marker>,
}

impl Assigned {
    pub(super) fn place(&self) -> Place {
        Place {
            last_offset: self.header.last_offset(),
            max_timestamp: self.header.max_timestamp,
            size: self.header.size_in_bytes() as u64,
        }
    }
}

/// What is about to be written at once.
#[derive(Default)]
pub(super) struct Group {
    pub(super) base_offset: Offset,
    pub(super) next_offset: Offset,
    pub(super) parts: Vec<Bytes>,
    gathered: BytesMut,
    pub(super) places: Vec<Place>,
    pub(super) epochs: Vec<(LeaderEpoch, Offset)>,
    pub(super) update: ProducerUpdate,
    /// The answers that depend on the write.
    pub(super) answers: Vec<usize>,
}

impl Group {
    pub(super) fn at(offset: Offset) -> Group {
        Group {
            base_offset: offset,
            next_offset: offset,
            ..Group::default()
        }
    }

    pub(super) fn push(&mut self, batch: Assigned) {
        self.places.push(batch.place());
        self.next_offset = batch.header.next_offset();
        let epoch = batch.header.partition_leader_epoch;
        if self.epochs.last().is_none_or(|(last, _)| *last != epoch) {
            self.epochs.push((epoch, batch.header.base_offset));
        }
        self.gathered
            .extend_from_slice(batch.head.as_ref().map_or(&[][..], |head| head));
        if batch.rest.len() <= GATHERED_BYTES_MAX {
            self.gathered.extend_from_slice(&batch.rest);
        } else {
            self.close_gathered();
            self.parts.push(batch.rest);
        }
    }

    pub(super) fn close_gathered(&mut self) {
        if !self.gathered.is_empty() {
            self.parts.push(self.gathered.split().freeze());
        }
    }

    pub(super) fn into_block(self, now: Timestamp) -> Block {
        let mut end = 0;
        let ends = self.places.iter().map(|place| {
            end += place.size as usize;
            (place.last_offset, end)
        });
        let ends = ends.collect();
        let Group {
            base_offset,
            next_offset,
            parts,
            ..
        } = self;
        Block {
            base_offset,
            next_offset,
            appended_at: now,
            parts,
            ends,
        }
    }
}
