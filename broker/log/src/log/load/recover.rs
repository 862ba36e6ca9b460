//! After an unclean end: reads segments through, rebuilds what is derived from them, cuts a torn end.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use forebay_records::Offset;

use super::Loader;
use super::check::was_compacted;
use super::marker;
use crate::error::{Error, Result};
use crate::producer_state::{Checks, Pending, ProducerStates, ProducerUpdate};
use crate::segment::{BatchAt, Found, Recovered, Scan, Segment};
use crate::topic_partition::TopicPartition;
use crate::transaction_index::AbortedTransaction;

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
    let (header, marker) = marker::read(segment, known, batch)?;
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
