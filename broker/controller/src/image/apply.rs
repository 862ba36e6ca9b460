//! What each record of the metadata log does to the image: the only place that changes one. What Kafka's controller
//! takes as a sign of a broken log is an error here, and the image is then good for nothing.

use std::sync::Arc;

use bytes::Bytes;
use forebay_config::Properties;
use forebay_protocol::internal_record::MetadataRecord;
use forebay_protocol::messages::{
    BrokerRegistrationChangeRecord, ClientQuotaRecord, ConfigRecord, FeatureLevelRecord,
    PartitionChangeRecord, PartitionRecord, ProducerIdsRecord, RegisterBrokerRecord, TopicRecord,
    UserScramCredentialRecord,
};
use forebay_protocol::{NodeId, Uuid};
use forebay_records::ProducerId;

use super::kept::KeptKey;
use super::{
    BrokerImage, ClientQuotaEntity, ConfigResource, Endpoint, MetadataImage, PartitionImage, ResourceType,
    SUPPORTED_FEATURES, ScramCredential, ScramMechanism, TopicImage, topic,
};
use crate::topic_name;

/// A record that does not fit what came before it: the log is damaged, or of a newer Kafka.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two topics of one name.
    #[error("topic {name} is made a second time, with id {id}")]
    DuplicateTopic {
        /// The name.
        name: String,
        /// The id of the second one.
        id: Uuid,
    },
    /// No topic has this id.
    #[error("there is no topic with id {id}")]
    UnknownTopicId {
        /// The id.
        id: Uuid,
    },
    /// No topic has this name.
    #[error("there is no topic {name}")]
    UnknownTopic {
        /// The name.
        name: String,
    },
    /// A change of a partition that there is not.
    #[error("topic {topic} has no partition {partition}")]
    UnknownPartition {
        /// The topic.
        topic: String,
        /// The number of the partition.
        partition: i32,
    },
    /// A partition that cannot be.
    #[error("partition {topic}-{partition}: {reason}")]
    Partition {
        /// The topic.
        topic: String,
        /// The number of the partition.
        partition: i32,
        /// What is wrong.
        reason: topic::Misfit,
    },
    /// A change of a broker that is not registered, or no longer under this epoch.
    #[error("broker {id} is not registered under epoch {epoch}")]
    UnknownBroker {
        /// The broker.
        id: i32,
        /// The epoch that the record has.
        epoch: i64,
    },
    /// A change that says neither yes nor no.
    #[error("broker {id}: {field} is {value}, which is not defined")]
    BrokerChange {
        /// The broker.
        id: i32,
        /// The field.
        field: &'static str,
        /// Its value.
        value: i8,
    },
    /// Producer ids would be given out twice.
    #[error("producer ids go back from {current} to {next}")]
    ProducerIds {
        /// What had been reached.
        current: i64,
        /// What the record says.
        next: i64,
    },
    /// A level that this version cannot work with.
    #[error("feature {name} is at level {level}, and this version supports {min} to {max}")]
    FeatureLevel {
        /// The feature.
        name: String,
        /// The level of the log.
        level: i16,
        /// The lowest that is supported.
        min: i16,
        /// The highest that is supported.
        max: i16,
    },
    /// A record of a type that has come since, and that may not be passed over.
    #[error("records of type {number} are not understood")]
    UnknownType {
        /// Kafka's number of the type.
        number: i16,
    },
    /// A cluster that has not finished its way from ZooKeeper.
    #[error("the migration from ZooKeeper has not ended (state {state}): end it with Apache Kafka 3.9 first")]
    Migration {
        /// Kafka's number of the state.
        state: i8,
    },
}

