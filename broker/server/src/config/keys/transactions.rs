//! Keys of transactions.

use forebay_config::ConfigType::{Int, Short};
use forebay_config::Importance::{High, Low};
use forebay_config::{ConfigKey, ConfigType, Importance, Validator};

fn key(name: &str, config_type: ConfigType, importance: Importance, documentation: &str) -> ConfigKey {
    ConfigKey::new(name, config_type)
        .importance(importance)
        .documentation(documentation)
        .group("Transactions", -1)
}

/// What coordinators go by.
#[rustfmt::skip] // A table.
pub(super) fn coordination() -> Vec<ConfigKey> {
    vec![
        key("transaction.max.timeout.ms", Int, High,
            "The longest timeout of transactions that a producer may ask for.")
            .default(900_000).validator(Validator::at_least(1)),
        key("transactional.id.expiration.ms", Int, High,
            "How long a transactional id without a transaction is remembered.")
            .default(604_800_000).validator(Validator::at_least(1)),
        key("transaction.abort.timed.out.transaction.cleanup.interval.ms", Int, Low,
            "How often transactions that have timed out are looked for.")
            .default(10_000).validator(Validator::at_least(1)),
        key("transaction.remove.expired.transaction.cleanup.interval.ms", Int, Low,
            "How often expired transactional ids are looked for.")
            .default(3_600_000).validator(Validator::at_least(1)),
    ]
}

/// The topic that holds them.
#[rustfmt::skip] // A table.
pub(super) fn log() -> Vec<ConfigKey> {
    vec![
        key("transaction.state.log.num.partitions", Int, High,
            "How many partitions __transaction_state gets; must not change once it is there.")
            .default(50).validator(Validator::at_least(1)),
        key("transaction.state.log.replication.factor", Short, High,
            "How many replicas __transaction_state gets. The default here is 1, as a node starts alone; \
             Kafka's is 3.")
            .default(1).validator(Validator::at_least(1)).guards(),
        key("transaction.state.log.min.isr", Int, High,
            "How many replicas of __transaction_state must have a record before it counts. The default here is 1, as a \
             node starts alone; Kafka's is 2.")
            .default(1).validator(Validator::at_least(1)).guards(),
        key("transaction.state.log.segment.bytes", Int, High,
            "The size at which a segment of __transaction_state ends.")
            .default(104_857_600).validator(Validator::at_least(1)),
    ]
}
