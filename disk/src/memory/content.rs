//! The bytes of one file: as the process sees them, and as they are on the platter.

use std::collections::BTreeSet;
use std::ops::Range;

use super::Survivors;

/// What is written back, or lost, as a whole.
const PAGE_BYTES: usize = 4096;

#[derive(Debug, Default, Clone)]
pub(super) struct Content {
    seen: Vec<u8>,
    durable: Vec<u8>,
    /// Pages in which `seen` may differ from `durable`.
    dirty: BTreeSet<usize>,
    /// Whether the page cache holds the file.
    pub(super) cached: bool,
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.seen.len() as u64
    }

    pub(super) fn read(&self, buffer: &mut [u8], position: u64) -> usize {
        let start = usize::try_from(position)
            .unwrap_or(usize::MAX)
            .min(self.seen.len());
        let length = buffer.len().min(self.seen.len() - start);
        buffer[..length].copy_from_slice(&self.seen[start..start + length]);
        length
    }

    pub(super) fn write(&mut self, buffer: &[u8], position: u64) {
        if buffer.is_empty() {
            return;
        }
        let start = usize::try_from(position).expect("a position in memory");
        let end = start + buffer.len();
        let changed = start.min(self.seen.len())..end;
        if end > self.seen.len() {
            self.seen.resize(end, 0);
        }
        self.seen[start..end].copy_from_slice(buffer);
        self.touch(changed);
        self.cached = true;
    }

    pub(super) fn set_len(&mut self, length: u64) {
        let length = usize::try_from(length).expect("a length in memory");
        let changed = length.min(self.seen.len())..length.max(self.seen.len());
        self.seen.resize(length, 0);
        self.touch(changed);
    }

    pub(super) fn sync(&mut self) {
        self.durable.resize(self.seen.len(), 0);
        for page in std::mem::take(&mut self.dirty) {
            let range = page_range(page, self.seen.len());
            self.durable[range.clone()].copy_from_slice(&self.seen[range]);
        }
    }

    /// The file as a crash leaves it, everything in it durable. `coin` decides for [`Survivors::Random`].
    pub(super) fn crash(&self, survivors: Survivors, coin: &mut impl FnMut() -> bool) -> Content {
        let mut left = match survivors {
            Survivors::OnlySynced => self.durable.clone(),
            Survivors::Everything => self.seen.clone(),
            Survivors::Random(_) => {
                let length = if coin() {
                    self.seen.len()
                } else {
                    self.durable.len()
                };
                let mut left = self.durable.clone();
                left.resize(length, 0);
                for &page in &self.dirty {
                    let range = page_range(page, length.min(self.seen.len()));
                    if coin() {
                        left[range.clone()].copy_from_slice(&self.seen[range]);
                    }
                }
                left
            }
        };
        left.shrink_to_fit();
        Content {
            seen: left.clone(),
            durable: left,
            dirty: BTreeSet::new(),
            cached: false,
        }
    }

    fn touch(&mut self, changed: Range<usize>) {
        if !changed.is_empty() {
            self.dirty
                .extend(changed.start / PAGE_BYTES..=(changed.end - 1) / PAGE_BYTES);
        }
    }
}

/// A page's bytes in a file of that length; empty if the file ends before it.
fn page_range(page: usize, length: usize) -> Range<usize> {
    (page * PAGE_BYTES).min(length)..((page + 1) * PAGE_BYTES).min(length)
}
