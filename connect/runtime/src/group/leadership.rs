//! What the leader does when all have joined: reads what they tell, shares out, and knows from then on who has what.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use bytes::Bytes;
use forebay_client::membership::{Election, Shares as Answers};
use forebay_protocol::{decode, encode};

use super::assignor::{Assignor, Round, Shares, assign_eagerly};
use super::protocol::{self, Assignment, Outcome, Protocol, WorkerState};
use super::state::Snapshot;
use super::view::Owners;
use super::work::Work;

/// Why nothing can be shared out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A member tells what cannot be understood.
    #[error("what the worker {member} tells makes no sense: {source}")]
    Member {
        /// Its member id.
        member: String,
        /// Why.
        source: decode::Error,
    },
    /// An assignment cannot be written.
    #[error(transparent)]
    Encode(#[from] encode::Error),
    /// The group has chosen something unknown.
    #[error("the protocol {0} is not known")]
    Protocol(String),
}

/// The leader's part.
#[derive(Debug)]
pub(crate) struct Leadership<'a> {
    /// Its own URL.
    pub(crate) url: &'a str,
    /// What it knew when it joined.
    pub(crate) snapshot: &'a Snapshot,
    /// The last generation whose assignment it was told.
    pub(crate) last_generation: i32,
}

impl Leadership<'_> {
    /// What each member is told, and who has what then.
    pub(crate) fn share_out(
        &self,
        assignor: &mut Assignor,
        election: &Election,
        now: Instant,
    ) -> Result<(Answers, Owners), Error> {
        let protocol = Protocol::from_name(&election.protocol)
            .ok_or_else(|| Error::Protocol(election.protocol.clone()))?;
        let mut workers: BTreeMap<String, WorkerState> = BTreeMap::new();
        for member in &election.members {
            let state = protocol::decode_state(Bytes::copy_from_slice(&member.metadata));
            let state = state.map_err(|source| Error::Member {
                member: member.member_id.clone(),
                source,
            })?;
            workers.insert(member.member_id.clone(), state);
        }
        let offset_max = workers.values().map(|worker| worker.offset).max().unwrap_or(-1);
        let is_good = self
            .snapshot
            .is_good_for(workers.values().map(|worker| worker.offset));
        let shares = if is_good {
            Some(self.shares(assignor, (protocol, election.generation_id), &workers, now))
        } else {
            tracing::info!(
                offset_max,
                offset = self.snapshot.offset,
                "not all workers know the same configurations; all read them and join again"
            );
            None
        };
        let mut owners = Owners::default();
        let mut answers = Answers::new();
        for (member, worker) in &workers {
            let share = shares
                .as_ref()
                .and_then(|shares| shares.members.get(member))
                .cloned();
            let share = share.unwrap_or_default();
            owners.add(&share.all, &worker.url);
            let delay = shares.as_ref().map_or(0, |shares| shares.delay.as_millis());
            let assignment = Assignment {
                outcome: if is_good {
                    Outcome::Assigned
                } else {
                    Outcome::ConfigMismatch
                },
                leader: election.member_id.clone(),
                leader_url: self.url.to_owned(),
                offset: if is_good { self.snapshot.offset } else { offset_max },
                assigned: share.assigned,
                revoked: share.revoked,
                delay_ms: i32::try_from(delay).unwrap_or(i32::MAX),
            };
            answers.push((
                member.clone(),
                protocol::encode_assignment(protocol, &assignment)?,
            ));
        }
        Ok((answers, owners))
    }

    fn shares(
        &self,
        assignor: &mut Assignor,
        (protocol, generation): (Protocol, i32),
        workers: &BTreeMap<String, WorkerState>,
        now: Instant,
    ) -> Shares {
        if protocol == Protocol::Eager {
            let members: BTreeSet<String> = workers.keys().cloned().collect();
            return assign_eagerly(&self.snapshot.all, &members);
        }
        let members: BTreeMap<String, Work> = workers
            .iter()
            .map(|(member, worker)| {
                let has = worker
                    .assignment
                    .as_ref()
                    .map(|assignment| assignment.assigned.clone());
                (member.clone(), has.unwrap_or_default())
            })
            .collect();
        let round = Round {
            configured: &self.snapshot.all,
            members: &members,
            last_generation: self.last_generation,
            generation,
        };
        assignor.assign(&round, now)
    }
}
