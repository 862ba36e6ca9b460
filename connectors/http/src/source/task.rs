//! The task: waits, asks, and gives out what is new. The pause or request that is under way stays in the task, so that `poll` can
//! be dropped at any time.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use forebay_connect_api::{
    Access, BoxFuture, Error, Headers, OffsetMap, SchemaAndValue, SourceRecord, SourceTask,
    SourceTaskContext, Value, config::Properties,
};
use reqwest::{
    StatusCode,
    header::{self, HeaderValue},
};

use super::{
    URL,
    asking::{self, Asked, More},
    config::{Config, Mode},
    events::{Event, Parser},
    feed::{self, Item},
    place::Place,
};
use crate::{
    client::{Client, Failure, Request, Stream},
    time::Time,
    url::shown,
};

/// The pause before a page that follows an empty one, so that a server that leads on for ever is not asked in circles.
const EMPTY_PAGE_PAUSE: Duration = Duration::from_secs(1);
/// The header that says which event was the last.
const LAST_EVENT_ID: &str = "last-event-id";
/// The header of a record that holds the type of its event.
const EVENT_HEADER: &str = "sse.event";

/// Polls one endpoint.
pub(super) struct HttpSourceTask {
    time: Arc<dyn Time>,
    started: Option<Started>,
}

struct Started {
    config: Arc<Config>,
    client: Arc<Client>,
    time: Arc<dyn Time>,
    partition: Arc<OffsetMap>,
    /// Behind the last of `ready`.
    place: Place,
    /// What is known of the last answer, for when the same is asked again.
    known: Option<asking::Known>,
    ready: VecDeque<SourceRecord>,
    stage: Stage,
    /// Connections in a row that brought no event.
    failures: u32,
}

