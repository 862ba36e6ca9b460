//! Whether a request may do what it asks for: read-only, before anything is appended or read.

use forebay_records::{LeaderEpoch, Offset};

use super::{Partition, Role};
use crate::{
    EpochEndOffset, EpochEntry, Error, FetchAnswer, FetchBounds, FetchCheck, FetchIsolation, RequiredAcks,
    end_offset_for,
};

impl Partition {
    /// Whether a producer may append, and under which epoch.
    ///
    /// # Errors
    /// Not the leader; with acks=all [`Error::NotEnoughReplicas`].
    pub fn check_append(&self, acks: RequiredAcks) -> Result<LeaderEpoch, Error> {
        if self.role != Role::Leader {
            return Err(self.role_error());
        }
        let in_sync_replicas = self.isr.committed().len();
        let min_insync_replicas = self.min_insync_replicas();
        if acks == RequiredAcks::All && in_sync_replicas < min_insync_replicas {
            return Err(Error::NotEnoughReplicas {
                in_sync_replicas,
                min_insync_replicas,
            });
        }
        Ok(self.leader_epoch)
    }

    /// Whether a fetch may read, and within which bounds. `epochs` are the log's, ascending; they are looked at only if the
    /// fetch asks for divergence.
    ///
    /// # Errors
    /// Of role and epoch, and [`Error::OffsetOutOfRange`] outside log start to log end (an offset between high watermark and
    /// log end is fine, and has nothing to read).
    pub fn check_fetch(&self, check: &FetchCheck, epochs: &[EpochEntry]) -> Result<FetchAnswer, Error> {
        self.check_role(check.current_leader_epoch, check.leader_only)?;
        if let Some(replica) = check.replica
            && !self.replicas.contains_key(&replica)
        {
            // The follower may know a newer assignment than we do: let it come again.
            return Err(match check.current_leader_epoch {
                Some(requested) => Error::UnknownLeaderEpoch {
                    requested,
                    current: self.leader_epoch,
                },
                None => Error::NotLeaderOrFollower,
            });
        }
        let bounds = self.fetch_bounds(check.isolation);
        if let Some(fetched) = check.last_fetched_epoch {
            let end = end_offset_for(epochs, fetched, self.log_end_offset);
            if !end.is_defined() || check.fetch_offset < self.log_start_offset {
                return Err(self.out_of_range(check.fetch_offset));
            }
            if end.leader_epoch < fetched || end.end_offset < check.fetch_offset {
                return Ok(FetchAnswer::Diverging { end, bounds });
            }
        }
        if check.fetch_offset < self.log_start_offset || check.fetch_offset > self.log_end_offset {
            return Err(self.out_of_range(check.fetch_offset));
        }
        Ok(FetchAnswer::Read(bounds))
    }

    /// The answer to OffsetForLeaderEpoch: where the records of `requested` end.
    ///
    /// # Errors
    /// Of role and epoch.
    pub fn offset_for_leader_epoch(
        &self,
        current_leader_epoch: Option<LeaderEpoch>,
        requested: LeaderEpoch,
        leader_only: bool,
        epochs: &[EpochEntry],
    ) -> Result<EpochEndOffset, Error> {
        self.check_role(current_leader_epoch, leader_only)?;
        Ok(end_offset_for(epochs, requested, self.log_end_offset))
    }

    /// The bounds for a lookup of offsets (ListOffsets). For the latest offset, its answer is their `end_offset`; an offset
    /// found by timestamp counts only below it.
    ///
    /// # Errors
    /// Of role and epoch.
    pub fn check_list_offsets(
        &self,
        current_leader_epoch: Option<LeaderEpoch>,
        isolation: FetchIsolation,
        leader_only: bool,
    ) -> Result<FetchBounds, Error> {
        self.check_role(current_leader_epoch, leader_only)?;
        Ok(self.fetch_bounds(isolation))
    }

    /// Whether the end of what clients see can be told: right after an election it might still go back (KIP-207). To be asked
    /// when a client lists the latest offset, or a timestamp beyond what is found.
    ///
    /// # Errors
    /// [`Error::OffsetNotAvailable`].
    pub fn check_latest_available(&self) -> Result<(), Error> {
        if self.role == Role::Leader && self.high_watermark < self.epoch_start_offset {
            return Err(Error::OffsetNotAvailable {
                high_watermark: self.high_watermark,
                epoch_start_offset: self.epoch_start_offset,
            });
        }
        Ok(())
    }

    /// Epoch first, then role, as in Kafka.
    fn check_role(&self, current_leader_epoch: Option<LeaderEpoch>, leader_only: bool) -> Result<(), Error> {
        match self.role {
            Role::Unassigned | Role::Offline | Role::Deleted => return Err(self.role_error()),
            Role::Leader | Role::Follower => {}
        }
        let current = self.leader_epoch;
        if let Some(requested) = current_leader_epoch {
            if requested < current {
                return Err(Error::FencedLeaderEpoch { requested, current });
            }
            if requested > current {
                return Err(Error::UnknownLeaderEpoch { requested, current });
            }
        }
        if leader_only && self.role != Role::Leader {
            return Err(self.role_error());
        }
        Ok(())
    }

    fn fetch_bounds(&self, isolation: FetchIsolation) -> FetchBounds {
        let ends = self.ends();
        FetchBounds {
            end_offset: ends.of(isolation),
            log_start_offset: ends.log_start_offset,
            log_end_offset: ends.log_end_offset,
            high_watermark: ends.high_watermark,
            last_stable_offset: ends.last_stable_offset,
            leader_epoch: self.leader_epoch,
        }
    }

    fn out_of_range(&self, offset: Offset) -> Error {
        Error::OffsetOutOfRange {
            offset,
            log_start_offset: self.log_start_offset,
            log_end_offset: self.log_end_offset,
        }
    }
}
