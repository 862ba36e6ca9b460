//! A `HashMap<byte[], byte[]>` as Java serializes it (Java Object Serialization Specification, chapter 6): what there is of
//! that in Kafka's offset file, and nothing else.

use std::collections::BTreeMap;

const MAGIC_AND_VERSION: [u8; 4] = [0xac, 0xed, 0, 5];
const NULL: u8 = 0x70;
const REFERENCE: u8 = 0x71;
const CLASS_DESCRIPTION: u8 = 0x72;
const OBJECT: u8 = 0x73;
const ARRAY: u8 = 0x75;
const BLOCK_DATA: u8 = 0x77;
const END_BLOCK_DATA: u8 = 0x78;

/// Where references begin to count.
const FIRST_HANDLE: u32 = 0x7e_0000;

/// `java.util.HashMap` with its fields `float loadFactor` and `int threshold`, written by a method of its own.
const HASH_MAP: &[u8] = b"\x00\x11java.util.HashMap\x05\x07\xda\xc1\xc3\x16\x60\xd1\x03\x00\x02\
    F\x00\x0aloadFactorI\x00\x09threshold";

/// `byte[]`.
const BYTES: &[u8] = b"\x00\x02[B\xac\xf3\x17\xf8\x06\x08\x54\xe0\x02\x00\x00";

/// How full a map of Java's is before it grows: 0.75, and the same in hundredths.
const LOAD_FACTOR: [u8; 4] = [0x3f, 0x40, 0, 0];
const LOAD_PERCENT: usize = 75;

/// The smallest table of a map of Java's.
const CAPACITY_MIN: usize = 16;

/// Why a file is not one of Kafka's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "at byte {at}: this is not a serialized java.util.HashMap of byte arrays, as Kafka's standalone worker writes it"
)]
pub(super) struct Error {
    at: usize,
}

/// Keys and values; Java's may be null.
pub(super) type Entries = Vec<(Option<Vec<u8>>, Option<Vec<u8>>)>;

/// As Java would write it; it does not matter in which order.
pub(super) fn encode(entries: &BTreeMap<Vec<u8>, Vec<u8>>) -> Vec<u8> {
    let mut bytes = MAGIC_AND_VERSION.to_vec();
    let mut capacity = CAPACITY_MIN;
    while capacity * LOAD_PERCENT / 100 < entries.len() {
        capacity *= 2;
    }
    bytes.extend([OBJECT, CLASS_DESCRIPTION]);
    bytes.extend(HASH_MAP);
    bytes.extend([END_BLOCK_DATA, NULL]);
    bytes.extend(LOAD_FACTOR);
    bytes.extend(number(capacity * LOAD_PERCENT / 100));
    bytes.extend([BLOCK_DATA, 8]);
    bytes.extend(number(capacity));
    bytes.extend(number(entries.len()));
    // The class of the map and the map are the first two.
    let class_handle = FIRST_HANDLE + 2;
    let mut is_first = true;
    for array in entries.iter().flat_map(|(key, value)| [key, value]) {
        bytes.push(ARRAY);
        if std::mem::take(&mut is_first) {
            bytes.push(CLASS_DESCRIPTION);
            bytes.extend(BYTES);
            bytes.extend([END_BLOCK_DATA, NULL]);
        } else {
            bytes.push(REFERENCE);
            bytes.extend(class_handle.to_be_bytes());
        }
        bytes.extend(number(array.len()));
        bytes.extend(array);
    }
    bytes.push(END_BLOCK_DATA);
    bytes
}

fn number(value: usize) -> [u8; 4] {
    u32::try_from(value).unwrap_or(u32::MAX).to_be_bytes()
}

/// Reads such a map; an empty file is an empty one, as for Kafka.
pub(super) fn decode(bytes: &[u8]) -> Result<Entries, Error> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let mut reader = Reader {
        bytes,
        at: 0,
        handles: Vec::new(),
    };
    reader.map()
}

/// What a reference may mean.
#[derive(Debug, Clone)]
enum Handle {
    Map,
    MapClass,
    BytesClass,
    Bytes(Vec<u8>),
}

#[derive(Debug)]
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    handles: Vec<Handle>,
}