/// What is under way.
enum Stage {
    /// Nothing: the next thing is a request.
    Idle,
    Pausing(BoxFuture<'static, ()>),
    Asking(BoxFuture<'static, Result<Asked, Error>>),
    Connecting(BoxFuture<'static, Result<Stream, Failure>>),
    Listening(Box<Listening>),
}

/// A stream of events.
struct Listening {
    stream: Stream,
    parser: Parser,
    target: String,
    /// The id that was asked with: a server may begin with that event.
    asked: Option<Arc<str>>,
    /// Whether anything came.
    came: bool,
}

impl HttpSourceTask {
    pub(super) fn new(time: Arc<dyn Time>) -> Self {
        Self { time, started: None }
    }

    async fn start(
        &mut self,
        context: Arc<dyn SourceTaskContext>,
        properties: &Properties,
    ) -> Result<(), Error> {
        let config = Arc::new(Config::parse(properties)?);
        let partition = OffsetMap::new().with(URL, Arc::clone(&config.url_text));
        let mut place = Place::first(&config.mode);
        let partitions = std::slice::from_ref(&partition);
        let found = context.offset_reader().offsets(partitions).await?;
        if let Some(offset) = found.into_iter().next().flatten() {
            place = Place::from_map(&offset, &config.mode)?;
        }
        let client = client(&config, context.access().clone(), Arc::clone(&self.time))?;
        let client = client.telling(Arc::new(move |why| context.report_waiting(why)));
        self.started = Some(Started {
            config,
            client: Arc::new(client),
            time: Arc::clone(&self.time),
            partition: Arc::new(partition),
            place,
            known: None,
            ready: VecDeque::new(),
            stage: Stage::Idle,
            failures: 0,
        });
        Ok(())
    }
}

fn client(config: &Config, access: Access, time: Arc<dyn Time>) -> Result<Client, Error> {
    Client::new(config.client.clone(), config.https, access, time)
}

impl SourceTask for HttpSourceTask {
    fn start<'a>(
        &'a mut self,
        context: Arc<dyn SourceTaskContext>,
        properties: &'a Properties,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.start(context, properties))
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Vec<SourceRecord>, Error>> {
        Box::pin(async {
            match &mut self.started {
                Some(started) => started.poll().await,
                None => Err(Error::fatal("the task has not started")),
            }
        })
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        self.started = None;
        Box::pin(std::future::ready(()))
    }
}

impl Started {
    async fn poll(&mut self) -> Result<Vec<SourceRecord>, Error> {
        while self.ready.is_empty() {
            match &mut self.stage {
                Stage::Idle => self.stage = self.next_stage()?,
                Stage::Pausing(pause) => {
                    pause.as_mut().await;
                    self.stage = Stage::Idle;
                }
                Stage::Asking(answer) => {
                    let answer = answer.as_mut().await;
                    let pause = answer
                        .as_ref()
                        .map_or(self.config.interval, |asked| self.pause(asked));
                    self.stage = self.pausing(pause);
                    self.take(answer?);
                }
                Stage::Connecting(connection) => {
                    let connected = connection.as_mut().await;
                    self.connected(connected)?;
                }
                Stage::Listening(listening) => {
                    let Mode::Events { idle_timeout, .. } = &self.config.mode else {
                        return Err(Error::fatal("the task listens in a mode without events"));
                    };
                    let next = self.client.next(&mut listening.stream, *idle_timeout).await;
                    match next {
                        Ok(Some(bytes)) => self.heard(&bytes)?,
                        ended => self.ended(ended.err())?,
                    }
                }
            }
        }
        let count = self.ready.len().min(self.config.batch_size);
        Ok(self.ready.drain(..count).collect())
    }

    fn next_stage(&self) -> Result<Stage, Error> {
        let wait = self.place.wait(&self.config.mode, self.time.now());
        if !wait.is_zero() {
            return Ok(self.pausing(wait));
        }
        if !matches!(self.config.mode, Mode::Events { .. }) {
            let (config, client) = (Arc::clone(&self.config), Arc::clone(&self.client));
            let asking = asking::ask(config, client, self.place.clone(), self.known.clone());
            return Ok(Stage::Asking(Box::pin(asking)));
        }
        let request = self.event_request()?;
        let client = Arc::clone(&self.client);
        Ok(Stage::Connecting(Box::pin(
            async move { client.open(&request).await },
        )))
    }

    fn pausing(&self, pause: Duration) -> Stage {
        match pause.is_zero() {
            true => Stage::Idle,
            false => Stage::Pausing(self.time.pause(pause)),
        }
    }

    fn pause(&self, asked: &Asked) -> Duration {
        let catchup = self.config.catchup_interval;
        match asked.more {
            More::Known if asked.new.is_empty() => catchup.unwrap_or(EMPTY_PAGE_PAUSE),
            More::Known => catchup.unwrap_or_default(),
            More::Unknown if asked.new.is_empty() => self.config.interval,
            More::Unknown => catchup.unwrap_or(self.config.interval),
        }
    }

    fn take(&mut self, asked: Asked) {
        self.known = asked.known;
        self.place = asked.place;
        let records = asked
            .new
            .into_iter()
            .map(|(item, place)| self.record(item, place.to_map()));
        let records: Vec<SourceRecord> = records.collect();
        self.ready.extend(records);
    }

    fn record(&self, item: Item, offset: Option<OffsetMap>) -> SourceRecord {
        SourceRecord {
            key: match item.key {
                Value::Null => SchemaAndValue::default(),
                key => SchemaAndValue::schemaless(key),
            },
            timestamp: item.timestamp,
            ..SourceRecord::new(
                Arc::clone(&self.partition),
                offset,
                Arc::clone(&self.config.topic),
                SchemaAndValue::schemaless(item.value),
            )
        }
    }

    fn event_request(&self) -> Result<Request, Error> {
        let ask = self.place.ask(&self.config).map_err(Error::fatal)?;
        let mut request = self.config.request.request(&ask).map_err(Error::fatal)?;
        if !ask.offset.is_empty() {
            let id = HeaderValue::from_str(&ask.offset)
                .or_else(|_| HeaderValue::from_bytes(ask.offset.as_bytes()));
            let id =
                id.map_err(|_| Error::fatal("the id of the last event holds what no header may have"))?;
            request.headers.insert(LAST_EVENT_ID, id);
        }
        let no_store = HeaderValue::from_static("no-store");
        request.headers.entry(header::CACHE_CONTROL).or_insert(no_store);
        Ok(request)
    }

    fn connected(&mut self, connected: Result<Stream, Failure>) -> Result<(), Error> {
        let stream = match connected {
            Ok(stream) => stream,
            Err(failure) => {
                self.failures += 1;
                if !failure.retriable || self.failures > self.config.client.retries_max {
                    return Err(failure.into_connect().into_fatal());
                }
                let pause = self.client.pause_after_failure(&failure, self.failures);
                let error = failure.error.trace();
                self.client.tell(Some(&error));
                tracing::warn!(error, ?pause, "no stream of events; trying again");
                self.stage = self.pausing(pause);
                return Ok(());
            }
        };
        let target = self
            .event_request()
            .map(|request| format!("{} {}", request.method, shown(&request.url)))?;
        let content_type = stream
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let media_type = content_type
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default();
        if stream.status() != StatusCode::OK || !media_type.trim().eq_ignore_ascii_case("text/event-stream") {
            let message = format!(
                "{target} was answered {} with Content-Type {media_type:?}, which is no stream of events (text/event-stream)",
                stream.status()
            );
            return Err(Error::fatal(message));
        }
        let Place::Events(id) = &self.place else {
            return Err(Error::fatal("the task listens in a mode without events"));
        };
        self.client.tell(None);
        self.stage = Stage::Listening(Box::new(Listening {
            stream,
            parser: Parser::new(id.clone(), self.config.bytes_max),
            target,
            asked: id.clone(),
            came: false,
        }));
        Ok(())
    }

    /// Takes the events that are complete with these bytes.
    fn heard(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let Stage::Listening(listening) = &mut self.stage else {
            return Ok(());
        };
        let bytes_max = self.config.bytes_max;
        let target = listening.target.clone();
        let events = listening
            .parser
            .push(bytes)
            .map_err(|_| Error::fatal(format!("an event of {target} is longer than {bytes_max} bytes")))?;
        for event in events {
            self.failures = 0;
            let Stage::Listening(listening) = &mut self.stage else {
                return Ok(());
            };
            let is_first = !std::mem::replace(&mut listening.came, true);
            if is_first && event.has_own_id && event.id.is_some() && event.id == listening.asked {
                continue;
            }
            self.take_event(event, &target)?;
        }
        Ok(())
    }

    fn take_event(&mut self, event: Event, target: &str) -> Result<(), Error> {
        if let Mode::Events {
            types: Some(types), ..
        } = &self.config.mode
            && !types.contains(&event.event)
        {
            return Ok(());
        }
        let item = feed::read_event(&event.data, &self.config.shape).map_err(|error| {
            Error::fatal(format!("an event of {target} cannot be used: {}", error.trace()))
        })?;
        self.place = Place::Events(event.id);
        let mut record = self.record(item, self.place.to_map());
        if event.event != "message" {
            let mut headers = Headers::new();
            headers.add(EVENT_HEADER, SchemaAndValue::string(event.event));
            record.headers = headers;
        }
        self.ready.push_back(record);
        Ok(())
    }

    /// A stream has ended, or broke: another one goes on behind its last event.
    fn ended(&mut self, error: Option<crate::client::Error>) -> Result<(), Error> {
        let Stage::Listening(listening) = &mut self.stage else {
            return Ok(());
        };
        let pause = listening.parser.retry.unwrap_or(self.config.client.backoff);
        if let Some(error) = error.filter(|_| !listening.came) {
            self.failures += 1;
            if self.failures > self.config.client.retries_max {
                let message = format!("{} (connection {}, the last one)", error.trace(), self.failures);
                return Err(Error::fatal(message));
            }
        }
        self.stage = self.pausing(pause);
        Ok(())
    }
}
