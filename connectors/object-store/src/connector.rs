//! The connector: validation, task configurations, and whether offsets may be altered.

use std::{collections::BTreeMap, sync::Arc};

use forebay_connect_api::{
    Access, BoxFuture, Connector, ConnectorContext, Error, Offset, SinkConnector, SinkTask, TopicPartition,
    config::{ConfigDef, ConfigValue, Properties},
};

use crate::{
    budget::{self, Budget},
    clock::{Clock, SystemClock},
    config::{self, Config},
    partitioner::default_partition,
    resume::Stored,
    store::{self, Store},
    task::ObjectStoreSinkTask,
};

/// What tasks work with besides their configuration; tests bring their own.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    /// Used instead of the store that the configuration names.
    pub(crate) store: Option<Arc<dyn Store>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) budget: Arc<Budget>,
}

impl Default for Environment {
    fn default() -> Self {
        Self {
            store: None,
            clock: Arc::new(SystemClock),
            budget: Arc::clone(&budget::WORKER),
        }
    }
}

impl Environment {
    pub(crate) async fn open(&self, config: &Config, access: &Access) -> Result<Arc<dyn Store>, Error> {
        match &self.store {
            Some(store) => Ok(Arc::clone(store)),
            None => store::open(&config.target, access).await,
        }
    }
}

/// Objects from topics.
#[derive(Debug, Default)]
pub struct ObjectStoreSinkConnector {
    environment: Environment,
    properties: Properties,
}

impl ObjectStoreSinkConnector {
    #[cfg(test)]
    pub(crate) fn with(environment: Environment) -> Self {
        Self {
            environment,
            ..Self::default()
        }
    }

    #[cfg(test)]
    pub(crate) fn environment(&self) -> Environment {
        self.environment.clone()
    }
}

impl Connector for ObjectStoreSinkConnector {
    fn config(&self) -> ConfigDef {
        config::definition()
    }

    fn validate(&self, properties: &Properties) -> Vec<ConfigValue> {
        config::definition().validate_with(&config::filled(properties), |properties| {
            match Config::parse(properties) {
                Err(Error::Config(errors)) => Err(errors),
                _ => Ok(()),
            }
        })
    }

    fn start<'a>(
        &'a mut self,
        _context: Arc<dyn ConnectorContext>,
        properties: &'a Properties,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.properties = properties.clone();
        let parsed = Config::parse(properties).map(|_| ());
        Box::pin(std::future::ready(parsed))
    }

    fn task_configs(&self, tasks_max: u32) -> BoxFuture<'_, Result<Vec<Properties>, Error>> {
        let configs = vec![self.properties.clone(); tasks_max as usize];
        Box::pin(std::future::ready(Ok(configs)))
    }

    fn stop(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl SinkConnector for ObjectStoreSinkConnector {
    fn task(&self) -> Box<dyn SinkTask> {
        Box::new(ObjectStoreSinkTask::new(self.environment.clone()))
    }

    // An offset below what the store has would be ignored, as tasks go on after the last end of its list. So it is refused.
    fn alter_offsets<'a>(
        &'a self,
        access: &'a Access,
        properties: &'a Properties,
        offsets: &'a BTreeMap<TopicPartition, Option<Offset>>,
    ) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move {
            let config = Config::parse(properties)?;
            let store = self.environment.open(&config, access).await?;
            for (topic_partition, offset) in offsets {
                let layout = &config.layout;
                let (stored, place) = if config.partitioner.is_default() {
                    let encoded = default_partition(topic_partition);
                    let stored = Stored::list(&*store, layout, topic_partition, &encoded).await?;
                    (stored, layout.folder(&topic_partition.topic, &encoded))
                } else {
                    let stored = Stored::list_all(&*store, layout, topic_partition).await?;
                    (stored, layout.root(&topic_partition.topic))
                };
                let wanted = offset.unwrap_or(Offset::ZERO);
                if let Some(names) = stored.names_from(wanted) {
                    return Err(Error::fatal(format!(
                        "{topic_partition} cannot go on at offset {wanted}: {} already has objects up to offset {}, and a task goes on after \
                         them. To write these records again, first move these objects out of {}: {names}",
                        store.describe(),
                        stored.next_offset().value() - 1,
                        place.path
                    )));
                }
            }
            Ok(true)
        })
    }
}
