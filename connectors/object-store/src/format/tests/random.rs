//! Random versions of a random schema, with random values: what is read back is what was written, however rows were encoded on the
//! way.

use arrow_array::{
    ArrayRef,
    types::{Float32Type, Int8Type, Int16Type, Int32Type},
};
use forebay_connect_api::{SchemaBuilder, schema::Type};
use proptest::prelude::*;

use super::{files::write_all, *};
use crate::format::schemas::{conform, unify};

/// More than is encoded together.
const ROWS_BYTES: usize = 300_000;

/// Numbers by chance.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        const STEP: u64 = 6_364_136_223_846_793_005;
        self.0 = self.0.wrapping_mul(STEP).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).expect("small")]
    }
}

fn optional(chance: &mut Chance, builder: SchemaBuilder) -> Arc<Schema> {
    builder.with_optional(chance.one_in(2)).build().expect("sound")
}

const PRIMITIVES: [Type; 9] = [
    Type::Int8,
    Type::Int16,
    Type::Int32,
    Type::Int64,
    Type::Float32,
    Type::Float64,
    Type::Boolean,
    Type::String,
    Type::Bytes,
];

fn schema(chance: &mut Chance, depth: usize) -> Arc<Schema> {
    let kind = if depth == 0 {
        chance.below(5)
    } else {
        chance.below(10)
    };
    let builder = match kind {
        0..3 => {
            let of = chance.one_of(&PRIMITIVES);
            Schema::primitive(of, false).expect("primitive").to_builder()
        }
        3 => schema::decimal(2),
        4 => match chance.one_in(2) {
            true => schema::date(),
            false => schema::timestamp(),
        },
        5 | 6 => Schema::array(schema(chance, depth - 1)),
        7 => {
            let values = schema(chance, depth - 1);
            Schema::map(Schema::string_schema(), values)
        }
        _ => {
            let mut builder = Schema::structure();
            for field in 0..=chance.below(3) {
                builder = builder.field(format!("f{field}"), schema(chance, depth - 1));
            }
            builder
        }
    };
    optional(chance, builder)
}

fn root(chance: &mut Chance) -> Arc<Schema> {
    let mut builder = Schema::structure().field("filler", Schema::string_schema());
    for field in 0..=chance.below(3) {
        builder = builder.field(format!("f{field}"), schema(chance, 3));
    }
    builder.build().expect("sound")
}

/// Another version.
fn other(chance: &mut Chance, of: &Arc<Schema>, is_root: bool) -> Arc<Schema> {
    if of.logical().is_some() {
        return optional(chance, of.to_builder());
    }
    let builder = match of.schema_type() {
        Type::Struct => {
            let mut builder = Schema::structure();
            let mut left = of.fields().len();
            for field in of.fields() {
                if &*field.name != "filler" && left > 1 && chance.one_in(4) {
                    left -= 1;
                    continue;
                }
                builder = builder.field(
                    Arc::clone(&field.name),
                    match &*field.name {
                        "filler" => Arc::clone(&field.schema),
                        _ => other(chance, &field.schema, false),
                    },
                );
            }
            if chance.one_in(2) {
                let name = format!("n{}", chance.below(u64::MAX));
                builder = builder.field(name, schema(chance, 1));
            }
            if is_root {
                return builder.build().expect("sound");
            }
            builder
        }
        Type::Array => Schema::array(other(chance, of.value_schema().expect("one"), false)),
        Type::Map => Schema::map(
            Schema::string_schema(),
            other(chance, of.value_schema().expect("one"), false),
        ),
        kind => {
            let number = PRIMITIVES[..6].iter().position(|known| *known == kind);
            let of = match number {
                Some(_) => chance.one_of(&PRIMITIVES[..6]),
                None => kind,
            };
            Schema::primitive(of, false).expect("primitive").to_builder()
        }
    };
    optional(chance, builder)
}

fn value(chance: &mut Chance, of: &Arc<Schema>) -> Value {
    if of.is_optional() && chance.one_in(3) {
        return Value::Null;
    }
    let number = i64::try_from(chance.below(200)).expect("small") - 100;
    if let Some(logical) = of.logical() {
        return match logical {
            schema::Logical::Decimal { .. } => Value::Bytes(Bytes::copy_from_slice(&number.to_be_bytes())),
            schema::Logical::Timestamp => Value::Int64(number),
            _ => Value::Int32(i32::try_from(number).expect("small")),
        };
    }
    match of.schema_type() {
        Type::Int8 => Value::Int8(i8::try_from(number).expect("small")),
        Type::Int16 => Value::Int16(i16::try_from(number).expect("small")),
        Type::Int32 => Value::Int32(i32::try_from(number).expect("small")),
        Type::Int64 => Value::Int64(number),
        Type::Float32 => Value::Float32(f32::from(i8::try_from(number).expect("small")) / 4.0),
        Type::Float64 => Value::Float64(f64::from(i8::try_from(number).expect("small")) / 4.0),
        Type::Boolean => Value::Boolean(chance.one_in(2)),
        Type::String => "x"
            .repeat(usize::try_from(chance.below(5)).expect("small"))
            .into(),
        Type::Bytes => Value::Bytes(Bytes::from(vec![
            7;
            usize::try_from(chance.below(5)).expect("small")
        ])),
        Type::Array => {
            let inner = of.value_schema().expect("one");
            Value::Array((0..chance.below(4)).map(|_| value(chance, inner)).collect())
        }
        Type::Map => {
            let inner = of.value_schema().expect("one");
            Value::Map(
                (0..chance.below(4))
                    .map(|key| (format!("k{key}").into(), value(chance, inner)))
                    .collect(),
            )
        }
        Type::Struct => {
            let values = of
                .fields()
                .iter()
                .map(|field| value(chance, &field.schema))
                .collect();
            Value::Struct(Struct::from_values(Arc::clone(of), values).expect("a value each"))
        }
    }
}

