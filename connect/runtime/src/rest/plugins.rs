//! `/connector-plugins`: what there is, how it is configured, and whether a configuration is right.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::routing::{get, put};
use forebay_config::ConfigDef;
use forebay_connect_api::{Plugin, PluginType};
use forebay_connect_transforms::{predicate, transformation};
use serde_json::{Value, json};

use super::body::{self, bad};
use super::{Query, Result, Shared, flag, ok, run};
use crate::connector_config::connector_def;
use crate::converter::{self, Role};
use crate::herder::{Error, Herder};
use crate::validate::ConfigKeyInfo;
use crate::worker::AnyConnector;

pub(super) fn router() -> Router<Arc<Herder>> {
    Router::new()
        .route("/connector-plugins", get(list))
        .route("/connector-plugins/{plugin}/config", get(config))
        .route("/connector-plugins/{plugin}/config/validate", put(validate))
}

/// Sinks, sources, transformations, predicates, converters, header converters, as Kafka orders them.
async fn list(State(herder): Shared, query: Query) -> Result {
    let mut plugins = Vec::new();
    for plugin_type in [PluginType::Sink, PluginType::Source] {
        let of_type = herder
            .plugins()
            .iter()
            .filter(|plugin| plugin.plugin_type() == plugin_type);
        let mut of_type: Vec<&Plugin> = of_type.collect();
        of_type.sort_by_key(|plugin| plugin.class);
        let of_type = of_type.into_iter();
        plugins.extend(of_type.map(|plugin| entry(plugin.class, plugin_type.name(), plugin.version)));
    }
    if !flag(&query, "connectorsOnly").unwrap_or(true) {
        let version = VERSION;
        let transformations = transformation::CLASSES.iter();
        plugins.extend(transformations.map(|class| entry(class.class, "transformation", version)));
        let predicates = predicate::CLASSES.iter();
        plugins.extend(predicates.map(|class| entry(class.class, "predicate", version)));
        let data = converter::names(Role::Value).into_iter();
        plugins.extend(data.map(|class| entry(class, "converter", version)));
        let headers = converter::names(Role::Header).into_iter();
        plugins.extend(headers.map(|class| entry(class, "header_converter", version)));
    }
    ok(&plugins)
}

/// Of every plugin.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Whether a request for a version means the only one (KIP-891).
fn is_there(wanted: &str) -> bool {
    let exact = wanted.trim_matches(|bracket| bracket == '[' || bracket == ']');
    wanted.is_empty() || wanted == "latest" || exact == VERSION || exact == format!("{VERSION},{VERSION}")
}

fn entry(class: &str, plugin_type: &str, version: &str) -> Value {
    json!({ "class": class, "type": plugin_type, "version": version })
}

async fn config(State(herder): Shared, Path(plugin): Path<String>, query: Query) -> Result {
    let def: ConfigDef = if let Ok(found) = herder.plugins().find(&plugin) {
        let own = AnyConnector::new(found).connector().config();
        let common = connector_def(found.plugin_type());
        let others = common.keys().iter().filter(|key| own.key(&key.name).is_none());
        others.cloned().fold(own.clone(), ConfigDef::define)
    } else if let Some(class) = converter::find(&plugin) {
        class.shown_def()
    } else if let Some(class) = transformation::find(&plugin) {
        (class.config_def)()
    } else if let Some(class) = predicate::find(&plugin) {
        (class.config_def)()
    } else {
        return Err(Error::NotFound(format!("Unknown plugin {plugin}.")));
    };
    let wanted = query.iter().find(|(key, _)| key == "version");
    if let Some((_, wanted)) = wanted.filter(|(_, wanted)| !is_there(wanted)) {
        return Err(bad(format!(
            "Plugin {plugin} not found that matches the version range {wanted}, available versions: [{VERSION}]"
        )));
    }
    let keys = def.keys().iter().filter(|key| !key.internal);
    let keys: Vec<ConfigKeyInfo> = keys.map(|key| ConfigKeyInfo::new("", key)).collect();
    ok(&keys)
}

async fn validate(State(herder): Shared, Path(plugin): Path<String>, body: Bytes) -> Result {
    let config = body::config("", body::object(&body)?)?;
    if let Some(Some(class)) = config.get("connector.class")
        && !stem(class).ends_with(stem(&plugin))
        && !are_same(&herder, class, &plugin)
    {
        return Err(bad(format!(
            "Included connector type {class} does not match request type {plugin}"
        )));
    }
    let worker = Arc::clone(&herder);
    let infos = run(&herder, "validating the connector's configuration", async move {
        worker.validate(config).await
    });
    ok(&infos.await?)
}

/// A class name without its last word.
fn stem(class: &str) -> &str {
    class
        .strip_suffix("Connector")
        .filter(|stem| !stem.is_empty())
        .unwrap_or(class)
}

/// Whether both are names of one plugin, such as of another Java class that it stands for.
fn are_same(herder: &Herder, class: &str, other: &str) -> bool {
    let class_of = |name: &str| herder.plugins().find(name).map(|plugin| plugin.class).ok();
    class_of(class).is_some() && class_of(class) == class_of(other)
}
