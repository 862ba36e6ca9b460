//! Values between Connect and Avro, along schemas that were made of each other.

use std::sync::Arc;

use forebay_connect_api::schema::Type;
use forebay_connect_api::{Schema, Struct, Value};
use forebay_schema_registry_schema::avro::data::Value as Avro;
use forebay_schema_registry_schema::avro::{Kind, Node};

use crate::Error;
use crate::from_avro::{UNION, map_entry, optional_branch};
use crate::to_avro::{is_avro_map, is_union};

/// A value for the Avro schema that was made of `schema`.
///
/// # Errors
/// If it does not fit.
pub fn to_avro(schema: &Schema, value: &Value) -> Result<Avro, Error> {
    if value.is_null() {
        return match schema.default_value() {
            Some(default) => to_avro(schema, default),
            None if schema.is_optional() => Ok(Avro::Union(0, Box::new(Avro::Null))),
            None => {
                let wanted = schema.schema_type();
                Err(Error::data(format!(
                    "null used for a required value of type {wanted}"
                )))
            }
        };
    }
    if is_union(schema) {
        return branch_to_avro(schema, value);
    }
    let bare = bare_to_avro(schema, value)?;
    // Null stands first, but where a default has to fit the first branch.
    Ok(match (schema.is_optional(), schema.default_value()) {
        (false, _) => bare,
        (true, None) => Avro::Union(1, Box::new(bare)),
        (true, Some(_)) => Avro::Union(0, Box::new(bare)),
    })
}

/// The one field of a union's struct that is set, as its branch.
fn branch_to_avro(schema: &Schema, value: &Value) -> Result<Avro, Error> {
    let structure = match value {
        Value::Struct(structure) if is_same(structure, schema) => structure,
        _ => {
            return Err(Error::data(
                "a value of a union is a struct with a field for each branch",
            ));
        }
    };
    let null = usize::from(schema.is_optional());
    let values = structure.values().iter().enumerate();
    let mut set = values.filter(|(_, value)| !value.is_null());
    match (set.next(), set.next()) {
        (Some((index, value)), None) => {
            let field = &schema.fields()[index];
            let branch = bare_to_avro(&field.schema, value).map_err(|error| error.within(&field.name))?;
            Ok(Avro::Union(index + null, Box::new(branch)))
        }
        (None, _) if schema.is_optional() => Ok(Avro::Union(0, Box::new(Avro::Null))),
        (None, _) => Err(Error::data("a union of which no branch is set")),
        (Some(_), Some(_)) => Err(Error::data("a union of which more than one branch is set")),
    }
}

fn bare_to_avro(schema: &Schema, value: &Value) -> Result<Avro, Error> {
    let wanted = schema.schema_type();
    Ok(match (wanted, value) {
        (Type::Boolean, Value::Boolean(value)) => Avro::Boolean(*value),
        (Type::Int8, Value::Int8(number)) => Avro::Int(i32::from(*number)),
        (Type::Int16, Value::Int16(number)) => Avro::Int(i32::from(*number)),
        (Type::Int32, Value::Int32(number)) => Avro::Int(*number),
        (Type::Int64, Value::Int64(number)) => Avro::Long(*number),
        (Type::Float32, Value::Float32(number)) => Avro::Float(*number),
        (Type::Float64, Value::Float64(number)) => Avro::Double(*number),
        (Type::String, Value::String(text)) => Avro::String(text.to_string()),
        (Type::Bytes, Value::Bytes(bytes)) => Avro::Bytes(bytes.to_vec()),
        (Type::Array, Value::Array(items)) => {
            let of = schema.value_schema().expect("an ARRAY has one");
            Avro::Array(
                items
                    .iter()
                    .map(|item| to_avro(of, item))
                    .collect::<Result<_, _>>()?,
            )
        }
        (Type::Map, Value::Map(entries)) => map_to_avro(schema, entries)?,
        (Type::Struct, Value::Struct(structure)) if is_same(structure, schema) => {
            let fields = schema.fields().iter().zip(structure.values());
            let fields = fields.map(|(field, value)| {
                to_avro(&field.schema, value).map_err(|error| error.within(&field.name))
            });
            Avro::Record(fields.collect::<Result<_, _>>()?)
        }
        (_, other) => {
            let found = other.value_type().map_or("null", Type::name);
            return Err(Error::data(format!(
                "a value of type {found} used where the schema wants {wanted}"
            )));
        }
    })
}

/// Mostly it is the very same, which costs nothing to find out.
fn is_same(structure: &Struct, schema: &Schema) -> bool {
    std::ptr::eq(Arc::as_ptr(structure.schema()), schema) || **structure.schema() == *schema
}

fn map_to_avro(schema: &Schema, entries: &[(Value, Value)]) -> Result<Avro, Error> {
    let keys = schema.key_schema().expect("a MAP has one");
    let values = schema.value_schema().expect("a MAP has one");
    if is_avro_map(schema) {
        let entries = entries.iter().map(|(key, value)| {
            let key = key
                .as_str()
                .ok_or_else(|| Error::data("a key of a map is no string"))?;
            Ok((key.to_owned(), to_avro(values, value)?))
        });
        return Ok(Avro::Map(entries.collect::<Result<_, Error>>()?));
    }
    let entries = entries
        .iter()
        .map(|(key, value)| Ok(Avro::Record(vec![to_avro(keys, key)?, to_avro(values, value)?])));
    Ok(Avro::Array(entries.collect::<Result<_, Error>>()?))
}

