//! What the log of one `__consumer_offsets` partition says: groups and offsets, newest and committed. Records change it, nothing else:
//! those that are read back, and our own at the moment when they are decided.

use std::collections::{BTreeMap, BTreeSet};

use forebay_protocol::{Utf8Bytes, Uuid};
use forebay_records::{Offset, ProducerId};

use crate::AppendId;
use crate::classic::GroupMetadata;
use crate::offset::{OffsetAndMetadata, OffsetKey};
use crate::record::CoordinatorRecord;
use crate::timeline::Timeline;

/// Where a record that is read back stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// Its offset.
    pub offset: Offset,
    /// The producer of its batch if that is transactional, `NO_PRODUCER_ID` otherwise: what a transaction commits counts from its end
    /// marker on.
    pub producer_id: ProducerId,
}

/// The state that a log of records amounts to.
#[derive(Debug, Default)]
pub(crate) struct Persisted {
    pub(crate) groups: Timeline<Utf8Bytes, GroupMetadata>,
    pub(crate) offsets: Timeline<OffsetKey, OffsetAndMetadata>,
    /// Offsets of transactions that have no end marker yet. Only loading fills it: transactions are not coordinated here yet, but a log
    /// that Kafka wrote may hold them.
    open_transactions: Timeline<(OffsetKey, ProducerId), OffsetAndMetadata>,
    /// Where loaded offsets and those of open transactions stand, which decides between the two at an end marker. Loading needs it,
    /// nobody else.
    loaded_at: BTreeMap<(OffsetKey, Option<ProducerId>), Offset>,
    /// Groups of other types. They are neither served nor harmed.
    other_groups: BTreeSet<Utf8Bytes>,
    unknown_records: u64,
}

impl Persisted {
    /// Applies a record that is read back.
    pub(crate) fn load(&mut self, record: CoordinatorRecord, source: Source) {
        match record {
            CoordinatorRecord::Offset(key, Some(offset)) if source.producer_id.is_some() => {
                self.loaded_at
                    .insert((key.clone(), Some(source.producer_id)), source.offset);
                self.open_transactions
                    .load((key, source.producer_id), Some(offset));
            }
            CoordinatorRecord::Offset(key, Some(offset)) => {
                self.loaded_at.insert((key.clone(), None), source.offset);
                self.offsets.load(key, Some(offset));
            }
            CoordinatorRecord::Offset(key, None) => {
                for open in self.open_transactions_of(&key) {
                    self.loaded_at.remove(&(key.clone(), Some(open.1)));
                    self.open_transactions.load(open, None);
                }
                self.loaded_at.remove(&(key.clone(), None));
                self.offsets.load(key, None);
            }
            CoordinatorRecord::Group(id, metadata) => self.groups.load(id, metadata),
            CoordinatorRecord::OtherGroup { id, exists } => {
                self.unknown_records += 1;
                if exists {
                    self.other_groups.insert(id);
                } else {
                    self.other_groups.remove(&id);
                }
            }
            CoordinatorRecord::Unknown => self.unknown_records += 1,
        }
    }

    /// A transaction has ended: its offsets count now, unless newer ones were committed since; or they never did.
    pub(crate) fn load_end_of_transaction(&mut self, producer_id: ProducerId, committed: bool) {
        let ended: Vec<_> = self
            .open_transactions
            .range(..)
            .filter(|((_, id), _)| *id == producer_id)
            .map(|(key, _)| key.clone())
            .collect();
        for open in ended {
            let offset = self.open_transactions.get(&open).cloned();
            self.open_transactions.load(open.clone(), None);
            let at = self.loaded_at.remove(&(open.0.clone(), Some(producer_id)));
            let newest = self.loaded_at.get(&(open.0.clone(), None)).copied();
            if committed && at > newest {
                if let Some(at) = at {
                    self.loaded_at.insert((open.0.clone(), None), at);
                }
                self.offsets.load(open.0, offset);
            }
        }
    }

    /// All has been read back; from now on records are our own.
    pub(crate) fn loaded(&mut self) {
        self.loaded_at = BTreeMap::new();
    }

