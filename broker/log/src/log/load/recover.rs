//! After an unclean end: reads segments through, rebuilds what is derived from them, cuts a torn end.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use forebay_records::{BatchHeader, CompressionType, HEADER_BYTES, NO_SEQUENCE, Offset, ProducerId};

use super::Loader;
use super::check::was_compacted;
use crate::error::{Error, Result};
use crate::producer_state::{Checks, Marker, NO_COORDINATOR_EPOCH, Pending, ProducerStates, ProducerUpdate};
use crate::segment::{BatchAt, Found, Recovered, Scan, Segment};
use crate::topic_partition::TopicPartition;
use crate::transaction_index::AbortedTransaction;

/// A marker has a head and one record: a key of two numbers, a value of two more.
const MARKER_BYTES: usize = HEADER_BYTES + 17;
/// So much longer is a marker that compaction has rewritten at most: its time is told by the distance from the delete horizon.
const HORIZON_BYTES_MAX: usize = 9;

/// Why offsets are missing between two segments.
enum Gap {
    /// The compactor has removed their records.
    Compacted,
    /// They never reached the disk: the segment before them ends torn.
    Torn,
    /// As [`Gap::Torn`], with an end that happens to be whole, because a sync had made the file that long; or, which
    /// looks the same, somebody has taken a file away whose sync had not been noted yet.
    Unexplained,
}

impl Loader {
    /// Recovers the segments from `first` on; gives the log's end.
    pub(super) fn recover_from(&mut self, first: usize) -> Result<Offset> {
        let (disk, folder) = (Arc::clone(&self.log.disk), self.log.folder.clone());
        let start = self.segments[0].base_offset().max(self.load.log_start_offset);
        let first_offset = self.segments[first].base_offset();
        if first_offset <= start {
            self.producers
                .load_snapshot(&*disk, &folder, first_offset, first_offset)?;
        } else {
            self.producers
                .load_snapshot(&*disk, &folder, start, first_offset)?;
            replay_producers(
                &self.log.partition,
                &self.segments[..first],
                &mut self.producers,
                first_offset,
            )?;
        }
        let mut end = first_offset;
        let mut torn = false;
        for index in first..self.segments.len() {
            let segment = Arc::clone(&self.segments[index]);
            self.remaining
                .store(self.segments.len() - index, Ordering::Relaxed);
            if segment.base_offset() != end {
                match self.judge_gap(index, end, torn)? {
                    Gap::Compacted => {}
                    Gap::Torn => {
                        self.delete_from(index)?;
                        break;
                    }
                    Gap::Unexplained => {
                        self.set_aside_from(index)?;
                        break;
                    }
                }
            }
            if index > first {
                self.producers.take_snapshot(&*disk, &folder)?;
            }
            let recovered = self.recover_segment(&segment)?;
            end = recovered.next_offset;
            if recovered.truncated_bytes > 0 {
                self.delete_from(index + 1)?;
                break;
            }
            // Compaction may have left an empty one.
            let next = self.segments.get(index + 1).map(|next| next.base_offset());
            let compacted = next.is_some_and(|next| self.may_be_compacted_before(next));
            torn = recovered.cut || (segment.size() == 0 && !compacted);
        }
        disk.sync_dir(&folder)?;
        Ok(end)
    }

    /// Why a segment does not begin at `end`, where those before it end.
    ///
    /// # Errors
    /// [`Error::Hole`] if the missing offsets had been synced: somebody has taken a file away.
    fn judge_gap(&self, index: usize, end: Offset, torn: bool) -> Result<Gap> {
        let segment = &self.segments[index];
        let next = segment.base_offset();
        if end > next {
            let reason = Arc::from(format!(
                "it begins before offset {end}, where the segment before it ends"
            ));
            return Err(Error::Corrupt {
                path: segment.path().to_path_buf(),
                position: 0,
                reason,
            });
        }
        let was_synced = end < self.load.recovery_point;
        let compacted = self.may_be_compacted_before(next)
            || was_compacted(segment)?
            || index
                .checked_sub(1)
                .map_or(Ok(false), |before| was_compacted(&self.segments[before]))?;
        match (was_synced, compacted) {
            (false, _) if torn => Ok(Gap::Torn),
            (_, true) => Ok(Gap::Compacted),
            (false, false) => Ok(Gap::Unexplained),
            (true, false) => Err(self.hole(end, next)),
        }
    }

