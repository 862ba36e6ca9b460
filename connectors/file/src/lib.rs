//! FileStreamSource and FileStreamSink: lines of a file to a topic and back (Kafka's `connect/file`), under Kafka's class names
//! and keys; and DirectorySource: all files of a directory, by many tasks. See [`source`], [`sink`] and [`directory`] for what
//! they promise and where they differ.

pub mod directory;
#[cfg(test)]
mod faults;
mod open;
pub mod sink;
pub mod source;

use forebay_connect_api::Plugin;

/// All of them, for the worker's table.
pub fn plugins() -> [Plugin; 3] {
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    [
        Plugin::source(source::CLASS, VERSION, source::FileStreamSourceConnector::default),
        Plugin::source(
            directory::CLASS,
            VERSION,
            directory::DirectorySourceConnector::default,
        ),
        Plugin::sink(sink::CLASS, VERSION, sink::FileStreamSinkConnector::default),
    ]
}
