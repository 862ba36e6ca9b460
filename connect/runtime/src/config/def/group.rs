//! The keys of a worker's place in its group (`DistributedConfig`), in Kafka's order.

use forebay_config::{ConfigDef, ConfigKey, ConfigType, Importance, Validator};

const HMAC_SHA256: &str = "HmacSHA256";

/// Adds the keys.
pub(super) fn keys(def: ConfigDef) -> ConfigDef {
    signature_keys(membership_keys(def))
}

fn milliseconds(name: &str, default: i32, documentation: &str) -> ConfigKey {
    ConfigKey::new(name, ConfigType::Int)
        .default(default)
        .validator(Validator::at_least(0))
        .documentation(documentation)
}

fn membership_keys(def: ConfigDef) -> ConfigDef {
    def.define(
        ConfigKey::new("group.instance.id", ConfigType::String)
            .optional()
            .validator(Validator::NonEmpty)
            .importance(Importance::Medium)
            .documentation(
                "A name of this worker that no other one of its group has. A worker that is started again under its name takes its \
                 place at once, even if it was killed; its place is kept for session.timeout.ms. The hub's workers have one. (Not a \
                 key of Kafka's, whose workers are never static members.)",
            ),
    )
    .define(
        milliseconds(
            "session.timeout.ms",
            10_000,
            "After how long without heartbeats the worker is out of the group, and others run what it had. A worker that cannot \
             reach the coordinator has stopped everything before that.",
        )
        .importance(Importance::High),
    )
    .define(
        milliseconds(
            "rebalance.timeout.ms",
            60_000,
            "How long the group waits for each worker to join again once a rebalance has begun.",
        )
        .importance(Importance::High),
    )
    .define(
        milliseconds(
            "heartbeat.interval.ms",
            3_000,
            "How often the worker tells the group's coordinator that it lives, and hears whether a rebalance has begun. Lower than \
             session.timeout.ms, and no higher than a third of it as a rule.",
        )
        .importance(Importance::High),
    )
    .define(
        milliseconds(
            "worker.sync.timeout.ms",
            3_000,
            "How long reading the config topic to its end may take before that is tried again. A worker joins only once it has; one \
             that cannot for some time leaves the group.",
        )
        .importance(Importance::Medium),
    )
    .define(
        milliseconds(
            "worker.unsync.backoff.ms",
            300_000,
            "How long a worker stays out of the group that has left it because it cannot read the config topic.",
        )
        .importance(Importance::Medium),
    )
    .define(
        ConfigKey::new("connect.protocol", ConfigType::String)
            .default("sessioned")
            .validator(Validator::one_of_ignoring_case(["eager", "compatible", "sessioned"]))
            .guards()
            .documentation(
                "What the worker offers to the others of its group, which agree on what all can: eager, compatible (workers keep what \
                 they have through a rebalance), sessioned (requests between them are signed, too).",
            ),
    )
    .define(milliseconds(
        "scheduled.rebalance.max.delay.ms",
        0,
        "How long the group waits for a worker that has left before it gives what that one had to others: it stays unassigned until \
         then. 0, the default here, gives it to others at once; Kafka's is 300000. The leader's value counts.",
    ))
}

fn signature_keys(def: ConfigDef) -> ConfigDef {
    let algorithms = [HMAC_SHA256, "HmacSHA384", "HmacSHA512"];
    def.define(milliseconds(
        "inter.worker.key.ttl.ms",
        3_600_000,
        "How long the key that signs requests between workers is used before the leader gives them another; 0: for ever.",
    ))
    .define(
        ConfigKey::new("inter.worker.key.generation.algorithm", ConfigType::String)
            .default(HMAC_SHA256)
            .validator(Validator::one_of_ignoring_case(algorithms))
            .documentation("For which algorithm keys for requests between workers are made."),
    )
    .define(
        ConfigKey::new("inter.worker.key.size", ConfigType::Int)
            .optional()
            .documentation(
                "How many bits the key for requests between workers has, in whole bytes from 128 to 4096; unless given, as many as its \
                 algorithm takes.",
            ),
    )
    .define(
        ConfigKey::new("inter.worker.signature.algorithm", ConfigType::String)
            .default(HMAC_SHA256)
            .validator(Validator::one_of_ignoring_case(algorithms))
            .documentation("How requests to other workers are signed."),
    )
    .define(
        ConfigKey::new("inter.worker.verification.algorithms", ConfigType::List)
            .default(HMAC_SHA256)
            .documentation(
                "Which signatures of other workers are accepted; inter.worker.signature.algorithm has to be among them.",
            ),
    )
}
