//! Producer ids, handed to brokers in blocks (KIP-730; `ProducerIdControlManager`).

use forebay_protocol::internal_record::MetadataRecord;
use forebay_protocol::messages::ProducerIdsRecord;
use forebay_protocol::{ErrorCode, NodeId};
use forebay_records::ProducerId;

use super::broker_lifecycle::registered;
use crate::ApiError;
use crate::controller::{Cluster, Command, Outcome};

/// How many ids a block has.
pub const PRODUCER_ID_BLOCK_SIZE: i64 = 1000;

/// Ids that one broker may give out: [`PRODUCER_ID_BLOCK_SIZE`] from `first` on. Once the response is out they are used up,
/// whether the broker gives them out or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerIdBlock {
    /// The first of them.
    pub first: ProducerId,
}

impl ProducerIdBlock {
    /// The ids of the block.
    pub fn ids(self) -> impl Iterator<Item = ProducerId> {
        (self.first.0..self.first.0 + PRODUCER_ID_BLOCK_SIZE).map(ProducerId)
    }
}

/// Takes the next block of producer ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllocateProducerIds {
    /// The broker that will give them out.
    pub broker_id: NodeId,
    /// The epoch of its registration.
    pub broker_epoch: i64,
}

impl Command for AllocateProducerIds {
    type Response = Result<ProducerIdBlock, ApiError>;

    fn decide(self, cluster: &Cluster<'_>) -> Outcome<Self::Response> {
        if let Err(error) = registered(cluster, self.broker_id, self.broker_epoch) {
            return Outcome::unchanged(Err(error));
        }
        let first = cluster.image.next_producer_id();
        let Some(next_producer_id) = first.0.checked_add(PRODUCER_ID_BLOCK_SIZE) else {
            let text = "Exhausted all producerIds as the next block's end producerId has exceeded the int64 type limit";
            return Outcome::unchanged(Err(ApiError::new(ErrorCode::UnknownServerError, text)));
        };
        let record = ProducerIdsRecord {
            broker_id: self.broker_id.0,
            broker_epoch: self.broker_epoch,
            next_producer_id,
            ..ProducerIdsRecord::default()
        };
        let records = vec![cluster.record(MetadataRecord::ProducerIds(record))];
        Outcome::new(records, Ok(ProducerIdBlock { first }))
    }
}
