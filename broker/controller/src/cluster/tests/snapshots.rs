//! What an image says as records is all of it: a controller that reads only them knows what the one knew that wrote them.

use bytes::Bytes;
use forebay_protocol::internal_record::MetadataRecord;
use forebay_protocol::messages::client_quota_record::EntityData;
use forebay_protocol::messages::{
    AccessControlEntryRecord, ClientQuotaRecord, ConfigRecord, DelegationTokenRecord, FeatureLevelRecord,
    RegisterControllerRecord, RemoveAccessControlEntryRecord, RemoveDelegationTokenRecord,
    UserScramCredentialRecord, ZkMigrationStateRecord,
};

use super::fixture::{TestCluster, options, uuid};
use crate::*;

/// What a controller knows that has read the records of `image`, encoded and decoded, and nothing else.
pub(super) fn restored(image: &MetadataImage) -> MetadataImage {
    let mut controller = Controller::new(options());
    for (number, record) in (0..).zip(image.records()) {
        let bytes = record.to_bytes().expect("encodes");
        let record = Record::from_bytes(bytes).expect("decodes");
        controller.restore(number, &record).expect("fits");
    }
    controller.skip_to(image.next_offset());
    MetadataImage::clone(&controller.image())
}

fn replay(cluster: &mut TestCluster, messages: Vec<MetadataRecord>) {
    for message in messages {
        let version = message.highest_version();
        let record = Record { message, version };
        cluster
            .controller
            .replay(cluster.next_offset, &record)
            .expect("fits");
        cluster.next_offset = cluster.next_offset.next();
    }
}

fn setting(resource_type: i8, value: Option<&str>) -> MetadataRecord {
    MetadataRecord::Config(ConfigRecord {
        resource_type,
        resource_name: "r".into(),
        name: "k".into(),
        value: value.map(Into::into),
        ..ConfigRecord::default()
    })
}

fn entry(id: u32) -> MetadataRecord {
    MetadataRecord::AccessControlEntry(AccessControlEntryRecord {
        id: uuid(id),
        resource_name: "t".into(),
        principal: "User:u".into(),
        ..AccessControlEntryRecord::default()
    })
}

fn token(id: &str) -> MetadataRecord {
    MetadataRecord::DelegationToken(DelegationTokenRecord {
        token_id: id.into(),
        owner: "User:u".into(),
        ..DelegationTokenRecord::default()
    })
}

fn credential(mechanism: i8) -> MetadataRecord {
    MetadataRecord::UserScramCredential(UserScramCredentialRecord {
        name: "u".into(),
        mechanism,
        salt: Bytes::from_static(b"salt"),
        iterations: 4096,
        ..UserScramCredentialRecord::default()
    })
}

fn quota(entity_name: Option<&str>, value: f64) -> MetadataRecord {
    MetadataRecord::ClientQuota(ClientQuotaRecord {
        entity: vec![EntityData {
            entity_type: "user".into(),
            entity_name: entity_name.map(Into::into),
            ..EntityData::default()
        }],
        key: "producer_byte_rate".into(),
        value,
        ..ClientQuotaRecord::default()
    })
}

#[test]
fn an_image_is_all_in_its_records() {
    let mut cluster = TestCluster::with_brokers(2);
    cluster.topic("t", 3);
    cluster.topic("a.b", 1);
    let broker_id = forebay_protocol::NodeId(0);
    let broker_epoch = cluster.image().broker(broker_id).expect("there").epoch;
    cluster
        .run(AllocateProducerIds {
            broker_id,
            broker_epoch,
        })
        .expect("given");
    let controller = MetadataRecord::RegisterController(RegisterControllerRecord {
        controller_id: 3000,
        ..RegisterControllerRecord::default()
    });
    replay(
        &mut cluster,
        vec![
            MetadataRecord::ZkMigrationState(ZkMigrationStateRecord::default()),
            controller,
            setting(2, Some("v")),
            setting(16, Some("v")),
            setting(77, Some("v")),
            entry(1),
            entry(2),
            token("one"),
            token("two"),
            credential(1),
            credential(9),
            quota(Some("u"), 1.5),
            quota(None, 2.5),
        ],
    );
    let image = cluster.image();
    assert_eq!(restored(&image), *image);
    let first = image.records().next().expect("there");
    assert!(
        matches!(&first.message, MetadataRecord::FeatureLevel(FeatureLevelRecord { name, .. }) if name == METADATA_VERSION),
        "{first:?}"
    );
    let skipped: Vec<_> = image.skipped_records().into_iter().collect();
    assert_eq!(
        skipped,
        [
            ("SCRAM credentials of other mechanisms", 1),
            ("access control entries", 2),
            ("delegation tokens", 2),
            ("settings of resources of other types", 1),
        ]
    );

    let removals = vec![
        setting(77, None),
        MetadataRecord::RemoveAccessControlEntry(RemoveAccessControlEntryRecord {
            id: uuid(1),
            ..RemoveAccessControlEntryRecord::default()
        }),
        MetadataRecord::RemoveDelegationToken(RemoveDelegationTokenRecord {
            token_id: "one".into(),
            ..RemoveDelegationTokenRecord::default()
        }),
    ];
    replay(&mut cluster, removals);
    let image = cluster.image();
    assert_eq!(restored(&image), *image);
    assert_eq!(image.skipped_records().values().sum::<u64>(), 3);
}

#[test]
fn an_image_of_nothing_has_no_records() {
    assert_eq!(MetadataImage::default().records().count(), 0);
}

#[test]
fn a_cluster_begins_with_what_it_was_formatted_with() {
    let feature = |name: &str, level: i16| {
        let message = MetadataRecord::FeatureLevel(FeatureLevelRecord {
            name: name.into(),
            feature_level: level,
            ..FeatureLevelRecord::default()
        });
        Record { message, version: 0 }
    };
    // The levels of 3.9, and those of 3.4, from before there were transactions.
    for (level, framed) in [(21, true), (8, false)] {
        let mut cluster = TestCluster::unactivated(options());
        let bootstrap = vec![feature(METADATA_VERSION, level)];
        let (records, ()) = cluster.run_with_records(Activate { bootstrap });
        let kinds: Vec<_> = records.iter().map(MetadataRecord::record_type).collect();
        assert_eq!(kinds, if framed { vec![23, 12, 24] } else { vec![12] });
        assert_eq!(cluster.image().metadata_version().level(), level);
        assert_eq!(
            cluster.image().feature_level(TRANSACTION_VERSION),
            0,
            "nobody asked for it"
        );
    }
}
