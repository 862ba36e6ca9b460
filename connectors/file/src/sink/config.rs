//! The one key of FileStreamSink.

use std::path::PathBuf;

use forebay_connect_api::{
    Error,
    config::{ConfigDef, ConfigKey, ConfigType, Importance, Properties},
};

const FILE: &str = "file";

/// A configuration in its types.
#[derive(Debug, Clone)]
pub(super) struct Config {
    /// `None`: standard output.
    pub(super) file: Option<PathBuf>,
}

pub(super) fn definition() -> ConfigDef {
    ConfigDef::new().define(
        ConfigKey::new(FILE, ConfigType::String)
            .optional()
            .importance(Importance::High)
            .documentation("Destination filename. If not specified, the standard output will be used"),
    )
}

impl Config {
    pub(super) fn parse(properties: &Properties) -> Result<Self, Error> {
        let config = definition().parse(properties)?;
        let file = config.get_optional::<&str>(FILE).filter(|file| !file.is_empty());
        Ok(Self {
            file: file.map(PathBuf::from),
        })
    }
}
