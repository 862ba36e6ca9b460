//! From a request to its handler: the same way for sockets and for callers in this process. The table at the end lists what is
//! served; ApiVersions is answered from it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_protocol::{ApiKey, Records, Request, Response};
use tokio::time::sleep;

use crate::call::{Answer, Call, CallContext, Dispatched, Reply};
use crate::clock;
use crate::core::Core;
use crate::handlers;
use crate::metrics::{Exposition, Metrics};
use crate::quotas::Quotas;

/// The way into the broker. Cheap to clone.
#[derive(Clone)]
pub struct Router {
    core: Arc<Core>,
    metrics: Arc<Metrics>,
}

impl Router {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self {
            core,
            metrics: Arc::new(Metrics::new(SERVED)),
        }
    }

    /// Whether requests of this API and version are answered.
    #[must_use]
    pub fn serves(&self, api_key: ApiKey, version: i16) -> bool {
        SERVED.contains(&api_key)
            && api_key.is_supported(version)
            && version <= *api_key.advertised_versions().end()
    }

    /// Answers a request of a caller in this process as a socket would be answered; the records of a response may lie in
    /// files. `None` where a socket gets no answer or is closed: `acks=0`, or an API or version that is not served. The
    /// request is in line when this returns, before the answer is awaited: calls take effect in the order of this function.
    pub fn call(
        &self,
        context: CallContext,
        version: i16,
        request: Request,
    ) -> impl Future<Output = Option<Response>> + Send + use<> {
        let served = self.serves(request.api_key(), version);
        let produced = produced(&request);
        let payer = self.quotas().charges_requests().then(|| context.clone());
        let began = Instant::now();
        let dispatched = served.then(|| self.dispatch(context, version, request));
        let quotas = Arc::clone(&self.core.quotas);
        async move {
            let mut answer = Answer::new(dispatched?, began.elapsed());
            let reply = (&mut answer).await;
            // There is no socket that could be left unread: the answer comes later instead.
            let mut throttle = match &reply {
                Reply::Response(response) => response.throttle_time_ms().max(0).unsigned_abs().into(),
                Reply::Silence | Reply::Hangup(_) => 0,
            };
            if let Some(payer) = payer {
                let now = clock::monotonic();
                let of_request = quotas.worked(&payer, answer.worked, now);
                let of_bytes = produced.map_or(Duration::ZERO, |bytes| quotas.produced(&payer, bytes, now));
                throttle = throttle.max(
                    of_request
                        .max(of_bytes)
                        .as_millis()
                        .try_into()
                        .unwrap_or(u64::MAX),
                );
            }
            if throttle > 0 {
                sleep(Duration::from_millis(throttle)).await;
            }
            match reply {
                Reply::Response(response) => Some(response),
                Reply::Silence | Reply::Hangup(_) => None,
            }
        }
    }

    pub(crate) fn quotas(&self) -> &Quotas {
        &self.core.quotas
    }

    pub(crate) fn exposition(&self) -> Exposition<'_> {
        Exposition {
            core: &self.core,
            metrics: &self.metrics,
        }
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Gives a request to its handler. When this returns, a Produce request stands in its partitions' queues.
    pub(crate) fn dispatch(&self, context: CallContext, version: i16, request: Request) -> Dispatched {
        route(
            Call {
                core: Arc::clone(&self.core),
                context,
                version,
                served: SERVED,
            },
            request,
        )
    }
}

/// How many bytes of records a Produce request of this process has; on a socket the whole frame counts.
fn produced(request: &Request) -> Option<usize> {
    let Request::Produce(request) = request else {
        return None;
    };
    let partitions = request.topic_data.iter().flat_map(|topic| &topic.partition_data);
    Some(
        partitions
            .map(|data| data.records.as_ref().map_or(0, Records::len))
            .sum(),
    )
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").finish_non_exhaustive()
    }
}

