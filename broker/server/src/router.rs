//! From a request to its handler: the same way for sockets and for callers in this process. The table at the end lists what is
//! served; ApiVersions is answered from it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use forebay_protocol::{ApiKey, Request, Response};

use crate::call::{Call, CallContext, Dispatched, Reply};
use crate::core::Core;
use crate::handlers;
use crate::metrics::Metrics;

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
        let dispatched = served.then(|| self.dispatch(context, version, request));
        async move {
            let reply = match dispatched? {
                Dispatched::Now(reply) => reply,
                Dispatched::Later(answer) => answer.await,
            };
            match reply {
                Reply::Response(response) => Some(response),
                Reply::Silence | Reply::Hangup(_) => None,
            }
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
    now DescribeConfigs => handlers::describe_configs::handle;
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
