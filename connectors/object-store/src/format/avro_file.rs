//! Avro object container files: records in blocks, each compressed by itself. The header has the schema, and comes first; so a file
//! whose schema grew is written again at its end, and in between where it grows often.

use std::{
    hash::{BuildHasher, RandomState},
    io::{Read, Write},
    sync::Arc,
};

use bytes::Bytes;
use bzip2::{read::BzDecoder, write::BzEncoder};
use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use forebay_connect_api::{Error, Schema, SchemaAndValue, Value, avro};
use forebay_connect_avro::{data, to_avro};

use super::{
    Cell, Refused, Writer, Written,
    columns::{PADDING_BYTES_MAX, explain},
    schemas::{FileSchema, Fit, Misfit, Room, Target, conform_within, plain, required, width},
};

/// Bytes of records in a block, before they are compressed.
const BLOCK_BYTES: usize = 64 * 1024;
/// Parts that stay as they are until the end. Of more, the last are made one as long as none is much larger than those after it: so
/// there are only so many more as twice as many records have doublings, and each record is written again as often.
const PARTS_FREE: usize = 4;
/// What a field of a part's schema takes besides its text, roughly.
const FIELD_BYTES: usize = 512;
/// How large what the records so far lack of a wider schema may be, as values; in a file each takes a byte or so.
const LACKING_BYTES_MAX: usize = 64 * PADDING_BYTES_MAX;
const MAGIC: &[u8] = b"Obj\x01";

/// `avro.codec`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AvroCodec {
    Null,
    Deflate,
    Snappy,
    Zstandard,
    Bzip2,
}

/// Records that are being gathered.
#[derive(Debug)]
pub(super) struct AvroFile {
    codec: AvroCodec,
    target: Target,
    /// One part unless the schema grew.
    parts: Vec<Part>,
}

/// Records of one schema.
#[derive(Debug)]
struct Part {
    schema: Arc<Schema>,
    text: String,
    avro: avro::Schema,
    /// Records that are not compressed yet, and how many.
    open: Block,
    blocks: Vec<Block>,
    records: usize,
    /// Structs in the records, and the most in one of them.
    structs: usize,
    structs_max: usize,
    /// What its schema takes in memory.
    schema_bytes: usize,
}

#[derive(Debug, Default)]
struct Block {
    records: i64,
    bytes: Vec<u8>,
}

