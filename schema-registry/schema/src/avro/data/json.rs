//! Avro's JSON encoding: what the REST proxy takes and gives. Bytes are strings of the characters U+0000 to U+00FF.

use serde_json::{Map, Number, Value as Json};

use super::{DEPTH_MAX, Error, Value, located, unexpected};
use crate::avro::{Branches, Kind, Node};

pub(super) fn decode(node: Node<'_>, json: &Json) -> Result<Value, Error> {
    read(node, json, 0)
}

fn read(node: Node<'_>, json: &Json, depth: usize) -> Result<Value, Error> {
    if depth > DEPTH_MAX {
        return Err(Error::TooDeep);
    }
    let value = match (node.kind(), json) {
        (Kind::Null, Json::Null) => Some(Value::Null),
        (Kind::Boolean, Json::Bool(value)) => Some(Value::Boolean(*value)),
        (Kind::Int, Json::Number(number)) => number
            .as_i64()
            .and_then(|number| i32::try_from(number).ok())
            .map(Value::Int),
        (Kind::Long, Json::Number(number)) => number.as_i64().map(Value::Long),
        (Kind::Float, Json::Number(number)) => number.as_f64().map(|number| Value::Float(number as f32)),
        (Kind::Double, Json::Number(number)) => number.as_f64().map(Value::Double),
        (Kind::Bytes, Json::String(text)) => latin1(text).map(Value::Bytes),
        (Kind::String, Json::String(text)) => Some(Value::String(text.clone())),
        (Kind::Fixed(size), Json::String(text)) => {
            latin1(text).filter(|bytes| bytes.len() == size).map(Value::Fixed)
        }
        (Kind::Enum(symbols), Json::String(text)) => {
            symbols.iter().position(|symbol| symbol == text).map(Value::Enum)
        }
        (Kind::Array(items), Json::Array(elements)) => {
            let elements = elements.iter().enumerate();
            let values = elements.map(|(index, element)| located(index, read(items, element, depth + 1)));
            Some(Value::Array(values.collect::<Result<_, _>>()?))
        }
        (Kind::Map(of), Json::Object(entries)) => {
            let entry =
                |(key, value): (&String, &Json)| Ok((key.clone(), located(key, read(of, value, depth + 1))?));
            let entries = entries.iter().map(entry);
            Some(Value::Map(entries.collect::<Result<_, Error>>()?))
        }
        (Kind::Record(_), Json::Object(object)) => Some(read_record(node, object, depth)?),
        (Kind::Union(branches), json) => read_branch(branches, json, depth)?,
        _ => None,
    };
    match value {
        Some(value) => Ok(value),
        None => unexpected(describe(node), shorten(json)),
    }
}

/// Every field must be there, as Avro's own decoder wants it, and none that the schema does not have: a misspelt name
/// would otherwise lose its value without a word.
fn read_record(node: Node<'_>, object: &Map<String, Json>, depth: usize) -> Result<Value, Error> {
    let Kind::Record(fields) = node.kind() else {
        return unexpected("a record", node.branch_name());
    };
    let mut values = Vec::with_capacity(fields.len());
    for field in &fields {
        let Some(json) = object.get(field.name()) else {
            return unexpected(format!("a field {}", field.name()), "none");
        };
        values.push(located(field.name(), read(field.node(), json, depth + 1))?);
    }
    if object.len() > fields.len() {
        let unknown = object
            .keys()
            .find(|key| fields.iter().all(|field| field.name() != key.as_str()));
        return unexpected(
            format!("the fields of {}", node.branch_name()),
            unknown.map_or("", |key| key),
        );
    }
    Ok(Value::Record(values))
}

