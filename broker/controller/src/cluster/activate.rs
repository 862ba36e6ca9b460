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
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Activate {
    /// What an empty log begins with: what `bootstrap.checkpoint` says, which `kafka-storage format` writes. Empty: the features
    /// that are new clusters' own.
    pub bootstrap: Vec<Record>,
}

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
            records.extend(bootstrap(cluster, self.bootstrap));
        }
        Outcome::new(records, ())
    }
}

fn bootstrap(cluster: &Cluster<'_>, given: Vec<Record>) -> Vec<Record> {
    let begin = MetadataRecord::BeginTransaction(BeginTransactionRecord {
        name: Some("Bootstrap records".into()),
        ..BeginTransactionRecord::default()
    });
    let version = level(&given, METADATA_VERSION).map_or(MetadataVersion::LATEST, MetadataVersion::of);
    let mut records = Vec::new();
    if version.has_transactions() {
        records.push(cluster.record(begin));
    }
    if given.is_empty() {
        records.extend(BOOTSTRAP_FEATURES.iter().map(|(name, level)| {
            cluster.record(MetadataRecord::FeatureLevel(FeatureLevelRecord {
                name: (*name).into(),
                feature_level: *level,
                ..FeatureLevelRecord::default()
            }))
        }));
    } else {
        records.extend(given);
    }
    if level(&records, ELIGIBLE_LEADER_REPLICAS_VERSION).is_some_and(|level| level > 0) {
        // With them the minimum must be one for the whole cluster, not each broker's own.
        let schema = &cluster.options.schema;
        let own = schema.broker_properties.get(MIN_INSYNC_REPLICAS).cloned();
        let minimum = own.unwrap_or_else(|| "1".to_owned());
        let resource = ConfigResource::default_broker();
        let record = alter_configs::record(&resource, MIN_INSYNC_REPLICAS, Some(&minimum));
        records.push(cluster.record(MetadataRecord::Config(record)));
    }
    if version.has_transactions() {
        records.push(cluster.record(MetadataRecord::EndTransaction(EndTransactionRecord::default())));
    }
    records
}

/// The level that these records give a feature.
fn level(records: &[Record], feature: &str) -> Option<i16> {
    records.iter().find_map(|record| match &record.message {
        MetadataRecord::FeatureLevel(one) if one.name == *feature => Some(one.feature_level),
        _ => None,
    })
}
