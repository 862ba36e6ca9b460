//! Memory that the host has really given. Where a host takes back what its guest leaves free (free page reporting), a page of the
//! page cache costs ten times a copy when it is touched first, and how many are new depends on who ran before. So before
//! something is measured the page cache is filled up, as that of a server is which has run for a day: with holes of a file
//! that nobody else reads, which are the first that the kernel takes for something better.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Left free: enough for the kernel not to reclaim in haste.
const FREE_BYTES: u64 = 512 << 20;
const READ_BYTES: usize = 1 << 20;

/// A file without content, read to fill the page cache.
#[derive(Debug)]
pub(crate) struct WarmMemory {
    file: File,
    bytes: u64,
    position: u64,
}

impl WarmMemory {
    /// Up to `bytes`; nothing is filled yet. The file goes with the directory's other ones, or with this.
    pub(crate) fn new(directory: &Path, bytes: u64) -> std::io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let path = directory.join(format!("holes-{}", std::process::id()));
        let options = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path);
        let file = options?;
        file.set_len(bytes)?;
        // It is ours as long as it is open, whatever ends this process.
        std::fs::remove_file(path)?;
        Ok(Self {
            file,
            bytes,
            position: 0,
        })
    }

    /// Fills the page cache until little memory is free.
    pub(crate) fn fill(&mut self) -> std::io::Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        let mut filled = 0;
        while filled < self.bytes && free_bytes() > FREE_BYTES {
            self.file.read_exact_at(&mut buffer, self.position)?;
            filled += READ_BYTES as u64;
            self.position = (self.position + READ_BYTES as u64) % self.bytes;
        }
        Ok(())
    }
}

/// Bytes that nobody uses; 0 where `/proc` does not tell.
fn free_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemFree:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
