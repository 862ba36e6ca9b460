//! What is asked of broker and worker.

use std::time::Instant;

use forebay_config::Properties;
use reqwest::Method;
use serde_json::Value;

use crate::{Connect, Error, PAUSE, Result};

impl Connect {
    /// Asks the worker's REST API: `/connectors/my-sink/status`.
    ///
    /// # Errors
    /// What the worker answers instead, or that it does not.
    pub fn get(&self, path: &str) -> Result<Value> {
        self.request(Method::GET, path, None)
    }

    /// Tells the worker's REST API something: `/connectors/my-sink/pause`.
    ///
    /// # Errors
    /// What the worker answers instead, or that it does not.
    pub fn put(&self, path: &str, body: &Value) -> Result<Value> {
        self.request(Method::PUT, path, Some(body))
    }

    /// Sets the offsets of a connector that is stopped: the body of `PATCH /connectors/NAME/offsets`.
    ///
    /// # Errors
    /// What the worker answers instead, or that it does not.
    pub fn set_offsets(&self, connector: &str, body: &Value) -> Result<Value> {
        self.request(
            Method::PATCH,
            &format!("/connectors/{connector}/offsets"),
            Some(body),
        )
    }

    /// Forgets the offsets of a connector that is stopped.
    ///
    /// # Errors
    /// What the worker answers instead, or that it does not.
    pub fn reset_offsets(&self, connector: &str) -> Result<Value> {
        self.request(Method::DELETE, &format!("/connectors/{connector}/offsets"), None)
    }

    pub(crate) fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let Some(worker) = &self.worker else {
            return Err(Error::Worker("none runs".to_owned()));
        };
        let name = format!("{method} {path}");
        let mut request = self.http.request(method, format!("{}{path}", worker.url()));
        if let Some(body) = body {
            request = request.json(body);
        }
        self.runtime.block_on(async {
            let response = request.send().await?;
            let status = response.status();
            let text = response.text().await?;
            let answer: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
            if status.is_success() {
                return Ok(answer);
            }
            let message = answer["message"].as_str();
            Err(Error::Refused {
                request: name,
                status: status.as_u16(),
                message: message.map_or_else(|| answer.to_string(), str::to_owned),
            })
        })
    }

    /// The partitions of a topic, once there is one of that name.
    pub(crate) async fn partitions(
        &self,
        topic: &str,
        deadline: Instant,
    ) -> Result<Vec<forebay_protocol::TopicPartition>> {
        let admin = self.client.admin(&Properties::new())?;
        loop {
            let described = admin.describe_topics(&[topic]).await?;
            if let Some((_, Ok(found))) = described.into_iter().next() {
                let partition = |index| forebay_protocol::TopicPartition {
                    topic: topic.into(),
                    partition: index,
                };
                return Ok(found
                    .partitions
                    .iter()
                    .map(|one| partition(one.partition))
                    .collect());
            }
            if Instant::now() >= deadline {
                return Err(Error::Timeout {
                    what: format!("topic {topic}"),
                    connectors: "nobody has created it".to_owned(),
                });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
