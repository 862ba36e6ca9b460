//! Avro schemas with `arg.properties`, as Avro Random Generator reads them. What it knows and this does not is refused by name.

use std::{collections::BTreeMap, sync::Arc};

use forebay_connect_api::{
    Schema, SchemaBuilder, Value,
    schema::{self, Type},
};
use serde_json::Value as Json;

use crate::{
    pattern::Pattern,
    template::{Content, Integers, Length, Template},
};

/// How deep schemas may lie in each other.
const DEPTH_MAX: usize = 16;
/// How many types a schema may have, names that stand for others counted as these.
const TYPES_MAX: usize = 10_000;
/// How many items, entries or bytes a value may have.
const LENGTH_MAX: usize = 10_000;
/// How many, unless `length` says.
const LENGTH_DEFAULT: Length = Length { min: 1, max: 8 };
/// The texts of a `string` without anything said.
const TEXT_DEFAULT: &str = "[a-z]{8,15}";

/// Reads the schema of a record.
///
/// # Errors
/// What is wrong with it, and where.
pub(crate) fn template(text: &str) -> Result<Template, String> {
    let json: Json =
        serde_json::from_str(text).map_err(|error| format!("the schema is not JSON: {error}"))?;
    let mut reader = Reader::default();
    let template = reader.read(&json, "", 0)?;
    match template.schema.schema_type() {
        Type::Struct => Ok(template),
        other => Err(format!("the schema must be a record, not {other}")),
    }
}

/// What was read so far.
#[derive(Debug, Default)]
struct Reader {
    /// Records and enums by full name.
    named: BTreeMap<String, Template>,
    types: usize,
}

impl Reader {
    fn read(&mut self, json: &Json, namespace: &str, depth: usize) -> Result<Template, String> {
        self.types += 1;
        if depth > DEPTH_MAX || self.types > TYPES_MAX {
            return Err(format!(
                "the schema has more than {DEPTH_MAX} levels or {TYPES_MAX} types"
            ));
        }
        match json {
            Json::String(name) => self.named(name, namespace),
            Json::Array(branches) => self.union(branches, namespace, depth),
            Json::Object(_) => match &json["type"] {
                Json::String(name) => self.described(name, json, namespace, depth),
                inner => self.read(inner, namespace, depth + 1),
            },
            other => Err(format!("{other} is no schema")),
        }
    }

    fn named(&self, name: &str, namespace: &str) -> Result<Template, String> {
        if let Some(plain) = primitive(name, &Json::Null)? {
            return Ok(plain);
        }
        let known = self
            .named
            .get(&full_name(name, namespace))
            .or_else(|| self.named.get(name));
        known.cloned().ok_or_else(|| {
            format!("there is no type {name}: a type is known behind its definition, not within it")
        })
    }

    /// `["null", T]` in either order.
    fn union(&mut self, branches: &[Json], namespace: &str, depth: usize) -> Result<Template, String> {
        let others: Vec<&Json> = branches.iter().filter(|branch| **branch != "null").collect();
        match others[..] {
            [only] if branches.len() == 2 => {
                let inner = self.read(only, namespace, depth + 1)?;
                let schema = inner.schema.to_builder().optional();
                finish(schema, Content::Nullable(Box::new(inner)))
            }
            [only] if branches.len() == 1 => self.read(only, namespace, depth + 1),
            _ => Err("a union must be of null and one type".to_owned()),
        }
    }

