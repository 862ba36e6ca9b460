//! One column that is being filled. A value that does not fit is a [`Misfit`], and may leave some of itself behind: then the
//! column is to be truncated to the rows before.

use std::{collections::HashSet, sync::Arc};

use arrow_buffer::{BooleanBufferBuilder, NullBufferBuilder};
use arrow_schema::DataType;
use forebay_connect_api::{
    Error, Schema, Value,
    schema::{Logical, MILLISECONDS_PER_DAY, Type},
};

use super::{
    Misfit,
    check::{decimal, size},
    data_type, is_nullable,
    padding::Padding,
};
use crate::format::schemas::{is_exact, is_unknown, wants_exact};

/// Rows that a column is made for.
const CAPACITY: usize = 64;
/// Orders of fields that are kept.
const ORDERS_MAX: usize = 16;

type Fitting = Result<(), Misfit>;

/// Values of one type, and which of them are null.
#[derive(Debug)]
pub(in crate::format) struct Column {
    pub(in crate::format) values: Values,
    nullable: bool,
    /// Whether a field that must be there has the default instead of null: JsonConverter may refuse that null.
    is_required: bool,
    /// Whether only integers that a double holds are taken.
    exact: bool,
    /// It is as large as the schema likes, so each is counted.
    default: Option<(Value, Padding)>,
    /// The memory that a row takes of which the record says nothing.
    pub(super) absent_bytes: usize,
    pub(super) nulls: NullBufferBuilder,
}

#[derive(Debug)]
pub(in crate::format) enum Values {
    Boolean(BooleanBufferBuilder),
    Int8(Vec<i8>),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
    String(Strings),
    Bytes(Strings),
    /// Unscaled, of so many digits at most.
    Decimal(Vec<i128>, u8),
    Date(Vec<i32>),
    Time(Vec<i32>),
    Timestamp(Vec<i64>),
    Struct(Structs),
    /// Items, and where each row's end.
    List(Box<Column>, Vec<i32>),
    /// Keys and values, and where each row's end.
    Map(Box<[Column; 2]>, Vec<i32>),
}

/// Bytes one after the other, and where each row's end.
#[derive(Debug, Default)]
pub(in crate::format) struct Strings {
    pub(super) bytes: Vec<u8>,
    pub(super) ends: Vec<i32>,
}

/// The place of each column's value in a struct, if it has one.
type Order = Arc<[Option<usize>]>;

/// A column for each field.
#[derive(Debug)]
pub(in crate::format) struct Structs {
    pub(in crate::format) columns: Vec<Column>,
    /// Whether any of the columns is [`Column::defaults_required`].
    any_required: bool,
    padding: Padding,
    schema: Arc<Schema>,
    /// For schemas of structs: where each column's value is in them.
    orders: Vec<(Arc<Schema>, Order)>,
}

impl Column {
    /// A column for whole values of that schema: of structs, or of what is in the one column `value`.
    pub(super) fn root(schema: &Arc<Schema>, padding: &Padding) -> Result<Self, Error> {
        let mut root = Self::new(schema, true, padding)?;
        if schema.schema_type() == Type::Struct {
            // There is no row without columns.
            (root.nullable, root.default) = (false, None);
        }
        Ok(root)
    }

    /// An empty column for values of that schema.
    pub(super) fn new(schema: &Arc<Schema>, nullable: bool, padding: &Padding) -> Result<Self, Error> {
        let values = Values::new(schema, padding)?;
        let default = schema.default_value();
        Ok(Self {
            absent_bytes: default.map_or_else(|| values.null_bytes(), size),
            values,
            nullable,
            is_required: !schema.is_optional() && schema.default_value().is_some(),
            exact: wants_exact(schema),
            default: default.map(|default| (default.clone(), padding.clone())),
            nulls: NullBufferBuilder::new(CAPACITY),
        })
    }

    fn inner(schema: &Arc<Schema>, padding: &Padding) -> Result<Self, Error> {
        Self::new(schema, is_nullable(schema), padding)
    }

    /// Columns in it, with those that hold others.
    pub(super) fn columns(&self) -> usize {
        let inside: usize = match &self.values {
            Values::Struct(structs) => structs.columns.iter().map(Self::columns).sum(),
            Values::List(items, _) => items.columns(),
            Values::Map(both, _) => both.iter().map(Self::columns).sum(),
            _ => 0,
        };
        inside + 1
    }

    /// Rows so far.
    pub(in crate::format) fn len(&self) -> usize {
        self.nulls.len()
    }

    /// Whether the last row is null.
    pub(in crate::format) fn ends_with_null(&self) -> bool {
        let last = self.len().checked_sub(1);
        last.is_some_and(|last| !self.nulls.is_valid(last))
    }

