//! What can be asked of a coordinator, what it answers, and the answers of those that cannot even be asked: of a coordinator that
//! still loads or is none.

use forebay_protocol::messages::consumer_group_describe_response::DescribedGroup as DescribedConsumerGroup;
use forebay_protocol::messages::delete_groups_response::DeletableGroupResult;
use forebay_protocol::messages::describe_groups_response::DescribedGroup;
use forebay_protocol::messages::leave_group_response::MemberResponse;
use forebay_protocol::messages::list_groups_response::ListedGroup;
use forebay_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use forebay_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use forebay_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use forebay_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use forebay_protocol::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, HeartbeatRequest, HeartbeatResponse,
    JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, ListGroupsRequest,
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse, SyncGroupRequest,
    SyncGroupResponse, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use forebay_protocol::{ErrorCode, Utf8Bytes, Uuid};

use crate::{Completion, EndOfTransaction, JudgedExpression, Request, RequestContext, ResolvedExpressions};

/// What is asked. Authorization, whether topics exist, and topic ids <-> names are behind us: where a message has both, name and id
/// are filled in (an OffsetCommit of any version brings the id, it is persisted; `Uuid::ZERO` where there is none).
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Of a member of a consumer group ([`Command::consumer_group_heartbeat`]).
    ConsumerGroupHeartbeat {
        /// What it says.
        request: ConsumerGroupHeartbeatRequest,
        /// Fresh randomness, for the id of a member that has none.
        random: u128,
        /// Whether what it subscribes to is a regular expression.
        expression: JudgedExpression,
    },
    /// Consumer groups of this partition to describe.
    ConsumerGroupDescribe(Vec<Utf8Bytes>),
    /// Parked until the join phase ends. The second field is fresh randomness, for the member id of a new member.
    JoinGroup(JoinGroupRequest, u128),
    /// Parked until the leader's assignment is persisted.
    SyncGroup(SyncGroupRequest),
    /// Keeps a session.
    Heartbeat(HeartbeatRequest),
    /// Members leave; before version 3 the one in `member_id`.
    LeaveGroup(LeaveGroupRequest),
    /// Offsets of a group.
    OffsetCommit(OffsetCommitRequest),
    /// One group of an OffsetFetch; `topics: None` asks for all. Whether the version has groups is the server's affair:
    /// see [`offset_fetch_groups`](crate::offset_fetch_groups).
    OffsetFetch {
        /// The group and the partitions.
        group: OffsetFetchRequestGroup,
        /// Wait for what is not committed yet (KIP-447) instead of answering what is.
        require_stable: bool,
    },
    /// Forgets offsets of topics that no member consumes.
    OffsetDelete(OffsetDeleteRequest),
    /// Groups of this partition to delete.
    DeleteGroups(Vec<Utf8Bytes>),
    /// Groups of this partition to describe.
    DescribeGroups(Vec<Utf8Bytes>),
    /// All groups of this partition that pass the filters.
    ListGroups(ListGroupsRequest),
    /// Offsets of a group as part of a transaction: they count once that is committed.
    TxnOffsetCommit {
        /// The group, the producer and the offsets.
        request: TxnOffsetCommitRequest,
        /// What the log is to be told, that it takes the records: comes back in [`TransactionPart::Records`].
        verification: u64,
    },
    /// The end of a transaction that offsets of this partition may be part of, to be written in its turn.
    EndTransaction(EndOfTransaction),
    /// These topics are no more: so are their offsets, unless they are of a topic of the same name with another id.
    TopicsDeleted(Vec<(Utf8Bytes, Uuid)>),
    /// What came of [`Action::ResolveExpressions`](crate::Action::ResolveExpressions).
    ExpressionsResolved {
        /// The group.
        group: Utf8Bytes,
        /// The number that was asked with.
        number: u64,
        /// Which topics its expressions mean; none: nobody knows.
        resolved: Option<ResolvedExpressions>,
    },
}

