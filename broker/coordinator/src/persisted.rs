//! What the log of one `__consumer_offsets` partition says: groups and offsets, newest and committed. Records change it, nothing else:
//! those that are read back, and our own at the moment when they are decided.

#[cfg(test)]
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use forebay_protocol::{Utf8Bytes, Uuid};
use forebay_records::{Offset, ProducerId};

use crate::classic::GroupMetadata;
use crate::consumer::{ConsumerKey, ConsumerValue};
use crate::offset::{OffsetAndMetadata, OffsetKey};
use crate::record::CoordinatorRecord;
use crate::timeline::Timeline;
use crate::{AppendId, TransactionPart};

/// Where a record that is read back stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// Its offset.
    pub offset: Offset,
    /// The producer of its batch if that is transactional, `NO_PRODUCER_ID` otherwise: what a transaction commits counts from its end
    /// marker on.
    pub producer_id: ProducerId,
}

/// What open transactions would commit, and whether something newer came between.
#[cfg(test)]
pub(crate) type OpenTransactions = BTreeMap<(OffsetKey, ProducerId), (OffsetAndMetadata, bool)>;

/// An offset of an open transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OpenOffset {
    offset: OffsetAndMetadata,
    /// In the log or, for our own, behind all that was read back: only the order counts.
    position: Offset,
    /// Something newer was committed since: the end of the transaction changes nothing.
    superseded: bool,
}

/// The state that a log of records amounts to.
#[derive(Debug, Default)]
pub(crate) struct Persisted {
    pub(crate) groups: Timeline<Utf8Bytes, GroupMetadata>,
    pub(crate) consumer: Timeline<ConsumerKey, ConsumerValue>,
    pub(crate) offsets: Timeline<OffsetKey, OffsetAndMetadata>,
    /// Offsets of transactions that have no end marker yet.
    open_transactions: Timeline<(OffsetKey, ProducerId), OpenOffset>,
    /// Where the next offset of a transaction stands.
    position: Offset,
    /// Groups of other types. They are neither served nor harmed.
    other_groups: BTreeSet<Utf8Bytes>,
    unknown_records: u64,
    /// How often an append was written, for tests.
    #[cfg(test)]
    pub(crate) parts_written: usize,
}