impl MetadataImage {
    /// Takes in one record.
    ///
    /// # Errors
    /// If it does not fit what came before. The image must not be used any more then.
    pub(crate) fn apply(&mut self, record: &MetadataRecord) -> Result<(), Error> {
        match record {
            MetadataRecord::Topic(record) => self.add_topic(record),
            MetadataRecord::Partition(record) => self.add_partition(record),
            MetadataRecord::PartitionChange(record) => self.change_partition(record),
            MetadataRecord::RemoveTopic(record) => self.remove_topic(record.topic_id),
            MetadataRecord::ClearElr(record) => self.clear_elr(&record.topic_name),
            MetadataRecord::Config(config) => {
                match ResourceType::of(config.resource_type) {
                    Some(resource_type) => self.set_config(resource_type, config),
                    None => self.set_unknown_config(config, record),
                }
                Ok(())
            }
            MetadataRecord::RegisterBroker(record) => {
                self.register_broker(record);
                Ok(())
            }
            MetadataRecord::UnregisterBroker(record) => {
                self.broker_of_epoch(record.broker_id, record.broker_epoch)?;
                self.brokers.remove_mut(&NodeId(record.broker_id));
                Ok(())
            }
            MetadataRecord::FenceBroker(record) => self.fence(record.id, record.epoch, true),
            MetadataRecord::UnfenceBroker(record) => self.fence(record.id, record.epoch, false),
            MetadataRecord::BrokerRegistrationChange(record) => self.change_broker(record),
            MetadataRecord::FeatureLevel(record) => self.set_feature(record),
            MetadataRecord::ProducerIds(record) => self.set_producer_ids(record),
            MetadataRecord::ZkMigrationState(state) => match state.zk_migration_state {
                // None, and post-migration: in both ZooKeeper has no say any more.
                0 | 3 => {
                    self.keep(KeptKey::ZkMigrationState, record);
                    Ok(())
                }
                state => Err(Error::Migration { state }),
            },
            MetadataRecord::ClientQuota(record) => {
                self.set_client_quota(record);
                Ok(())
            }
            MetadataRecord::UserScramCredential(credential) => {
                match ScramMechanism::of(credential.mechanism) {
                    Some(mechanism) => self.set_scram_credential(mechanism, credential),
                    None => self.set_unknown_credential(credential, record),
                }
                Ok(())
            }
            MetadataRecord::RemoveUserScramCredential(record) => {
                let name = record.name.detach();
                match ScramMechanism::of(record.mechanism) {
                    Some(mechanism) => {
                        self.scram_credentials.remove_mut(&(name, mechanism));
                    }
                    None => self.forget(&KeptKey::ScramCredential(name, record.mechanism)),
                }
                Ok(())
            }
            MetadataRecord::AccessControlEntry(_)
            | MetadataRecord::RemoveAccessControlEntry(_)
            | MetadataRecord::DelegationToken(_)
            | MetadataRecord::RemoveDelegationToken(_)
            | MetadataRecord::RegisterController(_) => {
                self.set_kept(record);
                Ok(())
            }
            // A transaction is the log's business, a no-op nobody's.
            MetadataRecord::BeginTransaction(_)
            | MetadataRecord::EndTransaction(_)
            | MetadataRecord::AbortTransaction(_)
            | MetadataRecord::NoOp(_) => Ok(()),
            other => Err(Error::UnknownType {
                number: other.record_type(),
            }),
        }
    }

    fn add_topic(&mut self, record: &TopicRecord) -> Result<(), Error> {
        if self.topics.contains_key(record.name.as_bytes()) || self.topic_names.contains_key(&record.topic_id)
        {
            return Err(Error::DuplicateTopic {
                name: String::from(&*record.name),
                id: record.topic_id,
            });
        }
        let name = record.name.detach();
        if topic_name::has_collision_chars(&name) {
            let unified = topic_name::unify(&name);
            let mut names = self.colliding_names.get(&unified).cloned().unwrap_or_default();
            names.insert_mut(name.clone());
            self.colliding_names.insert_mut(unified, names);
        }
        self.topic_names.insert_mut(record.topic_id, name.clone());
        let topic = TopicImage {
            name: name.clone(),
            id: record.topic_id,
            partitions: Default::default(),
        };
        self.topics.insert_mut(name.into_bytes(), Arc::new(topic));
        Ok(())
    }

    fn topic_mut(&mut self, id: Uuid) -> Result<&mut TopicImage, Error> {
        let name = self.topic_names.get(&id).ok_or(Error::UnknownTopicId { id })?;
        let topic = self
            .topics
            .get_mut(name.as_bytes())
            .expect("every id has its topic");
        Ok(Arc::make_mut(topic))
    }