    fn described(
        &mut self,
        name: &str,
        json: &Json,
        namespace: &str,
        depth: usize,
    ) -> Result<Template, String> {
        let arguments = &json["arg.properties"];
        let own = json["namespace"].as_str().unwrap_or(namespace);
        match name {
            "record" => {
                let full = full_name(json["name"].as_str().ok_or("a record has a name")?, own);
                let own = full
                    .rsplit_once('.')
                    .map_or("", |(namespace, _)| namespace)
                    .to_owned();
                let fields = json["fields"]
                    .as_array()
                    .ok_or_else(|| format!("{full} has no fields"))?;
                let mut schema = Schema::structure().name(full.as_str());
                let mut parts = Vec::new();
                for field in fields {
                    let name = field["name"]
                        .as_str()
                        .ok_or_else(|| format!("a field of {full} has no name"))?;
                    let part = self.read(&field["type"], &own, depth + 1);
                    let part = part.map_err(|why| format!("{full}, field {name}: {why}"))?;
                    schema = schema.field(name, Arc::clone(&part.schema));
                    parts.push(part);
                }
                let made = finish(schema, Content::Struct(parts))?;
                self.named.insert(full, made.clone());
                Ok(made)
            }
            "enum" => {
                let full = full_name(json["name"].as_str().ok_or("an enum has a name")?, own);
                let symbols = json["symbols"].as_array().map(Vec::as_slice).unwrap_or_default();
                let options = symbols.iter().filter_map(Json::as_str).map(Value::from).collect();
                let made = options_of(Schema::string(), options)?;
                self.named.insert(full, made.clone());
                Ok(made)
            }
            "array" => {
                let items = self.read(&json["items"], own, depth + 1)?;
                let schema = Schema::array(Arc::clone(&items.schema));
                finish(
                    schema,
                    Content::Array(Box::new(items), length(&only(arguments, &["length"])?["length"])?),
                )
            }
            "map" => {
                let values = self.read(&json["values"], own, depth + 1)?;
                let arguments = only(arguments, &["length", "keys"])?;
                let keys = Pattern::new(arguments["keys"]["regex"].as_str().unwrap_or(TEXT_DEFAULT))?;
                let schema = Schema::map(Schema::string_schema(), Arc::clone(&values.schema));
                finish(
                    schema,
                    Content::Map(keys, Box::new(values), length(&arguments["length"])?),
                )
            }
            _ => match primitive(name, json)? {
                Some(found) => Ok(found),
                None => self.named(name, own),
            },
        }
    }
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}.{name}")
    }
}

fn finish(schema: SchemaBuilder, content: Content) -> Result<Template, String> {
    let schema = schema.build().map_err(|error| error.to_string())?;
    Ok(Template { schema, content })
}

fn options_of(schema: SchemaBuilder, options: Vec<Value>) -> Result<Template, String> {
    if options.is_empty() {
        return Err("there are no options".to_owned());
    }
    finish(schema, Content::Options(options))
}

/// The arguments, if there are no others than these.
fn only<'a>(arguments: &'a Json, known: &[&str]) -> Result<&'a Json, String> {
    let unknown = arguments
        .as_object()
        .and_then(|given| given.keys().find(|name| !known.contains(&name.as_str())));
    match unknown {
        Some(name) => Err(format!(
            "arg.properties has {name}, which is not known here; known are {}",
            known.join(", ")
        )),
        None => Ok(arguments),
    }
}

/// A type without parts; `None` for another.
fn primitive(name: &str, json: &Json) -> Result<Option<Template>, String> {
    let arguments = &json["arg.properties"];
    let schema = match (name, json["logicalType"].as_str()) {
        ("int", Some("date")) => schema::date(),
        ("int", Some("time-millis")) => schema::time(),
        ("long", Some("timestamp-millis")) => schema::timestamp(),
        (_, Some(logical)) => return Err(format!("the logical type {logical} of {name} is not known here")),
        ("boolean", _) => Schema::boolean(),
        ("int", _) => Schema::int32(),
        ("long", _) => Schema::int64(),
        ("float", _) => Schema::float32(),
        ("double", _) => Schema::float64(),
        ("string", _) => Schema::string(),
        ("bytes", _) => Schema::bytes(),
        _ => return Ok(None),
    };
    if let Some(options) = arguments["options"].as_array() {
        only(arguments, &["options"])?;
        let options: Option<Vec<Value>> = options.iter().map(|option| option_of(name, option)).collect();
        let options = options.ok_or_else(|| format!("not every option is of type {name}"))?;
        return options_of(schema, options).map(Some);
    }
    let content = match name {
        "boolean" => Content::Boolean(only(arguments, &["odds"])?["odds"].as_f64().unwrap_or(0.5)),
        "int" => Content::Integer(integers(arguments, i64::from(i32::MIN), i64::from(i32::MAX))?),
        "long" => Content::Integer(integers(arguments, i64::MIN, i64::MAX)?),
        "float" | "double" => {
            let range = &only(arguments, &["range"])?["range"];
            let (min, max) = (
                range["min"].as_f64().unwrap_or(0.0),
                range["max"].as_f64().unwrap_or(1.0),
            );
            if min >= max {
                return Err(format!("the range from {min} to {max} is empty"));
            }
            Content::Fraction { min, max }
        }
        "string" => Content::Text(text_of(only(arguments, &["regex", "length"])?)?),
        _ => Content::Bytes(length(&only(arguments, &["length"])?["length"])?),
    };
    finish(schema, content).map(Some)
}

