//! Records as Arrow columns: a struct's fields, or the one column `value` for everything else.

mod array;
mod check;
mod column;
mod conform;
mod padding;

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Fields, SchemaRef, TimeUnit};
use forebay_connect_api::{
    Error, Schema, SchemaAndValue, Value,
    schema::{Logical, Type},
    value::validate,
};

use self::padding::Padding;
pub(super) use self::{
    check::size,
    column::{Column, Structs, Values},
    conform::conform_batch,
    padding::PADDING_BYTES_MAX,
};
use super::schemas::{Misfit, PRECISION_PARAMETER, Width, is_too_sparse};

/// The most digits of a 128-bit decimal.
const DECIMAL_PRECISION_MAX: u8 = 38;
/// Kinds of values within each other.
const DEPTH_MAX: usize = 64;
/// What a column takes by itself in rows, an encoder and a shape, roughly.
const COLUMN_BYTES: usize = 512;
/// The name of the one column.
const VALUE_COLUMN: &str = "value";

/// Rows of one schema that are not encoded yet.
#[derive(Debug)]
pub(super) struct Rows {
    schema: Arc<Schema>,
    shape: SchemaRef,
    /// A column of structs that are never null, or the column `value`.
    root: Column,
    columns: usize,
    padding: Padding,
    /// Of what was appended, roughly.
    bytes: usize,
    /// Structs in what was appended, and the most in one record.
    structs: usize,
    structs_max: usize,
    row_bytes_max: usize,
    /// Whether the last value did not fit for all that it lacks.
    is_too_sparse: bool,
}

impl Rows {
    /// For values of this schema.
    pub(super) fn new(schema: &Arc<Schema>) -> Result<Self, Error> {
        let padding = Padding::default();
        let shape = shape(schema)?;
        let root = Column::root(schema, &padding)?;
        Ok(Self {
            schema: Arc::clone(schema),
            shape,
            columns: root.columns(),
            root,
            padding,
            bytes: 0,
            structs: 0,
            structs_max: 0,
            row_bytes_max: 0,
            is_too_sparse: false,
        })
    }

    pub(super) fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    pub(super) fn shape(&self) -> &SchemaRef {
        &self.shape
    }

    pub(super) fn rows(&self) -> usize {
        self.root.len()
    }

    /// What the rows take, with the columns of which their records say nothing.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Structs in the rows: each has a cell in each of its columns, be it said or not.
    pub(super) fn structs(&self) -> usize {
        self.structs
    }

    /// The largest row so far: its structs, and its bytes.
    pub(super) fn largest(&self) -> (usize, usize) {
        (self.structs_max, self.row_bytes_max)
    }

    /// What the columns take in a record that has nothing for them.
    pub(super) fn width(&self) -> Width {
        let mut width = Width::default();
        self.root.add_width(false, &mut width);
        width
    }

    /// What takes memory even without rows: an encoder for each column, for the most part.
    pub(super) fn fixed_bytes(&self) -> usize {
        self.columns * COLUMN_BYTES
    }

    /// Adds a row by filling the column that it is given. What does not fit leaves no trace.
    pub(super) fn append_with(
        &mut self,
        bytes: usize,
        fill: impl FnOnce(&mut Column) -> Result<(), Misfit>,
    ) -> Result<(), Misfit> {
        let rows = self.root.len();
        self.padding.begin();
        let filled = fill(&mut self.root);
        self.is_too_sparse = self.padding.bytes() > PADDING_BYTES_MAX;
        if filled.is_err() || self.root.len() != rows + 1 {
            self.root.truncate(rows);
            return Err(Misfit);
        }
        let bytes = bytes + self.padding.bytes();
        self.bytes += bytes;
        self.row_bytes_max = self.row_bytes_max.max(bytes);
        self.structs += self.padding.structs();
        self.structs_max = self.structs_max.max(self.padding.structs());
        Ok(())
    }

    /// Adds a row.
    pub(super) fn append(&mut self, value: &Value) -> Result<(), Misfit> {
        let bytes = size(value);
        self.append_with(bytes, |root| root.append(value))
    }

    /// Gives the rows and begins anew.
    pub(super) fn finish(&mut self) -> Result<RecordBatch, Error> {
        self.bytes = 0;
        self.structs = 0;
        self.root
            .finish_root(&self.shape)
            .map_err(|error| Error::fatal("cannot make columns of the records").with_source(error))
    }

    /// Why a value does not fit, of which no better schema can be made.
    pub(super) fn explain(&self, value: &SchemaAndValue) -> Error {
        if self.is_too_sparse {
            return too_sparse();
        }
        explain(&self.schema, value)
    }
}

/// Why a value does not fit a file's schema.
pub(super) fn explain(target: &Arc<Schema>, value: &SchemaAndValue) -> Error {
    if value.value.is_null() && target.schema_type() == Type::Struct {
        return Error::fatal(
            "a struct that is null cannot be a row of columns; set behavior.on.null.values=ignore",
        );
    }
    if let Some(schema) = &value.schema {
        if let Err(error) = validate(schema, &value.value) {
            return Error::fatal(format!("the value does not fit its schema: {error}"));
        }
        if let Err(error) = check::check_ranges(schema, &value.value) {
            return Error::fatal(error);
        }
    }
    if is_too_sparse(target, &value.value) {
        return too_sparse();
    }
    Error::fatal("the value does not fit the schema of its file")
}

fn too_sparse() -> Error {
    Error::fatal(format!(
        "the value lacks so many fields of its file's schema that nulls in their place would take more than {PADDING_BYTES_MAX} \
         bytes: it has many small objects in an array, of which others have many other fields"
    ))
}

/// The columns for values of a schema.
fn shape(schema: &Schema) -> Result<SchemaRef, Error> {
    if schema.schema_type() == Type::Struct {
        if schema.fields().is_empty() {
            let message = "the value's schema has no fields, and a file of columns needs one; JSON lines need none \
                (format.class=io.confluent.connect.s3.format.json.JsonFormat)";
            return Err(Error::fatal(message));
        }
        return Ok(Arc::new(arrow_schema::Schema::new(fields(schema, 0)?)));
    }
    // Nullable whatever the schema says: the value of a record may always be missing.
    let field = Field::new(VALUE_COLUMN, data_type(schema, 0)?, true);
    Ok(Arc::new(arrow_schema::Schema::new(vec![field])))
}

fn fields(schema: &Schema, depth: usize) -> Result<Fields, Error> {
    let of = |field: &forebay_connect_api::Field| named(&field.name, &field.schema, depth);
    schema.fields().iter().map(of).collect()
}

fn named(name: &str, schema: &Schema, depth: usize) -> Result<Field, Error> {
    let data_type = data_type(schema, depth + 1).map_err(|error| {
        Error::fatal(format!("field {name} cannot be a Parquet column")).with_source(error)
    })?;
    Ok(Field::new(name, data_type, is_nullable(schema)))
}

/// A default stands for null, so such a column has none.
fn is_nullable(schema: &Schema) -> bool {
    schema.is_optional() && schema.default_value().is_none()
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
