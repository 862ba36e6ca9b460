//! The configuration in its types, and what its keys have to do with each other.

mod keys;

use std::{path::PathBuf, sync::Arc, time::Duration};

use forebay_connect_api::{
    Access, Error,
    config::{self, Errors, Properties},
};

use crate::{TASK_COUNT, TASK_ID, avro, quickstart, template::Template};
pub(crate) use keys::definition;
use keys::{
    COUNT, ITERATIONS, KAFKA_TOPIC, MAX_INTERVAL, QUICKSTART, RANDOM_SEED, RATE, SCHEMA_FILENAME,
    SCHEMA_KEYFIELD, SCHEMA_STRING,
};

/// The longest schema in a file.
const SCHEMA_BYTES_MAX: u64 = 1024 * 1024;

/// A configuration in its types.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) topic: Arc<str>,
    pub(crate) pace: Pace,
    /// How many records this task makes in all; `None`: no end.
    pub(crate) records: Option<u64>,
    pub(crate) seed: Option<i64>,
    pub(crate) task: u32,
    source: Source,
    key_field: String,
}

/// How fast records come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pace {
    /// As fast as they are taken.
    Unlimited,
    /// So many of this task per second.
    Rate(f64),
    /// Up to so long between one and the next.
    Interval(Duration),
}

/// What says how records look.
#[derive(Debug, Clone)]
enum Source {
    Quickstart(String),
    Text(String),
    File(PathBuf),
}

/// Records, and where in them the key is.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) template: Template,
    pub(crate) key_field: Option<String>,
}

fn about(key: &str, message: impl Into<String>) -> Errors {
    let (key, message) = (Some(key.to_owned()), message.into());
    config::Error::Other { key, message }.into()
}

impl Config {
    pub(crate) fn parse(properties: &Properties) -> Result<Self, Errors> {
        let config = definition().parse(properties)?;
        let number = |key: &str, default: u32| {
            properties.get(key).map_or(Ok(default), |text| {
                text.parse()
                    .map_err(|_| about(key, format!("{key}={text} is no number of a task")))
            })
        };
        let (task, tasks) = (number(TASK_ID, 0)?, number(TASK_COUNT, 1)?.max(1));
        let source = source(&config)?;
        let key_field = config.get_string(SCHEMA_KEYFIELD).to_owned();
        if !matches!(source, Source::File(_)) {
            model(&source, &key_field, None)?;
        }
        Ok(Self {
            topic: config.get_string(KAFKA_TOPIC).into(),
            pace: pace(&config, tasks),
            records: records(&config, task, tasks),
            seed: config.get_optional::<i64>(RANDOM_SEED),
            task,
            source,
            key_field,
        })
    }

    /// How records look; reads the file that says so, if it is one.
    pub(crate) async fn load(&self, access: &Access) -> Result<Model, Error> {
        let text = match &self.source {
            Source::File(path) => Some(read(path.clone(), access.clone()).await?),
            _ => None,
        };
        Ok(model(&self.source, &self.key_field, text.as_deref())?)
    }
}

fn source(config: &config::Config) -> Result<Source, Errors> {
    let given = |key| Some(config.get_string(key)).filter(|text| !text.is_empty());
    match (given(QUICKSTART), given(SCHEMA_STRING), given(SCHEMA_FILENAME)) {
        (Some(name), None, None) => Ok(Source::Quickstart(name.to_owned())),
        (None, Some(text), None) => Ok(Source::Text(text.to_owned())),
        (None, None, Some(path)) => Ok(Source::File(path.into())),
        (None, None, None) => Err(about(
            QUICKSTART,
            format!("one of {QUICKSTART}, {SCHEMA_STRING} and {SCHEMA_FILENAME} must say how records look"),
        )),
        _ => Err(about(
            QUICKSTART,
            format!(
                "only one of {QUICKSTART}, {SCHEMA_STRING} and {SCHEMA_FILENAME} may say how records look"
            ),
        )),
    }
}

fn pace(config: &config::Config, tasks: u32) -> Pace {
    let (rate, interval) = (config.get_double(RATE), config.get_long(MAX_INTERVAL));
    match u64::try_from(interval) {
        _ if rate > 0.0 => Pace::Rate(rate / f64::from(tasks)),
        Ok(milliseconds @ 1..) => Pace::Interval(Duration::from_millis(milliseconds)),
        _ => Pace::Unlimited,
    }
}

/// The share of this task.
fn records(config: &config::Config, task: u32, tasks: u32) -> Option<u64> {
    if let Ok(count @ 1..) = u64::try_from(config.get_long(COUNT)) {
        let (task, tasks) = (u64::from(task), u64::from(tasks));
        return Some(count / tasks + u64::from(task < count % tasks));
    }
    u64::try_from(config.get_int(ITERATIONS))
        .ok()
        .filter(|count| *count > 0)
}

fn model(source: &Source, key_field: &str, file: Option<&str>) -> Result<Model, Errors> {
    let mut key_field = Some(key_field.to_owned()).filter(|field| !field.is_empty());
    let (template, key) = match source {
        Source::Quickstart(name) => {
            let found = quickstart::find(name)
                .ok_or_else(|| about(QUICKSTART, format!("there is no quickstart {name}")))?;
            key_field.get_or_insert_with(|| found.key_field.to_owned());
            (found.template, QUICKSTART)
        }
        Source::Text(text) => (
            avro::template(text).map_err(|why| about(SCHEMA_STRING, why))?,
            SCHEMA_STRING,
        ),
        Source::File(path) => {
            let read = avro::template(file.unwrap_or_default());
            let read = read.map_err(|why| about(SCHEMA_FILENAME, format!("{}: {why}", path.display())))?;
            (read, SCHEMA_FILENAME)
        }
    };
    match &key_field {
        Some(field) if template.schema.field(field).is_none() => {
            let message = format!("{SCHEMA_KEYFIELD}={field} is no field of the schema that {key} gives");
            Err(about(SCHEMA_KEYFIELD, message))
        }
        _ => Ok(Model { template, key_field }),
    }
}

async fn read(path: PathBuf, access: Access) -> Result<String, Error> {
    let shown = path.display().to_string();
    let failed = move |error: std::io::Error| Error::fatal(format!("cannot read {shown}")).with_source(error);
    let read = tokio::task::spawn_blocking(move || {
        access.check_path(&path)?;
        let metadata = std::fs::metadata(&path).map_err(&failed)?;
        if !metadata.is_file() || metadata.len() > SCHEMA_BYTES_MAX {
            return Err(Error::fatal(format!(
                "{} is no file of at most {SCHEMA_BYTES_MAX} bytes",
                path.display()
            )));
        }
        std::fs::read_to_string(&path).map_err(failed)
    });
    read.await
        .map_err(|error| Error::fatal("the thread that reads the schema ended").with_source(error))?
}
