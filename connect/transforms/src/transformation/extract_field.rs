//! `ExtractField`: puts one field in the place of the whole key or value.

use std::sync::Arc;

use forebay_connect_api::{
    SchemaAndValue, Value,
    config::{ConfigDef, ConfigType, Importance, Validator},
};

use super::{Setup, Transformation};
use crate::definition::{REPLACE_NULL_WITH_DEFAULT, required, with_replace_null};
use crate::field_path::FieldPath;
use crate::record::Side;
use crate::structure::{require_map, require_struct_or_null};
use crate::{Error, Record};

const FIELD: &str = "field";
const FIELD_SYNTAX_VERSION: &str = "field.syntax.version";
const PURPOSE: &str = "field extraction";

pub(super) fn config_def() -> ConfigDef {
    let def = ConfigDef::new().define(required(
        FIELD,
        ConfigType::String,
        Importance::Medium,
        "The field to extract.",
    ));
    with_replace_null(def).define(
        required(
            FIELD_SYNTAX_VERSION,
            ConfigType::String,
            Importance::High,
            "How the field is named. V1: by its name, at the root only. V2: by a path with dots, in which backticks surround names \
             that have dots themselves: `foo.bar`.baz.",
        )
        .default("V1")
        .validator(Validator::one_of_ignoring_case(["V1", "V2"])),
    )
}

pub(super) fn new(setup: &Setup<'_>) -> Result<Box<dyn Transformation>, Error> {
    let name = setup.config.get_string(FIELD);
    let is_nested = setup
        .config
        .get_string(FIELD_SYNTAX_VERSION)
        .eq_ignore_ascii_case("V2");
    Ok(Box::new(ExtractField {
        side: setup.side,
        path: if is_nested {
            FieldPath::nested(name)?
        } else {
            FieldPath::root(name)
        },
        name: name.to_owned(),
        with_default: setup.config.get_boolean(REPLACE_NULL_WITH_DEFAULT),
    }))
}

#[derive(Debug)]
struct ExtractField {
    side: Side,
    path: FieldPath,
    name: String,
    with_default: bool,
}

impl ExtractField {
    fn extract(&self, data: &SchemaAndValue) -> Result<SchemaAndValue, Error> {
        let Some(schema) = &data.schema else {
            let value = match &data.value {
                Value::Null => Value::Null,
                value => self.path.value_in_map(require_map(value, PURPOSE)?)?,
            };
            return Ok(SchemaAndValue { schema: None, value });
        };
        let of = require_struct_or_null(Some(schema), &data.value, PURPOSE)?;
        let unknown = || Error::Argument(format!("Unknown field: {}", self.name));
        let field = self.path.field_of(schema)?.ok_or_else(unknown)?;
        let value = match of {
            Some(of) => self.path.value_in(of, self.with_default)?,
            None => Value::Null,
        };
        Ok(SchemaAndValue {
            schema: Some(Arc::clone(&field.schema)),
            value,
        })
    }
}

impl Transformation for ExtractField {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, Error> {
        let data = self.side.of_mut(&mut record);
        *data = self.extract(data)?;
        Ok(Some(record))
    }
}