/// `None` where no branch takes the JSON.
fn read_branch(branches: Branches<'_>, json: &Json, depth: usize) -> Result<Option<Value>, Error> {
    let (name, inner) = match json {
        Json::Null => ("null", json),
        Json::Object(object) if object.len() == 1 => match object.iter().next() {
            Some((name, inner)) => (name.as_str(), inner),
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    let mut named = branches.iter().enumerate();
    let Some((index, branch)) = named.find(|(_, branch)| branch.branch_name() == name) else {
        return Ok(None);
    };
    let value = located(name, read(branch, inner, depth + 1))?;
    Ok(Some(Value::Union(index, Box::new(value))))
}

fn describe(node: Node<'_>) -> String {
    match node.kind() {
        Kind::Union(branches) => {
            let names: Vec<&str> = branches.iter().map(|branch| branch.branch_name()).collect();
            format!(
                "a union of {}, written as {{\"branch\": value}} or null",
                names.join(", ")
            )
        }
        Kind::Enum(symbols) => format!("one of {}", symbols.join(", ")),
        Kind::Fixed(size) => format!("a string of {size} characters up to U+00FF"),
        _ => node.branch_name().to_owned(),
    }
}

fn shorten(json: &Json) -> String {
    const CHARACTERS_MAX: usize = 80;
    let text = json.to_string();
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars()
        .map(|character| u8::try_from(character).ok())
        .collect()
}

pub(super) fn encode(node: Node<'_>, value: &Value) -> Result<Json, Error> {
    write(node, value, 0)
}

fn write(node: Node<'_>, value: &Value, depth: usize) -> Result<Json, Error> {
    if depth > DEPTH_MAX {
        return Err(Error::TooDeep);
    }
    Ok(match (node.kind(), value) {
        (Kind::Null, Value::Null) => Json::Null,
        (Kind::Boolean, Value::Boolean(value)) => Json::Bool(*value),
        (Kind::Int, Value::Int(value)) => Json::from(*value),
        (Kind::Long, Value::Long(value)) => Json::from(*value),
        (Kind::Float, Value::Float(value)) => float(f64::from(*value), &value.to_string()),
        (Kind::Double, Value::Double(value)) => float(*value, &value.to_string()),
        (Kind::Bytes, Value::Bytes(value)) | (Kind::Fixed(_), Value::Fixed(value)) => {
            Json::String(value.iter().copied().map(char::from).collect())
        }
        (Kind::String, Value::String(value)) => Json::String(value.clone()),
        (Kind::Enum(symbols), Value::Enum(index)) if *index < symbols.len() => {
            Json::from(symbols[*index].as_str())
        }
        (Kind::Union(branches), Value::Union(index, value)) if *index < branches.len() => {
            let branch = branches.get(*index).expect("the index was checked");
            match located(branch.branch_name(), write(branch, value, depth + 1))? {
                Json::Null => Json::Null,
                inner => Json::Object(Map::from_iter([(branch.branch_name().to_owned(), inner)])),
            }
        }
        (Kind::Record(fields), Value::Record(values)) if fields.len() == values.len() => {
            let mut object = Map::new();
            for (field, value) in fields.iter().zip(values) {
                let json = located(field.name(), write(field.node(), value, depth + 1))?;
                object.insert(field.name().to_owned(), json);
            }
            Json::Object(object)
        }
        (Kind::Array(items), Value::Array(values)) => {
            let values = values.iter().enumerate();
            let values = values.map(|(index, value)| located(index, write(items, value, depth + 1)));
            Json::Array(values.collect::<Result<_, _>>()?)
        }
        (Kind::Map(of), Value::Map(entries)) => {
            let mut object = Map::new();
            for (key, value) in entries {
                object.insert(key.clone(), located(key, write(of, value, depth + 1))?);
            }
            Json::Object(object)
        }
        (_, other) => return unexpected(node.branch_name(), format!("{other:?}")),
    })
}

/// JSON has no number for these; Avro's encoder writes Java's names as strings.
fn float(value: f64, text: &str) -> Json {
    if value.is_nan() {
        return Json::from("NaN");
    }
    if value.is_infinite() {
        return Json::from(if value > 0.0 { "Infinity" } else { "-Infinity" });
    }
    let text = if text.contains(['.', 'e', 'E']) {
        text.to_owned()
    } else {
        format!("{text}.0")
    };
    Json::Number(Number::from_string_unchecked(text))
}
