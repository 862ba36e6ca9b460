//! Schemas as the spooldir connectors have them in `value.schema`: JSON with `name`, `type`, `isOptional` and `fieldSchemas`.

use std::sync::Arc;

use forebay_connect_api::{Schema, SchemaBuilder, schema};
use serde_json::Value as Json;

/// Reads the schema of rows.
///
/// # Errors
/// What is wrong with it, and where.
pub(in crate::directory) fn read(text: &str) -> Result<Arc<Schema>, String> {
    let json: Json =
        serde_json::from_str(text).map_err(|error| format!("value.schema is not JSON: {error}"))?;
    let fields = match (&json["type"], &json["fieldSchemas"]) {
        (Json::String(kind), Json::Object(fields)) if kind == "STRUCT" => fields,
        _ => return Err("value.schema must have \"type\":\"STRUCT\" and \"fieldSchemas\"".to_owned()),
    };
    let mut builder = described(Schema::structure(), &json);
    for (name, field) in fields {
        let schema = field_schema(field).map_err(|why| format!("value.schema, field {name}: {why}"))?;
        builder = builder.field(name.as_str(), schema);
    }
    builder.build().map_err(|error| format!("value.schema: {error}"))
}

fn field_schema(json: &Json) -> Result<Arc<Schema>, String> {
    let builder = match (json["name"].as_str(), json["type"].as_str()) {
        (Some(schema::DECIMAL), _) => {
            let scale = json["parameters"]["scale"]
                .as_str()
                .and_then(|scale| scale.parse().ok());
            schema::decimal(scale.ok_or("a Decimal needs the parameter scale")?)
        }
        (Some(schema::DATE), _) => schema::date(),
        (Some(schema::TIME), _) => schema::time(),
        (Some(schema::TIMESTAMP), _) => schema::timestamp(),
        (_, Some(kind)) => primitive(kind)?,
        (_, None) => return Err("it has no type".to_owned()),
    };
    described(builder, json)
        .build()
        .map_err(|error| error.to_string())
}

fn primitive(kind: &str) -> Result<SchemaBuilder, String> {
    Ok(match kind {
        "BOOLEAN" => Schema::boolean(),
        "INT8" => Schema::int8(),
        "INT16" => Schema::int16(),
        "INT32" => Schema::int32(),
        "INT64" => Schema::int64(),
        "FLOAT32" => Schema::float32(),
        "FLOAT64" => Schema::float64(),
        "STRING" => Schema::string(),
        other => return Err(format!("a field of a row is no {other}")),
    })
}

fn described(mut builder: SchemaBuilder, json: &Json) -> SchemaBuilder {
    if let Some(name) = json["name"].as_str() {
        builder = builder.name(name);
    }
    if let Some(doc) = json["doc"].as_str() {
        builder = builder.doc(doc);
    }
    builder.with_optional(json["isOptional"].as_bool().unwrap_or(false))
}
