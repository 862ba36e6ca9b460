//! Where a partition goes on: what the store's list says, and what stands against it.

use forebay_connect_api::{AssignedPartition, Error, Offset, TopicPartition};

use crate::{
    name::{Layout, Parsed},
    store::{Found, Store},
};

/// Objects that an error names.
const NAMES_SHOWN: usize = 5;

/// The objects of one partition.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    /// Ranges with their names, sorted.
    ranges: Vec<(Offset, Offset, String)>,
    /// Objects that do not say where they end.
    start_only: Vec<(Offset, String)>,
}

impl Stored {
    /// Reads the store's list.
    pub(crate) async fn list(store: &dyn Store, layout: &Layout, of: &TopicPartition) -> Result<Self, Error> {
        let found = store.list(&layout.folder(of)).await?;
        Ok(Self::of(layout, of, found))
    }

    fn of(layout: &Layout, of: &TopicPartition, found: Vec<Found>) -> Self {
        let mut stored = Self::default();
        for Found { name, .. } in found {
            match layout.parse(of, &name) {
                Parsed::Range(start, end) => stored.ranges.push((start, end, name)),
                Parsed::StartOnly(start) => stored.start_only.push((start, name)),
                Parsed::Foreign => {}
            }
        }
        stored.ranges.sort();
        stored.start_only.sort();
        stored
    }

    /// The offset after the last one that is stored; 0 if nothing is.
    pub(crate) fn next_offset(&self) -> Offset {
        let ends = self.ranges.iter().map(|(_, end, _)| end.next());
        ends.max().unwrap_or(Offset::ZERO)
    }

    /// Names of the objects that hold offsets from `offset` on, some of them.
    pub(crate) fn names_from(&self, offset: Offset) -> Option<String> {
        let names: Vec<&str> = self
            .ranges
            .iter()
            .filter(|(_, end, _)| *end >= offset)
            .map(|(.., name)| name.as_str())
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
        layout: &Layout,
        assigned: &AssignedPartition,
    ) -> Result<(), Error> {
        let last = self.ranges.iter().max_by_key(|(_, end, _)| *end);
        let (Some((_, _, last)), Some(now)) = (last, &assigned.topic_id) else {
            return Ok(());
        };
        let of = &assigned.topic_partition;
        let folder = layout.folder(of);
        match store.topic_id(&format!("{folder}/{last}")).await? {
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

    /// The offset with which the next file of an assigned partition begins.
    pub(crate) fn position(
        &self,
        store: &dyn Store,
        layout: &Layout,
        assigned: &AssignedPartition,
    ) -> Result<Offset, Error> {
        let of = &assigned.topic_partition;
        let place = || format!("{} of {}", layout.folder(of), store.describe());
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
        let committed = assigned.committed.unwrap_or(Offset::ZERO);
        let first = next.max(committed).max(assigned.log_start_offset);
        if next > Offset::ZERO && first > next && assigned.log_start_offset > next.max(committed) {
            tracing::warn!(
                partition = %of, from = next.value(), to = assigned.log_start_offset.value() - 1,
                "records that were not stored yet are gone from the topic (retention)"
            );
        }
        Ok(first)
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
        let mut last: Option<&(Offset, Offset, String)> = None;
        for range in &self.ranges {
            if let Some((_, end, name)) = last
                && range.0 <= *end
            {
                tracing::warn!(
                    place = place(),
                    one = name,
                    other = range.2,
                    "two objects hold the same offsets"
                );
            }
            last = match last {
                Some(known) if known.1 >= range.1 => Some(known),
                _ => Some(range),
            };
        }
    }
}
