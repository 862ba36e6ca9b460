//! Where a partition goes on: what the store's list says, and what stands against it.

use std::collections::BTreeMap;

use forebay_connect_api::{AssignedPartition, Error, Offset, TopicPartition};

use crate::{
    name::{Folder, Layout, Parsed, Range},
    store::{Found, Store},
};

/// Objects that an error names.
const NAMES_SHOWN: usize = 5;

/// The objects of one partition of a topic in one folder, or in all of its folders.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    folder: String,
    /// Ranges with their names, sorted.
    ranges: Vec<(Range, String)>,
    /// Objects that do not say where they end.
    start_only: Vec<(Offset, String)>,
}

/// Which offsets of an encoded partition are stored.
#[derive(Debug, Default)]
pub(crate) struct Covered {
    all: Intervals,
    /// Of one schema alone.
    by_schema: BTreeMap<String, Intervals>,
}

/// Ranges without overlaps, sorted, both ends included.
#[derive(Debug, Default, PartialEq, Eq)]
struct Intervals(Vec<(Offset, Offset)>);

impl Stored {
    /// Reads the store's list of a folder.
    pub(crate) async fn list(
        store: &dyn Store,
        layout: &Layout,
        of: &TopicPartition,
        encoded: &str,
    ) -> Result<Self, Error> {
        let folder = layout.folder(&of.topic, encoded);
        let found = store.list(&folder.path, &[layout.beginning(of, encoded)]).await?;
        Ok(Self::of(layout, of, &folder, &found))
    }

    /// Reads the store's list of all folders of the topic.
    pub(crate) async fn list_all(
        store: &dyn Store,
        layout: &Layout,
        of: &TopicPartition,
    ) -> Result<Self, Error> {
        let folder = layout.root(&of.topic);
        let found = store.list_below(&folder.path).await?;
        // With another delimiter than the slash the topic and its folders are a part of the name.
        let begins = format!(
            "{}{}{}{}",
            of.topic, layout.file_delimiter, of.partition, layout.file_delimiter
        );
        let found = found.iter().filter(|one| one.name.starts_with(&folder.prefix));
        let found = found.filter_map(|one| Some((&one.name, &one.name[one.name.rfind(&begins)?..])));
        Ok(Self::read(layout, of, folder.path.clone(), found))
    }

    pub(crate) fn of(layout: &Layout, of: &TopicPartition, folder: &Folder, found: &[Found]) -> Self {
        let found = found
            .iter()
            .filter_map(|one| Some((&one.name, one.name.strip_prefix(&folder.prefix)?)));
        Self::read(layout, of, folder.path.clone(), found)
    }

