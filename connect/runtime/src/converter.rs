//! Between Connect's data and the bytes of records (Kafka's `Converter`, `HeaderConverter`): one file per converter, and the
//! table that lists them under the names of the Java classes.

mod avro;
mod byte_array;
mod error;
mod header;
mod json;
mod number;
mod recent;
mod string;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use forebay_config::{ConfigDef, ConfigKey, ConfigType, Errors, Properties, Validator, class_hint};
use forebay_connect_api::{BoxFuture, ReadError, SchemaAndValue, ValueFormat};

pub(crate) use error::{Error, Wanted};

#[allow(clippy::wrong_self_convention)] // Kafka's names.
/// Converts keys, values or headers. Neither direction waits: what has to be fetched first is named by [`Error::Wanted`], and
/// the same call succeeds after [`Converter::prepare`].
pub(crate) trait Converter: fmt::Debug + Send + Sync {
    /// The bytes of data for a topic; `None` is null.
    fn from_connect_data(&self, topic: &str, data: &SchemaAndValue) -> Result<Option<Bytes>, Error>;

    /// The data in bytes of a topic.
    fn to_connect_data(&self, topic: &str, bytes: Option<&Bytes>) -> Result<SchemaAndValue, Error>;

    /// Fetches what an earlier call wanted.
    fn prepare<'a>(&'a self, _wanted: &'a Wanted) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// How a sink may read the bytes without this converter.
    fn value_format(self: Arc<Self>) -> Option<ValueFormat> {
        None
    }
}

/// What a converter is for, which Kafka tells it by `converter.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// `key.converter`
    Key,
    /// `value.converter`
    Value,
    /// `header.converter`
    Header,
}

impl Role {
    /// The key of a configuration that names the class.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Key => "key.converter",
            Self::Value => "value.converter",
            Self::Header => "header.converter",
        }
    }

    /// What `converter.type` calls it.
    pub(crate) const fn type_name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Value => "value",
            Self::Header => "header",
        }
    }
}

/// A class of converters.
#[derive(Debug)]
pub(crate) struct Class {
    /// The full name of the Java class; `/connector-plugins` shows it.
    pub(crate) class: &'static str,
    /// Whether it converts keys and values.
    pub(crate) converts_data: bool,
    /// Whether it converts headers.
    pub(crate) converts_headers: bool,
    /// Its keys.
    pub(crate) config_def: fn() -> ConfigDef,
    new: New,
}

impl Class {
    /// Its keys as a form shows them: with the one by which Kafka's are told whether it is for keys, values or headers.
    pub(crate) fn shown_def(&self) -> ConfigDef {
        let own = (self.config_def)();
        if own.key(TYPE).is_some() || !self.converts_data {
            return own;
        }
        let def = ConfigDef::new().define(
            ConfigKey::new(TYPE, ConfigType::String)
                .validator(Validator::one_of([
                    Role::Key.type_name(),
                    Role::Value.type_name(),
                    Role::Header.type_name(),
                ]))
                .documentation("How this converter will be used: key, value, header. The worker says so."),
        );
        own.keys().iter().cloned().fold(def, ConfigDef::define)
    }
}

/// The key by which a converter is told its role.
pub(crate) const TYPE: &str = "converter.type";

/// Makes a converter of the keys under its name.
type New = fn(Role, &Properties) -> Result<Arc<dyn Converter>, Errors>;

/// What a converter makes of a raw value, for a sink that reads most of them itself.
fn read(converter: &dyn Converter, topic: &str, value: Option<&[u8]>) -> Result<SchemaAndValue, ReadError> {
    let bytes = value.map(Bytes::copy_from_slice);
    let read = converter.to_connect_data(topic, bytes.as_ref());
    read.map_err(|error| match error {
        Error::Wanted(Wanted::Schema(id)) => ReadError::Fetch(id),
        other => ReadError::Value(other.into()),
    })
}

/// Every class.
pub(crate) const CLASSES: &[Class] = &[
    byte_array::CLASS,
    json::CLASS,
    avro::CLASS,
    string::CLASS,
    number::BOOLEAN,
    number::SHORT,
    number::INTEGER,
    number::LONG,
    number::FLOAT,
    number::DOUBLE,
    header::CLASS,
];

/// The class of that name: in full, simple, or simple without `Converter`.
pub(crate) fn find(name: &str) -> Option<&'static Class> {
    CLASSES.iter().find(|class| {
        let simple = class.class.rsplit('.').next().unwrap_or(class.class);
        let short = simple.strip_suffix("Converter").unwrap_or(simple);
        [class.class, simple, short].contains(&name)
    })
}

/// The full names of the classes that can have a role, as a form offers them.
pub(crate) fn names(role: Role) -> Vec<&'static str> {
    let can = |class: &&Class| match role {
        Role::Header => class.converts_headers,
        Role::Key | Role::Value => class.converts_data,
    };
    let mut names: Vec<&str> = CLASSES.iter().filter(can).map(|class| class.class).collect();
    names.sort_unstable();
    names
}

/// What is said of a class that is not there: which one was meant, or which there are.
pub(crate) fn not_found(role: Role, name: &str) -> String {
    let missing = format!("Class {name} could not be found.");
    for (part, what) in [
        ("protobuf", "Protobuf"),
        ("jsonschema", "JSON Schema"),
        ("json.schema", "JSON Schema"),
    ] {
        if name.to_ascii_lowercase().contains(part) {
            return format!("{missing} {what} is not built yet; AvroConverter and JsonConverter are there.");
        }
    }
    let known = names(role);
    match class_hint(name, known.iter().copied()) {
        hint if hint.is_empty() => format!("{missing} There are {}.", known.join(", ")),
        hint => format!("{missing}{hint}"),
    }
}

/// Whether that is the name of a converter of keys and values.
pub(crate) fn is_converter(name: &str) -> bool {
    find(name).is_some_and(|class| class.converts_data)
}

/// Whether that is the name of a converter of headers.
pub(crate) fn is_header_converter(name: &str) -> bool {
    find(name).is_some_and(|class| class.converts_headers)
}

/// The full name of a connector's converter.
pub(crate) fn class_of(role: Role, connector: &Properties, worker: &Properties) -> Option<&'static str> {
    let key = role.key();
    let name = connector.get(key).or_else(|| worker.get(key))?;
    find(name.trim()).map(|class| class.class)
}

/// Makes the converter of a connector: the one that it names with the keys under that name, else the worker's with the worker's.
///
/// # Errors
/// If there is no such class, or its keys are wrong.
pub(crate) fn new(
    role: Role,
    connector: &Properties,
    worker: &Properties,
    schema_registry_url: Option<&str>,
) -> Result<Arc<dyn Converter>, Errors> {
    let key = role.key();
    let given = if connector.contains_key(key) {
        connector
    } else {
        worker
    };
    let name = given.get(key).map_or("", String::as_str);
    let class =
        find(name.trim()).ok_or_else(|| forebay_config::Error::invalid(key, name, not_found(role, name)))?;
    let prefix = format!("{key}.");
    let mut properties: Properties = given
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?.to_owned(), value.clone())))
        .collect();
    if let Some(url) = schema_registry_url {
        properties
            .entry("schema.registry.url".to_owned())
            .or_insert_with(|| url.to_owned());
    }
    (class.new)(role, &properties)
}
