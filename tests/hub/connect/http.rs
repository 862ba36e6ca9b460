//! Both HTTP connectors in a hub that is killed in flight: an API is read into a topic and told of every record of it. No record is
//! lost; what is told twice has the same idempotency key, so that the API can see that it is the same; answers and errors are told in
//! topics. `FOREBAY_TEST_BREAK=transaction` has the source repeat records: the test must then fail.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use serde_json::json;

use super::exactly_once::{SUPPORT, is_broken};
use super::{STRING, create, until_states};
use crate::librdkafka::{Record, create_topic, read_all};
use crate::process::{Hub, PATIENCE, eventually};

const KILLS: usize = 3;
/// Records of a page.
const PAGE: usize = 10;
/// How many records there are in the end.
const RECORDS: usize = 120;
/// Each of so many is one that the API refuses.
const REFUSED: usize = 35;

/// What the API knows.
#[derive(Debug, Default)]
struct State {
    /// How many records can be read: a few more with each request.
    there: usize,
    /// How many there may be by now.
    there_max: usize,
    /// What was told: the idempotency key, and the record.
    told: Vec<(String, String)>,
    /// Whether the next record that is told gets no answer until this is taken back.
    holds: bool,
    /// Whether one waits for its answer.
    held: bool,
}

/// `GET /feed?since=N` has the records behind N; `POST /in` tells of one, and is answered 422 if the API does not like it.
#[derive(Debug, Clone)]
struct Api {
    address: SocketAddr,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Api {
    /// It lives as long as the process of the test, and does nothing unless it is asked.
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let api = Self {
            address: listener.local_addr().expect("bound"),
            state: Arc::default(),
        };
        let served = api.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let api = served.clone();
                // Whoever asks is killed in the middle.
                std::thread::spawn(move || api.serve(&stream));
            }
        });
        api
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().expect("no panic under this lock")
    }

    fn serve(&self, stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        loop {
            let mut head = Vec::new();
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).ok()? == 0 {
                    return None;
                }
                match line.trim_end() {
                    "" => break,
                    line => head.push(line.to_owned()),
                }
            }
            let header = |name: &str| {
                head.iter().skip(1).find_map(|line| {
                    let (found, value) = line.split_once(':')?;
                    found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
                })
            };
            let length = header("content-length").map_or(0, |length| length.parse().expect("a number"));
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            let (status, answer) = match head[0].split_once("since=") {
                Some((_, rest)) => {
                    let since = rest.split(' ').next().expect("a number");
                    (200, self.feed(since.parse().expect("a number")))
                }
                None => {
                    let key = header("idempotency-key").unwrap_or_default();
                    self.take(key, String::from_utf8(body).expect("text"))
                }
            };
            let length = answer.len();
            let mut stream = stream;
            write!(
                stream,
                "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{answer}"
            )
            .ok()?;
        }
    }

    fn feed(&self, since: usize) -> String {
        let mut state = self.state();
        state.there = (state.there + PAGE / 2).min(state.there_max);
        let items = (since + 1..=state.there).take(PAGE);
        let items: Vec<_> = items.map(|id| json!({ "id": id, "v": value(id) })).collect();
        json!(items).to_string()
    }

    fn take(&self, key: String, record: String) -> (u16, String) {
        let status = if record.contains("bad") { 422 } else { 200 };
        let answer = format!("seen {record}");
        let mut state = self.state();
        state.told.push((key, record));
        if std::mem::take(&mut state.holds) {
            state.held = true;
            let (_, changed) = &*self.state;
            changed.notify_all();
            drop(changed.wait_while(state, |state| state.held).expect("no panic"));
        }
        (status, answer)
    }

    /// Lets more come, and waits until a record of them was told and waits for its answer.
    fn until_held(&self, there_max: usize) {
        let (_, changed) = &*self.state;
        let mut state = self.state();
        state.there_max = there_max;
        state.holds = true;
        let (state, waited) = changed
            .wait_timeout_while(state, PATIENCE, |state| !state.held)
            .expect("no panic");
        assert!(!waited.timed_out(), "no record is told: {:?}", state.told.last());
    }

    fn release(&self) {
        self.state().held = false;
        self.state.1.notify_all();
    }
}

fn value(id: usize) -> String {
    let kind = if id.is_multiple_of(REFUSED) { "bad" } else { "good" };
    format!("{kind} {id:03}")
}