    /// Of objects with their whole names, and those of them that say what they hold.
    fn read<'a>(
        layout: &Layout,
        of: &TopicPartition,
        folder: String,
        found: impl Iterator<Item = (&'a String, &'a str)>,
    ) -> Self {
        let mut stored = Self {
            folder,
            ..Self::default()
        };
        for (name, says) in found {
            match layout.parse(of, says) {
                Parsed::Range(range) => stored.ranges.push((range, name.clone())),
                Parsed::StartOnly(start) => stored.start_only.push((start, name.clone())),
                Parsed::Foreign => {}
            }
        }
        stored.ranges.sort_by_key(|(range, _)| (range.start, range.end));
        stored.start_only.sort();
        stored
    }

    /// The offset after the last one that is stored; 0 if nothing is.
    pub(crate) fn next_offset(&self) -> Offset {
        let ends = self.ranges.iter().map(|(range, _)| range.end.next());
        ends.max().unwrap_or(Offset::ZERO)
    }

    /// What is stored from `position` on.
    pub(crate) fn covered(&self, position: Offset) -> Covered {
        let mut covered = Covered::default();
        for (range, _) in self.ranges.iter().filter(|(range, _)| range.end >= position) {
            let intervals = match &range.schema {
                Some(schema) => covered.by_schema.entry(schema.clone()).or_default(),
                None => &mut covered.all,
            };
            intervals.add(range.start, range.end);
        }
        covered
    }

    /// Names of the objects that hold offsets from `offset` on, some of them.
    pub(crate) fn names_from(&self, offset: Offset) -> Option<String> {
        let names: Vec<&str> = self
            .ranges
            .iter()
            .filter(|(range, _)| range.end >= offset)
            .map(|(_, name)| name.as_str())
            .collect();
        let shown = names
            .iter()
            .take(NAMES_SHOWN)
            .copied()
            .collect::<Vec<_>>()
            .join(", ");
        match names.len().checked_sub(NAMES_SHOWN) {
            _ if names.is_empty() => None,
            None | Some(0) => Some(shown),
            Some(more) => Some(format!("{shown} and {more} more")),
        }
    }

    /// Whether the objects are of this topic, and not of one that had its name before: the last one says, if the store kept the
    /// note. Such a topic may be longer already than what is stored, so that its end tells nothing.
    pub(crate) async fn check_topic(
        &self,
        store: &dyn Store,
        assigned: &AssignedPartition,
    ) -> Result<(), Error> {
        let last = self.ranges.iter().max_by_key(|(range, _)| range.end);
        let (Some((_, last)), Some(now)) = (last, &assigned.topic_id) else {
            return Ok(());
        };
        let (of, folder) = (&assigned.topic_partition, &self.folder);
        let slash = if folder.is_empty() { "" } else { "/" };
        match store.topic_id(&format!("{folder}{slash}{last}")).await? {
            Some(then) if then != **now => Err(Error::fatal(format!(
                "{last} in {folder} of {} holds offsets of another topic {} (its id was {then}, now {now}): the topic was made anew, \
                 or the objects are another cluster's. Set another topics.dir or store, or move these objects away: {}",
                store.describe(),
                of.topic,
                self.names_from(Offset::ZERO).unwrap_or_default()
            ))),
            _ => Ok(()),
        }
    }

    /// Whether the objects can be of the topic as it is now, and all of them say what they hold.
    pub(crate) fn check(&self, store: &dyn Store, assigned: &AssignedPartition) -> Result<(), Error> {
        let of = &assigned.topic_partition;
        let place = || format!("{} of {}", self.folder, store.describe());
        let next = self.next_offset();
        if next > assigned.log_end_offset {
            let names = self.names_from(assigned.log_end_offset).unwrap_or_default();
            return Err(Error::fatal(format!(
                "objects hold offsets of {of} up to {}, but the topic ends before offset {}: it was made anew, or the objects in {} are \
                 another cluster's. Set another topics.dir or store, or move these objects away: {names}",
                next.value() - 1,
                assigned.log_end_offset,
                place()
            )));
        }
        self.check_start_only(assigned, &place)?;
        self.warn_of_overlaps(&place);
        Ok(())
    }

    /// The offset with which the next file of an assigned partition begins, where files follow each other: everything before
    /// the end of one is stored. Not so for those of one schema alone.
    pub(crate) fn position(&self, assigned: &AssignedPartition) -> Offset {
        let whole = self.ranges.iter().filter(|(range, _)| range.schema.is_none());
        let next = whole.map(|(range, _)| range.end.next()).max();
        let next = next.unwrap_or(Offset::ZERO);
        let committed = assigned.committed.unwrap_or(Offset::ZERO);
        let first = next.max(committed).max(assigned.log_start_offset);
        if next > Offset::ZERO && first > next && assigned.log_start_offset > next.max(committed) {
            tracing::warn!(
                partition = %assigned.topic_partition, from = next.value(), to = assigned.log_start_offset.value() - 1,
                "records that were not stored yet are gone from the topic (retention)"
            );
        }
        first
    }

    /// What Confluent's sink wrote is only trusted where the consumer group says how far it came.
    fn check_start_only(
        &self,
        assigned: &AssignedPartition,
        place: &dyn Fn() -> String,
    ) -> Result<(), Error> {
        let Some((start, name)) = self.start_only.last() else {
            return Ok(());
        };
        if assigned.committed.is_some_and(|committed| committed > *start) {
            return Ok(());
        }
        Err(Error::fatal(format!(
            "{name} in {} does not say with which offset it ends, as objects of Confluent's sink do not, and no offset after {start} is \
             committed. Set another topics.dir, or set the connector's offsets (PATCH /connectors/NAME/offsets) to where that sink ended",
            place()
        )))
    }

    fn warn_of_overlaps(&self, place: &dyn Fn() -> String) {
        let mut last: Option<&(Range, String)> = None;
        for one in self.ranges.iter().filter(|(range, _)| range.schema.is_none()) {
            if let Some((range, name)) = last
                && one.0.start <= range.end
            {
                tracing::warn!(
                    place = place(),
                    one = name,
                    other = one.1,
                    "two objects hold the same offsets"
                );
            }
            last = match last {
                Some(known) if known.0.end >= one.0.end => Some(known),
                _ => Some(one),
            };
        }
    }
}

impl Covered {
    /// Whether a record is stored, whatever its schema.
    pub(crate) fn has(&self, offset: Offset) -> bool {
        self.all.has(offset)
    }

    /// Whether nothing is stored from this offset on.
    pub(crate) fn ends_before(&self, offset: Offset) -> bool {
        let mut all = self.by_schema.values().chain([&self.all]);
        all.all(|intervals| intervals.0.last().is_none_or(|(_, end)| *end < offset))
    }

    /// Whether some of the objects hold records of one schema alone.
    pub(crate) fn knows_schemas(&self) -> bool {
        !self.by_schema.is_empty()
    }

    /// Whether a record of that schema is stored among those of that schema alone.
    pub(crate) fn has_of_schema(&self, offset: Offset, schema: &str) -> bool {
        let intervals = self.by_schema.get(schema);
        intervals.is_some_and(|intervals| intervals.has(offset))
    }
}

impl Intervals {
    /// Adds one that begins no earlier than those before.
    fn add(&mut self, start: Offset, end: Offset) {
        match self.0.last_mut() {
            Some((_, last)) if start <= last.next() => *last = end.max(*last),
            _ => self.0.push((start, end)),
        }
    }

    fn has(&self, offset: Offset) -> bool {
        let after = self.0.partition_point(|(start, _)| *start <= offset);
        after > 0 && self.0[after - 1].1 >= offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_covered_is_what_some_range_has() {
        let ranges = [(3, 5), (4, 4), (6, 7), (10, 12), (11, 20), (30, 30)];
        let mut intervals = Intervals::default();
        for (start, end) in ranges {
            intervals.add(Offset(start), Offset(end));
        }
        assert_eq!(intervals.0.len(), 3);
        for offset in 0..40 {
            let expected = ranges
                .iter()
                .any(|(start, end)| (*start..=*end).contains(&offset));
            assert_eq!(intervals.has(Offset(offset)), expected, "{offset}");
        }
    }
}
