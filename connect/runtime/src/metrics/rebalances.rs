//! The worker in its group: Kafka's `connect-worker-rebalance-metrics`. A worker alone has none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use forebay_metrics::{Kind, Sampled, Text};

use crate::group::Protocol;

/// What is told of rebalances. One takes from when the worker has to join until it has been told what it has.
#[derive(Debug)]
pub(crate) struct Rebalances(Mutex<Known>);

#[derive(Debug)]
struct Known {
    protocol: Protocol,
    /// The URL of the one who leads.
    leader: Option<Arc<str>>,
    generation: i32,
    /// When the one began that is under way.
    began: Option<Instant>,
    completed: u64,
    /// When the last one was completed.
    completed_at: Option<Instant>,
    took_ms: Sampled,
}

impl Rebalances {
    /// Of a worker that is in no group yet.
    pub(crate) fn new(protocol: Protocol) -> Self {
        Self(Mutex::new(Known {
            protocol,
            leader: None,
            generation: -1,
            began: None,
            completed: 0,
            completed_at: None,
            took_ms: Sampled::new(Instant::now()),
        }))
    }

    /// Whether the worker has to join, or is joining.
    pub(crate) fn is_rebalancing(&self, is_rebalancing: bool) {
        let mut known = self.lock();
        if is_rebalancing {
            known.began.get_or_insert_with(Instant::now);
        } else {
            known.began = None;
        }
    }

    /// The worker has been told what it has.
    pub(crate) fn completed(&self, leader: &str, protocol: Protocol, generation: i32) {
        let now = Instant::now();
        let mut known = self.lock();
        known.completed += 1;
        known.completed_at = Some(now);
        let began = known.began.take();
        let took = began.map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        known.took_ms.record(took.as_secs_f64() * 1e3, now);
        (known.leader, known.protocol, known.generation) = (Some(leader.into()), protocol, generation);
    }

    /// The worker is out of its group.
    pub(crate) fn lost(&self) {
        self.lock().leader = None;
    }

    /// Tells of them.
    pub(crate) fn render(&self, text: &mut Text) {
        self.lock().render(text, Instant::now());
    }

    /// Nothing in here panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn render(&mut self, text: &mut Text, now: Instant) {
        let group = "kafka_connect_connect_worker_rebalance_metrics";
        let name = |end: &str| format!("{group}_{end}");
        let completed = name("completed_rebalances_total");
        text.single(
            &completed,
            Kind::Counter,
            "Rebalances that were completed",
            self.completed,
        );
        let mut gauge = |end: &str, help: &str, value: f64| {
            text.single(&name(end), Kind::Gauge, help, value);
        };
        gauge(
            "rebalancing",
            "1 while one is under way",
            f64::from(u8::from(self.began.is_some())),
        );
        gauge(
            "epoch",
            "The generation of the worker",
            f64::from(self.generation),
        );
        if let (Some(max), Some(average)) = (self.took_ms.max(now), self.took_ms.average(now)) {
            gauge("rebalance_max_time_ms", "The longest rebalance lately", max);
            gauge("rebalance_avg_time_ms", "A rebalance lately", average);
        }
        let since = name("time_since_last_rebalance_ms");
        let help = "Milliseconds since the last one was completed";
        text.family(&since, Kind::Gauge, help);
        match self.completed_at {
            // As Prometheus writes what is endless.
            None => text.sample(&since, &[], "+Inf"),
            Some(at) => text.sample(&since, &[], now.saturating_duration_since(at).as_millis()),
        }
        let words = [
            (
                "connect_protocol",
                "The protocol of the group",
                Some(self.protocol_name()),
            ),
            ("leader_name", "Who leads the group", self.leader.as_deref()),
        ];
        for (end, help, word) in words {
            let Some(word) = word else { continue };
            text.family(&name(end), Kind::Gauge, help);
            text.sample(&name(end), &[(end, &word)], 1);
        }
    }

    /// As Kafka's metric has it.
    fn protocol_name(&self) -> &'static str {
        match self.protocol {
            Protocol::Eager => "EAGER",
            Protocol::Compatible => "COMPATIBLE",
            Protocol::Sessioned => "SESSIONED",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(rebalances: &Rebalances) -> Vec<String> {
        let mut text = Text::default();
        rebalances.render(&mut text);
        let text = text.finish();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let prefix = "kafka_connect_connect_worker_rebalance_metrics_";
        lines
            .map(|line| line.strip_prefix(prefix).expect(line).to_owned())
            .collect()
    }

    #[test]
    fn a_rebalance_is_told_while_it_lasts_and_when_it_is_over() {
        let rebalances = Rebalances::new(Protocol::Sessioned);
        rebalances.is_rebalancing(true);
        assert_eq!(
            told(&rebalances),
            [
                "completed_rebalances_total 0",
                "rebalancing 1",
                "epoch -1",
                "time_since_last_rebalance_ms +Inf",
                "connect_protocol{connect_protocol=\"SESSIONED\"} 1",
            ]
        );
        rebalances.completed("http://a:8083/", Protocol::Compatible, 7);
        // It has given something up, and has to join again.
        rebalances.is_rebalancing(true);
        rebalances.completed("http://a:8083/", Protocol::Compatible, 8);
        rebalances.is_rebalancing(false);
        let lines = told(&rebalances);
        for line in [
            "completed_rebalances_total 2",
            "rebalancing 0",
            "epoch 8",
            "connect_protocol{connect_protocol=\"COMPATIBLE\"} 1",
            "leader_name{leader_name=\"http://a:8083/\"} 1",
        ] {
            assert!(
                lines.iter().any(|told| told == line),
                "{line} is not in {lines:?}"
            );
        }
        for begins in [
            "rebalance_max_time_ms ",
            "rebalance_avg_time_ms ",
            "time_since_last_rebalance_ms ",
        ] {
            let value = lines
                .iter()
                .find_map(|line| line.strip_prefix(begins))
                .expect(begins);
            let value: f64 = value.parse().expect(value);
            assert!((0.0..60_000.0).contains(&value), "{begins}{value}");
        }
        rebalances.lost();
        assert!(
            !told(&rebalances)
                .iter()
                .any(|line| line.starts_with("leader_name"))
        );
    }
}
