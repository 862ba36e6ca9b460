//! Produce: batches are checked on the caller's worker and put in their partitions' queues, in the order of requests; the
//! rest, the acknowledgements, is waited for (`KafkaApis.handleProduceRequest`, `ReplicaManager.appendRecords`).

mod accept;
mod recompress;

use std::sync::Arc;
use std::time::Duration;

use forebay_broker_log::Appended;
use forebay_broker_partition::RequiredAcks;
use forebay_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use forebay_protocol::messages::{ProduceRequest, ProduceResponse};
use forebay_protocol::{ErrorCode, Utf8Bytes, Uuid};
use forebay_records::{NO_OFFSET, NO_TIMESTAMP};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::call::{Call, Dispatched, Reply};
use crate::error_code::HasErrorCode;
use crate::listener_view::View;
use crate::replicas::{self, Replica};
use accept::{Acceptance, SentPartition};

/// Why a partition's batches are not in the log.
#[derive(Debug, Default, Clone)]
struct Refusal {
    code: Option<ErrorCode>,
    message: Option<String>,
    records: Vec<BatchIndexAndErrorMessage>,
    log_start_offset: Option<i64>,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self {
            code: Some(code),
            ..Self::default()
        }
    }
}

impl From<replicas::Error> for Refusal {
    fn from(error: replicas::Error) -> Self {
        let code = Some(error.error_code());
        let message = match error {
            replicas::Error::Verification { message, .. } => message,
            replicas::Error::Log(error @ forebay_broker_log::Error::Unverified { .. }) => {
                Some(error.to_string())
            }
            _ => None,
        };
        Self {
            code,
            message,
            ..Self::default()
        }
    }
}

/// What a batch in a queue waits for.
struct Acknowledgement {
    outcome: oneshot::Receiver<Result<Appended, replicas::Error>>,
    replica: Arc<Replica>,
}

struct Partition {
    index: i32,
    outcome: Result<Acknowledgement, Refusal>,
}

struct Topic {
    name: Utf8Bytes,
    id: Uuid,
    partitions: Vec<Partition>,
}

/// Accepts a Produce request: when this returns its batches are queued.
pub(crate) fn handle(call: &Call, request: ProduceRequest) -> Dispatched {
    let acks = match request.acks {
        0 => Some(RequiredAcks::None),
        1 => Some(RequiredAcks::Leader),
        -1 => Some(RequiredAcks::All),
        _ => None,
    };
    let silent = request.acks == 0;
    let limit = (request.acks == -1).then(|| milliseconds(request.timeout_ms));
    let acceptance = Acceptance::new(call, acks, request.transactional_id.map(|id| id.detach()));
    let sent: Vec<_> = request
        .topic_data
        .into_iter()
        .map(|topic| acceptance.read(topic))
        .collect();
    let refused = acceptance.check_transaction(&sent).err();
    let topics = sent.into_iter().map(|topic| {
        let accept = |sent: SentPartition| Partition {
            index: sent.index,
            outcome: match &refused {
                Some(whole) => Err(whole.clone()),
                None => acceptance.append(&topic.found, sent),
            },
        };
        Topic {
            name: topic.name,
            id: topic.id,
            partitions: topic.partitions.into_iter().map(accept).collect(),
        }
    });
    // All are in their queues when this returns.
    let topics: Vec<Topic> = topics.collect();
    let call = call.clone();
    Dispatched::Later(Box::pin(async move {
        let response = acknowledge(&call, topics, limit).await;
        match () {
            () if !silent => response.into(),
            // The producer learns that something is wrong by losing its connection.
            () if has_errors(&response) => Reply::Hangup("Produce with acks=0 failed"),
            () => Reply::Silence,
        }
    }))
}

fn milliseconds(value: i32) -> Duration {
    Duration::from_millis(u64::try_from(value).unwrap_or(0))
}

fn has_errors(response: &ProduceResponse) -> bool {
    response
        .responses
        .iter()
        .flat_map(|topic| &topic.partition_responses)
        .any(|one| one.error_code != 0)
}

