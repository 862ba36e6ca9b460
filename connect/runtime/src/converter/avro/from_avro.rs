//! Avro's schemas as Connect's (`AvroData.toConnectSchema`).

use std::sync::Arc;

use forebay_connect_api::schema::{self, Type};
use forebay_connect_api::{Schema, SchemaBuilder, Value};
use forebay_schema_registry_schema::avro::{FieldView, Kind, Node};
use serde_json::Value as Json;

use crate::converter::Error;

/// A string that was an enum has its name and symbols as parameters of this prefix.
const ENUM: &str = "io.confluent.connect.avro.Enum";
/// The name of the struct that stands for a union of several types.
pub(super) const UNION: &str = "io.confluent.connect.avro.Union";
/// Bytes that were a fixed have its size as this parameter.
const FIXED_SIZE: &str = "connect.fixed.size";

/// The Connect schema of an Avro schema.
pub(super) fn schema(node: Node<'_>) -> Result<Arc<Schema>, Error> {
    of(node, None, &mut Vec::new())
}

/// `within` are the records around, in which none of them may be again.
fn of<'a>(
    node: Node<'a>,
    field: Option<FieldView<'a>>,
    within: &mut Vec<&'a str>,
) -> Result<Arc<Schema>, Error> {
    let (node, optional) = match node.kind() {
        Kind::Union(branches) => match optional_branch(&branches) {
            Some(branch) => (branch, true),
            None => return union(&branches, within),
        },
        _ => (node, false),
    };
    let mut builder = bare(node, within)?.with_optional(optional);
    if let Some(doc) = text(node, "connect.doc")
        .or_else(|| field.and_then(FieldView::doc))
        .or_else(|| node.doc())
    {
        builder = builder.doc(doc);
    }
    if let Some(version) = node.property("connect.version").and_then(Json::as_i64) {
        builder = builder.version(i32::try_from(version).unwrap_or(1));
    }
    let parameters = node.property("connect.parameters").and_then(Json::as_object);
    for (name, value) in parameters.into_iter().flatten() {
        builder = builder.parameter(name.as_str(), value.as_str().unwrap_or_default());
    }
    if let Some(name) = text(node, "connect.name") {
        builder = builder.name(name);
    }
    let unsound = |error| Error::data_because("the Avro schema cannot be had in Connect", error);
    let plain = builder.clone().build().map_err(unsound)?;
    let default = field.and_then(FieldView::default);
    match default.and_then(|default| default_value(plain.schema_type(), default)) {
        Some(default) => builder.default_value(default).build().map_err(unsound),
        None => Ok(plain),
    }
}

fn text<'a>(node: Node<'a>, property: &str) -> Option<&'a str> {
    node.property(property).and_then(Json::as_str)
}

/// The other branch of a union of two of which one is null.
pub(super) fn optional_branch<'a>(branches: &[Node<'a>]) -> Option<Node<'a>> {
    let is_null = |node: &Node<'_>| matches!(node.kind(), Kind::Null);
    match branches {
        [null, other] | [other, null] if is_null(null) && !is_null(other) => Some(*other),
        _ => None,
    }
}

fn bare<'a>(node: Node<'a>, within: &mut Vec<&'a str>) -> Result<SchemaBuilder, Error> {
    Ok(match node.kind() {
        Kind::Null => {
            return Err(Error::data(
                "Standalone null schemas are not supported by this converter",
            ));
        }
        Kind::Boolean => Schema::boolean(),
        Kind::Int => match (text(node, "connect.type"), text(node, "logicalType")) {
            (Some("int8"), _) => Schema::int8(),
            (Some("int16"), _) => Schema::int16(),
            (_, Some("date")) => schema::date(),
            (_, Some("time-millis")) => schema::time(),
            _ => Schema::int32(),
        },
        Kind::Long => match text(node, "logicalType") {
            Some("timestamp-millis") => schema::timestamp(),
            _ => Schema::int64(),
        },
        Kind::Float => Schema::float32(),
        Kind::Double => Schema::float64(),
        Kind::String => Schema::string(),
        Kind::Bytes => decimal(node).unwrap_or_else(Schema::bytes),
        Kind::Fixed(size) => decimal(node)
            .unwrap_or_else(Schema::bytes)
            .parameter(FIXED_SIZE, size.to_string()),
        Kind::Enum(symbols) => {
            let named = Schema::string().parameter(ENUM, node.full_name().unwrap_or_default());
            symbols.iter().fold(named, |builder, symbol| {
                builder.parameter(format!("{ENUM}.{symbol}"), symbol.as_str())
            })
        }
        Kind::Array(items) => match map_entry(items) {
            Some((keys, values)) => Schema::map(of(keys, None, within)?, of(values, None, within)?),
            None => Schema::array(of(items, None, within)?),
        },
        Kind::Map(values) => Schema::map(Schema::string_schema(), of(values, None, within)?),
        Kind::Record(fields) => record(node, &fields, within)?,
        Kind::Union(_) => return Err(Error::data("a union directly within a union is no Avro")),
    })
}

