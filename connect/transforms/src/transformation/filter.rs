//! `Filter`: drops every record, so it makes sense with a predicate only.

use forebay_connect_api::config::ConfigDef;

use super::{Setup, Transformation};
use crate::{Error, Record};

pub(super) fn config_def() -> ConfigDef {
    ConfigDef::new()
}

#[allow(clippy::unnecessary_wraps)] // As those of other classes.
pub(super) fn new(_setup: &Setup<'_>) -> Result<Box<dyn Transformation>, Error> {
    Ok(Box::new(Filter))
}

#[derive(Debug)]
struct Filter;

impl Transformation for Filter {
    fn apply(&mut self, _record: Record) -> Result<Option<Record>, Error> {
        Ok(None)
    }
}
