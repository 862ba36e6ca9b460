//! The task: waits, asks, and gives out what is new. The pause or request that is under way stays in the task, so that `poll` can
//! be dropped at any time.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use forebay_connect_api::{
    Access, BoxFuture, Error, OffsetMap, SchemaAndValue, SourceRecord, SourceTask, SourceTaskContext, Value,
    config::Properties,
};
use reqwest::StatusCode;

use super::{
    URL,
    config::Config,
    feed::{self, Item},
    position::{self, Position},
};
use crate::{client::Client, time::Time, url::shown};

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
    position: Position,
    ready: VecDeque<SourceRecord>,
    stage: Stage,
}

/// What is under way.
enum Stage {
    /// Nothing: the next thing is a request.
    Idle,
    Pausing(BoxFuture<'static, ()>),
    Asking(BoxFuture<'static, Result<Vec<New>, Error>>),
}

/// An item that is new, and the position behind it.
type New = (Item, Option<Position>);

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
        let mut position = Position::default();
        if config.shape.offset.is_some() {
            let partitions = std::slice::from_ref(&partition);
            let found = context.offset_reader().offsets(partitions).await?;
            if let Some(offset) = found.into_iter().next().flatten() {
                position = Position::from_map(&offset)?;
            }
        }
        let client = client(&config, context.access().clone(), Arc::clone(&self.time))?;
        self.started = Some(Started {
            config,
            client: Arc::new(client),
            time: Arc::clone(&self.time),
            partition: Arc::new(partition),
            position,
            ready: VecDeque::new(),
            stage: Stage::Idle,
        });
        Ok(())
    }
}

fn client(config: &Config, access: Access, time: Arc<dyn Time>) -> Result<Client, Error> {
    Client::new(config.client.clone(), config.https, access, time)
        .map_err(|error| Error::fatal("HTTP cannot be used on this machine").with_source(error))
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
                Stage::Idle => self.stage = Stage::Asking(self.ask()),
                Stage::Pausing(pause) => {
                    pause.as_mut().await;
                    self.stage = Stage::Idle;
                }
                Stage::Asking(answer) => {
                    let answer = answer.as_mut().await;
                    let pause = match &answer {
                        Ok(new) if !new.is_empty() => self.config.catchup_interval,
                        _ => self.config.interval,
                    };
                    self.stage = Stage::Pausing(self.time.pause(pause));
                    self.take(answer?);
                }
            }
        }
        let count = self.ready.len().min(self.config.batch_size);
        Ok(self.ready.drain(..count).collect())
    }

    /// The next request and everything that is done with its answer.
    fn ask(&self) -> BoxFuture<'static, Result<Vec<New>, Error>> {
        let (config, client) = (Arc::clone(&self.config), Arc::clone(&self.client));
        let position = self.position.clone();
        Box::pin(async move {
            let offset = position.request.as_ref().map(position::text);
            let request = config.request(offset.as_deref()).map_err(Error::fatal)?;
            let answer = match client.send(&request).await {
                Ok(answer) => answer,
                // For who configured If-Modified-Since or If-None-Match.
                Err(failure) if failure.error.status() == Some(StatusCode::NOT_MODIFIED) => Bytes::new(),
                // The retries were the client's.
                Err(failure) => return Err(failure.into_connect().into_fatal()),
            };
            // Parsing megabytes takes too long for a thread that others wait for.
            let new = tokio::task::spawn_blocking(move || {
                let items = feed::read(&answer, &config.shape)?;
                feed::unseen(items, &position, config.rules)
            });
            let new = new
                .await
                .map_err(|error| Error::fatal("the thread that reads the answer ended").with_source(error))?;
            new.map_err(|error| {
                let target = format!("{} {}", request.method, shown(&request.url));
                Error::fatal(format!(
                    "the answer to {target} cannot be used: {}",
                    error.trace()
                ))
            })
        })
    }

    fn take(&mut self, new: Vec<New>) {
        if let Some((_, Some(position))) = new.last() {
            self.position = position.clone();
        }
        let records = new.into_iter().map(|(item, position)| SourceRecord {
            key: match item.key {
                Value::Null => SchemaAndValue::default(),
                key => SchemaAndValue::schemaless(key),
            },
            timestamp: item.timestamp,
            ..SourceRecord::new(
                Arc::clone(&self.partition),
                position.map(|position| position.to_map()),
                Arc::clone(&self.config.topic),
                SchemaAndValue::schemaless(item.value),
            )
        });
        self.ready.extend(records);
    }
}
