//! `DropHeaders`: removes the headers of some names.

use forebay_connect_api::config::{ConfigDef, ConfigType, Importance};

use super::{Setup, Transformation};
use crate::definition::{names, required, unique};
use crate::{Error, Record};

const HEADERS: &str = "headers";

pub(super) fn config_def() -> ConfigDef {
    let headers = required(
        HEADERS,
        ConfigType::List,
        Importance::High,
        "The names of the headers to be removed.",
    );
    ConfigDef::new().define(headers.validator(names()))
}

#[allow(clippy::unnecessary_wraps)] // As those of other classes.
pub(super) fn new(setup: &Setup<'_>) -> Result<Box<dyn Transformation>, Error> {
    let headers = unique(setup.config.get_list(HEADERS));
    Ok(Box::new(DropHeaders { headers }))
}

#[derive(Debug)]
struct DropHeaders {
    headers: Vec<String>,
}

impl Transformation for DropHeaders {
    fn apply(&mut self, mut record: Record) -> Result<Option<Record>, Error> {
        for name in &self.headers {
            record.headers.remove(name);
        }
        Ok(Some(record))
    }
}
