//! What holds back those who read committed records only, and no more of it than they need: they must not wait for a write.

use std::collections::BTreeMap;

use forebay_records::Offset;

/// The transactions that are open, or were decided by a marker that is not replicated yet.
#[derive(Debug, Default)]
pub(crate) struct Undecided {
    /// Where the oldest open one begins.
    first_open: Option<Offset>,
    /// Decided ones, first offset to marker's offset, until the high watermark passes the marker.
    unreplicated: BTreeMap<Offset, Offset>,
}

impl Undecided {
    /// The first offset whose fate is open.
    pub(crate) fn first_offset(&self) -> Option<Offset> {
        let unreplicated = self.unreplicated.keys().next().copied();
        self.first_open.into_iter().chain(unreplicated).min()
    }

    /// The oldest transaction that is open now, and those that were decided lately.
    pub(super) fn update(
        &mut self,
        first_open: Option<Offset>,
        decided: impl Iterator<Item = (Offset, Offset)>,
    ) {
        self.first_open = first_open;
        self.unreplicated.extend(decided);
    }

    /// The markers below the high watermark are replicated.
    pub(crate) fn on_high_watermark(&mut self, high_watermark: Offset) {
        self.unreplicated.retain(|_, marker| *marker >= high_watermark);
    }
}
