//! The connectors of the demo, made as a user makes them: by POST to the Connect REST API.

use std::path::Path;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::TOPIC;

/// The Connect REST API of the demo's own hub.
pub(super) struct Connectors {
    http: reqwest::Client,
    base: String,
}

/// The file source; the file is complete, so that its last line needs no newline.
pub(super) fn source(input: &Path) -> Value {
    json!({
        "connector.class": "FileStreamSource",
        "tasks.max": "1",
        "file": input,
        "file.complete": "true",
        "topic": TOPIC,
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    })
}

/// The Parquet sink.
pub(super) fn sink(store: &Path) -> Value {
    json!({
        "connector.class": "io.confluent.connect.s3.S3SinkConnector",
        "tasks.max": "1",
        "topics": TOPIC,
        "store.url": format!("file://{}", store.display()),
        "format.class": "io.confluent.connect.s3.format.parquet.ParquetFormat",
        "flush.size": "10000",
        "rotate.schedule.interval.ms": "1000",
        "timezone": "UTC",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    })
}

impl Connectors {
    pub(super) fn new(port: u16) -> Self {
        Self {
            http: reqwest::Client::new(),
            base: format!("http://127.0.0.1:{port}/connectors"),
        }
    }

    pub(super) async fn create(&self, name: &str, config: &Value) -> anyhow::Result<()> {
        let request = self
            .http
            .post(&self.base)
            .json(&json!({ "name": name, "config": config }));
        let response = request
            .send()
            .await
            .context("the Connect REST API does not answer")?;
        let (status, body) = (response.status(), response.text().await?);
        if !status.is_success() {
            bail!("the connector {name} was not made: {status} {body}");
        }
        Ok(())
    }

    /// Fails with the trace of the first connector or task that has failed.
    pub(super) async fn check(&self) -> anyhow::Result<()> {
        let url = format!("{}?expand=status", self.base);
        let all: Value = self.http.get(url).send().await?.json().await?;
        for (name, connector) in all.as_object().into_iter().flatten() {
            let status = &connector["status"];
            let tasks = status["tasks"].as_array().into_iter().flatten();
            for part in std::iter::once(&status["connector"]).chain(tasks) {
                if part["state"] == "FAILED" {
                    bail!(
                        "the connector {name} has failed: {}",
                        part["trace"].as_str().unwrap_or("no trace")
                    );
                }
            }
        }
        Ok(())
    }
}
