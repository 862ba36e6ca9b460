//! Keys of client quotas: over how long rates are measured. The quotas themselves are set while the broker runs.

use forebay_config::ConfigType::Int;
use forebay_config::Importance::Low;
use forebay_config::{ConfigKey, Validator};

fn key(name: &str, default: i32, documentation: &str) -> ConfigKey {
    ConfigKey::new(name, Int)
        .importance(Low)
        .documentation(documentation)
        .group("Quotas", -1)
        .default(default)
        .validator(Validator::at_least(1))
}

/// How rates are measured.
#[rustfmt::skip] // A table.
pub(super) fn quotas() -> Vec<ConfigKey> {
    vec![
        key("quota.window.num", 11,
            "How many samples the rates of client quotas are averages of."),
        key("quota.window.size.seconds", 1,
            "How long each sample of client quotas is, in seconds."),
        key("controller.quota.window.num", 11,
            "How many samples the budget for creating and deleting partitions is made of."),
        key("controller.quota.window.size.seconds", 1,
            "How long each sample of that budget is, in seconds."),
    ]
}
