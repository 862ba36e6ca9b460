//! HttpSource: polls an endpoint that answers with JSON, one record per item of a list, values without schema. It takes the
//! configurations of `io.confluent.connect.http.HttpSourceConnector` (one URL, without `entity.names`) and
//! `com.github.castorm.kafka.connect.http.HttpSourceConnector`, as far as they name one JSON pointer per purpose.
//!
//! The source partition is `{"url": …}`, the URL as configured. `http.offset.mode` says how a feed goes on; all state is in the
//! source offset. Modes of pages (in `pages`) keep the page and how many of its records are done. Server-sent events (in
//! `events`) keep the id of the last; one without an id may come again. Answers that are given out whole keep their ETag.
//!
//! CHAINING and SNAPSHOT_PAGINATION go by the records' own offsets: with an offset pointer every item has an offset, an integer, a
//! fraction or a string, and the source offset is `{"offset": …, "seen": n}`: `offset` is what the next request's `${offset}`
//! becomes, and `n` items that have it are done. Within a group of equal offsets `offset` stays what it was in the
//! request that brought the group, so that the rest of it comes again, and `last` is the group's own.
//!
//! What is new in an answer is decided by `http.offset.order`. `value`, the default: what comes behind the last offset, and what
//! equals it beyond the `seen` ones; items are put into that order first, so the newest may come first or last. Numbers are
//! compared as such; so are strings if all of an answer are digits; other strings are compared byte by byte, which suits
//! ISO 8601 in one time zone. All offsets must be numbers or all strings. `response`: what follows the last offset in the
//! order of the answer, or everything if that is no more in it, for ids without an order. The initial offset is only put into
//! requests, and leaves nothing out. Without an offset pointer and a mode each answer is given out whole, unless the server says
//! that it is the last one (304).
//!
//! Bodies are asked for uncompressed, and refused if they come compressed. Numbers of more than 64 bits become strings.

mod asking;
mod config;
mod events;
mod feed;
mod link;
mod pages;
mod place;

mod position;
mod request;
mod task;
mod window;

use std::sync::Arc;

use forebay_connect_api::{
    Access, AlteredOffset, BoxFuture, Connector, ConnectorContext, Error, ExactlyOnceSupport,
    SourceConnector, SourceTask,
    config::{ConfigDef, ConfigValue, Properties},
};

use crate::time::RealTime;

/// The Java class whose configuration it takes.
pub const CLASS: &str = "io.confluent.connect.http.HttpSourceConnector";
/// Other classes that it stands for.
pub const ALIASES: &[&str] = &["com.github.castorm.kafka.connect.http.HttpSourceConnector"];

/// The field of a source partition.
const URL: &str = "url";

/// The connector: one endpoint, one task.
#[derive(Debug, Default)]
pub struct HttpSourceConnector {
    properties: Properties,
}

impl Connector for HttpSourceConnector {
    fn config(&self) -> ConfigDef {
        config::definition()
    }

    fn validate(&self, properties: &Properties) -> Vec<ConfigValue> {
        config::validate(properties)
    }

    fn start<'a>(
        &'a mut self,
        _context: Arc<dyn ConnectorContext>,
        properties: &'a Properties,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.properties = properties.clone();
        let parsed = config::Config::parse(properties).map(|_| ());
        Box::pin(std::future::ready(parsed.map_err(Error::from)))
    }

    fn task_configs(&self, _tasks_max: u32) -> BoxFuture<'_, Result<Vec<Properties>, Error>> {
        Box::pin(std::future::ready(Ok(vec![self.properties.clone()])))
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl SourceConnector for HttpSourceConnector {
    fn task(&self) -> Box<dyn SourceTask> {
        Box::new(task::HttpSourceTask::new(Arc::new(RealTime)))
    }

    fn exactly_once_support(&self, properties: &Properties) -> ExactlyOnceSupport {
        use config::Mode;
        match config::Config::parse(properties).map(|config| config.mode) {
            // By order of the response everything comes again once the last offset has left the answer.
            Ok(Mode::Items { rules, .. }) if rules.order == feed::Order::Value => {
                ExactlyOnceSupport::Supported
            }
            Ok(Mode::Pages { .. } | Mode::Events { .. }) => ExactlyOnceSupport::Supported,
            _ => ExactlyOnceSupport::Unsupported,
        }
    }

    fn alter_offsets<'a>(
        &'a self,
        _access: &'a Access,
        properties: &'a Properties,
        offsets: &'a [AlteredOffset],
    ) -> BoxFuture<'a, Result<bool, Error>> {
        let judged = config::Config::parse(properties)
            .map_err(Error::from)
            .and_then(|config| {
                let check = |altered| check_altered(altered, &config.mode);
                offsets.iter().try_for_each(check).map(|()| true)
            });
        Box::pin(std::future::ready(judged))
    }
}

/// Any source partition may be forgotten, so that garbage can be cleaned up.
fn check_altered((partition, offset): &AlteredOffset, mode: &config::Mode) -> Result<(), Error> {
    let Some(offset) = offset else { return Ok(()) };
    if partition.get_str(URL).is_none() {
        return Err(Error::fatal(format!(
            "the source partition {partition} needs the key 'url', the URL as configured"
        )));
    }
    place::Place::from_map(offset, mode).map(|_| ())
}

#[cfg(test)]
mod tests;
