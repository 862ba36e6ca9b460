//! Connect's data as `JsonConverter` writes it with schemas: `{"schema":…,"payload":…}`.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use forebay_connect_api::schema::Type;
use forebay_connect_api::{Schema, SchemaAndValue, Struct, Value};
use serde_json::Value as Json;

/// Reads an envelope, or null for nothing at all.
pub(super) fn read(envelope: &Json) -> SchemaAndValue {
    let Some(json) = envelope.get("schema").filter(|schema| !schema.is_null()) else {
        return SchemaAndValue::schemaless(schemaless(envelope.get("payload").unwrap_or(&Json::Null)));
    };
    let schema = schema(json);
    let value = typed(&schema, &envelope["payload"]);
    SchemaAndValue::new(schema, value)
}

fn schema(json: &Json) -> Arc<Schema> {
    let inner = |key: &str| schema(&json[key]);
    let mut builder = match json["type"].as_str().expect("a type") {
        "int8" => Schema::int8(),
        "int16" => Schema::int16(),
        "int32" => Schema::int32(),
        "int64" => Schema::int64(),
        "float" => Schema::float32(),
        "double" => Schema::float64(),
        "boolean" => Schema::boolean(),
        "string" => Schema::string(),
        "bytes" => Schema::bytes(),
        "array" => Schema::array(inner("items")),
        "map" => Schema::map(inner("keys"), inner("values")),
        _ => Schema::structure(),
    };
    for field in json["fields"].as_array().into_iter().flatten() {
        builder = builder.field(field["field"].as_str().expect("a name"), schema(field));
    }
    builder = builder.with_optional(json["optional"].as_bool().unwrap_or(false));
    if let Some(name) = json["name"].as_str() {
        builder = builder.name(name);
    }
    if let Some(version) = json["version"].as_i64() {
        builder = builder.version(i32::try_from(version).expect("32 bits"));
    }
    if let Some(doc) = json["doc"].as_str() {
        builder = builder.doc(doc);
    }
    for (name, value) in json["parameters"].as_object().into_iter().flatten() {
        builder = builder.parameter(name.as_str(), value.as_str().expect("a string"));
    }
    if let Some(default) = json.get("default") {
        let of = builder.clone().build().expect("it fits");
        builder = builder.default_value(typed(&of, default));
    }
    builder.build().expect("it fits")
}

fn typed(schema: &Arc<Schema>, json: &Json) -> Value {
    if json.is_null() {
        return Value::Null;
    }
    let number = || json.as_i64().expect("an integer");
    // What JSON has no number for is a string: Infinity.
    let text = || json.as_str().map_or_else(|| json.to_string(), str::to_owned);
    let inner = |of: Option<&Arc<Schema>>, json: &Json| typed(of.expect("it has one"), json);
    match schema.schema_type() {
        Type::Int8 => Value::Int8(i8::try_from(number()).expect("8 bits")),
        Type::Int16 => Value::Int16(i16::try_from(number()).expect("16 bits")),
        Type::Int32 => Value::Int32(i32::try_from(number()).expect("32 bits")),
        Type::Int64 => Value::Int64(number()),
        Type::Float32 => Value::Float32(text().parse().expect("a number")),
        Type::Float64 => Value::Float64(text().parse().expect("a number")),
        Type::Boolean => Value::Boolean(json.as_bool().expect("a boolean")),
        Type::String => json.as_str().expect("a string").into(),
        Type::Bytes => Value::Bytes(
            STANDARD
                .decode(json.as_str().expect("base64"))
                .expect("base64")
                .into(),
        ),
        Type::Array => {
            let items = json.as_array().expect("an array").iter();
            Value::Array(items.map(|item| inner(schema.value_schema(), item)).collect())
        }
        Type::Map => {
            let entries = json.as_object().expect("an object").iter();
            let entry =
                |(key, value): (&String, &Json)| (key.as_str().into(), inner(schema.value_schema(), value));
            Value::Map(entries.map(entry).collect())
        }
        Type::Struct => {
            let values = schema.fields().iter();
            let values = values
                .map(|field| typed(&field.schema, &json[&*field.name]))
                .collect();
            Value::Struct(Struct::from_values(Arc::clone(schema), values).expect("as many"))
        }
    }
}

fn schemaless(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Boolean(*value),
        Json::Number(number) => match number.as_i64() {
            Some(integer) if !number.to_string().contains(['.', 'e', 'E']) => Value::Int64(integer),
            _ => Value::Float64(number.to_string().parse().expect("a number")),
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => Value::Array(items.iter().map(schemaless).collect()),
        Json::Object(entries) => {
            let entry = |(key, value): (&String, &Json)| (key.as_str().into(), schemaless(value));
            Value::Map(entries.iter().map(entry).collect())
        }
    }
}

/// Data without a schema as JSON would give it back: numbers of two types, entries in the order of their names.
pub(super) fn normalized(data: SchemaAndValue) -> SchemaAndValue {
    if data.schema.is_some() {
        return data;
    }
    SchemaAndValue::schemaless(without_schema(data.value))
}

#[allow(clippy::cast_possible_truncation)]
fn without_schema(value: Value) -> Value {
    match value {
        Value::Float64(number) if number.is_infinite() => {
            number.to_string().replace("inf", "Infinity").into()
        }
        // Java's digits of numbers of 32 bits are not always the fewest.
        Value::Float64(number) => Value::Float32(number as f32),
        Value::Array(items) => Value::Array(items.into_iter().map(without_schema).collect()),
        Value::Map(entries) => {
            let entries = entries
                .into_iter()
                .map(|(key, value)| (key, without_schema(value)));
            let mut entries: Vec<(Value, Value)> = entries.collect();
            entries.sort_by_key(|(key, _)| key.to_string());
            Value::Map(entries)
        }
        Value::Bytes(bytes) => STANDARD.encode(bytes).into(),
        other => other.as_i64().map_or(other, Value::Int64),
    }
}
