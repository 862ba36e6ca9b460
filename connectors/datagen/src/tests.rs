use std::{collections::BTreeSet, time::Duration};

use forebay_connect_api::{
    OffsetMap, Progress, SourceRecord, Value,
    conformance::{SourceContext, SourceSubject, check_source},
};
use proptest::prelude::*;

use super::*;

fn properties(more: &[(&str, &str)]) -> Properties {
    [("kafka.topic", "t")]
        .iter()
        .chain(more)
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

async fn start(properties: &Properties, offset: Option<OffsetMap>) -> Result<Box<dyn SourceTask>, Error> {
    start_in(context(offset), properties).await
}

fn context(offset: Option<OffsetMap>) -> Arc<SourceContext> {
    Arc::new(SourceContext::new(Access::none()).with_offset(offset))
}

async fn start_in(
    context: Arc<SourceContext>,
    properties: &Properties,
) -> Result<Box<dyn SourceTask>, Error> {
    let mut task = DatagenConnector::default().task();
    task.start(context, properties).await?;
    Ok(task)
}

/// At least so many records.
async fn records(properties: &Properties, offset: Option<OffsetMap>, count: usize) -> Vec<SourceRecord> {
    let mut task = start(properties, offset).await.expect("started");
    let mut found = Vec::new();
    while found.len() < count {
        found.extend(task.poll().await.expect("records"));
    }
    found
}

const FAST: &[(&str, &str)] = &[("max.interval", "0"), ("random.seed", "5")];

fn fast(more: &[(&str, &str)]) -> Properties {
    properties(&[FAST, more].concat())
}

#[tokio::test(start_paused = true)]
async fn every_quickstart_makes_values_of_its_schema_with_its_key() {
    for name in quickstart::names() {
        let found = records(&fast(&[("quickstart", name)]), None, 300).await;
        let key_field = quickstart::find(name).expect(name).key_field;
        for record in &found {
            record.value.validate().expect(name);
            record.key.validate().expect(name);
            let Value::Struct(value) = &record.value.value else {
                panic!("{name} makes a STRUCT")
            };
            assert_eq!(value.get(key_field), Some(&record.key.value), "{name}");
        }
        let distinct: BTreeSet<String> = found
            .iter()
            .map(|record| record.value.value.to_string())
            .collect();
        assert!(distinct.len() > 250, "{name}: {}", distinct.len());
    }
}

#[tokio::test]
async fn orders_look_as_users_know_them() {
    let found = records(&fast(&[("quickstart", "ORDERS")]), None, 2).await;
    let schema = found[0].value.schema.as_ref().expect("a schema");
    let fields = |schema: &forebay_connect_api::Schema| -> String {
        let fields = schema.fields().iter();
        let named = fields.map(|field| format!("{} {}", field.name, field.schema.schema_type()));
        named.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(schema.name(), Some("ksql.orders"));
    assert_eq!(
        fields(schema),
        "ordertime INT64, orderid INT32, itemid STRING, orderunits FLOAT64, address STRUCT"
    );
    assert_eq!(
        fields(&schema.field("address").expect("known").schema),
        "city STRING, state STRING, zipcode INT64"
    );
    let order = |index: usize| match &found[index].value.value {
        Value::Struct(order) => order.get("orderid").and_then(Value::as_i64),
        _ => None,
    };
    assert_eq!((order(0), order(1)), (Some(0), Some(1)));
    let headers: Vec<String> = found[1]
        .headers
        .iter()
        .map(|header| format!("{}={}", header.key, header.value.value))
        .collect();
    assert_eq!(headers, ["task.generation=0", "task.id=0", "current.iteration=1"]);
    assert_eq!(found[1].source_partition.to_string(), r#"{"task.id":0}"#);
    assert_eq!(
        found[1].source_offset.as_ref().expect("an offset").to_string(),
        r#"{"current.iteration":2,"random.seed":5,"task.generation":1}"#
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// From any offset on, the same records come as without a stop; other seeds and tasks make others.
    #[test]
    fn a_task_goes_on_as_if_it_had_not_stopped(seed in any::<i64>(), place in 0_usize..500, task in 0_u32..4) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let (text, number) = (seed.to_string(), task.to_string());
            let own = properties(&[
                ("quickstart", "users"), ("max.interval", "0"), ("random.seed", &text), (TASK_ID, &number), (TASK_COUNT, "4"),
            ]);
            let whole = records(&own, None, 1000).await;
            let offset = whole[place].source_offset.clone();
            let rest = records(&own, offset, 100).await;
            for (one, other) in whole[place + 1..].iter().zip(&rest) {
                prop_assert_eq!(&one.value, &other.value);
                prop_assert_eq!(&one.source_offset.as_ref().map(|o| o.get_int64(CURRENT_ITERATION)),
                    &other.source_offset.as_ref().map(|o| o.get_int64(CURRENT_ITERATION)));
            }
            let other_task = records(&fast(&[("quickstart", "users"), ("random.seed", &text), (TASK_ID, "9")]), None, 1).await;
            prop_assert_ne!(&whole[0].value, &other_task[0].value);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn without_a_seed_the_offset_has_the_one_that_was_drawn() {
    let own = properties(&[("quickstart", "users"), ("max.interval", "0")]);
    let whole = records(&own, None, 50).await;
    let rest = records(&own, whole[9].source_offset.clone(), 40).await;
    assert_eq!(whole[10].value, rest[0].value);
    let other = records(&own, None, 50).await;
    assert_ne!(whole[0].value, other[0].value);
}

#[tokio::test(start_paused = true)]
async fn the_pace_is_kept_and_lateness_does_not_end_in_a_burst() {
    type Case = (
        &'static [(&'static str, &'static str)],
        u32,
        std::ops::RangeInclusive<u32>,
    );
    let cases: [Case; 3] = [
        (&[("rate", "50")], 100, 49..=51),
        (&[("rate", "50"), (TASK_COUNT, "5")], 20, 9..=11),
        // 20 ms at most, so 9.5 on average.
        (&[("max.interval", "20")], 100, 80..=130),
    ];
    for (pace, count, per_second) in cases {
        let own = properties(&[&[("quickstart", "users"), ("random.seed", "1")], pace].concat());
        let mut task = start(&own, None).await.expect("started");
        let begun = tokio::time::Instant::now();
        let mut made = 0;
        while made < count {
            made += u32::try_from(task.poll().await.expect("records").len()).expect("few");
        }
        let rate = f64::from(made - 1) / begun.elapsed().as_secs_f64();
        let bounds = f64::from(*per_second.start())..=f64::from(*per_second.end());
        assert!(bounds.contains(&rate), "{pace:?}: {rate} per second");
        // Nobody polls for an hour.
        tokio::time::advance(Duration::from_secs(3600)).await;
        let late = task.poll().await.expect("records").len();
        assert!(late <= 2, "{pace:?}: {late} at once");
    }
}

#[tokio::test(start_paused = true)]
async fn the_contract_holds_and_the_end_is_kept() {
    let (mut kills_in_flight, mut polls_cut_off) = (0, 0);
    for (seed, bound) in (0..8).zip([("iterations", "2500"), ("count", "7500")].into_iter().cycle()) {
        let own = fast(&[("quickstart", "orders"), bound, (TASK_ID, "1"), (TASK_COUNT, "3")]);
        let expected: Vec<String> = records(&own, None, 2500)
            .await
            .iter()
            .map(|record| record.value.value.to_string())
            .collect();
        assert_eq!(expected.len(), 2500, "no more than asked for");
        let connector = DatagenConnector::default();
        let subject = SourceSubject {
            task: &|| connector.task(),
            properties: own,
            expected,
            disturb: &|_| {},
        };
        let report = check_source(&subject, seed).await.expect("it keeps the contract");
        kills_in_flight += report.kills_in_flight;
        polls_cut_off += report.polls_cut_off;
    }
    assert!(kills_in_flight > 0, "{kills_in_flight} {polls_cut_off}");
}

#[tokio::test]
async fn schemas_of_ones_own() {
    let schema = r#"{"type":"record","name":"r","namespace":"n","fields":[
        {"name":"id","type":{"type":"long","arg.properties":{"iteration":{"start":10,"step":5,"restart":20}}}},
        {"name":"on","type":{"type":"boolean","arg.properties":{"odds":0.0}}},
        {"name":"kind","type":{"type":"enum","name":"k","symbols":["A","B"]}},
        {"name":"again","type":"k"},
        {"name":"tags","type":{"type":"array","items":"string","arg.properties":{"length":{"min":1,"max":3}}}},
        {"name":"map","type":{"type":"map","values":"int","arg.properties":{"keys":{"regex":"k[0-9]"}}}},
        {"name":"maybe","type":["null",{"type":"string","arg.properties":{"length":3}}]},
        {"name":"when","type":{"type":"long","logicalType":"timestamp-millis","arg.properties":{"range":{"min":1,"max":2}}}},
        {"name":"raw","type":{"type":"bytes","arg.properties":{"length":4}}}]}"#;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("schema.avsc");
    std::fs::write(&path, schema).expect("written");
    let own = fast(&[("schema.string", schema), ("schema.keyfield", "id")]);
    let found = records(&own, None, 100).await;
    let mut nulls = 0;
    for (record, id) in found.iter().zip([10_i64, 15].into_iter().cycle()) {
        record.value.validate().expect("as its schema says");
        assert_eq!(record.key.value, Value::from(id));
        let Value::Struct(value) = &record.value.value else {
            panic!("a STRUCT")
        };
        nulls += u32::from(value.get("maybe").expect("known").is_null());
    }
    assert!((1..found.len() as u32).contains(&nulls), "{nulls}");

    let file = fast(&[("schema.filename", path.to_str().expect("UTF-8"))]);
    let error = start(&file, None).await.err().expect("the worker allows no file");
    assert!(error.to_string().contains("does not allow"), "{error}");
    let config = config::Config::parse(&file).expect("it is valid");
    let allowed = Access::unrestricted().with_paths([directory.path().to_path_buf()]);
    config.load(&allowed).await.expect("it is read");
}

#[test]
fn what_is_wrong_is_said_of_the_key() {
    let record =
        |of: &str| format!(r#"{{"type":"record","name":"r","fields":[{{"name":"f","type":{of}}}]}}"#);
    let deep = format!(
        "{}\"int\"{}",
        r#"{"type":"array","items":"#.repeat(40),
        "}".repeat(40)
    );
    type Keys<'a> = &'a [(&'a str, &'a str)];
    let cases: [(Keys<'_>, &str, &str); 11] = [
        (&[], "quickstart", "must say how records look"),
        (
            &[("quickstart", "users"), ("schema.string", "{}")],
            "quickstart",
            "only one of",
        ),
        (
            &[("quickstart", "clickstream")],
            "quickstart",
            "there is no such quickstart; there are inventory",
        ),
        (
            &[("quickstart", "users"), ("schema.keyfield", "x")],
            "schema.keyfield",
            "is no field",
        ),
        (&[("quickstart", "users"), ("rate", "-1")], "rate", "at least 0"),
        (&[("schema.string", "{")], "schema.string", "not JSON"),
        (
            &[("schema.string", "\"int\"")],
            "schema.string",
            "must be a record",
        ),
        (
            &[("schema.string", &record(r#"["int","string"]"#))],
            "schema.string",
            "r, field f: a union",
        ),
        (
            &[("schema.string", &record("\"r\""))],
            "schema.string",
            "there is no type r",
        ),
        (
            &[("schema.string", &record(&deep))],
            "schema.string",
            "more than 16 levels",
        ),
        (
            &[(
                "schema.string",
                &record(r#"{"type":"int","arg.properties":{"position":1}}"#),
            )],
            "schema.string",
            "has position, which is not known",
        ),
    ];
    let connector = DatagenConnector::default();
    for (keys, key, message) in cases {
        let values = connector.validate(&properties(keys));
        let errors: Vec<&String> = values
            .iter()
            .filter(|value| value.name == key)
            .flat_map(|value| &value.errors)
            .collect();
        assert!(
            errors.iter().any(|error| error.contains(message)),
            "{keys:?}: {errors:?}"
        );
    }
    let good = connector.validate(&properties(&[("quickstart", "users")]));
    assert!(good.iter().all(|value| value.errors.is_empty()), "{good:?}");
}

#[tokio::test]
async fn altered_offsets_are_judged_and_tasks_are_as_many_as_asked() {
    let partition = || OffsetMap::new().with(TASK_ID, 0);
    let connector = DatagenConnector::default();
    for (offsets, good) in [
        (
            vec![(partition(), Some(OffsetMap::new().with(CURRENT_ITERATION, 5)))],
            true,
        ),
        (vec![(OffsetMap::new(), None)], true),
        (
            vec![(partition(), Some(OffsetMap::new().with(CURRENT_ITERATION, -1)))],
            false,
        ),
        (
            vec![(
                OffsetMap::new(),
                Some(OffsetMap::new().with(CURRENT_ITERATION, 1)),
            )],
            false,
        ),
    ] {
        let judged = connector
            .alter_offsets(&Access::none(), &Properties::new(), &offsets)
            .await;
        assert_eq!(judged.is_ok(), good, "{offsets:?}");
    }
    let tasks = connector.task_configs(3).await.expect("tasks");
    let ids: Vec<&String> = tasks.iter().map(|task| &task[TASK_ID]).collect();
    assert_eq!(ids, ["0", "1", "2"]);
}

#[tokio::test]
async fn a_number_of_records_has_an_end_that_is_told() {
    let counted = fast(&[("iterations", "1500"), ("quickstart", "users")]);
    let fresh = context(None);
    let mut task = start_in(Arc::clone(&fresh), &counted).await.expect("started");
    task.poll().await.expect("records");
    assert_eq!(fresh.progress(), Some(Progress::records(1000, 1500)));
    let last = task.poll().await.expect("records").pop().expect("one");
    assert_eq!(fresh.progress(), Some(Progress::records(1500, 1500)));

    let again = context(last.source_offset);
    let mut task = start_in(Arc::clone(&again), &counted).await.expect("started");
    let poll = tokio::time::timeout(Duration::from_millis(1), task.poll());
    assert!(poll.await.is_err(), "it has made all");
    assert_eq!(again.progress(), Some(Progress::records(1500, 1500)));

    let endless = context(None);
    let mut task = start_in(Arc::clone(&endless), &fast(&[("quickstart", "users")]))
        .await
        .expect("started");
    task.poll().await.expect("records");
    assert_eq!(endless.progress(), None);
}
