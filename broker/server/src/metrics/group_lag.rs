//! How far groups have come: committed offsets against the partitions' ends, under the names of the usual exporter of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use forebay_broker_coordinator::{Command, RequestContext, Response};
use forebay_metrics::{Kind, Text};
use forebay_protocol::messages::ListGroupsRequest;
use forebay_protocol::messages::list_groups_response::ListedGroup;
use forebay_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use forebay_protocol::messages::offset_fetch_response::OffsetFetchResponseGroup;

use super::exposition::Family;
use crate::core::Core;

/// The most groups that one scrape tells of one by one.
const GROUPS_MAX: usize = 1_000;
/// Kafka's names of the protocols.
const CLASSIC: &str = "classic";
const CONSUMER: &str = "consumer";
/// The most committed offsets that one scrape tells of.
const OFFSETS_MAX: usize = 10_000;

/// One committed offset.
struct Committed {
    group: String,
    topic: String,
    partition: i32,
    offset: i64,
    /// Records behind it; none if the partition is gone.
    lag: Option<i64>,
}

/// Writes the groups of this broker's coordinators.
pub(super) async fn render(core: &Arc<Core>, text: &mut Text) {
    let groups = list(core).await;
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for group in &groups {
        *states.entry(&group.group_state).or_default() += 1;
    }
    let name = "kafka_coordinator_group_groupmetadatamanager_numgroups";
    text.family(
        name,
        Kind::Gauge,
        "Groups of this broker; with a label, in that state.",
    );
    text.sample(name, &[], groups.len());
    for (state, count) in states {
        text.sample(name, &[("state", &state)], count);
    }
    counts(&groups, text);
    let mut committed = Vec::new();
    for group in groups.iter().take(GROUPS_MAX) {
        if committed.len() >= OFFSETS_MAX {
            break;
        }
        if let Some(answer) = offsets(core, group).await {
            committed.extend(lags(core, answer));
        }
    }
    committed.truncate(OFFSETS_MAX);
    let families: [Family<Committed, Option<i64>>; 2] = [
        (
            "kafka_consumergroup_current_offset",
            "The offset that a group has committed.",
            |one| Some(one.offset),
        ),
        (
            "kafka_consumergroup_lag",
            "Records that a group has not committed yet.",
            |one| one.lag,
        ),
    ];
    for (name, help, read) in families {
        text.family(name, Kind::Gauge, help);
        for one in &committed {
            if let Some(value) = read(one) {
                let labels: [(&str, &dyn std::fmt::Display); 3] = [
                    ("consumergroup", &one.group),
                    ("topic", &one.topic),
                    ("partition", &one.partition),
                ];
                text.sample(name, &labels, value);
            }
        }
    }
}

/// Kafka's own gauges of groups: those of the classic protocol by state under a name each, of both by protocol, and of the consumer
/// protocol by state.
fn counts(groups: &[ListedGroup], text: &mut Text) {
    let count = |protocol: &str, state: Option<&str>| {
        let is_one = |group: &&ListedGroup| {
            group.group_type == *protocol && state.is_none_or(|state| group.group_state == *state)
        };
        groups.iter().filter(is_one).count()
    };
    for state in [
        "PreparingRebalance",
        "CompletingRebalance",
        "Stable",
        "Dead",
        "Empty",
    ] {
        text.single(
            &format!(
                "kafka_coordinator_group_groupmetadatamanager_numgroups{}",
                state.to_ascii_lowercase()
            ),
            Kind::Gauge,
            "Groups of the classic protocol in this state.",
            count(CLASSIC, Some(state)),
        );
    }
    let name = "kafka_server_group_coordinator_metrics_group_count";
    text.family(name, Kind::Gauge, "Groups by protocol.");
    for protocol in [CLASSIC, CONSUMER] {
        text.sample(name, &[("protocol", &protocol)], count(protocol, None));
    }
    let name = "kafka_server_group_coordinator_metrics_consumer_group_count";
    text.family(name, Kind::Gauge, "Groups of the consumer protocol by state.");
    for (state, label) in [
        ("Empty", "empty"),
        ("Assigning", "assigning"),
        ("Reconciling", "reconciling"),
        ("Stable", "stable"),
        ("Dead", "dead"),
    ] {
        text.sample(name, &[("state", &label)], count(CONSUMER, Some(state)));
    }
}

/// The coordinators look at the version only to shape answers for clients; this one is for nobody else.
fn context() -> RequestContext {
    RequestContext {
        api_version: 5,
        client_id: "metrics".into(),
        client_host: "/127.0.0.1".into(),
    }
}

async fn list(core: &Arc<Core>) -> Vec<ListedGroup> {
    let command = || Command::ListGroups(ListGroupsRequest::default());
    let answers = core.groups.ask_all(&context(), command).await;
    let listed = answers.into_iter().filter_map(|answer| match answer {
        Response::ListGroups(Ok(groups)) => Some(groups),
        _ => None,
    });
    let mut groups: Vec<ListedGroup> = listed.flatten().collect();
    groups.sort_unstable_by(|one, other| one.group_id.cmp(&other.group_id));
    groups
}

async fn offsets(core: &Arc<Core>, group: &ListedGroup) -> Option<OffsetFetchResponseGroup> {
    let wanted = OffsetFetchRequestGroup {
        group_id: group.group_id.clone(),
        topics: None,
        member_epoch: -1,
        ..OffsetFetchRequestGroup::default()
    };
    let command = Command::OffsetFetch {
        group: wanted,
        require_stable: false,
    };
    let context = RequestContext {
        api_version: 9,
        ..context()
    };
    match core.groups.ask(&group.group_id, context, command).await {
        Some(Response::OffsetFetch(answer)) if answer.error_code == 0 => Some(answer),
        _ => None,
    }
}

fn lags(core: &Arc<Core>, answer: OffsetFetchResponseGroup) -> Vec<Committed> {
    let group = answer.group_id.to_string();
    let mut all = Vec::new();
    for topic in answer.topics {
        for one in topic.partitions.iter().filter(|one| one.committed_offset >= 0) {
            let end = core.replicas.get(&topic.name, one.partition_index);
            let lag = end.map(|replica| (replica.high_watermark().0 - one.committed_offset).max(0));
            all.push(Committed {
                group: group.clone(),
                topic: topic.name.to_string(),
                partition: one.partition_index,
                offset: one.committed_offset,
                lag,
            });
        }
    }
    all
}
