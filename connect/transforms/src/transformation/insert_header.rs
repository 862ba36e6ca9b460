//! `InsertHeader`: adds a header with a constant value, whose type is told by how it looks.

use forebay_connect_api::{
    SchemaAndValue,
    config::{ConfigDef, ConfigType, Importance, Validator},
};

use super::{Setup, Transformation};
use crate::definition::required;
use crate::{Error, Record, literal};

const HEADER: &str = "header";
const VALUE_LITERAL: &str = "value.literal";

pub(super) fn config_def() -> ConfigDef {
    let key = |name, documentation| {
        required(name, ConfigType::String, Importance::High, documentation).validator(Validator::NonNull)
    };
    ConfigDef::new()
        .define(key(HEADER, "The name of the header."))
        .define(key(
            VALUE_LITERAL,
            "The value that the header has on all records. Numbers, booleans, dates and times become such; arrays and maps stay text.",
        ))
}

#[allow(clippy::unnecessary_wraps)] // As those of other classes.
pub(super) fn new(setup: &Setup<'_>) -> Result<Box<dyn Transformation>, Error> {
    Ok(Box::new(InsertHeader {
        header: setup.config.get_string(HEADER).to_owned(),
        value: literal::parse(setup.config.get_string(VALUE_LITERAL)),
    }))
}

#[derive(Debug)]
struct InsertHeader {
    header: String,
    value: SchemaAndValue,
}

impl Transformation for InsertHeader {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, Error> {
        record.headers.add(self.header.as_str(), self.value.clone());
        Ok(Some(record))
    }
}
