//! Converted records as Arrow columns: a struct's fields, or the one column `value` for everything else.

mod column;

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Fields, SchemaRef, TimeUnit};
use forebay_connect_api::{
    Error, Schema, SchemaAndValue, Value,
    columnar::{Appended, VALUE_COLUMN, value_schema},
    schema::{Logical, Type},
    value::validate,
};

use self::column::Column;
use super::Refused;

/// The most digits of a 128-bit decimal.
const DECIMAL_PRECISION_MAX: u8 = 38;
/// How Confluent's converters pass a decimal's precision on.
const PRECISION_PARAMETER: &str = "connect.decimal.precision";
/// Kinds of values within each other.
const DEPTH_MAX: usize = 64;
/// Fields, items, keys and values of a schema, each of which is a column or holds columns: they cost memory in each open file.
const FIELDS_MAX: usize = 10_000;

const WAYS_OUT: &str = "Ways out: JSON lines (format.class=io.confluent.connect.s3.format.json.JsonFormat); JSON with schemas \
    (value.converter.schemas.enable=true, and records that carry {\"schema\":…,\"payload\":…}); or Avro \
    (value.converter=io.confluent.connect.avro.AvroConverter)";

/// Rows of one shape that are not encoded yet.
#[derive(Debug)]
pub(super) struct Rows {
    /// The Connect schema that was last found to have this shape.
    known: Option<Arc<Schema>>,
    shape: SchemaRef,
    /// Whether columns are the fields of a struct.
    is_struct: bool,
    columns: Vec<Column>,
    rows: usize,
    bytes: usize,
}

