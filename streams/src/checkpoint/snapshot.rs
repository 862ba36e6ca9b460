//! A snapshot file: magic, length and text of a JSON header (the next offsets), the state as an Arrow IPC stream, and the
//! CRC32C of all that.

use std::path::Path;

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::ArrowError;
use forebay_disk::{Disk, DiskExt};

use crate::plan::{self, Offsets};
use crate::state;

const MAGIC: &[u8; 8] = b"FBSTATE1";

/// The largest snapshot that is read back.
const SNAPSHOT_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;

pub(super) fn encode(topic: &str, offsets: &Offsets, state: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let header = plan::to_json(topic, offsets).to_string();
    let mut bytes = Vec::with_capacity(state.get_array_memory_size() + header.len() + 1024);
    bytes.extend_from_slice(MAGIC);
    let header_bytes =
        u32::try_from(header.len()).map_err(|_| ArrowError::IpcError("too many partitions".to_owned()))?;
    bytes.extend_from_slice(&header_bytes.to_be_bytes());
    bytes.extend_from_slice(header.as_bytes());
    let mut writer = StreamWriter::try_new(&mut bytes, &state.schema())?;
    writer.write(state)?;
    writer.finish()?;
    drop(writer);
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_be_bytes());
    Ok(bytes)
}

/// The error is for people: what is wrong with the file.
pub(super) fn read(disk: &dyn Disk, path: &Path, topic: &str) -> Result<(Offsets, RecordBatch), String> {
    let bytes = disk
        .read(path, SNAPSHOT_BYTES_MAX)
        .map_err(|error| error.to_string())?;
    let (content, crc) = bytes.split_last_chunk::<4>().ok_or("it is too short")?;
    // Checked before anything is parsed: what follows was written by us.
    if crc32c::crc32c(content) != u32::from_be_bytes(*crc) {
        return Err("its checksum is wrong".to_owned());
    }
    let rest = content
        .strip_prefix(MAGIC)
        .ok_or("it is no snapshot, or one of a newer version")?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or("it is too short")?;
    let (header, state) = rest
        .split_at_checked(u32::from_be_bytes(*length) as usize)
        .ok_or("it is too short")?;
    let header = serde_json::from_slice(header).map_err(|error| error.to_string())?;
    let offsets = plan::from_json(topic, &header).ok_or("it is of another topic")?;
    let reader = StreamReader::try_new(state, None).map_err(|error| error.to_string())?;
    let batches = reader
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| error.to_string())?;
    match <[RecordBatch; 1]>::try_from(batches) {
        Ok([batch]) => Ok((offsets, batch)),
        Err(batches) if batches.is_empty() => Ok((offsets, RecordBatch::new_empty(state::schema()))),
        Err(_) => Err("it has more than one batch".to_owned()),
    }
}