impl Persisted {
    /// Applies a record that is read back.
    pub(crate) fn load(&mut self, record: CoordinatorRecord, source: Source) {
        match record {
            CoordinatorRecord::Offset(key, Some(offset)) if source.producer_id.is_some() => {
                self.position = source.offset.next();
                let open = OpenOffset {
                    offset,
                    position: source.offset,
                    superseded: false,
                };
                self.open_transactions.load((key, source.producer_id), Some(open));
            }
            CoordinatorRecord::Offset(key, offset) => {
                for (open, value) in self.superseded_by(&key, offset.is_some(), None) {
                    self.open_transactions.load(open, value);
                }
                self.offsets.load(key, offset);
            }
            CoordinatorRecord::Group(id, metadata) => self.groups.load(id, metadata),
            CoordinatorRecord::Consumer(key, value) => self.consumer.load(key, value),
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
        for (key, open) in self.opened_by(producer_id) {
            self.open_transactions.load((key.clone(), producer_id), None);
            if !committed || open.superseded {
                continue;
            }
            for (other, value) in self.superseded_by(&key, true, Some(open.position)) {
                self.open_transactions.load(other, value);
            }
            self.offsets.load(key, Some(open.offset));
        }
    }

    /// The same of our own, which `append` is to write.
    fn write_end_of_transaction(&mut self, append: AppendId, producer_id: ProducerId, committed: bool) {
        for (key, open) in self.opened_by(producer_id) {
            self.open_transactions
                .write(append, (key.clone(), producer_id), None);
            if !committed || open.superseded {
                continue;
            }
            for (other, value) in self.superseded_by(&key, true, Some(open.position)) {
                self.open_transactions.write(append, other, value);
            }
            self.offsets.write(append, key, Some(open.offset));
        }
    }

    /// Applies what `append` is to write: records of our own, plain or of a transaction, or the end of one.
    pub(crate) fn write_part(
        &mut self,
        append: AppendId,
        records: &[CoordinatorRecord],
        transaction: Option<TransactionPart>,
    ) {
        #[cfg(test)]
        {
            self.parts_written += 1;
        }
        for record in records {
            match transaction {
                Some(TransactionPart::Records { producer_id, .. }) => {
                    self.write_in_transaction(append, producer_id, record);
                }
                _ => self.write(append, record),
            }
        }
        if let Some(TransactionPart::End(end)) = transaction {
            self.write_end_of_transaction(append, end.producer_id, end.commit);
        }
    }

    /// Applies a record of our own that is part of a transaction. Only offsets are.
    fn write_in_transaction(
        &mut self,
        append: AppendId,
        producer_id: ProducerId,
        record: &CoordinatorRecord,
    ) {
        let CoordinatorRecord::Offset(key, Some(offset)) = record else {
            unreachable!("a transaction commits offsets");
        };
        let open = OpenOffset {
            offset: offset.clone(),
            position: self.position,
            superseded: false,
        };
        self.position = self.position.next();
        self.open_transactions
            .write(append, (key.clone(), producer_id), Some(open));
    }

    /// Applies a record of our own, which `append` is to write.
    fn write(&mut self, append: AppendId, record: &CoordinatorRecord) {
        match record {
            CoordinatorRecord::Offset(key, offset) => {
                for (open, value) in self.superseded_by(key, offset.is_some(), None) {
                    self.open_transactions.write(append, open, value);
                }
                self.offsets.write(append, key.clone(), offset.clone());
            }
            CoordinatorRecord::Group(id, metadata) => self.groups.write(append, id.clone(), metadata.clone()),
            CoordinatorRecord::Consumer(key, value) => {
                self.consumer.write(append, key.clone(), value.clone());
            }
            CoordinatorRecord::OtherGroup { .. } | CoordinatorRecord::Unknown => {
                unreachable!("only read, never decided")
            }
        }
    }

    /// Everything up to and including `through` is committed.
    pub(crate) fn commit(&mut self, through: AppendId) {
        self.groups.commit(through);
        self.consumer.commit(through);
        self.offsets.commit(through);
        self.open_transactions.commit(through);
    }

    /// Everything from `from` on was not written.
    pub(crate) fn revert(&mut self, from: AppendId) {
        self.groups.revert(from);
        self.consumer.revert(from);
        self.offsets.revert(from);
        self.open_transactions.revert(from);
    }

    /// The newest records of a consumer group.
    pub(crate) fn consumer_records(
        &self,
        group: &Utf8Bytes,
    ) -> impl Iterator<Item = (&ConsumerKey, &ConsumerValue)> {
        let group = group.clone();
        self.consumer
            .range(ConsumerKey::first_of(&group)..)
            .take_while(move |(key, _)| key.group == group)
    }

    /// The committed records of a consumer group.
    pub(crate) fn committed_consumer_records(
        &self,
        group: &Utf8Bytes,
    ) -> impl Iterator<Item = (&ConsumerKey, &ConsumerValue)> {
        let group = group.clone();
        self.consumer
            .committed_range(ConsumerKey::first_of(&group)..)
            .take_while(move |(key, _)| key.group == group)
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
            .map(|((key, _), open)| (key, open.offset.topic_id));
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

    /// Groups to which a producer's open transaction has committed.
    pub(crate) fn groups_of_transaction(&self, producer_id: ProducerId) -> BTreeSet<Utf8Bytes> {
        let open = self.opened_by(producer_id).into_iter();
        open.map(|(key, _)| key.group).collect()
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

    /// What becomes of open transactions' offsets when another is committed, or all are deleted: those before `position` no
    /// longer count.
    fn superseded_by(
        &self,
        key: &OffsetKey,
        committed: bool,
        position: Option<Offset>,
    ) -> Vec<((OffsetKey, ProducerId), Option<OpenOffset>)> {
        let is_older = |open: &OpenOffset| position.is_none_or(|position| open.position < position);
        self.open_transactions_from(key)
            .filter_map(|open| Some((open.clone(), self.open_transactions.get(open)?)))
            .filter(|(_, value)| !committed || (is_older(value) && !value.superseded))
            .map(|(open, value)| {
                let superseded = committed.then(|| OpenOffset {
                    superseded: true,
                    ..value.clone()
                });
                (open, superseded)
            })
            .collect()
    }

    /// The offsets of a producer's open transaction.
    fn opened_by(&self, producer_id: ProducerId) -> Vec<(OffsetKey, OpenOffset)> {
        self.open_transactions
            .range(..)
            .filter(|((_, id), _)| *id == producer_id)
            .map(|((key, _), open)| (key.clone(), open.clone()))
            .collect()
    }

    /// Open transactions as what they would commit, for tests.
    #[cfg(test)]
    pub(crate) fn open_transactions(&self, committed: bool) -> OpenTransactions {
        let entry = |(key, open): (&(OffsetKey, ProducerId), &OpenOffset)| {
            (key.clone(), (open.offset.clone(), open.superseded))
        };
        if committed {
            self.open_transactions.committed_range(..).map(entry).collect()
        } else {
            self.open_transactions.range(..).map(entry).collect()
        }
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
