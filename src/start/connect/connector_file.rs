//! A connector in a file, as Kafka's `connect-standalone` takes it: a JSON object of its keys, the body of `POST /connectors`,
//! or properties; whichever it turns out to be.

use std::path::Path;

use anyhow::{Context, bail};
use forebay_config::Properties;
use forebay_connect_runtime::NewConnector;
use serde_json::{Map, Value};

/// Reads a connector.
pub(super) fn read(file: &Path) -> anyhow::Result<NewConnector> {
    let path = file.display().to_string();
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {path}"))?;
    parse(&path, &bytes)
}

fn parse(path: &str, bytes: &[u8]) -> anyhow::Result<NewConnector> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) if object.get("config").is_some_and(Value::is_object) => {
            request(path, object)
        }
        Ok(Value::Object(object)) => named(path, flat(path, object)?),
        Err(error) if bytes.trim_ascii_start().first() == Some(&b'{') => {
            bail!("{path} is not valid JSON: {error}")
        }
        _ => named(
            path,
            forebay_config::properties::parse(path, bytes)?.to_properties(),
        ),
    }
}

/// As `POST /connectors` takes it.
fn request(path: &str, mut object: Map<String, Value>) -> anyhow::Result<NewConnector> {
    let mut text = |key: &str| match object.remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => bail!("{path}: \"{key}\" must be a string, not {other}"),
    };
    let (name, initial_state) = (text("name")?, text("initial_state")?);
    let config = match object.remove("config") {
        Some(Value::Object(config)) => flat(path, config)?,
        _ => Properties::new(),
    };
    let Some(name) = name.or_else(|| config.get("name").cloned()) else {
        return Err(missing_name(path));
    };
    if config.get("name").is_some_and(|other| *other != name) {
        bail!(
            "Connector name configuration in 'config' doesn't match the one specified in 'name' at '{path}'"
        );
    }
    Ok(NewConnector {
        name,
        config,
        initial_state,
    })
}

fn flat(path: &str, object: Map<String, Value>) -> anyhow::Result<Properties> {
    let pairs = object.into_iter().map(|(key, value)| match value {
        Value::String(text) => Ok((key, text)),
        Value::Number(_) | Value::Bool(_) => Ok((key, value.to_string())),
        other => bail!("{path}: \"{key}\" must be a string, not {other}"),
    });
    pairs.collect()
}

fn named(path: &str, config: Properties) -> anyhow::Result<NewConnector> {
    let Some(name) = config.get("name").cloned() else {
        return Err(missing_name(path));
    };
    Ok(NewConnector {
        name,
        config,
        initial_state: None,
    })
}

fn missing_name(path: &str) -> anyhow::Error {
    anyhow::anyhow!("Connector configuration at '{path}' is missing the mandatory 'name' configuration")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_kafkas_is_understood() {
        for (text, state) in [
            ("name=c\nconnector.class=FileStreamSource\ntasks.max=1\n", None),
            (
                r#"{"name":"c","connector.class":"FileStreamSource","tasks.max":1}"#,
                None,
            ),
            (
                r#"{"name":"c","config":{"connector.class":"FileStreamSource","tasks.max":"1"},"initial_state":"PAUSED"}"#,
                Some("PAUSED"),
            ),
        ] {
            let connector = parse("c", text.as_bytes()).expect(text);
            assert_eq!(
                (connector.name.as_str(), connector.initial_state.as_deref()),
                ("c", state)
            );
            assert_eq!(connector.config["connector.class"], "FileStreamSource");
            assert_eq!(connector.config["tasks.max"], "1");
        }
        for (text, message) in [
            ("connector.class=x\n", "missing the mandatory 'name'"),
            (r#"{"a":"b"}"#, "missing the mandatory 'name'"),
            (r#"{"name":"a","config":{"name":"b"}}"#, "doesn't match"),
            (r#"{"name":"a","topics":["b"]}"#, "must be a string"),
            (
                r#"{"name":"a","topics":"b",}"#,
                "f is not valid JSON: trailing comma",
            ),
        ] {
            let error = parse("f", text.as_bytes()).expect_err(text).to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
