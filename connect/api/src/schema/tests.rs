use super::*;
use crate::{Struct, value};

#[test]
fn a_builder_refuses_what_does_not_fit() {
    let string = Schema::string_schema;
    let cases = [
        (
            Schema::structure()
                .field("a", string())
                .field("a", string())
                .build(),
            "Cannot create field because of field name duplication a",
        ),
        (
            Schema::structure().field("", string()).build(),
            "fieldName cannot be null.",
        ),
        (
            Schema::int8().field("a", string()).build(),
            "Cannot create fields on type INT8",
        ),
        (
            Schema::int32().default_value(Value::Int64(1)).build(),
            "Invalid default value: a value of type INT64 used where the schema wants INT32",
        ),
    ];
    for (built, message) in cases {
        assert_eq!(built.expect_err(message).to_string(), message);
    }
}

#[test]
fn a_value_is_checked_all_the_way_down() {
    let address = Schema::structure()
        .field("zip", Schema::string_schema())
        .build()
        .expect("fits");
    let items = Schema::primitive(Type::Int32, true).expect("primitive");
    let person = Schema::structure()
        .name("person")
        .field("home", Arc::clone(&address))
        .field("scores", Schema::array(items).build().expect("fits"))
        .field(
            "age",
            Schema::int32().default_value(7.into()).build().expect("fits"),
        )
        .build()
        .expect("fits");
    let home = Struct::new(Arc::clone(&address))
        .expect("a struct")
        .with("zip", "1")
        .expect("fits");
    let filled = Struct::new(Arc::clone(&person))
        .expect("a struct")
        .with("home", home.clone())
        .expect("fits");
    let filled = filled.with("scores", vec![1.into(), Value::Null]).expect("fits");
    filled.validate().expect("a default stands for the age");
    assert_eq!(filled.get("age"), Some(&Value::Int32(7)));
    assert_eq!(filled.get_without_default("age"), Some(&Value::Null));
    assert_eq!(filled.get("name"), None);

    let cases: [(Result<Struct, value::Error>, &str); 4] = [
        (
            filled.clone().with("age", "x"),
            "age: a value of type STRING used where the schema wants INT32",
        ),
        (
            filled.clone().with("nobody", 1),
            "nobody is not a valid field name",
        ),
        (
            filled
                .clone()
                .with("scores", vec![Value::Int32(1), Value::Int64(2)]),
            "scores: [1]: a value of type INT64 used where the schema wants INT32",
        ),
        (
            filled.clone().with("home", filled),
            "home: Struct schemas do not match.",
        ),
    ];
    for (result, message) in cases {
        assert_eq!(result.expect_err(message).to_string(), message);
    }
    let half = Struct::new(person).expect("a struct");
    assert_eq!(
        half.validate().expect_err("no home").to_string(),
        "home: null used for a required value of type STRUCT"
    );
}

#[test]
fn text_is_javas() {
    let schema = Schema::structure()
        .field("price", decimal(2).build().expect("fits"))
        .field("day", date().optional().build().expect("fits"))
        .field("gone", Schema::optional_string_schema())
        .build()
        .expect("fits");
    let record = Struct::new(schema)
        .expect("a struct")
        .with("price", Decimal::encode(-1_234))
        .expect("fits");
    let record = record.with("day", 59).expect("fits");
    assert_eq!(
        record.to_string(),
        "Struct{price=-12.34,day=Sun Mar 01 00:00:00 UTC 1970}"
    );

    let map = Value::Map(vec![
        ("a".into(), vec![1.into(), Value::Null].into()),
        ("b".into(), 0.5.into()),
    ]);
    assert_eq!(map.to_string(), "{a=[1, null], b=0.5}");
    let floats = [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (123_456.75, "123456.75"),
        (9_999_999.0, "9999999.0"),
        (1e7, "1.0E7"),
        (1.25e10, "1.25E10"),
        (0.001, "0.001"),
        (0.000_12, "1.2E-4"),
        (f64::MAX, "1.7976931348623157E308"),
        (f64::NEG_INFINITY, "-Infinity"),
    ];
    for (number, text) in floats {
        assert_eq!(Value::Float64(number).to_string(), text);
    }
    assert_eq!(Value::Float32(0.1).to_string(), "0.1");
}

#[test]
fn decimals_of_any_length() {
    let cases: [(&[u8], i32, &str); 9] = [
        (&[], 0, "0"),
        (&[0], 2, "0.00"),
        (&[0x80], 0, "-128"),
        (&[0x00, 0x80], 1, "12.8"),
        (&[5], 6, "0.000005"),
        (&[5], 7, "5E-7"),
        (&[12], -3, "1.2E+4"),
        (
            &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            3,
            "9223372036854775.807",
        ),
        // 2^136 and -2^136 - 1.
        (
            &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            0,
            "87112285931760246646623899502532662132736",
        ),
    ];
    for (unscaled, scale, text) in cases {
        assert_eq!(Decimal { unscaled, scale }.to_string(), text, "{unscaled:?}");
    }
    let below = [
        0xfe, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    ];
    let below = Decimal {
        unscaled: &below,
        scale: 0,
    };
    assert_eq!(below.to_string(), "-87112285931760246646623899502532662132737");
    for number in [0, 1, -1, 127, 128, -128, -129, i128::MAX, i128::MIN] {
        let unscaled = Decimal::encode(number);
        assert_eq!(
            Decimal {
                unscaled: &unscaled,
                scale: 0
            }
            .to_i128(),
            Some(number)
        );
    }
    assert_eq!(Decimal::encode(128).as_ref(), [0, 128]);
}

/// With more digits behind the point than a formatted width may have, and too many for the square of their number.
#[test]
fn decimals_as_large_as_a_record() {
    let unscaled = [[0x81].as_slice(), &[0; 30_000]].concat();
    let shown = |scale| {
        let unscaled = &unscaled;
        Decimal { unscaled, scale }.to_string()
    };
    let whole = shown(0);
    let digits = whole.strip_prefix('-').expect("negative");
    assert_eq!(digits.len(), 72_250);
    assert_eq!(shown(70_000), format!("-{}.{}", &digits[..2250], &digits[2250..]));
    assert_eq!(shown(72_252), format!("-0.00{digits}"));
    assert_eq!(
        shown(-70_000),
        format!("-{}.{}E+142249", &digits[..1], &digits[1..])
    );
}
