//! What Confluent's partitioners would encode.

use forebay_connect_api::{Schema, SchemaAndValue, SchemaBuilder, Struct, Value, schema};

use super::*;
use crate::format::Reading;

/// 2024-03-31T00:59:59.999Z: a millisecond before Paris goes over to summer time.
const BEFORE_SUMMER: i64 = 1_711_846_799_999;
const HOUR_MS: i64 = 3_600_000;

fn encode(partitioner: &Partitioner, timestamp: i64, value: Value, now: i64) -> Result<Place, Error> {
    let value = SchemaAndValue::schemaless(value);
    let seen = Seen {
        timestamp: Timestamp(timestamp),
        cell: Cell::Converted(&value),
        now: Timestamp(now),
    };
    partitioner.place(&TopicPartition::new("t", 7), seen, &mut Recent::default())
}

fn time(extractor: Extractor, duration_ms: i64, format: &str, zone: &str) -> Partitioner {
    Partitioner::Time(Time {
        extractor,
        duration_ms,
        format: PathFormat::parse(format).expect("sound"),
        zone: Zone::parse(zone).expect("known"),
    })
}

fn encoded(partitioner: &Partitioner, timestamp: i64) -> String {
    let place = encode(partitioner, timestamp, Value::Null, 0).expect("it has a time");
    place.encoded.to_string()
}

#[test]
fn times_are_rounded_down_where_the_zone_is() {
    let hourly = "'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH";
    let daily = "'year'=YYYY/'month'=MM/'day'=dd";
    let at = BEFORE_SUMMER;
    let cases = [
        (HOUR_MS, hourly, "UTC", at, "year=2024/month=03/day=31/hour=00"),
        (
            HOUR_MS,
            hourly,
            "Europe/Paris",
            at,
            "year=2024/month=03/day=31/hour=01",
        ),
        (
            HOUR_MS,
            hourly,
            "Europe/Paris",
            at + 1,
            "year=2024/month=03/day=31/hour=03",
        ),
        (
            HOUR_MS,
            hourly,
            "America/Los_Angeles",
            at,
            "year=2024/month=03/day=30/hour=17",
        ),
        (
            24 * HOUR_MS,
            daily,
            "America/Los_Angeles",
            at,
            "year=2024/month=03/day=30",
        ),
        (24 * HOUR_MS, daily, "+09:00", at, "year=2024/month=03/day=31"),
        (10 * 60_000, "HH-mm", "UTC", at, "00-50"),
        (1, "mm-ss.SSS", "UTC", at, "59-59.999"),
        // As Java divides: towards 1970.
        (HOUR_MS, "YYYY-MM-dd-HH", "UTC", -2, "1970-01-01-00"),
        (HOUR_MS, "YYYY-MM-dd-HH", "UTC", -HOUR_MS, "1969-12-31-23"),
    ];
    for (duration_ms, format, zone, timestamp, expected) in cases {
        let partitioner = time(Extractor::Record, duration_ms, format, zone);
        assert_eq!(
            encoded(&partitioner, timestamp),
            expected,
            "{format} {zone} {timestamp}"
        );
    }
    let error = encode(
        &time(Extractor::Record, HOUR_MS, hourly, "UTC"),
        i64::MAX,
        Value::Null,
        0,
    );
    assert!(
        error
            .expect_err("far away")
            .to_string()
            .contains("beyond all calendars")
    );
    let none = NO_TIMESTAMP.value();
    let error = encode(
        &time(Extractor::Record, HOUR_MS, hourly, "UTC"),
        none,
        Value::Null,
        0,
    );
    assert!(
        error
            .expect_err("it has none")
            .to_string()
            .contains("no timestamp")
    );
}

#[test]
fn what_was_encoded_last_is_not_taken_for_another_time() {
    let partitioner = time(Extractor::Record, HOUR_MS, "YYYY-MM-dd-HH ZZ", "Europe/Paris");
    let mut recent = Recent::default();
    let reading = Reading {
        format: &forebay_connect_api::ValueFormat::Bytes,
        topic: "t",
        unreadable: &[],
    };
    for quarter in -100..100 {
        let timestamp = Timestamp(BEFORE_SUMMER + quarter * HOUR_MS / 4);
        let seen = Seen {
            timestamp,
            cell: Cell::Raw(&reading, None),
            now: Timestamp(0),
        };
        let of = TopicPartition::new("t", 7);
        let place = partitioner.place(&of, seen, &mut recent).expect("it has a time");
        assert_eq!(*place.encoded, *encoded(&partitioner, timestamp.value()));
    }
}

