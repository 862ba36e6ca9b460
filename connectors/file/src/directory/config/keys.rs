//! The keys: of the spooldir connectors and FilePulse where they have a word for it.

use forebay_connect_api::config::{ConfigDef, ConfigKey, ConfigType, Importance, Validator};

pub(super) const INPUT_PATH: &str = "input.path";
pub(super) const TOPIC: &str = "topic";
pub(super) const RECURSIVELY: &str = "input.path.walk.recursively";
pub(super) const INPUT_FILE_PATTERN: &str = "input.file.pattern";
pub(super) const INPUT_FILE_INCLUDE: &str = "input.file.include";
pub(super) const INPUT_FILE_EXCLUDE: &str = "input.file.exclude";
pub(super) const FILE_FORMAT: &str = "file.format";
pub(super) const FILE_COMPLETE: &str = "file.complete";
pub(super) const FILE_COMPRESSION: &str = "file.compression.type";
pub(super) const MINIMUM_AGE: &str = "file.minimum.age.ms";
pub(super) const SORT_ATTRIBUTES: &str = "files.sort.attributes";
pub(super) const LISTING_INTERVAL: &str = "fs.listing.interval.ms";
pub(super) const BATCH_SIZE: &str = "batch.size";
pub(super) const MAX_RECORD_BYTES: &str = "max.record.bytes";
pub(super) const BEHAVIOR_ON_ERROR: &str = "behavior.on.error";
pub(super) const INVALID_UTF8: &str = "invalid.utf8";
pub(super) const MULTILINE_START: &str = "multiline.start.pattern";
pub(super) const CSV_SEPARATOR: &str = "csv.separator.char";
pub(super) const CSV_QUOTE: &str = "csv.quote.char";
pub(super) const CSV_HEADER: &str = "csv.first.row.as.header";
pub(super) const CSV_NULL_TEXT: &str = "csv.null.text";
pub(super) const CSV_INFER_TYPES: &str = "csv.infer.types";
pub(super) const VALUE_SCHEMA: &str = "value.schema";
pub(super) const CLEANUP_POLICY: &str = "cleanup.policy";
pub(super) const FINISHED_PATH: &str = "finished.path";
pub(super) const FINISHED_FORGET: &str = "finished.path.forget.offsets";
pub(super) const ERROR_PATH: &str = "error.path";
pub(super) const MARK_EXTENSION: &str = "cleanup.mark.extension";
pub(super) const STATUS_TOPIC: &str = "tasks.file.status.storage.topic";

/// 1 MiB, what a broker takes by default.
const MAX_RECORD_BYTES_DEFAULT: i32 = 1024 * 1024;

const FILES: &str = "Files";
const RECORDS: &str = "Records";
const COMPLETION: &str = "Completion";

/// A group that is being filled.
struct Group {
    definition: ConfigDef,
    name: &'static str,
    order: i32,
}

impl Group {
    fn key(
        mut self,
        name: &str,
        config_type: ConfigType,
        documentation: &str,
        more: impl FnOnce(ConfigKey) -> ConfigKey,
    ) -> Self {
        self.order += 1;
        let key = ConfigKey::new(name, config_type)
            .importance(Importance::Medium)
            .documentation(documentation)
            .group(self.name, self.order);
        self.definition = self.definition.define(more(key));
        self
    }

    fn group(self, name: &'static str) -> Self {
        Self {
            definition: self.definition,
            name,
            order: 0,
        }
    }
}

/// All keys.
pub(in crate::directory) fn definition() -> ConfigDef {
    let begun = Group {
        definition: ConfigDef::new(),
        name: FILES,
        order: 0,
    };
    completion(records(files(begun).group(RECORDS)).group(COMPLETION)).definition
}

fn not_negative() -> Validator {
    Validator::at_least(0)
}

fn files(group: Group) -> Group {
    group
        .key(INPUT_PATH, ConfigType::String, "The directory whose files are read.", |key| {
            key.validator(Validator::NonEmpty).importance(Importance::High)
        })
        .key(TOPIC, ConfigType::String, "The topic to write to.", |key| {
            key.validator(Validator::NonEmpty).importance(Importance::High)
        })
        .key(RECURSIVELY, ConfigType::Boolean, "Whether directories below are read, too.", |key| key.default(false))
        .key(
            INPUT_FILE_PATTERN,
            ConfigType::String,
            "A regular expression that the whole name of a file must match.",
            ConfigKey::optional,
        )
        .key(
            INPUT_FILE_INCLUDE,
            ConfigType::List,
            "Globs: a file is read if one of them matches. `*` and `?` stay within a name, `**` does not. A glob with a slash is about \
             the path below input.path, one without is about the name.",
            |key| key.default(""),
        )
        .key(INPUT_FILE_EXCLUDE, ConfigType::List, "Globs: a file is left out if one of them matches.", |key| key.default(""))
        .key(
            FILE_COMPLETE,
            ConfigType::Boolean,
            "Whether files are complete when they appear: a last line without its end is a line, and cleanup.policy holds at the end of \
             a file. Otherwise files are followed as they grow and are rotated. Compressed files and Parquet are always complete.",
            |key| key.default(false).importance(Importance::High),
        )
        .key(
            MINIMUM_AGE,
            ConfigType::Long,
            "How long a file must not have been written to before it is begun, in milliseconds.",
            |key| key.default(0).validator(not_negative()),
        )
        .key(SORT_ATTRIBUTES, ConfigType::List, "In which order a task reads its files.", |key| {
            let names = ["Name", "Length", "LastModified"];
            let names = names.iter().flat_map(|name| [format!("{name}Asc"), format!("{name}Desc")]);
            key.default("NameAsc").validator(Validator::one_of(names)).importance(Importance::Low)
        })
        .key(
            LISTING_INTERVAL,
            ConfigType::Long,
            "How often the directory is looked at for files that are new, in milliseconds.",
            |key| key.default(1000).validator(not_negative()).importance(Importance::Low),
        )
        .key(
            FILE_COMPRESSION,
            ConfigType::String,
            "How files are compressed; auto: as their names' ends say (.gz, .gzip, .zst, .zstd).",
            |key| key.default("auto").validator(Validator::one_of(["auto", "none", "gzip", "zstd"])),
        )
}

