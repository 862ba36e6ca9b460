//! Config providers: what `${provider:path:key}` and `${provider:key}` in a configuration stand for (Kafka's `ConfigProvider`,
//! `ConfigTransformer`, `WorkerConfigTransformer`). References are resolved at the last moment, before a configuration is judged or
//! given to a connector or task; what is stored and shown has the references. Unlike Kafka, which leaves a reference that it cannot
//! resolve for the value itself, such a one is an error here: nobody wants `${env:PASSWORD}` for a password.

mod directory;
mod environment;
mod file;
mod paths;
mod reference;
mod reversed;
mod secrets;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use forebay_config::{Error, Errors, Properties};
use forebay_connect_api::Access;

use reference::{Reference, Text};
use reversed::Values;
pub use secrets::redact;

/// The key that names the providers.
const PROVIDERS: &str = "config.providers";

/// Values by key.
type Found = BTreeMap<String, String>;

/// Gives values by key (Kafka's `ConfigProvider`). May block.
trait ConfigProvider: fmt::Debug + Send + Sync {
    /// The values of those of the keys that there are under a path.
    fn get(&self, path: &str, keys: &BTreeSet<&str>) -> Result<Found, String>;

    /// After how long the values may be others.
    fn time_to_live(&self) -> Option<Duration> {
        None
    }
}

/// What a provider is made of.
struct Setup<'a> {
    /// Its name in references.
    name: &'a str,
    /// `config.providers.NAME.param.`, cut off.
    parameters: Properties,
    /// What connectors may reach.
    access: Access,
    /// Whether only this machine can create connectors.
    is_loopback: bool,
}

/// Makes a provider; an error names the parameter and says what is wrong with it.
type New = fn(&Setup<'_>) -> Result<Arc<dyn ConfigProvider>, (&'static str, String)>;

/// Every class.
const CLASSES: [(&str, New); 3] = [
    (
        "org.apache.kafka.common.config.provider.DirectoryConfigProvider",
        directory::new,
    ),
    (
        "org.apache.kafka.common.config.provider.EnvVarConfigProvider",
        environment::new,
    ),
    (
        "org.apache.kafka.common.config.provider.FileConfigProvider",
        file::new,
    ),
];

/// The providers of a worker.
#[derive(Debug, Clone, Default)]
pub(crate) struct Providers(Arc<BTreeMap<String, Arc<dyn ConfigProvider>>>);

/// A configuration without references.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    /// What the references stand for is in it.
    pub(crate) properties: Arc<Properties>,
    /// After how long it may be another, and what it was made of.
    reload: Option<(Duration, Arc<Properties>)>,
    /// What its references stand for.
    values: Values,
}

impl Resolved {
    /// Whether it stays what it is.
    pub(crate) fn lasts(&self) -> bool {
        self.reload.is_none()
    }

    /// A configuration that has no references.
    pub(crate) fn plain(properties: Arc<Properties>) -> Self {
        Self {
            properties,
            reload: None,
            values: Values::default(),
        }
    }
}

impl Providers {
    /// The providers that a worker's configuration names. `access` and `is_loopback` say what may be read where the configuration of a
    /// provider does not.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub(crate) fn new(worker: &Properties, access: &Access, is_loopback: bool) -> Result<Self, Errors> {
        let mut providers = BTreeMap::new();
        let mut errors = Vec::new();
        let names = worker.get(PROVIDERS).map_or("", String::as_str);
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match provider(worker, name, access, is_loopback) {
                Ok(provider) => drop(providers.insert(name.to_owned(), provider)),
                Err(error) => errors.push(error),
            }
        }
        Errors::check(errors)?;
        Ok(Self(Arc::new(providers)))
    }

    /// Resolves every reference. May block.
    ///
    /// # Errors
    /// Each reference that cannot be resolved, as an error of the key that has it.
    pub(crate) fn resolve(&self, raw: &Arc<Properties>) -> Result<Resolved, Errors> {
        let texts = raw.iter().map(|(key, value)| (key, Text::parse(value)));
        let texts: Vec<(&String, Text<'_>)> = texts.filter(|(_, text)| text.has_references()).collect();
        if texts.is_empty() {
            return Ok(Resolved::plain(Arc::clone(raw)));
        }
        let mut looked_up = LookedUp::default();
        for (_, text) in &texts {
            for reference in text.references() {
                if self.0.contains_key(reference.provider) {
                    looked_up.want(reference);
                }
            }
        }
        looked_up.fetch(self);
        let mut properties = (**raw).clone();
        let mut errors = Vec::new();
        let mut values = Vec::new();
        for (key, text) in texts {
            let replaced = text.replace(|reference| {
                let value = self.value(&looked_up, reference)?;
                let with_reference = value
                    .iter()
                    .map(|value| (value.clone(), reference.text().to_owned()));
                values.extend(with_reference);
                Ok(value)
            });
            match replaced {
                Ok(value) => drop(properties.insert(key.clone(), value)),
                // The value as it is: it has references, no secrets.
                Err(reason) => errors.push(Error::invalid(key, &raw[key], reason)),
            }
        }
        Errors::check(errors)?;
        let reload = looked_up.time_to_live.filter(|_| reloads(raw));
        Ok(Resolved {
            properties: Arc::new(properties),
            reload: reload.map(|after| (after, Arc::clone(raw))),
            values: Values::new(values),
        })
    }

    /// As [`Providers::resolve`], on a thread that may block.
    pub(crate) async fn resolve_later(&self, raw: &Arc<Properties>) -> Result<Resolved, Errors> {
        if !raw.values().any(|value| Text::parse(value).has_references()) {
            return Ok(Resolved::plain(Arc::clone(raw)));
        }
        let (providers, raw) = (self.clone(), Arc::clone(raw));
        let resolved = tokio::task::spawn_blocking(move || providers.resolve(&raw)).await;
        resolved.unwrap_or_else(|error| {
            Err(Error::other(format!("a config provider has failed: {error}")).into())
        })
    }

    /// Ready once what the references stand for is no longer what it was; never, if nobody says how long it holds, or if the connector does
    /// not want to know (`config.action.reload=none`).
    pub(crate) async fn changed(&self, resolved: &Resolved) {
        let Some((after, raw)) = &resolved.reload else {
            return std::future::pending().await;
        };
        loop {
            tokio::time::sleep(*after).await;
            match self.resolve_later(raw).await {
                Ok(now) if now.properties != resolved.properties => return,
                Ok(_) => {}
                // A file that is just being replaced: what is known goes on.
                Err(error) => {
                    tracing::warn!(%error, "a reference to a config provider cannot be resolved any more");
                }
            }
        }
    }

    /// What a reference stands for; `None`: it is no reference to a provider, but some text that looks like one.
    fn value(&self, looked_up: &LookedUp<'_>, reference: &Reference<'_>) -> Result<Option<String>, String> {
        let Reference {
            provider, path, key, ..
        } = reference;
        if !self.0.contains_key(*provider) {
            if !reference.names_a_provider() {
                return Ok(None);
            }
            let known = self.0.keys().cloned().collect::<Vec<_>>().join(", ");
            return Err(format!(
                "there is no config provider {provider}; the worker's {PROVIDERS} lists: {}",
                if known.is_empty() { "none" } else { known.as_str() }
            ));
        }
        let values = looked_up.values(provider, path)?;
        let value = values.get(*key);
        let value =
            value.ok_or_else(|| format!("the config provider {provider} has no {key} in '{path}'"))?;
        secrets::remember(value, reference.text());
        Ok(Some(value.clone()))
    }
}

