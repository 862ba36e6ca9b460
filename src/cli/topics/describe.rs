//! `--describe`: a line for each topic and for each of its partitions.

use std::collections::{BTreeMap, BTreeSet};

use forebay_client::Admin;
use forebay_client::admin::{
    ConfigEntry, ConfigResource, ConfigSource, PartitionDescription, TopicDescription,
};
use forebay_protocol::{NodeId, Uuid};

use super::{Failure, existing};
use crate::cli::options::Options;

/// Asks and prints.
pub(super) async fn describe(admin: &Admin, options: &Options) -> Result<(), Failure> {
    let id = topic_id(options)?;
    let names = match id {
        Some(id) => by_id(admin, id, options).await?,
        None => existing(admin, options).await?,
    };
    if names.is_empty() {
        return Ok(());
    }
    let asked: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut topics = Vec::new();
    for outcome in admin.describe_topics(&asked).await?.into_values() {
        let topic = outcome?;
        topics.push(if id.is_some() { as_by_id(topic) } else { topic });
    }
    let resources: Vec<ConfigResource> = names.into_iter().map(ConfigResource::Topic).collect();
    let mut configs = BTreeMap::new();
    for (resource, outcome) in admin.describe_configs(&resources).await? {
        configs.insert(resource, outcome?);
    }
    let live: BTreeSet<NodeId> = admin
        .describe_cluster()
        .await?
        .nodes
        .iter()
        .map(|node| node.id)
        .collect();
    let filter = Filter::new(options);
    for topic in topics {
        let config = configs
            .remove(&ConfigResource::Topic(topic.name.clone()))
            .unwrap_or_default();
        for line in filter.lines(&topic, &config, &live) {
            say!("{line}");
        }
    }
    Ok(())
}

/// A zero id stands for none, as in Kafka.
fn topic_id(options: &Options) -> Result<Option<Uuid>, Failure> {
    let parse = |text: &str| text.parse::<Uuid>().map_err(|error| Failure(error.to_string()));
    let id = options.value("topic-id")?.map(parse).transpose()?;
    Ok(id.filter(|id| !id.is_zero()))
}

async fn by_id(admin: &Admin, id: Uuid, options: &Options) -> Result<Vec<String>, Failure> {
    let listed = admin.list_topics().await?.into_iter();
    let names: Vec<String> = listed
        .filter(|topic| topic.topic_id == id && !(topic.is_internal && options.has("exclude-internal")))
        .map(|topic| topic.name)
        .collect();
    if names.is_empty() && !options.has("if-exists") {
        return Err(Failure(format!("TopicId '{id}' does not exist as expected")));
    }
    Ok(names)
}

/// Of a topic that is asked for by its id Kafka's client does not learn who is eligible.
fn as_by_id(mut topic: TopicDescription) -> TopicDescription {
    for partition in &mut topic.partitions {
        partition.eligible_leader_replicas = None;
        partition.last_known_elr = None;
    }
    topic
}

/// What is left out.
#[derive(Debug, Default, Clone, Copy)]
struct Filter {
    overrides: bool,
    under_replicated: bool,
    under_min_isr: bool,
    at_min_isr: bool,
    unavailable: bool,
}

impl Filter {
    fn new(options: &Options) -> Self {
        Self {
            overrides: options.has("topics-with-overrides"),
            under_replicated: options.has("under-replicated-partitions"),
            under_min_isr: options.has("under-min-isr-partitions"),
            at_min_isr: options.has("at-min-isr-partitions"),
            unavailable: options.has("unavailable-partitions"),
        }
    }

    fn only_some_partitions(self) -> bool {
        self.under_replicated || self.under_min_isr || self.at_min_isr || self.unavailable
    }

    fn lines(self, topic: &TopicDescription, config: &[ConfigEntry], live: &BTreeSet<NodeId>) -> Vec<String> {
        let own: Vec<&ConfigEntry> = config
            .iter()
            .filter(|entry| entry.source != ConfigSource::Default)
            .collect();
        let mut lines = Vec::new();
        if !self.only_some_partitions() && (!self.overrides || !own.is_empty()) {
            lines.push(topic_line(topic, &own));
        }
        if !self.overrides {
            let minimum = config.iter().find(|entry| entry.name == "min.insync.replicas");
            let minimum = minimum
                .and_then(|entry| entry.value.as_deref()?.parse().ok())
                .unwrap_or(1);
            let shown = topic
                .partitions
                .iter()
                .filter(|partition| self.shows(partition, minimum, live));
            lines.extend(shown.map(|partition| partition_line(&topic.name, partition)));
        }
        lines
    }

    fn shows(self, partition: &PartitionDescription, minimum: usize, live: &BTreeSet<NodeId>) -> bool {
        let in_sync = partition.in_sync_replicas.len();
        !self.only_some_partitions()
            || (self.under_replicated && partition.replicas.len() > in_sync)
            || (self.under_min_isr && (partition.leader.is_none() || in_sync < minimum))
            || (self.at_min_isr && in_sync == minimum)
            || (self.unavailable && partition.leader.is_none_or(|leader| !live.contains(&leader)))
    }
}

