//! What the partition did, against what the reference expects.

use std::collections::{BTreeMap, BTreeSet};

use super::{Fetch, Model, SELF};
use crate::{AcknowledgeAfter, Action, Error, RequiredAcks, Role};

impl Model {
    /// Proposals are the partition's to make; here they only must be allowed (the stories say when they must be made).
    pub(super) fn take_proposals(&mut self, actions: &[Action]) {
        for action in actions {
            let Action::AlterIsr {
                isr,
                leader_epoch,
                partition_epoch,
            } = action
            else {
                continue;
            };
            assert!(
                self.role == Role::Leader && self.proposed.is_none(),
                "one proposal at a time"
            );
            assert_eq!(
                (leader_epoch.0, *partition_epoch),
                (self.epoch, self.partition_epoch)
            );
            let isr: BTreeSet<i32> = isr.iter().map(|id| id.0).collect();
            assert!(isr.contains(&SELF) && isr != self.isr);
            for joining in isr.difference(&self.isr) {
                assert!(
                    self.followers[joining].unwrap() >= self.high_watermark,
                    "it has what is acknowledged"
                );
            }
            for leaving in self.isr.difference(&isr) {
                assert_ne!(self.followers[leaving], Some(self.end), "it lags");
            }
            self.proposed = Some(isr);
        }
    }

    pub(super) fn check_offsets(&mut self, actions: &[Action]) {
        let before = self.high_watermark;
        let candidate = match self.role {
            Role::Leader if self.isr.len() >= self.min_insync_replicas() => self
                .maximal()
                .iter()
                .filter(|id| **id != SELF)
                .map(|id| self.followers[id].unwrap_or(-1))
                .fold(self.acknowledged(), i64::min),
            Role::Follower => self.leaders_high_watermark.min(self.acknowledged()),
            _ => before,
        };
        self.high_watermark = before.max(candidate);
        let told: Vec<_> = actions
            .iter()
            .filter_map(|action| match action {
                Action::HighWatermark { offset } => Some(offset.0),
                _ => None,
            })
            .collect();
        let expected = if self.high_watermark > before {
            vec![self.high_watermark]
        } else {
            vec![]
        };
        assert_eq!(told, expected, "{self:?}");
        assert_eq!(self.partition.role(), self.role);
        assert_eq!(self.partition.high_watermark().0, self.high_watermark);
        assert_eq!(self.partition.last_stable_offset().0, self.stable());
        assert_eq!(self.partition.log_end_offset().0, self.end);
        assert_eq!(self.partition.log_start_offset().0, self.start);
        assert_eq!(self.partition.synced_offset().0, self.synced);
    }

    pub(super) fn check_produces(&mut self, actions: &[Action]) {
        let mut expected = BTreeMap::new();
        let enough = self.maximal().len() >= self.min_insync_replicas();
        self.produces.retain(|waiter, wait| {
            let reached = match wait.acks {
                RequiredAcks::All => self.high_watermark >= wait.required_offset.0,
                _ if self.config.acknowledge_after == AcknowledgeAfter::Sync => {
                    self.synced >= wait.required_offset.0
                }
                _ => self.end >= wait.required_offset.0,
            };
            let result = match self.role {
                Role::Offline => Err("KAFKA_STORAGE_ERROR"),
                Role::Deleted => Err("UNKNOWN_TOPIC_OR_PARTITION"),
                Role::Leader if reached && wait.acks == RequiredAcks::All && !enough => {
                    Err("NOT_ENOUGH_REPLICAS_AFTER_APPEND")
                }
                Role::Leader if reached => Ok(()),
                Role::Leader => return true,
                _ => Err("NOT_LEADER_OR_FOLLOWER"),
            };
            expected.insert(*waiter, result);
            false
        });
        let mut found = BTreeMap::new();
        for action in actions {
            if let Action::CompleteProduce { waiter, result } = action {
                let result = result
                    .as_ref()
                    .map_err(|error: &Error| error.error_code().name())
                    .copied();
                assert!(found.insert(waiter.0, result).is_none(), "completed twice");
            }
        }
        assert_eq!(found, expected, "{self:?}");
        assert_eq!(self.partition.waiting_produces(), self.produces.len());
    }

    pub(super) fn check_fetches(&mut self, actions: &[Action], mut woken: BTreeSet<u64>) {
        let (start, end) = (self.start, self.end);
        let gone = |fetch: &Fetch| fetch.offset < start || fetch.offset > end;
        woken.extend(
            self.fetches
                .extract_if(.., |_, fetch| gone(fetch))
                .map(|(waiter, _)| waiter),
        );
        let found: BTreeSet<u64> = actions
            .iter()
            .filter_map(|action| match action {
                Action::WakeFetch { waiter } => Some(waiter.0),
                _ => None,
            })
            .collect();
        assert_eq!(found, woken, "{self:?}");
        for action in actions {
            if let Action::FetchProgress {
                waiter,
                index,
                available_bytes,
            } = action
            {
                assert_eq!(*index as u64, waiter.0);
                let fetch = self.fetches.get_mut(&waiter.0).expect("a fetch that waits");
                assert!(*available_bytes > fetch.reported, "only what is new is reported");
                fetch.reported = *available_bytes;
            }
        }
        if self.serves() {
            for fetch in self.fetches.values() {
                assert_eq!(fetch.reported, self.available(fetch), "{fetch:?} {self:?}");
            }
        }
        assert_eq!(self.partition.waiting_fetches(), self.fetches.len());
    }

    pub(super) fn check_sync(&mut self, actions: &[Action]) {
        let asked = actions
            .iter()
            .filter(|action| matches!(action, Action::Sync { .. }))
            .count();
        let wanted = self.config.acknowledge_after == AcknowledgeAfter::Sync
            && !matches!(self.role, Role::Offline | Role::Deleted)
            && self.synced < self.end
            && !self.sync_in_flight;
        assert_eq!(asked, usize::from(wanted), "{self:?}");
        self.sync_in_flight |= wanted;
    }
}