    fn recover_segment(&mut self, segment: &Arc<Segment>) -> Result<Recovered> {
        let Loader {
            producers,
            epochs,
            log,
            load,
            ..
        } = self;
        let known = segment.all_aborted()?;
        let mut aborted = Vec::new();
        let recovered = segment.recover(load.recovery_point, &mut |segment, batch| {
            let epoch = batch.header.partition_leader_epoch;
            if epochs.latest().is_none_or(|latest| epoch > latest) {
                epochs.assign(epoch, batch.header.base_offset);
            }
            aborted.extend(replay_batch(&log.partition, (segment, &known), batch, producers)?);
            Ok(())
        })?;
        // Only now: of damaged markers nothing else tells which they were, should this have to be done again.
        segment.replace_aborted(&aborted)?;
        producers.set_end_offset(recovered.next_offset);
        self.report.recovered_segments += 1;
        self.report.truncated_bytes += recovered.truncated_bytes;
        self.report.damaged_batches += recovered.damaged_batches;
        Ok(recovered)
    }
}

/// Brings the producer state from where it is to `up_to`, by the headers of the batches in between.
pub(in crate::log) fn replay_producers(
    partition: &TopicPartition,
    segments: &[Arc<Segment>],
    producers: &mut ProducerStates,
    up_to: Offset,
) -> Result<()> {
    let from = producers.end_offset();
    let first = segments
        .partition_point(|segment| segment.base_offset() <= from)
        .saturating_sub(1);
    for segment in segments.get(first..).unwrap_or_default() {
        if segment.base_offset() < up_to && producers.end_offset() < up_to {
            replay_segment(partition, segment, producers, up_to)?;
        }
    }
    producers.set_end_offset(up_to);
    Ok(())
}

/// As [`replay_producers`] for one segment.
fn replay_segment(
    partition: &TopicPartition,
    segment: &Segment,
    producers: &mut ProducerStates,
    up_to: Offset,
) -> Result<()> {
    let from = producers.end_offset().max(segment.base_offset());
    let Some(first) = segment.locate(from)? else {
        return Ok(());
    };
    let known = segment.all_aborted()?;
    let file = segment.file()?;
    let mut scan = Scan::all_headers(&*file, segment.path(), first.position, segment.size());
    while let Found::Batch(batch) | Found::Damaged(batch) = scan.next()? {
        if batch.header.base_offset >= up_to {
            break;
        }
        replay_batch(partition, (segment, &known), &batch, producers)?;
        producers.set_end_offset(batch.header.next_offset());
    }
    Ok(())
}

pub(super) fn replay_batch(
    partition: &TopicPartition,
    (segment, known): (&Segment, &[AbortedTransaction]),
    batch: &BatchAt,
    producers: &mut ProducerStates,
) -> Result<Vec<AbortedTransaction>> {
    let mut header = batch.header;
    let marker = marker(segment, known, batch)?.map(|(producer_id, marker)| {
        header.producer_id = producer_id;
        marker
    });
    if !header.has_producer_id() {
        return Ok(Vec::new());
    }
    let mut update = ProducerUpdate::default();
    let mut pending = Pending {
        partition,
        states: producers,
        update: &mut update,
    };
    match pending.add(&header, marker, Checks::NONE) {
        Ok(()) => Ok(producers.apply(update)),
        // Only a batch outside of its producer's open transaction, which no leader lets through.
        Err(error) => {
            tracing::warn!(segment = %segment.path().display(), position = batch.position, %error, "a batch is skipped");
            Ok(Vec::new())
        }
    }
}

