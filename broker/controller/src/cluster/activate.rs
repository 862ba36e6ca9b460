//! What a controller writes first (`ActivationRecordsGenerator`): into an empty log the bootstrap records, in one transaction
//! (KIP-868); into another nothing, unless the last leader left a transaction open.

use forebay_protocol::internal_record::MetadataRecord;
use forebay_protocol::messages::{
    AbortTransactionRecord, BeginTransactionRecord, EndTransactionRecord, FeatureLevelRecord,
};

use super::alter_configs::{self, MIN_INSYNC_REPLICAS};
use crate::Record;
use crate::controller::{Cluster, Command, Outcome};
use crate::image::{
    ConfigResource, ELIGIBLE_LEADER_REPLICAS_VERSION, GROUP_VERSION, METADATA_VERSION, MetadataVersion,
    TRANSACTION_VERSION,
};

/// The features that a new cluster begins with. Kafka 4.3.1 also finalizes `share.version` and `streams.version`; clients take each
/// as a promise, so each comes with what it promises.
const BOOTSTRAP_FEATURES: [(&str, i16); 4] = [
    (METADATA_VERSION, MetadataVersion::LATEST.level()),
    (TRANSACTION_VERSION, 2),
    (ELIGIBLE_LEADER_REPLICAS_VERSION, 1),
    (GROUP_VERSION, 1),
];

/// Makes the log one that a controller can go on with; the first command after the load.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Activate;

impl Command for Activate {
    type Response = ();

    fn decide(self, cluster: &Cluster<'_>) -> Outcome<()> {
        let mut records = Vec::new();
        if cluster.in_transaction {
            let reason = Some("Controller failover".into());
            let abort = AbortTransactionRecord {
                reason,
                ..AbortTransactionRecord::default()
            };
            records.push(cluster.record(MetadataRecord::AbortTransaction(abort)));
        }
        // Nothing is known, or nothing will be once the abort has taken back what there was: every log begins with features.
        if cluster.stable_is_empty {
            records.extend(bootstrap(cluster));
        }
        Outcome::new(records, ())
    }
}

fn bootstrap(cluster: &Cluster<'_>) -> Vec<Record> {
    let mut messages = vec![MetadataRecord::BeginTransaction(BeginTransactionRecord {
        name: Some("Bootstrap records".into()),
        ..BeginTransactionRecord::default()
    })];
    messages.extend(BOOTSTRAP_FEATURES.iter().map(|(name, level)| {
        MetadataRecord::FeatureLevel(FeatureLevelRecord {
            name: (*name).into(),
            feature_level: *level,
            ..FeatureLevelRecord::default()
        })
    }));
    // With eligible leader replicas the minimum must be one for the whole cluster, not each broker's own.
    let schema = &cluster.options.schema;
    let own = schema.broker_properties.get(MIN_INSYNC_REPLICAS).cloned();
    let minimum = own.unwrap_or_else(|| "1".to_owned());
    let record = alter_configs::record(
        &ConfigResource::default_broker(),
        MIN_INSYNC_REPLICAS,
        Some(&minimum),
    );
    messages.push(MetadataRecord::Config(record));
    messages.push(MetadataRecord::EndTransaction(EndTransactionRecord::default()));
    messages
        .into_iter()
        .map(|message| cluster.record(message))
        .collect()
}
