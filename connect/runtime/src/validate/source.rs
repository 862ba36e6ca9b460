//! What only source connectors are asked: whether they can do without repeating records, and say where transactions end (Kafka's
//! `DistributedHerder.validateSourceConnectorExactlyOnceSupport`, `validateSourceConnectorTransactionBoundary`).

use forebay_config::{ConfigValue, Properties};
use forebay_connect_api::{ExactlyOnceSupport, SourceConnector};

use super::add_error;

/// Adds what is wrong to the values of the keys; a value that is wrong by itself is not judged again.
pub(super) fn check(
    connector: &dyn SourceConnector,
    worker_is_exactly_once: bool,
    properties: &Properties,
    values: &mut Vec<ConfigValue>,
) {
    let wants = |key: &str, wanted: &str| {
        let value = properties.get(key);
        value.is_some_and(|value| value.trim().eq_ignore_ascii_case(wanted))
    };
    let is_sound = |values: &[ConfigValue], key: &str| {
        let value = values.iter().find(|value| value.name == key);
        value.is_some_and(|value| value.errors.is_empty())
    };
    let support = "exactly.once.support";
    if wants(support, "required") && is_sound(values, support) {
        if !worker_is_exactly_once {
            let reason = "This worker does not have exactly-once source support enabled.";
            add_error(values, support, None, reason.to_owned());
        }
        if connector.exactly_once_support(properties) == ExactlyOnceSupport::Unsupported {
            let reason =
                "The connector does not support exactly-once semantics with the provided configuration.";
            add_error(values, support, None, reason.to_owned());
        }
    }
    let boundary = "transaction.boundary";
    if wants(boundary, "connector")
        && is_sound(values, boundary)
        && !connector.can_define_transaction_boundaries(properties)
    {
        let reason = "The connector does not support connector-defined transaction boundaries with the given configuration. Please \
                      reconfigure it to use a different transaction boundary definition.";
        add_error(values, boundary, None, reason.to_owned());
    }
}
