//! The configuration of DirectorySource in its types, and what its keys have to do with each other.

mod keys;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use forebay_connect_api::config::{self, Errors, Properties};
use regex::Regex;

use super::{
    format::{csv, schema},
    glob::{self, Glob, Names},
};
pub(super) use keys::definition;
use keys::{
    BATCH_SIZE, BEHAVIOR_ON_ERROR, CLEANUP_POLICY, CSV_HEADER, CSV_INFER_TYPES, CSV_NULL_TEXT, CSV_QUOTE,
    CSV_SEPARATOR, ERROR_PATH, FILE_COMPLETE, FILE_COMPRESSION, FILE_FORMAT, FINISHED_FORGET, FINISHED_PATH,
    INPUT_FILE_EXCLUDE, INPUT_FILE_INCLUDE, INPUT_FILE_PATTERN, INPUT_PATH, INVALID_UTF8, LISTING_INTERVAL,
    MARK_EXTENSION, MAX_RECORD_BYTES, MINIMUM_AGE, MULTILINE_START, RECURSIVELY, SORT_ATTRIBUTES,
    STATUS_TOPIC, TOPIC, VALUE_SCHEMA,
};

/// The key in a task's configuration that says which task it is.
pub(super) const TASK_INDEX: &str = "task.index";
/// The key in a task's configuration that says how many there are.
pub(super) const TASK_COUNT: &str = "task.count";

/// A configuration in its types.
#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) root: PathBuf,
    pub(super) topic: Arc<str>,
    pub(super) status_topic: Option<Arc<str>>,
    /// Whether the value converter makes text of whatever it gets.
    pub(super) status_as_text: bool,
    pub(super) recursively: bool,
    pub(super) names: Names,
    pub(super) format: Format,
    pub(super) compression: Compression,
    pub(super) complete: bool,
    pub(super) age_min: Duration,
    pub(super) sort: Vec<Order>,
    pub(super) listing_interval: Duration,
    pub(super) batch_size: usize,
    pub(super) record_bytes_max: usize,
    pub(super) skip_errors: bool,
    pub(super) fail_on_invalid_utf8: bool,
    pub(super) cleanup: Cleanup,
    /// Whether the source offset of a file that was moved is forgotten.
    pub(super) forgets_moved: bool,
    pub(super) error_path: Option<PathBuf>,
    pub(super) task: u32,
    pub(super) tasks: u32,
    /// How long a file that begins as another one may be a copy whose original is truncated next: longer than the tasks take to commit.
    pub(super) copy_grace: Duration,
}

/// [`Config::copy_grace`] where each batch is committed at once, and what is added where that is not so.
const COPY_GRACE: Duration = Duration::from_secs(10);
/// The interval of transactions if the connector says none: the default of the worker's `offset.flush.interval.ms`.
const TRANSACTION_INTERVAL: Duration = Duration::from_secs(60);

/// What files hold.
#[derive(Debug, Clone)]
pub(super) enum Format {
    /// A record per line, or per line that this matches with those behind it.
    Lines(Option<Regex>),
    /// A JSON value per line.
    JsonLines,
    /// JSON values behind each other, or one array of them.
    Json,
    /// Rows.
    Csv(Arc<csv::Options>),
    /// Rows in columns.
    #[cfg(feature = "parquet")]
    Parquet,
}

/// How files are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    /// As the name's end says.
    ByName,
    /// Not.
    None,
    /// By gzip.
    Gzip,
    /// By zstd.
    Zstd,
}

/// In which order files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Name { descending: bool },
    Length { descending: bool },
    LastModified { descending: bool },
}

/// What becomes of a file whose records are all committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cleanup {
    /// It stays.
    None,
    /// It is deleted.
    Delete,
    /// It is moved to that directory, or, by date, to one of the day below that.
    Move { to: PathBuf, by_date: bool },
    /// Its name gets that end.
    Mark { extension: String },
}

fn about(key: &str, message: impl Into<String>) -> Errors {
    let (key, message) = (Some(key.to_owned()), message.into());
    config::Error::Other { key, message }.into()
}

