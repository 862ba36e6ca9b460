//! Consumer instances: a consumer behind a name, with what it has fetched but not given yet. They live in this process only
//! and end after a while without a request.

mod work;

use std::collections::HashMap;
use std::sync::{Arc, Mutex as StdMutex};
use std::time::Duration;

use forebay_client::Consumer;
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};
use tokio::time::Instant;

use crate::embedded::Format;
use crate::error::Error;
pub(crate) use work::{ReadLimits, Work};

/// One instance.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) format: Format,
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) fetch_min_bytes: u64,
    /// `None` once it has been closed, for requests that still hold the instance.
    work: Mutex<Option<Work>>,
    last_used: StdMutex<Instant>,
}

/// Group and name of an instance.
pub(crate) type InstanceId = (String, String);

type InstanceMap = HashMap<InstanceId, Arc<Instance>>;

/// All instances of this process.
#[derive(Debug)]
pub(crate) struct Instances {
    instances: StdMutex<InstanceMap>,
    instances_max: usize,
    timeout: Duration,
}

impl Instances {
    pub(crate) fn new(instances_max: usize, timeout: Duration) -> Self {
        Self {
            instances: StdMutex::default(),
            instances_max,
            timeout,
        }
    }

    fn map(&self) -> std::sync::MutexGuard<'_, InstanceMap> {
        self.instances.lock().expect("nobody panics with the instances")
    }

    /// Whether another may be made under this name now.
    pub(crate) fn check_room(&self, id: &InstanceId) -> Result<(), Error> {
        self.has_room(&self.map(), id)
    }

    fn has_room(&self, map: &InstanceMap, id: &InstanceId) -> Result<(), Error> {
        if map.contains_key(id) {
            return Err(Error::InstanceExists);
        }
        if map.len() >= self.instances_max {
            return Err(Error::TooManyInstances {
                instances_max: self.instances_max,
            });
        }
        Ok(())
    }

    /// Keeps a new instance, unless another has taken its name or its room meanwhile.
    pub(crate) fn add(&self, id: InstanceId, instance: Instance) -> Result<(), Error> {
        let mut map = self.map();
        self.has_room(&map, &id)?;
        map.insert(id, Arc::new(instance));
        Ok(())
    }

    /// The instance of that name; it lives on for a while from now.
    pub(crate) fn get(&self, id: &InstanceId) -> Result<Arc<Instance>, Error> {
        let map = self.map();
        let instance = map.get(id).ok_or(Error::InstanceNotFound)?;
        instance.use_now();
        Ok(Arc::clone(instance))
    }

    /// Takes an instance away and closes it.
    pub(crate) async fn remove(&self, id: &InstanceId) -> Result<(), Error> {
        let instance = self.map().remove(id).ok_or(Error::InstanceNotFound)?;
        close(instance).await;
        Ok(())
    }

    /// Closes instances that nobody has used for a while; never returns.
    pub(crate) async fn expire(&self) {
        let mut ticks = tokio::time::interval(
            (self.timeout / 10).clamp(Duration::from_millis(100), Duration::from_secs(10)),
        );
        loop {
            ticks.tick().await;
            for ((group, name), instance) in self.take_idle() {
                tracing::info!(group, name, "a consumer instance was not used and is closed");
                close(instance).await;
            }
        }
    }

    fn take_idle(&self) -> Vec<(InstanceId, Arc<Instance>)> {
        let idle = |_: &InstanceId, instance: &mut Arc<Instance>| instance.is_idle(self.timeout);
        self.map().extract_if(idle).collect()
    }

    /// Closes all.
    pub(crate) async fn close_all(&self) {
        let all: Vec<Arc<Instance>> = self.map().drain().map(|(_, instance)| instance).collect();
        for instance in all {
            close(instance).await;
        }
    }
}

impl Instance {
    pub(crate) fn new(consumer: Consumer, format: Format, auto_commit: bool) -> Self {
        let now = Instant::now();
        let work = Mutex::new(Some(Work::new(consumer, auto_commit)));
        Self {
            format,
            request_timeout: None,
            fetch_min_bytes: 1,
            work,
            last_used: StdMutex::new(now),
        }
    }

    /// The right to work with the consumer, one request at a time.
    ///
    /// # Errors
    /// If the instance has been deleted since it was looked up.
    pub(crate) async fn work(&self) -> Result<MappedMutexGuard<'_, Work>, Error> {
        MutexGuard::try_map(self.work.lock().await, Option::as_mut).map_err(|_| Error::InstanceNotFound)
    }

    fn use_now(&self) {
        *self.last_used.lock().expect("nobody panics with it") = Instant::now();
    }

    fn is_idle(&self, timeout: Duration) -> bool {
        let last_used = *self.last_used.lock().expect("nobody panics with it");
        last_used.elapsed() > timeout && self.work.try_lock().is_ok()
    }
}

/// Commits if it is to, and leaves the group. A request in flight ends first; one that comes after finds nothing.
async fn close(instance: Arc<Instance>) {
    let Some(mut work) = instance.work.lock().await.take() else {
        return;
    };
    work.auto_commit().await;
    if let Err(error) = work.consumer.close().await {
        tracing::debug!(%error, "a consumer instance did not leave its group");
    }
}

#[cfg(test)]
mod tests;
