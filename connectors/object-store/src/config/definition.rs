//! The keys.

use forebay_connect_api::config::{ConfigDef, ConfigKey, ConfigType, Importance, Validator, Value};

use super::{formats::format_keys, partitioning, simple_name};
use crate::name::Layout;

/// 128 MiB.
const MAX_BUFFER_BYTES_DEFAULT: i64 = 128 * 1024 * 1024;
/// 512 MiB.
const WORKER_MAX_BUFFER_BYTES_DEFAULT: i64 = 512 * 1024 * 1024;
/// Below this there is no room for a file.
const MAX_BUFFER_BYTES_MIN: i32 = 1024 * 1024;
const PAD_WIDTH_MAX: i32 = 19;

pub(crate) fn definition() -> ConfigDef {
    without_meaning(store_keys(rotation_keys(partitioning::define(naming_keys(
        format_keys(ConfigDef::new()),
    )))))
}

fn naming_keys(def: ConfigDef) -> ConfigDef {
    def.define(
        ConfigKey::new("topics.dir", ConfigType::String)
            .default("topics")
            .importance(Importance::High)
            .validator(Validator::custom("folder names with / between them", |_, value| match value {
                Some(Value::String(dir)) if dir.split('/').any(|part| matches!(part, "." | "..")) => {
                    Err("must not contain . or ..".to_owned())
                }
                _ => Ok(()),
            }))
            .documentation("The top folder of all objects."),
    )
    .define(
        ConfigKey::new("directory.delim", ConfigType::String)
            .default("/")
            .validator(Validator::custom("a string that stores keep as it is", |_, value| match value {
                Some(Value::String(delimiter)) if !delimiter.is_empty() && !delimiter.contains('.') => Ok(()),
                _ => Err("it must not be empty and has no dots".to_owned()),
            }))
            .documentation("What stands between folders. With another string than a slash they become a part of names."),
    )
    .define(
        ConfigKey::new("file.delim", ConfigType::String)
            .default("+")
            .validator(Validator::custom("a string without digits, dots, slashes, and characters that stores encode (such as ~ # | % <)", |_, value| match value {
                Some(Value::String(delimiter)) if Layout::is_good_delimiter(delimiter) => Ok(()),
                _ => Err("names could not be read again".to_owned()),
            }))
            .documentation("What stands between topic, partition and offsets in an object's name."),
    )
    .define(
        ConfigKey::new("filename.offset.zero.pad.width", ConfigType::Int)
            .default(10)
            .validator(Validator::between(0, PAD_WIDTH_MAX))
            .documentation("To how many digits offsets in names are filled up with zeros."),
    )
}

fn rotation_keys(def: ConfigDef) -> ConfigDef {
    let def = def.define(
        ConfigKey::new("flush.size", ConfigType::Int)
            .validator(Validator::between(1, i32::MAX))
            .importance(Importance::High)
            .documentation("How many records an object holds, if nothing else closes it earlier."),
    )
    .define(
        ConfigKey::new("rotate.interval.ms", ConfigType::Long)
            .default(-1)
            .importance(Importance::High)
            .documentation(
                "How far the times of an object's records lie apart at most, and those of its partition until it is closed; and for how long \
                 its first record waits for more by the wall clock. -1: without limit.",
            ),
    )
    .define(
        ConfigKey::new("rotate.schedule.interval.ms", ConfigType::Long)
            .default(-1)
            .importance(Importance::Medium)
            .documentation("Closes all objects at these times of the day, by the wall clock. -1: never. As exact as the other rules."),
    )
    .define(
        ConfigKey::new("flush.bytes", ConfigType::Long)
            .default(-1)
            .importance(Importance::Medium)
            .documentation("How many bytes an object has at about, if nothing else closes it earlier. -1: without limit."),
    )
    .define(
        ConfigKey::new("rotate.idle.interval.ms", ConfigType::Long)
            .default(-1)
            .importance(Importance::Medium)
            .documentation("How long by the wall clock an object waits for another record. -1: without limit."),
    )
    .define(
        ConfigKey::new("behavior.on.null.values", ConfigType::String)
            .default("fail")
            .validator(Validator::one_of(["fail", "ignore", "write"]))
            .documentation(
                "What to do with records without a value: tombstones, and values that are null when they are read. write is for values that are \
                 no structs: a row of columns is never null, so that such a record is at fault.",
            ),
    );
    task_keys(def)
}

fn task_keys(def: ConfigDef) -> ConfigDef {
    def.define(
        ConfigKey::new("retry.backoff.ms", ConfigType::Long)
            .default(5000)
            .validator(Validator::at_least(0))
            .documentation("How long to wait before a store that failed is tried again."),
    )
    .define(
        ConfigKey::new("intents.enable", ConfigType::Boolean)
            .default(true)
            .documentation(
                "Whether each object is announced in the worker's intents topic before it is made, in transactions, so that two tasks \
                 that both believe they own a partition make the same objects. Without it, or with a worker that keeps its offsets in a \
                 file, such tasks may store a record twice.",
            ),
    )
    .define(
        ConfigKey::new("max.buffer.bytes", ConfigType::Long)
            .default(MAX_BUFFER_BYTES_DEFAULT)
            .validator(Validator::at_least(MAX_BUFFER_BYTES_MIN))
            .documentation("How much memory a task's open files may take together. Beyond it the largest is closed early."),
    )
    .define(
        ConfigKey::new("worker.max.buffer.bytes", ConfigType::Long)
            .default(WORKER_MAX_BUFFER_BYTES_DEFAULT)
            .validator(Validator::at_least(MAX_BUFFER_BYTES_MIN))
            .documentation(
                "How much memory the open files of all tasks of the worker may take together; the least value of its connectors counts. Beyond \
                 it tasks that have more than an equal part close their largest files early.",
            ),
    )
    .define(refused_unless_false(
        "store.kafka.keys",
        "keys are not stored; only values are, for now",
    ))
    .define(refused_unless_false(
        "store.kafka.headers",
        "headers are not stored; only values are, for now",
    ))
    .define(refused_unless_false(
        "hive.integration",
        "there is no Hive integration: point the tables at the folders",
    ))
}