    /// Applies a record of our own, which `append` is to write.
    pub(crate) fn write(&mut self, append: AppendId, record: &CoordinatorRecord) {
        match record {
            CoordinatorRecord::Offset(key, offset) => {
                if offset.is_none() {
                    for open in self.open_transactions_of(key) {
                        self.open_transactions.write(append, open, None);
                    }
                }
                self.offsets.write(append, key.clone(), offset.clone());
            }
            CoordinatorRecord::Group(id, metadata) => self.groups.write(append, id.clone(), metadata.clone()),
            CoordinatorRecord::OtherGroup { .. } | CoordinatorRecord::Unknown => {
                unreachable!("only read, never decided")
            }
        }
    }

    /// Everything up to and including `through` is committed.
    pub(crate) fn commit(&mut self, through: AppendId) {
        self.groups.commit(through);
        self.offsets.commit(through);
        self.open_transactions.commit(through);
    }

    /// Everything from `from` on was not written.
    pub(crate) fn revert(&mut self, from: AppendId) {
        self.groups.revert(from);
        self.offsets.revert(from);
        self.open_transactions.revert(from);
    }

    /// The newest offsets of a group.
    pub(crate) fn offsets_of(
        &self,
        group: &Utf8Bytes,
    ) -> impl Iterator<Item = (&OffsetKey, &OffsetAndMetadata)> {
        let group = group.clone();
        self.offsets
            .range(OffsetKey::first_of(&group)..)
            .take_while(move |(key, _)| key.group == group)
    }

    /// The committed offsets of a group.
    pub(crate) fn committed_offsets_of(
        &self,
        group: &Utf8Bytes,
    ) -> impl Iterator<Item = (&OffsetKey, &OffsetAndMetadata)> {
        let group = group.clone();
        self.offsets
            .committed_range(OffsetKey::first_of(&group)..)
            .take_while(move |(key, _)| key.group == group)
    }

    /// What of a group open transactions have committed to.
    pub(crate) fn open_transactions_of_group(&self, group: &Utf8Bytes) -> impl Iterator<Item = &OffsetKey> {
        let group = group.clone();
        let first = (OffsetKey::first_of(&group), ProducerId(i64::MIN));
        self.open_transactions
            .range(first..)
            .map(|((key, _), _)| key)
            .take_while(move |key| key.group == group)
    }

    /// Whether an open transaction has committed to this.
    pub(crate) fn has_open_transaction(&self, key: &OffsetKey) -> bool {
        self.open_transactions_from(key).next().is_some()
    }

    /// Keys of offsets, those of open transactions included, that are as asked for by key and topic id.
    pub(crate) fn offsets_where(
        &self,
        mut is_wanted: impl FnMut(&OffsetKey, Uuid) -> bool,
    ) -> BTreeSet<OffsetKey> {
        let committed = self.offsets.range(..).map(|(key, offset)| (key, offset.topic_id));
        let open = self
            .open_transactions
            .range(..)
            .map(|((key, _), offset)| (key, offset.topic_id));
        committed
            .chain(open)
            .filter(|(key, id)| is_wanted(key, *id))
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// The topics that offsets are of, each with its id as far as that was written.
    pub(crate) fn topics_with_offsets(&self) -> BTreeSet<(Utf8Bytes, Uuid)> {
        let mut topics = BTreeSet::new();
        self.offsets_where(|key, id| {
            topics.insert((key.topic.clone(), id));
            false
        });
        topics
    }

    /// Groups that exist because of an offset.
    pub(crate) fn groups_with_offsets(&self) -> BTreeSet<Utf8Bytes> {
        let open = self.open_transactions.range(..).map(|((key, _), _)| &key.group);
        self.offsets
            .range(..)
            .map(|(key, _)| &key.group)
            .chain(open)
            .cloned()
            .collect()
    }

    /// Whether another protocol's group has this id.
    pub(crate) fn is_other_group(&self, group: &Utf8Bytes) -> bool {
        self.other_groups.contains(group)
    }

    /// How many records were of no concern.
    pub(crate) fn unknown_records(&self) -> u64 {
        self.unknown_records
    }

    fn open_transactions_of(&self, key: &OffsetKey) -> Vec<(OffsetKey, ProducerId)> {
        self.open_transactions_from(key).cloned().collect()
    }

    fn open_transactions_from<'a>(
        &'a self,
        key: &'a OffsetKey,
    ) -> impl Iterator<Item = &'a (OffsetKey, ProducerId)> {
        let first = (key.clone(), ProducerId(i64::MIN));
        self.open_transactions
            .range(first..)
            .map(|(open, _)| open)
            .take_while(move |(open, _)| open == key)
    }
}
