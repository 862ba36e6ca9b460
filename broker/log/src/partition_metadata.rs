//! `partition.metadata` in a log's folder: which topic it belongs to, so that a topic made anew under the same name never
//! takes over the records of the old one (Kafka's `PartitionMetadataFile`).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use forebay_disk::{Disk, DiskExt};

use crate::error::{Error, Result};
use crate::uuid::TopicId;

pub(crate) const FILE_NAME: &str = "partition.metadata";
const BYTES_MAX: u64 = 4096;

/// The topic's id; none if the file is missing.
pub(crate) fn read(disk: &dyn Disk, folder: &Path) -> Result<Option<TopicId>> {
    let path = folder.join(FILE_NAME);
    let bytes = match disk.read(&path, BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    parse(&bytes).map(Some).map_err(|reason| Error::InvalidFile {
        path: PathBuf::from(&path),
        reason: Arc::from(reason),
    })
}

fn parse(bytes: &[u8]) -> std::result::Result<TopicId, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "the file is not text".to_owned())?;
    let mut lines = text.lines();
    let mut field = |name: &str| {
        let (key, value) = lines
            .next()
            .and_then(|line| line.split_once(':'))
            .unwrap_or_default();
        if key.trim() == name {
            Ok(value.trim())
        } else {
            Err(format!("the line `{name}: ...` is missing"))
        }
    };
    let version = field("version")?;
    if version != "0" && version != "1" {
        return Err(format!("the version is {version}, not 0 or 1"));
    }
    let id: TopicId = field("topic_id")?.parse().map_err(|error| format!("{error}"))?;
    if id == TopicId::NONE {
        Err("the topic id is all zeros".to_owned())
    } else {
        Ok(id)
    }
}

pub(crate) fn write(disk: &dyn Disk, folder: &Path, topic_id: TopicId) -> Result<()> {
    let text = format!("version: 0\ntopic_id: {topic_id}");
    Ok(disk.write_atomically(&folder.join(FILE_NAME), text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_kafkas() {
        let disk = forebay_disk::MemoryDisk::new();
        let folder = Path::new("/");
        assert_eq!(read(&disk, folder).expect("missing"), None);
        let id: TopicId = "H3KKO4NTRPaCWtEmm3vW7A".parse().expect("valid");
        write(&disk, folder, id).expect("written");
        let text = disk.read(&folder.join(FILE_NAME), 100).expect("read");
        assert_eq!(text, b"version: 0\ntopic_id: H3KKO4NTRPaCWtEmm3vW7A");
        assert_eq!(read(&disk, folder).expect("read"), Some(id));
        for bad in [
            "",
            "version: 0",
            "topic_id: H3KKO4NTRPaCWtEmm3vW7A",
            "version: 9\ntopic_id: H3KKO4NTRPaCWtEmm3vW7A",
            "version: 0\ntopic_id: H3KKO4",
            "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