/// `now`: answers on the spot. `wait`: may wait. `staged`: does its ordered part on the spot and waits for the rest.
macro_rules! routes {
    ($($how:ident $api:ident => $handler:path;)+) => {
        /// The APIs that are served, at all versions that Kafka 4.3.1 has of them.
        const SERVED: &[ApiKey] = &[$(ApiKey::$api),+];

        fn route(call: Call, request: Request) -> Dispatched {
            match request {
                $(Request::$api(request) => routes!(@$how call, request, $handler),)+
                _ => Dispatched::Now(Reply::Hangup("this API is not served")),
            }
        }
    };
    (@now $call:ident, $request:ident, $handler:path) => {
        Dispatched::Now($handler(&$call, &$request).into())
    };
    (@wait $call:ident, $request:ident, $handler:path) => {
        Dispatched::Later(Box::pin(async move { $handler(&$call, $request).await.into() }))
    };
    (@staged $call:ident, $request:ident, $handler:path) => {
        $handler(&$call, $request)
    };
}

routes! {
    staged Produce => handlers::produce::handle;
    wait Fetch => handlers::fetch::handle;
    wait ListOffsets => handlers::list_offsets::handle;
    wait Metadata => handlers::metadata::handle;
    wait OffsetCommit => handlers::offset_commit::handle;
    wait OffsetFetch => handlers::offset_fetch::handle;
    wait FindCoordinator => handlers::find_coordinator::handle;
    wait JoinGroup => handlers::join_group::handle;
    wait Heartbeat => handlers::heartbeat::handle;
    wait LeaveGroup => handlers::leave_group::handle;
    wait SyncGroup => handlers::sync_group::handle;
    wait DescribeGroups => handlers::describe_groups::handle;
    wait ListGroups => handlers::list_groups::handle;
    now ApiVersions => handlers::api_versions::handle;
    wait CreateTopics => handlers::create_topics::handle;
    wait DeleteTopics => handlers::delete_topics::handle;
    wait DeleteRecords => handlers::delete_records::handle;
    wait InitProducerId => handlers::init_producer_id::handle;
    now OffsetForLeaderEpoch => handlers::offset_for_leader_epoch::handle;
    wait AddPartitionsToTxn => handlers::add_partitions_to_txn::handle;
    wait AddOffsetsToTxn => handlers::add_offsets_to_txn::handle;
    wait EndTxn => handlers::end_txn::handle;
    wait WriteTxnMarkers => handlers::write_txn_markers::handle;
    wait TxnOffsetCommit => handlers::txn_offset_commit::handle;
    now DescribeAcls => handlers::describe_acls::handle;
    now CreateAcls => handlers::create_acls::handle;
    now DeleteAcls => handlers::delete_acls::handle;
    wait DescribeConfigs => handlers::describe_configs::handle;
    wait AlterConfigs => handlers::alter_configs::handle;
    now AlterReplicaLogDirs => handlers::alter_replica_log_dirs::handle;
    wait DescribeLogDirs => handlers::describe_log_dirs::handle;
    wait CreatePartitions => handlers::create_partitions::handle;
    wait DeleteGroups => handlers::delete_groups::handle;
    wait ElectLeaders => handlers::elect_leaders::handle;
    wait IncrementalAlterConfigs => handlers::incremental_alter_configs::handle;
    wait AlterPartitionReassignments => handlers::alter_partition_reassignments::handle;
    now ListPartitionReassignments => handlers::list_partition_reassignments::handle;
    wait OffsetDelete => handlers::offset_delete::handle;
    now DescribeClientQuotas => handlers::describe_client_quotas::handle;
    wait AlterClientQuotas => handlers::alter_client_quotas::handle;
    now DescribeUserScramCredentials => handlers::describe_user_scram_credentials::handle;
    wait AlterUserScramCredentials => handlers::alter_user_scram_credentials::handle;
    now DescribeQuorum => handlers::describe_quorum::handle;
    wait UpdateFeatures => handlers::update_features::handle;
    now DescribeCluster => handlers::describe_cluster::handle;
    wait DescribeProducers => handlers::describe_producers::handle;
    wait UnregisterBroker => handlers::unregister_broker::handle;
    wait DescribeTransactions => handlers::describe_transactions::handle;
    wait ListTransactions => handlers::list_transactions::handle;
    wait ConsumerGroupHeartbeat => handlers::consumer_group_heartbeat::handle;
    wait ConsumerGroupDescribe => handlers::consumer_group_describe::handle;
    now ListConfigResources => handlers::list_config_resources::handle;
    now DescribeTopicPartitions => handlers::describe_topic_partitions::handle;
}
