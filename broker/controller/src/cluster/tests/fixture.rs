//! A controller with its log: every outcome is encoded, decoded and replayed, and then compared with what a second controller
//! makes of the whole log.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use forebay_config::{ConfigDef, ConfigKey, ConfigType, Properties, Unit, Validator};
use forebay_protocol::internal_record::MetadataRecord;
use forebay_protocol::messages::broker_registration_request::{BrokerRegistrationRequest, Listener};
use forebay_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use forebay_protocol::messages::create_topics_response::CreatableTopicResult;
use forebay_protocol::{NodeId, Uuid};
use forebay_records::{Offset, Timestamp};

use crate::*;

pub(super) const CLUSTER_ID: &str = "Zm9yZWJheS1wZWVyLWt1YQ";

pub(super) struct TestCluster {
    pub controller: Controller,
    pub log: Vec<(Offset, Bytes)>,
    pub next_offset: Offset,
    seed: u128,
}

impl TestCluster {
    /// An activated controller without brokers.
    pub(super) fn new() -> Self {
        Self::with_options(options())
    }

    pub(super) fn with_options(options: Options) -> Self {
        let mut cluster = Self::unactivated(options);
        cluster.run(Activate::default());
        cluster
    }

    pub(super) fn unactivated(options: Options) -> Self {
        Self {
            controller: Controller::new(options),
            log: Vec::new(),
            next_offset: Offset::ZERO,
            seed: 7,
        }
    }

    /// An activated controller and so many brokers that are up, ids from 0.
    pub(super) fn with_brokers(count: i32) -> Self {
        let mut cluster = Self::new();
        for id in 0..count {
            cluster.add_broker(id, None);
        }
        cluster
    }

    pub(super) fn add_broker(&mut self, id: i32, rack: Option<&str>) -> i64 {
        let epoch = self
            .run(RegisterBroker {
                request: registration(id, rack),
            })
            .expect("registered");
        self.run(UnfenceBroker {
            broker_id: NodeId(id),
            broker_epoch: epoch,
        })
        .expect("unfenced");
        epoch
    }

    pub(super) fn context(&mut self) -> Context {
        self.seed += 1;
        Context {
            now: Timestamp(0),
            next_offset: self.next_offset,
            seed: self.seed,
        }
    }

    /// Decides and replays.
    pub(super) fn run<C: Command>(&mut self, command: C) -> C::Response {
        self.run_with_records(command).1
    }

    pub(super) fn run_with_records<C: Command>(&mut self, command: C) -> (Vec<MetadataRecord>, C::Response) {
        let context = self.context();
        let Outcome { records, response } = self.controller.handle(command, context);
        for record in &records {
            let bytes = record.to_bytes().expect("encodes");
            let decoded = Record::from_bytes(bytes.clone()).expect("decodes");
            assert_eq!(&decoded, record, "a record says the same once it is read back");
            self.controller
                .replay(self.next_offset, &decoded)
                .expect("our own record fits");
            self.log.push((self.next_offset, bytes));
            self.next_offset = self.next_offset.next();
        }
        (
            records.into_iter().map(|record| record.message).collect(),
            response,
        )
    }

    pub(super) fn image(&mut self) -> Arc<MetadataImage> {
        self.controller.image()
    }

    /// What another controller knows after it has read the log.
    pub(super) fn reloaded(&self) -> Controller {
        let mut controller = Controller::new(self.controller.options().clone());
        for (offset, bytes) in &self.log {
            let record = Record::from_bytes(bytes.clone()).expect("decodes");
            controller.replay(*offset, &record).expect("fits");
        }
        controller
    }

    /// Creates one topic and gives its result.
    pub(super) fn create(&mut self, topic: CreatableTopic) -> CreatableTopicResult {
        let request = CreateTopicsRequest {
            topics: vec![topic],
            ..CreateTopicsRequest::default()
        };
        let response = self.run(CreateTopics {
            request,
            ..CreateTopics::default()
        });
        response.topics.into_iter().next().expect("one result")
    }

    /// Creates a topic that must succeed.
    pub(super) fn topic(&mut self, name: &str, partitions: i32) -> Uuid {
        let result = self.create(topic(name, partitions, -1));
        assert_eq!(result.error_code, 0, "{:?}", result.error_message);
        result.topic_id
    }
}

pub(super) fn options() -> Options {
    Options {
        node_id: NodeId(0),
        cluster_id: CLUSTER_ID.to_owned(),
        num_partitions: 1,
        default_replication_factor: 1,
        delete_topic_enable: true,
        schema: Arc::new(schema(&[])),
        internal_topics: InternalTopics::with_replication_factor(1),
    }
}

