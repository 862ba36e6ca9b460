//! Connect's schemas as Avro's (`AvroData.fromConnectSchema`).

use forebay_connect_api::schema::{Logical, Type};
use forebay_connect_api::{Schema, Value};
use serde_json::{Map, Value as Json, json};

use crate::Error;
use crate::from_avro::UNION;

/// Confluent's namespace of what has no name.
const NAMESPACE: &str = "io.confluent.connect.avro";
/// The precision that Confluent gives decimals that say none.
pub(crate) const PRECISION: i64 = 64;
/// The parameter that says the precision of a decimal.
pub(crate) const PRECISION_PARAMETER: &str = "connect.decimal.precision";

/// The records so far by name, which Avro lets be defined once and then only referred to.
type Defined = Vec<(String, Definition)>;

/// What a name stands for.
enum Definition {
    Struct(Schema),
    MapEntry,
}

impl Definition {
    fn is_same(&self, schema: &Schema) -> bool {
        // Being optional is said around the record, and a default beside it.
        let plain = |schema: &Schema| {
            (
                schema.fields().to_vec(),
                schema.version(),
                schema.parameters().clone(),
            )
        };
        matches!(self, Self::Struct(known) if plain(known) == plain(schema))
    }
}

/// The Avro schema, as JSON.
///
/// # Errors
/// If two different structs have one name.
pub fn schema(schema: &Schema) -> Result<Json, Error> {
    to_json(schema, &mut Vec::new())
}

fn to_json(schema: &Schema, defined: &mut Defined) -> Result<Json, Error> {
    if is_union(schema) {
        let null = schema.is_optional().then(|| Ok("null".into()));
        let branches = schema.fields().iter().map(|field| base(&field.schema, defined));
        return null.into_iter().chain(branches).collect();
    }
    let bare = base(schema, defined)?;
    Ok(if !schema.is_optional() {
        bare
    } else if schema.default_value().is_some() {
        json!([bare, "null"])
    } else {
        json!(["null", bare])
    })
}

fn base(schema: &Schema, defined: &mut Defined) -> Result<Json, Error> {
    let mut out = Map::new();
    let simple = match schema.schema_type() {
        Type::Boolean => "boolean",
        Type::Int8 | Type::Int16 | Type::Int32 => "int",
        Type::Int64 => "long",
        Type::Float32 => "float",
        Type::Float64 => "double",
        Type::String => "string",
        Type::Bytes => "bytes",
        Type::Array => "array",
        Type::Map if is_avro_map(schema) => "map",
        Type::Map => "array",
        Type::Struct => "record",
    };
    out.insert("type".to_owned(), simple.into());
    match schema.schema_type() {
        Type::Int8 | Type::Int16 => {
            let name = schema.schema_type().name().to_lowercase();
            out.insert("connect.type".to_owned(), name.into());
        }
        Type::Array => {
            let items = schema.value_schema().expect("an ARRAY has one");
            out.insert("items".to_owned(), to_json(items, defined)?);
        }
        Type::Map => map(schema, &mut out, defined)?,
        Type::Struct => {
            let name = match schema.name() {
                Some(UNION) => union_name(schema, defined),
                Some(name) => name.to_owned(),
                None => free_name("ConnectDefault", defined),
            };
            if let Some((_, known)) = defined.iter().find(|(known, _)| *known == name) {
                return if known.is_same(schema) {
                    Ok(name.into())
                } else {
                    Err(Error::data(format!(
                        "two different structs are named {name}, which Avro cannot say"
                    )))
                };
            }
            defined.push((name.clone(), Definition::Struct(schema.clone())));
            record(schema, &name, &mut out, defined)?;
        }
        _ => {}
    }
    properties(schema, &mut out);
    // As Confluent writes it, a type of which there is nothing to say is just its word.
    if out.len() == 1 {
        return Ok(simple.into());
    }
    Ok(Json::Object(out))
}

/// Avro's maps have strings as keys; others are arrays of entries.
pub(crate) fn is_avro_map(schema: &Schema) -> bool {
    let keys = schema.key_schema();
    keys.is_some_and(|keys| keys.schema_type() == Type::String && !keys.is_optional())
}

fn map(schema: &Schema, out: &mut Map<String, Json>, defined: &mut Defined) -> Result<(), Error> {
    let values = to_json(schema.value_schema().expect("a MAP has one"), defined)?;
    if is_avro_map(schema) {
        out.insert("values".to_owned(), values);
        return Ok(());
    }
    let name = free_name("MapEntry", defined);
    defined.push((name.clone(), Definition::MapEntry));
    let keys = to_json(schema.key_schema().expect("a MAP has one"), defined)?;
    let fields = json!([{ "name": "key", "type": keys }, { "name": "value", "type": values }]);
    let entry =
        json!({ "type": "record", "name": name, "fields": fields, "connect.internal.type": "MapEntry" });
    out.insert("items".to_owned(), entry);
    Ok(())
}

