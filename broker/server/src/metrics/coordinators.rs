//! The coordinators of groups and of transactions: how many partitions of them are loaded, how long that took, and what state their
//! transactions are in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use forebay_broker_coordinator::RequestContext;
use forebay_broker_coordinator::transaction::{Command, Listing, Response};
use forebay_metrics::{Kind, Text};
use forebay_protocol::messages::ListTransactionsRequest;

use crate::core::Core;

/// How long coordinators took to read their partitions.
#[derive(Debug, Default)]
pub(crate) struct LoadTimes {
    count: AtomicU64,
    milliseconds: AtomicU64,
    max: AtomicU64,
}

impl LoadTimes {
    /// A partition was read.
    pub(crate) fn record(&self, took: Duration) {
        let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.milliseconds.fetch_add(milliseconds, Ordering::Relaxed);
        self.max.fetch_max(milliseconds, Ordering::Relaxed);
    }

    /// The longest, and the average, in milliseconds.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn read(&self) -> (u64, f64) {
        let count = self.count.load(Ordering::Relaxed).max(1);
        let average = self.milliseconds.load(Ordering::Relaxed) as f64 / count as f64;
        (self.max.load(Ordering::Relaxed), average)
    }
}

/// In which states the coordinators of one kind are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Partitions {
    /// Their logs are being read.
    pub(crate) loading: usize,
    /// They answer.
    pub(crate) active: usize,
    /// They answer no more.
    pub(crate) failed: usize,
}

/// Writes those of both kinds, and the transactions.
pub(super) async fn render(core: &Arc<Core>, text: &mut Text) {
    let kinds = [
        (
            "group_coordinator_metrics",
            core.groups.counts(),
            core.groups.load_times(),
        ),
        (
            "transaction_coordinator_metrics",
            core.transactions.counts(),
            core.transactions.load_times(),
        ),
    ];
    for (kind, partitions, times) in kinds {
        let name = format!("kafka_server_{kind}_num_partitions");
        text.family(
            &name,
            Kind::Gauge,
            "Partitions of the coordinators' topic, by the state of their coordinator.",
        );
        for (state, count) in [
            ("loading", partitions.loading),
            ("active", partitions.active),
            ("failed", partitions.failed),
        ] {
            text.sample(&name, &[("state", &state)], count);
        }
        let (max, average) = times.read();
        text.single(
            &format!("kafka_server_{kind}_partition_load_time_max"),
            Kind::Gauge,
            "Milliseconds that reading a partition took at most.",
            max,
        );
        text.single(
            &format!("kafka_server_{kind}_partition_load_time_avg"),
            Kind::Gauge,
            "Milliseconds that reading a partition took on average.",
            average,
        );
    }
    transactions(core, text).await;
}

async fn transactions(core: &Arc<Core>, text: &mut Text) {
    let context = RequestContext {
        api_version: 2,
        client_id: "metrics".into(),
        client_host: "/127.0.0.1".into(),
    };
    let mut states: BTreeMap<String, usize> = BTreeMap::new();
    // A request without filters is read by anybody.
    if let Ok(all) = Listing::of(&ListTransactionsRequest::default()) {
        let command = || Command::ListTransactions(Arc::clone(&all.filters));
        for answer in core.transactions.ask_all(&context, command).await {
            let Response::ListTransactions(Ok(share)) = answer else {
                continue;
            };
            for transaction in share {
                *states
                    .entry(transaction.transaction_state.to_string())
                    .or_default() += 1;
            }
        }
    }
    let name = "forebay_transactions";
    text.family(
        name,
        Kind::Gauge,
        "Transactional ids, by the state of their last transaction.",
    );
    text.sample(name, &[], states.values().sum::<usize>());
    for (state, count) in &states {
        text.sample(name, &[("state", state)], count);
    }
}