/// A part of Kafka's keys, and a broker that was started with `properties`.
pub(super) fn schema(properties: &[(&str, &str)]) -> ConfigSchema {
    let topic = ConfigDef::new()
        .define(
            ConfigKey::new("cleanup.policy", ConfigType::List)
                .default("delete")
                .validator(Validator::one_of(["compact", "delete"]))
                .synonym("log.cleanup.policy", Unit::Same),
        )
        .define(ConfigKey::new("compression.type", ConfigType::String).default("producer"))
        .define(
            ConfigKey::new("min.insync.replicas", ConfigType::Int)
                .default(1)
                .validator(Validator::at_least(1))
                .synonym("min.insync.replicas", Unit::Same),
        )
        .define(
            ConfigKey::new("retention.ms", ConfigType::Long)
                .default(604_800_000_i64)
                .synonym("log.retention.ms", Unit::Same)
                .synonym("log.retention.minutes", Unit::Minutes)
                .synonym("log.retention.hours", Unit::Hours),
        )
        .define(ConfigKey::new("segment.bytes", ConfigType::Int).default(1_073_741_824))
        .define(ConfigKey::new("segment.ms", ConfigType::Long).default(604_800_000_i64))
        .define(
            ConfigKey::new("unclean.leader.election.enable", ConfigType::Boolean)
                .default(false)
                .synonym("unclean.leader.election.enable", Unit::Same),
        );
    let broker = ConfigDef::new()
        .define(ConfigKey::new("group.consumer.session.timeout.ms", ConfigType::Int).default(45_000))
        .define(ConfigKey::new("log.cleanup.policy", ConfigType::List).default("delete"))
        .define(ConfigKey::new("log.retention.hours", ConfigType::Int).default(168))
        .define(ConfigKey::new("log.retention.ms", ConfigType::Long).optional())
        .define(ConfigKey::new("log.retention.minutes", ConfigType::Int).optional())
        .define(ConfigKey::new("min.insync.replicas", ConfigType::Int).default(1))
        .define(ConfigKey::new("ssl.keystore.password", ConfigType::Password).optional())
        .define(ConfigKey::new("node.id", ConfigType::Int).default(0));
    let set = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<BTreeSet<_>>()
    };
    ConfigSchema {
        topic,
        topic_check: Box::new(|config| {
            // A stand-in for the log's checks across keys.
            let (retention, segment) = (config.get_long("retention.ms"), config.get_long("segment.ms"));
            if retention == 13 && segment == 13 {
                Err("both are unlucky".to_owned())
            } else {
                Ok(())
            }
        }),
        group: ConfigDef::new().define(
            ConfigKey::new("consumer.session.timeout.ms", ConfigType::Int)
                .default(45_000)
                .validator(Validator::at_least(1))
                .synonym("group.consumer.session.timeout.ms", Unit::Same),
        ),
        group_check: Box::new(|group, broker| {
            // A stand-in for the bounds that a broker sets.
            if group.get_int("consumer.session.timeout.ms")
                < broker.get_int("group.consumer.session.timeout.ms")
            {
                Err("shorter than the broker's".to_owned())
            } else {
                Ok(())
            }
        }),
        broker,
        broker_check: Box::new(|_, _| Ok(())),
        broker_properties: properties
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect(),
        cluster_wide_updates: set(&["log.cleanup.policy", "log.retention.ms", "min.insync.replicas"]),
        per_broker_updates: set(&["ssl.keystore.password"]),
    }
}

pub(super) fn registration(id: i32, rack: Option<&str>) -> BrokerRegistrationRequest {
    BrokerRegistrationRequest {
        broker_id: id,
        cluster_id: CLUSTER_ID.into(),
        incarnation_id: uuid(1000 + id.unsigned_abs()),
        listeners: vec![Listener {
            name: "PLAINTEXT".into(),
            host: "127.0.0.1".into(),
            port: 9092,
            ..Listener::default()
        }],
        features: RegisterBroker::supported_features(),
        rack: rack.map(Into::into),
        log_dirs: vec![uuid(2000 + id.unsigned_abs())],
        ..BrokerRegistrationRequest::default()
    }
}

pub(super) fn uuid(number: u32) -> Uuid {
    Uuid::from_bytes(u128::from(number).to_be_bytes())
}

pub(super) fn topic(name: &str, partitions: i32, factor: i16) -> CreatableTopic {
    CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: factor,
        ..CreatableTopic::default()
    }
}

pub(super) fn topic_with(name: &str, configs: &[(&str, Option<&str>)]) -> CreatableTopic {
    let configs = configs.iter().map(|(name, value)| CreatableTopicConfig {
        name: (*name).into(),
        value: value.map(Into::into),
        ..CreatableTopicConfig::default()
    });
    CreatableTopic {
        configs: configs.collect(),
        ..topic(name, 1, 1)
    }
}

pub(super) fn assigned(name: &str, assignments: &[(i32, &[i32])]) -> CreatableTopic {
    let assignments = assignments
        .iter()
        .map(|(index, brokers)| CreatableReplicaAssignment {
            partition_index: *index,
            broker_ids: brokers.to_vec(),
            ..CreatableReplicaAssignment::default()
        });
    CreatableTopic {
        assignments: assignments.collect(),
        ..topic(name, -1, -1)
    }
}

pub(super) fn properties(pairs: &[(&str, &str)]) -> Properties {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}
