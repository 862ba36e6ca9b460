//! Source offsets in a file, for a worker that runs alone (Kafka's `FileOffsetBackingStore`): the same file in the same form,
//! so that a user can come from Kafka and go back. It is replaced as a whole, and durable before a commit counts.

mod java;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use forebay_client::topic_table::KeyValue;
use tokio::sync::Mutex;

use super::{Offsets, entries, replay};
use crate::store::Error;

/// The file, and what it says.
#[derive(Debug)]
pub(super) struct OffsetFile {
    path: PathBuf,
    name: String,
    offsets: Arc<RwLock<Offsets>>,
    writing: Mutex<()>,
}

impl OffsetFile {
    /// Reads the file into `offsets`; one that is missing or empty says nothing.
    pub(super) async fn open(path: &Path, offsets: Arc<RwLock<Offsets>>) -> Result<Self, Error> {
        let name = path.display().to_string();
        let from = path.to_owned();
        let read = tokio::task::spawn_blocking(move || match fs::read(from) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            other => other,
        });
        let bytes = read.await.map_err(io::Error::other).flatten();
        let bytes = bytes.map_err(|source| failed(&name, source))?;
        let known = java::decode(&bytes);
        let known =
            known.map_err(|error| failed(&name, io::Error::new(io::ErrorKind::InvalidData, error)))?;
        {
            let mut offsets = offsets.write().expect("nobody panics with the offsets");
            for (key, value) in known {
                let Some(key) = key else { continue };
                if let Err(reason) = replay(&mut offsets, &key, value.as_deref()) {
                    let key = String::from_utf8_lossy(&key);
                    tracing::warn!(%key, reason, file = name, "an entry of the offset file is left out");
                }
            }
        }
        Ok(Self {
            path: path.to_owned(),
            name,
            offsets,
            writing: Mutex::new(()),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Changes offsets; they are durable afterwards.
    pub(super) async fn write(&self, records: &[KeyValue]) -> Result<(), Error> {
        let _writing = self.writing.lock().await;
        let mut changed = self
            .offsets
            .read()
            .expect("nobody panics with the offsets")
            .clone();
        for (key, value) in records {
            let replayed = replay(&mut changed, key, value.as_deref());
            replayed
                .map_err(|reason| failed(&self.name, io::Error::new(io::ErrorKind::InvalidInput, reason)))?;
        }
        let (path, bytes) = (self.path.clone(), java::encode(&entries(&changed)));
        let saved = tokio::task::spawn_blocking(move || save(&path, &bytes)).await;
        let saved = saved.map_err(io::Error::other).flatten();
        saved.map_err(|source| failed(&self.name, source))?;
        *self.offsets.write().expect("nobody panics with the offsets") = changed;
        Ok(())
    }
}

fn failed(path: &str, source: io::Error) -> Error {
    Error::File {
        path: path.to_owned(),
        source,
    }
}

/// A crash leaves the old file or the new one.
fn save(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use forebay_connect_api::OffsetMap;

    use super::*;

    fn offsets_of(pairs: &[(&str, i64)]) -> Vec<KeyValue> {
        let record = |(file, position): &(&str, i64)| {
            let key = format!(r#"["c",{{"filename":"{file}"}}]"#).into_bytes();
            (key, Some(format!(r#"{{"position":{position}}}"#).into_bytes()))
        };
        pairs.iter().map(record).collect()
    }

    fn positions(offsets: &RwLock<Offsets>) -> Vec<i64> {
        let offsets = offsets.read().expect("nobody panics with it");
        let mut found: Vec<i64> = offsets.get("c").map_or_else(Vec::new, |of| {
            of.values()
                .filter_map(|offset: &OffsetMap| offset.get_int64("position"))
                .collect()
        });
        found.sort_unstable();
        found
    }

    #[tokio::test]
    async fn what_is_written_is_there_after_a_restart() {
        let folder = std::env::temp_dir().join(format!("forebay-offsets-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&folder).expect("it is new");
        let path = folder.join("connect.offsets");
        let open = async || {
            let offsets = Arc::<RwLock<Offsets>>::default();
            let file = OffsetFile::open(&path, Arc::clone(&offsets))
                .await
                .expect("it is sound");
            (file, offsets)
        };
        let (file, offsets) = open().await;
        assert_eq!(positions(&offsets), [0_i64; 0]);
        file.write(&offsets_of(&[("a", 1), ("b", 2)]))
            .await
            .expect("written");
        file.write(&offsets_of(&[("a", 3)])).await.expect("written");
        let forget = (offsets_of(&[("b", 0)]).remove(0).0, None);
        let (_, again) = open().await;
        assert_eq!((positions(&offsets), positions(&again)), (vec![2, 3], vec![2, 3]));
        file.write(&[forget]).await.expect("written");
        let (_, again) = open().await;
        assert_eq!(positions(&again), [3]);
        // A write that fails is no commit.
        fs::remove_dir_all(&folder).expect("it is ours");
        file.write(&offsets_of(&[("a", 9)]))
            .await
            .expect_err("there is no folder");
        assert_eq!(positions(&offsets), [3]);
    }

    #[tokio::test]
    async fn a_file_of_something_else_is_refused() {
        let path = std::env::temp_dir().join(format!("forebay-no-offsets-{}", uuid::Uuid::new_v4()));
        fs::write(&path, b"offsets").expect("written");
        let opened = OffsetFile::open(&path, Arc::default()).await;
        let error = opened.expect_err("it is text").to_string();
        fs::remove_file(&path).expect("it is ours");
        assert!(error.contains(&path.display().to_string()), "{error}");
    }
}
