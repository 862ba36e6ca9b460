//! `AvroConverter`: Avro in Confluent's wire format, its schemas in a registry. Between Connect and Avro it is `connect/avro` that maps.

use std::sync::Arc;

use bytes::Bytes;
use forebay_config::{Config, ConfigDef, ConfigKey, ConfigType, Error as ConfigError, Importance, Validator};
use forebay_connect_api::{
    AvroReader, AvroSchemas, BoxFuture, Error as ConnectError, ReadError, Schema, SchemaAndValue, Value,
    ValueFormat, ValueReader,
};
use forebay_connect_avro::{data, from_avro, to_avro};
use forebay_schema_registry_client::{Client, Error as RegistryError, Options, SchemaId, wire};
use forebay_schema_registry_schema::avro;

use super::recent::Recent;
use super::{Class, Converter, Error, Role, Wanted};

pub(super) const CLASS: Class = Class {
    class: "io.confluent.connect.avro.AvroConverter",
    converts_data: true,
    converts_headers: false,
    config_def,
    new: |role, properties| {
        let config = config_def().parse(properties)?;
        Ok(Arc::new(AvroConverter::new(role, &config)?))
    },
};

const TOPIC_NAME_STRATEGY: &str = "io.confluent.kafka.serializers.subject.TopicNameStrategy";

fn config_def() -> ConfigDef {
    let strategy = |key: &str| {
        ConfigKey::new(key, ConfigType::String)
            .default(TOPIC_NAME_STRATEGY)
            .validator(Validator::one_of([TOPIC_NAME_STRATEGY, "TopicNameStrategy"]))
            .importance(Importance::Medium)
            .documentation(
                "How subjects are named: <topic>-key and <topic>-value; others are not supported yet.",
            )
    };
    ConfigDef::new()
        .define(
            ConfigKey::new("schema.registry.url", ConfigType::List)
                .optional()
                .validator(Validator::custom("addresses such as http://localhost:8081", |_, urls| match urls {
                    Some(forebay_config::Value::List(urls)) => urls.iter().try_for_each(|url| is_address(url)),
                    _ => Ok(()),
                }))
                .importance(Importance::High)
                .documentation("Addresses of schema registries; the worker's schema.registry.url unless given."),
        )
        .define(
            ConfigKey::new("auto.register.schemas", ConfigType::Boolean)
                .default(true)
                .importance(Importance::Medium)
                .documentation("Whether schemas that the registry does not have are registered; if not, they are an error."),
        )
        .define(
            ConfigKey::new("use.latest.version", ConfigType::Boolean)
                .default(false)
                .validator(Validator::custom("false", |_, value| match value {
                    Some(forebay_config::Value::Boolean(true)) => Err("it is not supported yet".to_owned()),
                    _ => Ok(()),
                }))
                .documentation("Whether data is written with the subject's latest schema; not supported yet."),
        )
        .define(strategy("key.subject.name.strategy"))
        .define(strategy("value.subject.name.strategy"))
        .define(
            ConfigKey::new("basic.auth.user.info", ConfigType::Password)
                .optional()
                .importance(Importance::Medium)
                .documentation("user:password for the registry."),
        )
}

fn is_address(url: &str) -> Result<(), String> {
    if url.starts_with("http://") || url.starts_with("https://") {
        return Ok(());
    }
    Err(format!(
        "{url} is no address of a registry; write it as http://HOST:PORT"
    ))
}

/// A Connect schema in Avro.
#[derive(Debug)]
struct Written {
    text: String,
    avro: avro::Schema,
}

/// A registered Avro schema in Connect.
#[derive(Debug)]
struct Read {
    avro: Arc<avro::Schema>,
    /// Where the registry does not say which version it is.
    schema: Arc<Schema>,
    /// By subject, with the version that it is of it.
    versions: Vec<(String, Arc<Schema>)>,
}

impl Read {
    fn new(avro: avro::Schema, versions: Vec<(String, i32)>) -> Result<Self, Error> {
        let schema = from_avro::schema(avro.root())?;
        // A version that the schema itself says comes before the registry's.
        let is_said = schema.version().is_some();
        let versions = versions
            .into_iter()
            .filter(|_| !is_said)
            .map(|(subject, version)| {
                let built = schema.to_builder().version(version).build();
                (subject, built.expect("it was sound without"))
            });
        Ok(Self {
            versions: versions.collect(),
            avro: Arc::new(avro),
            schema,
        })
    }

    /// Of the subject `<topic>-<suffix>`.
    fn schema(&self, topic: &str, suffix: &str) -> &Arc<Schema> {
        let rest_of = |subject: &str| Some(subject.strip_prefix(topic)?.strip_prefix('-')? == suffix);
        let version = self
            .versions
            .iter()
            .find(|(subject, _)| rest_of(subject) == Some(true));
        version.map_or(&self.schema, |(_, schema)| schema)
    }
}

#[derive(Debug)]
struct AvroConverter {
    registry: Client,
    suffix: &'static str,
    auto_register: bool,
    written: Recent<Arc<Schema>, Arc<Written>>,
    /// Identifiers by subject and text.
    identifiers: Recent<(String, String), SchemaId>,
    read: Recent<SchemaId, Arc<Read>>,
}

impl AvroConverter {
    fn new(role: Role, config: &Config) -> Result<Self, ConfigError> {
        let url = config
            .get_optional::<&[String]>("schema.registry.url")
            .unwrap_or_default()
            .join(",");
        if url.is_empty() {
            return Err(ConfigError::Missing {
                key: format!("{}.schema.registry.url", role.key()),
            });
        }
        let mut options = Options::new(&url);
        let user_info: Option<&forebay_config::Password> = config.get_optional("basic.auth.user.info");
        options.user_info = user_info.map(|info| info.value().to_owned());
        let registry = Client::new(options)
            .map_err(|error| ConfigError::invalid("schema.registry.url", &url, error.to_string()))?;
        Ok(Self {
            registry,
            suffix: if role == Role::Key { "key" } else { "value" },
            auto_register: config.get_boolean("auto.register.schemas"),
            written: Recent::new(),
            identifiers: Recent::new(),
            read: Recent::new(),
        })
    }