/// Waits for the acknowledgements, with `acks=all` at most for `limit`.
async fn acknowledge(call: &Call, topics: Vec<Topic>, limit: Option<Duration>) -> ProduceResponse {
    let deadline = limit.map(|limit| Instant::now() + limit);
    let mut response = ProduceResponse::default();
    for topic in topics {
        let mut partition_responses = Vec::with_capacity(topic.partitions.len());
        for Partition { index, outcome } in topic.partitions {
            let outcome = match outcome {
                Ok(acknowledgement) => wait(acknowledgement, deadline).await,
                Err(refusal) => Err(refusal),
            };
            partition_responses.push(match outcome {
                Ok(appended) => appended_at(index, &appended),
                Err(refusal) => refused(index, refusal),
            });
        }
        response.responses.push(TopicProduceResponse {
            name: topic.name,
            topic_id: topic.id,
            partition_responses,
            ..TopicProduceResponse::default()
        });
    }
    if call.version >= 10 {
        name_leaders(call, &mut response);
    }
    response
}

async fn wait(acknowledgement: Acknowledgement, deadline: Option<Instant>) -> Result<Appended, Refusal> {
    let Acknowledgement { outcome, replica } = acknowledgement;
    let outcome = match deadline {
        Some(deadline) => timeout_at(deadline, outcome)
            .await
            .map_err(|_elapsed| Refusal::from(ErrorCode::RequestTimedOut))?,
        None => outcome.await,
    };
    // A writer that is gone without a word leaves open whether the batch is in the log.
    let appended = outcome.map_err(|_gone| Refusal::from(ErrorCode::UnknownServerError))?;
    appended.map_err(|error| Refusal {
        log_start_offset: names_log_start(&error).then(|| {
            replica
                .with_partition(forebay_broker_partition::Partition::log_start_offset)
                .0
        }),
        ..Refusal::from(error)
    })
}

/// Kafka names the log's start where its log has refused a batch for its producer's state (`ReplicaManager.appendToLocalLog`).
fn names_log_start(error: &replicas::Error) -> bool {
    use forebay_broker_log::Error;
    matches!(
        error,
        replicas::Error::Log(
            Error::OutOfOrderSequence { .. }
                | Error::InvalidProducerEpoch { .. }
                | Error::InvalidTransactionState { .. }
                | Error::TransactionCoordinatorFenced { .. }
        )
    )
}

fn appended_at(index: i32, appended: &Appended) -> PartitionProduceResponse {
    PartitionProduceResponse {
        index,
        base_offset: appended.base_offset.0,
        log_append_time_ms: appended.log_append_time.0,
        log_start_offset: appended.log_start_offset.0,
        ..PartitionProduceResponse::default()
    }
}

fn refused(index: i32, refusal: Refusal) -> PartitionProduceResponse {
    PartitionProduceResponse {
        index,
        error_code: refusal.code.unwrap_or(ErrorCode::UnknownServerError).into(),
        base_offset: NO_OFFSET.0,
        log_append_time_ms: NO_TIMESTAMP.0,
        log_start_offset: refusal.log_start_offset.unwrap_or(NO_OFFSET.0),
        record_errors: refusal.records,
        error_message: refusal.message.map(Into::into),
        ..PartitionProduceResponse::default()
    }
}

/// Tells producers that came to the wrong broker where to go (KIP-951).
fn name_leaders(call: &Call, response: &mut ProduceResponse) {
    let misled = |one: &PartitionProduceResponse| one.error_code == i16::from(ErrorCode::NotLeaderOrFollower);
    if !response
        .responses
        .iter()
        .any(|topic| topic.partition_responses.iter().any(misled))
    {
        return;
    }
    let image = call.core.metadata.image();
    let view = View::new(call, &image);
    let nodes = &mut response.node_endpoints;
    for topic in &mut response.responses {
        let known = if topic.name.is_empty() {
            image.topic_by_id(topic.topic_id)
        } else {
            image.topic(&topic.name)
        };
        for one in topic.partition_responses.iter_mut().filter(|one| misled(one)) {
            let Some(partition) = known.and_then(|topic| topic.partition(one.index)) else {
                continue;
            };
            let hint = view.leader_hint(partition);
            one.current_leader = LeaderIdAndEpoch {
                leader_id: hint.leader_id,
                leader_epoch: hint.leader_epoch,
                ..Default::default()
            };
            let Some((broker, endpoint)) = hint.node else {
                continue;
            };
            if nodes.iter().all(|node| node.node_id != broker.id.0) {
                nodes.push(NodeEndpoint {
                    node_id: broker.id.0,
                    host: endpoint.host.clone(),
                    port: endpoint.port.into(),
                    rack: broker.rack.clone(),
                    ..NodeEndpoint::default()
                });
            }
        }
    }
}
