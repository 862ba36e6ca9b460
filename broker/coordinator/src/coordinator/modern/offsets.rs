//! Who may commit and fetch offsets of a consumer group (Kafka's `ConsumerGroup.validateOffsetCommit`, `validateOffsetFetch`; KIP-848, 1251):
//! a member in its epoch; in an epoch before, for partitions that it has had since.

use forebay_protocol::{ErrorCode, Utf8Bytes, Uuid};

use crate::consumer::{ConsumerGroup, Member};
use crate::coordinator::GroupCoordinator;
use crate::coordinator::commits::Committer;

/// Since this version OffsetCommit has a member epoch, and members of the consumer protocol use it.
const MEMBER_EPOCH_VERSION: i16 = 9;

impl GroupCoordinator {
    /// Whether these partitions, by the name of their topic and its id as far as that is known, may be committed to.
    pub(in crate::coordinator) fn check_commit<'a>(
        &self,
        group: &ConsumerGroup,
        committer: &Committer<'_>,
        partitions: impl Iterator<Item = (&'a Utf8Bytes, Uuid, i32)>,
    ) -> Result<(), ErrorCode> {
        let checked = self.check_member_commit(group, committer, partitions);
        match checked {
            // Clients that commit in transactions do not know the word.
            Err(ErrorCode::StaleMemberEpoch) if committer.api_version.is_none() => {
                Err(ErrorCode::IllegalGeneration)
            }
            checked => checked,
        }
    }

    fn check_member_commit<'a>(
        &self,
        group: &ConsumerGroup,
        committer: &Committer<'_>,
        mut partitions: impl Iterator<Item = (&'a Utf8Bytes, Uuid, i32)>,
    ) -> Result<(), ErrorCode> {
        let Committer {
            member_id,
            instance_id,
            epoch,
            api_version,
        } = *committer;
        // From an administrator, or from a consumer that is no member of anything.
        if epoch < 0 && group.is_empty() {
            return Ok(());
        }
        if api_version.is_none() && epoch == -1 && member_id.is_empty() && instance_id.is_none() {
            return Ok(());
        }
        let member = group.member(member_id).ok_or(ErrorCode::UnknownMemberId)?;
        if api_version.is_some_and(|version| version < MEMBER_EPOCH_VERSION)
            && !member.uses_classic_protocol()
        {
            return Err(ErrorCode::UnsupportedVersion);
        }
        if epoch == member.epoch() {
            return Ok(());
        }
        let had_it = |(name, id, partition): (&Utf8Bytes, Uuid, i32)| {
            let id = if id.is_zero() {
                self.image.topic(name).map_or(id, |topic| topic.id)
            } else {
                id
            };
            let current = &member.current;
            let since = current.assigned.epoch_of(id, partition);
            since
                .or_else(|| current.pending_revocation.epoch_of(id, partition))
                .is_some_and(|since| since <= epoch)
        };
        if epoch < member.epoch() && partitions.all(had_it) {
            Ok(())
        } else {
            Err(stale(member))
        }
    }
}

/// Whether offsets may be fetched by a member in this epoch; whoever does not say that it is one may.
pub(in crate::coordinator) fn check_fetch(
    group: &ConsumerGroup,
    member_id: Option<&Utf8Bytes>,
    epoch: i32,
) -> Result<(), ErrorCode> {
    if member_id.is_none() && epoch < 0 {
        return Ok(());
    }
    let member = member_id
        .and_then(|id| group.member(id))
        .ok_or(ErrorCode::UnknownMemberId)?;
    if member.epoch() == epoch {
        Ok(())
    } else {
        Err(stale(member))
    }
}

/// What a member in another epoch is told, in the words of its protocol.
fn stale(member: &Member) -> ErrorCode {
    if member.uses_classic_protocol() {
        ErrorCode::IllegalGeneration
    } else {
        ErrorCode::StaleMemberEpoch
    }
}
