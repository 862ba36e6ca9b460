//! The batches that were appended last, still in memory: consumers that keep up never touch a file. Bounded for each log
//! and for all logs together; what a slice of a request pins in memory is let go of by age.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use forebay_records::{Offset, Timestamp};

use crate::read::{Chunk, Read, ReadResult};

/// A larger write is not kept: to send its pages of the page cache costs less than to copy it out of memory once more, and the
/// memory that it lies in is still in the processor's cache when the next request is read into it.
const BLOCK_BYTES_MAX: usize = 256 * 1024;

/// The bytes that all tail caches together may hold.
#[derive(Debug)]
pub(crate) struct TailBudget {
    limit_bytes: usize,
    used_bytes: AtomicUsize,
}

impl TailBudget {
    pub(crate) fn new(limit_bytes: usize) -> TailBudget {
        TailBudget {
            limit_bytes,
            used_bytes: AtomicUsize::new(0),
        }
    }

    #[cfg(test)]
    pub(crate) fn used_bytes(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> bool {
        let add = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.limit_bytes);
        self.used_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
            .is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The batches of one write.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) base_offset: Offset,
    pub(crate) next_offset: Offset,
    pub(crate) appended_at: Timestamp,
    /// One behind the other they are the batches.
    pub(crate) parts: Vec<Bytes>,
    /// For each batch its last offset and where it ends in the parts together.
    pub(crate) ends: Vec<(Offset, usize)>,
}

impl Block {
    fn size(&self) -> usize {
        self.ends.last().map_or(0, |(_, end)| *end)
    }

    /// The bytes from `start` to `end`, added to `chunks`.
    fn slice(&self, start: usize, end: usize, chunks: &mut Vec<Chunk>) {
        let mut position = 0;
        for part in &self.parts {
            let from = start.saturating_sub(position).min(part.len());
            let to = end.saturating_sub(position).min(part.len());
            if from < to {
                chunks.push(Chunk::Bytes(part.slice(from..to)));
            }
            position += part.len();
        }
    }
}

/// The last blocks of a log; their offsets follow each other.
#[derive(Debug)]
pub(crate) struct TailCache {
    blocks: VecDeque<Block>,
    bytes: usize,
    limit_bytes: usize,
    budget: Arc<TailBudget>,
}

impl TailCache {
    pub(crate) fn new(limit_bytes: usize, budget: Arc<TailBudget>) -> TailCache {
        TailCache {
            blocks: VecDeque::new(),
            bytes: 0,
            limit_bytes,
            budget,
        }
    }

    /// Takes a block, and lets go of the oldest ones as the bounds demand. One that is large is not kept, nor what was before it.
    pub(crate) fn push(&mut self, block: Block) {
        if self
            .blocks
            .back()
            .is_some_and(|last| last.next_offset != block.base_offset)
        {
            self.clear();
        }
        let size = block.size();
        if size > BLOCK_BYTES_MAX {
            return self.clear();
        }
        while !self.blocks.is_empty() && self.bytes + size > self.limit_bytes {
            self.pop();
        }
        if size > self.limit_bytes {
            return;
        }
        while !self.budget.take(size) {
            if self.blocks.is_empty() {
                return;
            }
            self.pop();
        }
        self.bytes += size;
        self.blocks.push_back(block);
    }

    /// What `read` asks for, if its offset is in the cache.
    pub(crate) fn read(&self, read: &Read) -> Option<ReadResult> {
        let first = self.blocks.front()?;
        if read.offset < first.base_offset {
            return None;
        }
        let index = self
            .blocks
            .partition_point(|block| block.next_offset <= read.offset);
        let block = self.blocks.get(index)?;
        let mut batch = block
            .ends
            .partition_point(|(last_offset, _)| *last_offset < read.offset);
        let mut result = ReadResult {
            next_offset: read.offset,
            ..ReadResult::default()
        };
        for block in self.blocks.range(index..) {
            let start = batch.checked_sub(1).map_or(0, |before| block.ends[before].1);
            let mut end = start;
            let mut full = false;
            for (last_offset, batch_end) in &block.ends[batch..] {
                let size = result.size_in_bytes + (batch_end - start);
                let is_first = result.size_in_bytes == 0 && end == start;
                let fits = size <= read.max_bytes || (is_first && read.min_one_batch);
                if !fits || *last_offset >= read.up_to {
                    full = true;
                    break;
                }
                end = *batch_end;
                result.next_offset = last_offset.next();
            }
            block.slice(start, end, &mut result.chunks);
            result.size_in_bytes += end - start;
            if full {
                break;
            }
            batch = 0;
        }
        Some(result)
    }

    /// Lets go of what was appended before `time`.
    pub(crate) fn evict_before(&mut self, time: Timestamp) {
        while self.blocks.front().is_some_and(|block| block.appended_at < time) {
            self.pop();
        }
    }

    /// Lets go of what lies before `offset`, with the rest of its block.
    pub(crate) fn evict_to(&mut self, offset: Offset) {
        while self
            .blocks
            .front()
            .is_some_and(|block| block.base_offset < offset)
        {
            self.pop();
        }
    }

    /// Lets go of everything.
    pub(crate) fn clear(&mut self) {
        while !self.blocks.is_empty() {
            self.pop();
        }
    }

    fn pop(&mut self) {
        if let Some(block) = self.blocks.pop_front() {
            self.bytes -= block.size();
            self.budget.give_back(block.size());
        }
    }
}

