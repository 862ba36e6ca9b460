//! Joining a group: JoinGroup, then SyncGroup, with the assignments of all if the member leads.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use forebay_protocol::{
    ErrorCode, Utf8Bytes,
    messages::{
        JoinGroupRequest, JoinGroupResponse, SyncGroupRequest, join_group_request::JoinGroupRequestProtocol,
        sync_group_request::SyncGroupRequestAssignment,
    },
};
use tokio::time::Instant;

use super::Membership;
use crate::{
    cluster::{Coordinator, CoordinatorKind, Lane},
    error::Error,
};

/// A member that joined before the end of the rebalance may be answered this much later than it asked for.
const JOIN_GRACE: Duration = Duration::from_secs(5);

/// A way to share out that a member offers, and what it tells the leader then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protocol {
    /// Its name.
    pub name: &'static str,
    /// For the leader.
    pub metadata: Bytes,
}

/// An attempt to join, which has to be [`Attempt::ended`].
#[derive(Debug)]
pub(crate) struct Attempt {
    membership: Arc<Membership>,
    coordinator: Coordinator,
    reason: Option<&'static str>,
    /// The generation that the member was in, -1 if in none.
    pub(crate) generation_before: i32,
}

impl Attempt {
    pub(crate) async fn begin(membership: &Arc<Membership>) -> Result<Self, Error> {
        let group_id = &membership.options.group_id;
        let coordinator = membership
            .cluster
            .coordinator(CoordinatorKind::Group, group_id, Lane::Coordinator)
            .await?;
        let mut state = membership.lock();
        state.joining = true;
        let (generation_before, reason) = (state.generation_id, state.rejoin.take());
        drop(state);
        Ok(Self {
            membership: Arc::clone(membership),
            coordinator,
            reason,
            generation_before,
        })
    }

    /// Waits until the other members have joined, too, or are out.
    pub(crate) async fn join(&self, protocols: &[Protocol]) -> Result<JoinGroupResponse, Error> {
        let Self {
            membership,
            coordinator,
            ..
        } = self;
        let options = &membership.options;
        let protocols: Vec<JoinGroupRequestProtocol> = protocols
            .iter()
            .map(|protocol| JoinGroupRequestProtocol {
                name: protocol.name.into(),
                metadata: protocol.metadata.clone(),
                ..Default::default()
            })
            .collect();
        let version = coordinator.node.version::<JoinGroupRequest>(i16::MAX)?;
        let instance_id = options.group_instance_id.as_deref();
        if instance_id.is_some() && version < 5 {
            let reason = "group.instance.id: this broker knows no static members; it is older than Kafka 2.3";
            return Err(Error::IllegalState(reason.into()));
        }
        loop {
            let member_id = membership.lock().member_id.clone();
            let request = JoinGroupRequest {
                group_id: options.group_id.as_str().into(),
                session_timeout_ms: milliseconds(options.session_timeout),
                rebalance_timeout_ms: milliseconds(options.rebalance_timeout),
                member_id: member_id.into(),
                group_instance_id: instance_id.map(Utf8Bytes::from),
                protocol_type: options.protocol_type.into(),
                protocols: protocols.clone(),
                reason: self.reason.filter(|_| version >= 8).map(Utf8Bytes::from),
                ..Default::default()
            };
            let answer = coordinator.node.start(version, request, self.within()).await?;
            match ErrorCode::from_i16(answer.error_code) {
                ErrorCode::None => {
                    let mut state = membership.lock();
                    state.member_id = answer.member_id.to_string();
                    state.generation_id = answer.generation_id;
                    (state.joining, state.lost) = (false, false);
                    drop(state);
                    // From here on the session counts.
                    membership.beat.notify_one();
                    return Ok(answer);
                }
                // The coordinator gives a new member its id first, so that one that gives up is not waited for (KIP-394).
                ErrorCode::MemberIdRequired => membership.lock().member_id = answer.member_id.to_string(),
                code => return Err(Error::broker(format!("join group {}", options.group_id), code)),
            }
        }
    }

    /// Tells the coordinator what each gets, if the member leads, and learns what it gets itself.
    pub(crate) async fn sync(
        &self,
        joined: &JoinGroupResponse,
        assignments: Vec<SyncGroupRequestAssignment>,
    ) -> Result<Bytes, Error> {
        let Self {
            membership,
            coordinator,
            ..
        } = self;
        let options = &membership.options;
        let version = coordinator.node.version::<SyncGroupRequest>(i16::MAX)?;
        let request = SyncGroupRequest {
            group_id: options.group_id.as_str().into(),
            generation_id: joined.generation_id,
            member_id: joined.member_id.clone(),
            group_instance_id: options
                .group_instance_id
                .as_deref()
                .map(Utf8Bytes::from)
                .filter(|_| version >= 3),
            protocol_type: Some(options.protocol_type.into()).filter(|_| version >= 5),
            protocol_name: joined.protocol_name.clone().filter(|_| version >= 5),
            assignments,
            ..Default::default()
        };
        let sent_at = Instant::now();
        // The leader may take as long over its assignment as over anything else.
        let answer = coordinator.node.start(version, request, self.within()).await?;
        match ErrorCode::from_i16(answer.error_code) {
            ErrorCode::None => {
                membership.heard(joined.generation_id, sent_at);
                Ok(answer.assignment)
            }
            code => Err(Error::broker(format!("join group {}", options.group_id), code)),
        }
    }

    fn within(&self) -> Duration {
        let request_timeout = self.membership.cluster.config().request_timeout;
        (self.membership.options.rebalance_timeout + JOIN_GRACE).max(request_timeout)
    }

    /// Notes how it ended: after an error, whether another attempt may succeed, and as whom.
    pub(crate) fn ended<T>(self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &result {
            self.coordinator.saw(error);
            self.membership.join_failed(error, self.reason);
        }
        result
    }
}

fn milliseconds(duration: Duration) -> i32 {
    duration.as_millis().try_into().unwrap_or(i32::MAX)
}

impl Membership {
    fn join_failed(&self, error: &Error, reason: Option<&'static str>) {
        let mut state = self.lock();
        state.joining = false;
        state.rejoin.get_or_insert(reason.unwrap_or("joining failed"));
        match error.code() {
            Some(ErrorCode::UnknownMemberId) => {
                state.member_id.clear();
                state.generation_id = -1;
                (state.lost, state.heard) = (true, None);
            }
            Some(ErrorCode::IllegalGeneration) => {
                state.generation_id = -1;
                (state.lost, state.heard) = (true, None);
            }
            Some(ErrorCode::FencedInstanceId) => {
                state.generation_id = -1;
                state.heard = None;
                state.fatal = Some(error.clone());
            }
            _ => {}
        }
    }
}

/// Whether to join again after this error.
pub(crate) fn is_worth_another(error: &Error) -> bool {
    let again = [
        ErrorCode::UnknownMemberId,
        ErrorCode::IllegalGeneration,
        ErrorCode::RebalanceInProgress,
        ErrorCode::MemberIdRequired,
    ];
    error.is_retriable() || error.code().is_some_and(|code| again.contains(&code))
}