/// What a marker says, and whose transaction it ends; none if the batch is none. One that was damaged after it was synced is not believed;
/// but it did end a transaction, and the segment's transaction index has an entry for each that was aborted.
fn marker(
    segment: &Segment,
    known: &[AbortedTransaction],
    batch: &BatchAt,
) -> Result<Option<(ProducerId, Marker)>> {
    let header = &batch.header;
    // They are in the order of their markers.
    let entry = known.binary_search_by_key(&header.last_offset(), |one| one.last_offset);
    let aborted = entry.ok().map(|index| known[index]);
    if !header.is_control() && aborted.is_none() {
        return Ok(None);
    }
    let read = segment.read_batch(batch)?;
    let is_intact = read.ensure_valid().is_ok();
    let parsed = Marker::parse(&read);
    if is_intact && (!header.is_control() || parsed.is_ok()) {
        let marker = parsed.ok().flatten().filter(|_| header.is_control());
        return Ok(marker.map(|marker| (header.producer_id, marker)));
    }
    if aborted.is_none() && (!may_be_marker(header) || is_amid_aborted(known, header)) {
        // Records, by whose damage they look like a marker.
        return Ok(None);
    }
    let producer_id = aborted.map_or(header.producer_id, |aborted| aborted.producer_id);
    tracing::error!(
        segment = %segment.path().display(), position = batch.position, offset = %header.last_offset(),
        %producer_id, is_aborted = aborted.is_some(),
        "the marker that ended a transaction is damaged; how it ended is taken from the transaction index"
    );
    let coordinator_epoch = parsed.ok().flatten().map(|marker| marker.coordinator_epoch);
    let marker = Marker {
        coordinator_epoch: coordinator_epoch.unwrap_or(NO_COORDINATOR_EPOCH),
        commit: aborted.is_none(),
        timestamp: header.max_timestamp,
    };
    Ok(Some((producer_id, marker)))
}

/// Whether all that a damaged control batch says of itself is as in a marker. A single flipped bit does not make a producer's records
/// look like one.
fn may_be_marker(header: &BatchHeader) -> bool {
    let longest = header.delete_horizon().map_or(0, |_| HORIZON_BYTES_MAX);
    header.is_transactional()
        && header.base_sequence == NO_SEQUENCE
        && (header.count, header.last_offset_delta) == (1, 0)
        && header
            .compression_type()
            .is_ok_and(|codec| codec == CompressionType::None)
        && (MARKER_BYTES..=MARKER_BYTES + longest).contains(&header.size_in_bytes())
}

/// Whether the producer had a transaction open behind the batch, too.
fn is_amid_aborted(known: &[AbortedTransaction], header: &BatchHeader) -> bool {
    let offset = header.base_offset;
    let is_around = |one: &AbortedTransaction| one.first_offset <= offset && offset < one.last_offset;
    known
        .iter()
        .any(|one| one.producer_id == header.producer_id && is_around(one))
}

#[cfg(test)]
mod tests {
    use forebay_records::{Sequence, Timestamp};

    use super::*;
    use crate::testing::{NOW, identity, marker_of};

    #[test]
    fn markers_have_one_size_until_compaction_writes_their_time_otherwise() {
        let marker = marker_of(identity(7, 0, -1), true, 3, NOW)
            .batches
            .remove(0)
            .batch;
        let header = *marker.header();
        assert!(may_be_marker(&header));
        for length in [header.length - 1, header.length + 1] {
            assert!(!may_be_marker(&BatchHeader { length, ..header }), "{length}");
        }
        for horizon in [NOW, Timestamp(0), Timestamp(i64::MAX)] {
            let rewritten = marker.retain(Some(horizon), |_| true).expect("rewritten");
            assert!(may_be_marker(rewritten.header()), "{horizon:?}");
        }
        let of_records = BatchHeader {
            base_sequence: Sequence(0),
            ..header
        };
        assert!(!may_be_marker(&of_records));
    }
}
