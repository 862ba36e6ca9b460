//! Fetch: what the partitions have within the bounds asked for, or a wait until there is enough (`KafkaApis.handleFetchRequest`,
//! `ReplicaManager.fetchMessages`, `DelayedFetch`). What a session remembers (KIP-227) is in `session.rs`.

mod read;
mod session;
mod strangers;

use std::sync::Arc;
use std::time::Duration;

use forebay_broker_partition::{FetchAsk, FetchContext, FetchIsolation, FetchKey};
use forebay_protocol::messages::fetch_response::{
    FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData,
};
use forebay_protocol::messages::{FetchRequest, FetchResponse};
use forebay_protocol::{ErrorCode, NodeId, Records};
use tokio::time::{Instant, sleep_until};

use crate::call::Call;
use crate::clock;
use crate::listener_view::View;
use crate::quotas::throttle_time_ms;
use crate::replicas::Replica;
use read::{Round, read_all};

/// The first version that names topics by id.
const TOPIC_ID_VERSION: i16 = 13;
/// Kafka's number of `read_committed`.
const READ_COMMITTED: i8 = 1;

/// What one Fetch asks for, over all its partitions.
pub(super) struct Plan<'a> {
    version: i16,
    bounds: Bounds,
    partitions: Vec<PlannedPartition<'a>>,
}

/// What holds for all partitions of a Fetch.
struct Bounds {
    isolation: FetchIsolation,
    /// The follower that fetches.
    replica: Option<NodeId>,
    min_bytes: u64,
    max_bytes: usize,
    max_wait: Duration,
}

struct PlannedPartition<'a> {
    key: &'a FetchKey,
    ask: FetchAsk,
    replica: Result<Arc<Replica>, ErrorCode>,
}

/// Answers a Fetch request.
pub(crate) async fn handle(call: &Call, mut request: FetchRequest) -> FetchResponse {
    let bounds = Bounds::of(call, &request);
    let strangers = strangers::take(&mut request);
    let context = match session::begin(call, request, bounds.replica) {
        Ok(context) => context,
        Err(error) => return session::refused(error),
    };
    let plan = Plan::of(call, bounds, &context);
    let round = read_all(&plan).await;
    let round = if !strangers.is_empty() || round.is_enough(&plan) {
        round
    } else {
        wait_and_read(call, &plan).await
    };
    let throttle = count(call, &plan, &round.answers);
    drop(plan);
    if !throttle.is_zero() {
        // As in Kafka: nothing now, so that the client comes back for it later (KIP-219).
        return FetchResponse {
            throttle_time_ms: throttle_time_ms(throttle),
            session_id: context.session_id(),
            ..FetchResponse::default()
        };
    }
    let mut response = respond(call, &context, round.answers);
    if response.error_code == 0 {
        response
            .responses
            .extend(strangers::answers(call.version, strangers));
    }
    response
}

impl Bounds {
    fn of(call: &Call, request: &FetchRequest) -> Self {
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
        let max_bytes = positive(request.max_bytes)
            .min(call.core.config.fetch_bytes_max)
            .min(call.core.quotas.fetch_bytes_max(&call.context));
        Self {
            isolation,
            replica,
            min_bytes: positive(request.min_bytes).min(max_bytes) as u64,
            max_bytes,
            max_wait: Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)),
        }
    }
}

impl<'a> Plan<'a> {
    fn of(call: &Call, bounds: Bounds, context: &'a FetchContext) -> Self {
        let image = call.core.metadata.image();
        let partitions = context.partitions.iter().map(|(key, ask)| {
            let replica = if call.version >= TOPIC_ID_VERSION {
                match image.topic_by_id(key.topic_id) {
                    Some(topic) => call.core.replica_by_id(key.topic_id, topic.name(), key.partition),
                    None => Err(ErrorCode::UnknownTopicId),
                }
            } else {
                call.core.replica(&key.topic, key.partition)
            };
            PlannedPartition {
                key,
                ask: *ask,
                replica,
            }
        });
        Self {
            version: call.version,
            bounds,
            partitions: partitions.collect(),
        }
    }
}

/// Counts what is about to be answered, in the client's quota first; how long it is not to be heard if that is too much.
fn count(call: &Call, plan: &Plan<'_>, answers: &[PartitionData]) -> Duration {
    let bytes = |answer: &PartitionData| answer.records.as_ref().map_or(0, Records::len);
    if plan.bounds.replica.is_none() {
        let total = answers.iter().map(bytes).sum();
        let throttle = call.core.quotas.fetched(&call.context, total, clock::monotonic());
        if !throttle.is_zero() {
            return throttle;
        }
    }
    for (partition, answer) in plan.partitions.iter().zip(answers) {
        match &partition.replica {
            Ok(replica) if answer.error_code == 0 => replica.fetched(bytes(answer)),
            Ok(replica) => replica.fetch_failed(),
            Err(_) => {}
        }
    }
    Duration::ZERO
}

fn positive(value: i32) -> usize {
    usize::try_from(value).unwrap_or(0)
}

/// Waits until the partitions can give enough, one of them has something else to say, or the time is over; then reads again.
async fn wait_and_read(call: &Call, plan: &Plan<'_>) -> Round {
    let waits = &call.core.replicas.shared().fetch_waits;
    let deadline = Instant::now() + plan.bounds.max_wait;
    let (waiter, woken) = waits.register(plan.bounds.min_bytes, plan.partitions.len());
    let guard = read::Waiting::begin(call, plan, waiter);
    tokio::select! {
        _woken = woken => {}
        () = sleep_until(deadline) => {}
        () = call.core.shutdown.clone().requested() => {}
    }
    drop(guard);
    read_all(plan).await
}

fn respond(call: &Call, context: &FetchContext, answers: Vec<PartitionData>) -> FetchResponse {
    let finished = match session::finish(call, context, &answers) {
        Ok(finished) => finished,
        Err(error) => return session::refused(error),
    };
    let mut response = FetchResponse {
        session_id: finished.session_id,
        ..FetchResponse::default()
    };
    let topics = &mut response.responses;
    for (index, ((key, _), answer)) in context.partitions.iter().zip(answers).enumerate() {
        if finished
            .included
            .as_ref()
            .is_some_and(|included| !included[index])
        {
            continue;
        }
        match topics.last_mut() {
            Some(last) if last.topic == key.topic && last.topic_id == key.topic_id => {
                last.partitions.push(answer);
            }
            _ => topics.push(FetchableTopicResponse {
                topic: key.topic.clone(),
                topic_id: key.topic_id,
                partitions: vec![answer],
                ..FetchableTopicResponse::default()
            }),
        }
    }
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
