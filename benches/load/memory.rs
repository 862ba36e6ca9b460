//! Memory that the host has really given. Where a host takes back what its guest leaves free (free page reporting), a page of the
//! page cache costs five to ten times a copy when it is touched first, and how many are new depends on who ran before. So the load
//! holds memory that is touched, and lets go of as much as the page cache grows by while something is measured.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Far beyond what an allocator keeps for itself: freeing gives it to the kernel.
const PIECE_BYTES: u64 = 64 << 20;
/// Let go of before it is needed: what the fastest load takes in a few [`INTERVAL`]s.
const AHEAD_BYTES: u64 = 4 * PIECE_BYTES;
const INTERVAL: Duration = Duration::from_millis(20);

/// Touched memory, kept for the page cache of what is measured.
#[derive(Debug)]
pub(crate) struct WarmMemory {
    pieces: Vec<Vec<u8>>,
    bytes: u64,
}

impl WarmMemory {
    /// Up to `bytes`; none are held yet.
    pub(crate) fn new(bytes: u64) -> Self {
        Self {
            pieces: Vec::new(),
            bytes,
        }
    }

    /// Runs `work`, letting go of warm memory as it takes some.
    pub(crate) fn during<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.fill();
        let done = AtomicBool::new(false);
        let pieces = &mut self.pieces;
        let result = std::thread::scope(|scope| {
            scope.spawn(|| release(pieces, &done));
            let result = work();
            done.store(true, Ordering::Relaxed);
            result
        });
        if self.bytes > 0 && self.pieces.is_empty() {
            eprintln!(
                "the warm memory was used up: more of it, or fewer seconds, would measure less of the host"
            );
        }
        result
    }

    fn fill(&mut self) {
        while self.pieces.len() as u64 * PIECE_BYTES < self.bytes {
            // Not zero: that would be left to the first one who touches it.
            self.pieces.push(vec![1; PIECE_BYTES as usize]);
        }
    }
}

fn release(pieces: &mut Vec<Vec<u8>>, done: &AtomicBool) {
    let cached_before = cached_bytes();
    let mut released = 0;
    while !done.load(Ordering::Relaxed) {
        let grown = cached_bytes().saturating_sub(cached_before);
        while released < grown + AHEAD_BYTES && pieces.pop().is_some() {
            released += PIECE_BYTES;
        }
        std::thread::sleep(INTERVAL);
    }
}

/// What the page cache holds; 0 where `/proc` does not tell.
fn cached_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Cached:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