/// Whether a struct stands for a union of several types, and each of its fields for the branch that has its name. One of an enum or
/// a fixed, which are strings and bytes by now, is a record.
pub(crate) fn is_union(schema: &Schema) -> bool {
    let is_branch = |of: &Schema, name: &str| {
        of.is_optional() && of.default_value().is_none() && branch_name(of) == Some(name)
    };
    let mut fields = schema.fields().iter();
    // With null, one branch more would be an optional type and no union.
    schema.name() == Some(UNION)
        && fields.len() > 1
        && schema.default_value().is_none()
        && fields.all(|field| is_branch(&field.schema, &field.name))
}

/// How a union names the branch that [`base`] makes; `None` if it cannot have it as one.
fn branch_name(schema: &Schema) -> Option<&str> {
    Some(match schema.schema_type() {
        Type::Boolean => "boolean",
        Type::Int8 | Type::Int16 | Type::Int32 => "int",
        Type::Int64 => "long",
        Type::Float32 => "float",
        Type::Float64 => "double",
        Type::String => "string",
        Type::Bytes => "bytes",
        Type::Map if is_avro_map(schema) => "map",
        Type::Array | Type::Map => "array",
        Type::Struct => return schema.name().filter(|name| *name != UNION),
    })
}

/// A name for a record of the branches of a union: different unions have one name in Connect.
fn union_name(schema: &Schema, defined: &Defined) -> String {
    let same = defined
        .iter()
        .find(|(name, known)| name.starts_with(UNION) && known.is_same(schema));
    same.map_or_else(|| free_name("Union", defined), |(name, _)| name.clone())
}

/// A name of Confluent's that is not taken: `ConnectDefault`, `ConnectDefault2`, …
fn free_name(simple: &str, defined: &Defined) -> String {
    let numbers = std::iter::once(String::new()).chain((2..).map(|number: u32| number.to_string()));
    let mut names = numbers.map(|number| format!("{NAMESPACE}.{simple}{number}"));
    let is_free = |name: &String| defined.iter().all(|(known, _)| known != name);
    names.find(is_free).expect("there is no end of numbers")
}

fn record(
    schema: &Schema,
    name: &str,
    out: &mut Map<String, Json>,
    defined: &mut Defined,
) -> Result<(), Error> {
    match name.rsplit_once('.') {
        Some((namespace, simple)) => {
            out.insert("name".to_owned(), simple.into());
            out.insert("namespace".to_owned(), namespace.into());
        }
        None => {
            out.insert("name".to_owned(), name.into());
        }
    }
    let mut fields = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let of = to_json(&field.schema, defined).map_err(|error| error.within(&field.name))?;
        let mut out = Map::from_iter([
            ("name".to_owned(), Json::from(&*field.name)),
            ("type".to_owned(), of),
        ]);
        if let Some(doc) = field.schema.doc() {
            out.insert("doc".to_owned(), doc.into());
        }
        match field.schema.default_value() {
            Some(default) => {
                if let Some(default) = default_json(default) {
                    out.insert("default".to_owned(), default);
                }
            }
            None if field.schema.is_optional() => {
                out.insert("default".to_owned(), Json::Null);
            }
            None => {}
        }
        fields.push(Json::Object(out));
    }
    out.insert("fields".to_owned(), fields.into());
    Ok(())
}

/// A default in Avro's JSON; of values with values inside none is written, and readers see a field that is required.
fn default_json(value: &Value) -> Option<Json> {
    Some(match value {
        Value::Boolean(value) => (*value).into(),
        Value::Int8(number) => (*number).into(),
        Value::Int16(number) => (*number).into(),
        Value::Int32(number) => (*number).into(),
        Value::Int64(number) => (*number).into(),
        Value::Float32(number) if number.is_finite() => f64::from(*number).into(),
        Value::Float64(number) if number.is_finite() => (*number).into(),
        Value::String(text) => text.as_str().into(),
        // Avro has bytes as code points.
        Value::Bytes(bytes) => bytes
            .iter()
            .map(|byte| char::from(*byte))
            .collect::<String>()
            .into(),
        _ => return None,
    })
}

/// What Avro itself cannot say.
fn properties(schema: &Schema, out: &mut Map<String, Json>) {
    if let Some(Logical::Decimal { scale }) = schema.logical() {
        let precision = schema.parameters().get(PRECISION_PARAMETER);
        let precision = precision
            .and_then(|precision| precision.parse().ok())
            .unwrap_or(PRECISION);
        out.insert("scale".to_owned(), scale.into());
        out.insert("precision".to_owned(), precision.into());
    }
    if let Some(doc) = schema.doc() {
        out.insert("connect.doc".to_owned(), doc.into());
    }
    if let Some(version) = schema.version() {
        out.insert("connect.version".to_owned(), version.into());
    }
    if !schema.parameters().is_empty() {
        let parameters = schema.parameters().iter();
        let parameters: Map<String, Json> = parameters
            .map(|(name, value)| (name.to_string(), Json::from(&**value)))
            .collect();
        out.insert("connect.parameters".to_owned(), parameters.into());
    }
    if let Some(name) = schema.name() {
        out.insert("connect.name".to_owned(), name.into());
    }
    let logical = schema.logical().map(|logical| match logical {
        Logical::Decimal { .. } => "decimal",
        Logical::Date => "date",
        Logical::Time => "time-millis",
        Logical::Timestamp => "timestamp-millis",
    });
    if let Some(logical) = logical {
        out.insert("logicalType".to_owned(), logical.into());
    }
}
