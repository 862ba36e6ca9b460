//! The coordinators of one kind: one for each partition of their topic that this broker leads, loaded by reading the partition
//! through, then fed with requests, commits and time. Groups and transactions are driven by the same code.

pub(crate) mod shard;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use forebay_broker_controller::MetadataImage;
use forebay_broker_coordinator::{RequestContext, partition_for};
use forebay_broker_partition::Role;
use forebay_protocol::{ErrorCode, Utf8Bytes};
use forebay_records::Offset;

use crate::metadata::Metadata;
use crate::metrics::{LoadTimes, Partitions};
use crate::replicas::{Replica, Replicas};
use crate::shutdown::Shutdown;
use shard::{CommandOf, Driver, Phase, ResponseOf, Shard, refuse};

/// Where coordinators find what they coordinate over.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    pub(crate) metadata: Arc<Metadata>,
    pub(crate) replicas: Arc<Replicas>,
    pub(crate) shutdown: Shutdown,
}

/// The coordinators of this broker over the partitions of one topic.
pub(crate) struct Coordinators<D: Driver> {
    topic: &'static str,
    surroundings: Surroundings,
    /// Makes the driver of a coordinator.
    driver: Box<dyn Fn() -> D + Send + Sync>,
    shards: Mutex<HashMap<i32, Arc<Shard<D>>>>,
    load_times: Arc<LoadTimes>,
}

impl<D: Driver> Coordinators<D> {
    /// No coordinator yet.
    pub(crate) fn new(
        topic: &'static str,
        surroundings: Surroundings,
        driver: impl Fn() -> D + Send + Sync + 'static,
    ) -> Self {
        Self {
            topic,
            surroundings,
            driver: Box::new(driver),
            shards: Mutex::default(),
            load_times: Arc::default(),
        }
    }

    /// How long it took to load those that there are and were.
    pub(crate) fn load_times(&self) -> &LoadTimes {
        &self.load_times
    }

    /// In which states those are that there are.
    pub(crate) fn counts(&self) -> Partitions {
        let mut partitions = Partitions::default();
        for shard in self.all() {
            *(match shard.phase() {
                Phase::Loading => &mut partitions.loading,
                Phase::Active => &mut partitions.active,
                Phase::Resigned => &mut partitions.failed,
            }) += 1;
        }
        partitions
    }

    /// Where it is.
    pub(crate) fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    /// Begins to load every coordinator whose partition holds anything. Those of empty partitions are made when they are
    /// first asked for.
    pub(crate) fn start(&self) {
        let has_records = |replica: Arc<Replica>| {
            replica
                .log()
                .is_some_and(|log| log.log_end_offset() > Offset::ZERO)
        };
        for partition in self.partitions(&self.surroundings.metadata.image()) {
            let replica = self.surroundings.replicas.get(self.topic, partition);
            if replica.is_some_and(has_records) {
                let _shard = self.shard(partition);
            }
        }
    }

    /// Asks the coordinator of `key`, a group's or a transactional id; `None` if the broker stops first.
    pub(crate) async fn ask(
        &self,
        key: &str,
        context: RequestContext,
        command: CommandOf<D>,
    ) -> Option<ResponseOf<D>> {
        match self.find(key) {
            Ok(shard) => shard.request(context, command).await,
            Err(code) => Some(refuse::<D::Coordinator>(context, command, code)),
        }
    }

    /// Asks the coordinators of several keys, each for its share; `command` makes the question from a share. The answers come
    /// by partition.
    pub(crate) async fn ask_each(
        &self,
        keys: Vec<Utf8Bytes>,
        context: &RequestContext,
        command: impl Fn(Vec<Utf8Bytes>) -> CommandOf<D>,
    ) -> Vec<ResponseOf<D>> {
        let mut shares: HashMap<Option<i32>, Vec<Utf8Bytes>> = HashMap::new();
        for key in keys {
            shares.entry(self.partition_of(&key)).or_default().push(key);
        }
        let mut answers = Vec::with_capacity(shares.len());
        for share in shares.into_values() {
            // All keys of a share have the coordinator of the first.
            let first = share[0].clone();
            answers.extend(self.ask(&first, context.clone(), command(share)).await);
        }
        answers
    }

    /// Asks every coordinator of this broker.
    pub(crate) async fn ask_all(
        &self,
        context: &RequestContext,
        command: impl Fn() -> CommandOf<D>,
    ) -> Vec<ResponseOf<D>> {
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

    /// Those that there are.
    pub(crate) fn all(&self) -> Vec<Arc<Shard<D>>> {
        self.shards().values().cloned().collect()
    }

    /// Which partition has `key`; none while the topic is not there.
    pub(crate) fn partition_of(&self, key: &str) -> Option<i32> {
        let image = self.surroundings.metadata.image();
        let count = i32::try_from(image.topic(self.topic)?.partition_count()).ok()?;
        (count > 0).then(|| partition_for(key, count))
    }

    fn partitions(&self, image: &MetadataImage) -> Vec<i32> {
        image
            .topic(self.topic)
            .map(|topic| topic.partitions().map(|(index, _)| index).collect())
            .unwrap_or_default()
    }

    fn find(&self, key: &str) -> Result<Arc<Shard<D>>, ErrorCode> {
        let partition = self.partition_of(key).ok_or(ErrorCode::CoordinatorNotAvailable)?;
        self.shard(partition)
    }

    /// The coordinator of a partition, made and loading if this is the first time.
    pub(crate) fn shard(&self, partition: i32) -> Result<Arc<Shard<D>>, ErrorCode> {
        let replica = self
            .surroundings
            .replicas
            .get(self.topic, partition)
            .ok_or(ErrorCode::NotCoordinator)?;
        let leads = replica.with_partition(|state| state.role() == Role::Leader);
        if !leads || self.surroundings.shutdown.is_requested() {
            return Err(ErrorCode::NotCoordinator);
        }
        let mut shards = self.shards();
        // A topic that was deleted and made anew has other replicas.
        if let Some(shard) = shards.get(&partition).filter(|shard| shard.is_of(&replica)) {
            return Ok(Arc::clone(shard));
        }
        let shard = Shard::start(
            partition,
            replica,
            (self.driver)(),
            self.surroundings.shutdown.clone(),
            Arc::clone(&self.load_times),
        );
        if let Some(old) = shards.insert(partition, Arc::clone(&shard)) {
            old.resign();
        }
        Ok(shard)
    }

    /// A map of handles is good at any time.
    fn shards(&self) -> MutexGuard<'_, HashMap<i32, Arc<Shard<D>>>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D: Driver> std::fmt::Debug for Coordinators<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Coordinators")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}