    fn add_partition(&mut self, record: &PartitionRecord) -> Result<(), Error> {
        let topic = self.topic_mut(record.topic_id)?;
        let partition = PartitionImage::from_record(record).map_err(|reason| Error::Partition {
            topic: String::from(&*topic.name),
            partition: record.partition_id,
            reason,
        })?;
        topic.partitions.insert_mut(record.partition_id, partition);
        Ok(())
    }

    fn change_partition(&mut self, record: &PartitionChangeRecord) -> Result<(), Error> {
        let topic = self.topic_mut(record.topic_id)?;
        let name = topic.name.clone();
        let index = record.partition_id;
        let partition = topic
            .partitions
            .get_mut(&index)
            .ok_or_else(|| Error::UnknownPartition {
                topic: String::from(&*name),
                partition: index,
            })?;
        *partition = partition.merge(record).map_err(|reason| Error::Partition {
            topic: String::from(&*name),
            partition: index,
            reason,
        })?;
        Ok(())
    }

    fn remove_topic(&mut self, id: Uuid) -> Result<(), Error> {
        let name = self
            .topic_names
            .get(&id)
            .cloned()
            .ok_or(Error::UnknownTopicId { id })?;
        self.topic_names.remove_mut(&id);
        self.topics.remove_mut(name.as_bytes());
        self.configs.remove_mut(&ConfigResource::topic(name.clone()));
        if topic_name::has_collision_chars(&name) {
            let unified = topic_name::unify(&name);
            let mut names = self.colliding_names.get(&unified).cloned().unwrap_or_default();
            names.remove_mut(name.as_str());
            if names.is_empty() {
                self.colliding_names.remove_mut(&unified);
            } else {
                self.colliding_names.insert_mut(unified, names);
            }
        }
        Ok(())
    }

    /// Of one topic, or with an empty name of all.
    fn clear_elr(&mut self, topic: &str) -> Result<(), Error> {
        let ids: Vec<Uuid> = if topic.is_empty() {
            self.topics.values().map(|topic| topic.id).collect()
        } else {
            let topic = self.topic(topic).ok_or_else(|| Error::UnknownTopic {
                name: topic.to_owned(),
            })?;
            vec![topic.id]
        };
        for topic_id in ids {
            let topic = self.topic_mut(topic_id)?;
            let with_elr = |partition: &PartitionImage| {
                !partition.elr.is_empty() || !partition.last_known_elr.is_empty()
            };
            let changed: Vec<i32> = topic
                .partitions
                .iter()
                .filter(|(_, partition)| with_elr(partition))
                .map(|(index, _)| *index)
                .collect();
            for partition_id in changed {
                self.change_partition(&PartitionChangeRecord {
                    partition_id,
                    topic_id,
                    eligible_leader_replicas: Some(Vec::new()),
                    last_known_elr: Some(Vec::new()),
                    ..PartitionChangeRecord::default()
                })?;
            }
        }
        Ok(())
    }

    fn set_config(&mut self, resource_type: ResourceType, record: &ConfigRecord) {
        let resource = ConfigResource {
            resource_type,
            name: record.resource_name.detach(),
        };
        let mut properties = self
            .configs
            .get(&resource)
            .map_or_else(Properties::new, |known| Properties::clone(known));
        match &record.value {
            Some(value) => {
                properties.insert(String::from(&*record.name), String::from(&**value));
            }
            None => {
                properties.remove(&*record.name);
            }
        }
        if properties.is_empty() {
            self.configs.remove_mut(&resource);
        } else {
            self.configs.insert_mut(resource, Arc::new(properties));
        }
    }

    fn register_broker(&mut self, record: &RegisterBrokerRecord) {
        let endpoints = record.end_points.iter().map(|endpoint| Endpoint {
            listener: endpoint.name.detach(),
            host: endpoint.host.detach(),
            port: endpoint.port,
            security_protocol: endpoint.security_protocol,
        });
        let features = record.features.iter().map(|feature| {
            (
                feature.name.detach(),
                feature.min_supported_version,
                feature.max_supported_version,
            )
        });
        let id = NodeId(record.broker_id);
        let broker = BrokerImage {
            id,
            epoch: record.broker_epoch,
            incarnation_id: record.incarnation_id,
            endpoints: endpoints.collect(),
            rack: record.rack.as_ref().map(|rack| rack.detach()),
            fenced: record.fenced,
            in_controlled_shutdown: record.in_controlled_shutdown,
            directories: record.log_dirs.clone(),
            cordoned_directories: record.cordoned_log_dirs.clone().unwrap_or_default(),
            features: features.collect(),
        };
        self.brokers.insert_mut(id, Arc::new(broker));
    }

