//! The driver of the group coordinators, one for each partition of `__consumer_offsets` that this broker leads: what they need
//! besides what `coordinators` gives every kind.

mod cluster;
mod deletions;
mod driver;
mod expressions;

use std::sync::Arc;

use forebay_broker_controller::CONSUMER_OFFSETS;
use forebay_broker_coordinator::{Command, Config, EndOfTransaction, Response};
use forebay_protocol::{ErrorCode, Uuid};

use crate::coordinators::{Coordinators, Surroundings};
use cluster::MetadataCluster;
pub(crate) use driver::GroupDriver;

/// The coordinators of this broker.
pub(crate) type Groups = Coordinators<GroupDriver>;

impl Groups {
    /// No coordinator yet.
    pub(crate) fn of_broker(config: Config, surroundings: Surroundings) -> Self {
        let metadata = Arc::clone(&surroundings.metadata);
        let cluster = Arc::new(MetadataCluster(Arc::clone(&metadata)));
        let resolving = expressions::Turns::default();
        let driver = move || {
            let metadata = Arc::clone(&metadata);
            let exists = move |topic: &str, id: Uuid| {
                let image = metadata.image();
                let known = image.topic(topic);
                known.is_some_and(|known| id.is_zero() || known.id() == id)
            };
            GroupDriver::new(
                config.clone(),
                Arc::clone(&cluster) as _,
                resolving.clone(),
                exists,
            )
        };
        Self::new(CONSUMER_OFFSETS, surroundings, driver)
    }

    /// Tells the coordinators which topics are gone, from now to the end of the broker.
    pub(crate) async fn follow_deletions(self: Arc<Self>) {
        let Surroundings {
            metadata,
            replicas,
            shutdown,
        } = self.surroundings();
        let mut images = metadata.subscribe();
        let shutdown = shutdown.clone().requested();
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => return,
                changed = images.changed() => if changed.is_err() { return },
            }
            let deleted = replicas.take_deleted();
            if deleted.is_empty() {
                continue;
            }
            for shard in self.all() {
                shard.forget_topics(&deleted);
            }
        }
    }

    /// Ends a transaction that groups of a partition of `__consumer_offsets` may have part in.
    ///
    /// # Errors
    /// What the log says to the marker, or that it cannot be written here and now.
    pub(crate) async fn end_transaction(
        &self,
        partition: i32,
        end: EndOfTransaction,
    ) -> Result<(), ErrorCode> {
        let shard = self.shard(partition);
        let shard = shard.map_err(|_not_here| ErrorCode::NotLeaderOrFollower)?;
        match shard.request_of_its_own(Command::EndTransaction(end)).await {
            Some(Response::EndTransaction(Ok(()))) => Ok(()),
            // Words that the transaction coordinator does not expect: it is to try again.
            Some(Response::EndTransaction(Err(
                ErrorCode::CoordinatorNotAvailable
                | ErrorCode::CoordinatorLoadInProgress
                | ErrorCode::NotCoordinator,
            )))
            | None => Err(ErrorCode::NotLeaderOrFollower),
            Some(Response::EndTransaction(Err(code))) => Err(code),
            Some(_) => Err(ErrorCode::UnknownServerError),
        }
    }
}

#[cfg(test)]
mod tests;
