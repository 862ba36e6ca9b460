//! `RecordIsTombstone`: records whose value is null.

use forebay_connect_api::config::Config;

use super::Predicate;
use crate::{Error, Record};

#[allow(clippy::unnecessary_wraps)] // As those of other classes.
pub(super) fn new(_config: &Config) -> Result<Box<dyn Predicate>, Error> {
    Ok(Box::new(RecordIsTombstone))
}

#[derive(Debug)]
struct RecordIsTombstone;

impl Predicate for RecordIsTombstone {
    fn test(&self, record: &Record) -> bool {
        record.value.value.is_null()
    }
}
