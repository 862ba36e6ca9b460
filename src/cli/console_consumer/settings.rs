//! What the options of `console-consumer` come to: what is read, when to stop, and with which properties.

use std::time::Duration;

use forebay_config::Properties;
use forebay_protocol::TopicPartition;
use forebay_records::Offset;

use super::format::Format;
use crate::cli::options::{Options, Stop};
use crate::cli::{pairs, properties_file, random_number};

/// What is read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    Topic(String),
    Matching(String),
    Partition(TopicPartition, Start),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Start {
    Earliest,
    Latest,
    At(Offset),
}

impl Source {
    /// Which options go together (`ConsoleConsumerOptions.checkRequiredArgs`).
    pub(super) fn new(options: &Options) -> Result<Self, Stop> {
        let partition: Option<i32> = options.number("partition")?;
        let source = match (options.value("topic")?, options.value("include")?) {
            (Some(topic), None) => Self::Topic(topic.to_owned()),
            (None, Some(pattern)) => Self::Matching(pattern.to_owned()),
            _ => {
                return Err(Stop::usage(
                    "Exactly one of the following arguments is required: [topic], [include]",
                ));
            }
        };
        let source = match (source, partition) {
            (Self::Topic(topic), Some(partition)) => {
                if options.has("from-beginning") && options.has("offset") {
                    return Err(Stop::usage(
                        "Options from-beginning and offset cannot be specified together.",
                    ));
                }
                Self::Partition(TopicPartition::new(topic, partition), start(options)?)
            }
            (_, Some(_)) => return Err(Stop::usage("The topic is required when partition is specified.")),
            (_, None) if options.has("offset") => {
                return Err(Stop::usage("The partition is required when offset is specified."));
            }
            (source, None) => source,
        };
        options.required("bootstrap-server")?;
        Ok(source)
    }
}

fn start(options: &Options) -> Result<Start, Stop> {
    let Some(offset) = options.value("offset")? else {
        return Ok(if options.has("from-beginning") {
            Start::Earliest
        } else {
            Start::Latest
        });
    };
    match offset.to_ascii_lowercase().as_str() {
        "earliest" => Ok(Start::Earliest),
        "latest" => Ok(Start::Latest),
        number => match number.parse() {
            Ok(number) if number >= 0 => Ok(Start::At(Offset(number))),
            _ => Err(Stop::usage(format!(
                "The provided offset value '{offset}' is incorrect. Valid values are 'earliest', 'latest', or a \
                 non-negative long."
            ))),
        },
    }
}

/// When to stop by itself.
#[derive(Debug)]
pub(super) struct Limits {
    pub messages: Option<u64>,
    pub silence: Option<Duration>,
}

impl Limits {
    pub(super) fn new(options: &Options) -> Result<Self, Stop> {
        let messages: Option<i32> = options.number("max-messages")?;
        let silence_ms: Option<i64> = options.number("timeout-ms")?;
        Ok(Self {
            messages: messages.and_then(|messages| messages.try_into().ok()),
            silence: silence_ms
                .and_then(|silence| silence.try_into().ok())
                .map(Duration::from_millis),
        })
    }
}

/// The consumer's properties: files, then single properties, then what options say.
pub(super) fn consumer_properties(options: &Options) -> Result<Properties, Stop> {
    let mut properties = Properties::new();
    for name in ["consumer.config", "command-config"] {
        if let Some(path) = options.value(name)? {
            properties.extend(properties_file(path)?);
        }
    }
    for name in ["consumer-property", "command-property"] {
        properties.extend(pairs(&options.values(name)));
    }
    set_group(options, &mut properties)?;
    let reset = if options.has("from-beginning") {
        "earliest"
    } else {
        "latest"
    };
    match properties.get("auto.offset.reset") {
        Some(given) if options.has("from-beginning") && given != reset => {
            return Err(Stop::usage(format!(
                "Can't simultaneously specify --from-beginning and 'auto.offset.reset={given}', please remove one option"
            )));
        }
        Some(_) => {}
        None => {
            properties.insert("auto.offset.reset".to_owned(), reset.to_owned());
        }
    }
    if let Some(level) = options.value("isolation-level")? {
        properties.insert("isolation.level".to_owned(), level.to_owned());
    }
    properties
        .entry("client.id".to_owned())
        .or_insert_with(|| "console-consumer".to_owned());
    Ok(properties)
}

/// A group of its own commits nothing, so that it leaves nothing behind.
fn set_group(options: &Options, properties: &mut Properties) -> Result<(), Stop> {
    let by_property = properties.get("group.id").cloned();
    let by_option = options.value("group")?.map(ToOwned::to_owned);
    if let (Some(one), Some(other)) = (&by_option, &by_property)
        && one != other
    {
        return Err(Stop::usage(format!(
            "The group ids provided in different places (directly using '--group', via '--command-property', or via \
             '--command-config') do not match. Detected group ids: '{one}', '{other}'"
        )));
    }
    let group = by_option.or(by_property);
    if group.is_some() && options.has("partition") {
        return Err(Stop::usage(
            "Options group and partition cannot be specified together.",
        ));
    }
    let group = group.unwrap_or_else(|| {
        properties
            .entry("enable.auto.commit".to_owned())
            .or_insert_with(|| "false".to_owned());
        format!("console-consumer-{}", random_number() % 100_000)
    });
    properties.insert("group.id".to_owned(), group);
    Ok(())
}

/// How records are printed.
pub(super) fn format(options: &Options) -> Result<Format, Stop> {
    let mut properties = match options.value("formatter-config")? {
        Some(path) => properties_file(path)?,
        None => Properties::new(),
    };
    for (option, key) in [
        ("key-deserializer", "key.deserializer"),
        ("value-deserializer", "value.deserializer"),
    ] {
        if let Some(class) = options.value(option)?.filter(|class| !class.is_empty()) {
            properties.insert(key.to_owned(), class.to_owned());
        }
    }
    for name in ["property", "formatter-property"] {
        properties.extend(pairs(&options.values(name)));
    }
    Format::new(options.value("formatter")?, &properties).map_err(Stop::Usage)
}
