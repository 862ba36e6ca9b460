//! How parts are shown: as bars on a terminal, elsewhere as a line for each tenth.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Part;
use crate::connectors::table::grouped;

/// From which time on it is guessed how long it will take.
const GUESS_AFTER: Duration = Duration::from_secs(2);
const NAME_MAX: usize = 40;

/// What is shown so far.
pub(super) struct Display {
    /// On a terminal.
    all: Option<MultiProgress>,
    shown: BTreeMap<String, Shown>,
}

struct Shown {
    began: Instant,
    /// How much was done then.
    done: f64,
    bar: Option<ProgressBar>,
    /// What the last line said: the tenth, whether it was done, and the state.
    said: Option<(u64, bool, String)>,
}

impl Display {
    pub(super) fn new() -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        let all = is_terminal.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stdout()));
        Self {
            all,
            shown: BTreeMap::new(),
        }
    }

    /// Whether nothing was shown.
    pub(super) fn is_empty(&self) -> bool {
        self.shown.is_empty()
    }

    /// Shows how it is now.
    pub(super) fn show(&mut self, parts: &[Part], now: Instant) {
        let names = parts.iter().map(|part| part.name.chars().count());
        let width = names.max().unwrap_or(0).min(NAME_MAX);
        for part in parts {
            let shown = self.shown.entry(part.name.clone()).or_insert_with(|| Shown {
                began: now,
                done: part.progress.done,
                bar: None,
                said: None,
            });
            let text = text(part, shown.left(part, now));
            let Some(all) = &self.all else {
                shown.say(part, &text);
                continue;
            };
            let (done, whole) = (part.progress.done as u64, part.progress.whole as u64);
            // The length comes first: one of none is full.
            let bar = shown.bar.get_or_insert_with(|| all.add(bar(whole)));
            bar.set_length(whole);
            bar.set_prefix(format!("{:<width$}", part.name));
            bar.set_message(text);
            bar.set_position(done);
        }
    }

    /// Leaves what is shown as it is, with the cursor below it.
    pub(super) fn leave(&mut self) {
        for bar in self.shown.values().filter_map(|shown| shown.bar.as_ref()) {
            bar.abandon();
        }
        if self.all.take().is_some() && !self.shown.is_empty() {
            println!();
        }
        self.shown.clear();
    }
}

fn bar(whole: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} [{bar:30}] {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ");
    ProgressBar::new(whole).with_style(style)
}

impl Shown {
    /// How long it will take if it goes on as since it was seen first.
    fn left(&self, part: &Part, now: Instant) -> Option<Duration> {
        let elapsed = now.saturating_duration_since(self.began);
        let (done, left) = (
            part.progress.done - self.done,
            part.progress.whole - part.progress.done,
        );
        let is_known = elapsed >= GUESS_AFTER && done > 0.0 && left > 0.0 && part.state == "RUNNING";
        is_known.then(|| elapsed.mul_f64((left / done).min(1e6)))
    }

    fn say(&mut self, part: &Part, text: &str) {
        let now = (part.progress.percent() / 10, part.is_done, part.state.clone());
        if self.said.as_ref() != Some(&now) {
            println!("{}: {text}", part.name);
            self.said = Some(now);
        }
    }
}

/// `42%  12.3 of 29.1 MiB  145,000 records/s  12 s left`
pub(super) fn text(part: &Part, left: Option<Duration>) -> String {
    let progress = part.progress;
    let amount = if progress.is_bytes {
        let (scale, unit) = scale(progress.whole);
        let digits = usize::from(scale > 1.0);
        let (done, whole) = (progress.done / scale, progress.whole / scale);
        format!("{done:.digits$} of {whole:.digits$} {unit}")
    } else {
        format!(
            "{} of {} records",
            grouped(progress.done),
            grouped(progress.whole)
        )
    };
    let mut text = format!("{:>3}%  {amount}", progress.percent());
    if part.state != "RUNNING" {
        return format!("{text}  {}", part.state);
    }
    if part.is_done {
        return text + "  done";
    }
    if let Some(rate) = part.rate.filter(|rate| *rate >= 1.0) {
        text += &format!("  {} records/s", grouped(rate));
    }
    if let Some(left) = left {
        text += &format!("  {} left", duration(left));
    }
    text
}

fn scale(bytes: f64) -> (f64, &'static str) {
    const KIB: f64 = 1024.0;
    let scales = [(KIB * KIB * KIB, "GiB"), (KIB * KIB, "MiB"), (KIB, "KiB")];
    let found = scales.into_iter().find(|(scale, _)| bytes >= *scale);
    found.unwrap_or((1.0, "bytes"))
}

fn duration(left: Duration) -> String {
    let seconds = left.as_secs();
    match seconds {
        0..=89 => format!("{} s", seconds.max(1)),
        90..=5399 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3600)),
    }
}