fn read(column: &ArrayRef, at: usize, of: &Arc<Schema>) -> Value {
    if column.is_null(at) {
        return Value::Null;
    }
    if let Some(logical) = of.logical() {
        return match logical {
            schema::Logical::Decimal { .. } => {
                Value::Int64(i64::try_from(column.as_primitive::<Decimal128Type>().value(at)).expect("small"))
            }
            schema::Logical::Timestamp => {
                Value::Int64(column.as_primitive::<TimestampMillisecondType>().value(at))
            }
            _ => Value::Int32(column.as_primitive::<Date32Type>().value(at)),
        };
    }
    match of.schema_type() {
        Type::Int8 => Value::Int8(column.as_primitive::<Int8Type>().value(at)),
        Type::Int16 => Value::Int16(column.as_primitive::<Int16Type>().value(at)),
        Type::Int32 => Value::Int32(column.as_primitive::<Int32Type>().value(at)),
        Type::Int64 => Value::Int64(column.as_primitive::<Int64Type>().value(at)),
        Type::Float32 => Value::Float32(column.as_primitive::<Float32Type>().value(at)),
        Type::Float64 => Value::Float64(column.as_primitive::<Float64Type>().value(at)),
        Type::Boolean => Value::Boolean(column.as_boolean().value(at)),
        Type::String => column.as_string::<i32>().value(at).into(),
        Type::Bytes => Value::Bytes(Bytes::copy_from_slice(column.as_binary::<i32>().value(at))),
        Type::Array => {
            let items = column.as_list::<i32>().value(at);
            let inner = of.value_schema().expect("one");
            Value::Array((0..items.len()).map(|at| read(&items, at, inner)).collect())
        }
        Type::Map => {
            let pairs = column.as_map().value(at);
            let inner = of.value_schema().expect("one");
            let entry = |at| {
                (
                    pairs.column(0).as_string::<i32>().value(at).into(),
                    read(pairs.column(1), at, inner),
                )
            };
            Value::Map((0..pairs.len()).map(entry).collect())
        }
        Type::Struct => {
            let structs = column.as_struct();
            let values = of.fields().iter().map(|field| {
                let column = structs.column_by_name(&field.name).expect("a column");
                read(column, at, &field.schema)
            });
            // Decimals are numbers here.
            Value::Array(values.collect())
        }
    }
}

/// As `read` has it.
fn plain(value: &Value, of: &Arc<Schema>) -> Value {
    match (value, of.logical()) {
        (Value::Null, _) => Value::Null,
        (Value::Bytes(bytes), Some(schema::Logical::Decimal { scale })) => {
            let decimal = Decimal {
                unscaled: bytes,
                scale,
            };
            Value::Int64(i64::try_from(decimal.to_i128().expect("small")).expect("small"))
        }
        (Value::Array(items), _) => {
            let inner = of.value_schema().expect("one");
            Value::Array(items.iter().map(|item| plain(item, inner)).collect())
        }
        (Value::Map(entries), _) => {
            let inner = of.value_schema().expect("one");
            let entry = |(key, value): &(Value, Value)| (key.clone(), plain(value, inner));
            Value::Map(entries.iter().map(entry).collect())
        }
        (Value::Struct(row), _) => {
            let values = of.fields().iter().zip(row.values());
            Value::Array(values.map(|(field, value)| plain(value, &field.schema)).collect())
        }
        (value, _) => value.clone(),
    }
}

/// Records of four versions, of which some are so long that they are encoded at once.
fn records(chance: &mut Chance) -> Vec<SchemaAndValue> {
    let mut versions = vec![root(chance)];
    for _ in 0..3 {
        let version = other(chance, &versions[0], true);
        versions.push(version);
    }
    let record = |index: usize| {
        let version = &versions[(index / 5 + usize::from(chance.one_in(5))) % versions.len()];
        let mut values: Vec<Value> = version
            .fields()
            .iter()
            .map(|field| value(chance, &field.schema))
            .collect();
        let filler = if chance.one_in(4) { ROWS_BYTES } else { 1 };
        values[0] = "y".repeat(filler).into();
        row(version, values)
    };
    (0..20).map(record).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn what_is_read_back_is_what_was_written(seed in any::<u64>()) {
        let records = records(&mut Chance(seed | 1));
        let mut file = parquet();
        write_all(&mut *file, &records);
        let mut union = records[0].schema.clone().expect("it has one");
        for record in &records {
            union = unify(&union, record.schema.as_ref().expect("it has one")).expect("versions of one");
        }
        let content = file.finish().unwrap_or_else(|error| panic!("{}", error.trace()));
        let reader = ParquetRecordBatchReaderBuilder::try_new(content).expect("Parquet");
        let mut batches = reader.with_batch_size(1000).build().expect("a reader");
        let batch = batches.next().expect("rows").expect("rows");
        prop_assert_eq!(batch.num_rows(), records.len());
        for (at, record) in records.iter().enumerate() {
            let expected = conform(&union, &record.value).expect("it fits");
            let got = union.fields().iter().map(|field| {
                let column = batch.column_by_name(&field.name).expect("a column");
                read(column, at, &field.schema)
            });
            prop_assert_eq!(Value::Array(got.collect()), plain(&expected, &union), "row {}", at);
        }
    }
}