impl Rows {
    /// For values like this one.
    pub(super) fn new(value: &SchemaAndValue) -> Result<Self, Refused> {
        let (shape, is_struct) = shape(value)?;
        Ok(Self {
            known: value.schema.clone(),
            columns: shape
                .fields()
                .iter()
                .map(|field| Column::new(field.data_type()))
                .collect(),
            shape,
            is_struct,
            rows: 0,
            bytes: 0,
        })
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a row. What does not fit is found before anything is added, so that columns stay of one length.
    pub(super) fn append(&mut self, value: &SchemaAndValue) -> Result<Appended, Refused> {
        if !self.is_known(value) {
            let (shape, is_struct) = shape(value)?;
            if (&shape, is_struct) != (&self.shape, self.is_struct) {
                return Ok(Appended::OtherSchema);
            }
            self.known.clone_from(&value.schema);
        }
        if let Some(schema) = &value.schema {
            check(schema, &value.value)?;
        }
        let schema = value.schema.as_deref();
        match &value.value {
            Value::Struct(row) => {
                let values = row.schema().fields().iter().zip(row.values());
                for (column, (field, value)) in self.columns.iter_mut().zip(values) {
                    self.bytes += column.append(Some(&field.schema), value);
                }
            }
            Value::Null if self.is_struct => {
                let message =
                    "a struct that is null cannot be a row of Parquet; set behavior.on.null.values=ignore";
                return Err(Refused::Record(Error::fatal(message)));
            }
            value => self.bytes += self.columns[0].append(schema, value),
        }
        self.rows += 1;
        Ok(Appended::Row)
    }

    /// Gives the rows and begins anew.
    pub(super) fn finish(&mut self) -> Result<RecordBatch, Error> {
        (self.rows, self.bytes) = (0, 0);
        let columns: Vec<ArrayRef> = self
            .columns
            .iter_mut()
            .zip(self.shape.fields())
            .map(|(column, field)| column.finish(field.data_type()))
            .collect::<Result<_, _>>()?;
        RecordBatch::try_new(Arc::clone(&self.shape), columns)
            .map_err(|error| Error::fatal("cannot make columns of the records").with_source(error))
    }

    /// Whether the value certainly has this shape.
    fn is_known(&self, value: &SchemaAndValue) -> bool {
        match (&self.known, &value.schema) {
            (Some(known), Some(schema)) => Arc::ptr_eq(known, schema),
            (None, None) => match &value.value {
                Value::Null => true,
                Value::String(_) => self.shape.field(0).data_type() == &DataType::Utf8,
                Value::Bytes(_) => self.shape.field(0).data_type() == &DataType::Binary,
                _ => false,
            },
            _ => false,
        }
    }
}

/// The columns for values like this one, and whether they are a struct's fields.
fn shape(value: &SchemaAndValue) -> Result<(SchemaRef, bool), Refused> {
    if let Some(schema) = &value.schema {
        let mut left = FIELDS_MAX;
        check_size(schema, 0, &mut left).map_err(Refused::All)?;
    }
    let Some(schema) = &value.schema else {
        let data_type = match &value.value {
            Value::String(_) | Value::Null => DataType::Utf8,
            Value::Bytes(_) => DataType::Binary,
            other => {
                let what = match other {
                    Value::Map(_) => "an object",
                    Value::Array(_) => "an array",
                    _ => "a number or boolean",
                };
                return Err(Refused::All(Error::fatal(format!(
                    "the value is {what} without a schema, of which no Parquet columns can be made. {WAYS_OUT}"
                ))));
            }
        };
        return Ok((value_schema(&data_type), false));
    };
    if schema.schema_type() == Type::Struct {
        if schema.fields().is_empty() {
            let message =
                format!("the value's schema has no fields, and a Parquet file needs a column. {WAYS_OUT}");
            return Err(Refused::All(Error::fatal(message)));
        }
        let fields = fields(schema, 0).map_err(Refused::All)?;
        return Ok((Arc::new(arrow_schema::Schema::new(fields)), true));
    }
    // Nullable whatever the schema says: the value of a record may always be missing.
    let field = Field::new(VALUE_COLUMN, data_type(schema, 0).map_err(Refused::All)?, true);
    Ok((Arc::new(arrow_schema::Schema::new(vec![field])), false))
}

/// Takes what is inside `schema` from the fields that are `left`. What is too deep, [`data_type`] says.
fn check_size(schema: &Schema, depth: usize, left: &mut usize) -> Result<(), Error> {
    let inner = schema.key_schema().into_iter().chain(schema.value_schema());
    let inner = inner.chain(schema.fields().iter().map(|field| &field.schema));
    for inner in inner {
        *left = left.checked_sub(1).ok_or_else(|| {
            Error::fatal(format!(
                "the value's schema has more than {FIELDS_MAX} fields, counting those inside others: too many for columns. {WAYS_OUT}"
            ))
        })?;
        if depth < DEPTH_MAX {
            check_size(inner, depth + 1, left)?;
        }
    }
    Ok(())
}

fn fields(schema: &Schema, depth: usize) -> Result<Fields, Error> {
    let of = |field: &forebay_connect_api::Field| named(&field.name, &field.schema, depth);
    schema.fields().iter().map(of).collect()
}

fn named(name: &str, schema: &Schema, depth: usize) -> Result<Field, Error> {
    // A default stands for null, so such a column has none.
    let nullable = schema.is_optional() && schema.default_value().is_none();
    let data_type = data_type(schema, depth + 1).map_err(|error| {
        Error::fatal(format!("field {name} cannot be a Parquet column")).with_source(error)
    })?;
    Ok(Field::new(name, data_type, nullable))
}

fn data_type(schema: &Schema, depth: usize) -> Result<DataType, Error> {
    if depth > DEPTH_MAX {
        return Err(Error::fatal(format!(
            "the schema is more than {DEPTH_MAX} levels deep"
        )));
    }
    let inner = |name: &str, schema: Option<&Arc<Schema>>| {
        let schema = schema.expect("the type has schemas inside");
        named(name, schema, depth)
    };
    Ok(match (schema.logical(), schema.schema_type()) {
        (Some(Logical::Decimal { scale }), _) => decimal(schema, scale)?,
        (Some(Logical::Date), _) => DataType::Date32,
        (Some(Logical::Time), _) => DataType::Time32(TimeUnit::Millisecond),
        (Some(Logical::Timestamp), _) => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        (None, Type::Int8) => DataType::Int8,
        (None, Type::Int16) => DataType::Int16,
        (None, Type::Int32) => DataType::Int32,
        (None, Type::Int64) => DataType::Int64,
        (None, Type::Float32) => DataType::Float32,
        (None, Type::Float64) => DataType::Float64,
        (None, Type::Boolean) => DataType::Boolean,
        (None, Type::String) => DataType::Utf8,
        (None, Type::Bytes) => DataType::Binary,
        (None, Type::Array) => DataType::List(Arc::new(inner("item", schema.value_schema())?)),
        (None, Type::Map) => {
            let key = inner("key", schema.key_schema())?.with_nullable(false);
            let entries = Fields::from(vec![key, inner("value", schema.value_schema())?]);
            DataType::Map(
                Arc::new(Field::new("entries", DataType::Struct(entries), false)),
                false,
            )
        }
        (None, Type::Struct) if schema.fields().is_empty() => {
            return Err(Error::fatal("a struct without fields is no Parquet column"));
        }
        (None, Type::Struct) => DataType::Struct(fields(schema, depth)?),
    })
}

fn decimal(schema: &Schema, scale: i32) -> Result<DataType, Error> {
    let given = schema
        .parameters()
        .get(PRECISION_PARAMETER)
        .and_then(|precision| precision.parse().ok());
    let precision = given.unwrap_or(DECIMAL_PRECISION_MAX);
    match i8::try_from(scale) {
        Ok(small)
            if (1..=DECIMAL_PRECISION_MAX).contains(&precision)
                && (0..=precision.cast_signed()).contains(&small) =>
        {
            Ok(DataType::Decimal128(precision, small))
        }
        _ => Err(Error::fatal(format!(
            "decimals of {precision} digits with scale {scale} are not supported: at most {DECIMAL_PRECISION_MAX} digits, and a scale from 0 to that"
        ))),
    }
}

/// Whether a value fits its schema, and its decimals fit their columns.
fn check(schema: &Schema, value: &Value) -> Result<(), Refused> {
    let at_fault = |error: String| Refused::Record(Error::fatal(error));
    // A record may be without value whatever its schema says; what to do then is decided elsewhere.
    if value.is_null() && schema.default_value().is_none() {
        return Ok(());
    }
    validate(schema, value)
        .map_err(|error| at_fault(format!("the value does not fit its schema: {error}")))?;
    column::check_ranges(schema, value).map_err(at_fault)
}
