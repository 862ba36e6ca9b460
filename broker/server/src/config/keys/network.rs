//! Keys of the node, its listeners and its connections.

use forebay_config::ConfigType::{Int, List, Long, String};
use forebay_config::Importance::{High, Low, Medium};
use forebay_config::{ConfigKey, ConfigType, Importance, Validator};

fn key(name: &str, config_type: ConfigType, importance: Importance, documentation: &str) -> ConfigKey {
    ConfigKey::new(name, config_type)
        .importance(importance)
        .documentation(documentation)
        .group("Network", -1)
}

/// The node and where it listens.
#[rustfmt::skip] // A table.
pub(super) fn node() -> Vec<ConfigKey> {
    vec![
        key("node.id", Int, High,
            "The number of this node in its cluster. It is kept with the data: a directory that carries \
             another one is refused.")
            .default(1).validator(Validator::at_least(0)).alias("broker.id"),
        key("listeners", List, High,
            "Where clients connect: a list of NAME://HOST:PORT. The host localhost means 127.0.0.1 and ::1 \
             on one port; port 0 any that is free; no host every address, which also needs \
             advertised.listeners.")
            .default("PLAINTEXT://localhost:9092"),
        key("advertised.listeners", List, High,
            "What clients are told to connect to, where that differs from listeners: a list of \
             NAME://HOST:PORT.")
            .default(""),
        key("listener.security.protocol.map", List, Low,
            "Which security protocol a listener's name stands for: a list of NAME:PROTOCOL.")
            .default("SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT").guards(),
        key("controller.listener.names", List, High,
            "Names in listeners that controllers use among themselves. They are not opened: the quorum has \
             one voter, which needs no network.")
            .default(""),
        key("broker.rack", String, Medium,
            "The rack (availability zone) that Metadata shows for this broker.")
            .optional(),
    ]
}

/// Connections and what passes through them.
#[rustfmt::skip] // A table.
pub(super) fn connections() -> Vec<ConfigKey> {
    vec![
        key("socket.request.max.bytes", Int, Medium,
            "The largest request that is accepted; a connection that announces a larger one is closed.")
            .default(100 * 1024 * 1024).validator(Validator::at_least(1)),
        key("socket.send.buffer.bytes", Int, High,
            "SO_SNDBUF of accepted sockets; -1 (the default here) leaves it to the operating system.")
            .default(-1),
        key("socket.receive.buffer.bytes", Int, High,
            "SO_RCVBUF of accepted sockets; -1 (the default here) leaves it to the operating system.")
            .default(-1),
        key("socket.listen.backlog.size", Int, Medium,
            "How many connections the operating system queues before they are accepted.")
            .default(50).validator(Validator::at_least(1)),
        key("max.connections", Int, Medium,
            "How many connections may be open at once. Further ones wait to be accepted. Never more than \
             three quarters of the process's file descriptors.")
            .default(i32::MAX).validator(Validator::at_least(0)),
        key("max.connections.per.ip", Int, Medium,
            "How many connections one address may have open; further ones are closed at once.")
            .default(i32::MAX).validator(Validator::at_least(0)),
        key("max.connection.creation.rate", Int, Medium,
            "How many connections per second are accepted; further ones wait. A listener has a rate of its own in \
             listener.name.NAME.max.connection.creation.rate, with its name in small letters.")
            .default(i32::MAX).validator(Validator::at_least(0)),
        key("connections.max.idle.ms", Long, Medium,
            "A connection on which nothing arrives for so long is closed.")
            .default(600_000),
        key("queued.max.request.bytes", Long, Medium,
            "How many bytes of large requests may be in memory over all connections before the broker reads them one \
             at a time only; -1: no such bound. The default here is twice that of socket.request.max.bytes; Kafka's is -1.")
            .default(200 * 1024 * 1024),
        key("num.io.threads", Int, High,
            "How many threads write, sync and read files, at most; they are started as they are needed.")
            .default(8).validator(Validator::at_least(1)),
        key("fetch.max.bytes", Int, Medium,
            "The most that one Fetch answers, whatever it asks for; the first batch is always returned \
             whole.")
            .default(55 * 1024 * 1024).validator(Validator::at_least(1024)),
        key("max.incremental.fetch.session.cache.slots", Int, Medium,
            "How many incremental fetch sessions are kept. Clients beyond them name all their partitions in each fetch.")
            .default(1000).validator(Validator::at_least(0)),
        key("max.request.partition.size.limit", Int, Medium,
            "How many partitions one answer of DescribeTopicPartitions lists.")
            .default(2000).validator(Validator::at_least(1)),
    ]
}
