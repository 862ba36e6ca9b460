//! The keys of partitioners, under Confluent's names.

use forebay_connect_api::{
    Error,
    config::{self, ConfigDef, ConfigKey, ConfigType, Importance, Validator, Value},
};

use super::simple_name;
use crate::partitioner::{Extractor, FieldPath, Fields, Partitioner, PathFormat, Time, Zone};

const HOUR_MS: i64 = 60 * 60 * 1000;

const PARTITIONERS: &[&str] = &[
    "DefaultPartitioner",
    "FieldPartitioner",
    "TimeBasedPartitioner",
    "HourlyPartitioner",
    "DailyPartitioner",
];

const EXTRACTORS: &[&str] = &["Wallclock", "Record", "RecordField"];

pub(super) fn define(def: ConfigDef) -> ConfigDef {
    let def = def
        .define(
            ConfigKey::new("partitioner.class", ConfigType::Class)
                .default("io.confluent.connect.storage.partitioner.DefaultPartitioner")
                .validator(super::definition::one_class("partitioner.class", PARTITIONERS))
                .importance(Importance::High)
                .documentation(
                    "How records are put into folders: by Kafka's partition (DefaultPartitioner), by fields of their value \
                     (FieldPartitioner), or by time (TimeBasedPartitioner, HourlyPartitioner, DailyPartitioner).",
                ),
        )
        .define(
            ConfigKey::new("partition.field.name", ConfigType::List)
                .default("")
                .documentation(
                    "FieldPartitioner: the fields, such as country,year for folders like country=CH/year=2024. Dots lead into structures. A record \
                     whose folder or object would have a longer name than the store takes is at fault.",
                ),
        )
        .define(
            ConfigKey::new("partitioner.max.open.files", ConfigType::Int)
                .default(-1)
                .documentation(
                    "How many files a partition of a topic may have open at once; beyond it the one without records for longest is closed. \
                     -1: without limit but that of memory.",
                ),
        )
        .define(
            ConfigKey::new("rotate.file.on.partition.change", ConfigType::Boolean)
                .default(false)
                .documentation(
                    "Whether a record of another folder closes all files of its partition. If not, folders that take turns fill one file each.",
                ),
        );
    time_keys(def)
}

fn time_keys(def: ConfigDef) -> ConfigDef {
    def.define(
        ConfigKey::new("partition.duration.ms", ConfigType::Long)
            .default(-1)
            .documentation("TimeBasedPartitioner: to what times are rounded down, such as 600000 for ten minutes."),
    )
    .define(
        ConfigKey::new("path.format", ConfigType::String)
            .default("")
            .validator(Validator::custom("a pattern of Joda-Time's DateTimeFormat", |_, value| match value {
                Some(Value::String(pattern)) if !pattern.is_empty() => PathFormat::parse(pattern).map(drop),
                _ => Ok(()),
            }))
            .documentation(
                "TimeBasedPartitioner: the folders of a time, such as 'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH.",
            ),
    )
    .define(
        ConfigKey::new("locale", ConfigType::String)
            .default("")
            .documentation("The language of names of months and days in path.format; English is known."),
    )
    .define(
        ConfigKey::new("timezone", ConfigType::String)
            .default("UTC")
            .validator(Validator::custom("UTC, an offset such as +02:00, or a place such as Europe/Paris", |_, value| {
                match value {
                    Some(Value::String(zone)) if !zone.is_empty() && Zone::parse(zone).is_none() => {
                        Err("no such time zone is known".to_owned())
                    }
                    _ => Ok(()),
                }
            }))
            .documentation(
                "Where times of path.format are, and midnight, from which rotate.schedule.interval.ms counts: UTC, +02:00, Europe/Paris.",
            ),
    )
    .define(
        ConfigKey::new("timestamp.extractor", ConfigType::String)
            .default("Wallclock")
            .validator(Validator::custom("[Wallclock, Record, RecordField]", |_, value| match value {
                Some(Value::String(name)) if EXTRACTORS.contains(&extractor_name(name)) => Ok(()),
                _ => Err("timestamp.extractor knows Wallclock, Record and RecordField".to_owned()),
            }))
            .documentation(
                "Partitioners by time: which time of a record counts. Record: its timestamp. RecordField: what timestamp.field holds. \
                 Wallclock: when it is read, which is another time when it is read again after a failure, so that it may then be stored twice.",
            ),
    )
    .define(
        ConfigKey::new("timestamp.field", ConfigType::String)
            .default("timestamp")
            .documentation(
                "RecordField: the field that holds the time, in milliseconds since 1970 or as a text of ISO 8601. Dots lead into structures.",
            ),
    )
}