#[test]
fn extractors_find_the_time() {
    let object = |value: Value| Value::Map(vec![("at".into(), value), ("x.y".into(), 5i64.into())]);
    let nested = |value: Value| Value::Map(vec![("meta".into(), object(value))]);
    let field = |path: &str| Extractor::Field(FieldPath::new(path));
    let cases = [
        (Extractor::Wallclock, Value::Null, Ok(77)),
        (Extractor::Record, Value::Null, Ok(33)),
        (field("at"), object(Value::Int64(5)), Ok(5)),
        (field("at"), object(Value::Int32(6)), Ok(6)),
        (field("at"), object("1970-01-01T00:00:01Z".into()), Ok(1000)),
        (field("meta.at"), nested(Value::Int64(7)), Ok(7)),
        (field("x.y"), object(Value::Null), Ok(5)),
        (field("at"), object(Value::Null), Err("is no time")),
        (field("at"), object(Value::Float64(1.0)), Err("is no time")),
        (
            field("at"),
            object("soon".into()),
            Err("soon in its field is no time"),
        ),
        (field("gone"), object(Value::Int64(5)), Err("no field gone")),
        (field("at"), "text".into(), Err("no field at")),
    ];
    for (extractor, value, expected) in cases {
        let what = format!("{extractor:?} {value:?}");
        let place = encode(&time(extractor, 1, "YYYY", "UTC"), 33, value, 77);
        match (place, expected) {
            (Ok(place), Ok(expected)) => assert_eq!(place.time, Timestamp(expected), "{what}"),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{what}: {error}"),
            (place, _) => panic!("{what}: {place:?}"),
        }
    }
}

#[test]
fn fields_become_folders() {
    let schema = Schema::structure()
        .field("country", Schema::string_schema())
        .field("year", Schema::int32().build().expect("sound"))
        .field("new", Schema::boolean().build().expect("sound"))
        .field("price", Schema::float64().build().expect("sound"))
        .field("note", Schema::optional_string_schema())
        .build()
        .expect("sound");
    let value = |country: &str| {
        let value = Struct::new(Arc::clone(&schema)).expect("a struct");
        let value = value
            .with("country", country)
            .and_then(|value| value.with("year", 2024));
        let value = value
            .and_then(|value| value.with("new", true))
            .and_then(|value| value.with("price", 1.5));
        Value::Struct(value.expect("it fits"))
    };
    let partitioner = |names: &[&str], delimiter: &str| {
        Partitioner::Fields(Fields {
            paths: names.iter().map(|name| FieldPath::new(name)).collect(),
            delimiter: delimiter.to_owned(),
        })
    };
    let cases = [
        (partitioner(&["country"], "/"), "CH", Ok("country=CH")),
        (
            partitioner(&["country", "year", "new"], "/"),
            "CH",
            Ok("country=CH/year=2024/new=true"),
        ),
        (
            partitioner(&["country", "year"], "-"),
            "CH",
            Ok("country=CH-year=2024"),
        ),
        (partitioner(&["country"], "/"), "", Ok("country=")),
        (partitioner(&["country"], "/"), "../a\n", Ok("country=..%2Fa%0A")),
        (partitioner(&["country"], "/"), "Zürich 1", Ok("country=Zürich 1")),
        (partitioner(&["price"], "/"), "CH", Err("field price is Float64")),
        (partitioner(&["note"], "/"), "CH", Err("field note is null")),
        (partitioner(&["gone"], "/"), "CH", Err("no field gone")),
    ];
    for (partitioner, country, expected) in cases {
        match (encode(&partitioner, 0, value(country), 0), expected) {
            (Ok(place), Ok(expected)) => assert_eq!(&*place.encoded, expected),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
            (place, _) => panic!("{place:?} instead of {expected:?}"),
        }
    }
    let country = partitioner(&["country"], "/");
    let longest = BYTES_MAX - "country=".len();
    assert!(encode(&country, 0, value(&"x".repeat(longest)), 0).is_ok());
    assert!(encode(&country, 0, value(&"x".repeat(longest + 1)), 0).is_err());
}

#[test]
fn dates_are_days_and_times_of_day_are_no_times() {
    let day = 19_758;
    let time_of = |schema: Arc<Schema>, value: Value| {
        let map = Schema::map(Schema::string_schema(), Arc::clone(&schema));
        let map = map.build().expect("sound");
        let row = Schema::structure()
            .field("at", Arc::clone(&schema))
            .field("map", map)
            .build();
        let row = row.expect("sound");
        let values = vec![value.clone(), Value::Map(vec![("at".into(), value)])];
        let row = Struct::from_values(row, values).expect("two");
        let value = SchemaAndValue::new(Arc::clone(row.schema()), row);
        let places = ["at", "map.at"].map(|path| {
            let partitioner = time(Extractor::Field(FieldPath::new(path)), 1, "YYYY-MM-dd", "UTC");
            let seen = Seen {
                timestamp: Timestamp(0),
                cell: Cell::Converted(&value),
                now: Timestamp(0),
            };
            let place = partitioner.place(&TopicPartition::new("t", 0), seen, &mut Recent::default());
            place
                .map(|place| place.encoded.to_string())
                .map_err(|error| error.to_string())
        });
        assert_eq!(places[0], places[1]);
        places[0].clone()
    };
    let built = |builder: SchemaBuilder| builder.build().expect("sound");
    let milliseconds = i64::from(day) * 86_400_000 + 5;
    let expected = "2024-02-05".to_owned();
    assert_eq!(time_of(built(schema::date()), day.into()), Ok(expected.clone()));
    assert_eq!(
        time_of(built(schema::timestamp()), milliseconds.into()),
        Ok(expected.clone())
    );
    assert_eq!(time_of(built(Schema::int64()), milliseconds.into()), Ok(expected));
    let error = time_of(built(schema::time()), 5.into()).expect_err("on which day?");
    assert!(error.contains("time of day"), "{error}");
}
