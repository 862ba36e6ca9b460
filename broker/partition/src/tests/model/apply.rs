//! Applies an event to the reference's plain facts, and says which command tells the partition; none if it cannot happen now.

use std::collections::BTreeSet;

use forebay_protocol::NodeId;
use forebay_records::{LeaderEpoch, Offset};

use super::{Event, FOLLOWERS, Fetch, Model, SELF};
use crate::{
    AcknowledgeAfter, AwaitFetch, AwaitProduce, Command, FetchWaiter, LeaderAndIsr, ProduceWaiter,
    RequiredAcks, Role,
};

impl Model {
    /// `woken` gets the fetches that it ends.
    pub(super) fn apply(&mut self, event: &Event, woken: &mut BTreeSet<u64>) -> Option<Command> {
        self.apply_to_role(event, woken)
            .or_else(|| self.apply_to_log(event, woken))
            .or_else(|| self.apply_to_replicas(event))
            .or_else(|| self.apply_to_waiters(event, woken))
    }

    fn over(&self) -> bool {
        matches!(self.role, Role::Offline | Role::Deleted)
    }

    fn wake_all(&mut self, woken: &mut BTreeSet<u64>) {
        woken.extend(std::mem::take(&mut self.fetches).into_keys());
    }

    fn apply_to_role(&mut self, event: &Event, woken: &mut BTreeSet<u64>) -> Option<Command> {
        Some(match *event {
            Event::Leader { newer_epoch, isr } => {
                let in_sync = FOLLOWERS.into_iter().zip(isr).filter(|(_, in_sync)| *in_sync);
                let isr = in_sync.map(|(id, _)| id).chain([SELF]).collect();
                self.become_leader(newer_epoch || self.epoch < 0, isr, woken)
            }
            Event::AlterIsr { accepted: true } => {
                let proposed = self.proposed.take()?;
                self.become_leader(false, proposed, woken)
            }
            Event::Follower { newer_epoch } => self.become_follower(newer_epoch || self.epoch < 0, woken),
            Event::Fail => {
                if !self.over() {
                    self.role = Role::Offline;
                    self.wake_all(woken);
                }
                Command::Fail
            }
            Event::Delete => {
                self.role = Role::Deleted;
                self.wake_all(woken);
                Command::Delete
            }
            _ => return None,
        })
    }

    fn become_leader(&mut self, newer: bool, isr: BTreeSet<i32>, woken: &mut BTreeSet<u64>) -> Command {
        self.epoch += i32::from(newer);
        self.partition_epoch += 1;
        if !self.over() {
            if newer || self.role != Role::Leader {
                self.wake_all(woken);
            }
            if self.role != Role::Leader {
                self.followers = FOLLOWERS.iter().map(|id| (*id, None)).collect();
            }
            self.role = Role::Leader;
            self.isr = isr.clone();
            self.proposed = None;
        }
        Command::BecomeLeader(LeaderAndIsr {
            leader_epoch: LeaderEpoch(self.epoch),
            partition_epoch: self.partition_epoch,
            replicas: [0, 1, 2].map(NodeId).to_vec(),
            isr: isr.into_iter().map(NodeId).collect(),
        })
    }

    fn become_follower(&mut self, newer: bool, woken: &mut BTreeSet<u64>) -> Command {
        self.epoch += i32::from(newer);
        self.partition_epoch += 1;
        if !self.over() && (newer || self.role != Role::Follower) {
            self.wake_all(woken);
            self.leaders_high_watermark = 0;
            self.role = Role::Follower;
            self.followers.clear();
            self.isr.clear();
            self.proposed = None;
        }
        Command::BecomeFollower {
            leader: Some(NodeId(1)),
            leader_epoch: LeaderEpoch(self.epoch),
            partition_epoch: self.partition_epoch,
        }
    }