fn create_both(hub: &Hub, api: &Api) {
    for topic in ["t", "answers", "errors"] {
        create_topic(&hub.bootstrap(), topic, 1);
    }
    let source = json!({
        "connector.class": "HttpSource",
        "tasks.max": "1",
        "url": format!("http://{}/feed?since=${{offset}}", api.address),
        "topic": "t",
        "http.initial.offset": "0",
        "http.offset.json.pointer": "/id",
        "http.response.record.pointer": "/v",
        "request.interval.ms": "20",
        "retry.backoff.ms": "50",
        "key.converter": STRING,
        "value.converter": STRING,
    });
    let sink = json!({
        "connector.class": "HttpSink",
        "tasks.max": "1",
        "topics": "t",
        "http.url": format!("http://{}/in", api.address),
        "http.idempotency.header": "Idempotency-Key",
        "retry.backoff.ms": "50",
        "errors.tolerance": "all",
        "reporter.result.topic.name": "answers",
        "reporter.error.topic.name": "errors",
        "key.converter": STRING,
        "value.converter": STRING,
    });
    for (name, config) in [("source", source), ("sink", sink)] {
        create(hub, name, &config);
        until_states(hub, name, "RUNNING: RUNNING");
    }
}

fn told_of(record: &Record, name: &str) -> String {
    let found = record.headers.iter().find(|(key, _)| key == name);
    let value = found.and_then(|(_, value)| value.as_deref()).unwrap_or_default();
    String::from_utf8_lossy(value).into_owned()
}

/// The offsets of `t` that a topic tells of, with the statuses.
fn reported(hub: &Hub, topic: &str) -> BTreeSet<(i64, String)> {
    let records = read_all(&hub.bootstrap(), topic, 1);
    let about = |record: &Record| {
        assert_eq!(told_of(record, "input_record_topic"), "t");
        let offset = told_of(record, "input_record_offset").parse().expect("an offset");
        (offset, told_of(record, "http_status"))
    };
    records.iter().map(about).collect()
}

#[test]
fn what_is_read_from_an_api_is_told_to_it_whatever_is_killed() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let broken = format!("connect.{SUPPORT}=disabled");
    let mut overrides = vec!["connect.offset.flush.interval.ms=200"];
    overrides.extend(is_broken().then_some(&*broken));
    let mut hub = Hub::start(directory.path(), "broker,connect", &overrides);
    let api = Api::start();
    create_both(&hub, &api);
    for kill in 1..=KILLS {
        api.until_held(RECORDS * kill / (KILLS + 1));
        hub.process().kill();
        api.release();
        hub.restart();
    }
    api.state().there_max = RECORDS;
    eventually("all records are told", || {
        let told: BTreeSet<String> = api
            .state()
            .told
            .iter()
            .map(|(_, record)| record.clone())
            .collect();
        (told.len() == RECORDS).then_some(())
    });

    let expected: Vec<String> = (1..=RECORDS).map(value).collect();
    let topic = read_all(&hub.bootstrap(), "t", 1);
    let values: Vec<&str> = topic.iter().map(Record::text).collect();
    assert_eq!(values, expected, "each is in the topic once, in its order");

    let told = api.state().told.clone();
    let mut by_key = BTreeMap::<&str, BTreeSet<&str>>::new();
    for (key, record) in &told {
        by_key.entry(key).or_default().insert(record);
    }
    let keys: BTreeMap<String, BTreeSet<&str>> = topic
        .iter()
        .map(|record| (format!("t-0-{}", record.offset), BTreeSet::from([record.text()])))
        .collect();
    let by_key: BTreeMap<String, BTreeSet<&str>> = by_key
        .into_iter()
        .map(|(key, records)| (key.to_owned(), records))
        .collect();
    assert_eq!(by_key, keys, "a key is one record, and a record has one key");
    assert!(
        told.len() >= RECORDS + KILLS,
        "what was held when the hub died comes again"
    );

    let place = |record: &Record| match record.text().starts_with("bad") {
        true => (record.offset, "422".to_owned()),
        false => (record.offset, "200".to_owned()),
    };
    let (bad, good): (BTreeSet<_>, BTreeSet<_>) =
        topic.iter().map(place).partition(|(_, status)| status == "422");
    for (topic, wanted) in [("answers", good), ("errors", bad)] {
        eventually(&format!("{topic} tell of every record"), || {
            (reported(&hub, topic) == wanted).then_some(())
        });
    }
    let errors = read_all(&hub.bootstrap(), "errors", 1);
    assert!(errors[0].text().contains("was answered 422"), "{errors:?}");
    assert_eq!(
        told_of(&errors[0], "http_response"),
        format!("seen {}", value(REFUSED))
    );
}
