//! FileStreamSource and FileStreamSink: lines of a file to a topic and back (Kafka's `connect/file`), under Kafka's class names
//! and keys. See [`source`] and [`sink`] for what they promise and where they differ.

mod open;
pub mod sink;
pub mod source;

use forebay_connect_api::Plugin;

/// Both connectors, for the worker's table.
pub fn plugins() -> [Plugin; 2] {
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    [
        Plugin::source(source::CLASS, VERSION, source::FileStreamSourceConnector::default),
        Plugin::sink(sink::CLASS, VERSION, sink::FileStreamSinkConnector::default),
    ]
}
