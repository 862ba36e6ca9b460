//! A cluster whose topics tests create, grow and delete.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use forebay_protocol::{Utf8Bytes, Uuid};

use crate::{Cluster, ClusterImage, GroupConfig, Topic};

/// What there is now. Each change makes a new image, as a metadata log does.
#[derive(Debug, Default)]
pub(super) struct TestCluster(Mutex<Image>);

/// The cluster at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Image {
    version: i64,
    topics: BTreeMap<Utf8Bytes, (Uuid, i32)>,
    pub(super) group_configs: BTreeMap<String, GroupConfig>,
}

impl TestCluster {
    /// Creates a topic, or gives it this many partitions; gives its id.
    pub(super) fn topic(&self, name: &str, partitions: i32) -> Uuid {
        self.change(|image| {
            let number = image.version;
            let (id, count) = image
                .topics
                .entry(name.into())
                .or_insert_with(|| (id(number), partitions));
            *count = partitions;
            *id
        })
    }

    /// Creates a topic with this id.
    pub(super) fn topic_with_id(&self, name: &str, id: Uuid, partitions: i32) {
        self.change(|image| image.topics.insert(name.into(), (id, partitions)));
    }

    pub(super) fn delete(&self, name: &str) {
        self.change(|image| image.topics.remove(name));
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Image) -> T) -> T {
        let mut image = self.0.lock().expect("no test panics with it");
        image.version += 1;
        change(&mut image)
    }
}

fn id(number: i64) -> Uuid {
    let mut bytes = [0x40; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    Uuid::from_bytes(bytes)
}

impl Cluster for TestCluster {
    fn image(&self) -> Arc<dyn ClusterImage> {
        Arc::new(self.0.lock().expect("no test panics with it").clone())
    }
}

impl ClusterImage for Image {
    fn version(&self) -> i64 {
        self.version
    }

    fn topic(&self, name: &str) -> Option<Topic> {
        let (name, (id, partition_count)) = self.topics.get_key_value(name)?;
        Some(Topic {
            name: name.clone(),
            id: *id,
            partition_count: *partition_count,
        })
    }

    fn topic_name(&self, id: Uuid) -> Option<Utf8Bytes> {
        let topic = self.topics.iter().find(|(_, (known, _))| *known == id);
        topic.map(|(name, _)| name.clone())
    }

    fn topic_names(&self) -> Vec<Utf8Bytes> {
        self.topics.keys().cloned().collect()
    }

    fn partition_racks(&self, _: &str, _: i32) -> Vec<Utf8Bytes> {
        Vec::new()
    }

    fn group_config(&self, group: &str) -> GroupConfig {
        self.group_configs.get(group).copied().unwrap_or_default()
    }
}
