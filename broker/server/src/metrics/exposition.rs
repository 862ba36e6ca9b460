//! All that is told of the broker in one scrape, under the names that Kafka's metrics have behind the usual exporter of its beans.
//! Nothing here is done while requests are served: partitions are asked what they know when somebody wants to know it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use forebay_broker_partition::{Partition, Role};
use forebay_metrics::{Kind, Text};
use forebay_protocol::ErrorCode;
use forebay_records::Offset;

use super::{BrokerState, Metrics, Requests, group_lag};
use crate::clock;
use crate::core::Core;
use crate::replicas::{Readings, Replica};

/// The most partitions, and the most topics, that one scrape tells of one by one; the totals are of all.
const SERIES_MAX: usize = 10_000;

/// A family of samples: its name or the end of it, its help, and where its values come from.
pub(super) type Family<T, V> = (&'static str, &'static str, fn(&T) -> V);

/// What is known of one partition.
struct PartitionView {
    replica: Arc<Replica>,
    is_leader: bool,
    high_watermark: Offset,
    last_stable_offset: Offset,
}

/// One scrape.
pub(crate) struct Exposition<'a> {
    pub(crate) core: &'a Arc<Core>,
    pub(crate) metrics: &'a Metrics,
}

impl Exposition<'_> {
    /// Prometheus' text form of everything.
    pub(crate) async fn render(self) -> String {
        let mut text = Text::default();
        self.requests(&mut text);
        self.connections(&mut text);
        let partitions = self.partitions();
        self.node(&mut text, &partitions);
        topics(&mut text, self.core.replicas.shared().meters.read(), &partitions);
        logs(&mut text, &partitions);
        self.metadata(&mut text);
        self.fetch_sessions(&mut text);
        super::recovery::render_recovery(&self.core.startup, &mut text);
        super::coordinators::render(self.core, &mut text).await;
        group_lag::render(self.core, &mut text).await;
        text.finish()
    }

    fn requests(&self, text: &mut Text) {
        let seen: Vec<&Requests> = self
            .metrics
            .requests
            .iter()
            .flatten()
            .map(|requests| &**requests)
            .filter(|requests| requests.received.load(Ordering::Relaxed) > 0)
            .collect();
        let counters: [Family<Requests, u64>; 3] = [
            ("requests", "Requests received.", |one| {
                one.received.load(Ordering::Relaxed)
            }),
            ("requestbytes", "Bytes of requests.", |one| {
                one.bytes_in.load(Ordering::Relaxed)
            }),
            ("responsebytes", "Bytes of answers.", |one| {
                one.bytes_out.load(Ordering::Relaxed)
            }),
        ];
        for (name, help, read) in counters {
            let name = format!("kafka_network_requestmetrics_{name}_total");
            text.family(&name, Kind::Counter, help);
            for one in &seen {
                text.sample(&name, &[("request", &one.api_key.name())], read(one));
            }
        }
        errors(&seen, text);
        type Phase = fn(&Requests) -> &super::Histogram;
        let phases: [(&str, &str, Phase); 6] = [
            (
                "totaltimems",
                "From the request's last byte to the answer's.",
                |one| &one.total,
            ),
            (
                "requestqueuetimems",
                "Behind other requests of its connection.",
                |one| &one.queue,
            ),
            ("localtimems", "Time that was worked on it.", |one| &one.local),
            (
                "remotetimems",
                "Waiting for disks, acknowledgements, records, members.",
                |one| &one.remote,
            ),
            ("responsesendtimems", "From the answer to its last byte.", |one| {
                &one.send
            }),
            (
                "throttletimems",
                "How long clients over their quota were not heard.",
                |one| &one.throttle,
            ),
        ];
        for (name, help, phase) in phases {
            let name = format!("kafka_network_requestmetrics_{name}");
            text.family(&name, Kind::Histogram, help);
            for one in seen.iter().filter(|one| phase(one).count() > 0) {
                let labels = format!("request=\"{}\"", one.api_key.name());
                phase(one).render(&name, &labels, text.lines());
            }
        }
    }

    /// Kafka's `FetchSessionCache`.
    fn fetch_sessions(&self, text: &mut Text) {
        let (sessions, partitions, evictions) = {
            let sessions = self.core.fetch_sessions.lock();
            let sessions = sessions.unwrap_or_else(PoisonError::into_inner);
            (sessions.len(), sessions.partition_count(), sessions.evictions())
        };
        text.single(
            "kafka_server_fetchsessioncache_numincrementalfetchsessions",
            Kind::Gauge,
            "Incremental fetch sessions.",
            sessions,
        );
        text.single(
            "kafka_server_fetchsessioncache_numincrementalfetchpartitionscached",
            Kind::Gauge,
            "Partitions in them.",
            partitions,
        );
        text.single(
            "kafka_server_fetchsessioncache_incrementalfetchsessionevictions_total",
            Kind::Counter,
            "Sessions that had to make room for others.",
            evictions,
        );
    }

    /// Kafka's `SnapshotEmitter`.
    fn metadata(&self, text: &mut Text) {
        let written = self.core.metadata.latest_snapshot();
        text.single(
            "kafka_server_snapshotemitter_latestsnapshotgeneratedbytes",
            Kind::Gauge,
            "Bytes of the last snapshot of the metadata that this process wrote; 0: none yet.",
            written.map_or(0, |written| written.bytes),
        );
        let since = written.map_or(self.core.started, |written| written.at);
        text.single(
            "kafka_server_snapshotemitter_latestsnapshotgeneratedagems",
            Kind::Gauge,
            "Milliseconds since that snapshot, or since the start.",
            (clock::now() - since).max(0),
        );
    }

    fn connections(&self, text: &mut Text) {
        let Metrics {
            connections,
            connections_opened,
            connections_refused,
            ..
        } = self.metrics;
        text.single(
            "kafka_server_socket_server_metrics_connection_count",
            Kind::Gauge,
            "Connections that are open.",
            connections.load(Ordering::Relaxed),
        );
        text.single(
            "kafka_server_socket_server_metrics_connection_creation_total",
            Kind::Counter,
            "Connections that were accepted.",
            connections_opened.load(Ordering::Relaxed),
        );
        text.single(
            "forebay_connections_refused_total",
            Kind::Counter,
            "Connections that were closed at once: too many, or too fast.",
            connections_refused.load(Ordering::Relaxed),
        );
        let name = "forebay_quota_throttles_total";
        text.family(
            name,
            Kind::Counter,
            "Requests and connections that a quota slowed down.",
        );
        for (kind, count) in self.core.quotas.throttles() {
            text.sample(name, &[("type", &kind)], count);
        }
    }

    fn partitions(&self) -> Vec<PartitionView> {
        let mut all = self.core.replicas.all();
        all.sort_unstable_by(|one, other| {
            let key = |replica: &Arc<Replica>| (replica.name().topic.clone(), replica.name().partition);
            key(one).cmp(&key(other))
        });
        let view = |replica: Arc<Replica>| {
            let look = |partition: &Partition| {
                (
                    partition.role() == Role::Leader,
                    partition.high_watermark(),
                    partition.last_stable_offset(),
                )
            };
            let (is_leader, high_watermark, last_stable_offset) = replica.with_partition(look);
            PartitionView {
                replica,
                is_leader,
                high_watermark,
                last_stable_offset,
            }
        };
        all.into_iter().map(view).collect()
    }

    fn node(&self, text: &mut Text, partitions: &[PartitionView]) {
        let image = self.core.metadata.image();
        let all = || image.topics().flat_map(|topic| topic.partitions());
        let leads = partitions.iter().filter(|one| one.is_leader).count();
        let without_log = partitions
            .iter()
            .filter(|one| one.replica.log().is_none())
            .count();
        let directory_failed = self.core.replicas.shared().directory.check().is_err();
        let offline = all().filter(|(_, partition)| !partition.has_leader()).count();
        let under_replicated = all()
            .filter(|(_, partition)| partition.leader == self.core.config.node_id)
            .filter(|(_, partition)| partition.isr.len() < partition.replicas.len())
            .count();
        let fenced = image.brokers().filter(|broker| broker.fenced).count();
        let state = if self.core.shutdown.is_requested() {
            BrokerState::ShuttingDown
        } else {
            BrokerState::Running
        };
        super::recovery::render_state(state, text);
        let gauges: [(&str, &str, usize); 11] = [
            (
                "kafka_server_replicamanager_partitioncount",
                "Partitions on this broker.",
                partitions.len(),
            ),
            (
                "kafka_server_replicamanager_leadercount",
                "Partitions that this broker leads.",
                leads,
            ),
            (
                "kafka_server_replicamanager_offlinereplicacount",
                "Partitions whose log cannot be used.",
                without_log,
            ),
            (
                "kafka_server_replicamanager_underreplicatedpartitions",
                "Partitions that this broker leads with replicas out of sync.",
                under_replicated,
            ),
            (
                "kafka_log_logmanager_offlinelogdirectorycount",
                "Log directories that were given up.",
                usize::from(directory_failed),
            ),
            (
                "kafka_controller_kafkacontroller_activecontrollercount",
                "Whether this node is the controller.",
                1,
            ),
            (
                "kafka_controller_kafkacontroller_globaltopiccount",
                "Topics of the cluster.",
                image.topic_count(),
            ),
            (
                "kafka_controller_kafkacontroller_globalpartitioncount",
                "Partitions of the cluster.",
                all().count(),
            ),
            (
                "kafka_controller_kafkacontroller_offlinepartitionscount",
                "Partitions without a leader.",
                offline,
            ),
            (
                "kafka_controller_kafkacontroller_fencedbrokercount",
                "Brokers that are registered and do not serve.",
                fenced,
            ),
            (
                "kafka_controller_kafkacontroller_activebrokercount",
                "Brokers that serve.",
                image.alive_brokers().count(),
            ),
        ];
        for (name, help, value) in gauges {
            text.single(name, Kind::Gauge, help, value);
        }
    }
}

