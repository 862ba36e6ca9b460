//! JSON to Connect's values without schema, and values to JSON, as Kafka's JsonConverter has them with `schemas.enable=false`.

use base64::{Engine, engine::general_purpose::STANDARD};
use forebay_connect_api::{
    Schema, SchemaAndValue, Text, Value,
    schema::{Decimal, Logical},
};
use serde_json::{Map, Number, Value as Json};

/// What JSON cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotJson(String);

/// A value without schema. Whole numbers become INT64, ones with a fraction or an exponent FLOAT64. A number beyond these
/// becomes a STRING of its digits (Kafka's converter would keep its lowest 64 bits), so that no id is changed in silence.
pub(crate) fn from_json(json: Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Boolean(value),
        Json::Number(number) => from_number(&number),
        Json::String(text) => Value::String(text.into()),
        Json::Array(items) => Value::Array(items.into_iter().map(from_json).collect()),
        Json::Object(fields) => Value::Map(
            fields
                .into_iter()
                .map(|(name, value)| (Value::String(name.into()), from_json(value)))
                .collect(),
        ),
    }
}

fn from_number(number: &Number) -> Value {
    if let Some(number) = number.as_i64() {
        return Value::Int64(number);
    }
    let text = number.to_string();
    let whole = !text.contains(['.', 'e', 'E']);
    match number.as_f64() {
        Some(number) if !whole && number.is_finite() => Value::Float64(number),
        _ => Value::String(text.into()),
    }
}

/// A value as JSON text. Maps whose keys are not all strings become arrays of pairs, bytes become base64, decimals become numbers.
///
/// # Errors
/// If it holds a number that is not finite.
pub(crate) fn to_json(value: &SchemaAndValue) -> Result<String, NotJson> {
    Ok(to_document(value)?.to_string())
}

/// A value as JSON.
///
/// # Errors
/// If it holds a number that is not finite.
pub(crate) fn to_document(value: &SchemaAndValue) -> Result<Json, NotJson> {
    json(value.schema.as_deref(), &value.value)
}

fn json(schema: Option<&Schema>, value: &Value) -> Result<Json, NotJson> {
    if let (Some(Logical::Decimal { scale }), Value::Bytes(unscaled)) =
        (schema.and_then(Schema::logical), value)
    {
        let text = Decimal { unscaled, scale }.to_string();
        let number = serde_json::from_str(&text);
        return number.map_err(|_| NotJson(format!("{text} is no JSON number")));
    }
    let inner = schema.and_then(Schema::value_schema).map(|schema| &**schema);
    Ok(match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => Json::Bool(*value),
        Value::Int8(number) => Json::from(*number),
        Value::Int16(number) => Json::from(*number),
        Value::Int32(number) => Json::from(*number),
        Value::Int64(number) => Json::from(*number),
        // By its own shortest digits: as a double 0.1 would be 0.10000000149011612.
        Value::Float32(number) => finite(f64::from(*number), &format!("{number:?}"))?,
        Value::Float64(number) => finite(*number, &format!("{number:?}"))?,
        Value::String(text) => Json::from(&**text),
        Value::Bytes(bytes) => Json::from(STANDARD.encode(bytes)),
        Value::Array(items) => {
            let items: Result<_, _> = items.iter().map(|item| json(inner, item)).collect();
            Json::Array(items?)
        }
        Value::Map(entries) => map(schema, inner, entries)?,
        Value::Struct(structure) => {
            let fields = structure.schema().fields().iter();
            let fields: Result<Map<String, Json>, NotJson> = fields
                .map(|field| {
                    let value = structure.get(&field.name).unwrap_or(&Value::Null);
                    Ok((field.name.to_string(), json(Some(&field.schema), value)?))
                })
                .collect();
            Json::Object(fields?)
        }
    })
}

fn map(schema: Option<&Schema>, inner: Option<&Schema>, entries: &[(Value, Value)]) -> Result<Json, NotJson> {
    let name = |key: &Value| match key {
        Value::String(text) => Some(Text::clone(text)),
        _ => None,
    };
    if let Some(names) = entries
        .iter()
        .map(|(key, _)| name(key))
        .collect::<Option<Vec<Text>>>()
    {
        let fields = names.iter().zip(entries);
        let fields: Result<Map<String, Json>, NotJson> = fields
            .map(|(name, (_, value))| Ok((name.to_string(), json(inner, value)?)))
            .collect();
        return Ok(Json::Object(fields?));
    }
    let keys = schema.and_then(Schema::key_schema).map(|schema| &**schema);
    let pairs: Result<Vec<Json>, NotJson> = entries
        .iter()
        .map(|(key, value)| Ok(Json::Array(vec![json(keys, key)?, json(inner, value)?])))
        .collect();
    Ok(Json::Array(pairs?))
}

fn finite(number: f64, digits: &str) -> Result<Json, NotJson> {
    if !number.is_finite() {
        return Err(NotJson(format!("JSON has no number {digits}")));
    }
    Ok(serde_json::from_str(digits).expect("Rust writes finite numbers as JSON does"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use forebay_connect_api::{Struct, schema::decimal};

    use super::*;

    fn there_and_back(text: &str) -> String {
        let value = from_json(serde_json::from_str(text).expect(text));
        to_json(&SchemaAndValue::schemaless(value)).expect("it came from JSON")
    }

    #[test]
    fn json_comes_back_in_its_order() {
        for text in [
            r#"{"z":1,"a":[true,null,"ü\n",{}],"m":{"x":-9223372036854775808}}"#,
            "[0.1,1e+300,-0.0]",
            "\"\"",
            "null",
        ] {
            assert_eq!(there_and_back(text), text);
        }
        assert_eq!(
            there_and_back("[18446744073709551616,1e999]"),
            r#"["18446744073709551616","1e+999"]"#
        );
        assert_eq!(
            from_json(serde_json::from_str("5").expect("a number")),
            Value::Int64(5)
        );
    }

    #[test]
    fn structures_become_json_as_by_kafkas_converter() {
        let schema = Schema::structure()
            .field("id", Schema::int32().build().expect("a schema"))
            .field("price", decimal(2).build().expect("a schema"))
            .field("raw", Schema::bytes().build().expect("a schema"))
            .field("none", Schema::string().optional().build().expect("a schema"))
            .field("ratio", Schema::float32().build().expect("a schema"))
            .build()
            .expect("a schema");
        let values = vec![
            Value::Int32(7),
            Value::Bytes(Bytes::from_static(&[0x04, 0xd2])),
            Value::Bytes(Bytes::from_static(b"\xff\x00")),
            Value::Null,
            Value::Float32(0.1),
        ];
        let structure = Struct::from_values(Arc::clone(&schema), values).expect("it fits");
        let text = to_json(&SchemaAndValue::new(schema, structure)).expect("finite");
        assert_eq!(
            text,
            r#"{"id":7,"price":12.34,"raw":"/wA=","none":null,"ratio":0.1}"#
        );

        let pairs = Value::Map(vec![(Value::Int64(1), "a".into()), ("b".into(), Value::Null)]);
        assert_eq!(
            to_json(&SchemaAndValue::schemaless(pairs)).expect("finite"),
            r#"[[1,"a"],["b",null]]"#
        );
        let endless = SchemaAndValue::schemaless(Value::Array(vec![Value::Float64(f64::INFINITY)]));
        assert_eq!(
            to_json(&endless).expect_err("not JSON").to_string(),
            "JSON has no number inf"
        );
    }
}
