//! `FileConfigProvider`: values of a `.properties` file, as in `${file:/run/secrets/db.properties:password}`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::paths::Paths;
use super::{ConfigProvider, Setup};

/// How large a file may be.
pub(super) const FILE_BYTES_MAX: u64 = 1 << 20;

pub(super) fn new(setup: &Setup<'_>) -> Result<Arc<dyn ConfigProvider>, (&'static str, String)> {
    Ok(Arc::new(FileConfigProvider(Paths::new(setup)?)))
}

#[derive(Debug)]
struct FileConfigProvider(Paths);

impl ConfigProvider for FileConfigProvider {
    fn get(&self, path: &str, keys: &BTreeSet<&str>) -> Result<BTreeMap<String, String>, String> {
        if path.is_empty() {
            return Ok(BTreeMap::new());
        }
        self.0.check(Path::new(path))?;
        let failed = |_| format!("Could not read properties from file {path}");
        let bytes = read(Path::new(path)).map_err(failed)?;
        // The error of a line would show the line.
        let entries = forebay_config::properties::parse(path, &bytes);
        let properties = entries.map_err(|_| failed(String::new()))?.to_properties();
        let wanted = properties
            .into_iter()
            .filter(|(key, _)| keys.contains(key.as_str()));
        Ok(wanted.collect())
    }

    fn time_to_live(&self) -> Option<Duration> {
        self.0.time_to_live
    }
}

/// All of a file, which must be one: a pipe would never end.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let is_file = std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    if !is_file {
        return Err("it is not a file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("it is larger than {FILE_BYTES_MAX} bytes"));
    }
    Ok(bytes)
}
