//! Fetch: what the partitions have within the bounds asked for, or a wait until there is enough (`KafkaApis.handleFetchRequest`,
//! `ReplicaManager.fetchMessages`, `DelayedFetch`). No incremental sessions (KIP-227) are kept: every request that would open one
//! is answered as a full fetch with session id 0, as Kafka does when its cache is full.

mod read;

use std::sync::Arc;
use std::time::Duration;

use forebay_broker_partition::FetchIsolation;
use forebay_protocol::messages::fetch_request::FetchPartition;
use forebay_protocol::messages::fetch_response::{
    FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData,
};
use forebay_protocol::messages::{FetchRequest, FetchResponse};
use forebay_protocol::{ErrorCode, NodeId, Utf8Bytes, Uuid};
use tokio::time::{Instant, sleep_until};

use crate::call::Call;
use crate::listener_view::View;
use crate::replicas::Replica;
use read::{Round, read_all};

/// The session epochs of full fetches: that of a first one, and that of one without session.
const INITIAL_EPOCH: i32 = 0;
const FINAL_EPOCH: i32 = -1;
/// The first version that names topics by id.
const TOPIC_ID_VERSION: i16 = 13;
/// Kafka's number of `read_committed`.
const READ_COMMITTED: i8 = 1;

/// What one Fetch asks for, over all its partitions.
pub(super) struct Plan {
    version: i16,
    isolation: FetchIsolation,
    /// The follower that fetches.
    replica: Option<NodeId>,
    min_bytes: u64,
    max_bytes: usize,
    max_wait: Duration,
    topics: Vec<PlannedTopic>,
}

struct PlannedTopic {
    name: Utf8Bytes,
    id: Uuid,
    partitions: Vec<PlannedPartition>,
}

struct PlannedPartition {
    asked: FetchPartition,
    replica: Result<Arc<Replica>, ErrorCode>,
}

/// Answers a Fetch request.
pub(crate) async fn handle(call: &Call, request: FetchRequest) -> FetchResponse {
    if !matches!(request.session_epoch, INITIAL_EPOCH | FINAL_EPOCH) {
        // An incremental fetch, of a session that is not kept.
        return FetchResponse {
            error_code: ErrorCode::FetchSessionIdNotFound.into(),
            ..FetchResponse::default()
        };
    }
    let plan = Plan::of(call, request);
    let round = read_all(&plan).await;
    let round = if round.is_enough(&plan) {
        round
    } else {
        wait_and_read(call, &plan).await
    };
    respond(call, plan, round)
}

impl Plan {
    fn of(call: &Call, request: FetchRequest) -> Self {
        let replica_id = if call.version >= 15 {
            request.replica_state.replica_id
        } else {
            request.replica_id
        };
        let replica = Some(NodeId(replica_id)).filter(|id| id.0 >= 0);
        let isolation = match (replica, request.isolation_level) {
            (Some(_), _) => FetchIsolation::LogEnd,
            (None, READ_COMMITTED) => FetchIsolation::TxnCommitted,
            (None, _) => FetchIsolation::HighWatermark,
        };
        let max_bytes = positive(request.max_bytes).min(call.core.config.fetch_bytes_max);
        let image = call.core.metadata.image();
        let topics = request.topics.into_iter().map(|topic| {
            let name = if call.version >= TOPIC_ID_VERSION {
                image
                    .topic_by_id(topic.topic_id)
                    .map(|found| found.name().clone())
                    .ok_or(ErrorCode::UnknownTopicId)
            } else {
                Ok(topic.topic.clone())
            };
            let partitions = topic.partitions.into_iter().map(|asked| {
                let replica = match &name {
                    Ok(name) if call.version >= TOPIC_ID_VERSION => {
                        call.core.replica_by_id(topic.topic_id, name, asked.partition)
                    }
                    Ok(name) => call.core.replica(name, asked.partition),
                    Err(code) => Err(*code),
                };
                PlannedPartition { asked, replica }
            });
            PlannedTopic {
                name: topic.topic,
                id: topic.topic_id,
                partitions: partitions.collect(),
            }
        });
        Self {
            version: call.version,
            isolation,
            replica,
            min_bytes: positive(request.min_bytes).min(max_bytes) as u64,
            max_bytes,
            max_wait: Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)),
            topics: topics.collect(),
        }
    }

    fn partitions(&self) -> impl Iterator<Item = &PlannedPartition> {
        self.topics.iter().flat_map(|topic| &topic.partitions)
    }
}

fn positive(value: i32) -> usize {
    usize::try_from(value).unwrap_or(0)
}

/// Waits until the partitions can give enough, one of them has something else to say, or the time is over; then reads again.
async fn wait_and_read(call: &Call, plan: &Plan) -> Round {
    let waits = &call.core.replicas.shared().fetch_waits;
    let deadline = Instant::now() + plan.max_wait;
    let (waiter, woken) = waits.register(plan.min_bytes, plan.partitions().count());
    let guard = read::Waiting::begin(call, plan, waiter);
    tokio::select! {
        _woken = woken => {}
        () = sleep_until(deadline) => {}
        () = call.core.shutdown.clone().requested() => {}
    }
    drop(guard);
    read_all(plan).await
}

fn respond(call: &Call, plan: Plan, round: Round) -> FetchResponse {
    let mut answers = round.answers.into_iter();
    let responses = plan.topics.into_iter().map(|topic| FetchableTopicResponse {
        topic: topic.name,
        topic_id: topic.id,
        partitions: answers.by_ref().take(topic.partitions.len()).collect(),
        ..FetchableTopicResponse::default()
    });
    let mut response = FetchResponse {
        responses: responses.collect(),
        ..FetchResponse::default()
    };
    if call.version >= 16 {
        name_leaders(call, &mut response);
    }
    response
}

/// Tells consumers that came to the wrong broker where to go (KIP-951).
fn name_leaders(call: &Call, response: &mut FetchResponse) {
    let misled = |one: &PartitionData| {
        matches!(
            ErrorCode::from_i16(one.error_code),
            ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch
        )
    };
    if !response
        .responses
        .iter()
        .any(|topic| topic.partitions.iter().any(misled))
    {
        return;
    }
    let image = call.core.metadata.image();
    let view = View::new(call, &image);
    let nodes = &mut response.node_endpoints;
    for topic in &mut response.responses {
        let known = image.topic_by_id(topic.topic_id);
        for one in topic.partitions.iter_mut().filter(|one| misled(one)) {
            let Some(partition) = known.and_then(|topic| topic.partition(one.partition_index)) else {
                continue;
            };
            let hint = view.leader_hint(partition);
            one.current_leader = LeaderIdAndEpoch {
                leader_id: hint.leader_id,
                leader_epoch: hint.leader_epoch,
                ..LeaderIdAndEpoch::default()
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