#[cfg(test)]
thread_local! {
    /// How often a record was encoded.
    pub(super) static RECORDS_ENCODED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

impl AvroFile {
    pub(super) fn new(codec: AvroCodec, target: Target) -> Self {
        Self {
            codec,
            target: target.limited_to(|schema| to_avro::schema(&plain(&required(schema))).is_ok()),
            parts: Vec::new(),
        }
    }

    fn write_converted(&mut self, value: &SchemaAndValue) -> Result<Written, Refused> {
        if self.target.may_take(value)
            && let Some(part) = self.parts.last_mut()
            && let Ok(conforming) = Conforming::new(&part.schema, &value.value)
        {
            return part.write(&conforming, self.codec);
        }
        match self.target.fit(value)? {
            Fit::Other => return Ok(Written::OtherSchema),
            Fit::AsItIs => {}
            Fit::With(schema) => {
                let mut part = Part::new(&schema)?;
                let conforming = Conforming::new(&part.schema, &value.value)
                    .map_err(|_| Refused::Record(explain(&schema.schema, value)))?;
                if !self.may_widen(&part.schema) {
                    return Ok(Written::OtherSchema);
                }
                part.write(&conforming, self.codec)?;
                self.merge().map_err(Refused::All)?;
                self.parts.push(part);
                self.target.settle(schema, value);
                return Ok(Written::Row);
            }
        }
        let part = self.parts.last_mut().expect("a schema has a part");
        let conforming = Conforming::new(&part.schema, &value.value);
        let conforming = conforming.map_err(|_| Refused::Record(explain(&part.schema, value)))?;
        part.write(&conforming, self.codec)
    }

    /// Whether the records so far would not lack too much of a wider schema. If they do, another file has it.
    fn may_widen(&self, wider: &Schema) -> bool {
        let wider = width(wider);
        let all = self.parts.iter().map(|part| {
            let narrow = width(&part.schema);
            let all = narrow.lacks_of(wider, part.records, part.structs);
            (narrow.lacks_of(wider, 1, part.structs_max), all)
        });
        let (mut most, mut sum) = (0, 0_usize);
        for (one, all) in all {
            most = one.max(most);
            sum = sum.saturating_add(all);
        }
        self.target.is_again() || (most <= PADDING_BYTES_MAX && sum <= LACKING_BYTES_MAX)
    }

    /// Makes one part of the last ones where there are many; each has a schema, which may be larger than its records.
    fn merge(&mut self) -> Result<(), Error> {
        while self.parts.len() > PARTS_FREE
            && let [.., before, last] = &*self.parts
            && before.records < 2 * last.records
        {
            self.join_last(2)?;
        }
        Ok(())
    }

    /// One part of so many, with the schema of the last.
    fn join_last(&mut self, count: usize) -> Result<(), Error> {
        let mut parts = self.parts.split_off(self.parts.len() - count).into_iter();
        let last = parts.next_back().expect("there are several");
        let mut joined = Part {
            open: Block::default(),
            blocks: Vec::new(),
            records: 0,
            structs: 0,
            ..last
        };
        for mut part in parts {
            part.close_block(self.codec)?;
            joined.structs_max = joined.structs_max.max(part.structs_max);
            part.read(self.codec, |value| joined.encode_as_is(&value, self.codec))?;
        }
        joined.close_block(self.codec)?;
        joined.blocks.extend(last.blocks);
        joined.open = last.open;
        joined.records += last.records;
        joined.structs += last.structs;
        self.parts.push(joined);
        Ok(())
    }
}

/// A value as a part has it, and how many structs there are in it.
struct Conforming {
    value: Value,
    structs: usize,
}

impl Conforming {
    fn new(schema: &Arc<Schema>, value: &Value) -> Result<Self, Misfit> {
        Self::within(schema, value, PADDING_BYTES_MAX)
    }

    fn within(schema: &Arc<Schema>, value: &Value, bytes: usize) -> Result<Self, Misfit> {
        let mut room = Room::new(bytes);
        let value = conform_within(schema, value, &mut room)?;
        let structs = room.structs;
        Ok(Self { value, structs })
    }
}

impl Part {
    fn new(schema: &FileSchema) -> Result<Self, Refused> {
        let refused = |error: Error| schema.refused(error);
        let failed = || Error::fatal("the schema cannot be written in Avro");
        // A file of a union, as an optional struct would be, few can read.
        let connect = required(&schema.schema);
        let text = to_avro::schema(&plain(&connect)).map_err(|error| refused(failed().with_source(error)))?;
        let text = text.to_string();
        let avro = avro::Schema::parse(&text).map_err(|error| refused(failed().with_source(error)))?;
        let width = width(&connect);
        Ok(Self {
            schema_bytes: text.len() + (width.once + width.each) / size_of::<Value>() * FIELD_BYTES,
            schema: connect,
            text,
            avro,
            open: Block::default(),
            blocks: Vec::new(),
            records: 0,
            structs: 0,
            structs_max: 0,
        })
    }

    fn write(&mut self, value: &Conforming, codec: AvroCodec) -> Result<Written, Refused> {
        self.encode(value, codec).map_err(Refused::Record)?;
        Ok(Written::Row)
    }

    /// The values of its blocks.
    fn read(&self, codec: AvroCodec, mut each: impl FnMut(Value) -> Result<(), Error>) -> Result<(), Error> {
        let strange = |error| Error::fatal("cannot read what was written").with_source(error);
        let root = self.avro.root();
        for block in &self.blocks {
            let records = decompress(codec, &block.bytes)?;
            let mut rest = records.as_slice();
            for _ in 0..block.records {
                let before = rest.len();
                let value = root
                    .decode_next(&mut rest)
                    .map_err(|error| Error::fatal("cannot read what was written").with_source(error))?;
                each(data::to_connect(root, &self.schema, value, before).map_err(strange)?)?;
            }
        }
        Ok(())
    }

    /// Appends a value of a narrower schema, of which it is known that it does not lack too much.
    fn encode_as_is(&mut self, value: &Value, codec: AvroCodec) -> Result<(), Error> {
        let conforming = Conforming::within(&self.schema, value, usize::MAX)
            .map_err(|_| Error::fatal("a record does not fit the schema that was made for it"))?;
        self.encode(&conforming, codec)
    }

    /// Appends a value that fits the schema.
    fn encode(&mut self, conforming: &Conforming, codec: AvroCodec) -> Result<(), Error> {
        #[cfg(test)]
        RECORDS_ENCODED.set(RECORDS_ENCODED.get() + 1);
        let failed = || Error::fatal("the value cannot be written in Avro");
        let Conforming { value, structs } = conforming;
        let encoded = data::to_avro(&self.schema, value).map_err(|error| failed().with_source(error))?;
        let before = self.open.bytes.len();
        if let Err(error) = self.avro.root().encode(&encoded, &mut self.open.bytes) {
            self.open.bytes.truncate(before);
            return Err(failed().with_source(error));
        }
        self.open.records += 1;
        self.records += 1;
        self.structs += structs;
        self.structs_max = self.structs_max.max(*structs);
        if self.open.bytes.len() >= BLOCK_BYTES {
            self.close_block(codec)?;
        }
        Ok(())
    }

    fn close_block(&mut self, codec: AvroCodec) -> Result<(), Error> {
        if self.open.records > 0 {
            let Block { records, bytes } = std::mem::take(&mut self.open);
            let bytes = compress(codec, bytes)?;
            self.blocks.push(Block { records, bytes });
        }
        Ok(())
    }
}

impl Writer for AvroFile {
    fn write(&mut self, cell: Cell<'_>) -> Result<Written, Refused> {
        match cell {
            Cell::Converted(value) => self.write_converted(value),
            Cell::Raw(reading, value) => self.write_converted(&reading.converted(value)?),
        }
    }

    fn bytes(&self) -> usize {
        let parts = self.parts.iter();
        parts
            .map(|part| {
                let blocks: usize = part.blocks.iter().map(|block| block.bytes.capacity()).sum();
                part.schema_bytes + part.open.bytes.capacity() + blocks
            })
            .sum()
    }

    fn finish(mut self: Box<Self>) -> Result<Bytes, Error> {
        if self.parts.len() > 1 {
            self.join_last(self.parts.len())?;
        }
        let mut part = self
            .parts
            .pop()
            .ok_or_else(|| Error::fatal("an Avro file needs a record"))?;
        part.close_block(self.codec)?;
        let random = || RandomState::new().hash_one(0_u8).to_le_bytes();
        let sync: [u8; 16] = [random(), random()]
            .concat()
            .try_into()
            .expect("twice eight bytes");
        let mut out = MAGIC.to_vec();
        long(&mut out, 2);
        for (key, value) in [
            ("avro.schema", part.text.as_str()),
            ("avro.codec", codec_name(self.codec)),
        ] {
            sized(&mut out, key.as_bytes());
            sized(&mut out, value.as_bytes());
        }
        long(&mut out, 0);
        out.extend_from_slice(&sync);
        for block in part.blocks {
            long(&mut out, block.records);
            sized(&mut out, &block.bytes);
            out.extend_from_slice(&sync);
        }
        Ok(out.into())
    }
}

fn codec_name(codec: AvroCodec) -> &'static str {
    match codec {
        AvroCodec::Null => "null",
        AvroCodec::Deflate => "deflate",
        AvroCodec::Snappy => "snappy",
        AvroCodec::Zstandard => "zstandard",
        AvroCodec::Bzip2 => "bzip2",
    }
}

