//! `/connector-plugins`: what there is, how it is configured, and whether a configuration is right.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::routing::{get, put};
use forebay_config::ConfigDef;
use forebay_connect_api::PluginType;
use forebay_connect_transforms::{predicate, transformation};
use serde_json::{Value, json};

use super::body::{self, bad};
use super::{Query, Result, Shared, flag, ok, run};
use crate::converter;
use crate::herder::{Error, Herder};
use crate::validate::ConfigKeyInfo;
use crate::worker::AnyConnector;

pub(super) fn router() -> Router<Arc<Herder>> {
    Router::new()
        .route("/connector-plugins", get(list))
        .route("/connector-plugins/", get(list))
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
        plugins.extend(of_type.map(|plugin| entry(plugin.class, plugin_type.name(), plugin.version)));
    }
    if !flag(&query, "connectorsOnly").unwrap_or(true) {
        let version = env!("CARGO_PKG_VERSION");
        let transformations = transformation::CLASSES.iter();
        plugins.extend(transformations.map(|class| entry(class.class, "transformation", version)));
        let predicates = predicate::CLASSES.iter();
        plugins.extend(predicates.map(|class| entry(class.class, "predicate", version)));
        let data = converter::CLASSES.iter().filter(|class| class.converts_data);
        plugins.extend(data.map(|class| entry(class.class, "converter", version)));
        let headers = converter::CLASSES.iter().filter(|class| class.converts_headers);
        plugins.extend(headers.map(|class| entry(class.class, "header_converter", version)));
    }
    ok(&plugins)
}

fn entry(class: &str, plugin_type: &str, version: &str) -> Value {
    json!({ "class": class, "type": plugin_type, "version": version })
}

async fn config(State(herder): Shared, Path(plugin): Path<String>) -> Result {
    let def: ConfigDef = if let Ok(found) = herder.plugins().find(&plugin) {
        AnyConnector::new(found).connector().config()
    } else if let Some(class) = converter::find(&plugin) {
        (class.config_def)()
    } else if let Some(class) = transformation::find(&plugin) {
        (class.config_def)()
    } else if let Some(class) = predicate::find(&plugin) {
        (class.config_def)()
    } else {
        return Err(Error::NotFound(format!("Unknown plugin {plugin}.")));
    };
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
