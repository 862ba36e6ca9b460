//! Kafka's single message transforms: one file each, and the table that lists them under the names of their Java classes.

mod cast;
mod drop_headers;
mod extract_field;
mod filter;
mod flatten;
mod header_from;
mod hoist_field;
mod insert_field;
mod insert_header;
mod mask_field;
mod regex_router;
mod replace_field;
mod set_schema_metadata;
mod timestamp_converter;
mod timestamp_router;
mod value_to_key;

use std::fmt;

use forebay_connect_api::config::{Config, ConfigDef};

use crate::record::Side;
use crate::{Error, Record};

/// Changes records one by one (Kafka's `Transformation`).
pub(crate) trait Transformation: fmt::Debug + Send + Sync {
    /// What becomes of the record; `None`: it goes no further.
    fn apply(&mut self, record: Record) -> Result<Option<Record>, Error>;
}

/// What a transformation is made of.
#[derive(Debug)]
pub(crate) struct Setup<'a> {
    /// Its keys, read.
    pub(crate) config: &'a Config,
    /// What it works on, if it has the choice.
    pub(crate) side: Side,
    /// The time, in milliseconds since 1970.
    pub(crate) now: i64,
}

/// One of Kafka's classes.
#[derive(Debug)]
pub struct Class {
    /// The full name of the Java class; `/connector-plugins` shows it.
    pub class: &'static str,
    /// Its keys.
    pub config_def: fn() -> ConfigDef,
    pub(crate) side: Side,
    pub(crate) new: New,
}

type New = fn(&Setup<'_>) -> Result<Box<dyn Transformation>, Error>;

macro_rules! classes {
    ($($module:ident: $($class:literal $side:ident),+;)+) => {
        &[$($(Class {
            class: concat!("org.apache.kafka.connect.transforms.", $class),
            config_def: $module::config_def,
            side: Side::$side,
            new: $module::new,
        },)+)+]
    };
}

/// Every class, in Kafka's order.
pub const CLASSES: &[Class] = classes! {
    cast: "Cast$Key" Key, "Cast$Value" Value;
    drop_headers: "DropHeaders" Value;
    extract_field: "ExtractField$Key" Key, "ExtractField$Value" Value;
    filter: "Filter" Value;
    flatten: "Flatten$Key" Key, "Flatten$Value" Value;
    header_from: "HeaderFrom$Key" Key, "HeaderFrom$Value" Value;
    hoist_field: "HoistField$Key" Key, "HoistField$Value" Value;
    insert_field: "InsertField$Key" Key, "InsertField$Value" Value;
    insert_header: "InsertHeader" Value;
    mask_field: "MaskField$Key" Key, "MaskField$Value" Value;
    regex_router: "RegexRouter" Value;
    replace_field: "ReplaceField$Key" Key, "ReplaceField$Value" Value;
    set_schema_metadata: "SetSchemaMetadata$Key" Key, "SetSchemaMetadata$Value" Value;
    timestamp_converter: "TimestampConverter$Key" Key, "TimestampConverter$Value" Value;
    timestamp_router: "TimestampRouter" Value;
    value_to_key: "ValueToKey" Value;
};

/// The class of that name, in full or without its package.
pub fn find(name: &str) -> Option<&'static Class> {
    let name = name.trim();
    CLASSES.iter().find(|class| is_name_of(class.class, name))
}

/// Whether a class goes by that name.
pub(crate) fn is_name_of(class: &str, name: &str) -> bool {
    class == name || class.rsplit('.').next() == Some(name)
}
