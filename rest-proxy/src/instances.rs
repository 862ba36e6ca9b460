//! Consumer instances: a consumer behind a name, with what it has fetched but not given yet. They live in this process only
//! and end after a while without a request.

mod work;

use std::collections::HashMap;
use std::sync::{Arc, Mutex as StdMutex};
use std::time::Duration;

use forebay_client::Consumer;
use tokio::sync::Mutex;
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
    pub(crate) work: Mutex<Work>,
    last_used: StdMutex<Instant>,
}

/// Group and name of an instance.
pub(crate) type InstanceId = (String, String);

/// All instances of this process.
#[derive(Debug)]
pub(crate) struct Instances {
    instances: StdMutex<HashMap<InstanceId, Arc<Instance>>>,
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

    fn map(&self) -> std::sync::MutexGuard<'_, HashMap<InstanceId, Arc<Instance>>> {
        self.instances.lock().expect("nobody panics with the instances")
    }

    /// Whether another may be made under this name.
    pub(crate) fn check_room(&self, id: &InstanceId) -> Result<(), Error> {
        let map = self.map();
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

    /// Keeps a new instance.
    pub(crate) fn add(&self, id: InstanceId, instance: Instance) -> Result<(), Error> {
        self.check_room(&id)?;
        self.map().insert(id, Arc::new(instance));
        Ok(())
    }

    /// The instance of that name; it lives on for a while from now.
    pub(crate) fn get(&self, id: &InstanceId) -> Result<Arc<Instance>, Error> {
        let instance = self
            .map()
            .get(id)
            .map(Arc::clone)
            .ok_or(Error::InstanceNotFound)?;
        *instance.last_used.lock().expect("nobody panics with it") = Instant::now();
        Ok(instance)
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
            let expired: Vec<InstanceId> = self
                .map()
                .iter()
                .filter(|(_, instance)| {
                    let idle = instance
                        .last_used
                        .lock()
                        .expect("nobody panics with it")
                        .elapsed();
                    idle > self.timeout && instance.work.try_lock().is_ok()
                })
                .map(|(id, _)| id.clone())
                .collect();
            for id in expired {
                tracing::info!(
                    group = id.0,
                    instance = id.1,
                    "a consumer instance was not used and is closed"
                );
                // Somebody else may have deleted it meanwhile.
                let _ = self.remove(&id).await;
            }
        }
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
        let work = Mutex::new(Work::new(consumer, auto_commit));
        Self {
            format,
            request_timeout: None,
            fetch_min_bytes: 1,
            work,
            last_used: StdMutex::new(now),
        }
    }
}

/// Commits if it is to, and leaves the group. A request in flight ends first.
async fn close(instance: Arc<Instance>) {
    instance.work.lock().await.auto_commit().await;
    // Whoever holds it besides is a request that has lost its instance: the consumer then ends with the last of them.
    if let Ok(instance) = Arc::try_unwrap(instance)
        && let Err(error) = instance.work.into_inner().consumer.close().await
    {
        tracing::debug!(%error, "a consumer instance did not leave its group");
    }
}

#[cfg(test)]
mod tests;