/// `Record`, also of `io.confluent.connect.storage.partitioner.TimeBasedPartitioner$RecordTimestampExtractor`.
fn extractor_name(name: &str) -> &str {
    let name = name.rsplit(['.', '$']).next().unwrap_or(name);
    name.strip_suffix("TimestampExtractor").unwrap_or(name)
}

/// The zone of `timezone`.
pub(super) fn zone(parsed: &config::Config) -> Zone {
    let utc = || Zone::parse("UTC").expect("it is known");
    Zone::parse(parsed.get_string("timezone")).unwrap_or_else(utc)
}

/// What the keys say together.
pub(super) fn parse(parsed: &config::Config) -> Result<Partitioner, Error> {
    match simple_name(parsed.get_class("partitioner.class")) {
        "FieldPartitioner" => {
            let paths: Vec<FieldPath> = parsed
                .get_list("partition.field.name")
                .iter()
                .filter(|name| !name.is_empty())
                .map(|name| FieldPath::new(name))
                .collect();
            if paths.is_empty() {
                return Err(missing("partition.field.name", "FieldPartitioner needs a field"));
            }
            let delimiter = parsed.get_string("directory.delim").to_owned();
            Ok(Partitioner::Fields(Fields { paths, delimiter }))
        }
        "TimeBasedPartitioner" => {
            let duration_ms = parsed.get_long("partition.duration.ms");
            if duration_ms <= 0 {
                return Err(missing(
                    "partition.duration.ms",
                    "TimeBasedPartitioner needs a duration above 0",
                ));
            }
            match parsed.get_string("path.format") {
                "" => Err(missing("path.format", "TimeBasedPartitioner needs a pattern")),
                pattern => time(parsed, duration_ms, pattern),
            }
        }
        "HourlyPartitioner" => time(parsed, HOUR_MS, &by_day(parsed, true)),
        "DailyPartitioner" => time(parsed, 24 * HOUR_MS, &by_day(parsed, false)),
        _ => Ok(Partitioner::Default),
    }
}

/// Confluent's `'year'=YYYY/'month'=MM/'day'=dd`, and what comes after.
fn by_day(parsed: &config::Config, hour: bool) -> String {
    // Between quotes, as a letter would be a field.
    let delimiter = parsed.get_string("directory.delim").replace('\'', "''");
    let day = format!("'year'=YYYY'{delimiter}month'=MM'{delimiter}day'=dd");
    match hour {
        true => format!("{day}'{delimiter}hour'=HH"),
        false => day,
    }
}

fn time(parsed: &config::Config, duration_ms: i64, pattern: &str) -> Result<Partitioner, Error> {
    let wrong = |reason: String| config::Error::invalid("path.format", pattern, reason);
    let format = PathFormat::parse(pattern).map_err(wrong)?;
    let locale = parsed.get_string("locale");
    let is_english = locale.is_empty() || locale.split(['-', '_']).next() == Some("en");
    if format.has_names() && !is_english {
        let reason = "path.format writes names of months, days or the like, which are known in English only";
        return Err(config::Error::invalid("locale", locale, reason).into());
    }
    let extractor = match extractor_name(parsed.get_string("timestamp.extractor")) {
        "Record" => Extractor::Record,
        "RecordField" => Extractor::Field(FieldPath::new(parsed.get_string("timestamp.field"))),
        _ => Extractor::Wallclock,
    };
    Ok(Partitioner::Time(Time {
        extractor,
        duration_ms,
        format,
        zone: zone(parsed),
    }))
}

fn missing(key: &str, reason: &str) -> Error {
    config::Error::invalid(key, "", reason).into()
}
