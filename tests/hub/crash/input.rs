//! The file that grows: a thread appends lines until it is told to stop, so that work is in flight at every moment.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Chance;

/// Lines come in bursts that do not end with a line's end, at this pace.
const BURST_INTERVAL: Duration = Duration::from_millis(10);
const LINES_PER_BURST: usize = 10;

/// Few words, so that each is counted often; lines of many, so that hardly two are equal.
const WORDS: u64 = 200;

/// The growing file.
#[derive(Debug)]
pub(crate) struct Input {
    path: PathBuf,
    count: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    writer: Option<JoinHandle<Vec<String>>>,
}

impl Input {
    /// Starts to write to `path`.
    pub(crate) fn start(path: &Path, seed: u64) -> Self {
        let (count, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let file = File::create(path).expect("the input file");
        let writer = {
            let (count, stop) = (Arc::clone(&count), Arc::clone(&stop));
            std::thread::spawn(move || write(file, Chance(!seed), &count, &stop))
        };
        Self {
            path: path.to_owned(),
            count,
            stop,
            writer: Some(writer),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// How many whole lines there are.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Ends the file with a line's end; gives its lines.
    pub(crate) fn finish(&mut self) -> Vec<String> {
        self.stop.store(true, Ordering::Release);
        let writer = self.writer.take().expect("it is finished once");
        writer.join().expect("the writer does not fail")
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

fn write(mut file: File, mut chance: Chance, count: &AtomicUsize, stop: &AtomicBool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut held_back = Vec::new();
    while !stop.load(Ordering::Acquire) {
        let mut burst = std::mem::take(&mut held_back);
        for _ in 0..LINES_PER_BURST {
            let line = line(&mut chance);
            burst.extend_from_slice(line.as_bytes());
            burst.push(b'\n');
            lines.push(line);
        }
        // The end of the last line comes with the next burst: readers must wait for it.
        let tail = chance.below(20) as usize + 1;
        held_back = burst.split_off(burst.len().saturating_sub(tail));
        file.write_all(&burst).expect("the input can be written");
        count.store(
            lines.len().saturating_sub(tail.min(LINES_PER_BURST)),
            Ordering::Release,
        );
        std::thread::sleep(BURST_INTERVAL);
    }
    file.write_all(&held_back).expect("the input can be written");
    count.store(lines.len(), Ordering::Release);
    lines
}

/// Six words or more; some lines have blanks side by side, which make empty words.
fn line(chance: &mut Chance) -> String {
    let words: Vec<String> = (0..6 + chance.below(6))
        .map(|_| match chance.below(WORDS + 5) {
            word if word < WORDS => format!("word{word}"),
            _ => String::new(),
        })
        .collect();
    words.join(" ")
}