fn sized(out: &mut Vec<u8>, bytes: &[u8]) {
    long(out, i64::try_from(bytes.len()).expect("memory is smaller"));
    out.extend_from_slice(bytes);
}

/// Avro's numbers: zigzag, in groups of seven bits.
fn long(out: &mut Vec<u8>, number: i64) {
    let mut left = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while left >= 0x80 {
        out.push(u8::try_from(left & 0x7f).expect("seven bits") | 0x80);
        left >>= 7;
    }
    out.push(u8::try_from(left).expect("seven bits"));
}

fn compress(codec: AvroCodec, bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
    let failed = |error: std::io::Error| Error::fatal("cannot compress").with_source(error);
    Ok(match codec {
        AvroCodec::Null => bytes,
        AvroCodec::Deflate => {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&bytes).map_err(failed)?;
            encoder.finish().map_err(failed)?
        }
        AvroCodec::Snappy => {
            let mut out = snap::raw::Encoder::new()
                .compress_vec(&bytes)
                .map_err(|error| Error::fatal("cannot compress").with_source(error))?;
            let mut checksum = flate2::Crc::new();
            checksum.update(&bytes);
            out.extend_from_slice(&checksum.sum().to_be_bytes());
            out
        }
        AvroCodec::Zstandard => zstd::bulk::compress(&bytes, 0).map_err(failed)?,
        AvroCodec::Bzip2 => {
            let mut encoder = BzEncoder::new(Vec::new(), bzip2::Compression::best());
            encoder.write_all(&bytes).map_err(failed)?;
            encoder.finish().map_err(failed)?
        }
    })
}

