//! What a partition knows of its idempotent and transactional producers (Kafka's `ProducerStateManager`): the last batches
//! of each, the open transactions, and those that are decided but may not be replicated yet. A function of the log's
//! batches: snapshots only shorten the way to it. Except for when each producer was heard of last, which is not what its
//! records' timestamps say (as Kafka has it): those may be years away from the time at which they are sent.

mod entry;
mod snapshot;
mod undecided;
mod update;
mod verification;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use forebay_disk::{Disk, DiskExt, OpenOptions};
use forebay_records::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

pub use snapshot::Error as SnapshotError;
pub(crate) use snapshot::decode as decode_snapshot;
pub(crate) use undecided::Undecided;
pub(crate) use update::{Checks, CompletedTransaction, Marker, Pending, ProducerUpdate};
pub use verification::{TransactionChecks, VerificationGuard, VerificationRequest};

use crate::error::{Error, Result};
use crate::file_name;
use crate::topic_partition::TopicPartition;
use crate::transaction_index::AbortedTransaction;
pub(crate) use entry::NO_COORDINATOR_EPOCH;
use entry::ProducerEntry;
use update::TransactionEvent;
use verification::Verification;

/// A producer as a log knows it (Kafka's `ProducerState` of DescribeProducers).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveProducer {
    /// Its id.
    pub id: ProducerId,
    /// Its newest epoch.
    pub epoch: ProducerEpoch,
    /// Sequence of its last record in this epoch; none if there is no record.
    pub last_sequence: Sequence,
    /// Timestamp of its last batch or marker.
    pub last_timestamp: Timestamp,
    /// Of the coordinator that wrote the last marker; -1 for none.
    pub coordinator_epoch: i32,
    /// Where its open transaction begins.
    pub transaction_first_offset: Option<Offset>,
}

/// The batch by which a producer is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastRecord {
    /// Offset of its last record in its current epoch; none if there is only a marker.
    pub(crate) data_offset: Option<Offset>,
    /// Its current epoch.
    pub(crate) epoch: ProducerEpoch,
}

#[derive(Debug, Default)]
pub(crate) struct ProducerStates {
    entries: HashMap<ProducerId, ProducerEntry>,
    /// Open transactions by their first offset.
    ongoing: BTreeMap<Offset, ProducerId>,
    /// Those that were decided, first offset to marker's offset, and not told to the readers yet.
    decided: Vec<(Offset, Offset)>,
    /// The log up to here is in this state.
    end_offset: Offset,
    /// Offsets of the snapshot files.
    snapshots: BTreeSet<Offset>,
    /// The time at which what comes now is heard of.
    now: Timestamp,
    /// Questions to transaction coordinators of which the batch is not appended yet. In memory only.
    verifications: HashMap<ProducerId, Verification>,
    guards: u64,
}

impl ProducerStates {
    /// With the snapshots that are in the folder; the state itself is empty.
    pub(crate) fn new(snapshots: BTreeSet<Offset>) -> ProducerStates {
        ProducerStates {
            snapshots,
            ..ProducerStates::default()
        }
    }