    fn broker_of_epoch(&mut self, id: i32, epoch: i64) -> Result<&mut BrokerImage, Error> {
        let broker = self
            .brokers
            .get_mut(&NodeId(id))
            .filter(|broker| broker.epoch == epoch);
        broker
            .map(Arc::make_mut)
            .ok_or(Error::UnknownBroker { id, epoch })
    }

    fn fence(&mut self, id: i32, epoch: i64, fenced: bool) -> Result<(), Error> {
        self.broker_of_epoch(id, epoch)?.fenced = fenced;
        Ok(())
    }

    fn change_broker(&mut self, record: &BrokerRegistrationChangeRecord) -> Result<(), Error> {
        let id = record.broker_id;
        let broker = self.broker_of_epoch(id, record.broker_epoch)?;
        match record.fenced {
            0 => {}
            1 => broker.fenced = true,
            -1 => broker.fenced = false,
            value => {
                return Err(Error::BrokerChange {
                    id,
                    field: "fenced",
                    value,
                });
            }
        }
        match record.in_controlled_shutdown {
            0 => {}
            1 => broker.in_controlled_shutdown = true,
            value => {
                return Err(Error::BrokerChange {
                    id,
                    field: "inControlledShutdown",
                    value,
                });
            }
        }
        if !record.log_dirs.is_empty() {
            broker.directories.clone_from(&record.log_dirs);
        }
        if let Some(cordoned) = &record.cordoned_log_dirs {
            broker.cordoned_directories.clone_from(cordoned);
        }
        Ok(())
    }

    fn set_feature(&mut self, record: &FeatureLevelRecord) -> Result<(), Error> {
        let level = record.feature_level;
        let known = SUPPORTED_FEATURES
            .iter()
            .find(|feature| record.name == *feature.name);
        // A feature that is unknown may not be on; one that is switched off matters to nobody.
        let (min, max) = known.map_or((0, 0), |feature| (feature.min, feature.max));
        if level != 0 && !(min..=max).contains(&level) {
            return Err(Error::FeatureLevel {
                name: String::from(&*record.name),
                level,
                min,
                max,
            });
        }
        if level == 0 {
            self.features.remove_mut(record.name.as_str());
        } else {
            self.features.insert_mut(record.name.detach(), level);
        }
        Ok(())
    }

    fn set_producer_ids(&mut self, record: &ProducerIdsRecord) -> Result<(), Error> {
        let (current, next) = (self.next_producer_id.0, record.next_producer_id);
        if next < current || (next == current && current > 0) {
            return Err(Error::ProducerIds { current, next });
        }
        self.next_producer_id = ProducerId(next);
        Ok(())
    }
}

impl MetadataImage {
    fn set_client_quota(&mut self, record: &ClientQuotaRecord) {
        let entity = ClientQuotaEntity::new(record.entity.iter().map(|part| {
            let name = part.entity_name.as_ref().map(|name| name.detach());
            (part.entity_type.detach(), name)
        }));
        let all = Arc::make_mut(&mut self.client_quotas);
        if !record.remove {
            all.entry(entity)
                .or_default()
                .insert(record.key.detach(), record.value);
        } else if let Some(quotas) = all.get_mut(&entity) {
            quotas.remove(record.key.as_str());
            if quotas.is_empty() {
                all.remove(&entity);
            }
        }
    }

    fn set_scram_credential(&mut self, mechanism: ScramMechanism, record: &UserScramCredentialRecord) {
        let credential = ScramCredential {
            salt: Bytes::copy_from_slice(&record.salt),
            stored_key: Bytes::copy_from_slice(&record.stored_key),
            server_key: Bytes::copy_from_slice(&record.server_key),
            iterations: record.iterations,
        };
        self.scram_credentials
            .insert_mut((record.name.detach(), mechanism), Arc::new(credential));
    }
}
