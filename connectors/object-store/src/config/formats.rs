//! The keys that say what objects are made of.

use std::sync::Arc;

use flate2::Compression as GzipLevel;
use forebay_connect_api::{
    Error,
    config::{self, Config, ConfigDef, ConfigKey, ConfigType, Importance, Properties, Validator, Value},
};
use parquet::basic::{Compression, ZstdLevel};

use super::simple_name;
use crate::format::{AvroCodec, Compatibility, CsvOptions, Encoding, Format, Rules};

const CLASSES: [&str; 5] = [
    "ParquetFormat",
    "AvroFormat",
    "JsonFormat",
    "CsvFormat",
    "ByteArrayFormat",
];

pub(super) fn format_keys(def: ConfigDef) -> ConfigDef {
    let def = def
        .define(
            ConfigKey::new("format.class", ConfigType::Class)
                .validator(super::definition::one_class("format.class", &CLASSES))
                .importance(Importance::High)
                .documentation(
                    "What objects are: io.confluent.connect.s3.format.parquet.ParquetFormat, io.confluent.connect.s3.format.avro.AvroFormat \
                     (object container files), io.confluent.connect.s3.format.json.JsonFormat (one JSON value per line), \
                     io.confluent.connect.s3.format.bytearray.ByteArrayFormat (values as they are), or CsvFormat. HdfsSinkConnector has \
                     AvroFormat unless it is given.",
                ),
        )
        .define(
            ConfigKey::new("parquet.codec", ConfigType::String)
                .default("snappy")
                .validator(Validator::one_of(["none", "snappy", "gzip", "lz4", "zstd"]))
                .documentation("How Parquet pages are compressed."),
        )
        .define(
            ConfigKey::new("avro.codec", ConfigType::String)
                .default("null")
                .validator(Validator::one_of(["null", "deflate", "snappy", "zstandard", "bzip2"]))
                .documentation("How the blocks of Avro files are compressed."),
        )
        .define(
            ConfigKey::new("s3.compression.type", ConfigType::String)
                .default("none")
                .validator(Validator::one_of(["none", "gzip"]))
                .documentation("How objects of JSON, CSV and bytes are compressed; with gzip their names end with .gz."),
        )
        .define(
            ConfigKey::new("s3.compression.level", ConfigType::Int)
                .default(-1)
                .validator(Validator::between(-1, 9))
                .documentation("How hard gzip tries: from 1 to 9, 0 for not at all, -1 for what it does by itself."),
        );
    text_keys(schema_keys(def))
}

fn schema_keys(def: ConfigDef) -> ConfigDef {
    def.define(
        ConfigKey::new("schema.compatibility", ConfigType::String)
            .default("NONE")
            .validator(Validator::one_of(["NONE", "BACKWARD", "FORWARD", "FULL"]))
            .documentation(
                "Which schema objects have whose records have several. NONE: the union of them, with fields that one lacks nullable, and \
                 numbers widened; what cannot be one begins the next object. BACKWARD and FULL: the newest by its version, which begins the \
                 next object, and with which older records are written. FORWARD: the oldest, with which newer records are written.",
            ),
    )
    .define(
        ConfigKey::new("schema.inference.enable", ConfigType::Boolean)
            .default(true)
            .documentation(
                "Whether values without a schema, such as JSON objects, become columns of the types that are found in them: numbers widen \
                 from INT64 to FLOAT64, fields that are missing are null. A value that no widening fits is at fault \
                 (errors.tolerance). An array or object in which nothing has been yet is null.",
            ),
    )
}