    /// Producers of which something is applied or loaded from here on are heard of `now`.
    pub(crate) fn set_time(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// The log up to here is in this state.
    pub(crate) fn end_offset(&self) -> Offset {
        self.end_offset
    }

    pub(crate) fn set_end_offset(&mut self, offset: Offset) {
        self.end_offset = offset;
    }

    /// Where each producer was heard of last, for compaction.
    pub(crate) fn last_records(&self) -> HashMap<ProducerId, LastRecord> {
        let last_record = |entry: &ProducerEntry| LastRecord {
            data_offset: entry.last_batch().map(|batch| batch.last_offset),
            epoch: entry.epoch,
        };
        self.entries
            .iter()
            .map(|(producer_id, entry)| (*producer_id, last_record(entry)))
            .collect()
    }

    /// Number of producers.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes over what has been written, and says which transactions it aborts, for the transaction index.
    pub(crate) fn apply(&mut self, update: ProducerUpdate) -> Vec<AbortedTransaction> {
        let now = self.now;
        let entries = update.entries.into_iter();
        self.entries
            .extend(entries.map(|(producer_id, entry)| (producer_id, entry.heard_at(now))));
        for producer_id in update.verified {
            self.verifications.remove(&producer_id);
        }
        let mut aborted = Vec::new();
        for event in update.events {
            match event {
                TransactionEvent::Started {
                    producer_id,
                    first_offset,
                } => {
                    self.ongoing.insert(first_offset, producer_id);
                }
                TransactionEvent::Completed(completed) => aborted.extend(self.complete(&completed)),
            }
        }
        aborted
    }

    fn complete(&mut self, completed: &CompletedTransaction) -> Option<AbortedTransaction> {
        self.ongoing.remove(&completed.first_offset);
        let next_open = self.ongoing.keys().next().copied();
        self.decided.push((completed.first_offset, completed.last_offset));
        completed.aborted.then(|| AbortedTransaction {
            producer_id: completed.producer_id,
            first_offset: completed.first_offset,
            last_offset: completed.last_offset,
            last_stable_offset: next_open.unwrap_or_else(|| completed.last_offset.next()),
        })
    }

    /// Begins to ask the transaction coordinator for a batch, or goes on asking; none if its transaction is open here
    /// already.
    pub(crate) fn begin_verification(
        &mut self,
        partition: &TopicPartition,
        producer_id: ProducerId,
        request: VerificationRequest,
        now: Timestamp,
    ) -> Result<Option<VerificationGuard>> {
        if let Some(entry) = self.entries.get(&producer_id) {
            if request.epoch < entry.epoch {
                return Err(Error::InvalidProducerEpoch {
                    partition: partition.clone(),
                    producer_id,
                    epoch: request.epoch,
                    last_epoch: entry.epoch,
                });
            }
            if entry.is_in_transaction(request.epoch) {
                return Ok(None);
            }
        }
        if let Some(verification) = self.verifications.get_mut(&producer_id) {
            verification.join(request);
            return Ok(Some(verification.guard));
        }
        self.guards += 1;
        let guard = VerificationGuard(self.guards);
        self.verifications
            .insert(producer_id, Verification::new(guard, request, now));
        Ok(Some(guard))
    }

    /// The coordinator has said no for good.
    pub(crate) fn end_verification(&mut self, producer_id: ProducerId, guard: VerificationGuard) {
        if self
            .verifications
            .get(&producer_id)
            .is_some_and(|one| one.guard == guard)
        {
            self.verifications.remove(&producer_id);
        }
    }

    /// The producers, in the order of their ids.
    pub(crate) fn active(&self) -> Vec<ActiveProducer> {
        let mut active: Vec<ActiveProducer> = self
            .entries
            .iter()
            .map(|(id, entry)| ActiveProducer {
                id: *id,
                epoch: entry.epoch,
                last_sequence: entry.last_sequence(),
                last_timestamp: entry.last_timestamp,
                coordinator_epoch: entry.coordinator_epoch,
                transaction_first_offset: entry.transaction_first_offset,
            })
            .collect();
        active.sort_unstable_by_key(|producer| producer.id);
        active
    }

    /// Tells what readers go by which transactions are open now, and which were decided since the last time.
    pub(crate) fn tell(&mut self, undecided: &mut Undecided) {
        undecided.update(self.ongoing.keys().next().copied(), self.decided.drain(..));
    }

    /// The oldest open transaction: its first offset and whose it is.
    pub(crate) fn oldest_open_transaction(&self) -> Option<(Offset, ProducerId)> {
        self.ongoing
            .first_key_value()
            .map(|(offset, producer_id)| (*offset, *producer_id))
    }

    /// No producer was heard of later than when, as `written` knows, what has its last record was written for the last time, or
    /// than a coordinator wrote its last marker.
    pub(crate) fn heard_no_later(&mut self, written: impl Fn(Offset) -> Option<Timestamp>) {
        for entry in self.entries.values_mut() {
            let marked = (entry.coordinator_epoch != NO_COORDINATOR_EPOCH).then_some(entry.last_timestamp);
            let latest = match entry.last_batch() {
                Some(batch) => {
                    written(batch.last_offset).map(|latest| marked.map_or(latest, |at| at.max(latest)))
                }
                None => marked,
            };
            if let Some(latest) = latest {
                entry.last_heard = entry.last_heard.min(latest);
            }
        }
    }

    /// Forgets producers that were silent for so long, as far as that is known, and have no open transaction.
    pub(crate) fn remove_expired(&mut self, now: Timestamp, expiration_ms: i64) {
        self.entries.retain(|_, entry| {
            entry.transaction_first_offset.is_some() || now - entry.last_heard < expiration_ms
        });
        self.verifications
            .retain(|_, verification| now - verification.since < expiration_ms);
    }

    /// Empties the state and loads the newest usable snapshot at or before `offset`; those after it, and those that
    /// cannot be read, are removed. Gives where the replay of batches must begin.
    pub(crate) fn load_snapshot(
        &mut self,
        disk: &dyn Disk,
        folder: &Path,
        log_start_offset: Offset,
        offset: Offset,
    ) -> Result<Offset> {
        self.entries.clear();
        self.ongoing.clear();
        self.decided.clear();
        while let Some(newest) = self.snapshots.last().copied() {
            let path = file_name::path(folder, newest, file_name::PRODUCER_SNAPSHOT);
            if newest <= offset && newest >= log_start_offset {
                let bytes = disk.read(&path, snapshot::SNAPSHOT_BYTES_MAX);
                match bytes
                    .map_err(|error| error.to_string())
                    .and_then(|bytes| snapshot::decode(&bytes).map_err(|error| error.to_string()))
                {
                    Ok(entries) => {
                        self.load(entries);
                        self.end_offset = newest;
                        return Ok(newest);
                    }
                    Err(reason) => {
                        tracing::warn!(snapshot = %path.display(), reason, "a producer snapshot is unusable");
                    }
                }
            }
            disk.remove_file_if_exists(&path)?;
            self.snapshots.remove(&newest);
        }
        self.end_offset = log_start_offset;
        Ok(log_start_offset)
    }

    /// The state by the snapshot at `offset`; none if there is none that can be read.
    pub(crate) fn at_snapshot(
        disk: &dyn Disk,
        folder: &Path,
        offset: Offset,
    ) -> Result<Option<ProducerStates>> {
        let path = file_name::path(folder, offset, file_name::PRODUCER_SNAPSHOT);
        let bytes = match disk.read(&path, snapshot::SNAPSHOT_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut states = ProducerStates::default();
        Ok(snapshot::decode(&bytes).ok().map(|entries| {
            states.load(entries);
            states.end_offset = offset;
            states
        }))
    }

    fn load(&mut self, entries: Vec<(ProducerId, ProducerEntry)>) {
        for (producer_id, entry) in entries {
            if let Some(first_offset) = entry.transaction_first_offset {
                self.ongoing.insert(first_offset, producer_id);
            }
            self.entries.insert(producer_id, entry.heard_at(self.now));
        }
    }

    /// Writes the state as a snapshot at its end offset, unless there is one. Not synced: it has a checksum, and the
    /// batches are there if it is lost.
    pub(crate) fn take_snapshot(&mut self, disk: &dyn Disk, folder: &Path) -> Result<()> {
        if self.is_snapshotted() {
            return Ok(());
        }
        let path = file_name::path(folder, self.end_offset, file_name::PRODUCER_SNAPSHOT);
        let bytes = snapshot::encode(self.entries.iter());
        let file = disk.open(&path, OpenOptions::replace())?;
        file.write_all_at(&bytes, 0)?;
        self.snapshots.insert(self.end_offset);
        Ok(())
    }

    /// Whether the state is on the disk.
    pub(crate) fn is_snapshotted(&self) -> bool {
        let nothing_yet = self.end_offset == Offset::ZERO && self.entries.is_empty();
        nothing_yet || self.snapshots.contains(&self.end_offset)
    }

    /// The snapshots before `offset` are not needed any more; gives them.
    pub(crate) fn forget_snapshots_before(&mut self, offset: Offset) -> Vec<Offset> {
        let kept = self.snapshots.split_off(&offset);
        std::mem::replace(&mut self.snapshots, kept).into_iter().collect()
    }

    /// The snapshots after `from` and before `to` are not needed any more, as no segment begins there now; gives them.
    pub(crate) fn forget_snapshots_between(&mut self, from: Offset, to: Offset) -> Vec<Offset> {
        let between: Vec<Offset> = self.snapshots.range(from.next()..to).copied().collect();
        for offset in &between {
            self.snapshots.remove(offset);
        }
        between
    }

    /// Removes the snapshots that no segment begins with, except the newest (of a clean shutdown).
    pub(crate) fn remove_stray_snapshots(
        &mut self,
        disk: &dyn Disk,
        folder: &Path,
        base_offsets: &BTreeSet<Offset>,
    ) -> Result<()> {
        let newest = self.snapshots.last().copied();
        let stray: Vec<Offset> = self
            .snapshots
            .iter()
            .copied()
            .filter(|offset| !base_offsets.contains(offset) && Some(*offset) != newest)
            .collect();
        for offset in stray {
            disk.remove_file_if_exists(&file_name::path(folder, offset, file_name::PRODUCER_SNAPSHOT))?;
            self.snapshots.remove(&offset);
        }
        Ok(())
    }

    /// The log was emptied and begins anew at `offset`; its snapshots go too.
    pub(crate) fn clear(&mut self, disk: &dyn Disk, folder: &Path, offset: Offset) -> Result<()> {
        let snapshots = std::mem::take(&mut self.snapshots);
        *self = ProducerStates {
            end_offset: offset,
            now: self.now,
            guards: self.guards,
            ..ProducerStates::default()
        };
        for offset in snapshots {
            disk.remove_file_if_exists(&file_name::path(folder, offset, file_name::PRODUCER_SNAPSHOT))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