fn records(group: Group) -> Group {
    let csv = |key: ConfigKey| key.importance(Importance::Low);
    group
        .key(
            FILE_FORMAT,
            ConfigType::String,
            "What files hold: lines (a text per line), jsonl (a JSON value per line), json (JSON values behind each other, or one array \
             of them), csv (rows, RFC 4180), parquet.",
            |key| {
                key.default("lines")
                    .validator(Validator::one_of(["lines", "jsonl", "json", "csv", "parquet"]))
                    .importance(Importance::High)
            },
        )
        .key(BATCH_SIZE, ConfigType::Int, "How many records are read at once, at most.", |key| {
            key.default(1000).validator(Validator::between(1, i32::MAX)).importance(Importance::Low)
        })
        .key(
            MAX_RECORD_BYTES,
            ConfigType::Int,
            "The longest record in bytes; a longer one is an error. Not of Parquet's rows.",
            |key| key.default(MAX_RECORD_BYTES_DEFAULT).validator(Validator::between(1, 1024 * 1024 * 1024)),
        )
        .key(
            BEHAVIOR_ON_ERROR,
            ConfigType::String,
            "What an error does. fail: the task fails and names file and position. skip: a warning is logged, and the next record is \
             read, or, where none can be found any more, the next file; such a file is FAILED, and goes to error.path if there is one.",
            |key| key.default("fail").validator(Validator::one_of(["fail", "skip"])),
        )
        .key(
            INVALID_UTF8,
            ConfigType::String,
            "Bytes that are not UTF-8. replace: U+FFFD stands for them. fail: they are an error.",
            |key| key.default("replace").validator(Validator::one_of(["replace", "fail"])),
        )
        .key(
            MULTILINE_START,
            ConfigType::String,
            "A regular expression for the first line of a record; lines that it does not match belong to the record before. A record \
             ends where the next begins, or with a complete file.",
            ConfigKey::optional,
        )
        .key(CSV_SEPARATOR, ConfigType::String, "What separates fields: a letter, or its number in ASCII.", |key| {
            csv(key).default(",")
        })
        .key(CSV_QUOTE, ConfigType::String, "What fields are quoted with: a letter, or its number in ASCII.", |key| {
            csv(key).default("\"")
        })
        .key(
            CSV_HEADER,
            ConfigType::Boolean,
            "Whether the first row names the columns. Otherwise they are column01, column02, ….",
            |key| csv(key).default(true),
        )
        .key(
            CSV_NULL_TEXT,
            ConfigType::String,
            "A field of this text without quotes is null.",
            |key| csv(key).default(""),
        )
        .key(
            CSV_INFER_TYPES,
            ConfigType::Boolean,
            "Whether types follow from a file's first rows: BOOLEAN, INT64, FLOAT64, else STRING. Otherwise all are STRING.",
            |key| csv(key).default(true),
        )
        .key(
            VALUE_SCHEMA,
            ConfigType::String,
            "The types of rows, as JSON of the spooldir connectors: {\"name\":…, \"type\":\"STRUCT\", \"fieldSchemas\":{\"id\":{\"type\":\
             \"INT64\", \"isOptional\":false}, …}}. Columns that it does not have are left out.",
            |key| csv(key).optional(),
        )
}

fn completion(group: Group) -> Group {
    group
        .key(
            CLEANUP_POLICY,
            ConfigType::String,
            "What happens to a file once all its records are committed: NONE, DELETE, MOVE to finished.path, MOVEBYDATE to a directory \
             of the day below that, MARK by another end of its name.",
            |key| key.default("NONE").validator(Validator::one_of(["NONE", "DELETE", "MOVE", "MOVEBYDATE", "MARK"])),
        )
        .key(
            FINISHED_PATH,
            ConfigType::String,
            "The directory to which files are moved, on the same file system. Below input.path it is not read.",
            ConfigKey::optional,
        )
        .key(
            FINISHED_FORGET,
            ConfigType::Boolean,
            "Whether the source offset of a file is forgotten once it was moved to finished.path, so that offsets do not pile up. A file that \
             is put back is then read again; otherwise it is known, and moved again. Offsets of files that were deleted are forgotten in \
             any case.",
            |key| key.default(false).importance(Importance::Low),
        )
        .key(
            ERROR_PATH,
            ConfigType::String,
            "The directory to which files that cannot be read are moved with behavior.on.error=skip. Below input.path it is not read.",
            ConfigKey::optional,
        )
        .key(MARK_EXTENSION, ConfigType::String, "What MARK appends to a name; files of such names are not read.", |key| {
            key.default(".COMPLETED").validator(Validator::NonEmpty).importance(Importance::Low)
        })
        .key(
            STATUS_TOPIC,
            ConfigType::String,
            "A topic for the state of each file, by path: SCHEDULED, STARTED, READING, COMPLETED, COMMITTED, CLEANED, FAILED. Make it \
             with cleanup.policy=compact. Records go through the connector's transforms and converters.",
            |key| key.optional().importance(Importance::Low),
        )
}