impl Reader<'_> {
    fn map(&mut self) -> Result<Entries, Error> {
        self.expect(&MAGIC_AND_VERSION)?;
        self.expect(&[OBJECT, CLASS_DESCRIPTION])?;
        self.expect(HASH_MAP)?;
        self.expect(&[END_BLOCK_DATA, NULL])?;
        self.handles.extend([Handle::MapClass, Handle::Map]);
        let _load_factor_and_threshold = self.take(8)?;
        self.expect(&[BLOCK_DATA, 8])?;
        let _capacity = self.number()?;
        let count = self.number()?;
        let mut entries = Vec::new();
        for _ in 0..count {
            entries.push((self.array()?, self.array()?));
        }
        self.expect(&[END_BLOCK_DATA])?;
        Ok(entries)
    }

    fn array(&mut self) -> Result<Option<Vec<u8>>, Error> {
        match self.take(1)?[0] {
            NULL => Ok(None),
            REFERENCE => match self.handle()? {
                Handle::Bytes(bytes) => Ok(Some(bytes)),
                _ => Err(self.error()),
            },
            ARRAY => {
                self.bytes_class()?;
                let length = self.number()?;
                let bytes = self.take(length)?.to_vec();
                self.handles.push(Handle::Bytes(bytes.clone()));
                Ok(Some(bytes))
            }
            _ => Err(self.error()),
        }
    }

    fn bytes_class(&mut self) -> Result<(), Error> {
        match self.take(1)?[0] {
            CLASS_DESCRIPTION => {
                self.expect(BYTES)?;
                self.expect(&[END_BLOCK_DATA, NULL])?;
                self.handles.push(Handle::BytesClass);
                Ok(())
            }
            REFERENCE => match self.handle()? {
                Handle::BytesClass => Ok(()),
                _ => Err(self.error()),
            },
            _ => Err(self.error()),
        }
    }

    fn handle(&mut self) -> Result<Handle, Error> {
        let place = self.number()?.checked_sub(FIRST_HANDLE as usize);
        let found = place.and_then(|place| self.handles.get(place)).cloned();
        found.ok_or_else(|| self.error())
    }

    fn number(&mut self) -> Result<usize, Error> {
        let bytes = self.take(4)?;
        let number = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        usize::try_from(number).map_err(|_| self.error())
    }

    fn take(&mut self, count: usize) -> Result<&[u8], Error> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| self.error())?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn expect(&mut self, expected: &[u8]) -> Result<(), Error> {
        let error = self.error();
        if self.take(expected.len())? == expected {
            Ok(())
        } else {
            Err(error)
        }
    }

    fn error(&self) -> Error {
        Error { at: self.at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for count in [0_u8, 1, 2, 12, 13, 100] {
            let entries: BTreeMap<Vec<u8>, Vec<u8>> = (0..count)
                .map(|number| (vec![number; usize::from(number)], vec![number, 0xff]))
                .collect();
            let bytes = encode(&entries);
            let read = decode(&bytes).expect("our own");
            let expected: Entries = entries
                .into_iter()
                .map(|(key, value)| (Some(key), Some(value)))
                .collect();
            assert_eq!(read, expected);
            for cut in 1..bytes.len() {
                assert!(decode(&bytes[..cut]).is_err(), "{count} {cut}");
            }
        }
        assert_eq!(decode(&[]), Ok(Vec::new()));
        assert_eq!(decode(b"offsets"), Err(Error { at: 0 }));
    }

    #[test]
    fn nulls_and_arrays_that_are_there_twice_are_understood() {
        let mut bytes = encode(&[(b"k".to_vec(), b"v".to_vec())].into());
        let value = bytes.len() - 12;
        // In place of the value: null, then the key again.
        for (instead, expected) in [
            (vec![NULL], None),
            (vec![REFERENCE, 0, 0x7e, 0, 3], Some(b"k".to_vec())),
        ] {
            bytes.truncate(value);
            bytes.extend(&instead);
            bytes.push(END_BLOCK_DATA);
            let read = decode(&bytes).expect("Java could write it");
            assert_eq!(read, [(Some(b"k".to_vec()), expected)]);
        }
    }
}