    /// Whether null is for the converter to judge.
    pub(in crate::format) fn defaults_required(&self) -> bool {
        self.is_required
    }

    /// Adds a value; numbers widen, and a default stands for null.
    pub(in crate::format) fn append(&mut self, value: &Value) -> Fitting {
        match value {
            Value::Null => self.append_null(),
            Value::Boolean(value) => self.append_boolean(*value),
            Value::Int8(number) => self.append_long((*number).into()),
            Value::Int16(number) => self.append_long((*number).into()),
            Value::Int32(number) => self.append_long((*number).into()),
            Value::Int64(number) => self.append_long(*number),
            Value::Float32(number) => self.append_float(*number),
            Value::Float64(number) => self.append_double(*number),
            Value::String(text) => self.append_string(text.as_bytes()),
            Value::Bytes(bytes) => self.append_bytes(bytes),
            Value::Array(items) => {
                self.append_list(|column| items.iter().try_for_each(|item| column.append(item)))
            }
            Value::Struct(row) => {
                let Values::Struct(structs) = &mut self.values else {
                    return Err(Misfit);
                };
                let order = structs.order(row.schema());
                structs.padding.count_struct();
                for (column, place) in structs.columns.iter_mut().zip(&*order) {
                    match place {
                        Some(place) => column.append(&row.values()[*place])?,
                        None => column.append_absent(&structs.padding)?,
                    }
                }
                self.nulls.append_non_null();
                Ok(())
            }
            Value::Map(entries) => match &mut self.values {
                Values::Struct(_) => self.append_object(entries),
                _ => self.append_map(|[keys, values]| {
                    entries.iter().try_for_each(|(key, value)| {
                        keys.append(key)?;
                        values.append(value)
                    })
                }),
            },
        }
    }

    /// The default, or else null.
    pub(in crate::format) fn append_null(&mut self) -> Fitting {
        if let Some((default, padding)) = self.default.take() {
            let fits = padding
                .pay(self.absent_bytes)
                .and_then(|()| self.append(&default));
            self.default = Some((default, padding));
            return fits;
        }
        if !self.nullable {
            return Err(Misfit);
        }
        if let Values::Struct(structs) = &self.values {
            structs.padding.count_struct();
            structs.padding.pay(self.absent_bytes)?;
        }
        self.append_padding();
        Ok(())
    }

    /// A row of which the record says nothing.
    fn append_absent(&mut self, padding: &Padding) -> Fitting {
        if self.default.is_none() && !matches!(self.values, Values::Struct(_)) {
            padding.pay(self.absent_bytes)?;
        }
        self.append_null()
    }

    /// A null that is never seen, as it stands below one, or one that may be seen.
    fn append_padding(&mut self) {
        self.nulls.append_null();
        match &mut self.values {
            Values::Boolean(values) => values.append(false),
            Values::Int8(values) => values.push(0),
            Values::Int16(values) => values.push(0),
            Values::Int32(values) | Values::Date(values) | Values::Time(values) => values.push(0),
            Values::Int64(values) | Values::Timestamp(values) => values.push(0),
            Values::Float32(values) => values.push(0.0),
            Values::Float64(values) => values.push(0.0),
            Values::String(strings) | Values::Bytes(strings) => strings.ends.push(strings.end()),
            Values::Decimal(values, _) => values.push(0),
            Values::Struct(structs) => structs.columns.iter_mut().for_each(Self::append_padding),
            Values::List(_, ends) | Values::Map(_, ends) => ends.push(ends.last().copied().unwrap_or(0)),
        }
    }

    pub(in crate::format) fn append_boolean(&mut self, value: bool) -> Fitting {
        let Values::Boolean(values) = &mut self.values else {
            return Err(Misfit);
        };
        values.append(value);
        self.nulls.append_non_null();
        Ok(())
    }

    /// An integer of any width, if the column has it.
    #[expect(clippy::cast_precision_loss, reason = "numbers widen to floats")]
    pub(in crate::format) fn append_long(&mut self, number: i64) -> Fitting {
        fn push<T: TryFrom<i64>>(values: &mut Vec<T>, number: i64) -> Fitting {
            values.push(T::try_from(number).map_err(|_| Misfit)?);
            Ok(())
        }
        if self.exact && !is_exact(number) {
            return Err(Misfit);
        }
        match &mut self.values {
            Values::Int64(values) | Values::Timestamp(values) => values.push(number),
            Values::Int32(values) | Values::Date(values) => push(values, number)?,
            Values::Int16(values) => push(values, number)?,
            Values::Int8(values) => push(values, number)?,
            Values::Time(values) if (0..i64::from(MILLISECONDS_PER_DAY)).contains(&number) => {
                push(values, number)?;
            }
            Values::Float64(values) => values.push(number as f64),
            Values::Float32(values) => values.push(number as f32),
            _ => return Err(Misfit),
        }
        self.nulls.append_non_null();
        Ok(())
    }