fn topic_line(topic: &TopicDescription, own: &[&ConfigEntry]) -> String {
    let id = if topic.topic_id.is_zero() {
        String::new()
    } else {
        format!("\tTopicId: {}", topic.topic_id)
    };
    let factor = topic
        .partitions
        .first()
        .map_or(0, |partition| partition.replicas.len());
    let config =
        |entry: &&ConfigEntry| format!("{}={}", entry.name, entry.value.as_deref().unwrap_or("null"));
    let configs: Vec<String> = own.iter().map(config).collect();
    format!(
        "Topic: {}{id}\tPartitionCount: {}\tReplicationFactor: {factor}\tConfigs: {}",
        topic.name,
        topic.partitions.len(),
        configs.join(",")
    )
}

fn partition_line(topic: &str, partition: &PartitionDescription) -> String {
    let ids = |nodes: &[NodeId]| {
        nodes
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(",")
    };
    let unless_unknown = |nodes: &Option<Vec<NodeId>>| nodes.as_deref().map_or_else(|| "N/A".to_owned(), ids);
    format!(
        "\tTopic: {topic}\tPartition: {}\tLeader: {}\tReplicas: {}\tIsr: {}\tElr: {}\tLastKnownElr: {}",
        partition.partition,
        partition
            .leader
            .map_or_else(|| "none".to_owned(), |leader| leader.to_string()),
        ids(&partition.replicas),
        ids(&partition.in_sync_replicas),
        unless_unknown(&partition.eligible_leader_replicas),
        unless_unknown(&partition.last_known_elr),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic() -> TopicDescription {
        let partition = |partition, leader: Option<i32>, isr: &[i32]| PartitionDescription {
            partition,
            leader: leader.map(NodeId),
            leader_epoch: None,
            replicas: vec![NodeId(0), NodeId(1)],
            in_sync_replicas: isr.iter().copied().map(NodeId).collect(),
            offline_replicas: Vec::new(),
            eligible_leader_replicas: (partition == 0).then(Vec::new),
            last_known_elr: (partition == 0).then(|| vec![NodeId(1)]),
        };
        TopicDescription {
            name: "test".to_owned(),
            topic_id: "LKBgLuaCTei9VwWaqPV28w".parse().expect("an id"),
            is_internal: false,
            partitions: vec![
                partition(0, Some(0), &[0, 1]),
                partition(1, Some(1), &[1]),
                partition(2, None, &[]),
            ],
        }
    }

    fn entry(name: &str, value: &str, source: ConfigSource) -> ConfigEntry {
        ConfigEntry {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            source,
            is_sensitive: false,
            is_read_only: false,
            synonyms: Vec::new(),
            config_type: None,
            documentation: None,
        }
    }

    #[test]
    fn the_lines_are_kafkas() {
        let config = [
            entry("min.insync.replicas", "1", ConfigSource::DynamicDefaultBroker),
            entry("retention.ms", "77", ConfigSource::DynamicTopic),
            entry("segment.ms", "1", ConfigSource::Default),
        ];
        let lines = Filter::default().lines(&topic(), &config, &BTreeSet::new());
        assert_eq!(
            lines,
            [
                "Topic: test\tTopicId: LKBgLuaCTei9VwWaqPV28w\tPartitionCount: 3\tReplicationFactor: 2\tConfigs: \
                 min.insync.replicas=1,retention.ms=77",
                "\tTopic: test\tPartition: 0\tLeader: 0\tReplicas: 0,1\tIsr: 0,1\tElr: \tLastKnownElr: 1",
                "\tTopic: test\tPartition: 1\tLeader: 1\tReplicas: 0,1\tIsr: 1\tElr: N/A\tLastKnownElr: N/A",
                "\tTopic: test\tPartition: 2\tLeader: none\tReplicas: 0,1\tIsr: \tElr: N/A\tLastKnownElr: N/A",
            ]
        );
    }

    #[test]
    fn by_its_id_nothing_is_known_of_who_is_eligible() {
        let lines = Filter::default().lines(&as_by_id(topic()), &[], &BTreeSet::new());
        let known = lines
            .iter()
            .skip(1)
            .filter(|line| !line.ends_with("\tElr: N/A\tLastKnownElr: N/A"));
        assert_eq!((lines.len(), known.count()), (4, 0), "{lines:?}");
    }

    #[test]
    fn filters_leave_partitions_out() {
        let config = [entry("min.insync.replicas", "1", ConfigSource::Default)];
        let live = BTreeSet::from([NodeId(0)]);
        let cases = [
            (
                Filter {
                    under_replicated: true,
                    ..Filter::default()
                },
                vec![1, 2],
            ),
            (
                Filter {
                    under_min_isr: true,
                    ..Filter::default()
                },
                vec![2],
            ),
            (
                Filter {
                    at_min_isr: true,
                    ..Filter::default()
                },
                vec![1],
            ),
            (
                Filter {
                    unavailable: true,
                    ..Filter::default()
                },
                vec![1, 2],
            ),
            (
                Filter {
                    overrides: true,
                    ..Filter::default()
                },
                vec![],
            ),
        ];
        for (filter, expected) in cases {
            let lines = filter.lines(&topic(), &config, &live);
            let expected: Vec<String> = expected
                .iter()
                .map(|index| format!("Partition: {index}\t"))
                .collect();
            assert_eq!(lines.len(), expected.len(), "{filter:?}");
            assert!(
                lines
                    .iter()
                    .zip(&expected)
                    .all(|(line, part)| line.contains(part)),
                "{filter:?}: {lines:?}"
            );
        }
    }
}