impl Config {
    pub(super) fn parse(properties: &Properties) -> Result<Self, Errors> {
        let config = definition().parse(properties)?;
        let number = |key: &str, default: u32| {
            properties.get(key).map_or(Ok(default), |text| {
                text.parse()
                    .map_err(|_| about(key, format!("{key}={text} is no number of a task")))
            })
        };
        let given = |key| config.get_optional::<&str>(key).filter(|text| !text.is_empty());
        let size = |key| usize::try_from(config.get_int(key)).expect("the validator wants it positive");
        let milliseconds = |key| Duration::from_millis(u64::try_from(config.get_long(key)).unwrap_or(0));
        // Parquet has its directory at its end.
        let complete = config.get_boolean(FILE_COMPLETE) || config.get_string(FILE_FORMAT) == "parquet";
        let cleanup = cleanup(&config, given(FINISHED_PATH), complete)?;
        let converter = properties.get("value.converter").map_or("", String::as_str);
        Ok(Self {
            root: config.get_string(INPUT_PATH).into(),
            topic: config.get_string(TOPIC).into(),
            status_topic: given(STATUS_TOPIC).map(Arc::from),
            status_as_text: converter.trim().ends_with("StringConverter"),
            recursively: config.get_boolean(RECURSIVELY),
            names: names(&config, &cleanup, given(INPUT_FILE_PATTERN))?,
            format: format(&config, given(MULTILINE_START), given(VALUE_SCHEMA))?,
            compression: match config.get_string(FILE_COMPRESSION) {
                "none" => Compression::None,
                "gzip" => Compression::Gzip,
                "zstd" => Compression::Zstd,
                _ => Compression::ByName,
            },
            complete,
            age_min: milliseconds(MINIMUM_AGE),
            sort: config
                .get_list(SORT_ATTRIBUTES)
                .iter()
                .filter_map(|name| order(name))
                .collect(),
            listing_interval: milliseconds(LISTING_INTERVAL),
            batch_size: size(BATCH_SIZE),
            record_bytes_max: size(MAX_RECORD_BYTES),
            skip_errors: config.get_string(BEHAVIOR_ON_ERROR) == "skip",
            fail_on_invalid_utf8: config.get_string(INVALID_UTF8) == "fail",
            forgets_moved: forgets_moved(&config, &cleanup)?,
            cleanup,
            error_path: given(ERROR_PATH).map(PathBuf::from),
            task: number(TASK_INDEX, 0)?,
            tasks: number(TASK_COUNT, 1)?.max(1),
            copy_grace: copy_grace(properties),
        })
    }

    /// All directories that it names.
    pub(super) fn paths(&self) -> Vec<&Path> {
        let finished = match &self.cleanup {
            Cleanup::Move { to, .. } => Some(to),
            _ => None,
        };
        let all = [Some(&self.root), finished, self.error_path.as_ref()];
        all.into_iter().flatten().map(PathBuf::as_path).collect()
    }

    /// How the file at this path is compressed.
    pub(super) fn compression_of(&self, path: &Path) -> Compression {
        let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
        match (
            self.compression,
            extension.as_deref().and_then(std::ffi::OsStr::to_str),
        ) {
            (Compression::ByName, Some("gz" | "gzip")) => Compression::Gzip,
            (Compression::ByName, Some("zst" | "zstd")) => Compression::Zstd,
            (Compression::ByName, _) => Compression::None,
            (given, _) => given,
        }
    }
}

fn order(name: &str) -> Option<Order> {
    let (attribute, descending) = match name.strip_suffix("Desc") {
        Some(attribute) => (attribute, true),
        None => (name.strip_suffix("Asc")?, false),
    };
    Some(match attribute {
        "Name" => Order::Name { descending },
        "Length" => Order::Length { descending },
        "LastModified" => Order::LastModified { descending },
        _ => return None,
    })
}

fn copy_grace(properties: &Properties) -> Duration {
    let boundary = properties
        .get("transaction.boundary")
        .map(|boundary| boundary.trim());
    if !boundary.is_some_and(|boundary| boundary.eq_ignore_ascii_case("interval")) {
        return COPY_GRACE;
    }
    let interval = properties.get("transaction.boundary.interval.ms");
    let interval = interval.and_then(|interval| interval.trim().parse().ok());
    COPY_GRACE + interval.map_or(TRANSACTION_INTERVAL, Duration::from_millis)
}

fn cleanup(config: &config::Config, finished: Option<&str>, complete: bool) -> Result<Cleanup, Errors> {
    let policy = config.get_string(CLEANUP_POLICY);
    if policy != "NONE" && !complete {
        return Err(about(
            CLEANUP_POLICY,
            format!(
                "{CLEANUP_POLICY}={policy} needs {FILE_COMPLETE}=true: a file that may grow is never done"
            ),
        ));
    }
    Ok(match policy {
        "DELETE" => Cleanup::Delete,
        "MOVE" | "MOVEBYDATE" => {
            let to = finished.ok_or_else(|| {
                about(
                    FINISHED_PATH,
                    format!("{CLEANUP_POLICY}={policy} needs {FINISHED_PATH}"),
                )
            })?;
            if Path::new(to) == Path::new(config.get_string(INPUT_PATH)) {
                return Err(about(
                    FINISHED_PATH,
                    format!("{FINISHED_PATH} is {INPUT_PATH}: files that are done would be read again"),
                ));
            }
            Cleanup::Move {
                to: to.into(),
                by_date: policy == "MOVEBYDATE",
            }
        }
        "MARK" => {
            let extension = config.get_string(MARK_EXTENSION).to_owned();
            if extension.contains('/') {
                return Err(about(
                    MARK_EXTENSION,
                    format!("{MARK_EXTENSION}={extension} is no end of a name"),
                ));
            }
            Cleanup::Mark { extension }
        }
        _ => Cleanup::None,
    })
}

