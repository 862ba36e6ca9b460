//! One partition's log in Apache Kafka's own file formats: segments, indexes, recovery, retention, producer state,
//! leader epochs; and the directory of many logs. Blocking, through `forebay-disk`. Knows no protocol, no
//! runtime, no clock: time comes in as a parameter.

mod config;

pub use config::{
    BrokerCompression, FLUSH_MESSAGES_OF_SINGLE_REPLICA, LogConfig, PRODUCER_ID_EXPIRATION_MS_DEFAULT,
    definition,
};