impl Drop for TailCache {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block of batches of two records, the bytes of each batch equal to its number, in parts of `part` bytes.
    fn block(first_batch: u8, sizes: &[usize], part: usize) -> Block {
        let mut bytes = vec![];
        let mut ends = vec![];
        for (number, size) in (first_batch..).zip(sizes) {
            bytes.extend(std::iter::repeat_n(number, *size));
            ends.push((Offset(i64::from(number) * 2 + 1), bytes.len()));
        }
        Block {
            base_offset: Offset(i64::from(first_batch) * 2),
            next_offset: ends.last().map_or(Offset(0), |(last, _)| last.next()),
            appended_at: Timestamp(i64::from(first_batch)),
            parts: bytes.chunks(part).map(Bytes::copy_from_slice).collect(),
            ends,
        }
    }

    fn read(
        cache: &TailCache,
        offset: i64,
        up_to: i64,
        max_bytes: usize,
        min_one_batch: bool,
    ) -> Option<(Vec<u8>, i64)> {
        let read = Read {
            offset: Offset(offset),
            up_to: Offset(up_to),
            max_bytes,
            min_one_batch,
        };
        let result = cache.read(&read)?;
        let bytes: Vec<u8> = result
            .chunks
            .iter()
            .flat_map(|chunk| match chunk {
                Chunk::Bytes(bytes) => bytes.to_vec(),
                Chunk::File(_) => panic!("there are no files here"),
            })
            .collect();
        assert_eq!(bytes.len(), result.size_in_bytes);
        Some((bytes, result.next_offset.value()))
    }

    #[test]
    fn whole_batches_from_any_offset() {
        let mut cache = TailCache::new(1000, Arc::new(TailBudget::new(1000)));
        cache.push(block(5, &[3, 4], 2));
        cache.push(block(7, &[2], 100));
        cache.push(block(8, &[5, 1], 3));
        let all = |from: u8| -> Vec<u8> {
            let sizes = [(5, 3), (6, 4), (7, 2), (8, 5), (9, 1)];
            let batches = sizes.into_iter().filter(|(number, _)| *number >= from);
            batches.flat_map(|(number, size)| vec![number; size]).collect()
        };
        assert_eq!(read(&cache, 9, 100, 100, true), None, "before the first");
        for offset in 10..20 {
            assert_eq!(
                read(&cache, offset, 100, 100, true),
                Some((all((offset / 2) as u8), 20)),
                "from {offset}"
            );
        }
        assert_eq!(read(&cache, 20, 100, 100, true), None, "behind the last");
        assert_eq!(
            read(&cache, 10, 100, 8, true),
            Some((all(5)[..7].to_vec(), 14)),
            "whole batches only"
        );
        assert_eq!(
            read(&cache, 10, 100, 9, true),
            Some((all(5)[..9].to_vec(), 16)),
            "across blocks"
        );
        assert_eq!(
            read(&cache, 12, 100, 1, true),
            Some((vec![6; 4], 14)),
            "the first in any case"
        );
        assert_eq!(read(&cache, 12, 100, 1, false), Some((vec![], 12)), "or not");
        assert_eq!(
            read(&cache, 10, 15, 100, true),
            Some((all(5)[..7].to_vec(), 14)),
            "up to"
        );
        assert_eq!(
            read(&cache, 10, 11, 100, true),
            Some((vec![], 10)),
            "the first is not visible"
        );
    }

    #[test]
    fn large_writes_are_not_kept() {
        let budget = Arc::new(TailBudget::new(10 * BLOCK_BYTES_MAX));
        let mut cache = TailCache::new(5 * BLOCK_BYTES_MAX, Arc::clone(&budget));
        cache.push(block(0, &[10], 10));
        cache.push(block(1, &[BLOCK_BYTES_MAX], BLOCK_BYTES_MAX));
        assert_eq!(budget.used_bytes(), 10 + BLOCK_BYTES_MAX);
        cache.push(block(2, &[BLOCK_BYTES_MAX + 1], BLOCK_BYTES_MAX));
        assert_eq!(budget.used_bytes(), 0);
        cache.push(block(3, &[5], 10));
        assert_eq!(read(&cache, 4, 100, 100, true), None);
        assert!(read(&cache, 6, 100, 100, true).is_some());
    }

    #[test]
    fn bounds_of_the_log_and_of_all_logs() {
        let budget = Arc::new(TailBudget::new(25));
        let mut one = TailCache::new(20, Arc::clone(&budget));
        let mut two = TailCache::new(20, Arc::clone(&budget));
        one.push(block(0, &[10], 10));
        one.push(block(1, &[10], 10));
        assert!(read(&one, 0, 100, 100, true).is_some());
        one.push(block(2, &[1], 10));
        assert_eq!(
            (read(&one, 0, 100, 100, true), budget.used_bytes()),
            (None, 11),
            "the log's own bound"
        );
        two.push(block(0, &[15], 15));
        assert_eq!(
            (read(&two, 0, 100, 100, true), budget.used_bytes()),
            (None, 11),
            "the bound of all"
        );
        two.push(block(1, &[14], 15));
        assert!(read(&two, 2, 100, 100, true).is_some());
        one.push(block(3, &[21], 100));
        assert_eq!(
            budget.used_bytes(),
            14,
            "larger than the log's bound: nothing is kept"
        );
        two.push(block(9, &[1], 1));
        assert_eq!(read(&two, 2, 100, 100, true), None, "a gap");
        two.evict_before(Timestamp(9));
        assert_eq!(budget.used_bytes(), 1);
        two.evict_before(Timestamp(10));
        assert_eq!(budget.used_bytes(), 0);
        two.push(block(1, &[5], 5));
        drop(two);
        assert_eq!(budget.used_bytes(), 0);
    }
}
