use forebay_connect_api::config::Properties;

use super::*;
use crate::format::Encoding;
use crate::partitioner::{Extractor, FieldPath, PathFormat, Time, Zone};

fn properties(more: &[(&str, &str)]) -> Properties {
    let own = [
        (
            "format.class",
            "io.confluent.connect.s3.format.parquet.ParquetFormat",
        ),
        ("flush.size", "3"),
        ("store.url", "file:///data"),
    ];
    own.iter()
        .chain(more)
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn what_confluent_users_paste_is_taken() {
    let pasted = properties(&[
        ("storage.class", "io.confluent.connect.s3.storage.S3Storage"),
        (
            "partitioner.class",
            "io.confluent.connect.storage.partitioner.DefaultPartitioner",
        ),
        ("schema.compatibility", "NONE"),
        ("s3.part.size", "5242880"),
        ("timezone", "UTC"),
        ("locale", "en-US"),
        ("rotate.interval.ms", "60000"),
        ("rotate.schedule.interval.ms", "0"),
    ]);
    let config = Config::parse(&pasted).expect("it is known");
    assert_eq!(config.layout.extension, "snappy.parquet");
    assert_eq!(
        (config.rotation.interval_ms, config.rotation.schedule_ms),
        (Some(60_000), None)
    );
    let hdfs = properties(&[
        ("format.class", "io.confluent.connect.hdfs.json.JsonFormat"),
        ("topics.dir", "/a/b/"),
    ]);
    let config = Config::parse(&hdfs).expect("it is known");
    assert_eq!(
        (
            config.layout.extension.as_str(),
            config.layout.topics_dir.as_str()
        ),
        ("json", "a/b")
    );
    for (codec, extension) in [
        ("none", "parquet"),
        ("gzip", "gz.parquet"),
        ("lz4", "lz4.parquet"),
        ("zstd", "zstd.parquet"),
    ] {
        let config = Config::parse(&properties(&[("parquet.codec", codec)])).expect("it is known");
        assert_eq!(config.layout.extension, extension);
    }
}

#[test]
fn an_hdfs_sink_writes_avro_unless_told_otherwise_and_says_what_it_lacks() {
    // Confluent's quick start of the HDFS 2 sink.
    let quickstart = |class: &str| {
        let mut keys = properties(&[("connector.class", class)]);
        keys.remove("format.class");
        keys
    };
    for class in [
        "io.confluent.connect.hdfs.HdfsSinkConnector",
        "io.confluent.connect.hdfs3.Hdfs3SinkConnector",
        "HdfsSink",
    ] {
        let config = Config::parse(&quickstart(class)).expect("it is known");
        assert_eq!(config.layout.extension, "avro", "{class}");
    }
    let error =
        Config::parse(&quickstart("io.confluent.connect.s3.S3SinkConnector")).expect_err("none given");
    assert!(error.to_string().contains("format.class"), "{error}");
    for (url, what) in [
        ("hdfs://localhost:9000", "such as a mount"),
        ("gs://bucket", "gs:// is not supported yet"),
    ] {
        let error = Config::parse(&properties(&[("store.url", url)])).expect_err(url);
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[test]
fn formats_have_confluents_names_and_extensions() {
    let gzip = ("s3.compression.type", "gzip");
    type Keys = [(&'static str, &'static str)];
    let cases: [(&str, &Keys, &str); 9] = [
        (
            "io.confluent.connect.s3.format.avro.AvroFormat",
            &[("avro.codec", "snappy"), gzip],
            "avro",
        ),
        ("io.confluent.connect.hdfs.avro.AvroFormat", &[], "avro"),
        (
            "io.confluent.connect.s3.format.json.JsonFormat",
            &[gzip, ("s3.compression.level", "9")],
            "json.gz",
        ),
        (
            "io.confluent.connect.s3.format.bytearray.ByteArrayFormat",
            &[],
            "bin",
        ),
        (
            "io.confluent.connect.s3.format.bytearray.ByteArrayFormat",
            &[
                ("format.bytearray.extension", ".txt"),
                ("format.bytearray.separator", ""),
                gzip,
            ],
            "txt.gz",
        ),
        (
            "io.confluent.connect.hdfs3.parquet.ParquetFormat",
            &[gzip],
            "snappy.parquet",
        ),
        (
            "CsvFormat",
            &[("format.csv.delimiter", "\t"), ("format.csv.header", "false")],
            "csv",
        ),
        ("CsvFormat", &[gzip], "csv.gz"),
        ("AvroFormat", &[("schema.compatibility", "FULL")], "avro"),
    ];
    for (class, keys, extension) in cases {
        let config = Config::parse(&properties(&[&[("format.class", class)], keys].concat()));
        assert_eq!(config.expect(class).layout.extension, extension, "{class}");
    }
    // White space stays what it is.
    for (given, expected) in [("", ""), ("\r\n", "\r\n"), (" ", " ")] {
        let keys = [
            ("format.class", "ByteArrayFormat"),
            ("format.bytearray.separator", given),
        ];
        let config = Config::parse(&properties(&keys)).expect("it is known");
        let Encoding::Bytes { separator, .. } = config.format.encoding else {
            panic!("it is bytes")
        };
        assert_eq!(&*separator, expected);
    }
    for (given, expected) in [("\t", b'\t'), ("\\t", b'\t'), (" ", b' '), (";", b';')] {
        let keys = [("format.class", "CsvFormat"), ("format.csv.delimiter", given)];
        let config = Config::parse(&properties(&keys)).expect("it is known");
        let Encoding::Csv { options, .. } = config.format.encoding else {
            panic!("it is CSV")
        };
        assert_eq!(options.delimiter, expected);
    }
}

#[test]
fn what_would_change_the_data_is_refused_with_its_reason() {
    let cases = [
        (
            "partitioner.class",
            "com.example.MyPartitioner",
            "no other class yet",
        ),
        ("path.format", "year=YYYY", "Illegal pattern component: r"),
        ("timezone", "Europe/Nowhere", "no such time zone is known"),
        (
            "timestamp.extractor",
            "Sundial",
            "knows Wallclock, Record and RecordField",
        ),
        (
            "format.class",
            "io.confluent.connect.hdfs.orc.OrcFormat",
            "no other class yet",
        ),
        ("store.kafka.keys", "true", "keys are not stored"),
        ("hive.integration", "true", "no Hive integration"),
        ("s3.acl.canned", "public-read", "use the bucket's policy"),
        ("s3.compression.type", "zstd", "String must be one of: none, gzip"),
        ("schema.compatibility", "BOTH", "String must be one of: NONE"),
        ("format.bytearray.extension", "../x", "must be made of letters"),
        ("flush.size", "0", "Value must be at least 1"),
        ("file.delim", "0", "names could not be read again"),
        ("topics.dir", "a/../b", "must not contain . or .."),
        ("directory.delim", "", "must not be empty"),
        ("store.url", "hdfs://namenode:8020", "HDFS is not supported yet"),
        ("store.url", "file://data", "file:///directory"),
        ("store.url", "data", "a URL is needed"),
        ("store.url", "ftp://x", "known are file:///directory"),
        ("store.url", "s3:///prefix", "the bucket is missing"),
        ("store.url", "http://localhost:9000", "s3.bucket.name is needed"),
    ];
    for (key, value, reason) in cases {
        let error = Config::parse(&properties(&[(key, value)]))
            .expect_err(value)
            .to_string();
        assert!(error.contains(key) && error.contains(reason), "{error}");
    }
    for delimiter in ["", ";;", "\"", "a", "é"] {
        let keys = [("format.class", "CsvFormat"), ("format.csv.delimiter", delimiter)];
        let error = Config::parse(&properties(&keys))
            .expect_err(delimiter)
            .to_string();
        assert!(error.contains("must be one ASCII character"), "{error}");
    }
    let half = [("store.url", "s3://b"), ("aws.access.key.id", "k")];
    let error = Config::parse(&properties(&half))
        .expect_err("half the credentials")
        .to_string();
    assert!(error.contains("aws.secret.access.key"), "{error}");
}

#[test]
fn stores_are_found_in_the_url() {
    let target = |more: &[(&str, &str)]| Config::parse(&properties(more)).expect("it is known").target;
    for url in ["file:///data/lake", "file://localhost/data/lake"] {
        assert!(
            matches!(target(&[("store.url", url)]), Target::Local(path) if path.ends_with("data/lake")),
            "{url}"
        );
    }
    let bucket = |more: &[(&str, &str)]| match target(more) {
        Target::S3(options) => (options.bucket, options.prefix, options.endpoint),
        Target::Local(path) => panic!("{path:?}"),
    };
    assert_eq!(
        bucket(&[("store.url", "s3://b/p/q/")]),
        ("b".into(), "p/q".into(), None)
    );
    let minio = [("store.url", "http://minio:9000"), ("s3.bucket.name", "b")];
    assert_eq!(
        bucket(&minio),
        ("b".into(), String::new(), Some("http://minio:9000".into()))
    );
    assert_eq!(
        bucket(&[("store.url", ""), ("s3.bucket.name", "b")]),
        ("b".into(), String::new(), None)
    );
}

#[test]
fn partitioners_are_confluents() {
    let parse = |more: &[(&str, &str)]| Config::parse(&properties(more)).map(|config| config.partitioner);
    let time = |more: &[(&str, &str)]| match parse(more).expect("it is known") {
        Partitioner::Time(time) => time,
        other => panic!("{other:?}"),
    };
    let package = |name: &str| format!("io.confluent.connect.storage.partitioner.{name}");
    for (name, duration_ms, pattern) in [
        (
            "HourlyPartitioner",
            3_600_000,
            "'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH",
        ),
        ("DailyPartitioner", 86_400_000, "'year'=YYYY/'month'=MM/'day'=dd"),
    ] {
        for class in [name.to_owned(), package(name)] {
            let record = package("TimeBasedPartitioner$RecordTimestampExtractor");
            let time = time(&[
                ("partitioner.class", &class),
                ("timestamp.extractor", &record),
                ("timezone", "America/New_York"),
                ("locale", "en-US"),
            ]);
            assert_eq!(
                (time.duration_ms, &time.extractor),
                (duration_ms, &Extractor::Record)
            );
            assert_eq!(time.zone, Zone::parse("America/New_York").expect("known"));
            assert_eq!(written(&time), written_by(pattern, &time.zone));
        }
    }
    let hourly = time(&[
        ("partitioner.class", "HourlyPartitioner"),
        ("directory.delim", "'_"),
    ]);
    assert_eq!(hourly.extractor, Extractor::Wallclock, "as Confluent has it");
    assert_eq!(written(&hourly), "year=2024'_month=02'_day=05'_hour=13");
    let based = [
        ("partitioner.class", "TimeBasedPartitioner"),
        ("path.format", "YYYY-MMM"),
        ("partition.duration.ms", "600000"),
        ("timestamp.extractor", "RecordField"),
        ("timestamp.field", "a.b"),
    ];
    assert_eq!(time(&based).extractor, Extractor::Field(FieldPath::new("a.b")));
    let fields = [
        ("partitioner.class", "FieldPartitioner"),
        ("partition.field.name", "a, b"),
    ];
    let Partitioner::Fields(fields) = parse(&fields).expect("it is known") else {
        panic!("fields")
    };
    assert_eq!(fields.paths, [FieldPath::new("a"), FieldPath::new("b")]);
    let without = |key: &str| {
        based
            .iter()
            .copied()
            .filter(|(name, _)| *name != key)
            .collect::<Vec<_>>()
    };
    let german = [&based[..], &[("locale", "de-CH")]].concat();
    for (more, reason) in [
        (vec![("partitioner.class", "FieldPartitioner")], "needs a field"),
        (without("path.format"), "needs a pattern"),
        (without("partition.duration.ms"), "needs a duration"),
        (german, "known in English only"),
    ] {
        let error = parse(&more).expect_err(reason).to_string();
        assert!(error.contains(reason), "{error}");
    }
}

fn written(time: &Time) -> String {
    let moment = chrono::DateTime::parse_from_rfc3339("2024-02-05T13:07:09.042+00:00").expect("a time");
    time.format.format(&moment, &time.zone)
}

fn written_by(pattern: &str, zone: &Zone) -> String {
    let moment = chrono::DateTime::parse_from_rfc3339("2024-02-05T13:07:09.042+00:00").expect("a time");
    PathFormat::parse(pattern).expect("sound").format(&moment, zone)
}
