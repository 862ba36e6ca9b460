//! A reader without its task, and a worker that commits when the test says so: what model tests are made of.

use std::{collections::BTreeMap, time::Duration};

use super::*;
use crate::directory::{
    completion::Completion,
    config::{Config, TASK_COUNT, TASK_INDEX},
    reader::{Call, Reader},
};

/// What is committed: source partitions with their offsets, as the offset topic has them.
pub(super) type Offsets = BTreeMap<String, (OffsetMap, OffsetMap)>;

/// A reader and what it gave out since the last commit.
pub(super) struct Reading {
    pub(super) reader: Reader,
    pub(super) completion: Arc<Completion>,
    pub(super) in_flight: Vec<SourceRecord>,
}

impl Reading {
    /// One of so many.
    pub(super) fn new(place: &Place, keys: &[(&str, &str)], task: usize, tasks: usize) -> Self {
        let (task, tasks) = (task.to_string(), tasks.to_string());
        let own = [("batch.size", "5"), (TASK_INDEX, &*task), (TASK_COUNT, &*tasks)];
        let properties = place.properties(&[keys, &own].concat());
        let config = Arc::new(Config::parse(&properties).expect("valid"));
        let completion = Arc::new(Completion::new(Arc::clone(&config), Access::unrestricted()));
        Self {
            reader: Reader::new(config, Access::unrestricted(), Arc::clone(&completion)),
            completion,
            in_flight: Vec::new(),
        }
    }

    pub(super) fn poll(&mut self, now: Duration, offsets: &Offsets) {
        let wanted = || offsets.values().cloned().collect();
        let offsets = self.reader.wants_offsets().then(wanted);
        self.reader.list(Call { now, offsets }).expect("listed");
        self.in_flight.extend(self.reader.read(now).expect("read"));
    }

    /// Commits what was given out; gives the values.
    pub(super) fn commit(&mut self, offsets: &mut Offsets) -> Vec<String> {
        let (mut values, mut moved) = (Vec::new(), Vec::new());
        for record in self.in_flight.drain(..) {
            let key = record.source_partition.to_string();
            if record.forgets {
                offsets.remove(&key);
                continue;
            }
            values.push(record.value.value.to_string());
            let offset = record.source_offset.expect("an offset");
            let through_json = |map: &OffsetMap| OffsetMap::from_json(&map.to_string()).expect("JSON");
            let pair = (through_json(&record.source_partition), through_json(&offset));
            offsets.insert(key, pair);
            moved.push((record.source_partition, offset));
        }
        self.completion.committed(&moved);
        values
    }
}
