//! The records that say all that an image holds, for a snapshot (Kafka's `MetadataImage.write` and its parts): features first, so
//! that whoever reads on knows the `metadata.version`, and each thing after what it needs.

use forebay_protocol::internal_record::MetadataRecord;
use forebay_protocol::messages::client_quota_record::EntityData;
use forebay_protocol::messages::register_broker_record::{BrokerEndpoint, BrokerFeature};
use forebay_protocol::messages::{
    ClientQuotaRecord, ConfigRecord, FeatureLevelRecord, ProducerIdsRecord, RegisterBrokerRecord,
    TopicRecord, UserScramCredentialRecord,
};
use forebay_protocol::{Utf8Bytes, Uuid};

use super::kept::KeptKey;
use super::{
    BrokerImage, ClientQuotaEntity, METADATA_VERSION, MetadataImage, ScramCredential, ScramMechanism,
    TopicImage,
};
use crate::Record;

impl MetadataImage {
    /// Everything that this image holds as records, in an order in which an empty image takes them in
    /// ([`crate::Controller::restore`]) and is then the same, but for [`MetadataImage::next_offset`].
    pub fn records(&self) -> impl Iterator<Item = Record> + '_ {
        let first = self
            .feature_records()
            .chain(self.kept_records(|key| matches!(key, KeptKey::ZkMigrationState)))
            .chain(self.brokers().map(register_broker))
            .chain(self.kept_records(|key| matches!(key, KeptKey::Controller(_))))
            .chain(self.topics.values().flat_map(|topic| topic_records(topic)));
        let rest = self
            .config_records()
            .chain(self.quota_records())
            .chain(self.producer_ids_record())
            .chain(self.scram_credentials().map(scram_credential))
            .chain(
                self.kept_records(|key| !matches!(key, KeptKey::ZkMigrationState | KeptKey::Controller(_))),
            );
        let metadata_version = self.metadata_version();
        first
            .chain(rest)
            .map(move |message| Record::new(message, metadata_version))
    }

    /// `metadata.version` before all others.
    fn feature_records(&self) -> impl Iterator<Item = MetadataRecord> + '_ {
        let level = |name: &Utf8Bytes, level: i16| {
            MetadataRecord::FeatureLevel(FeatureLevelRecord {
                name: name.clone(),
                feature_level: level,
                ..FeatureLevelRecord::default()
            })
        };
        let is_version = |name: &Utf8Bytes| *name == *METADATA_VERSION;
        let version = self.features.iter().filter(move |(name, _)| is_version(name));
        let others = self.features.iter().filter(move |(name, _)| !is_version(name));
        version
            .chain(others)
            .map(move |(name, value)| level(name, *value))
    }

    fn kept_records(&self, wanted: fn(&KeptKey) -> bool) -> impl Iterator<Item = MetadataRecord> + '_ {
        let kept = self.kept.iter().filter(move |(key, _)| wanted(key));
        kept.map(|(_, record)| MetadataRecord::clone(record))
    }

    fn config_records(&self) -> impl Iterator<Item = MetadataRecord> + '_ {
        self.configs.iter().flat_map(|(resource, properties)| {
            properties.iter().map(|(name, value)| {
                MetadataRecord::Config(ConfigRecord {
                    resource_type: resource.resource_type.number(),
                    resource_name: resource.name.clone(),
                    name: name.as_str().into(),
                    value: Some(value.as_str().into()),
                    ..ConfigRecord::default()
                })
            })
        })
    }

    fn quota_records(&self) -> impl Iterator<Item = MetadataRecord> + '_ {
        self.client_quotas.iter().flat_map(|(entity, quotas)| {
            quotas.iter().map(|(key, value)| {
                MetadataRecord::ClientQuota(ClientQuotaRecord {
                    entity: entity_data(entity),
                    key: key.clone(),
                    value: *value,
                    remove: false,
                    ..ClientQuotaRecord::default()
                })
            })
        })
    }

    fn producer_ids_record(&self) -> Option<MetadataRecord> {
        let next_producer_id = self.next_producer_id.0;
        // Of the broker that asked last nobody asks any more.
        let record = ProducerIdsRecord {
            broker_id: -1,
            broker_epoch: -1,
            next_producer_id,
            ..ProducerIdsRecord::default()
        };
        (next_producer_id > 0).then_some(MetadataRecord::ProducerIds(record))
    }
}

fn register_broker(broker: &BrokerImage) -> MetadataRecord {
    let end_points = broker.endpoints.iter().map(|endpoint| BrokerEndpoint {
        name: endpoint.listener.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
        security_protocol: endpoint.security_protocol,
        ..BrokerEndpoint::default()
    });
    let features = broker.features.iter().map(|(name, min, max)| BrokerFeature {
        name: name.clone(),
        min_supported_version: *min,
        max_supported_version: *max,
        ..BrokerFeature::default()
    });
    let cordoned = &broker.cordoned_directories;
    MetadataRecord::RegisterBroker(RegisterBrokerRecord {
        broker_id: broker.id.0,
        incarnation_id: broker.incarnation_id,
        broker_epoch: broker.epoch,
        end_points: end_points.collect(),
        features: features.collect(),
        rack: broker.rack.clone(),
        fenced: broker.fenced,
        in_controlled_shutdown: broker.in_controlled_shutdown,
        log_dirs: broker.directories.clone(),
        cordoned_log_dirs: (!cordoned.is_empty()).then(|| cordoned.clone()),
        ..RegisterBrokerRecord::default()
    })
}

fn topic_records(topic: &TopicImage) -> impl Iterator<Item = MetadataRecord> + '_ {
    let id: Uuid = topic.id;
    let record = MetadataRecord::Topic(TopicRecord {
        name: topic.name.clone(),
        topic_id: id,
        ..TopicRecord::default()
    });
    let partitions = topic.partitions.iter();
    std::iter::once(record).chain(
        partitions.map(move |(index, partition)| MetadataRecord::Partition(partition.to_record(id, *index))),
    )
}

fn entity_data(entity: &ClientQuotaEntity) -> Vec<EntityData> {
    let part = |(entity_type, name): (&Utf8Bytes, Option<&Utf8Bytes>)| EntityData {
        entity_type: entity_type.clone(),
        entity_name: name.cloned(),
        ..EntityData::default()
    };
    entity.parts().map(part).collect()
}

fn scram_credential(
    (user, mechanism, credential): (&Utf8Bytes, ScramMechanism, &ScramCredential),
) -> MetadataRecord {
    MetadataRecord::UserScramCredential(UserScramCredentialRecord {
        name: user.clone(),
        mechanism: mechanism as i8,
        salt: credential.salt.clone(),
        stored_key: credential.stored_key.clone(),
        server_key: credential.server_key.clone(),
        iterations: credential.iterations,
        ..UserScramCredentialRecord::default()
    })
}
