//! A member of a group that is no consumer: the user says what it offers and what it tells the others, and, where it leads,
//! what each gets (Kafka's `WorkerGroupMember` stands on such a one).

use std::sync::Arc;

use bytes::Bytes;
use forebay_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use tokio::{task::AbortHandle, time::Instant};

use super::{
    Liveness, Membership, Options, confirm,
    join::{Attempt, Protocol, is_worth_another},
    keep_alive,
};
use crate::{cluster::Cluster, consumer::GroupMetadata, error::Error};

/// A member as the leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberMetadata {
    /// Its id.
    pub member_id: String,
    /// What it tells the leader under the protocol that was chosen.
    pub metadata: Bytes,
}

/// What the leader of a generation has to share out for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Election {
    /// The generation that begins.
    pub generation_id: i32,
    /// The leader's own id.
    pub member_id: String,
    /// The protocol that was chosen.
    pub protocol: String,
    /// All members, the leader too.
    pub members: Vec<MemberMetadata>,
}

/// What each member gets, by member id.
pub type Shares = Vec<(String, Bytes)>;

/// What joining has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The generation that begins.
    pub generation_id: i32,
    /// Who the member is in it.
    pub member_id: String,
    /// The protocol that was chosen.
    pub protocol: String,
    /// What the leader gives it.
    pub assignment: Bytes,
}

/// A member of a group. It joins when its user has it join, and sends heartbeats from then on; dropped without
/// [`Member::leave`], its session ends by itself.
#[derive(Debug)]
pub struct Member {
    membership: Arc<Membership>,
    heartbeat: AbortHandle,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.heartbeat.abort();
    }
}

impl Member {
    pub(crate) fn with_cluster(options: Options, cluster: Cluster) -> Self {
        let membership = Membership::new(options, Liveness::Running, cluster);
        let heartbeat = tokio::spawn(keep_alive(Arc::clone(&membership))).abort_handle();
        Self {
            membership,
            heartbeat,
        }
    }

    /// Joins once. Where the member leads, `assign` says what each gets.
    ///
    /// # Errors
    /// [`Member::is_worth_another`] says whether to try again, as whom the member knows by itself. What `assign` fails with.
    pub async fn join(
        &self,
        protocols: &[Protocol],
        assign: impl FnOnce(Election) -> Result<Shares, Error>,
    ) -> Result<Joined, Error> {
        let attempt = Attempt::begin(&self.membership).await?;
        let result = Self::exchange(&attempt, protocols, assign).await;
        attempt.ended(result)
    }

    async fn exchange(
        attempt: &Attempt,
        protocols: &[Protocol],
        assign: impl FnOnce(Election) -> Result<Shares, Error>,
    ) -> Result<Joined, Error> {
        let answer = attempt.join(protocols).await?;
        let chosen = answer.protocol_name.as_deref().unwrap_or_default();
        if protocols.iter().all(|offered| offered.name != chosen) {
            return Err(Error::InvalidResponse {
                action: "JoinGroup".into(),
                reason: "the group chose a protocol that this member did not offer".into(),
            });
        }
        let mut assignments = Vec::new();
        // A static leader that comes back into a stable generation is told to leave it as it is (KIP-814).
        if answer.leader == answer.member_id && !answer.skip_assignment {
            let members = answer.members.iter().map(|member| MemberMetadata {
                member_id: member.member_id.to_string(),
                metadata: member.metadata.clone(),
            });
            let shares = assign(Election {
                generation_id: answer.generation_id,
                member_id: answer.member_id.to_string(),
                protocol: chosen.to_owned(),
                members: members.collect(),
            })?;
            assignments.extend(shares.into_iter().map(|(member_id, assignment)| {
                SyncGroupRequestAssignment {
                    member_id: member_id.into(),
                    assignment,
                    ..Default::default()
                }
            }));
        }
        let assignment = attempt.sync(&answer, assignments).await?;
        Ok(Joined {
            generation_id: answer.generation_id,
            member_id: answer.member_id.to_string(),
            protocol: chosen.to_owned(),
            assignment,
        })
    }

    /// Whether to join again after this error.
    pub fn is_worth_another(error: &Error) -> bool {
        is_worth_another(error)
    }

    /// Who the member is; the generation is -1 while it has none.
    pub fn metadata(&self) -> GroupMetadata {
        self.membership.metadata()
    }

    /// Whether it has to join, because the group does, or it has lost its place, or somebody requested it.
    pub fn must_join(&self) -> bool {
        self.membership.must_join()
    }

    /// Has it join; `reason` is told to the coordinator.
    pub fn request_join(&self, reason: &'static str) {
        self.membership.request_join(reason);
    }

    /// Whether what it had may be somebody else's, as its generation ended without it; forgets it.
    pub fn take_lost(&self) -> bool {
        self.membership.take_lost()
    }

    /// What no joining helps against, such as another member with the same `group.instance.id`.
    ///
    /// # Errors
    /// That.
    pub fn check(&self) -> Result<(), Error> {
        self.membership.polled()
    }

    /// Waits until one of the above may have changed.
    pub async fn changed(&self) {
        self.membership.changed.notified().await;
    }

    /// When the last request was sent by which the coordinator prolonged the session: it lasts at least
    /// `session.timeout.ms` from then. `None` outside of a generation.
    pub fn heard(&self) -> Option<Instant> {
        self.membership.lock().heard
    }

    /// Asks the coordinator whether a generation still stands. It did when this returns: whoever is in a later one joined
    /// after this was called.
    ///
    /// # Errors
    /// If it does not, or the coordinator does not say so.
    pub async fn confirm(&self, generation_id: i32) -> Result<(), Error> {
        confirm(&self.membership, generation_id).await
    }

    /// Leaves the group; a static member stays for as long as its session lasts.
    pub async fn leave(&self, reason: &str) {
        self.membership.leave(reason).await;
    }
}
