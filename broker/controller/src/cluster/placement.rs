//! On which brokers new partitions are put (Kafka's `StripedReplicaPlacer`): replicas of a partition in as many racks as there
//! are, leaders evenly over the unfenced brokers, followers in turn, and never the same order of brokers again and again. The
//! leader of a new partition is never fenced; fenced brokers take followers only once the others are used up.

use std::collections::BTreeMap;

use forebay_protocol::{NodeId, Utf8Bytes};

use crate::image::MetadataImage;
use crate::random::Random;

/// Why partitions cannot be placed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// No replica at all was asked for.
    #[error("Invalid replication factor {0}: the replication factor must be positive.")]
    NotPositive(i16),
    /// No broker can lead.
    #[error("All brokers are currently fenced, or have all their log directories cordoned.")]
    NobodyCanLead,
    /// There are fewer brokers than replicas.
    #[error(
        "The target replication factor of {factor} cannot be reached because only {brokers} broker(s) are registered or \
         some brokers have all their log directories cordoned."
    )]
    TooFewBrokers {
        /// What was asked for.
        factor: i16,
        /// How many brokers take replicas.
        brokers: usize,
    },
}

/// The replicas of `count` new partitions, the leader of each first.
pub(crate) fn place(
    image: &MetadataImage,
    count: usize,
    replication_factor: i16,
    random: &mut Random,
) -> Result<Vec<Vec<NodeId>>, Error> {
    let mut racks = RackList::new(image, random);
    if replication_factor <= 0 {
        return Err(Error::NotPositive(replication_factor));
    }
    if racks.unfenced_count == 0 {
        return Err(Error::NobodyCanLead);
    }
    let factor = usize::from(replication_factor.unsigned_abs());
    if factor > racks.total_count {
        return Err(Error::TooFewBrokers {
            factor: replication_factor,
            brokers: racks.total_count,
        });
    }
    Ok((0..count).map(|_| racks.place(factor, random)).collect())
}

/// Brokers to take one after another. Each round begins one further along than the round before.
#[derive(Debug, Default)]
struct BrokerList {
    brokers: Vec<NodeId>,
    /// How many have been taken in this round.
    taken: usize,
    offset: usize,
    round: usize,
}

impl BrokerList {
    fn initialize(&mut self, random: &mut Random) {
        if !self.brokers.is_empty() {
            self.brokers.sort_unstable();
            self.offset = random.below(self.brokers.len());
        }
    }

    fn next(&mut self, round: usize) -> Option<NodeId> {
        if self.brokers.is_empty() {
            return None;
        }
        if self.round != round {
            self.round = round;
            self.taken = 0;
            self.offset = (self.offset + 1) % self.brokers.len();
        }
        if self.taken >= self.brokers.len() {
            return None;
        }
        let broker = self.brokers[(self.taken + self.offset) % self.brokers.len()];
        self.taken += 1;
        Some(broker)
    }
}

#[derive(Debug, Default)]
struct Rack {
    fenced: BrokerList,
    unfenced: BrokerList,
}

impl Rack {
    fn next(&mut self, round: usize) -> Option<NodeId> {
        self.unfenced.next(round).or_else(|| self.fenced.next(round))
    }
}

#[derive(Debug)]
struct RackList {
    racks: Vec<Rack>,
    total_count: usize,
    unfenced_count: usize,
    round: usize,
    /// The rack that the next leader is looked for in first.
    offset: usize,
}

impl RackList {
    fn new(image: &MetadataImage, random: &mut Random) -> Self {
        let mut racks: BTreeMap<Option<Utf8Bytes>, Rack> = BTreeMap::new();
        let (mut total_count, mut unfenced_count) = (0, 0);
        for broker in image.brokers().filter(|broker| broker.takes_replicas()) {
            let rack = racks.entry(broker.rack.clone()).or_default();
            total_count += 1;
            if broker.fenced {
                rack.fenced.brokers.push(broker.id);
            } else {
                unfenced_count += 1;
                rack.unfenced.brokers.push(broker.id);
            }
        }
        let mut racks: Vec<Rack> = racks.into_values().collect();
        for rack in &mut racks {
            rack.fenced.initialize(random);
            rack.unfenced.initialize(random);
        }
        let offset = if racks.is_empty() {
            0
        } else {
            random.below(racks.len())
        };
        Self {
            racks,
            total_count,
            unfenced_count,
            round: 0,
            offset,
        }
    }

    /// Needs as many brokers as replicas, one of them unfenced: `place` has seen to that.
    fn place(&mut self, replicas: usize, random: &mut Random) -> Vec<NodeId> {
        // Once every unfenced broker has led, the order is drawn anew. With one there is nothing to draw.
        if self.round == self.unfenced_count && self.unfenced_count > 1 {
            self.shuffle(random);
            self.round = 0;
        }
        if self.offset == self.racks.len() {
            self.offset = 0;
        }
        let mut placed = Vec::with_capacity(replicas);
        let mut leader_rack = self.offset;
        loop {
            if let Some(leader) = self.racks[leader_rack].unfenced.next(self.round) {
                placed.push(leader);
                break;
            }
            leader_rack = (leader_rack + 1) % self.racks.len();
        }
        // The leader's rack is passed over once, as it has its replica.
        let mut passed_over = Some(leader_rack);
        let mut rack = self.offset;
        while placed.len() < replicas {
            if passed_over == Some(rack) {
                passed_over = None;
            } else {
                placed.extend(self.racks[rack].next(self.round));
            }
            rack = (rack + 1) % self.racks.len();
        }
        self.round += 1;
        self.offset += 1;
        placed
    }

    fn shuffle(&mut self, random: &mut Random) {
        random.shuffle(&mut self.racks);
        for rack in &mut self.racks {
            random.shuffle(&mut rack.fenced.brokers);
            random.shuffle(&mut rack.unfenced.brokers);
        }
    }
}