fn text_keys(def: ConfigDef) -> ConfigDef {
    def.define(
        ConfigKey::new("format.csv.header", ConfigType::Boolean)
            .default(true)
            .documentation(
                "Whether the first line of a CSV object names the columns. Null is nothing between the delimiters: where an object has one column, \
                 null is an empty line, which many readers skip.",
            ),
    )
    .define(
        ConfigKey::new("format.csv.delimiter", ConfigType::String)
            .default(",")
            .documentation(
                "What stands between the values of a CSV line: one ASCII character; \\t for a tab.",
            ),
    )
    .define(
        ConfigKey::new("format.bytearray.extension", ConfigType::String)
            .default(".bin")
            .validator(Validator::custom(
                "a name without slashes",
                |_, value| match value {
                    Some(Value::String(text)) if is_extension(text) => Ok(()),
                    _ => Err("must be made of letters, digits, dots, - and _".to_owned()),
                },
            ))
            .documentation("What the names of objects of bytes end with."),
    )
    .define(
        ConfigKey::new("format.bytearray.separator", ConfigType::String)
            .optional()
            .documentation("What follows each value in objects of bytes; a line feed unless given."),
    )
}

/// Definitions trim what they parse, and here white space has a meaning.
fn delimiter(properties: &Properties) -> Result<u8, Error> {
    const KEY: &str = "format.csv.delimiter";
    let given = properties.get(KEY).map_or(",", String::as_str);
    let is_sound =
        |byte: u8| byte.is_ascii() && !byte.is_ascii_alphanumeric() && !b"\"\n\r\0".contains(&byte);
    match given.as_bytes() {
        b"\\t" => Ok(b'\t'),
        [byte] if is_sound(*byte) => Ok(*byte),
        _ => {
            let reason = "must be one ASCII character, and no quote, letter, digit or line end";
            Err(config::Error::invalid(KEY, given, reason).into())
        }
    }
}

fn is_extension(text: &str) -> bool {
    let is_sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    text.trim_start_matches('.').bytes().all(is_sound) && !text.trim_start_matches('.').is_empty()
}

/// The format of a configuration.
pub(super) fn format(parsed: &Config, properties: &Properties) -> Result<Format, Error> {
    let level = match parsed.get_int("s3.compression.level") {
        -1 => GzipLevel::default(),
        level => GzipLevel::new(level.unsigned_abs()),
    };
    let gzip = (parsed.get_string("s3.compression.type") == "gzip").then_some(level);
    let encoding = match simple_name(parsed.get_class("format.class")) {
        "JsonFormat" => Encoding::Json { gzip },
        "AvroFormat" => Encoding::Avro(match parsed.get_string("avro.codec") {
            "deflate" => AvroCodec::Deflate,
            "snappy" => AvroCodec::Snappy,
            "zstandard" => AvroCodec::Zstandard,
            "bzip2" => AvroCodec::Bzip2,
            _ => AvroCodec::Null,
        }),
        "CsvFormat" => Encoding::Csv {
            options: CsvOptions {
                header: parsed.get_boolean("format.csv.header"),
                delimiter: delimiter(properties)?,
            },
            gzip,
        },
        "ByteArrayFormat" => Encoding::Bytes {
            separator: Arc::from(
                properties
                    .get("format.bytearray.separator")
                    .map_or("\n", String::as_str),
            ),
            extension: Arc::from(parsed.get_string("format.bytearray.extension")),
            gzip,
        },
        _ => Encoding::Parquet(compression(parsed.get_string("parquet.codec"))),
    };
    let rules = Rules {
        compatibility: match parsed.get_string("schema.compatibility") {
            "BACKWARD" | "FULL" => Compatibility::Backward,
            "FORWARD" => Compatibility::Forward,
            _ => Compatibility::None,
        },
        inference: parsed.get_boolean("schema.inference.enable"),
    };
    Ok(Format { encoding, rules })
}

fn compression(codec: &str) -> Compression {
    match codec {
        "none" => Compression::UNCOMPRESSED,
        "gzip" => Compression::GZIP(parquet::basic::GzipLevel::default()),
        "lz4" => Compression::LZ4,
        "zstd" => Compression::ZSTD(ZstdLevel::default()),
        _ => Compression::SNAPPY,
    }
}
