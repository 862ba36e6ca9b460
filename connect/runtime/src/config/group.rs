//! The worker's place in its group, from its keys.

use std::time::Duration;

use forebay_client::membership;
use forebay_config::{Config as Parsed, Error, Errors};

use super::InterWorker;
use crate::group::{Algorithm, Protocol};
use crate::herder::MemberOptions;

/// The group of workers is one of this type.
const PROTOCOL_TYPE: &str = "connect";

/// The sizes of keys that are taken, in bits.
const KEY_BITS: std::ops::RangeInclusive<i32> = 128..=4096;

/// How the worker is in its group; its URL is not known yet.
pub(super) fn member(config: &Parsed) -> Result<MemberOptions, Errors> {
    let milliseconds = |key| Duration::from_millis(u64::from(config.get_int(key).unsigned_abs()));
    let (session_timeout, heartbeat_interval) = (
        milliseconds("session.timeout.ms"),
        milliseconds("heartbeat.interval.ms"),
    );
    if heartbeat_interval >= session_timeout {
        return Err(Error::other("heartbeat.interval.ms must be lower than session.timeout.ms").into());
    }
    let instance_id = config.get_optional::<&str>("group.instance.id");
    Ok(MemberOptions {
        membership: membership::Options {
            group_id: config.get_string("group.id").to_owned(),
            group_instance_id: instance_id.map(str::to_owned),
            protocol_type: PROTOCOL_TYPE,
            session_timeout,
            heartbeat_interval,
            rebalance_timeout: milliseconds("rebalance.timeout.ms"),
        },
        mode: Protocol::from_mode(config.get_string("connect.protocol")).unwrap_or(Protocol::Sessioned),
        url: String::new(),
        delay_max: milliseconds("scheduled.rebalance.max.delay.ms"),
        sync_timeout: milliseconds("worker.sync.timeout.ms"),
        unsync_backoff: milliseconds("worker.unsync.backoff.ms"),
    })
}

/// How requests between workers are signed.
pub(super) fn inter_worker(config: &Parsed) -> Result<InterWorker, Errors> {
    let algorithm = |key: &str, name: &str| {
        Algorithm::from_name(name).ok_or_else(|| {
            let known: Vec<&str> = Algorithm::ALL.iter().map(|known| known.name()).collect();
            let reason = format!("it is none of {}", known.join(", "));
            Error::invalid(key, name, reason)
        })
    };
    let of = |key: &str| algorithm(key, config.get_string(key));
    let key = "inter.worker.verification.algorithms";
    let verification = config
        .get_list(key)
        .iter()
        .map(|name| algorithm(key, name))
        .collect::<Result<Vec<_>, _>>()?;
    let signature = of("inter.worker.signature.algorithm")?;
    if !verification.contains(&signature) {
        let reason = "inter.worker.signature.algorithm has to be among them";
        return Err(Error::invalid(key, config.get_list(key).join(","), reason).into());
    }
    let key_generation = of("inter.worker.key.generation.algorithm")?;
    let key = "inter.worker.key.size";
    let key_bytes = match config.get_optional::<i32>(key) {
        None => key_generation.key_bytes(),
        Some(bits) if KEY_BITS.contains(&bits) && bits % 8 == 0 => usize::try_from(bits / 8).unwrap_or(32),
        Some(bits) => {
            let reason = "it has to be a multiple of 8 from 128 to 4096";
            return Err(Error::invalid(key, bits.to_string(), reason).into());
        }
    };
    let ttl = config.get_int("inter.worker.key.ttl.ms").unsigned_abs();
    Ok(InterWorker {
        signature,
        verification,
        key_generation,
        key_bytes,
        key_ttl: Duration::from_millis(u64::from(ttl)),
    })
}
