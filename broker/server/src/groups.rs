//! The driver of the group coordinators, one for each partition of `__consumer_offsets` that this broker leads: what they need
//! besides what `coordinators` gives every kind.

mod cluster;
mod deletions;
mod driver;

use std::sync::Arc;

use forebay_broker_controller::CONSUMER_OFFSETS;
use forebay_broker_coordinator::{Command, Config, EndOfTransaction, RequestContext, Response};
use forebay_protocol::{ErrorCode, Utf8Bytes, Uuid};

use crate::coordinators::{Coordinators, Surroundings};
use cluster::MetadataCluster;
use driver::GroupDriver;

/// The coordinators of this broker.
#[derive(Debug)]
pub(crate) struct Groups {
    coordinators: Coordinators<GroupDriver>,
}

impl Groups {
    /// No coordinator yet.
    pub(crate) fn new(config: Config, surroundings: Surroundings) -> Self {
        let metadata = Arc::clone(&surroundings.metadata);
        let cluster = Arc::new(MetadataCluster(Arc::clone(&metadata)));
        let driver = move || {
            let metadata = Arc::clone(&metadata);
            let exists = move |topic: &str, id: Uuid| {
                let image = metadata.image();
                let known = image.topic(topic);
                known.is_some_and(|known| id.is_zero() || known.id() == id)
            };
            GroupDriver::new(config.clone(), Arc::clone(&cluster) as _, exists)
        };
        Self {
            coordinators: Coordinators::new(CONSUMER_OFFSETS, surroundings, driver),
        }
    }

    /// As [`Coordinators::start`].
    pub(crate) fn start(&self) {
        self.coordinators.start();
    }

    /// Tells the coordinators which topics are gone, from now to the end of the broker.
    pub(crate) async fn follow_deletions(self: Arc<Self>) {
        let Surroundings {
            metadata,
            replicas,
            shutdown,
        } = self.coordinators.surroundings();
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
            for shard in self.coordinators.all() {
                shard.forget_topics(&deleted);
            }
        }
    }

    /// Asks the coordinator of a group; `None` if the broker stops first.
    pub(crate) async fn ask(
        &self,
        group: &str,
        context: RequestContext,
        command: Command,
    ) -> Option<Response> {
        self.coordinators.ask(group, context, command).await
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
        let shard = self.coordinators.shard(partition);
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

    /// Which partition of `__consumer_offsets` has a group; none while the topic is not there.
    pub(crate) fn partition_of(&self, group: &str) -> Option<i32> {
        self.coordinators.partition_of(group)
    }

    /// As [`Coordinators::ask_each`].
    pub(crate) async fn ask_each(
        &self,
        groups: Vec<Utf8Bytes>,
        context: &RequestContext,
        command: impl Fn(Vec<Utf8Bytes>) -> Command,
    ) -> Vec<Response> {
        self.coordinators.ask_each(groups, context, command).await
    }

    /// Asks every coordinator of this broker.
    pub(crate) async fn ask_all(
        &self,
        context: &RequestContext,
        command: impl Fn() -> Command,
    ) -> Vec<Response> {
        self.coordinators.ask_all(context, command).await
    }

    /// Answers everything that is parked: the broker stops.
    pub(crate) fn resign(&self) {
        self.coordinators.resign();
    }
}

#[cfg(test)]
mod tests;
