//! The format of snapshots: ours read back, Kafka's, and what is left of one that was torn or has flipped bits.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use forebay_broker_controller::{ConfigSchema, Controller, InternalTopics, Record};
use forebay_config::{ConfigDef, Properties};
use forebay_disk::{Disk, DiskExt as _, MemoryDisk, OpenOptions};
use forebay_protocol::internal_record::MetadataRecord;
use forebay_protocol::messages::{KRaftVersionRecord, TopicRecord};
use forebay_protocol::{Message as _, NodeId, Uuid};

use super::read::read;
use super::write::{Snapshot, write};
use super::*;

const FOLDER: &str = "/d/__cluster_metadata-0";

fn controller() -> Controller {
    let schema = ConfigSchema {
        topic: ConfigDef::new(),
        topic_check: Box::new(|_| Ok(())),
        group: ConfigDef::new(),
        group_check: Box::new(|_, _| Ok(())),
        broker: ConfigDef::new(),
        broker_check: Box::new(|_, _| Ok(())),
        broker_properties: Properties::new(),
        cluster_wide_updates: BTreeSet::new(),
        per_broker_updates: BTreeSet::new(),
    };
    Controller::new(forebay_broker_controller::Options {
        node_id: NodeId(1),
        cluster_id: "c".to_owned(),
        num_partitions: 1,
        default_replication_factor: 1,
        delete_topic_enable: true,
        schema: Arc::new(schema),
        internal_topics: InternalTopics::with_replication_factor(1),
    })
}

/// What is known after the records of a file.
fn restored(disk: &dyn Disk, path: &Path) -> Result<(Arc<MetadataImage>, read::Contents), ReadError> {
    let mut controller = controller();
    let contents = read(disk, path, &mut |number, record| {
        controller.restore(number, record)
    })?;
    Ok((controller.image(), contents))
}

fn image(topics: u128) -> Arc<MetadataImage> {
    let mut controller = controller();
    for number in 0..topics {
        let message = MetadataRecord::Topic(TopicRecord {
            name: format!("topic-{number}").as_str().into(),
            topic_id: Uuid::from_bytes((1000 + number).to_be_bytes()),
            ..TopicRecord::default()
        });
        let record = Record { message, version: 0 };
        controller.restore(0, &record).expect("fits");
    }
    controller.image()
}

fn id() -> SnapshotId {
    SnapshotId {
        epoch: LeaderEpoch(3),
        end_offset: Offset(77),
    }
}

fn quorum() -> QuorumRecords {
    let version = KRaftVersionRecord {
        k_raft_version: 1,
        ..KRaftVersionRecord::default()
    };
    QuorumRecords {
        version: Some(version.to_bytes(0).expect("encodes")),
        voters: None,
    }
}

/// Writes a snapshot and gives its file's path.
fn written(disk: &dyn Disk, image: &MetadataImage) -> PathBuf {
    let folder = Path::new(FOLDER);
    disk.create_dir_all(folder).expect("made");
    let snapshot = Snapshot {
        id: id(),
        timestamp: Timestamp(42),
        quorum: &quorum(),
        image,
    };
    let bytes = write(disk, folder, &snapshot, Timestamp(50)).expect("written");
    let path = file_name::path(folder, id());
    assert_eq!(disk.metadata(&path).expect("there").length, bytes);
    assert_eq!(
        disk.read_dir(folder).expect("readable").len(),
        1,
        "nothing beside it"
    );
    path
}

#[test]
fn what_is_written_is_read_back() {
    // Nothing, one batch, and more than one.
    for topics in [0, 1, 1024, 1025, 3000] {
        let disk = MemoryDisk::new();
        let image = image(topics);
        let path = written(&disk, &image);
        let (found, contents) = restored(&disk, &path).expect("readable");
        assert_eq!(found, image, "{topics} topics");
        assert_eq!(contents.timestamp, Timestamp(42));
        assert_eq!(contents.quorum, quorum());
    }
}

#[test]
fn a_torn_snapshot_is_none() {
    let disk = MemoryDisk::new();
    let path = written(&disk, &image(20));
    let whole = disk.read(&path, 1 << 20).expect("readable");
    for length in 0..whole.len() {
        for padding in [0, 200] {
            let mut torn = whole[..length].to_vec();
            torn.resize(length + padding, 0);
            replace(&disk, &path, &torn);
            let error = restored(&disk, &path).expect_err("it is torn");
            assert!(matches!(error, ReadError::Damaged { .. }), "{length}: {error}");
        }
    }
    let mut twice = whole.clone();
    twice.extend_from_slice(&whole);
    replace(&disk, &path, &twice);
    assert!(matches!(restored(&disk, &path), Err(ReadError::Damaged { .. })));
}

#[test]
fn a_flipped_bit_is_seen() {
    let disk = MemoryDisk::new();
    let image = image(20);
    let path = written(&disk, &image);
    let whole = disk.read(&path, 1 << 20).expect("readable");
    for position in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[position] ^= 1 << (position % 8);
        replace(&disk, &path, &flipped);
        match restored(&disk, &path) {
            Err(ReadError::Damaged { .. }) => {}
            // The epoch of a batch is not under its checksum, and nothing is made of it.
            Ok((found, _)) => assert_eq!(found, image, "byte {position}"),
            Err(error) => panic!("byte {position}: {error}"),
        }
    }
}

#[test]
fn a_batch_that_is_missing_is_missed() {
    let disk = MemoryDisk::new();
    let path = written(&disk, &image(3000));
    let whole = disk.read(&path, 1 << 20).expect("readable");
    let sizes: Vec<usize> = forebay_records::batches(whole.clone().into())
        .map(|batch| batch.expect("whole").size_in_bytes())
        .collect();
    assert!(sizes.len() > 4);
    let mut start = 0;
    for size in sizes {
        let mut without = whole[..start].to_vec();
        without.extend_from_slice(&whole[start + size..]);
        replace(&disk, &path, &without);
        assert!(matches!(restored(&disk, &path), Err(ReadError::Damaged { .. })));
        start += size;
    }
}

fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) {
    let file = disk.open(path, OpenOptions::replace()).expect("opens");
    file.write_all_at(bytes, 0).expect("written");
}
