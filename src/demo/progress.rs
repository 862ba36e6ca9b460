//! How far the lines have come, and the bars that show it.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use forebay_client::Admin;
use forebay_client::admin::OffsetSpec;
use forebay_client::config::IsolationLevel;
use forebay_protocol::TopicPartition;
use forebay_streams::Progress;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{PARTITIONS, check};

/// What the word count has told so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Counted(Arc<CountedInner>);

#[derive(Debug, Default)]
struct CountedInner {
    lines: AtomicU64,
    words: AtomicI64,
    distinct: AtomicUsize,
}

impl Counted {
    pub(super) fn add(&self, progress: &Progress) {
        self.0.words.store(progress.words_total, Ordering::Relaxed);
        self.0.distinct.store(progress.output_rows, Ordering::Relaxed);
        // Last, and read first: whoever sees these lines sees their words.
        self.0.lines.fetch_add(progress.input_rows, Ordering::Release);
    }

    pub(super) fn lines(&self) -> u64 {
        self.0.lines.load(Ordering::Acquire)
    }

    pub(super) fn words(&self) -> u64 {
        u64::try_from(self.0.words.load(Ordering::Relaxed)).unwrap_or(0)
    }

    pub(super) fn distinct(&self) -> usize {
        self.0.distinct.load(Ordering::Relaxed)
    }
}

/// How many records the topic has.
pub(super) async fn produced(admin: &Admin, topic: &str) -> anyhow::Result<u64> {
    let asked = (0..PARTITIONS)
        .map(|partition| (TopicPartition::new(topic, partition), OffsetSpec::Latest))
        .collect();
    let mut records = 0;
    for listed in admin
        .list_offsets(&asked, IsolationLevel::ReadUncommitted)
        .await?
        .into_values()
    {
        records += listed?.offset.map_or(0, |offset| offset.0);
    }
    Ok(u64::try_from(records)?)
}

/// How many offsets the names of the stored files cover: `topic+partition+start+end.…`.
pub(super) fn stored(directory: &Path) -> anyhow::Result<u64> {
    let files = check::parquet_files(directory)?;
    let covered = files.iter().filter_map(|path| {
        let mut parts = path.file_name()?.to_str()?.split('.').next()?.rsplit('+');
        let (end, start): (u64, u64) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(end + 1 - start)
    });
    Ok(covered.sum())
}

/// One bar for each place that lines go to.
pub(super) struct Bars {
    all: MultiProgress,
    bars: [ProgressBar; 3],
}

impl Bars {
    pub(super) fn new(lines: u64) -> Self {
        let all = MultiProgress::new();
        let style =
            ProgressStyle::with_template("{prefix:<10} [{bar:40}] {human_pos:>9} of {human_len} lines")
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> ");
        let bars = ["topic", "word count", "Parquet"].map(|name| {
            all.add(
                ProgressBar::new(lines)
                    .with_style(style.clone())
                    .with_prefix(name),
            )
        });
        Self { all, bars }
    }

    pub(super) fn show(&self, produced: u64, counted: u64, stored: u64) {
        for (bar, lines) in self.bars.iter().zip([produced, counted, stored]) {
            bar.set_position(lines);
        }
    }

    pub(super) fn finish(&self) {
        self.bars.iter().for_each(ProgressBar::finish);
    }

    /// Standard output above the bars.
    pub(super) fn output(&self) -> Box<dyn Write + Send> {
        Box::new(AboveBars(self.all.clone()))
    }
}

struct AboveBars(MultiProgress);

impl Write for AboveBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stdout().write_all(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}