    fn apply_to_log(&mut self, event: &Event, woken: &mut BTreeSet<u64>) -> Option<Command> {
        Some(match *event {
            Event::Append {
                records,
                bytes,
                in_transaction,
            } if self.serves() => {
                let first = self.end;
                self.end += records;
                self.appends.push((self.end, bytes));
                if in_transaction {
                    self.unstable.get_or_insert(first);
                }
                Command::Appended {
                    log_end_offset: Offset(self.end),
                    bytes,
                    first_unstable_offset: self.unstable.map(Offset),
                }
            }
            Event::EndTransaction if self.serves() => {
                self.unstable = None;
                Command::FirstUnstableOffset { offset: None }
            }
            Event::Synced { short_of_end } if self.sync_in_flight && !self.over() => {
                self.sync_in_flight = false;
                let offset = self.end - short_of_end;
                if !std::mem::take(&mut self.sync_is_stale) {
                    self.synced = self.synced.max(offset);
                }
                Command::Synced {
                    offset: Offset(offset),
                }
            }
            Event::LogStart { ahead } if self.serves() => {
                self.start = (self.start + ahead).min(self.high_watermark);
                Command::LogStart {
                    offset: Offset(self.start),
                }
            }
            Event::Truncated { back } if self.role == Role::Follower => {
                self.end = self.start.max(self.end - back);
                self.truncated(woken);
                Command::Truncated {
                    log_end_offset: Offset(self.end),
                }
            }
            Event::StartedAt { ahead } if self.role == Role::Follower => {
                self.end += ahead;
                (self.start, self.high_watermark, self.synced) = (self.end, self.end, self.end);
                self.appends.clear();
                self.unstable = None;
                self.truncated(woken);
                Command::StartedAt {
                    offset: Offset(self.end),
                }
            }
            _ => return None,
        })
    }

    /// After the log's end has been set: nothing else may lie beyond it.
    fn truncated(&mut self, woken: &mut BTreeSet<u64>) {
        self.sync_is_stale = self.sync_in_flight;
        self.synced = self.synced.min(self.end);
        self.high_watermark = self.high_watermark.min(self.end);
        self.unstable = self.unstable.filter(|offset| *offset < self.end);
        self.appends.retain(|(end, _)| *end <= self.end);
        if self.appends.is_empty() {
            self.appends.push((self.end, 0));
        }
        self.wake_all(woken);
    }

    fn apply_to_replicas(&mut self, event: &Event) -> Option<Command> {
        Some(match *event {
            Event::Fetched { follower, behind } => {
                let (id, offset) = (FOLLOWERS[follower], self.end - behind);
                if let Some(has) = self.followers.get_mut(&id)
                    && offset <= self.end
                {
                    *has = Some(offset);
                }
                Command::ReplicaFetched {
                    replica: NodeId(id),
                    fetch_offset: Offset(offset),
                    log_start_offset: Offset(0),
                }
            }
            Event::LeaderState { ahead } if self.role == Role::Follower => {
                self.leaders_high_watermark = self.high_watermark + ahead;
                Command::LeaderState {
                    high_watermark: Offset(self.leaders_high_watermark),
                }
            }
            Event::AlterIsr { accepted: false } => {
                self.proposed.take()?;
                Command::AlterIsrRefused
            }
            Event::Configure {
                sync,
                min_insync_replicas,
            } => {
                let after = if sync {
                    AcknowledgeAfter::Sync
                } else {
                    AcknowledgeAfter::Append
                };
                self.config.acknowledge_after = after;
                self.config.min_insync_replicas = min_insync_replicas;
                Command::Configure(self.config)
            }
            Event::Time { ms } => {
                self.now += ms;
                Command::Tick
            }
            _ => return None,
        })
    }

    fn apply_to_waiters(&mut self, event: &Event, woken: &mut BTreeSet<u64>) -> Option<Command> {
        self.next_waiter += 1;
        let waiter = self.next_waiter;
        Some(match *event {
            Event::Produce { all, behind } => {
                let wait = AwaitProduce {
                    waiter: ProduceWaiter(waiter),
                    acks: if all {
                        RequiredAcks::All
                    } else {
                        RequiredAcks::Leader
                    },
                    required_offset: Offset(self.end - behind),
                };
                self.produces.insert(waiter, wait);
                Command::AwaitProduce(wait)
            }
            Event::Fetch {
                behind,
                isolation,
                bytes_max,
                stale,
            } => {
                let offset = self.end - behind;
                if self.serves() && !stale {
                    self.fetches.insert(
                        waiter,
                        Fetch {
                            offset,
                            isolation,
                            bytes_max,
                            reported: 0,
                        },
                    );
                } else {
                    woken.insert(waiter);
                }
                Command::AwaitFetch(AwaitFetch {
                    waiter: FetchWaiter(waiter),
                    index: usize::try_from(waiter).expect("counts from 1"),
                    fetch_offset: Offset(offset),
                    isolation,
                    bytes_max,
                    leader_epoch: LeaderEpoch(self.epoch - i32::from(stale)),
                })
            }
            Event::CancelProduce { nth } => {
                let waiter = *self.produces.keys().nth(nth)?;
                self.produces.remove(&waiter);
                Command::CancelProduce(ProduceWaiter(waiter))
            }
            Event::CancelFetch { nth } => {
                let waiter = *self.fetches.keys().nth(nth)?;
                self.fetches.remove(&waiter);
                Command::CancelFetch(FetchWaiter(waiter))
            }
            _ => return None,
        })
    }
}