fn option_of(name: &str, option: &Json) -> Option<Value> {
    Some(match name {
        "boolean" => option.as_bool()?.into(),
        "int" => i32::try_from(option.as_i64()?).ok()?.into(),
        "long" => option.as_i64()?.into(),
        #[allow(clippy::cast_possible_truncation)] // A narrower float is what is asked for.
        "float" => (option.as_f64()? as f32).into(),
        "double" => option.as_f64()?.into(),
        "string" => option.as_str()?.into(),
        _ => return None,
    })
}

fn integers(arguments: &Json, lowest: i64, highest: i64) -> Result<Integers, String> {
    only(arguments, &["range", "iteration"])?;
    let whole = |json: &Json, default: i64| match json {
        Json::Null => Ok(default),
        other => other
            .as_i64()
            .ok_or_else(|| format!("{other} is no whole number of 64 bits")),
    };
    if let iteration @ Json::Object(_) = &arguments["iteration"] {
        only(iteration, &["start", "step", "restart"])?;
        let step = whole(&iteration["step"], 1)?;
        let restart = match &iteration["restart"] {
            Json::Null => None,
            other => Some(whole(other, 0)?),
        };
        if step == 0 {
            return Err("an iteration's step is not 0".to_owned());
        }
        return Ok(Integers::Iteration {
            start: whole(&iteration["start"], 0)?,
            step,
            restart,
        });
    }
    let range = &arguments["range"];
    let (min, max) = (whole(&range["min"], lowest)?, whole(&range["max"], highest)?);
    if min >= max || min < lowest || max > highest {
        return Err(format!(
            "the range from {min} to {max} is empty, or wider than the type"
        ));
    }
    Ok(Integers::Range { min, max })
}

fn text_of(arguments: &Json) -> Result<Pattern, String> {
    match (&arguments["regex"], &arguments["length"]) {
        (Json::String(pattern), Json::Null) => Pattern::new(pattern),
        (Json::Null, Json::Null) => Pattern::new(TEXT_DEFAULT),
        (Json::Null, given) => {
            let Length { min, max } = length(given)?;
            Pattern::new(&format!("[a-z]{{{min},{}}}", max - 1))
        }
        _ => Err("a string has a regex or a length".to_owned()),
    }
}

/// A number, or `min` and `max` without that.
fn length(json: &Json) -> Result<Length, String> {
    let read = |json: &Json| {
        let number = json.as_u64().and_then(|number| usize::try_from(number).ok());
        number.filter(|number| *number <= LENGTH_MAX)
    };
    let length = match json {
        Json::Null => Some(LENGTH_DEFAULT),
        Json::Number(_) => read(json).map(|number| Length {
            min: number,
            max: number + 1,
        }),
        _ => read(&json["min"])
            .zip(read(&json["max"]))
            .map(|(min, max)| Length { min, max }),
    };
    let length = length.filter(|length| length.min < length.max);
    length
        .ok_or_else(|| format!("{json} is no length: a number up to {LENGTH_MAX}, or min and a greater max"))
}
