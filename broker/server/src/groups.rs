//! The driver of the group coordinators: one for each partition of `__consumer_offsets` that this broker leads, loaded by
//! reading the partition through, then fed with requests, commits and time.

mod shard;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use forebay_broker_controller::{CONSUMER_OFFSETS, MetadataImage};
use forebay_broker_coordinator::{
    Command, Config, Request, RequestContext, RequestId, Response, partition_for,
};
use forebay_broker_partition::Role;
use forebay_protocol::{ErrorCode, Utf8Bytes, Uuid};
use forebay_records::Offset;

use crate::metadata::Metadata;
use crate::replicas::Replicas;
use crate::shutdown::Shutdown;
use shard::{Driver, Shard};

/// The coordinators of this broker.
#[derive(Debug)]
pub(crate) struct Groups {
    config: Config,
    metadata: Arc<Metadata>,
    replicas: Arc<Replicas>,
    shutdown: Shutdown,
    shards: Mutex<HashMap<i32, Arc<Shard>>>,
}

impl Groups {
    /// No coordinator yet.
    pub(crate) fn new(
        config: Config,
        metadata: Arc<Metadata>,
        replicas: Arc<Replicas>,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            config,
            metadata,
            replicas,
            shutdown,
            shards: Mutex::default(),
        }
    }

    /// Begins to load every coordinator whose partition holds anything. Those of empty partitions are made when they are
    /// first asked for.
    pub(crate) fn start(&self) {
        for partition in self.partitions(&self.metadata.image()) {
            let replica = self.replicas.get(CONSUMER_OFFSETS, partition);
            if replica.is_some_and(|one| one.log().is_some_and(|log| log.log_end_offset() > Offset::ZERO)) {
                let _shard = self.shard(partition);
            }
        }
    }

    /// Tells the coordinators which topics are gone, from now to the end of the broker.
    pub(crate) async fn follow_deletions(self: Arc<Self>) {
        let mut images = self.metadata.subscribe();
        let shutdown = self.shutdown.clone().requested();
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => return,
                changed = images.changed() => if changed.is_err() { return },
            }
            let deleted = self.replicas.take_deleted();
            if deleted.is_empty() {
                continue;
            }
            for shard in self.all() {
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
        match self.find(group) {
            Ok(shard) => shard.request(context, command).await,
            Err(code) => Some(refuse(context, command, code)),
        }
    }

    /// Asks the coordinators of several groups, each for its share; `command` makes the question from a share. The answers come
    /// by partition.
    pub(crate) async fn ask_each(
        &self,
        groups: Vec<Utf8Bytes>,
        context: &RequestContext,
        command: impl Fn(Vec<Utf8Bytes>) -> Command,
    ) -> Vec<Response> {
        let mut shares: HashMap<Option<i32>, Vec<Utf8Bytes>> = HashMap::new();
        for group in groups {
            shares.entry(self.partition_of(&group)).or_default().push(group);
        }
        let mut answers = Vec::with_capacity(shares.len());
        for share in shares.into_values() {
            // All groups of a share have the coordinator of the first.
            let first = share[0].clone();
            answers.extend(self.ask(&first, context.clone(), command(share)).await);
        }
        answers
    }

    /// Asks every coordinator of this broker.
    pub(crate) async fn ask_all(
        &self,
        context: &RequestContext,
        command: impl Fn() -> Command,
    ) -> Vec<Response> {
        let mut answers = Vec::new();
        for shard in self.all() {
            answers.extend(shard.request(context.clone(), command()).await);
        }
        answers
    }

    /// Answers everything that is parked: the broker stops.
    pub(crate) fn resign(&self) {
        for (_, shard) in self.shards().drain() {
            shard.resign();
        }
    }

    fn all(&self) -> Vec<Arc<Shard>> {
        self.shards().values().cloned().collect()
    }

    fn partition_of(&self, group: &str) -> Option<i32> {
        let image = self.metadata.image();
        let count = i32::try_from(image.topic(CONSUMER_OFFSETS)?.partition_count()).ok()?;
        (count > 0).then(|| partition_for(group, count))
    }

    fn partitions(&self, image: &MetadataImage) -> Vec<i32> {
        image
            .topic(CONSUMER_OFFSETS)
            .map(|topic| topic.partitions().map(|(index, _)| index).collect())
            .unwrap_or_default()
    }

    fn find(&self, group: &str) -> Result<Arc<Shard>, ErrorCode> {
        let partition = self
            .partition_of(group)
            .ok_or(ErrorCode::CoordinatorNotAvailable)?;
        self.shard(partition)
    }

    /// The coordinator of a partition, made and loading if this is the first time.
    fn shard(&self, partition: i32) -> Result<Arc<Shard>, ErrorCode> {
        let replica = self
            .replicas
            .get(CONSUMER_OFFSETS, partition)
            .ok_or(ErrorCode::NotCoordinator)?;
        let leads = replica.with_partition(|state| state.role() == Role::Leader);
        if !leads || self.shutdown.is_requested() {
            return Err(ErrorCode::NotCoordinator);
        }
        let mut shards = self.shards();
        // A topic that was deleted and made anew has other replicas.
        if let Some(shard) = shards.get(&partition).filter(|shard| shard.is_of(&replica)) {
            return Ok(Arc::clone(shard));
        }
        let metadata = Arc::clone(&self.metadata);
        let exists = move |topic: &str, id: Uuid| {
            let image = metadata.image();
            let known = image.topic(topic);
            known.is_some_and(|known| id.is_zero() || known.id() == id)
        };
        let driver = Driver {
            topic_exists: Box::new(exists),
            shutdown: self.shutdown.clone(),
        };
        let shard = Shard::start(partition, &self.config, replica, driver);
        if let Some(old) = shards.insert(partition, Arc::clone(&shard)) {
            old.resign();
        }
        Ok(shard)
    }

    /// A map of handles is good at any time.
    fn shards(&self) -> MutexGuard<'_, HashMap<i32, Arc<Shard>>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer of a coordinator that is not there.
fn refuse(context: RequestContext, command: Command, code: ErrorCode) -> Response {
    Request {
        id: RequestId(0),
        context,
        command,
    }
    .refuse(code)
    .response
}
