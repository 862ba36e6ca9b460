//! `HasHeaderKey`: records that have a header of that name.

use forebay_connect_api::config::{Config, ConfigDef, ConfigType, Importance, Validator};

use super::Predicate;
use crate::definition::required;
use crate::{Error, Record};

pub(super) fn config_def() -> ConfigDef {
    let name = required(
        "name",
        ConfigType::String,
        Importance::Medium,
        "The name of the header.",
    );
    ConfigDef::new().define(name.validator(Validator::NonEmpty))
}

pub(super) fn new(config: &Config) -> Result<Box<dyn Predicate>, Error> {
    let name = config.get_string("name").to_owned();
    Ok(Box::new(HasHeaderKey { name }))
}

#[derive(Debug)]
struct HasHeaderKey {
    name: String,
}

impl Predicate for HasHeaderKey {
    fn test(&self, record: &Record) -> bool {
        record.headers.last(&self.name).is_some()
    }
}
