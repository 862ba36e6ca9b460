//! Owners of an object-store sink's partitions that are stopped (SIGSTOP) past the session of their worker, and go on when another
//! has written in their place (faults.md C6). The store chooses the moment: a put is held on its way, and is then carried out
//! before anybody takes over, or long after. `FOREBAY_TEST_BREAK=intents` runs sinks without intents: the test must then fail.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use super::workers::{SESSION, TAKE_OVER, Worker, start_broker, until_all_run};
use super::{STRING, numbered};
use crate::crash::Chance;
use crate::crash::check::{file_names, rows};
use crate::crash::store::{Gate, Store};
use crate::librdkafka::{create_topic, produce_values, read_all};
use crate::process::{Hub, eventually, within};

const SINKS: usize = 6;
const PARTITIONS: i32 = 2;

/// How often each worker is stopped, unless `FOREBAY_TEST_ROUNDS` says so.
const ROUNDS: usize = 1;

/// How often the clock closes files.
const ROTATION: Duration = Duration::from_millis(300);

/// Where the stopped owner is with what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// It has said what it will put; the put arrives when another has done so.
    Late,
    /// The put is carried out while it is stopped; it has not said that it is done.
    Stored,
    /// Anywhere, most likely with an open file.
    Any,
}

/// Sinks of a task each, and their topics of the same names.
struct Sinks {
    _directory: tempfile::TempDir,
    hub: Hub,
    workers: [Worker; 2],
    store: Store,
    gate: Gate,
    names: Vec<String>,
    /// What was produced to each partition.
    produced: BTreeMap<i32, Vec<String>>,
}

impl Sinks {
    fn start(count: usize, with_intents: bool) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let hub = start_broker(directory.path());
        let gate = Gate::default();
        let store = Store::s3_behind(&directory.path().join("store"), gate.clone());
        let workers = ["a", "b"].map(|name| Worker::start_with(directory.path(), &hub, name, ""));
        let names: Vec<String> = (0..count).map(|number| format!("s{number}")).collect();
        for name in &names {
            create_topic(&hub.bootstrap(), name, PARTITIONS);
            let mut config = json!({
                "connector.class": "io.confluent.connect.s3.S3SinkConnector",
                "tasks.max": "1",
                "topics": name,
                "format.class": "io.confluent.connect.s3.format.parquet.ParquetFormat",
                "flush.size": "1000",
                "rotate.schedule.interval.ms": ROTATION.as_millis().to_string(),
                "timezone": "UTC",
                "intents.enable": with_intents.to_string(),
                "key.converter": STRING,
                "value.converter": STRING,
            });
            let keys = store.keys().as_object().expect("an object").clone();
            config.as_object_mut().expect("an object").extend(keys);
            workers[0].create(name, &config);
        }
        let produced = (0..PARTITIONS).map(|partition| (partition, Vec::new())).collect();
        Self {
            _directory: directory,
            hub,
            workers,
            store,
            gate,
            names,
            produced,
        }
    }

    fn until_all_run(&self) -> BTreeMap<String, String> {
        let [a, b] = &self.workers;
        until_all_run(a, &self.names, &[a, b])
    }

    /// The same to all topics.
    fn produce(&mut self) {
        for (partition, produced) in &mut self.produced {
            let from = produced.len();
            let new = numbered(&format!("{partition}:"), from..from + 10);
            for name in &self.names {
                produce_values(&self.hub.bootstrap(), name, Some(*partition), &new, &[]);
            }
            produced.extend(new);
        }
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.store.directory().join(folder(name))
    }

    /// What is stored of a topic, in the order of its files.
    fn stored(&self, name: &str) -> Vec<String> {
        let files = file_names(&self.folder(name), name);
        files.iter().flat_map(|(path, _)| rows(path)).collect()
    }

    fn expected(&self) -> Vec<String> {
        self.produced.values().flatten().cloned().collect()
    }

    /// Everything is stored, at least once.
    fn until_stored(&self) {
        let expected = self.expected();
        for name in &self.names {
            eventually(&format!("{} rows of {name}", expected.len()), || {
                let stored = self.stored(name);
                expected.iter().all(|row| stored.contains(row)).then_some(())
            });
        }
    }

    /// Stops a worker in the middle of its work; gives where its sinks are.
    fn stop(&mut self, victim: usize, moments: &[Moment], chance: &mut Chance) -> BTreeMap<String, Moment> {
        let owners = self.until_all_run();
        let id = self.workers[victim].id();
        let own = self
            .names
            .iter()
            .filter(|name| owners[&format!("{name}-0")] == id);
        let moments: BTreeMap<String, Moment> = own.cloned().zip(moments.iter().copied().cycle()).collect();
        assert!(moments.len() * 2 >= self.names.len(), "{owners:?}");
        let is_held = |(_, moment): &(&String, &Moment)| **moment != Moment::Any;
        for (name, _) in moments.iter().filter(is_held) {
            self.gate.arm(&folder(name));
        }
        self.produce();
        let held = moments.iter().filter(is_held).map(|(name, moment)| {
            let object = eventually(&format!("a put of {name}"), || self.gate.held(&folder(name)));
            (name, *moment, object)
        });
        let held: Vec<_> = held.collect();
        // A random moment for those that are not held.
        std::thread::sleep(Duration::from_millis(chance.below(ROTATION.as_millis() as u64)));
        self.workers[victim].signal(Signal::STOP);
        for (name, _, object) in held.iter().filter(|(_, moment, _)| *moment == Moment::Stored) {
            self.gate.release(&folder(name));
            let path = self.store.directory().join(object);
            eventually(&format!("{object} is made"), || path.exists().then_some(()));
        }
        moments
    }

    /// The other worker takes over, and has more to store than the one that is stopped had gathered.
    fn until_taken_over(&mut self, victim: usize) {
        self.produce();
        let other = &self.workers[1 - victim];
        within(SESSION + TAKE_OVER, "the other has everything", || {
            let running = other.running(&self.names);
            let has_all = running.len() == 2 * self.names.len();
            (has_all && running.values().all(|owner| *owner == other.id())).then_some(())
        });
        self.until_stored();
    }

    /// What the stopped worker had put arrives. It would take its puts back if it went on before: it knows that its session is over.
    fn arrive(&self, moments: &BTreeMap<String, Moment>) {
        for (name, _) in moments.iter().filter(|(_, moment)| **moment == Moment::Late) {
            self.gate.release(&folder(name));
        }
    }

    /// Nobody writes any more.
    fn until_stopped(&self) {
        for name in &self.names {
            let path = format!("/connectors/{name}/stop");
            assert_eq!(self.workers[0].call("PUT", &path, None).status, 204);
        }
        eventually("no task runs", || {
            let running = self.workers[0].running(&self.names);
            running.is_empty().then_some(())
        });
    }

    /// Objects that were announced and not made.
    fn outstanding(&self) -> Vec<String> {
        let mut outstanding = BTreeMap::new();
        for record in read_all(&self.hub.bootstrap(), "connect-offsets-intents", 5) {
            outstanding.insert(record.key, record.value);
        }
        let outstanding = outstanding.into_iter().filter(|(_, value)| value.is_some());
        outstanding
            .map(|(key, _)| String::from_utf8_lossy(&key.unwrap_or_default()).into_owned())
            .collect()
    }
}