/// Whether a connector is to be started anew when its configuration is another.
fn reloads(raw: &Properties) -> bool {
    raw.get("config.action.reload")
        .is_none_or(|action| action.trim() != "none")
}

/// What the providers gave, by provider and path.
#[derive(Default)]
struct LookedUp<'a> {
    wanted: BTreeMap<(&'a str, &'a str), BTreeSet<&'a str>>,
    found: BTreeMap<(&'a str, &'a str), Result<Found, String>>,
    time_to_live: Option<Duration>,
}

impl<'a> LookedUp<'a> {
    fn want(&mut self, reference: &Reference<'a>) {
        let of = (reference.provider, reference.path);
        self.wanted.entry(of).or_default().insert(reference.key);
    }

    fn fetch(&mut self, providers: &Providers) {
        for ((name, path), keys) in &self.wanted {
            let provider = &providers.0[*name];
            let lives = self.time_to_live.into_iter().chain(provider.time_to_live());
            self.time_to_live = lives.min();
            self.found.insert((name, path), provider.get(path, keys));
        }
    }

    fn values<'b>(
        &'b self,
        provider: &'b str,
        path: &'b str,
    ) -> Result<&'b BTreeMap<String, String>, String> {
        let found = self
            .found
            .get(&(provider, path))
            .expect("every reference was looked up");
        found.as_ref().map_err(Clone::clone)
    }
}

fn provider(
    worker: &Properties,
    name: &str,
    access: &Access,
    is_loopback: bool,
) -> Result<Arc<dyn ConfigProvider>, Error> {
    let class_key = format!("{PROVIDERS}.{name}.class");
    let class = worker.get(&class_key).map(|class| class.trim());
    let class = class.ok_or_else(|| Error::Missing {
        key: class_key.clone(),
    })?;
    let known = CLASSES
        .iter()
        .find(|(full, _)| *full == class || full.rsplit('.').next() == Some(class));
    let (_, new) = known.ok_or_else(|| {
        let all = CLASSES.map(|(full, _)| full).join(", ");
        Error::invalid(
            &class_key,
            class,
            format!("Class {class} could not be found; there are {all}"),
        )
    })?;
    let prefix = format!("{PROVIDERS}.{name}.param.");
    let parameters: Properties = worker
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?.to_owned(), value.clone())))
        .collect();
    let setup = Setup {
        name,
        parameters,
        access: access.clone(),
        is_loopback,
    };
    new(&setup).map_err(|(parameter, reason)| {
        let value = setup.parameters.get(parameter).map_or("", String::as_str);
        Error::invalid(format!("{prefix}{parameter}"), value, reason)
    })
}

/// Resolves the references in a worker's own configuration, whose author may read everything that the worker may.
///
/// # Errors
/// What is wrong with the providers, and each reference that cannot be resolved.
pub fn resolve_worker(worker: &Properties) -> Result<Properties, Errors> {
    let providers = Providers::new(worker, &Access::unrestricted(), true)?;
    let own = |key: &str| key.starts_with(PROVIDERS);
    let (about_providers, others): (Properties, Properties) =
        worker.clone().into_iter().partition(|(key, _)| own(key));
    if providers.0.is_empty() {
        return Ok(worker.clone());
    }
    let resolved = providers.resolve(&Arc::new(others))?;
    let mut all = (*resolved.properties).clone();
    all.extend(about_providers);
    Ok(all)
}

#[cfg(test)]
mod tests;
