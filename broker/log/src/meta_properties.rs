//! `meta.properties` in a data directory: whose records these are (KIP-631, KIP-858). A broker that finds another cluster's
//! or another node's directory does not touch it.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use forebay_disk::{Disk, DiskExt};

use crate::error::{Error, Result};
use crate::uuid::DirectoryId;

pub(crate) const FILE_NAME: &str = "meta.properties";
const VERSION: &str = "1";
const BYTES_MAX: u64 = 64 * 1024;

/// Whose directory it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaProperties {
    /// `cluster.id`.
    pub cluster_id: String,
    /// `node.id`.
    pub node_id: i32,
    /// `directory.id`.
    pub directory_id: DirectoryId,
}

impl MetaProperties {
    /// Of a directory that is not open yet; none if nobody's records are there.
    ///
    /// # Errors
    /// [`Error::InvalidFile`], storage errors.
    pub fn of_directory(disk: &dyn Disk, directory: &Path) -> Result<Option<MetaProperties>> {
        read(disk, directory)
    }
}

/// Reads the file; none if it is missing. A directory without `directory.id`, from before KIP-858, has
/// [`DirectoryId::NONE`].
pub(crate) fn read(disk: &dyn Disk, directory: &Path) -> Result<Option<MetaProperties>> {
    let path = directory.join(FILE_NAME);
    let bytes = match disk.read(&path, BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    parse(&bytes).map(Some).map_err(|reason| Error::InvalidFile {
        path,
        reason: Arc::from(reason),
    })
}

fn parse(bytes: &[u8]) -> std::result::Result<MetaProperties, String> {
    let entries = forebay_config::properties::parse(FILE_NAME, bytes).map_err(|error| error.to_string())?;
    let required = |key: &str| entries.get(key).ok_or_else(|| format!("{key} is missing"));
    let version = required("version")?;
    if version != VERSION {
        return Err(format!(
            "version is {version}, but only {VERSION} is supported (Kafka 3.3 or later in KRaft mode)"
        ));
    }
    let node_id = required("node.id")?;
    let directory_id = match entries.get("directory.id") {
        None => DirectoryId::NONE,
        Some(id) => id.parse().map_err(|error| format!("directory.id: {error}"))?,
    };
    Ok(MetaProperties {
        cluster_id: required("cluster.id")?.to_owned(),
        node_id: node_id
            .parse()
            .map_err(|_| format!("node.id is {node_id}, which is not a number"))?,
        directory_id,
    })
}

pub(crate) fn write(disk: &dyn Disk, directory: &Path, meta: &MetaProperties) -> Result<()> {
    let MetaProperties {
        cluster_id,
        node_id,
        directory_id,
    } = meta;
    let mut text = format!("cluster.id={cluster_id}\n");
    if *directory_id != DirectoryId::NONE {
        writeln!(text, "directory.id={directory_id}").expect("a String takes everything");
    }
    writeln!(text, "node.id={node_id}\nversion={VERSION}").expect("a String takes everything");
    Ok(disk.write_atomically(&directory.join(FILE_NAME), text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_and_read_back() {
        let disk = forebay_disk::MemoryDisk::new();
        let directory = Path::new("/");
        assert_eq!(read(&disk, directory).expect("missing"), None);
        let meta = MetaProperties {
            cluster_id: "H3KKO4NTRPaCWtEmm3vW7A".to_owned(),
            node_id: 3,
            directory_id: "5XC8qUe3RUmpVAjfxmUGZA".parse().expect("valid"),
        };
        write(&disk, directory, &meta).expect("written");
        let text =
            String::from_utf8(disk.read(Path::new("/meta.properties"), 1000).expect("read")).expect("text");
        assert_eq!(
            text,
            "cluster.id=H3KKO4NTRPaCWtEmm3vW7A\ndirectory.id=5XC8qUe3RUmpVAjfxmUGZA\nnode.id=3\nversion=1\n"
        );
        assert_eq!(read(&disk, directory).expect("read"), Some(meta));
    }

    #[test]
    fn what_kafka_writes_is_read() {
        let text = "#\n#Thu Nov 21 09:00:00 UTC 2024\ncluster.id=abc\nnode.id=1\nversion=1\n";
        let meta = parse(text.as_bytes()).expect("valid");
        assert_eq!(
            (meta.cluster_id.as_str(), meta.node_id, meta.directory_id),
            ("abc", 1, DirectoryId::NONE)
        );
        for bad in [
            "",
            "version=0\ncluster.id=a\nbroker.id=1",
            "version=1\nnode.id=1",
            "version=1\ncluster.id=a\nnode.id=x",
            "version=1\ncluster.id=a\nnode.id=1\ndirectory.id=zz",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
