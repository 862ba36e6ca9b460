//! Records as they lie in a batch (Kafka's `DefaultRecord`): borrowed or sharing the batch's bytes, headers left encoded until
//! someone asks for them.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use crate::varint::{self, Cursor};
use crate::{Offset, Timestamp};

/// A record that shares the bytes of its batch (or of a decompressed chunk of it).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Position in the partition.
    pub offset: Offset,
    /// The record's own, or the append time where the batch says so.
    pub timestamp: Timestamp,
    /// None is null.
    pub key: Option<Bytes>,
    /// None is null: a tombstone in a compacted topic.
    pub value: Option<Bytes>,
    /// Possibly empty.
    pub headers: Headers,
}

impl Record {
    /// The same, borrowed.
    #[must_use]
    pub fn as_ref(&self) -> RecordRef<'_> {
        RecordRef {
            offset: self.offset,
            timestamp: self.timestamp,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: self.headers.iter(),
        }
    }
}

/// A record that borrows from its batch: no counting of references.
#[derive(Clone, Copy, Debug)]
pub struct RecordRef<'a> {
    /// Position in the partition.
    pub offset: Offset,
    /// The record's own, or the append time where the batch says so.
    pub timestamp: Timestamp,
    /// None is null.
    pub key: Option<&'a [u8]>,
    /// None is null.
    pub value: Option<&'a [u8]>,
    /// An iterator over the headers, to be copied and used.
    pub headers: HeaderIterator<'a>,
}

/// One header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// UTF-8 by contract, which nobody on the way checks.
    pub key: &'a [u8],
    /// None is null.
    pub value: Option<&'a [u8]>,
}

impl<'a> Header<'a> {
    /// The key as text, with U+FFFD where it is not UTF-8.
    #[must_use]
    pub fn key_text(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.key)
    }
}

/// A record's headers in their encoded form: in order, keys may repeat. Collect it from `(key, value)` pairs.
#[derive(Clone, Default)]
pub struct Headers {
    /// Count and entries; empty for none.
    encoded: Bytes,
}

impl Headers {
    /// No headers.
    pub const EMPTY: Self = Self {
        encoded: Bytes::new(),
    };

    /// `encoded` must have gone through [`raw`], which checks it.
    pub(crate) fn from_encoded(encoded: Bytes) -> Self {
        if encoded.first() == Some(&0) {
            Self::EMPTY
        } else {
            Self { encoded }
        }
    }

    /// In order.
    #[must_use]
    pub fn iter(&self) -> HeaderIterator<'_> {
        HeaderIterator::new(&self.encoded)
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().len()
    }

    /// None at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.encoded.is_empty()
    }

    /// The last header of that key (Kafka's `lastHeader`).
    #[must_use]
    pub fn last(&self, key: &str) -> Option<Header<'_>> {
        self.iter().filter(|header| header.key == key.as_bytes()).last()
    }

    /// A header's value (or key) as `Bytes` that share this memory. `part` must come from `self`.
    #[must_use]
    pub fn share(&self, part: &[u8]) -> Bytes {
        if part.is_empty() {
            Bytes::new()
        } else {
            self.encoded.slice_ref(part)
        }
    }

    /// Bytes of the encoded form.
    #[must_use]
    pub fn encoded_bytes(&self) -> usize {
        self.encoded.len().max(1)
    }
}

impl<K: AsRef<str>, V: AsRef<[u8]>> FromIterator<(K, Option<V>)> for Headers {
    /// # Panics
    /// If a key or value, or their number, is beyond `i32::MAX`.
    fn from_iter<I: IntoIterator<Item = (K, Option<V>)>>(pairs: I) -> Self {
        let mut count = 0_i32;
        let mut entries = Vec::new();
        for (key, value) in pairs {
            count = count.checked_add(1).expect("fewer than 2^31 headers");
            put_bytes(&mut entries, Some(key.as_ref().as_bytes()));
            put_bytes(&mut entries, value.as_ref().map(AsRef::as_ref));
        }
        if count == 0 {
            return Self::EMPTY;
        }
        let mut encoded = Vec::with_capacity(entries.len() + varint::VARINT_BYTES_MAX);
        varint::put(&mut encoded, i64::from(count));
        encoded.extend_from_slice(&entries);
        Self {
            encoded: encoded.into(),
        }
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = Header<'a>;
    type IntoIter = HeaderIterator<'a>;
    fn into_iter(self) -> HeaderIterator<'a> {
        self.iter()
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(
                self.iter()
                    .map(|header| (header.key_text(), header.value.map(<[u8]>::escape_ascii))),
            )
            .finish()
    }
}

impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Headers {}

/// Goes through encoded headers; the default has none.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeaderIterator<'a> {
    /// As long as nothing is taken: count and entries, as a batch has them.
    encoded: &'a [u8],
    left: usize,
    rest: Cursor<'a>,
}

impl<'a> HeaderIterator<'a> {
    pub(crate) fn new(encoded: &'a [u8]) -> Self {
        let mut rest = Cursor::new(encoded);
        let left = rest
            .varint()
            .and_then(|count| usize::try_from(count).ok())
            .unwrap_or(0);
        Self { encoded, left, rest }
    }

    /// The headers with their count as a batch has them, those already taken included.
    pub(crate) fn encoded(&self) -> &'a [u8] {
        if self.encoded.is_empty() {
            &[0]
        } else {
            self.encoded
        }
    }
}

impl<'a> Iterator for HeaderIterator<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        self.left = self.left.checked_sub(1)?;
        // The bytes were checked when the record was read.
        let key = take_bytes(&mut self.rest)??;
        let value = take_bytes(&mut self.rest)?;
        Some(Header { key, value })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for HeaderIterator<'_> {}

/// A record's fields as they stand in its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawRecord<'a> {
    pub(crate) timestamp_delta: i64,
    pub(crate) offset_delta: i32,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    /// Count and entries, checked.
    pub(crate) headers: &'a [u8],
}

/// Reads a record's body: what follows its length.
pub(crate) fn raw(body: &[u8]) -> Result<RawRecord<'_>, &'static str> {
    let mut cursor = Cursor::new(body);
    // There are no record attributes; as Kafka, what stands there is ignored.
    cursor.byte().ok_or(problem::LENGTH)?;
    let timestamp_delta = cursor.varlong().ok_or(problem::TIMESTAMP)?;
    let offset_delta = cursor.varint().ok_or(problem::OFFSET)?;
    let key = take_bytes(&mut cursor).ok_or(problem::KEY)?;
    let value = take_bytes(&mut cursor).ok_or(problem::VALUE)?;
    let headers = cursor.rest();
    let count = cursor.varint().ok_or(problem::HEADER_COUNT)?;
    if count < 0 {
        return Err(problem::HEADER_COUNT);
    }
    for _ in 0..count {
        take_bytes(&mut cursor).flatten().ok_or(problem::HEADER_KEY)?;
        take_bytes(&mut cursor).ok_or(problem::HEADER_VALUE)?;
    }
    if !cursor.rest().is_empty() {
        return Err(problem::LENGTH);
    }
    Ok(RawRecord {
        timestamp_delta,
        offset_delta,
        key,
        value,
        headers,
    })
}

/// What can be wrong with a record's bytes.
pub(crate) mod problem {
    pub(crate) const END: &str = "the batch ends before its last record";
    pub(crate) const LENGTH: &str = "its length does not agree with its fields";
    pub(crate) const TIMESTAMP: &str = "its timestamp delta is invalid";
    pub(crate) const OFFSET: &str = "its offset delta is invalid";
    pub(crate) const KEY: &str = "its key goes beyond its end";
    pub(crate) const VALUE: &str = "its value goes beyond its end";
    pub(crate) const HEADER_COUNT: &str = "its number of headers is invalid";
    pub(crate) const HEADER_KEY: &str = "a header's key goes beyond the record's end or is null";
    pub(crate) const HEADER_VALUE: &str = "a header's value goes beyond the record's end";
}

/// Length and bytes; a negative length is null. None if they are not there.
#[expect(
    clippy::option_option,
    reason = "the outer is failure, the inner Kafka's null"
)]
fn take_bytes<'a>(cursor: &mut Cursor<'a>) -> Option<Option<&'a [u8]>> {
    match usize::try_from(cursor.varint()?) {
        Ok(length) => cursor.take(length).map(Some),
        Err(_) => Some(None),
    }
}

/// The opposite of [`take_bytes`].
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            assert!(
                i32::try_from(bytes.len()).is_ok(),
                "keys and values have at most 2^31 - 1 bytes"
            );
            varint::put(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
        None => varint::put(out, -1),
    }
}

/// Bytes that [`put_bytes`] appends.
pub(crate) fn size_of(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| varint::size(bytes.len() as i64) + bytes.len())
}