impl Command {
    /// Of a member of a consumer group. Judges its regular expression, which takes milliseconds: not for where others wait.
    #[must_use]
    pub fn consumer_group_heartbeat(request: ConsumerGroupHeartbeatRequest, random: u128) -> Self {
        let expression = JudgedExpression::of(&request);
        Self::ConsumerGroupHeartbeat {
            request,
            random,
            expression,
        }
    }
}

/// What is answered: the API's own message, ready for the version of the request, or this partition's share of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Response {
    /// To ConsumerGroupHeartbeat.
    ConsumerGroupHeartbeat(ConsumerGroupHeartbeatResponse),
    /// To the groups of this partition.
    ConsumerGroupDescribe(Vec<DescribedConsumerGroup>),
    /// To JoinGroup.
    JoinGroup(JoinGroupResponse),
    /// To SyncGroup.
    SyncGroup(SyncGroupResponse),
    /// To Heartbeat.
    Heartbeat(HeartbeatResponse),
    /// To LeaveGroup.
    LeaveGroup(LeaveGroupResponse),
    /// To OffsetCommit.
    OffsetCommit(OffsetCommitResponse),
    /// To one group of OffsetFetch.
    OffsetFetch(OffsetFetchResponseGroup),
    /// To OffsetDelete.
    OffsetDelete(OffsetDeleteResponse),
    /// To the groups of this partition.
    DeleteGroups(Vec<DeletableGroupResult>),
    /// To the groups of this partition.
    DescribeGroups(Vec<DescribedGroup>),
    /// The groups of this partition; an error is the partition's.
    ListGroups(Result<Vec<ListedGroup>, ErrorCode>),
    /// To TxnOffsetCommit.
    TxnOffsetCommit(TxnOffsetCommitResponse),
    /// The marker is committed, or could not be written.
    EndTransaction(Result<(), ErrorCode>),
    /// The tombstones are committed, or could not be written.
    TopicsDeleted(Result<(), ErrorCode>),
    /// It is known now, or nobody is there to know it.
    ExpressionsResolved,
}

impl Request {
    /// Answers a request without a coordinator: NOT_COORDINATOR, COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, or what an
    /// authorizer says. While it loads, a heartbeat is told that all is well, as Kafka does.
    #[must_use]
    pub fn refuse(self, error: ErrorCode) -> Completion {
        let response = refusal(self.command, &self.context, error);
        Completion {
            request: self.id,
            response,
        }
    }
}

fn refusal(command: Command, context: &RequestContext, error: ErrorCode) -> Response {
    let error_code = error.to_i16();
    match command {
        Command::ConsumerGroupHeartbeat { .. } => {
            Response::ConsumerGroupHeartbeat(ConsumerGroupHeartbeatResponse {
                error_code,
                ..Default::default()
            })
        }
        Command::ConsumerGroupDescribe(groups) => {
            let described = |group_id| DescribedConsumerGroup {
                group_id,
                error_code,
                ..Default::default()
            };
            Response::ConsumerGroupDescribe(groups.into_iter().map(described).collect())
        }
        Command::JoinGroup(request, _) => {
            let response = JoinGroupResponse {
                member_id: request.member_id,
                error_code,
                ..Default::default()
            };
            Response::JoinGroup(joined(response, context.api_version))
        }
        Command::SyncGroup(_) => Response::SyncGroup(SyncGroupResponse {
            error_code,
            ..Default::default()
        }),
        Command::Heartbeat(_) => {
            let loading = error == ErrorCode::CoordinatorLoadInProgress;
            let error_code = if loading {
                ErrorCode::None.to_i16()
            } else {
                error_code
            };
            Response::Heartbeat(HeartbeatResponse {
                error_code,
                ..Default::default()
            })
        }
        Command::LeaveGroup(_) => Response::LeaveGroup(LeaveGroupResponse {
            error_code,
            ..Default::default()
        }),
        Command::OffsetCommit(request) => Response::OffsetCommit(offset_commit_refusal(&request, error)),
        Command::TxnOffsetCommit { request, .. } => {
            Response::TxnOffsetCommit(txn_offset_commit_refusal(&request, error))
        }
        Command::EndTransaction(_) => Response::EndTransaction(Err(error)),
        Command::OffsetFetch { group, .. } => {
            Response::OffsetFetch(offset_fetch_refusal(&group, error, context.api_version))
        }
        Command::OffsetDelete(_) => Response::OffsetDelete(OffsetDeleteResponse {
            error_code,
            ..Default::default()
        }),
        Command::DeleteGroups(groups) => {
            let result = |group_id| DeletableGroupResult {
                group_id,
                error_code,
                ..Default::default()
            };
            Response::DeleteGroups(groups.into_iter().map(result).collect())
        }
        Command::DescribeGroups(groups) => {
            let described = |group_id| DescribedGroup {
                group_id,
                error_code,
                ..Default::default()
            };
            Response::DescribeGroups(groups.into_iter().map(described).collect())
        }
        Command::ListGroups(_) => Response::ListGroups(Err(error)),
        Command::TopicsDeleted(_) => Response::TopicsDeleted(Err(error)),
        Command::ExpressionsResolved { .. } => Response::ExpressionsResolved,
    }
}

