//! Connectors as they stand in the documentation of Apache Kafka and Confluent: each is right as pasted, under every form of the name of
//! its class. Keys of their own that we do not know are told, and are no errors.

use serde_json::{Value, json};

use super::call;
use crate::process::Hub;

/// Where it stands, the full name of its class, and its keys.
type Pasted = (&'static str, &'static str, Value);

/// Of the documentation of Apache Kafka.
fn of_kafka() -> Vec<Pasted> {
    vec![
        (
            "Apache Kafka, config/connect-file-source.properties and the quickstart",
            "org.apache.kafka.connect.file.FileStreamSourceConnector",
            json!({ "name": "local-file-source", "tasks.max": "1", "file": "/tmp/test.txt", "topic": "connect-test" }),
        ),
        (
            "Apache Kafka, documentation, 8.2 Transformations",
            "org.apache.kafka.connect.file.FileStreamSourceConnector",
            json!({
                "name": "local-file-source", "tasks.max": "1", "file": "/tmp/test.txt", "topic": "connect-test",
                "transforms": "MakeMap, InsertSource",
                "transforms.MakeMap.type": "org.apache.kafka.connect.transforms.HoistField$Value",
                "transforms.MakeMap.field": "line",
                "transforms.InsertSource.type": "org.apache.kafka.connect.transforms.InsertField$Value",
                "transforms.InsertSource.static.field": "data_source",
                "transforms.InsertSource.static.value": "test-file-source",
            }),
        ),
        (
            "Apache Kafka, documentation, 8.2 Predicates",
            "org.apache.kafka.connect.file.FileStreamSourceConnector",
            json!({
                "name": "local-file-source", "tasks.max": "1", "file": "/tmp/test.txt", "topic": "connect-test",
                "transforms": "FilterFoo,ExtractBar",
                "transforms.FilterFoo.type": "org.apache.kafka.connect.transforms.Filter",
                "transforms.FilterFoo.predicate": "IsFoo",
                "transforms.ExtractBar.type": "org.apache.kafka.connect.transforms.ExtractField$Key",
                "transforms.ExtractBar.field": "other_field",
                "transforms.ExtractBar.predicate": "IsBar",
                "transforms.ExtractBar.negate": "true",
                "predicates": "IsFoo,IsBar",
                "predicates.IsFoo.type": "org.apache.kafka.connect.transforms.predicates.TopicNameMatches",
                "predicates.IsFoo.pattern": "foo",
                "predicates.IsBar.type": "org.apache.kafka.connect.transforms.predicates.TopicNameMatches",
                "predicates.IsBar.pattern": "bar",
            }),
        ),
        (
            "Apache Kafka, config/connect-file-sink.properties, with the errors of KIP-298",
            "org.apache.kafka.connect.file.FileStreamSinkConnector",
            json!({
                "name": "local-file-sink", "tasks.max": "1", "file": "/tmp/test.sink.txt", "topics": "connect-test",
                "errors.tolerance": "all", "errors.retry.timeout": "600000", "errors.retry.delay.max.ms": "30000",
                "errors.log.enable": "true", "errors.log.include.messages": "true",
                "errors.deadletterqueue.topic.name": "my-connector-errors",
            }),
        ),
    ]
}

