//! Records that take the lane are where they would be without: the same batches as a whole, and one record at a time, for which there
//! is no lane.

use std::{collections::BTreeMap, sync::Arc};

use forebay_connect_api::{Intent, NO_TIMESTAMP, Offset, Schema, SchemaAndValue, Timestamp, Value};
use proptest::prelude::*;

use super::bench::{Bench, Flaw, assigned, partition, properties};
use crate::{
    config::Config,
    format::Cell,
    partitioner::default_partition,
    resume::Stored,
    store::Found,
    task::{
        partition::Partition,
        promise::Promise,
        take::{Record, Take},
    },
};

/// What a record holds: most are alike.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Bytes,
    Null,
}

#[derive(Debug, Clone)]
struct Setup {
    keys: BTreeMap<&'static str, String>,
    /// How far each record's offset and time are behind those of the one before it; some have no time.
    records: Vec<(i64, Option<i64>, Kind)>,
    /// The range of an object that a task before this one has begun.
    promised: Option<(i64, i64)>,
    /// The range of one that is stored.
    stored: Option<(i64, i64)>,
}

fn setup() -> impl Strategy<Value = Setup> {
    let key = |name: &'static str, values: std::ops::Range<u32>| {
        proptest::option::of(values).prop_map(move |value| value.map(|value| (name, value.to_string())))
    };
    let keys = [
        key("flush.size", 1..700),
        key("flush.bytes", 1000..9000),
        key("rotate.interval.ms", 1..2000),
    ];
    let kind = prop_oneof![150 => Just(Kind::Text), 1 => Just(Kind::Bytes), 1 => Just(Kind::Null)];
    let offset = prop_oneof![50 => Just(1_i64), 1 => 2..9_i64];
    let time =
        prop_oneof![50 => (0..3_i64).prop_map(Some), 1 => (-500..500_i64).prop_map(Some), 1 => Just(None)];
    let range =
        || proptest::option::of((0..500_i64, 0..90_i64).prop_map(|(start, more)| (start, start + more)));
    let records = proptest::collection::vec((offset, time, kind), 1..900);
    (keys, records, range(), range()).prop_map(|(keys, records, promised, stored)| {
        let mut keys: BTreeMap<_, _> = keys.into_iter().flatten().collect();
        keys.entry("flush.size").or_insert_with(|| "100000".to_owned());
        Setup {
            keys,
            records,
            promised,
            stored,
        }
    })
}

/// The partition after all records, of which so many are taken at once.
fn taken(setup: &Setup, at_once: usize) -> String {
    let keys: Vec<(&str, &str)> = setup.keys.iter().map(|(key, value)| (*key, &**value)).collect();
    let config = Arc::new(Config::parse(&properties(&keys)).expect("valid"));
    let (bench, of) = (Bench::in_memory(Flaw::None), partition());
    let encoded = default_partition(&of);
    let promises = setup.promised.map(|(start, end)| {
        Promise::new(Intent {
            object: "promised".into(),
            part: encoded.as_str().into(),
            start: Offset(start),
            end: Offset(end),
        })
    });
    let promises = promises.into_iter().collect();
    let mut one = Partition::new(
        &assigned(None, 1_000_000),
        Offset(0),
        promises,
        Arc::clone(&config),
        &bench.store,
    );
    let found = setup.stored.map(|(start, end)| Found {
        name: format!("t+0+{start:010}+{end:010}.snappy.parquet"),
        bytes: 1,
    });
    let folder = config.layout.folder("t", &encoded);
    let found: Vec<Found> = found.into_iter().collect();
    let stored = Stored::of(&config.layout, &of, &folder, &found);
    one.learn(encoded.into(), stored.covered(Offset(0)));
    let (mut offset, mut time) = (-1, 0);
    let records = setup.records.iter().map(|(further, later, kind)| {
        (offset, time) = (offset + further, time + later.unwrap_or(0));
        let value = match kind {
            Kind::Text => SchemaAndValue::new(
                Schema::optional_string_schema(),
                Value::from("forty letters, so that memory soon counts"),
            ),
            Kind::Bytes => {
                SchemaAndValue::new(Schema::optional_bytes_schema(), Value::Bytes(bytes::Bytes::new()))
            }
            Kind::Null => SchemaAndValue::default(),
        };
        let timestamp = later.map_or(NO_TIMESTAMP, |_| Timestamp(time));
        (Offset(offset), timestamp, value)
    });
    let records: Vec<_> = records.collect();
    let mut at_fault = Vec::new();
    for some in records.chunks(at_once) {
        let mut take = Take {
            partition: &mut one,
            now: Timestamp(0),
            at_fault: Some(&mut at_fault),
            lane: None,
        };
        for (offset, timestamp, value) in some {
            let record = Record {
                offset: *offset,
                timestamp: *timestamp,
                cell: Cell::Converted(value),
            };
            take.record(record).expect("nothing fails the task");
        }
    }
    format!("{} {at_fault:?}", one.summary())
}

proptest! {
    #[test]
    fn a_lane_changes_nothing(setup in setup()) {
        prop_assert_eq!(taken(&setup, usize::MAX), taken(&setup, 1));
    }
}