fn forgets_moved(config: &config::Config, cleanup: &Cleanup) -> Result<bool, Errors> {
    if !config.get_boolean(FINISHED_FORGET) {
        return Ok(false);
    }
    let Cleanup::Move { to, .. } = cleanup else {
        let message = format!("{FINISHED_FORGET}=true is for {CLEANUP_POLICY}=MOVE and MOVEBYDATE");
        return Err(about(FINISHED_FORGET, message));
    };
    if config.get_boolean(RECURSIVELY) && to.starts_with(config.get_string(INPUT_PATH)) {
        let message = format!(
            "{FINISHED_FORGET}=true needs a {FINISHED_PATH} that is not below {INPUT_PATH}: with another {FINISHED_PATH} all that lies there \
             would be read again"
        );
        return Err(about(FINISHED_FORGET, message));
    }
    Ok(true)
}

fn names(config: &config::Config, cleanup: &Cleanup, pattern: Option<&str>) -> Result<Names, Errors> {
    let globs = |key: &str| -> Result<Vec<Glob>, Errors> {
        let globs = config.get_list(key).iter().filter(|glob| !glob.is_empty());
        globs
            .map(|glob| {
                Glob::new(glob)
                    .map_err(|why| about(key, format!("Invalid value for configuration {key}: {why}")))
            })
            .collect()
    };
    let pattern = pattern.map(glob::whole).transpose();
    let pattern = pattern.map_err(|why| {
        about(
            INPUT_FILE_PATTERN,
            format!("{INPUT_FILE_PATTERN} is no regular expression: {why}"),
        )
    })?;
    let mut exclude = globs(INPUT_FILE_EXCLUDE)?;
    if let Cleanup::Mark { extension } = cleanup {
        let marked: String = extension.chars().flat_map(|letter| ['\\', letter]).collect();
        exclude.push(Glob::new(&format!("*{marked}")).map_err(|why| about(MARK_EXTENSION, why))?);
    }
    Ok(Names::new(pattern, globs(INPUT_FILE_INCLUDE)?, exclude))
}

fn format(
    config: &config::Config,
    multiline: Option<&str>,
    value_schema: Option<&str>,
) -> Result<Format, Errors> {
    let format = config.get_string(FILE_FORMAT);
    if multiline.is_some() && format != "lines" {
        return Err(about(
            MULTILINE_START,
            format!("{MULTILINE_START} is for {FILE_FORMAT}=lines"),
        ));
    }
    if value_schema.is_some() && format != "csv" {
        return Err(about(
            VALUE_SCHEMA,
            format!("{VALUE_SCHEMA} is for {FILE_FORMAT}=csv"),
        ));
    }
    Ok(match format {
        "jsonl" => Format::JsonLines,
        "json" => Format::Json,
        #[cfg(feature = "parquet")]
        "parquet" => Format::Parquet,
        #[cfg(not(feature = "parquet"))]
        "parquet" => return Err(about(FILE_FORMAT, "this worker is built without Parquet")),
        "csv" => {
            let separator = byte(config, CSV_SEPARATOR)?;
            let quote = byte(config, CSV_QUOTE)?;
            if separator == quote {
                return Err(about(
                    CSV_QUOTE,
                    format!("{CSV_QUOTE} and {CSV_SEPARATOR} are the same"),
                ));
            }
            let declared = value_schema.map(schema::read).transpose();
            Format::Csv(Arc::new(csv::Options {
                separator,
                quote,
                has_header: config.get_boolean(CSV_HEADER),
                null_text: config.get_string(CSV_NULL_TEXT).to_owned(),
                infer: config.get_boolean(CSV_INFER_TYPES),
                declared: declared.map_err(|why| about(VALUE_SCHEMA, why))?,
            }))
        }
        _ => {
            let start = multiline.map(glob::part).transpose();
            let wrong = |why| {
                about(
                    MULTILINE_START,
                    format!("{MULTILINE_START} is no regular expression: {why}"),
                )
            };
            Format::Lines(start.map_err(wrong)?)
        }
    })
}

/// A letter of ASCII: itself, or its number, as the spooldir connectors have it.
fn byte(config: &config::Config, key: &str) -> Result<u8, Errors> {
    let text = config.get_string(key);
    let letter = match text.as_bytes() {
        [letter] => Some(*letter),
        b"\\t" => Some(b'\t'),
        _ => text.parse().ok().filter(u8::is_ascii),
    };
    let letter = letter.filter(|letter| !matches!(letter, b'\n' | b'\r'));
    letter.ok_or_else(|| {
        about(
            key,
            format!("Invalid value {text} for configuration {key}: one letter of ASCII, or its number"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_doubted_for_longer_than_commits_take() {
        let grace = |pairs: &[(&str, &str)]| {
            let properties = pairs.iter();
            let properties = properties.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            copy_grace(&properties.collect()).as_secs()
        };
        let interval = ("transaction.boundary", " Interval");
        assert_eq!(grace(&[]), 10);
        assert_eq!(
            grace(&[
                ("transaction.boundary", "poll"),
                ("transaction.boundary.interval.ms", "9000")
            ]),
            10
        );
        assert_eq!(grace(&[interval]), 70);
        assert_eq!(
            grace(&[interval, ("transaction.boundary.interval.ms", "9000")]),
            19
        );
    }
}
