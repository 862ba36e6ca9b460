//! A consumer of committed records, as clients do it (Kafka's `CompletedFetch`), and what the batches of a log say about its
//! transactions, apart from what the log itself says.

use std::collections::{BTreeMap, BTreeSet};

use forebay_records::{ControlRecordType, ProducerId, RecordBatch, batches};

use super::super::*;
use crate::AbortedTransaction;

/// Offset and tag of every record that a consumer of committed records is given, reading `max_bytes` at a time.
pub(super) fn committed_records(log: &Log, max_bytes: usize) -> Vec<(i64, u8)> {
    let mut found = Vec::new();
    let mut offset = log.log_start_offset();
    let end = log.last_stable_offset();
    while offset < end {
        let read = Read {
            offset,
            up_to: end,
            max_bytes,
            min_one_batch: true,
        };
        let result = log.read(&read).expect("readable");
        assert!(result.next_offset > offset, "progress at {offset}");
        let aborted = if log.may_have_aborted_transactions(offset) {
            let aborted = log.aborted_transactions(offset, result.next_offset);
            aborted.expect("readable")
        } else {
            Vec::new()
        };
        assert!(aborted.is_sorted_by_key(|one| one.first_offset));
        consume(bytes_of(&result), &aborted, &mut found);
        offset = result.next_offset;
    }
    found
}

fn consume(bytes: bytes::Bytes, aborted: &[AbortedTransaction], found: &mut Vec<(i64, u8)>) {
    let mut aborted = aborted.iter().peekable();
    let mut skipped: BTreeSet<ProducerId> = BTreeSet::new();
    for batch in batches(bytes) {
        let batch = batch.expect("a batch");
        let header = batch.header();
        while let Some(one) = aborted.next_if(|one| one.first_offset <= header.last_offset()) {
            skipped.insert(one.producer_id);
        }
        if let Some(commit) = end_of(&batch) {
            if !commit {
                skipped.remove(&header.producer_id);
            }
            continue;
        }
        if header.is_transactional() && skipped.contains(&header.producer_id) {
            continue;
        }
        for record in batch.records().expect("records") {
            let record = record.expect("a record");
            let tag = record.value.and_then(|value| value.first().copied());
            found.push((record.offset.value(), tag.expect("a tag")));
        }
    }
}

/// Whether a batch is the end of a transaction, and which.
fn end_of(batch: &RecordBatch) -> Option<bool> {
    if !batch.header().is_control() {
        return None;
    }
    let mut records = batch.records().expect("records");
    let record = records.next().expect("one").expect("a record");
    let kind = ControlRecordType::parse(&record.key.expect("a key")).expect("a kind");
    Some(kind == ControlRecordType::Commit)
}

/// Holds what the log says of its transactions against its batches. Everything in it is replicated.
pub(super) fn check_state(log: &Log, what: &str) {
    let (mut open, mut aborted) = (BTreeMap::new(), Vec::new());
    let mut offset = log.log_start_offset();
    let end = log.log_end_offset();
    while offset < end {
        let result = log.read(&read(offset.value())).expect("readable");
        for batch in batches(bytes_of(&result)) {
            let batch = batch.expect("a batch");
            let header = *batch.header();
            match end_of(&batch) {
                Some(commit) => {
                    let first = open.remove(&header.producer_id);
                    if let Some(first_offset) = first.filter(|_| !commit) {
                        aborted.push((header.producer_id, first_offset, header.base_offset));
                    }
                }
                None if header.is_transactional() => {
                    open.entry(header.producer_id).or_insert(header.base_offset);
                }
                None => {}
            }
        }
        offset = result.next_offset;
    }
    let first_unstable = open.values().min().copied();
    assert_eq!(log.first_unstable_offset(), first_unstable, "{what}");
    assert_eq!(log.last_stable_offset(), first_unstable.unwrap_or(end), "{what}");
    let known = log.active_producers();
    for producer in &known {
        let first = open.get(&producer.id).copied();
        assert_eq!(producer.transaction_first_offset, first, "{what}");
    }
    aborted.sort_by_key(|(_, first, _)| *first);
    for from in (0..=end.value()).step_by(4) {
        for up_to in [from + 3, end.value() + 1] {
            let (from, up_to) = (Offset(from), Offset(up_to));
            let expected = aborted
                .iter()
                .filter(|(_, first, last)| *last >= from && *first < up_to);
            let expected: Vec<_> = expected.copied().collect();
            let found = log.aborted_transactions(from, up_to).expect("readable");
            let found: Vec<_> = found
                .iter()
                .map(|one| (one.producer_id, one.first_offset, one.last_offset))
                .collect();
            assert_eq!(found, expected, "{what}: {from}..{up_to}");
        }
    }
}