/// Every partition of the request gets the error (Kafka's `OffsetCommitRequest.getErrorResponse`).
pub(crate) fn offset_commit_refusal(request: &OffsetCommitRequest, error: ErrorCode) -> OffsetCommitResponse {
    let topics = request.topics.iter().map(|topic| OffsetCommitResponseTopic {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: topic
            .partitions
            .iter()
            .map(|partition| OffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code: error.to_i16(),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    });
    OffsetCommitResponse {
        topics: topics.collect(),
        ..Default::default()
    }
}

/// Every partition gets the error (Kafka's `TxnOffsetCommitRequest.getErrorResponse`).
pub(crate) fn txn_offset_commit_refusal(
    request: &TxnOffsetCommitRequest,
    error: ErrorCode,
) -> TxnOffsetCommitResponse {
    let topics = request.topics.iter().map(|topic| TxnOffsetCommitResponseTopic {
        name: topic.name.clone(),
        partitions: topic
            .partitions
            .iter()
            .map(|partition| TxnOffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code: error.to_i16(),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    });
    TxnOffsetCommitResponse {
        topics: topics.collect(),
        ..Default::default()
    }
}

/// The group gets the error; version 1 has no place for it but the partitions (Kafka's `OffsetFetchResponse.groupError`).
pub(crate) fn offset_fetch_refusal(
    group: &OffsetFetchRequestGroup,
    error: ErrorCode,
    api_version: i16,
) -> OffsetFetchResponseGroup {
    if api_version >= 2 {
        return OffsetFetchResponseGroup {
            group_id: group.group_id.clone(),
            error_code: error.to_i16(),
            ..Default::default()
        };
    }
    let topics = group
        .topics
        .iter()
        .flatten()
        .map(|topic| OffsetFetchResponseTopics {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partitions: topic
                .partition_indexes
                .iter()
                .map(|partition_index| no_offset(*partition_index, error))
                .collect(),
            ..Default::default()
        });
    OffsetFetchResponseGroup {
        group_id: group.group_id.clone(),
        topics: topics.collect(),
        ..Default::default()
    }
}

/// A partition without a committed offset.
pub(crate) fn no_offset(partition_index: i32, error: ErrorCode) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: -1,
        committed_leader_epoch: -1,
        metadata: Some(Utf8Bytes::default()),
        error_code: error.to_i16(),
        ..Default::default()
    }
}

/// A JoinGroup answer in the words of its version: before version 7 the protocol name cannot be null, since then it is not empty.
pub(crate) fn joined(mut response: JoinGroupResponse, api_version: i16) -> JoinGroupResponse {
    if api_version < 7 {
        response.protocol_name.get_or_insert_default();
    } else if response
        .protocol_name
        .as_ref()
        .is_some_and(|name| name.is_empty())
    {
        response.protocol_name = None;
    }
    response
}

