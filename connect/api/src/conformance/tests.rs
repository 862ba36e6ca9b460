//! The kit itself: it passes a sink and a source that keep the contract, and catches ones that break it.

use std::{
    future::Future,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use super::*;
use crate::{
    AssignedPartition, BoxFuture, Error, OffsetMap, Offsets, SchemaAndValue, SinkBatch, SinkRecords,
    SinkTask, SinkTaskContext, SourceRecord, SourceTask, SourceTaskContext, ValueFormat, config::Properties,
};

/// Nothing here waits for anything outside, so polling again is all it takes.
fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// Says that everything put is durable.
    CommitsEarly,
    /// Starts at the committed offset although the store has more.
    IgnoresStore,
    /// Never lets anything be committed.
    Stuck,
}

type Store = Arc<Mutex<Vec<(Offsets, Vec<String>)>>>;

/// Buffers what is put, and stores it with the positions in one step.
struct BufferedSink {
    flaw: Flaw,
    store: Store,
    buffer: Vec<String>,
    positions: Offsets,
    stored: Offsets,
    context: Option<Arc<dyn SinkTaskContext>>,
}

impl BufferedSink {
    fn store_up(&mut self) {
        let values = std::mem::take(&mut self.buffer);
        self.store
            .lock()
            .expect("no panic")
            .push((self.positions.clone(), values));
        self.stored = self.positions.clone();
    }
}

impl SinkTask for BufferedSink {
    fn start<'a>(
        &'a mut self,
        context: Arc<dyn SinkTaskContext>,
        _properties: &'a Properties,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.context = Some(context);
        Box::pin(std::future::ready(Ok(())))
    }

    fn takes_raw(&self, _format: &ValueFormat) -> bool {
        true
    }

    fn open<'a>(&'a mut self, partitions: &'a [AssignedPartition]) -> BoxFuture<'a, Result<(), Error>> {
        if self.flaw != Flaw::IgnoresStore {
            let mut found = Offsets::new();
            for (positions, _) in &*self.store.lock().expect("no panic") {
                found.extend(positions.clone());
            }
            for one in partitions {
                if let Some(position) = found.get(&one.topic_partition) {
                    let context = self.context.as_ref().expect("started");
                    context.offset(&one.topic_partition, *position);
                    self.positions.insert(one.topic_partition.clone(), *position);
                    self.stored.insert(one.topic_partition.clone(), *position);
                }
            }
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn put<'a>(&'a mut self, batch: &'a SinkBatch) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async {
            match &batch.records {
                SinkRecords::Converted(records) => {
                    self.buffer
                        .extend(records.iter().map(|record| record.value.to_string()));
                }
                SinkRecords::Raw(records) => records.try_for_each::<Error>(|record| {
                    let value = record.value.unwrap_or_default();
                    self.buffer.push(String::from_utf8_lossy(value).into_owned());
                    Ok(())
                })?,
            }
            self.positions
                .insert(batch.topic_partition.clone(), batch.next_offset);
            if self.buffer.len() > 30 {
                self.store_up();
            }
            Ok(())
        })
    }

    fn pre_commit<'a>(&'a mut self, current: &'a Offsets) -> BoxFuture<'a, Result<Offsets, Error>> {
        if self.positions != self.stored && self.flaw != Flaw::CommitsEarly {
            self.store_up();
        }
        let safe = match self.flaw {
            Flaw::CommitsEarly => self.positions.clone(),
            Flaw::Stuck => Offsets::new(),
            _ => self.stored.clone(),
        };
        let safe = safe
            .into_iter()
            .filter(|(one, _)| current.contains_key(one))
            .collect();
        Box::pin(std::future::ready(Ok(safe)))
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

fn check_buffered(flaw: Flaw, delivery: Delivery, seed: u64) -> Result<SinkReport, Violation> {
    let store = Store::default();
    let subject = SinkSubject {
        task: &|| {
            Box::new(BufferedSink {
                flaw,
                store: Arc::clone(&store),
                buffer: Vec::new(),
                positions: Offsets::new(),
                stored: Offsets::new(),
                context: None,
            })
        },
        properties: Properties::new(),
        topic: "t",
        delivery,
        read: &|| {
            let stored = store.lock().expect("no panic");
            let values = stored.iter().flat_map(|(_, values)| values.clone()).collect();
            Box::pin(std::future::ready(values))
        },
        pass_time: &|| {},
        may_repeat: false,
    };
    run(check_sink(&subject, seed))
}

#[test]
fn a_sink_that_keeps_the_contract_passes_and_flawed_ones_do_not() {
    let (mut kills_in_flight, mut caught) = (0, [0; 3]);
    for seed in 0..20 {
        let raw = Delivery::Raw(ValueFormat::String);
        for delivery in [Delivery::Converted, raw] {
            let report = check_buffered(Flaw::None, delivery, seed).expect("it keeps the contract");
            kills_in_flight += report.kills_in_flight;
        }
        let flawed = |flaw| check_buffered(flaw, Delivery::Converted, seed);
        caught[0] += u32::from(matches!(flawed(Flaw::CommitsEarly), Err(Violation::Lost { .. })));
        caught[1] += u32::from(matches!(
            flawed(Flaw::IgnoresStore),
            Err(Violation::Repeated { .. })
        ));
        caught[2] += u32::from(matches!(flawed(Flaw::Stuck), Err(Violation::Contract { .. })));
    }
    assert!(
        kills_in_flight > 40,
        "{kills_in_flight} kills hit records in flight"
    );
    assert_eq!(caught, [20; 3]);
}

/// Counts; with a flaw the offset of a record is its own number instead of the next one's.
struct Counter {
    next: i64,
    flawed: bool,
}

impl SourceTask for Counter {
    fn start<'a>(
        &'a mut self,
        context: Arc<dyn SourceTaskContext>,
        _properties: &'a Properties,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let found = context.offset_reader().offsets(&[OffsetMap::new()]).await?;
            self.next = found[0]
                .as_ref()
                .and_then(|offset| offset.get_int64("next"))
                .unwrap_or(0);
            Ok(())
        })
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Vec<SourceRecord>, Error>> {
        if self.next >= 300 {
            return Box::pin(std::future::pending());
        }
        let to = (self.next + 7).min(300);
        let records = (self.next..to).map(|number| {
            let offset = OffsetMap::new().with("next", if self.flawed { number } else { number + 1 });
            let value = SchemaAndValue::string(number.to_string());
            SourceRecord::new(Arc::default(), Some(offset), "t".into(), value)
        });
        let records = records.collect();
        self.next = to;
        Box::pin(std::future::ready(Ok(records)))
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

#[test]
fn a_source_that_keeps_the_contract_passes_and_a_flawed_one_does_not() {
    let check = |flawed, seed| {
        let subject = SourceSubject {
            task: &|| Box::new(Counter { next: 0, flawed }),
            properties: Properties::new(),
            expected: (0..300).map(|number| number.to_string()).collect(),
            disturb: &|_| {},
        };
        run(check_source(&subject, seed))
    };
    let mut kills_in_flight = 0;
    for seed in 0..20 {
        kills_in_flight += check(false, seed).expect("it keeps the contract").kills_in_flight;
        assert!(
            matches!(check(true, seed), Err(Violation::Repeated { .. })),
            "seed {seed}"
        );
    }
    assert!(
        kills_in_flight > 20,
        "{kills_in_flight} kills hit records in flight"
    );
}