/// Where a topic's objects are.
fn folder(name: &str) -> String {
    format!("topics/{name}/")
}

#[test]
fn a_stopped_owner_that_goes_on_stores_no_record_twice() {
    let is_broken = std::env::var("FOREBAY_TEST_BREAK").as_deref() == Ok("intents");
    let mut sinks = Sinks::start(SINKS, !is_broken);
    let mut chance = Chance(u64::from(std::process::id()));
    let moments = [Moment::Late, Moment::Stored, Moment::Any];
    let rounds = std::env::var("FOREBAY_TEST_ROUNDS").ok();
    let rounds = rounds.map_or(ROUNDS, |text| {
        text.parse().expect("FOREBAY_TEST_ROUNDS is a number")
    });
    for victim in [1, 0].repeat(rounds) {
        let moments = sinks.stop(victim, &moments, &mut chance);
        sinks.until_taken_over(victim);
        sinks.arrive(&moments);
        // The server has carried them out when it has what comes behind them.
        sinks.produce();
        sinks.until_stored();
        sinks.workers[victim].signal(Signal::CONT);
        sinks.until_all_run();
        sinks.produce();
        sinks.until_stored();
    }
    sinks.until_stopped();
    for name in &sinks.names {
        assert_eq!(sinks.stored(name), sinks.expected(), "{name}");
    }
    assert_eq!(sinks.outstanding(), Vec::<String>::new());
}

/// If this finds nothing, the test above proves nothing.
#[test]
fn without_intents_it_does() {
    let mut sinks = Sinks::start(2, false);
    let moments = sinks.stop(1, &[Moment::Late], &mut Chance(0));
    sinks.until_taken_over(1);
    sinks.arrive(&moments);
    for (name, _) in moments {
        eventually(&format!("records of {name} are stored twice"), || {
            (sinks.stored(&name).len() > sinks.expected().len()).then_some(())
        });
    }
}
