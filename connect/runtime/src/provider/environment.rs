//! `EnvVarConfigProvider`: environment variables of the worker, as in `${env:DATABASE_PASSWORD}`. Without an `allowlist.pattern` all of them
//! may be read while only this machine can create connectors, else none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use regex::Regex;

use super::{ConfigProvider, Setup};
use crate::connector_config::whole;

const ALLOWLIST_PATTERN: &str = "allowlist.pattern";

pub(super) fn new(setup: &Setup<'_>) -> Result<Arc<dyn ConfigProvider>, (&'static str, String)> {
    let allowed = match setup.parameters.get(ALLOWLIST_PATTERN) {
        Some(pattern) => Allowed::Matching(whole(pattern).map_err(|reason| (ALLOWLIST_PATTERN, reason))?),
        None if setup.is_loopback => Allowed::All,
        None => Allowed::None(format!(
            "config.providers.{}.param.{ALLOWLIST_PATTERN}",
            setup.name
        )),
    };
    Ok(Arc::new(EnvVarConfigProvider { allowed }))
}

#[derive(Debug)]
enum Allowed {
    All,
    Matching(Regex),
    /// The key that would allow some.
    None(String),
}

#[derive(Debug)]
struct EnvVarConfigProvider {
    allowed: Allowed,
}

impl ConfigProvider for EnvVarConfigProvider {
    fn get(&self, path: &str, keys: &BTreeSet<&str>) -> Result<BTreeMap<String, String>, String> {
        if !path.is_empty() {
            return Err(format!(
                "Path is not supported for EnvVarConfigProvider, invalid value '{path}'"
            ));
        }
        let mut values = BTreeMap::new();
        for key in keys {
            let is_allowed = match &self.allowed {
                Allowed::All => true,
                Allowed::Matching(pattern) => pattern.is_match(key),
                Allowed::None(wanted) => {
                    return Err(format!(
                        "environment variables may not be read: others than this machine can create connectors, and there is no {wanted}"
                    ));
                }
            };
            // Names with these are none, and would panic.
            if is_allowed
                && !key.is_empty()
                && !key.contains(['=', '\0'])
                && let Ok(value) = std::env::var(key)
            {
                values.insert((*key).to_owned(), value);
            }
        }
        Ok(values)
    }
}
