//! Whose directory it is: read from `meta.properties`, or written into a new directory.

use std::path::Path;
use std::sync::Arc;

use forebay_disk::{Disk, FileKind};

use super::DirectoryOptions;
use crate::error::{Error, Result};
use crate::meta_properties::{self, MetaProperties};
use crate::topic_partition::TopicPartition;
use crate::uuid::DirectoryId;

/// Reads `meta.properties`, or writes it into a new directory.
pub(super) fn claim(options: &DirectoryOptions) -> Result<MetaProperties> {
    let DirectoryOptions {
        disk, path, node_id, ..
    } = options;
    let file = path.join(meta_properties::FILE_NAME);
    let foreign = |what, expected: String, found: String| Error::ForeignDirectory {
        path: file.clone(),
        what,
        expected,
        found,
    };
    let Some(mut meta) = meta_properties::read(&**disk, path)? else {
        if holds_logs(&**disk, path)? {
            return Err(Error::InvalidFile {
                path: file,
                reason: Arc::from("it is missing although there are partitions beside it: bring it back"),
            });
        }
        let cluster_id = options
            .cluster_id
            .as_ref()
            .unwrap_or(&options.new_cluster_id)
            .clone();
        let meta = MetaProperties {
            cluster_id,
            node_id: *node_id,
            directory_id: options.new_directory_id,
        };
        meta_properties::write(&**disk, path, &meta)?;
        return Ok(meta);
    };
    if let Some(cluster_id) = &options.cluster_id
        && *cluster_id != meta.cluster_id
    {
        return Err(foreign("cluster", cluster_id.clone(), meta.cluster_id));
    }
    if *node_id != meta.node_id {
        return Err(foreign("node", node_id.to_string(), meta.node_id.to_string()));
    }
    if meta.directory_id == DirectoryId::NONE {
        meta.directory_id = options.new_directory_id;
        meta_properties::write(&**disk, path, &meta)?;
    }
    Ok(meta)
}

fn holds_logs(disk: &dyn Disk, path: &Path) -> Result<bool> {
    let entries = disk.read_dir(path)?;
    let mut folders = entries.iter().filter(|entry| entry.kind == FileKind::Directory);
    Ok(folders.any(|folder| {
        folder
            .name
            .to_str()
            .is_some_and(|name| TopicPartition::from_folder_name(name).is_some())
    }))
}