/// Of Confluent's documentation.
fn of_confluent() -> Vec<Pasted> {
    vec![
        (
            "Confluent, Amazon S3 sink, quick start",
            "io.confluent.connect.s3.S3SinkConnector",
            json!({
                "name": "s3-sink", "tasks.max": "1", "topics": "s3_topic", "s3.region": "us-west-2",
                "s3.bucket.name": "confluent-kafka-connect-s3-testing", "s3.part.size": "5242880", "flush.size": "3",
                "storage.class": "io.confluent.connect.s3.storage.S3Storage",
                "format.class": "io.confluent.connect.s3.format.avro.AvroFormat",
                "partitioner.class": "io.confluent.connect.storage.partitioner.DefaultPartitioner",
                "schema.compatibility": "NONE",
            }),
        ),
        (
            "Confluent, kafka-connect-datagen, config/connector_pageviews.config",
            "io.confluent.kafka.connect.datagen.DatagenConnector",
            json!({
                "name": "datagen-pageviews", "kafka.topic": "pageviews", "quickstart": "pageviews",
                "key.converter": "org.apache.kafka.connect.storage.StringConverter",
                "value.converter": "org.apache.kafka.connect.json.JsonConverter",
                "value.converter.schemas.enable": "false", "max.interval": 100, "iterations": 10_000_000, "tasks.max": "1",
            }),
        ),
        (
            "Confluent, HTTP sink, simple quick start",
            "io.confluent.connect.http.HttpSinkConnector",
            json!({
                "name": "HttpSink", "topics": "http-messages", "tasks.max": "1", "http.api.url": "http://localhost:8080/api/messages",
                "value.converter": "org.apache.kafka.connect.storage.StringConverter",
                "confluent.topic.bootstrap.servers": "localhost:9092", "confluent.topic.replication.factor": "1",
                "reporter.bootstrap.servers": "localhost:9092",
                "reporter.result.topic.name": "success-responses", "reporter.result.topic.replication.factor": "1",
                "reporter.error.topic.name": "error-responses", "reporter.error.topic.replication.factor": "1",
            }),
        ),
    ]
}

/// What is wrong with a configuration.
fn errors(hub: &Hub, class: &str, config: &Value) -> Vec<String> {
    let mut config = config.clone();
    config["connector.class"] = json!(class);
    let simple = class.rsplit('.').next().unwrap_or(class);
    let path = format!("/connector-plugins/{simple}/config/validate");
    let infos = call(hub, "PUT", &path, Some(&config)).ok();
    let configs = infos["configs"].as_array().expect("a list");
    let errors = configs
        .iter()
        .flat_map(|config| config["value"]["errors"].as_array().into_iter().flatten());
    errors.map(ToString::to_string).collect()
}

#[test]
fn what_is_documented_is_right_as_pasted() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let hub = Hub::start(directory.path(), "broker,connect", &[]);
    for (place, class, config) in of_kafka().into_iter().chain(of_confluent()) {
        let simple = class.rsplit('.').next().expect("a name");
        let short = simple.strip_suffix("Connector").expect("a connector");
        for name in [class, simple, short] {
            let found = errors(&hub, name, &config);
            assert!(found.is_empty(), "{place}, {name}: {found:#?}");
        }
    }
    // The test can fail.
    let (_, class, mut wrong) = of_kafka().remove(0);
    wrong["tasks.max"] = json!("many");
    assert!(!errors(&hub, class, &wrong).is_empty());
}

#[test]
fn a_key_that_nobody_knows_is_told_with_the_one_that_was_meant() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let hub = Hub::start(directory.path(), "broker,connect", &[]);
    let (_, class, mut config) = of_kafka().remove(0);
    config["connector.class"] = json!(class);
    config["batch.siez"] = json!("10");
    let recommended = |config: &Value, class: &str, key: &str| {
        let path = format!("/connector-plugins/{class}/config/validate");
        let infos = call(&hub, "PUT", &path, Some(config)).ok();
        assert_eq!(infos["error_count"], 0);
        let mut configs = infos["configs"].as_array().expect("a list").iter();
        let told = configs.find(|it| it["value"]["name"] == key).expect("it is told");
        assert_eq!(told["definition"], Value::Null);
        told["value"]["recommended_values"].clone()
    };
    assert_eq!(
        recommended(&config, "FileStreamSource", "batch.siez"),
        json!(["batch.size"])
    );
    // Keys of Confluent's V2 connectors: what to use instead.
    let v2 = json!({
        "connector.class": "HttpSource",
        "name": "v2",
        "url": "http://localhost/",
        "topic": "t",
        "entity.names": "a,b",
        "api1.http.offset.mode": "CHAINING",
    });
    assert_eq!(
        recommended(&v2, "HttpSource", "api1.http.offset.mode"),
        json!(["use http.offset.mode"])
    );
    let entities = recommended(&v2, "HttpSource", "entity.names");
    assert!(
        entities[0]
            .as_str()
            .is_some_and(|it| it.contains("make one for each")),
        "{entities}"
    );
}
