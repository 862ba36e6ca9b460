//! HttpSource and HttpSink: JSON of an endpoint to a topic, and records of a topic to an endpoint, under the class names and
//! keys of the connectors that people have (Confluent's, castorm's, Aiven's). See [`source`] and [`sink`] for what they promise
//! and where they differ.

mod auth;
mod client;
mod headers;
mod json;
mod moment;
mod others;
mod pointer;
mod proxy;
pub mod sink;
pub mod source;
mod template;
#[cfg(test)]
mod testing;
mod time;
mod tls;
mod topic;
mod url;

use forebay_connect_api::Plugin;

/// Both connectors, for the worker's table.
pub fn plugins() -> [Plugin; 2] {
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    [
        Plugin::source(source::CLASS, VERSION, source::HttpSourceConnector::default).aliases(source::ALIASES),
        Plugin::sink(sink::CLASS, VERSION, sink::HttpSinkConnector::default).aliases(sink::ALIASES),
    ]
}