fn store_keys(def: ConfigDef) -> ConfigDef {
    def.define(
        ConfigKey::new("store.url", ConfigType::String)
            .alias("hdfs.url")
            .optional()
            .importance(Importance::High)
            .documentation(
                "Where objects go: file:///directory, s3://bucket/prefix, or the http(s):// endpoint of a store that speaks S3, with \
                 s3.bucket.name. Without it: AWS, with s3.bucket.name.",
            ),
    )
    .define(ConfigKey::new("s3.bucket.name", ConfigType::String).optional().importance(Importance::High).documentation("The bucket."))
    .define(
        ConfigKey::new("s3.region", ConfigType::String)
            .default("us-west-2")
            .importance(Importance::Medium)
            .documentation("The bucket's region."),
    )
    .define(
        ConfigKey::new("s3.path.style.access.enabled", ConfigType::Boolean)
            .default(true)
            .documentation("Whether the bucket is in the path of requests, and not in the host's name."),
    )
    .define(
        ConfigKey::new("aws.access.key.id", ConfigType::String)
            .optional()
            .importance(Importance::High)
            .documentation("The key of the credentials; if not given, they are looked for where the AWS SDK does."),
    )
    .define(
        ConfigKey::new("aws.secret.access.key", ConfigType::Password)
            .optional()
            .importance(Importance::High)
            .guards()
            .documentation("The secret of the credentials."),
    )
    .define(
        ConfigKey::new("s3.ssea.name", ConfigType::String)
            .optional()
            .validator(Validator::custom("[AES256, aws:kms]", |_, value| match value {
                None => Ok(()),
                Some(Value::String(name)) if matches!(name.as_str(), "" | "AES256" | "aws:kms") => Ok(()),
                Some(_) => Err("String must be one of: AES256, aws:kms".to_owned()),
            }))
            .guards()
            .documentation("Server-side encryption."),
    )
    .define(
        ConfigKey::new("s3.sse.kms.key.id", ConfigType::String)
            .optional()
            .guards()
            .documentation("The key of server-side encryption with aws:kms."),
    )
    .define(
        ConfigKey::new("s3.acl.canned", ConfigType::String)
            .optional()
            .validator(Validator::custom("none", |_, value| match value {
                None => Ok(()),
                Some(Value::String(acl)) if acl.is_empty() => Ok(()),
                Some(_) => Err("access lists of objects are not set; use the bucket's policy".to_owned()),
            }))
            .guards()
            .documentation("Not supported: use the bucket's policy."),
    )
}

/// Keys that a configuration written for Confluent's sinks has, and that mean nothing here.
fn without_meaning(def: ConfigDef) -> ConfigDef {
    let in_one_piece =
        "objects are put in one piece, as only that can be made conditional on the name being free";
    let no_hadoop =
        "there is no Hadoop client: store.url is file:///directory (such as a mount) or s3://bucket/prefix";
    let no_licence = "there is no licence to keep";
    [
        ("storage.class", "store.url says which store it is"),
        ("s3.part.size", in_one_piece),
        ("s3.part.retries", in_one_piece),
        ("s3.retry.backoff.ms", "use retry.backoff.ms"),
        ("schemas.cache.size", "nothing is cached"),
        (
            "enhanced.avro.schema.support",
            "columns are made from Connect's schema",
        ),
        ("connect.meta.data", "columns are made from Connect's schema"),
        (
            "enable.conditional.writes",
            "every write is conditional on the name being free",
        ),
        (
            "logs.dir",
            "there is no write-ahead log: objects appear complete, and their names say what they hold",
        ),
        ("schema.generator.class", "it is for Hive"),
        ("hive.metastore.uris", "there is no Hive integration"),
        ("hive.database", "there is no Hive integration"),
        ("hadoop.conf.dir", no_hadoop),
        ("hadoop.home", no_hadoop),
        ("hdfs.authentication.kerberos", no_hadoop),
        ("connect.hdfs.principal", no_hadoop),
        ("connect.hdfs.keytab", no_hadoop),
        ("hdfs.namenode.principal", no_hadoop),
        ("kerberos.ticket.renew.period.ms", no_hadoop),
        ("confluent.license", no_licence),
        ("confluent.topic.bootstrap.servers", no_licence),
        ("confluent.topic.replication.factor", no_licence),
    ]
    .into_iter()
    .fold(def, |def, (key, instead)| def.meaningless(key, instead))
}

pub(super) fn one_class(key: &'static str, known: &'static [&'static str]) -> Validator {
    let shown = known.join(", ");
    Validator::custom(format!("[{shown}]"), move |_, value| match value {
        // None: it is missing, which is said anyway.
        None => Ok(()),
        Some(Value::Class(class)) if known.contains(&simple_name(class)) => Ok(()),
        Some(_) => Err(format!(
            "{key} knows {shown} (with or without Confluent's package) and no other class yet"
        )),
    })
}

fn refused_unless_false(key: &'static str, reason: &'static str) -> ConfigKey {
    ConfigKey::new(key, ConfigType::Boolean)
        .default(false)
        .validator(Validator::custom("false", move |_, value| match value {
            Some(Value::Boolean(true)) => Err(reason.to_owned()),
            _ => Ok(()),
        }))
        .documentation(format!("Not supported: {reason}."))
}
