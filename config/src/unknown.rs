//! What to do about keys that no definition has. On the command line and in TOML, which people write for Forebay, they are
//! errors; in `.properties` and connector JSON, which they bring along, one warning names them all, unless one is nearly
//! a key that governs durability or security: ignoring `min.insync.replica` would lose data in silence.

use crate::{
    def::ConfigDef,
    entries::Origin,
    error::Error,
    nearest::{nearest, with_one_part_more},
};

/// Something a user should read although the configuration is taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// Keys that nothing here knows; all of them in one warning.
    #[error("Unknown configurations are ignored: {}", .0.iter().map(describe).collect::<Vec<_>>().join(", "))]
    Unknown(Vec<UnknownKey>),
    /// A key that is known but does nothing here.
    #[error("Configuration \"{key}\" has no meaning here: {instead}")]
    Meaningless {
        /// The key.
        key: String,
        /// What replaces it.
        instead: String,
    },
}

/// An unknown key and the known one that it nearly is, if there is one.
pub type UnknownKey = (String, Option<String>);

fn describe((key, nearest): &UnknownKey) -> String {
    match nearest {
        Some(nearest) => format!("\"{key}\" (did you mean \"{nearest}\"?)"),
        None => format!("\"{key}\""),
    }
}

/// The verdict on a set of keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnknownKeys {
    /// Keys that must be put right.
    pub errors: Vec<Error>,
    /// What the user should read.
    pub warnings: Vec<Warning>,
}

impl UnknownKeys {
    /// Judges the keys that `def` does not have.
    pub fn check<'a>(def: &ConfigDef, keys: impl IntoIterator<Item = &'a str>, origin: Origin) -> Self {
        let mut verdict = Self::default();
        let mut unknown = Vec::new();
        for key in keys {
            if def.reads(key) {
                continue;
            }
            if let Some(instead) = def.replacement(key) {
                let (key, instead) = (key.to_owned(), instead.to_owned());
                verdict.warnings.push(Warning::Meaningless { key, instead });
                continue;
            }
            let known = || {
                let shown = def.keys().iter().filter(|key| !key.internal);
                shown.map(|key| key.name.as_str())
            };
            let nearest = nearest(key, known());
            let dangerous = nearest
                .and_then(|name| def.key(name))
                .is_some_and(|key| key.guards);
            let nearest = nearest.or_else(|| with_one_part_more(key, known()));
            let nearest = nearest.map(str::to_owned);
            if origin.is_strict() || dangerous {
                verdict.errors.push(Error::Unknown {
                    key: key.to_owned(),
                    nearest,
                });
            } else {
                unknown.push((key.to_owned(), nearest));
            }
        }
        if !unknown.is_empty() {
            verdict.warnings.push(Warning::Unknown(unknown));
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ConfigKey, ConfigType};

    #[test]
    fn the_origin_and_the_danger_decide() {
        let def = ConfigDef::new()
            .define(
                ConfigKey::new("min.insync.replicas", ConfigType::Int)
                    .default(1)
                    .guards(),
            )
            .define(
                ConfigKey::new("num.io.threads", ConfigType::Int)
                    .default(8)
                    .alias("io.threads"),
            )
            .open_prefix("listener.name.")
            .open_between("quota.", ".rate")
            .meaningless("zookeeper.connect", "there is no ZooKeeper; remove it");
        let keys = [
            "min.insync.replicas",
            "io.threads",
            "listener.name.x.y",
            "quota.x.rate",
            "zookeeper.connect",
            "num.io.thread",
        ];
        assert!(!def.reads("quota..rate"), "nothing is no name");
        let meaningless = Warning::Meaningless {
            key: "zookeeper.connect".to_owned(),
            instead: "there is no ZooKeeper; remove it".to_owned(),
        };
        let slip = ("num.io.thread".to_owned(), Some("num.io.threads".to_owned()));

        for origin in [Origin::CommandLine, Origin::Toml] {
            let strict = UnknownKeys::check(&def, keys, origin);
            let (key, nearest) = slip.clone();
            assert_eq!(strict.errors, [Error::Unknown { key, nearest }]);
            assert_eq!(strict.warnings, std::slice::from_ref(&meaningless));
        }
        for origin in [Origin::Properties, Origin::ConnectorJson] {
            let lenient = UnknownKeys::check(&def, keys.into_iter().chain(["other"]), origin);
            assert_eq!(lenient.errors, []);
            let all = Warning::Unknown(vec![slip.clone(), ("other".to_owned(), None)]);
            assert_eq!(
                all.to_string(),
                "Unknown configurations are ignored: \"num.io.thread\" (did you mean \"num.io.threads\"?), \"other\""
            );
            assert_eq!(lenient.warnings, [meaningless.clone(), all]);

            let dangerous = UnknownKeys::check(&def, ["min.insync.replica"], origin);
            assert_eq!(
                dangerous.errors[0].to_string(),
                "Unknown configuration \"min.insync.replica\"; did you mean \"min.insync.replicas\"?"
            );
        }
    }
}
