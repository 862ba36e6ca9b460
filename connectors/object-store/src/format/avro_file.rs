//! Avro object container files: records in blocks, each compressed by itself. The header has the schema, and comes first; so a file
//! whose schema grew is written again at its end.

use std::{
    hash::{BuildHasher, RandomState},
    io::{Read, Write},
    sync::Arc,
};

use bytes::Bytes;
use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use forebay_connect_api::{Error, Schema, SchemaAndValue, Value, avro};
use forebay_connect_avro::{data, to_avro};

use super::{
    Cell, Refused, Writer, Written,
    columns::explain,
    schemas::{FileSchema, Fit, Target, conform, plain, required},
};

/// Bytes of records in a block, before they are compressed.
const BLOCK_BYTES: usize = 64 * 1024;
const MAGIC: &[u8] = b"Obj\x01";

/// `avro.codec`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AvroCodec {
    Null,
    Deflate,
    Snappy,
    Zstandard,
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
}

#[derive(Debug, Default)]
struct Block {
    records: i64,
    bytes: Vec<u8>,
}

impl AvroFile {
    pub(super) fn new(codec: AvroCodec, target: Target) -> Self {
        Self {
            codec,
            target,
            parts: Vec::new(),
        }
    }

    fn write_converted(&mut self, value: &SchemaAndValue) -> Result<Written, Refused> {
        if self.target.may_take(value)
            && let Some(part) = self.parts.last_mut()
            && let Ok(conforming) = conform(&part.schema, &value.value)
        {
            return part.write(&conforming, self.codec);
        }
        match self.target.fit(value)? {
            Fit::Other => return Ok(Written::OtherSchema),
            Fit::AsItIs => {}
            Fit::With(schema) => {
                let mut part = Part::new(&schema)?;
                let conforming = conform(&part.schema, &value.value)
                    .map_err(|_| Refused::Record(explain(&schema.schema, value)))?;
                part.write(&conforming, self.codec)?;
                self.parts.push(part);
                self.target.settle(schema, value);
                return Ok(Written::Row);
            }
        }
        let part = self.parts.last_mut().expect("a schema has a part");
        let conforming = conform(&part.schema, &value.value);
        let conforming = conforming.map_err(|_| Refused::Record(explain(&part.schema, value)))?;
        part.write(&conforming, self.codec)
    }

    /// One part of all, with the schema of the last.
    fn join(&mut self) -> Result<(), Error> {
        let mut parts = std::mem::take(&mut self.parts).into_iter();
        let last = parts.next_back().expect("there are several");
        let mut joined = Part {
            open: Block::default(),
            blocks: Vec::new(),
            ..last
        };
        let strange = |error| Error::fatal("cannot read what was written").with_source(error);
        for mut part in parts {
            part.close_block(self.codec)?;
            for block in &part.blocks {
                let records = decompress(self.codec, &block.bytes)?;
                let mut rest = records.as_slice();
                for _ in 0..block.records {
                    let before = rest.len();
                    let value = part.avro.root().decode_next(&mut rest);
                    let value = value
                        .map_err(|error| Error::fatal("cannot read what was written").with_source(error))?;
                    let value =
                        data::to_connect(part.avro.root(), &part.schema, value, before).map_err(strange)?;
                    let value = conform(&joined.schema, &value)
                        .map_err(|_| Error::fatal("a record does not fit the schema that was made for it"))?;
                    joined.encode(&value, self.codec)?;
                }
            }
        }
        joined.close_block(self.codec)?;
        joined.blocks.extend(last.blocks);
        joined.open = last.open;
        self.parts.push(joined);
        Ok(())
    }
}

impl Part {
    fn new(schema: &FileSchema) -> Result<Self, Refused> {
        let refused = |error: Error| match schema.inferred {
            true => Refused::Record(error),
            false => Refused::All(error),
        };
        let failed = || Error::fatal("the schema cannot be written in Avro");
        // A file of a union, as an optional struct would be, few can read.
        let connect = required(&schema.schema);
        let text = to_avro::schema(&plain(&connect)).map_err(|error| refused(failed().with_source(error)))?;
        let text = text.to_string();
        let avro = avro::Schema::parse(&text).map_err(|error| refused(failed().with_source(error)))?;
        Ok(Self {
            schema: connect,
            text,
            avro,
            open: Block::default(),
            blocks: Vec::new(),
        })
    }

    fn write(&mut self, value: &Value, codec: AvroCodec) -> Result<Written, Refused> {
        self.encode(value, codec).map_err(Refused::Record)?;
        Ok(Written::Row)
    }

    /// Appends a value that fits the schema.
    fn encode(&mut self, value: &Value, codec: AvroCodec) -> Result<(), Error> {
        let failed = || Error::fatal("the value cannot be written in Avro");
        let encoded = data::to_avro(&self.schema, value).map_err(|error| failed().with_source(error))?;
        let before = self.open.bytes.len();
        if let Err(error) = self.avro.root().encode(&encoded, &mut self.open.bytes) {
            self.open.bytes.truncate(before);
            return Err(failed().with_source(error));
        }
        self.open.records += 1;
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
                part.open.bytes.capacity() + blocks
            })
            .sum()
    }

    fn finish(mut self: Box<Self>) -> Result<Bytes, Error> {
        if self.parts.len() > 1 {
            self.join()?;
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
    })
}
