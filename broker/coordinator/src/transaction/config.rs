//! The broker configuration that transaction coordination reads, by Kafka's keys (`TransactionStateManagerConfig`).

use std::time::Duration;

/// What the coordinator needs to know; every field is one Kafka key and defaults to Kafka 4.3.1's default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `transaction.max.timeout.ms`: InitProducerId with a longer one gets INVALID_TRANSACTION_TIMEOUT.
    pub timeout_ms_max: i32,
    /// `transactional.id.expiration.ms`: how long an id without a transaction is remembered.
    pub id_expiration: Duration,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`: how often transactions that take too long are looked for.
    pub abort_timed_out_interval: Duration,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`: how often expired ids are looked for.
    pub remove_expired_interval: Duration,
    /// `max.message.bytes` of `__transaction_state`: the largest batch that the driver can append.
    pub append_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            timeout_ms_max: 15 * 60 * 1_000,
            id_expiration: Duration::from_secs(7 * 24 * 60 * 60),
            abort_timed_out_interval: Duration::from_secs(10),
            remove_expired_interval: Duration::from_secs(60 * 60),
            append_bytes_max: 1_048_588,
        }
    }
}
