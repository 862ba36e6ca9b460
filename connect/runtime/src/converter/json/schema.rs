//! Schemas in JSON, as Kafka's envelope has them.

use std::sync::Arc;

use forebay_connect_api::schema::Type;
use forebay_connect_api::{Schema, SchemaBuilder};
use serde_json::{Map, Value as Json};

use super::write::{Typed, string};
use super::{Options, read};
use crate::converter::Error;

/// Kafka's names of the types in JSON; `float` has 32 bits.
const TYPES: [(Type, &str); 12] = [
    (Type::Boolean, "boolean"),
    (Type::Int8, "int8"),
    (Type::Int16, "int16"),
    (Type::Int32, "int32"),
    (Type::Int64, "int64"),
    (Type::Float32, "float"),
    (Type::Float64, "double"),
    (Type::Bytes, "bytes"),
    (Type::String, "string"),
    (Type::Array, "array"),
    (Type::Map, "map"),
    (Type::Struct, "struct"),
];

/// Writes a schema; `field` is the name of the field that it is of.
pub(super) fn write(
    out: &mut Vec<u8>,
    options: Options,
    schema: &Schema,
    field: Option<&str>,
) -> Result<(), Error> {
    let found = schema.schema_type();
    let name = TYPES
        .iter()
        .find(|(of, _)| *of == found)
        .map_or("", |(_, name)| name);
    member(out, b"{\"type\":", name);
    write_inner(out, options, schema)?;
    out.extend_from_slice(b",\"optional\":");
    out.extend_from_slice(if schema.is_optional() { b"true" } else { b"false" });
    if let Some(name) = schema.name() {
        member(out, b",\"name\":", name);
    }
    if let Some(version) = schema.version() {
        out.extend_from_slice(format!(",\"version\":{version}").as_bytes());
    }
    if let Some(doc) = schema.doc() {
        member(out, b",\"doc\":", doc);
    }
    for (index, (name, value)) in schema.parameters().iter().enumerate() {
        out.extend_from_slice(if index == 0 { b",\"parameters\":{" } else { b"," });
        string(out, name);
        member(out, b":", value);
    }
    if !schema.parameters().is_empty() {
        out.push(b'}');
    }
    if let Some(value) = schema.default_value() {
        out.extend_from_slice(b",\"default\":");
        let schema = Some(schema);
        Typed { schema, value }.write(out, options)?;
    }
    if let Some(field) = field {
        member(out, b",\"field\":", field);
    }
    out.push(b'}');
    Ok(())
}

fn write_inner(out: &mut Vec<u8>, options: Options, schema: &Schema) -> Result<(), Error> {
    match (schema.schema_type(), schema.key_schema(), schema.value_schema()) {
        (Type::Array, _, Some(items)) => {
            out.extend_from_slice(b",\"items\":");
            write(out, options, items, None)
        }
        (Type::Map, Some(keys), Some(values)) => {
            out.extend_from_slice(b",\"keys\":");
            write(out, options, keys, None)?;
            out.extend_from_slice(b",\"values\":");
            write(out, options, values, None)
        }
        (Type::Struct, ..) => {
            out.extend_from_slice(b",\"fields\":[");
            for (index, field) in schema.fields().iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(out, options, &field.schema, Some(&field.name))?;
            }
            out.push(b']');
            Ok(())
        }
        _ => Ok(()),
    }
}

fn member(out: &mut Vec<u8>, before: &[u8], text: &str) {
    out.extend_from_slice(before);
    string(out, text);
}

/// Reads a schema.
pub(super) fn read(json: &Json, options: Options) -> Result<Arc<Schema>, Error> {
    let no_type = || Error::data("Schema must contain 'type' field");
    let object = json.as_object().ok_or_else(no_type)?;
    let name = object.get("type").and_then(Json::as_str).ok_or_else(no_type)?;
    let known = TYPES.iter().find(|(_, known)| *known == name);
    let (found, _) = known.ok_or_else(|| Error::data(format!("Unknown schema type: {name}")))?;
    let mut builder = begin(*found, object, options)?;
    let text = |key: &str| object.get(key).and_then(Json::as_str);
    if object.get("optional") == Some(&Json::Bool(true)) {
        builder = builder.optional();
    }
    if let Some(name) = text("name") {
        builder = builder.name(name);
    }
    let version = object.get("version").and_then(Json::as_i64);
    if let Some(version) = version.and_then(|version| i32::try_from(version).ok()) {
        builder = builder.version(version);
    }
    if let Some(doc) = text("doc") {
        builder = builder.doc(doc);
    }
    for (name, value) in object
        .get("parameters")
        .and_then(Json::as_object)
        .into_iter()
        .flatten()
    {
        let value = value.as_str();
        let value = value.ok_or_else(|| Error::data("Schema parameters must have string values."))?;
        builder = builder.parameter(name.as_str(), value);
    }
    let unsound = |error| Error::data_because("a schema in the JSON is not sound", error);
    if let Some(default) = object.get("default") {
        // A default is read by the schema that it belongs to.
        let bare = builder.clone().build().map_err(unsound)?;
        builder = builder.default_value(read::typed(&bare, Some(default), options)?);
    }
    builder.build().map_err(unsound)
}

fn begin(found: Type, object: &Map<String, Json>, options: Options) -> Result<SchemaBuilder, Error> {
    let inner = |key: &str, missing: &str| {
        let json = object.get(key).filter(|json| !json.is_null());
        read(json.ok_or_else(|| Error::data(missing))?, options)
    };
    Ok(match found {
        Type::Boolean => Schema::boolean(),
        Type::Int8 => Schema::int8(),
        Type::Int16 => Schema::int16(),
        Type::Int32 => Schema::int32(),
        Type::Int64 => Schema::int64(),
        Type::Float32 => Schema::float32(),
        Type::Float64 => Schema::float64(),
        Type::Bytes => Schema::bytes(),
        Type::String => Schema::string(),
        Type::Array => Schema::array(inner("items", "Array schema did not specify the element type")?),
        Type::Map => Schema::map(
            inner("keys", "Map schema did not specify the key type")?,
            inner("values", "Map schema did not specify the value type")?,
        ),
        Type::Struct => {
            let fields = object.get("fields").and_then(Json::as_array);
            let fields =
                fields.ok_or_else(|| Error::data("Struct schema's \"fields\" argument is not an array."))?;
            let mut builder = Schema::structure();
            for field in fields {
                let name = field.get("field").and_then(Json::as_str);
                let name =
                    name.ok_or_else(|| Error::data("Struct schema's field name not specified properly"))?;
                builder = builder.field(name, read(field, options)?);
            }
            builder
        }
    })
}
