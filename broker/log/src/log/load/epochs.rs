//! Leader epochs of a log that is being opened: from their file if it agrees with the batches, else from the batches.

use forebay_records::Offset;

use super::Loader;
use crate::checkpoint;
use crate::error::{Error, Result};
use crate::leader_epochs::LeaderEpochs;
use crate::segment::{BatchAt, Found, Scan};

impl Loader {
    /// Leader epochs from their file, or if that does not agree with the batches, from them.
    pub(super) fn load_epochs(&mut self, start: Offset, end: Offset) -> Result<()> {
        let path = self.folder().join(checkpoint::LEADER_EPOCHS);
        let stored = match checkpoint::read_epochs(&*self.log.disk, &path) {
            Ok(entries) => Some(entries),
            Err(Error::InvalidFile { reason, .. }) => {
                tracing::warn!(file = %path.display(), %reason, "leader epochs are taken from the batches");
                None
            }
            Err(error) => return Err(error),
        };
        let recovered = std::mem::take(&mut self.epochs);
        self.epochs = LeaderEpochs::from_entries(stored.as_deref().unwrap_or_default());
        let consistent = stored.is_some_and(|stored| stored.len() == self.epochs.entries().len());
        self.epochs.truncate_from_end(end);
        self.epochs.truncate_from_start(start);
        // The next start would do the same again: no reason to write the file.
        self.epochs.take_dirty();
        for (epoch, offset) in recovered.entries() {
            if self.epochs.latest().is_none_or(|latest| *epoch > latest) {
                self.epochs.assign(*epoch, *offset);
            }
        }
        let complete = start == end || !self.epochs.entries().is_empty();
        if !consistent || !complete || !self.epochs_agree(start, end)? {
            self.epochs = self.epochs_of_batches()?;
            self.epochs.truncate_from_start(start);
            self.epochs.mark_dirty();
        }
        Ok(())
    }

    /// Whether the batches at and before the beginning of each epoch are of the epochs that the entries give them. What
    /// compaction has removed says nothing.
    fn epochs_agree(&self, start: Offset, end: Offset) -> Result<bool> {
        for offset in self.epochs.entries().values() {
            let around = [*offset - 1, *offset].into_iter();
            for offset in around.filter(|offset| (start..end).contains(offset)) {
                let batch = match self.batch_at(offset) {
                    Ok(Some(batch)) => batch,
                    // What is damaged says nothing either.
                    Ok(None) | Err(Error::Corrupt { .. }) => continue,
                    Err(error) => return Err(error),
                };
                let epoch = Some(batch.header.partition_leader_epoch);
                let agrees = self.epochs.epoch_of(batch.header.base_offset.max(start)) == epoch
                    && self.epochs.epoch_of(batch.last_offset()) == epoch;
                if !agrees && !self.is_out_of_order(&batch)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// The batch that has `offset` or the next one that is there.
    fn batch_at(&self, offset: Offset) -> Result<Option<BatchAt>> {
        let index = self
            .segments
            .partition_point(|segment| segment.base_offset() <= offset)
            .saturating_sub(1);
        for segment in &self.segments[index..] {
            if let Some(batch) = segment.locate(offset)? {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// Epochs only grow: one that is greater than the next batch's, or less than that of the batch before, has a flipped bit, which no
    /// checksum covers.
    fn is_out_of_order(&self, batch: &BatchAt) -> Result<bool> {
        let epoch = batch.header.partition_leader_epoch;
        let neighbours = [batch.header.base_offset - 1, batch.header.next_offset()];
        for (neighbour, may_be_greater) in neighbours.into_iter().zip([false, true]) {
            let other = match self.batch_at(neighbour) {
                Ok(Some(other)) if other.header.base_offset != batch.header.base_offset => {
                    other.header.partition_leader_epoch
                }
                Ok(_) | Err(Error::Corrupt { .. }) => continue,
                Err(error) => return Err(error),
            };
            if other != epoch && (other > epoch) != may_be_greater {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn epochs_of_batches(&self) -> Result<LeaderEpochs> {
        let mut epochs = LeaderEpochs::default();
        // Believed when the next batch does not contradict it.
        let mut before: Option<BatchAt> = None;
        let mut believe = |batch: &BatchAt| {
            let epoch = batch.header.partition_leader_epoch;
            if epochs.latest().is_none_or(|latest| epoch > latest) {
                epochs.assign(epoch, batch.header.base_offset);
            }
        };
        for segment in &self.segments {
            let file = segment.file()?;
            let mut scan = Scan::all_headers(&*file, segment.path(), 0, segment.size());
            while let Found::Batch(batch) | Found::Damaged(batch) = scan.next()? {
                let epoch = batch.header.partition_leader_epoch;
                if let Some(before) = before.replace(batch)
                    && before.header.partition_leader_epoch <= epoch
                {
                    believe(&before);
                }
            }
        }
        before.iter().for_each(believe);
        Ok(epochs)
    }
}
