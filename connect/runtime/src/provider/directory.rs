//! `DirectoryConfigProvider`: each file of a directory is a value under the file's name, as in `${directory:/run/secrets:password}`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::paths::Paths;
use super::{ConfigProvider, Setup, file};

pub(super) fn new(setup: &Setup<'_>) -> Result<Arc<dyn ConfigProvider>, (&'static str, String)> {
    Ok(Arc::new(DirectoryConfigProvider(Paths::new(setup)?)))
}

#[derive(Debug)]
struct DirectoryConfigProvider(Paths);

impl ConfigProvider for DirectoryConfigProvider {
    fn get(&self, path: &str, keys: &BTreeSet<&str>) -> Result<BTreeMap<String, String>, String> {
        let mut values = BTreeMap::new();
        if path.is_empty() {
            return Ok(values);
        }
        let directory = Path::new(path);
        self.0.check(directory)?;
        for key in keys {
            // A name, not a way to somewhere else.
            if Path::new(key).file_name() != Some(key.as_ref()) {
                continue;
            }
            let file = directory.join(key);
            if !file.is_file() {
                continue;
            }
            // It may be a link out of the directory.
            self.0.check(&file)?;
            let bytes = file::read(&file)
                .map_err(|_| format!("Could not read file {} for property {key}", file.display()))?;
            values.insert((*key).to_owned(), String::from_utf8_lossy(&bytes).into_owned());
        }
        Ok(values)
    }

    fn time_to_live(&self) -> Option<Duration> {
        self.0.time_to_live
    }
}
