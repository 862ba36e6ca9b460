//! A broker's way from registration to its end: unfenced once it has caught up, in controlled shutdown while it hands over its
//! leaderships, fenced, unregistered (`BrokerHeartbeatManager`'s transitions, `ReplicationControlManager.handleBroker…`). Who asks
//! for a transition is the driver's business: with one node its own start and stop, with several the heartbeats (KIP-631).

use forebay_protocol::internal_record::MetadataRecord;
use forebay_protocol::messages::{BrokerRegistrationChangeRecord, UnregisterBrokerRecord};
use forebay_protocol::{ErrorCode, NodeId};

use super::broker_restart::{Event, partition_changes};
use crate::controller::{Cluster, Command, Outcome};
use crate::image::BrokerImage;
use crate::{ApiError, Record};

/// Lets clients and partitions go to a broker: it leads what it was leading, and what has no leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnfenceBroker {
    /// The broker.
    pub broker_id: NodeId,
    /// The epoch that its registration was answered with.
    pub broker_epoch: i64,
}

/// Keeps clients and partitions away from a broker: it is gone, or about to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FenceBroker {
    /// The broker.
    pub broker_id: NodeId,
    /// The epoch that its registration was answered with.
    pub broker_epoch: i64,
}

/// Moves a broker's leaderships away before it stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BeginControlledShutdown {
    /// The broker.
    pub broker_id: NodeId,
    /// The epoch that its registration was answered with.
    pub broker_epoch: i64,
}

/// Forgets a broker for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnregisterBroker {
    /// The broker.
    pub broker_id: NodeId,
}

impl Command for UnfenceBroker {
    type Response = Result<(), ApiError>;

    fn decide(self, cluster: &Cluster<'_>) -> Outcome<Self::Response> {
        let id = self.broker_id;
        if cluster
            .image
            .broker(id)
            .is_some_and(|broker| broker.in_controlled_shutdown)
        {
            let text = format!(
                "Broker {id} is in controlled shutdown: it is unfenced only after it has registered again"
            );
            return Outcome::unchanged(Err(ApiError::invalid_request(text)));
        }
        transition(cluster, id, self.broker_epoch, |broker| {
            let mut records = Vec::new();
            if broker.fenced {
                records.push(change(cluster, broker, |record| record.fenced = -1));
                records.extend(partition_changes(cluster, Event::Added(broker.id)));
            }
            records
        })
    }
}

impl Command for FenceBroker {
    type Response = Result<(), ApiError>;

    fn decide(self, cluster: &Cluster<'_>) -> Outcome<Self::Response> {
        transition(cluster, self.broker_id, self.broker_epoch, |broker| {
            let mut records = Vec::new();
            if !broker.fenced {
                records.extend(partition_changes(cluster, Event::Removed(broker.id)));
                records.push(change(cluster, broker, |record| record.fenced = 1));
            }
            records
        })
    }
}

impl Command for BeginControlledShutdown {
    type Response = Result<(), ApiError>;

    fn decide(self, cluster: &Cluster<'_>) -> Outcome<Self::Response> {
        transition(cluster, self.broker_id, self.broker_epoch, |broker| {
            let mut records = Vec::new();
            if !broker.in_controlled_shutdown {
                records.push(change(cluster, broker, |record| {
                    record.in_controlled_shutdown = 1;
                }));
            }
            records.extend(partition_changes(cluster, Event::Removed(broker.id)));
            records
        })
    }
}

impl Command for UnregisterBroker {
    type Response = Result<(), ApiError>;

    fn decide(self, cluster: &Cluster<'_>) -> Outcome<Self::Response> {
        let Some(broker) = cluster.image.broker(self.broker_id) else {
            let text = format!("Broker ID {} is not currently registered", self.broker_id);
            return Outcome::unchanged(Err(ApiError::new(ErrorCode::BrokerIdNotRegistered, text)));
        };
        let mut records = partition_changes(cluster, Event::Removed(broker.id));
        records.push(
            cluster.record(MetadataRecord::UnregisterBroker(UnregisterBrokerRecord {
                broker_id: broker.id.0,
                broker_epoch: broker.epoch,
                ..UnregisterBrokerRecord::default()
            })),
        );
        Outcome::new(records, Ok(()))
    }
}

fn transition(
    cluster: &Cluster<'_>,
    id: NodeId,
    epoch: i64,
    records: impl FnOnce(&BrokerImage) -> Vec<Record>,
) -> Outcome<Result<(), ApiError>> {
    match registered(cluster, id, epoch) {
        Ok(broker) => Outcome::new(records(broker), Ok(())),
        Err(error) => Outcome::unchanged(Err(error)),
    }
}

/// The broker, if it is registered under this epoch (`ClusterControlManager.checkBrokerEpoch`).
pub(super) fn registered<'a>(
    cluster: &Cluster<'a>,
    id: NodeId,
    epoch: i64,
) -> Result<&'a BrokerImage, ApiError> {
    let stale = |text: String| ApiError::new(ErrorCode::StaleBrokerEpoch, text);
    let broker = cluster
        .image
        .broker(id)
        .ok_or_else(|| stale(format!("No broker registration found for broker id {id}")))?;
    if broker.epoch != epoch {
        return Err(stale(format!(
            "Expected broker epoch {}, but got broker epoch {epoch}",
            broker.epoch
        )));
    }
    Ok(broker)
}

fn change(
    cluster: &Cluster<'_>,
    broker: &BrokerImage,
    set: impl FnOnce(&mut BrokerRegistrationChangeRecord),
) -> Record {
    let mut record = BrokerRegistrationChangeRecord {
        broker_id: broker.id.0,
        broker_epoch: broker.epoch,
        ..BrokerRegistrationChangeRecord::default()
    };
    set(&mut record);
    cluster.record(MetadataRecord::BrokerRegistrationChange(record))
}