/// How many fields of union structs a value may have beside those that its bytes pay for.
const UNION_FIELDS_FREE: usize = 1_000_000;
/// How many each byte pays for.
const UNION_FIELDS_PER_BYTE: usize = 16;

/// The value of `schema`, which was made of `node`; it was read from so many bytes.
///
/// # Errors
/// If it does not fit, or asks for very many fields of unions.
pub fn to_connect(node: Node<'_>, schema: &Arc<Schema>, value: Avro, bytes: usize) -> Result<Value, Error> {
    let paid = bytes.saturating_mul(UNION_FIELDS_PER_BYTE);
    let mut reader = ToConnect {
        union_fields_left: paid.saturating_add(UNION_FIELDS_FREE),
    };
    reader.value(node, schema, value)
}

/// A union is a struct with a field for each branch: one byte asks for as many fields as there are branches.
struct ToConnect {
    union_fields_left: usize,
}

impl ToConnect {
    fn value(&mut self, node: Node<'_>, schema: &Arc<Schema>, value: Avro) -> Result<Value, Error> {
        let strange = || {
            let wanted = schema.schema_type();
            Error::data(format!(
                "the Avro data does not have the {wanted} that its schema says"
            ))
        };
        Ok(match (node.kind(), value) {
            (Kind::Union(branches), Avro::Union(index, value)) => {
                let branch = branches.get(index).ok_or_else(strange)?;
                match branch.kind() {
                    Kind::Null => Value::Null,
                    _ if optional_branch(branches).is_some() => self.value(branch, schema, *value)?,
                    _ => self.union(branch, schema, *value)?,
                }
            }
            (_, Avro::Boolean(value)) => Value::Boolean(value),
            (_, Avro::Int(number)) => match schema.schema_type() {
                Type::Int8 => Value::Int8(number.try_into().map_err(|_| strange())?),
                Type::Int16 => Value::Int16(number.try_into().map_err(|_| strange())?),
                _ => Value::Int32(number),
            },
            (_, Avro::Long(number)) => Value::Int64(number),
            (_, Avro::Float(number)) => Value::Float32(number),
            (_, Avro::Double(number)) => Value::Float64(number),
            (_, Avro::String(text)) => text.into(),
            (_, Avro::Bytes(bytes) | Avro::Fixed(bytes)) => Value::Bytes(bytes.into()),
            (Kind::Enum(symbols), Avro::Enum(index)) => {
                symbols.get(index).ok_or_else(strange)?.as_str().into()
            }
            (Kind::Array(items), Avro::Array(values)) => self.array(items, schema, values)?,
            (Kind::Map(of), Avro::Map(entries)) => {
                let inner = schema.value_schema().ok_or_else(strange)?;
                let entries = entries
                    .into_iter()
                    .map(|(key, value)| Ok((key.into(), self.value(of, inner, value)?)));
                Value::Map(entries.collect::<Result<_, Error>>()?)
            }
            (Kind::Record(fields), Avro::Record(values)) => {
                let inner = schema.fields().iter().zip(fields).zip(values);
                let values =
                    inner.map(|((field, view), value)| self.value(view.node(), &field.schema, value));
                let structure = Struct::from_values(Arc::clone(schema), values.collect::<Result<_, _>>()?);
                Value::Struct(
                    structure.map_err(|error| Error::data_because("the Avro data is no record", error))?,
                )
            }
            _ => return Err(strange()),
        })
    }

    fn array(&mut self, items: Node<'_>, schema: &Arc<Schema>, values: Vec<Avro>) -> Result<Value, Error> {
        let strange = || Error::data("the Avro data has no array where its schema says one");
        let inner = schema.value_schema().ok_or_else(strange)?;
        let (Some((keys, of)), Some(key_schema)) = (map_entry(items), schema.key_schema()) else {
            let values = values.into_iter().map(|value| self.value(items, inner, value));
            return Ok(Value::Array(values.collect::<Result<_, _>>()?));
        };
        let entries = values.into_iter().map(|entry| {
            let Avro::Record(pair) = entry else {
                return Err(strange());
            };
            let [key, value] = <[Avro; 2]>::try_from(pair).map_err(|_| strange())?;
            Ok((self.value(keys, key_schema, key)?, self.value(of, inner, value)?))
        });
        Ok(Value::Map(entries.collect::<Result<_, _>>()?))
    }

    /// The struct of a union, with the field of one branch set.
    fn union(&mut self, branch: Node<'_>, schema: &Arc<Schema>, value: Avro) -> Result<Value, Error> {
        let name = branch.branch_name();
        let index = schema.field_index(name).filter(|_| schema.name() == Some(UNION));
        let index = index.ok_or_else(|| Error::data(format!("the union has no branch {name}")))?;
        let left = self.union_fields_left.checked_sub(schema.fields().len());
        self.union_fields_left = left.ok_or_else(|| {
            Error::data("the Avro data has too many values of unions with very many branches")
        })?;
        let mut values = vec![Value::Null; schema.fields().len()];
        values[index] = self.value(branch, &schema.fields()[index].schema, value)?;
        let structure = Struct::from_values(Arc::clone(schema), values);
        Ok(Value::Struct(structure.expect("a value for each of its fields")))
    }
}
