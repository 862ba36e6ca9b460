//! What the page shows, gathered from the cluster, the Connect REST API and the schema registry, each with its own error:
//! one service that is away does not hide the others.

use std::collections::BTreeMap;
use std::time::Duration;

use forebay_client::Admin;
use forebay_client::admin::OffsetSpec;
use forebay_client::config::IsolationLevel;
use forebay_protocol::TopicPartition;
use serde_json::{Value, json};

/// How long one service may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// The most that is read of one answer, in bytes.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Where things are asked for.
#[derive(Debug)]
pub(crate) struct Sources {
    pub(crate) admin: Admin,
    pub(crate) http: reqwest::Client,
    pub(crate) connect_url: Option<String>,
    pub(crate) registry_url: Option<String>,
}

impl Sources {
    pub(crate) async fn overview(&self) -> Value {
        let (cluster, topics, groups) = (
            within(self.cluster()),
            within(self.topics()),
            within(self.groups()),
        );
        let connectors = self.get(
            self.connect_url.as_deref(),
            "/connectors?expand=status&expand=info",
        );
        let subjects = self.get(self.registry_url.as_deref(), "/subjects");
        let (cluster, topics, groups, connectors, subjects) =
            tokio::join!(cluster, topics, groups, connectors, subjects);
        json!({
            "cluster": outcome(cluster),
            "topics": outcome(topics),
            "groups": outcome(groups),
            "connectors": outcome(connectors),
            "subjects": outcome(subjects),
        })
    }

    async fn cluster(&self) -> Result<Value, String> {
        let cluster = self
            .admin
            .describe_cluster()
            .await
            .map_err(|error| error.to_string())?;
        let brokers: Vec<Value> = cluster
            .nodes
            .iter()
            .map(|node| json!({ "id": node.id.0, "host": node.host, "port": node.port }))
            .collect();
        Ok(json!({ "id": cluster.cluster_id, "brokers": brokers }))
    }

    async fn topics(&self) -> Result<Value, String> {
        let text = |error: forebay_client::Error| error.to_string();
        let listed = self.admin.list_topics().await.map_err(text)?;
        let names: Vec<&str> = listed.iter().map(|topic| topic.name.as_str()).collect();
        let described = self.admin.describe_topics(&names).await.map_err(text)?;
        let partitions: Vec<TopicPartition> = described
            .values()
            .flatten()
            .flat_map(|topic| {
                topic
                    .partitions
                    .iter()
                    .map(|it| TopicPartition::new(topic.name.as_str(), it.partition))
            })
            .collect();
        let mut ends = [BTreeMap::new(), BTreeMap::new()];
        for (end, spec) in ends.iter_mut().zip([OffsetSpec::Earliest, OffsetSpec::Latest]) {
            let asked = partitions
                .iter()
                .map(|partition| (partition.clone(), spec))
                .collect();
            *end = self
                .admin
                .list_offsets(&asked, IsolationLevel::ReadUncommitted)
                .await
                .map_err(text)?;
        }
        let offset = |end: usize, partition: &TopicPartition| {
            ends[end]
                .get(partition)
                .and_then(|listed| listed.as_ref().ok()?.offset)
                .map_or(0, |offset| offset.0)
        };
        let rows = described.values().flatten().map(|topic| {
            let of_topic = |end| {
                let own = topic
                    .partitions
                    .iter()
                    .map(|it| TopicPartition::new(topic.name.as_str(), it.partition));
                own.map(|partition| offset(end, &partition)).sum::<i64>()
            };
            json!({
                "name": topic.name,
                "internal": topic.is_internal,
                "partitions": topic.partitions.len(),
                "offsets": of_topic(1) - of_topic(0),
            })
        });
        Ok(Value::Array(rows.collect()))
    }

    async fn groups(&self) -> Result<Value, String> {
        let listed = self
            .admin
            .list_groups()
            .await
            .map_err(|error| error.to_string())?;
        let ids: Vec<&str> = listed.iter().map(|group| group.group_id.as_str()).collect();
        let described = self
            .admin
            .describe_groups(&ids)
            .await
            .map_err(|error| error.to_string())?;
        let rows = described.values().flatten().map(|group| {
            json!({
                "id": group.group_id,
                "state": group.state,
                "protocol": group.protocol_type,
                "members": group.members.len(),
            })
        });
        Ok(Value::Array(rows.collect()))
    }

    async fn get(&self, base: Option<&str>, path: &str) -> Result<Value, String> {
        let Some(base) = base else {
            return Err("this role is not running".to_owned());
        };
        let url = format!("{base}{path}");
        let request = self.http.get(&url).timeout(ANSWER_MAX).send();
        let mut response = request
            .await
            .map_err(|error| format!("{url} does not answer: {error}"))?;
        let mut bytes = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| format!("{url}: {error}"))?
        {
            if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(format!("{url} answers more than {ANSWER_BYTES_MAX} bytes"));
            }
            bytes.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&bytes).map_err(|error| format!("{url}: {error}"))
    }
}

async fn within(work: impl Future<Output = Result<Value, String>>) -> Result<Value, String> {
    let late = |_| format!("no answer within {} ms", ANSWER_MAX.as_millis());
    tokio::time::timeout(ANSWER_MAX, work).await.map_err(late)?
}

fn outcome(result: Result<Value, String>) -> Value {
    match result {
        Ok(value) => json!({ "value": value }),
        Err(error) => json!({ "error": error }),
    }
}