/// Kafka's `ErrorsPerSec`.
fn errors(seen: &[&Requests], text: &mut Text) {
    let name = "kafka_network_requestmetrics_errors_total";
    text.family(
        name,
        Kind::Counter,
        "Errors that answers had, one for each partition, group or topic in them; NONE is none.",
    );
    for one in seen {
        for (code, counter) in ErrorCode::ALL.iter().zip(&one.errors) {
            let count = counter.load(Ordering::Relaxed);
            if count > 0 {
                text.sample(
                    name,
                    &[("request", &one.api_key.name()), ("error", &code.name())],
                    count,
                );
            }
        }
    }
}

/// Kafka's `BrokerTopicMetrics`: without a label of all topics, with one of each.
fn topics(text: &mut Text, total: Readings, partitions: &[PartitionView]) {
    let mut by_topic: BTreeMap<&str, Readings> = BTreeMap::new();
    for one in partitions {
        *by_topic.entry(&one.replica.name().topic).or_default() += one.replica.meters().read();
    }
    let counters: [Family<Readings, u64>; 7] = [
        ("bytesin", "Bytes of batches that were appended.", |one| {
            one.bytes_in
        }),
        ("bytesout", "Bytes that fetches were answered with.", |one| {
            one.bytes_out
        }),
        ("messagesin", "Records that were appended.", |one| one.messages_in),
        (
            "totalproducerequests",
            "Appends asked for, one for each partition of a request.",
            |one| one.produces,
        ),
        (
            "failedproducerequests",
            "Appends that were refused or failed.",
            |one| one.failed_produces,
        ),
        (
            "totalfetchrequests",
            "Reads asked for, one for each partition of a request.",
            |one| one.fetches,
        ),
        (
            "failedfetchrequests",
            "Reads that were refused or failed.",
            |one| one.failed_fetches,
        ),
    ];
    for (name, help, read) in counters {
        let name = format!("kafka_server_brokertopicmetrics_{name}_total");
        text.family(&name, Kind::Counter, help);
        text.sample(&name, &[], read(&total));
        for (topic, readings) in by_topic.iter().take(SERIES_MAX) {
            text.sample(&name, &[("topic", topic)], read(readings));
        }
    }
}