    pub(in crate::format) fn append_float(&mut self, number: f32) -> Fitting {
        match &mut self.values {
            Values::Float32(values) => values.push(number),
            Values::Float64(values) => values.push(number.into()),
            _ => return Err(Misfit),
        }
        self.nulls.append_non_null();
        Ok(())
    }

    pub(in crate::format) fn append_double(&mut self, number: f64) -> Fitting {
        let Values::Float64(values) = &mut self.values else {
            return Err(Misfit);
        };
        values.push(number);
        self.nulls.append_non_null();
        Ok(())
    }

    /// UTF-8; who calls has seen to it.
    pub(in crate::format) fn append_string(&mut self, text: &[u8]) -> Fitting {
        let Values::String(strings) = &mut self.values else {
            return Err(Misfit);
        };
        strings.push(text)?;
        self.nulls.append_non_null();
        Ok(())
    }

    /// Bytes, or the unscaled number of a decimal.
    pub(in crate::format) fn append_bytes(&mut self, bytes: &[u8]) -> Fitting {
        match &mut self.values {
            Values::Bytes(strings) => strings.push(bytes)?,
            Values::Decimal(values, digits) => {
                values.push(decimal(bytes, *digits).ok_or(Misfit)?);
            }
            _ => return Err(Misfit),
        }
        self.nulls.append_non_null();
        Ok(())
    }

    /// A list, whose items `fill` appends.
    pub(in crate::format) fn append_list(&mut self, fill: impl FnOnce(&mut Self) -> Fitting) -> Fitting {
        let Values::List(items, ends) = &mut self.values else {
            return Err(Misfit);
        };
        fill(items)?;
        ends.push(end(items.len())?);
        self.nulls.append_non_null();
        Ok(())
    }

    /// A map, whose keys and values `fill` appends.
    pub(in crate::format) fn append_map(&mut self, fill: impl FnOnce(&mut [Self; 2]) -> Fitting) -> Fitting {
        let Values::Map(both, ends) = &mut self.values else {
            return Err(Misfit);
        };
        fill(both)?;
        ends.push(end(both[0].len())?);
        self.nulls.append_non_null();
        Ok(())
    }

    /// Whether two of the strings from that row on are the same.
    pub(in crate::format) fn has_duplicates_from(&self, row: usize) -> bool {
        let Values::String(strings) = &self.values else {
            return false;
        };
        let mut seen = HashSet::new();
        (row..strings.ends.len()).any(|row| !seen.insert(strings.get(row)))
    }

    /// A struct, whose fields `fill` appends, each once or not at all.
    pub(in crate::format) fn append_fields(
        &mut self,
        fill: impl FnOnce(&mut Structs, usize) -> Fitting,
    ) -> Fitting {
        let rows = self.len();
        let Values::Struct(structs) = &mut self.values else {
            return Err(Misfit);
        };
        structs.padding.count_struct();
        fill(structs, rows)?;
        for column in &mut structs.columns {
            match column.len().checked_sub(rows) {
                Some(1) => {}
                Some(0) => column.append_absent(&structs.padding)?,
                _ => return Err(Misfit),
            }
        }
        self.nulls.append_non_null();
        Ok(())
    }

    /// A struct, to each of whose columns `fill` appends once.
    pub(in crate::format) fn append_whole(&mut self, fill: impl FnOnce(&mut Structs) -> Fitting) -> Fitting {
        let Values::Struct(structs) = &mut self.values else {
            return Err(Misfit);
        };
        structs.padding.count_struct();
        fill(structs)?;
        self.nulls.append_non_null();
        Ok(())
    }

    /// An object without schema.
    fn append_object(&mut self, entries: &[(Value, Value)]) -> Fitting {
        self.append_fields(|structs, _| {
            entries.iter().try_for_each(|(key, value)| {
                let name = key.as_str().ok_or(Misfit)?;
                match structs.schema.field_index(name) {
                    Some(index) => structs.columns[index].append(value),
                    None if is_unknown(value) => Ok(()),
                    None => Err(Misfit),
                }
            })
        })
    }

