//! What was fetched of a partition and not given out yet: whole batches, cut off one by one, those nobody may see left out.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use forebay_protocol::TopicPartition;
use forebay_records::{Batches, ControlRecordType, LeaderEpoch, Offset, ProducerId, RecordBatch, batches};

use super::{FetchedBatch, FetchedRecords};

/// What an answer said of a partition.
#[derive(Debug, Clone, Default)]
pub(super) struct Fetched {
    pub(super) high_watermark: Offset,
    pub(super) last_stable_offset: Offset,
    pub(super) log_start_offset: Offset,
    /// With read_committed: the transactions in these records that were aborted, with their first offsets.
    pub(super) aborted: Vec<(ProducerId, Offset)>,
}

/// The rest of an answer.
#[derive(Debug)]
pub(super) struct Buffer {
    topic_partition: TopicPartition,
    fetched: Fetched,
    batches: Batches,
    check_crcs: bool,
    transactions: Option<Transactions>,
    /// A batch whose records are given out one by one.
    open: Option<Open>,
}

/// A batch some of whose records are out.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) records: FetchedRecords,
    pub(super) leader_epoch: LeaderEpoch,
    pub(super) next_offset: Offset,
    batch: RecordBatch,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    /// A batch with something to see.
    Batch(RecordBatch),
    /// Nothing to see up to this offset.
    Skipped(Offset),
    /// The answer is used up.
    End,
}

impl Buffer {
    pub(super) fn new(
        topic_partition: TopicPartition,
        fetched: Fetched,
        records: Bytes,
        (check_crcs, read_committed): (bool, bool),
    ) -> Self {
        let transactions = read_committed.then(|| Transactions::new(&fetched.aborted));
        Self {
            topic_partition,
            fetched,
            batches: batches(records),
            check_crcs,
            transactions,
            open: None,
        }
    }

    /// The next batch that reaches `position`.
    pub(super) fn next(&mut self, position: Offset) -> Result<Next, forebay_records::Error> {
        if let Some(open) = self.open.take() {
            return Ok(Next::Batch(open.batch));
        }
        loop {
            let Some(batch) = self.batches.next() else {
                return Ok(Next::End);
            };
            let batch = batch?;
            if batch.next_offset() <= position {
                // The broker gives whole batches from an index; the first may lie before what was asked for.
                continue;
            }
            if self.check_crcs {
                batch.ensure_valid()?;
            }
            let hidden = match &mut self.transactions {
                Some(transactions) => transactions.hide(&batch),
                None => batch.header().is_control(),
            };
            // A batch that the cleaner has emptied keeps its place only.
            if hidden || batch.header().count == 0 {
                return Ok(Next::Skipped(batch.next_offset()));
            }
            return Ok(Next::Batch(batch));
        }
    }

    /// The batch as it is given out.
    pub(super) fn wrap(&self, batch: RecordBatch, position: Offset) -> FetchedBatch {
        FetchedBatch {
            topic_partition: self.topic_partition.clone(),
            first_offset: position.max(batch.base_offset()),
            batch,
            high_watermark: self.fetched.high_watermark,
            last_stable_offset: self.fetched.last_stable_offset,
            log_start_offset: self.fetched.log_start_offset,
        }
    }

    /// The batch whose records are given out, opened if there is none open.
    pub(super) fn open(
        &mut self,
        position: Offset,
    ) -> Result<Result<&mut Open, Next>, forebay_records::Error> {
        if self.open.is_none() {
            let batch = match self.next(position)? {
                Next::Batch(batch) => batch,
                other => return Ok(Err(other)),
            };
            let wrapped = self.wrap(batch, position);
            self.open = Some(Open {
                records: wrapped.records()?,
                leader_epoch: wrapped.batch.header().partition_leader_epoch,
                next_offset: wrapped.next_offset(),
                batch: wrapped.batch,
            });
        }
        Ok(Ok(self.open.as_mut().expect("it was just opened")))
    }

    /// Is done with the open batch.
    pub(super) fn close_open(&mut self) {
        self.open = None;
    }
}

/// Who among the producers has an aborted transaction at the place that is being read (Kafka's `CompletedFetch`).
#[derive(Debug)]
struct Transactions {
    /// Aborted ones that have not begun yet, by first offset.
    coming: BTreeMap<Offset, Vec<ProducerId>>,
    aborted: BTreeSet<ProducerId>,
}

impl Transactions {
    fn new(aborted: &[(ProducerId, Offset)]) -> Self {
        let mut coming: BTreeMap<Offset, Vec<ProducerId>> = BTreeMap::new();
        for (producer, first_offset) in aborted {
            coming.entry(*first_offset).or_default().push(*producer);
        }
        Self {
            coming,
            aborted: BTreeSet::new(),
        }
    }

    /// Whether the batch is to be left out: it is a marker, or belongs to an aborted transaction.
    fn hide(&mut self, batch: &RecordBatch) -> bool {
        let header = batch.header();
        while self
            .coming
            .first_key_value()
            .is_some_and(|(first, _)| *first <= batch.last_offset())
        {
            let begun = self.coming.pop_first();
            self.aborted
                .extend(begun.into_iter().flat_map(|(_, producers)| producers));
        }
        if header.is_control() {
            // The transaction ends here; the producer's next one stands on its own.
            if is_abort(batch) {
                self.aborted.remove(&header.producer_id);
            }
            return true;
        }
        header.is_transactional() && self.aborted.contains(&header.producer_id)
    }
}

fn is_abort(batch: &RecordBatch) -> bool {
    let Ok(mut records) = batch.records() else {
        return false;
    };
    let Some(Ok(record)) = records.next() else {
        return false;
    };
    record
        .key
        .is_some_and(|key| matches!(ControlRecordType::parse(&key), Ok(ControlRecordType::Abort)))
}