/// Kafka's `Log` and `Partition`, for each partition of this broker.
fn logs(text: &mut Text, partitions: &[PartitionView]) {
    type Read = fn(&PartitionView) -> Option<i64>;
    let families: [(&str, Kind, &str, Read); 9] = [
        ("kafka_log_log_size", Kind::Gauge, "Bytes of the log.", |one| {
            i64::try_from(one.replica.log()?.size_in_bytes()).ok()
        }),
        (
            "kafka_log_log_numlogsegments",
            Kind::Gauge,
            "Segments of the log.",
            |one| i64::try_from(one.replica.log()?.segment_count()).ok(),
        ),
        (
            "kafka_log_log_logstartoffset",
            Kind::Gauge,
            "The first offset that can be read.",
            |one| Some(one.replica.log()?.log_start_offset().0),
        ),
        (
            "kafka_log_log_logendoffset",
            Kind::Gauge,
            "The offset of the next record.",
            |one| Some(one.replica.log()?.log_end_offset().0),
        ),
        (
            "forebay_log_high_watermark",
            Kind::Gauge,
            "Consumers read what is below it.",
            |one| Some(one.high_watermark.0),
        ),
        (
            "forebay_log_last_stable_offset",
            Kind::Gauge,
            "read_committed consumers read what is below it.",
            |one| Some(one.last_stable_offset.0),
        ),
        (
            "kafka_cluster_partition_laststableoffsetlag",
            Kind::Gauge,
            "Records that open transactions hold back.",
            |one| Some(one.high_watermark.0 - one.last_stable_offset.0),
        ),
        (
            "forebay_partition_bytesin_total",
            Kind::Counter,
            "Bytes of batches that were appended.",
            |one| i64::try_from(one.replica.meters().read().bytes_in).ok(),
        ),
        (
            "forebay_partition_bytesout_total",
            Kind::Counter,
            "Bytes that fetches were answered with.",
            |one| i64::try_from(one.replica.meters().read().bytes_out).ok(),
        ),
    ];
    for (name, kind, help, read) in families {
        text.family(name, kind, help);
        for one in partitions.iter().take(SERIES_MAX) {
            let partition = one.replica.name();
            let labels: [(&str, &dyn Display); 2] =
                [("topic", &partition.topic), ("partition", &partition.partition)];
            if let Some(value) = read(one) {
                text.sample(name, &labels, value);
            }
        }
    }
    text.single(
        "forebay_metrics_partitions_left_out",
        Kind::Gauge,
        "Partitions beyond the bound of a scrape: they count in the totals only.",
        partitions.len().saturating_sub(SERIES_MAX),
    );
}