/// Undoes [`compress`], of blocks that it made.
fn decompress(codec: AvroCodec, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let failed = |error: std::io::Error| Error::fatal("cannot decompress").with_source(error);
    Ok(match codec {
        AvroCodec::Null => bytes.to_vec(),
        AvroCodec::Deflate => {
            let mut out = Vec::new();
            DeflateDecoder::new(bytes).read_to_end(&mut out).map_err(failed)?;
            out
        }
        AvroCodec::Snappy => {
            let compressed = &bytes[..bytes.len() - size_of::<u32>()];
            let decompressed = snap::raw::Decoder::new().decompress_vec(compressed);
            decompressed.map_err(|error| Error::fatal("cannot decompress").with_source(error))?
        }
        AvroCodec::Zstandard => zstd::stream::decode_all(bytes).map_err(failed)?,
        AvroCodec::Bzip2 => {
            let mut out = Vec::new();
            BzDecoder::new(bytes).read_to_end(&mut out).map_err(failed)?;
            out
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::schemas::{Compatibility, Remembered, Rules};
    use super::*;

    #[test]
    fn a_schema_that_grows_with_each_record_is_kept_a_few_times_and_counted() {
        const RECORDS: usize = 300;
        let rules = Rules {
            compatibility: Compatibility::None,
            inference: true,
        };
        let mut file = AvroFile::new(AvroCodec::Null, Target::new(rules, Remembered::default()));
        let before = RECORDS_ENCODED.get();
        for index in 0..RECORDS {
            let object = Value::Map(vec![(format!("k{index}").into(), 1.into())]);
            let written = file.write_converted(&SchemaAndValue::schemaless(object));
            assert_eq!(written.expect("taken"), Written::Row);
            let doublings = usize::try_from(index.max(1).ilog2()).expect("small");
            assert!(file.parts.len() <= PARTS_FREE + 2 + doublings, "{index}");
        }
        let doublings = usize::try_from(RECORDS.ilog2()).expect("small");
        let encoded = RECORDS_ENCODED.get() - before;
        assert!(encoded <= RECORDS * (doublings + 2), "{encoded}");
        let parts = file.parts.len();
        let schemas: usize = file.parts.iter().map(|part| part.text.len()).sum();
        assert!(
            file.bytes() > schemas + RECORDS * 400,
            "{parts} parts of {schemas} in {}",
            file.bytes()
        );
        let whole = Box::new(file).finish().expect("whole");
        assert!(whole.len() > RECORDS * RECORDS);
    }
}