/// A LeaveGroup answer in the words of its version: before version 3 the only member's error is the error.
pub(crate) fn left(response: LeaveGroupResponse, api_version: i16) -> LeaveGroupResponse {
    if api_version >= 3 {
        return response;
    }
    let member_error = response
        .members
        .first()
        .map_or(0, |member: &MemberResponse| member.error_code);
    let error_code = if response.error_code == 0 {
        member_error
    } else {
        response.error_code
    };
    LeaveGroupResponse {
        error_code,
        ..Default::default()
    }
}

impl Response {
    /// The same answer after its append has failed: the error that Kafka maps the log's error to, in the place that the API has for
    /// it (Kafka's `CoordinatorOperationExceptionHelper`).
    pub(crate) fn failed(self, error: ErrorCode, api_version: i16) -> Self {
        let mapped = append_error(error);
        let error_code = mapped.to_i16();
        match self {
            Self::ConsumerGroupHeartbeat(_) => Self::ConsumerGroupHeartbeat(ConsumerGroupHeartbeatResponse {
                error_code,
                ..Default::default()
            }),
            Self::JoinGroup(_) => {
                let response = JoinGroupResponse {
                    error_code,
                    ..Default::default()
                };
                Self::JoinGroup(joined(response, api_version))
            }
            Self::SyncGroup(_) => Self::SyncGroup(SyncGroupResponse {
                error_code,
                ..Default::default()
            }),
            Self::Heartbeat(_) => Self::Heartbeat(HeartbeatResponse {
                error_code,
                ..Default::default()
            }),
            Self::LeaveGroup(_) => Self::LeaveGroup(LeaveGroupResponse {
                error_code,
                ..Default::default()
            }),
            Self::OffsetCommit(mut response) => {
                for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                    partition.error_code = error_code;
                }
                Self::OffsetCommit(response)
            }
            Self::TxnOffsetCommit(mut response) => {
                for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                    partition.error_code = error_code;
                }
                Self::TxnOffsetCommit(response)
            }
            Self::EndTransaction(_) => Self::EndTransaction(Err(mapped)),
            Self::OffsetFetch(response) => Self::OffsetFetch(failed_fetch(response, error, api_version)),
            Self::OffsetDelete(_) => Self::OffsetDelete(OffsetDeleteResponse {
                error_code,
                ..Default::default()
            }),
            Self::DeleteGroups(mut results) => {
                for result in &mut results {
                    result.error_code = error_code;
                }
                Self::DeleteGroups(results)
            }
            Self::TopicsDeleted(_) => Self::TopicsDeleted(Err(mapped)),
            other @ (Self::ConsumerGroupDescribe(_)
            | Self::DescribeGroups(_)
            | Self::ListGroups(_)
            | Self::ExpressionsResolved) => other,
        }
    }
}

/// Consumers before 3.9 do not know how to retry an OffsetFetch after COORDINATOR_NOT_AVAILABLE, so it is NOT_COORDINATOR here.
fn failed_fetch(
    mut response: OffsetFetchResponseGroup,
    error: ErrorCode,
    api_version: i16,
) -> OffsetFetchResponseGroup {
    let error = match append_error(error) {
        ErrorCode::CoordinatorNotAvailable => ErrorCode::NotCoordinator,
        other => other,
    };
    if api_version >= 2 {
        response.error_code = error.to_i16();
        response.topics.clear();
    } else {
        for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            *partition = no_offset(partition.partition_index, error);
        }
    }
    response
}

/// What a client is told when the log says `error` (`appendGroupMetadataErrorToResponseError`).
pub(crate) fn append_error(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UnknownTopicOrPartition | ErrorCode::NotEnoughReplicas | ErrorCode::RequestTimedOut => {
            ErrorCode::CoordinatorNotAvailable
        }
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge | ErrorCode::InvalidFetchSize => {
            ErrorCode::UnknownServerError
        }
        other => other,
    }
}