    /// Forgets all rows but the first.
    pub(super) fn truncate(&mut self, rows: usize) {
        if self.len() > rows {
            self.nulls.truncate(rows);
        }
        match &mut self.values {
            Values::Boolean(values) if values.len() > rows => values.truncate(rows),
            Values::Boolean(_) => {}
            Values::Int8(values) => values.truncate(rows),
            Values::Int16(values) => values.truncate(rows),
            Values::Int32(values) | Values::Date(values) | Values::Time(values) => values.truncate(rows),
            Values::Int64(values) | Values::Timestamp(values) => values.truncate(rows),
            Values::Float32(values) => values.truncate(rows),
            Values::Float64(values) => values.truncate(rows),
            Values::String(strings) | Values::Bytes(strings) => {
                strings.ends.truncate(rows);
                strings.bytes.truncate(last(&strings.ends));
            }
            Values::Decimal(values, _) => values.truncate(rows),
            Values::Struct(structs) => structs
                .columns
                .iter_mut()
                .for_each(|column| column.truncate(rows)),
            Values::List(items, ends) => {
                ends.truncate(rows);
                items.truncate(last(ends));
            }
            Values::Map(both, ends) => {
                ends.truncate(rows);
                both.iter_mut().for_each(|column| column.truncate(last(ends)));
            }
        }
    }
}

impl Values {
    fn new(schema: &Arc<Schema>, padding: &Padding) -> Result<Self, Error> {
        Ok(match (schema.logical(), schema.schema_type()) {
            (Some(Logical::Decimal { .. }), _) => match data_type(schema, 0)? {
                DataType::Decimal128(digits, _) => Self::Decimal(Vec::new(), digits),
                other => unreachable!("a decimal is no {other}"),
            },
            (Some(Logical::Date), _) => Self::Date(Vec::new()),
            (Some(Logical::Time), _) => Self::Time(Vec::new()),
            (Some(Logical::Timestamp), _) => Self::Timestamp(Vec::new()),
            (None, Type::Boolean) => Self::Boolean(BooleanBufferBuilder::new(CAPACITY)),
            (None, Type::Int8) => Self::Int8(Vec::new()),
            (None, Type::Int16) => Self::Int16(Vec::new()),
            (None, Type::Int32) => Self::Int32(Vec::new()),
            (None, Type::Int64) => Self::Int64(Vec::new()),
            (None, Type::Float32) => Self::Float32(Vec::new()),
            (None, Type::Float64) => Self::Float64(Vec::new()),
            (None, Type::String) => Self::String(Strings::default()),
            (None, Type::Bytes) => Self::Bytes(Strings::default()),
            (None, Type::Struct) => {
                let fields = schema.fields().iter();
                let columns = fields.map(|field| Column::inner(&field.schema, padding));
                let columns: Vec<Column> = columns.collect::<Result<_, _>>()?;
                Self::Struct(Structs {
                    any_required: columns.iter().any(Column::defaults_required),
                    columns,
                    padding: padding.clone(),
                    schema: Arc::clone(schema),
                    orders: Vec::new(),
                })
            }
            (None, Type::Array) => {
                let items = schema.value_schema().expect("an ARRAY has one");
                Self::List(Box::new(Column::inner(items, padding)?), Vec::new())
            }
            (None, Type::Map) => {
                let keys = Column::new(schema.key_schema().expect("a MAP has one"), false, padding)?;
                let values = Column::inner(schema.value_schema().expect("a MAP has one"), padding)?;
                Self::Map(Box::new([keys, values]), Vec::new())
            }
        })
    }
}

impl Strings {
    fn end(&self) -> i32 {
        self.ends.last().copied().unwrap_or(0)
    }

    fn get(&self, row: usize) -> &[u8] {
        &self.bytes[last(&self.ends[..row])..last(&self.ends[..=row])]
    }

    fn push(&mut self, bytes: &[u8]) -> Fitting {
        self.ends.push(end(self.bytes.len() + bytes.len())?);
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

impl Structs {
    /// Whether the row that begins behind so many lacks a field of which [`Column::defaults_required`] is true.
    pub(in crate::format) fn lacks_required(&self, rows: usize) -> bool {
        self.any_required
            && self
                .columns
                .iter()
                .any(|column| column.is_required && column.len() == rows)
    }

    pub(in crate::format) fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Where the columns' values are in structs of that schema.
    fn order(&mut self, of: &Arc<Schema>) -> Order {
        if let Some((_, order)) = self.orders.iter().find(|(known, _)| Arc::ptr_eq(known, of)) {
            return Arc::clone(order);
        }
        let fields = self.schema.fields().iter();
        let order: Order = fields.map(|field| of.field_index(&field.name)).collect();
        self.orders.insert(0, (Arc::clone(of), Arc::clone(&order)));
        self.orders.truncate(ORDERS_MAX);
        order
    }
}

/// Rows are encoded by the few hundred kilobytes, so what they hold is counted in 32 bits; more than that no single record has.
fn end(items: usize) -> Result<i32, Misfit> {
    i32::try_from(items).map_err(|_| Misfit)
}

fn last(ends: &[i32]) -> usize {
    ends.last().map_or(0, |end| end.unsigned_abs() as usize)
}