fn decimal(node: Node<'_>) -> Option<SchemaBuilder> {
    (text(node, "logicalType") == Some("decimal")).then(|| {
        let number = |property: &str| node.property(property).and_then(Json::as_i64);
        let scale = number("scale")
            .and_then(|scale| i32::try_from(scale).ok())
            .unwrap_or(0);
        schema::decimal(scale)
    })
}

/// Keys and values of a map whose keys are no strings.
pub(super) fn map_entry(items: Node<'_>) -> Option<(Node<'_>, Node<'_>)> {
    match items.kind() {
        Kind::Record(fields) if text(items, "connect.internal.type") == Some("MapEntry") => {
            match fields.as_slice() {
                [key, value] => Some((key.node(), value.node())),
                _ => None,
            }
        }
        _ => None,
    }
}

fn record<'a>(
    node: Node<'a>,
    fields: &[FieldView<'a>],
    within: &mut Vec<&'a str>,
) -> Result<SchemaBuilder, Error> {
    let name = node.full_name().unwrap_or_default();
    if within.contains(&name) {
        return Err(Error::data(format!(
            "the record {name} contains itself, which Connect's schemas cannot say"
        )));
    }
    within.push(name);
    let mut builder = Schema::structure().name(name);
    for field in fields {
        let of = of(field.node(), Some(*field), within).map_err(|error| error.within(field.name()))?;
        builder = builder.field(field.name(), of);
    }
    within.pop();
    Ok(builder)
}

/// A struct with one optional field for each branch.
fn union<'a>(branches: &[Node<'a>], within: &mut Vec<&'a str>) -> Result<Arc<Schema>, Error> {
    let mut builder = Schema::structure().name(UNION);
    for branch in branches {
        if matches!(branch.kind(), Kind::Null) {
            builder = builder.optional();
            continue;
        }
        let inner = of(*branch, None, within)?;
        let inner = inner.to_builder().optional().build();
        let inner =
            inner.map_err(|error| Error::data_because("a branch of a union cannot be optional", error))?;
        builder = builder.field(branch.branch_name(), inner);
    }
    builder
        .build()
        .map_err(|error| Error::data_because("a union cannot be had in Connect", error))
}

/// Defaults of values without values inside; null is what optional says.
fn default_value(of: Type, default: &Json) -> Option<Value> {
    let integer = || default.as_i64();
    Some(match of {
        Type::Boolean => Value::Boolean(default.as_bool()?),
        Type::Int8 => Value::Int8(integer()?.try_into().ok()?),
        Type::Int16 => Value::Int16(integer()?.try_into().ok()?),
        Type::Int32 => Value::Int32(integer()?.try_into().ok()?),
        Type::Int64 => Value::Int64(integer()?),
        Type::Float32 => Value::Float32(default.to_string().parse().ok()?),
        Type::Float64 => Value::Float64(default.as_f64()?),
        Type::String => default.as_str()?.into(),
        Type::Bytes => {
            let bytes = default.as_str()?.chars().map(|c| u8::try_from(u32::from(c)).ok());
            Value::Bytes(bytes.collect::<Option<Vec<u8>>>()?.into())
        }
        Type::Array | Type::Map | Type::Struct => return None,
    })
}
