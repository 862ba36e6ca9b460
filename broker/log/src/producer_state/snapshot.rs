//! Producer state on disk, `<offset>.snapshot` (Kafka's `ProducerSnapshot`, version 1): version, CRC-32C of what follows
//! it, and an entry for each producer. Of its batches only the last is kept, as in Kafka.

use forebay_records::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

use super::entry::{BatchMetadata, ProducerEntry};

const VERSION: i16 = 1;
/// Version and CRC.
const HEAD_BYTES: usize = 6;
const ENTRY_BYTES: usize = 46;
/// No snapshot file of more bytes is read: some ten million producers.
pub(crate) const SNAPSHOT_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Why a snapshot cannot be used. An older one, or the batches themselves, take its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not the one there is.
    #[error("it has the unknown version {0}")]
    Version(i16),
    /// Cut, or not a snapshot.
    #[error("it is too short or too long for its number of entries")]
    Length,
    /// Bits have changed.
    #[error("its CRC is {stored}, that of its bytes {computed}")]
    Checksum {
        /// The one in the file.
        stored: u32,
        /// That of the bytes behind it.
        computed: u32,
    },
}

pub(crate) fn encode<'a>(
    entries: impl ExactSizeIterator<Item = (&'a ProducerId, &'a ProducerEntry)>,
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES + 4 + entries.len() * ENTRY_BYTES);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    let count = i32::try_from(entries.len()).expect("memory does not hold so many producers");
    bytes.extend_from_slice(&count.to_be_bytes());
    for (producer_id, entry) in entries {
        let last = entry.last_batch();
        bytes.extend_from_slice(&producer_id.value().to_be_bytes());
        bytes.extend_from_slice(&entry.epoch.value().to_be_bytes());
        bytes.extend_from_slice(&entry.last_sequence().value().to_be_bytes());
        bytes.extend_from_slice(&last.map_or(-1, |batch| batch.last_offset.value()).to_be_bytes());
        bytes.extend_from_slice(&last.map_or(0, |batch| batch.offset_delta).to_be_bytes());
        bytes.extend_from_slice(&entry.last_timestamp.value().to_be_bytes());
        bytes.extend_from_slice(&entry.coordinator_epoch.to_be_bytes());
        let first = entry.transaction_first_offset.map_or(-1, Offset::value);
        bytes.extend_from_slice(&first.to_be_bytes());
    }
    let crc = crc32c::crc32c(&bytes[HEAD_BYTES..]);
    bytes[2..HEAD_BYTES].copy_from_slice(&crc.to_be_bytes());
    bytes
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<(ProducerId, ProducerEntry)>, Error> {
    let mut reader = Reader { bytes };
    let version = i16::from_be_bytes(reader.take()?);
    if version != VERSION {
        return Err(Error::Version(version));
    }
    let stored = u32::from_be_bytes(reader.take()?);
    let computed = crc32c::crc32c(reader.bytes);
    if stored != computed {
        return Err(Error::Checksum { stored, computed });
    }
    let count = usize::try_from(i32::from_be_bytes(reader.take()?)).map_err(|_| Error::Length)?;
    if reader.bytes.len() != count.saturating_mul(ENTRY_BYTES) {
        return Err(Error::Length);
    }
    (0..count).map(|_| reader.entry()).collect()
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.bytes.split_first_chunk::<N>().ok_or(Error::Length)?;
        self.bytes = rest;
        Ok(*taken)
    }

    fn entry(&mut self) -> Result<(ProducerId, ProducerEntry), Error> {
        let producer_id = ProducerId(i64::from_be_bytes(self.take()?));
        let epoch = ProducerEpoch(i16::from_be_bytes(self.take()?));
        let last_sequence = Sequence(i32::from_be_bytes(self.take()?));
        let last_offset = Offset(i64::from_be_bytes(self.take()?));
        let offset_delta = i32::from_be_bytes(self.take()?);
        let timestamp = Timestamp(i64::from_be_bytes(self.take()?));
        let coordinator_epoch = i32::from_be_bytes(self.take()?);
        let first = Offset(i64::from_be_bytes(self.take()?));
        let mut entry = ProducerEntry::UNKNOWN;
        if last_offset.is_some() {
            entry.add_batch(
                epoch,
                BatchMetadata {
                    last_sequence,
                    last_offset,
                    offset_delta,
                    timestamp,
                },
            );
        }
        entry.set_epoch(epoch);
        entry.last_timestamp = timestamp;
        entry.coordinator_epoch = coordinator_epoch;
        entry.transaction_first_offset = Some(first).filter(|first| first.is_some());
        Ok((producer_id, entry))
    }
}
