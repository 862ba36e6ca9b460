//! BrokerRegistration (`ClusterControlManager.registerBroker`): a process takes a broker's id, and with it a new epoch.

use std::collections::BTreeSet;

use forebay_protocol::internal_record::MetadataRecord;
use forebay_protocol::messages::broker_registration_request::{BrokerRegistrationRequest, Feature};
use forebay_protocol::messages::register_broker_record::{
    BrokerEndpoint, BrokerFeature, RegisterBrokerRecord,
};
use forebay_protocol::{ErrorCode, NodeId};

use super::broker_restart::{Event, partition_changes};
use crate::controller::{Cluster, Command, Outcome};
use crate::image::{BrokerImage, METADATA_VERSION, SUPPORTED_FEATURES, topic};
use crate::{ApiError, Record};

/// Registers a broker, fenced; answers with the epoch of the registration.
///
/// `request.previous_broker_epoch` is the epoch that the last clean shutdown left on disk, or -1: if it is not the registered
/// one, the broker may have lost what it had, and no longer counts as in sync (KIP-966).
#[derive(Debug, Clone, Default)]
pub struct RegisterBroker {
    /// The request, of any version.
    pub request: BrokerRegistrationRequest,
}

impl RegisterBroker {
    /// What this program supports, as `request.features` wants it.
    pub fn supported_features() -> Vec<Feature> {
        let feature = |feature: &crate::image::SupportedFeature| Feature {
            name: feature.name.into(),
            min_supported_version: feature.min,
            max_supported_version: feature.max,
            ..Feature::default()
        };
        SUPPORTED_FEATURES.iter().map(feature).collect()
    }
}

impl Command for RegisterBroker {
    type Response = Result<i64, ApiError>;

    fn decide(self, cluster: &Cluster<'_>) -> Outcome<Self::Response> {
        match register(cluster, &self.request) {
            Ok((records, epoch)) => Outcome::new(records, Ok(epoch)),
            Err(error) => Outcome::unchanged(Err(error)),
        }
    }
}

fn register(
    cluster: &Cluster<'_>,
    request: &BrokerRegistrationRequest,
) -> Result<(Vec<Record>, i64), ApiError> {
    check_cluster(cluster, request)?;
    check_directories(cluster, request)?;
    let features = check_features(cluster, request)?;
    let existing = cluster.image.broker(NodeId(request.broker_id));
    let mut record = RegisterBrokerRecord {
        broker_id: request.broker_id,
        incarnation_id: request.incarnation_id,
        broker_epoch: cluster.context.next_offset.0,
        end_points: endpoints(request),
        features,
        rack: request.rack.clone(),
        fenced: true,
        ..RegisterBrokerRecord::default()
    };
    let metadata_version = cluster.image.metadata_version();
    if metadata_version.has_directories() {
        record.log_dirs.clone_from(&request.log_dirs);
    }
    let mut records = Vec::new();
    match existing {
        // The same process again: only what it says of itself has changed.
        Some(broker) if broker.incarnation_id == request.incarnation_id => {
            record.broker_epoch = broker.epoch;
            record.fenced = broker.fenced;
            record.in_controlled_shutdown = broker.in_controlled_shutdown;
        }
        Some(broker) => records = partition_changes(cluster, end_of(cluster, broker, request)),
        None => {}
    }
    let epoch = record.broker_epoch;
    records.push(cluster.record(MetadataRecord::RegisterBroker(record)));
    Ok((records, epoch))
}

/// How the process that was registered before has ended (`handleBrokerShutdown`).
fn end_of(cluster: &Cluster<'_>, broker: &BrokerImage, request: &BrokerRegistrationRequest) -> Event {
    let was_clean = broker.epoch == request.previous_broker_epoch;
    if cluster.image.eligible_leader_replicas_enabled() && !was_clean {
        Event::StoppedUncleanly(broker.id)
    } else {
        Event::Removed(broker.id)
    }
}

fn check_cluster(cluster: &Cluster<'_>, request: &BrokerRegistrationRequest) -> Result<(), ApiError> {
    let own = &cluster.options.cluster_id;
    if request.cluster_id != *own {
        let text = format!(
            "Expected cluster ID {own}, but got cluster ID {}",
            request.cluster_id
        );
        return Err(ApiError::new(ErrorCode::InconsistentClusterId, text));
    }
    if request.is_migrating_zk_broker {
        let text = "Controller does not support registering ZK brokers.";
        return Err(ApiError::new(ErrorCode::BrokerIdNotRegistered, text));
    }
    Ok(())
}

fn check_directories(cluster: &Cluster<'_>, request: &BrokerRegistrationRequest) -> Result<(), ApiError> {
    if !cluster.image.metadata_version().has_directories() {
        return Ok(());
    }
    let refuse = |text: &str| Err(ApiError::new(ErrorCode::InvalidRegistration, text));
    if request.log_dirs.is_empty() {
        return refuse("No directories specified in request");
    }
    if request
        .log_dirs
        .iter()
        .any(|directory| topic::is_reserved_directory(*directory))
    {
        return refuse("Reserved directory ID in request");
    }
    let mut seen = BTreeSet::new();
    if !request.log_dirs.iter().all(|directory| seen.insert(directory)) {
        return refuse("Duplicate directory ID in request");
    }
    for directory in &request.log_dirs {
        let taken = |broker: &&BrokerImage| {
            broker.id.0 != request.broker_id && broker.directories.contains(directory)
        };
        if let Some(broker) = cluster.image.brokers().find(taken) {
            return refuse(&format!(
                "Broker {} is already registered with directory {directory}",
                broker.id
            ));
        }
    }
    Ok(())
}

/// Every level that the cluster has settled on must be one that the broker can work with.
fn check_features(
    cluster: &Cluster<'_>,
    request: &BrokerRegistrationRequest,
) -> Result<Vec<BrokerFeature>, ApiError> {
    let feature = |name: &str| request.features.iter().find(|feature| feature.name == *name);
    if feature(METADATA_VERSION).is_none() {
        let text = "Request features do not contain 'metadata.version'";
        return Err(ApiError::new(ErrorCode::InvalidRegistration, text));
    }
    let metadata_version = (METADATA_VERSION, cluster.image.metadata_version().level());
    let finalized = cluster
        .image
        .features()
        .filter(|(name, _)| *name != METADATA_VERSION)
        .chain([metadata_version]);
    for (name, level) in finalized {
        let (min, max) = feature(name).map_or((0, 0), |known| {
            (known.min_supported_version, known.max_supported_version)
        });
        if !(min..=max).contains(&level) {
            let text = format!(
                "Unable to register because the broker does not support finalized version {level} of {name}. The broker \
                 wants a version between {min} and {max}, inclusive."
            );
            return Err(ApiError::new(ErrorCode::UnsupportedVersion, text));
        }
    }
    let record = |feature: &Feature| BrokerFeature {
        name: feature.name.clone(),
        min_supported_version: feature.min_supported_version,
        max_supported_version: feature.max_supported_version,
        ..BrokerFeature::default()
    };
    Ok(request.features.iter().map(record).collect())
}

fn endpoints(request: &BrokerRegistrationRequest) -> Vec<BrokerEndpoint> {
    let endpoint =
        |listener: &forebay_protocol::messages::broker_registration_request::Listener| BrokerEndpoint {
            name: listener.name.clone(),
            host: listener.host.clone(),
            port: listener.port,
            security_protocol: listener.security_protocol,
            ..BrokerEndpoint::default()
        };
    request.listeners.iter().map(endpoint).collect()
}
