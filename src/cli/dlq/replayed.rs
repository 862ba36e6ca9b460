//! Which letters of a partition have been replayed, as the offset that is committed for it and its metadata tell: all before the
//! committed offset, and behind it those in the metadata. Both are committed in the transaction that replays the letters, so that a
//! replay that is killed, or run again, or run at once with another, doubles none.

use std::fmt;
use std::ops::Range;

use forebay_records::Offset;

use crate::cli::options::Stop;

/// What the metadata begins with, for whoever finds it.
const FORM: &str = "replayed ";

/// How long metadata may be (`offset.metadata.max.bytes` of brokers).
const METADATA_BYTES_MAX: usize = 4096;

/// The offsets that were replayed, as ranges in their order that do not touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Replayed(Vec<Range<i64>>);

/// There are too many ranges to be kept.
const SCATTERED: &str = "the letters that have been replayed lie too scattered among those that have not to be remembered; replay \
                         more of them at once";

impl Replayed {
    /// Reads what was committed.
    pub(super) fn parse(committed: Offset, metadata: &str) -> Result<Self, Stop> {
        let mut all = Self::default();
        all.add(0..committed.0);
        let foreign = || Stop::Failed(format!("the metadata {metadata:?} is not this tool's"));
        let text = match metadata.strip_prefix(FORM) {
            Some(text) => text,
            None if metadata.is_empty() => return Ok(all),
            None => return Err(foreign()),
        };
        let mut end = committed.0;
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (gap, length) = part.split_once('+').ok_or_else(foreign)?;
            let number = |text: &str| {
                text.parse::<i64>()
                    .ok()
                    .filter(|number| *number > 0)
                    .ok_or_else(foreign)
            };
            let start = end.checked_add(number(gap)?).ok_or_else(foreign)?;
            end = start.checked_add(number(length)?).ok_or_else(foreign)?;
            all.add(start..end);
        }
        Ok(all)
    }

    /// The offset to commit, and its metadata.
    pub(super) fn to_commit(&self) -> Result<(Offset, String), Stop> {
        let mut ranges = self.0.iter().peekable();
        let committed = ranges
            .next_if(|first| first.start == 0)
            .map_or(0, |first| first.end);
        let (mut end, mut parts) = (committed, Vec::new());
        for range in ranges {
            parts.push(format!("{}+{}", range.start - end, range.end - range.start));
            end = range.end;
        }
        let metadata = match parts.is_empty() {
            true => String::new(),
            false => format!("{FORM}{}", parts.join(",")),
        };
        if metadata.len() > METADATA_BYTES_MAX {
            return Err(Stop::Failed(SCATTERED.to_owned()));
        }
        Ok((Offset(committed), metadata))
    }

    pub(super) fn has(&self, offset: Offset) -> bool {
        let after = self.0.partition_point(|range| range.end <= offset.0);
        self.0.get(after).is_some_and(|range| range.contains(&offset.0))
    }

    /// Adds offsets.
    pub(super) fn add(&mut self, new: Range<i64>) {
        if new.is_empty() {
            return;
        }
        let first = self.0.partition_point(|range| range.end < new.start);
        let last = self.0.partition_point(|range| range.start <= new.end);
        let touched = &self.0[first..last];
        let start = touched
            .first()
            .map_or(new.start, |range| range.start.min(new.start));
        let end = touched.last().map_or(new.end, |range| range.end.max(new.end));
        self.0.splice(first..last, std::iter::once(start..end));
    }
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Numbers that look random and are the same each time.
    fn numbers(seed: u64) -> impl Iterator<Item = i64> {
        let mut state = seed | 1;
        std::iter::repeat_with(move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            i64::try_from(state >> 33).expect("31 bits")
        })
    }

    #[test]
    fn it_is_the_set_of_what_was_added_also_once_it_is_read_again() {
        for seed in 0..300 {
            let (mut replayed, mut model) = (Replayed::default(), BTreeSet::new());
            let mut numbers = numbers(seed);
            for _ in 0..seed % 40 {
                let start = numbers.next().expect("endless") % 60;
                let end = start + numbers.next().expect("endless") % 5;
                replayed.add(start..end);
                model.extend(start..end);
            }
            let (offset, metadata) = replayed.to_commit().expect("few");
            let read = Replayed::parse(offset, &metadata).expect("its own");
            assert_eq!(read, replayed, "{metadata}");
            for number in 0..70 {
                assert_eq!(
                    read.has(Offset(number)),
                    model.contains(&number),
                    "{number} of {replayed}"
                );
            }
        }
    }

    #[test]
    fn what_cannot_be_kept_or_read_is_refused() {
        let mut scattered = Replayed::default();
        for number in 0..2_000 {
            scattered.add(number * 2 + 1..number * 2 + 2);
        }
        assert!(scattered.to_commit().is_err());
        for metadata in [
            "hello",
            "replayed 1",
            "replayed 1+x",
            "replayed 0+1",
            "replayed 9223372036854775807+1",
        ] {
            assert!(Replayed::parse(Offset(1), metadata).is_err(), "{metadata}");
        }
        let all = Replayed::parse(Offset(5), "").expect("nothing more");
        assert_eq!((all.has(Offset(4)), all.has(Offset(5))), (true, false));
    }
}