    fn subject(&self, topic: &str) -> String {
        format!("{topic}-{}", self.suffix)
    }

    /// The Avro schema of a Connect schema.
    fn written(&self, schema: &Arc<Schema>) -> Result<Arc<Written>, Error> {
        if let Some(written) = self
            .written
            .get(|known| Arc::ptr_eq(known, schema) || known == schema)
        {
            return Ok(written);
        }
        let text = to_avro::schema(schema)?.to_string();
        let avro = avro::Schema::parse(&text)
            .map_err(|error| Error::data_because("the schema cannot be written in Avro", error))?;
        let written = Arc::new(Written { text, avro });
        self.written.put(Arc::clone(schema), Arc::clone(&written));
        Ok(written)
    }
}

impl ValueReader for AvroConverter {
    fn read(&self, topic: &str, value: Option<&[u8]>) -> Result<SchemaAndValue, ReadError> {
        super::read(self, topic, value)
    }

    fn fetch(&self, schema_id: i32) -> BoxFuture<'_, Result<(), ConnectError>> {
        Box::pin(async move {
            let fetched = self.prepare(&Wanted::Schema(schema_id)).await;
            fetched.map_err(ConnectError::from)
        })
    }
}

impl AvroReader for AvroConverter {
    fn schemas(&self, topic: &str, schema_id: i32) -> Option<AvroSchemas> {
        let read = self.read.get(|known| known.0 == schema_id)?;
        Some(AvroSchemas {
            avro: Arc::clone(&read.avro),
            connect: Arc::clone(read.schema(topic, self.suffix)),
        })
    }
}

impl Converter for AvroConverter {
    fn value_format(self: Arc<Self>) -> Option<ValueFormat> {
        Some(ValueFormat::Avro(self))
    }

    fn from_connect_data(&self, topic: &str, data: &SchemaAndValue) -> Result<Option<Bytes>, Error> {
        if data.value.is_null() {
            return Ok(None);
        }
        let schema = data.schema.as_ref().ok_or_else(|| {
            Error::data("AvroConverter needs data with a schema, and this has none; use JsonConverter or StringConverter")
        })?;
        let written = self.written(schema)?;
        let subject = self.subject(topic);
        let is_same = |(known, text): &(String, String)| *known == subject && *text == written.text;
        let Some(id) = self.identifiers.get(is_same) else {
            let schema = written.text.clone();
            return Err(Error::Wanted(Wanted::Identifier { subject, schema }));
        };
        let mut out = wire::prefix(id).to_vec();
        let value = data::to_avro(schema, &data.value)?;
        let encoded = written.avro.root().encode(&value, &mut out);
        encoded.map_err(|error| {
            Error::data_because(format!("Failed to serialize Avro data from topic {topic}"), error)
        })?;
        Ok(Some(out.into()))
    }

    fn to_connect_data(&self, topic: &str, bytes: Option<&Bytes>) -> Result<SchemaAndValue, Error> {
        let Some(bytes) = bytes else {
            return Ok(SchemaAndValue::default());
        };
        let failed = || format!("Failed to deserialize data for topic {topic} to Avro");
        let (id, encoded) = wire::split(bytes).map_err(|error| Error::data_because(failed(), error))?;
        let read = self.read.get(|known| *known == id);
        let read = read.ok_or(Error::Wanted(Wanted::Schema(id.0)))?;
        let root = read.avro.root();
        let value = root
            .decode(encoded)
            .map_err(|error| Error::data_because(failed(), error))?;
        let schema = read.schema(topic, self.suffix);
        let value: Value = data::to_connect(root, schema, value, encoded.len())?;
        Ok(SchemaAndValue::new(Arc::clone(schema), value))
    }

    fn prepare<'a>(&'a self, wanted: &'a Wanted) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            match wanted {
                Wanted::Schema(id) => {
                    let fetched = self.registry.schema(SchemaId(*id)).await;
                    let registered = fetched.map_err(|error| {
                        refused(format!("Error retrieving Avro schema for id {id}"), error)
                    })?;
                    let versions = match self.registry.versions(SchemaId(*id)).await {
                        // Old registries do not tell; then schemas have no versions.
                        Err(error) if !error.is_retriable() => Vec::new(),
                        other => other.map_err(|error| {
                            refused(
                                format!("Error retrieving versions of the schema with id {id}"),
                                error,
                            )
                        })?,
                    };
                    let read = Read::new(registered.avro.clone(), versions)?;
                    self.read.put(SchemaId(*id), Arc::new(read));
                }
                Wanted::Identifier { subject, schema } => {
                    let identified = if self.auto_register {
                        self.registry.register(subject, schema).await
                    } else {
                        self.registry.lookup(subject, schema).await
                    };
                    let what = || format!("Error registering Avro schema under subject {subject}");
                    let id = identified.map_err(|error| refused(what(), error))?;
                    self.identifiers.put((subject.clone(), schema.clone()), id);
                }
            }
            Ok(())
        })
    }
}

fn refused(message: String, error: RegistryError) -> Error {
    let is_retriable = error.is_retriable();
    let source = Some(error.into());
    if is_retriable {
        Error::Unavailable { message, source }
    } else {
        Error::Data { message, source }
    }
}

#[cfg(test)]
mod tests;
