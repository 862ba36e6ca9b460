//! The table of connectors: which names of Java classes stand for which of ours (`connector.class`).

use std::{fmt, sync::Arc};

use crate::{SinkConnector, SourceConnector, config::nearest};

/// What a plugin is, as `/connector-plugins` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PluginType {
    /// A sink connector.
    Sink,
    /// A source connector.
    Source,
}

impl PluginType {
    /// `sink` or `source`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sink => "sink",
            Self::Source => "source",
        }
    }
}

/// Makes connectors of one class.
#[derive(Clone)]
pub enum Constructor {
    /// Of a source connector.
    Source(Arc<dyn Fn() -> Box<dyn SourceConnector> + Send + Sync>),
    /// Of a sink connector.
    Sink(Arc<dyn Fn() -> Box<dyn SinkConnector> + Send + Sync>),
}

impl fmt::Debug for Constructor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source(_) => "Source",
            Self::Sink(_) => "Sink",
        })
    }
}

/// One class of connectors.
#[derive(Debug, Clone)]
pub struct Plugin {
    /// The full name of the Java class whose configuration it takes; `/connector-plugins` shows it.
    pub class: &'static str,
    /// Full names of other Java classes that it stands for.
    pub aliases: &'static [&'static str],
    /// Its version.
    pub version: &'static str,
    /// Makes one.
    pub constructor: Constructor,
}

impl Plugin {
    /// A class of source connectors.
    pub fn source<C: SourceConnector + 'static>(
        class: &'static str,
        version: &'static str,
        new: impl Fn() -> C + Send + Sync + 'static,
    ) -> Self {
        let constructor = Constructor::Source(Arc::new(move || Box::new(new())));
        Self {
            class,
            aliases: &[],
            version,
            constructor,
        }
    }

    /// A class of sink connectors.
    pub fn sink<C: SinkConnector + 'static>(
        class: &'static str,
        version: &'static str,
        new: impl Fn() -> C + Send + Sync + 'static,
    ) -> Self {
        let constructor = Constructor::Sink(Arc::new(move || Box::new(new())));
        Self {
            class,
            aliases: &[],
            version,
            constructor,
        }
    }

    /// Lets it stand for other Java classes, too.
    #[must_use]
    pub fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// What it is.
    pub fn plugin_type(&self) -> PluginType {
        match self.constructor {
            Constructor::Source(_) => PluginType::Source,
            Constructor::Sink(_) => PluginType::Sink,
        }
    }

    /// Every name it goes by: full, simple (`FileStreamSourceConnector`), and that without `Connector`.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.class)
            .chain(self.aliases.iter().copied())
            .flat_map(|class| {
                let simple = class.rsplit('.').next().unwrap_or(class);
                [class, simple, simple.strip_suffix("Connector").unwrap_or(simple)]
            })
    }
}

/// All classes of connectors that a worker has.
#[derive(Debug, Clone, Default)]
pub struct Plugins(Vec<Plugin>);

/// No connector goes by that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "Failed to find any class that implements Connector and which name matches {name}{}; \
     available connectors are: {available}", hint(.nearest.as_deref())
)]
pub struct NotFound {
    /// The name as given.
    pub name: String,
    /// The known name that it nearly is.
    pub nearest: Option<String>,
    /// The full names of all classes.
    pub available: String,
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!("; did you mean {nearest}?"))
}

impl Plugins {
    /// A worker's table.
    ///
    /// # Panics
    /// If two plugins share a name: the table is part of the program.
    pub fn new(plugins: impl IntoIterator<Item = Plugin>) -> Self {
        let plugins: Vec<Plugin> = plugins.into_iter().collect();
        for (index, plugin) in plugins.iter().enumerate() {
            for other in &plugins[..index] {
                let shared = plugin
                    .names()
                    .find(|name| other.names().any(|known| known == *name));
                assert!(shared.is_none(), "two connectors go by the name {shared:?}");
            }
        }
        Self(plugins)
    }

    /// The class that goes by this name.
    ///
    /// # Errors
    /// If there is none.
    pub fn find(&self, name: &str) -> Result<&Plugin, NotFound> {
        let name = name.trim();
        let found = self
            .0
            .iter()
            .find(|plugin| plugin.names().any(|known| known == name));
        found.ok_or_else(|| NotFound {
            name: name.to_owned(),
            nearest: self.meant(name).map(str::to_owned),
            available: self
                .0
                .iter()
                .map(|plugin| plugin.class)
                .collect::<Vec<_>>()
                .join(", "),
        })
    }

    /// The name that was meant: of the same class of somebody else, or a misspelt one.
    fn meant(&self, name: &str) -> Option<&'static str> {
        let simple = name.rsplit('.').next().unwrap_or(name);
        let named_so = self
            .0
            .iter()
            .find(|plugin| plugin.names().any(|known| known == simple));
        let names = || self.0.iter().flat_map(Plugin::names);
        let nearly = || nearest(name, names()).or_else(|| nearest(simple, names()));
        named_so.map(|plugin| plugin.class).or_else(nearly)
    }

    /// Each class, in the order of the table.
    pub fn iter(&self) -> std::slice::Iter<'_, Plugin> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Plugins {
    type Item = &'a Plugin;
    type IntoIter = std::slice::Iter<'a, Plugin>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        BoxFuture, Connector, ConnectorContext, Error, SinkTask,
        config::{ConfigDef, Properties},
    };

    struct Nothing;

    impl Connector for Nothing {
        fn config(&self) -> ConfigDef {
            ConfigDef::new()
        }

        fn start<'a>(
            &'a mut self,
            _context: Arc<dyn ConnectorContext>,
            _properties: &'a Properties,
        ) -> BoxFuture<'a, Result<(), Error>> {
            Box::pin(std::future::ready(Ok(())))
        }

        fn task_configs(&self, _tasks_max: u32) -> BoxFuture<'_, Result<Vec<Properties>, Error>> {
            Box::pin(std::future::ready(Ok(Vec::new())))
        }

        fn stop(&mut self) -> BoxFuture<'_, ()> {
            Box::pin(std::future::ready(()))
        }
    }

    impl SinkConnector for Nothing {
        fn task(&self) -> Box<dyn SinkTask> {
            unreachable!("only names are looked at")
        }
    }

    #[test]
    fn full_simple_and_short_names_are_found() {
        let s3 = Plugin::sink("io.confluent.connect.s3.S3SinkConnector", "1", || Nothing)
            .aliases(&["io.confluent.connect.hdfs.HdfsSinkConnector"]);
        let file = Plugin::sink(
            "org.apache.kafka.connect.file.FileStreamSinkConnector",
            "1",
            || Nothing,
        );
        let plugins = Plugins::new([s3, file]);
        for name in [
            "io.confluent.connect.s3.S3SinkConnector",
            "S3SinkConnector",
            " S3Sink",
            "HdfsSink",
        ] {
            let found = plugins.find(name).expect(name);
            assert_eq!(found.class, "io.confluent.connect.s3.S3SinkConnector");
            assert_eq!(found.plugin_type().name(), "sink");
        }
        let error = plugins.find("FileStreamSync").expect_err("a slip");
        assert_eq!(error.nearest.as_deref(), Some("FileStreamSink"));
        assert!(plugins.find("").is_err());
    }
}
