//! What the disk itself needs to append a little and sync it: the least that an acknowledgement with `flush.messages=1` can take
//! where the file has to grow.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::common::statistics::Percentiles;

/// One page, which is what a file grows by.
const APPEND_BYTES: usize = 4096;

/// Appends and syncs, one after the other, for so long.
pub(crate) fn sync_times(directory: &Path, duration: Duration) -> anyhow::Result<Percentiles> {
    let path = directory.join("synced");
    let file = File::create(&path)?;
    let bytes = [b'x'; APPEND_BYTES];
    let mut samples_ms = Vec::new();
    let began = Instant::now();
    while samples_ms.is_empty() || began.elapsed() < duration {
        let position = (samples_ms.len() * APPEND_BYTES) as u64;
        let start = Instant::now();
        file.write_all_at(&bytes, position)?;
        file.sync_data()?;
        samples_ms.push(start.elapsed().as_secs_f64() * 1e3);
    }
    std::fs::remove_file(path)?;
    Ok(Percentiles::of(samples_ms))
}
