//! Avro's schemas as Connect's (`AvroData.toConnectSchema`).

use std::collections::HashMap;
use std::sync::Arc;

use forebay_connect_api::schema::{self, Type};
use forebay_connect_api::{Schema, SchemaBuilder, Value};
use forebay_schema_registry_schema::avro::{Branches, FieldView, Kind, Node};
use serde_json::Value as Json;

use crate::Error;
use crate::to_avro::{PRECISION, PRECISION_PARAMETER};

/// A string that was an enum has its name and symbols as parameters of this prefix.
const ENUM: &str = "io.confluent.connect.avro.Enum";
/// The name of the struct that stands for a union of several types.
pub(crate) const UNION: &str = "io.confluent.connect.avro.Union";
/// Bytes that were a fixed have its size as this parameter.
const FIXED_SIZE: &str = "connect.fixed.size";

/// How deep types may be within each other.
const DEPTH_MAX: usize = 200;

/// What a Connect schema may cost when each type is counted at every place where it is used. Avro names a record once and may use
/// it at a thousand places, each of which may use another a thousand times; Connect's schemas have no names to refer to, and who
/// walks over one meets every place. A schema of a megabyte that uses no type twice is within this, unless it is one of enums with
/// more than a hundred thousand symbols.
const COST_MAX: usize = 16 * 1024 * 1024;

/// What each type costs besides its texts.
const TYPE_COST: usize = 64;

/// The Connect schema of an Avro schema.
///
/// # Errors
/// If there is none: of records that contain themselves, of null alone, of schemas that are too large.
pub fn schema(node: Node<'_>) -> Result<Arc<Schema>, Error> {
    Walk::default().of(node, None).map(|part| part.schema)
}

/// Along an Avro schema, from types to those within them.
#[derive(Debug, Default)]
struct Walk<'a> {
    /// The records around, in which none of them may be again.
    within: Vec<&'a str>,
    depth: usize,
    /// Of all that was met so far.
    cost: usize,
    /// Named types that were met, to be shared.
    known: HashMap<Use<'a>, Known>,
}

/// A named type as it is used: what a field adds to it makes another Connect schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Use<'a> {
    name: &'a str,
    optional: bool,
    doc: Option<&'a str>,
}

#[derive(Debug, Clone)]
struct Known {
    part: Part,
    cost: usize,
}

/// A Connect schema, and how many levels it has.
#[derive(Debug, Clone)]
struct Part {
    schema: Arc<Schema>,
    levels: usize,
}

impl<'a> Walk<'a> {
    fn of(&mut self, node: Node<'a>, field: Option<FieldView<'a>>) -> Result<Part, Error> {
        self.check_depth(1)?;
        self.depth += 1;
        let part = self.part(node, field);
        self.depth -= 1;
        part
    }

    fn check_depth(&self, levels: usize) -> Result<(), Error> {
        if self.depth + levels <= DEPTH_MAX {
            return Ok(());
        }
        Err(Error::data(format!(
            "the Avro schema is nested deeper than {DEPTH_MAX} levels"
        )))
    }

    fn pay(&mut self, cost: usize) -> Result<(), Error> {
        self.cost = self.cost.saturating_add(cost);
        if self.cost <= COST_MAX {
            return Ok(());
        }
        Err(Error::data(format!(
            "the Avro schema uses its named types so often that it would take over {COST_MAX} bytes in Connect, where each \
             use counts: Connect's schemas cannot refer to types by name"
        )))
    }

    fn part(&mut self, node: Node<'a>, field: Option<FieldView<'a>>) -> Result<Part, Error> {
        let (node, optional) = match node.kind() {
            Kind::Union(branches) => match optional_branch(branches) {
                Some(branch) => (branch, true),
                None => return self.union(branches),
            },
            _ => (node, false),
        };
        let default = field.and_then(FieldView::default);
        let doc = text(node, "connect.doc")
            .or_else(|| field.and_then(FieldView::doc))
            .or_else(|| node.doc());
        let shared = node
            .full_name()
            .filter(|_| default.is_none())
            .map(|name| Use { name, optional, doc });
        if let Some(known) = shared.and_then(|shared| self.known.get(&shared)).cloned() {
            self.check_depth(known.part.levels.saturating_sub(1))?;
            self.pay(known.cost)?;
            return Ok(known.part);
        }
        let before = self.cost;
        self.pay(own_cost(node, doc))?;
        let Bare { builder, levels } = self.bare(node)?;
        let part = Part {
            schema: built(builder.with_optional(optional), node, doc, default)?,
            levels: levels + 1,
        };
        if let Some(shared) = shared {
            let cost = self.cost - before;
            let part = part.clone();
            self.known.insert(shared, Known { part, cost });
        }
        Ok(part)
    }
}

/// A type without what may be said of each: its builder, and the levels within it.
struct Bare {
    builder: SchemaBuilder,
    levels: usize,
}

/// The texts that are copied into the Connect schema of a type.
fn own_cost(node: Node<'_>, doc: Option<&str>) -> usize {
    let name = node.full_name().map_or(0, str::len);
    let symbols = match node.kind() {
        Kind::Enum(symbols) => symbols
            .iter()
            .map(|symbol| TYPE_COST + ENUM.len() + 2 * symbol.len())
            .sum(),
        _ => 0,
    };
    let parameters = node.property("connect.parameters").and_then(Json::as_object);
    let parameters = parameters.into_iter().flatten();
    let parameters: usize = parameters
        .map(|(name, value)| TYPE_COST + name.len() + value.as_str().map_or(0, str::len))
        .sum();
    let given = text(node, "connect.name").map_or(0, str::len);
    TYPE_COST + name + given + doc.map_or(0, str::len) + symbols + parameters
}

fn built(
    mut builder: SchemaBuilder,
    node: Node<'_>,
    doc: Option<&str>,
    default: Option<&Json>,
) -> Result<Arc<Schema>, Error> {
    if let Some(doc) = doc {
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
    let Some(default) = default else {
        return builder.build().map_err(unsound);
    };
    let plain = builder.clone().build().map_err(unsound)?;
    match default_value(plain.schema_type(), default) {
        Some(default) => builder.default_value(default).build().map_err(unsound),
        None => Ok(plain),
    }
}

fn text<'a>(node: Node<'a>, property: &str) -> Option<&'a str> {
    node.property(property).and_then(Json::as_str)
}

/// The other branch of a union of two of which one is null.
pub(crate) fn optional_branch(branches: Branches<'_>) -> Option<Node<'_>> {
    let is_null = |node: Node<'_>| matches!(node.kind(), Kind::Null);
    match (branches.len(), branches.get(0)?, branches.get(1)?) {
        (2, null, other) | (2, other, null) if is_null(null) && !is_null(other) => Some(other),
        _ => None,
    }
}

impl<'a> Walk<'a> {
    fn bare(&mut self, node: Node<'a>) -> Result<Bare, Error> {
        let (builder, levels) = match node.kind() {
            Kind::Array(items) => {
                if let Some((keys, values)) = map_entry(items) {
                    return self.map(Some(keys), values);
                }
                let items = self.of(items, None)?;
                (Schema::array(items.schema), items.levels)
            }
            Kind::Map(values) => return self.map(None, values),
            Kind::Record(fields) => return self.record(node, &fields),
            Kind::Union(_) => return Err(Error::data("a union directly within a union is no Avro")),
            _ => (simple(node)?, 0),
        };
        Ok(Bare { builder, levels })
    }

    /// Keys are strings unless said otherwise.
    fn map(&mut self, keys: Option<Node<'a>>, values: Node<'a>) -> Result<Bare, Error> {
        let keys = keys.map(|keys| self.of(keys, None)).transpose()?;
        let values = self.of(values, None)?;
        let levels = keys.as_ref().map_or(1, |keys| keys.levels).max(values.levels);
        let keys = keys.map_or_else(Schema::string_schema, |keys| keys.schema);
        Ok(Bare {
            builder: Schema::map(keys, values.schema),
            levels,
        })
    }

    fn record(&mut self, node: Node<'a>, fields: &[FieldView<'a>]) -> Result<Bare, Error> {
        let name = node.full_name().unwrap_or_default();
        if self.within.contains(&name) {
            return Err(Error::data(format!(
                "the record {name} contains itself, which Connect's schemas cannot say"
            )));
        }
        self.within.push(name);
        let mut builder = Schema::structure().name(name);
        let mut levels = 0;
        for field in fields {
            self.pay(field.name().len())?;
            let of = self
                .of(field.node(), Some(*field))
                .map_err(|error| error.within(field.name()))?;
            levels = levels.max(of.levels);
            builder = builder.field(field.name(), of.schema);
        }
        self.within.pop();
        Ok(Bare { builder, levels })
    }

    /// A struct with one optional field for each branch.
    fn union(&mut self, branches: Branches<'a>) -> Result<Part, Error> {
        self.pay(TYPE_COST)?;
        let mut builder = Schema::structure().name(UNION);
        let mut levels = 0;
        for branch in branches.iter() {
            if matches!(branch.kind(), Kind::Null) {
                builder = builder.optional();
                continue;
            }
            let inner = self.of(branch, None)?;
            levels = levels.max(inner.levels);
            let inner = inner.schema.to_builder().optional().build();
            let inner = inner
                .map_err(|error| Error::data_because("a branch of a union cannot be optional", error))?;
            self.pay(branch.branch_name().len())?;
            builder = builder.field(branch.branch_name(), inner);
        }
        let schema = builder
            .build()
            .map_err(|error| Error::data_because("a union cannot be had in Connect", error))?;
        Ok(Part {
            schema,
            levels: levels + 1,
        })
    }
}

/// A type without types inside.
fn simple(node: Node<'_>) -> Result<SchemaBuilder, Error> {
    Ok(match node.kind() {
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
        Kind::Null | Kind::Array(_) | Kind::Map(_) | Kind::Union(_) | Kind::Record(_) => {
            return Err(Error::data(
                "Standalone null schemas are not supported by this converter",
            ));
        }
    })
}

fn decimal(node: Node<'_>) -> Option<SchemaBuilder> {
    (text(node, "logicalType") == Some("decimal")).then(|| {
        let number = |property: &str| node.property(property).and_then(Json::as_i64);
        let scale = number("scale")
            .and_then(|scale| i32::try_from(scale).ok())
            .unwrap_or(0);
        let decimal = schema::decimal(scale);
        match number("precision") {
            // What Confluent writes for decimals that say none.
            Some(PRECISION) | None => decimal,
            Some(precision) => decimal.parameter(PRECISION_PARAMETER, precision.to_string()),
        }
    })
}

/// Keys and values of a map whose keys are no strings.
pub(crate) fn map_entry(items: Node<'_>) -> Option<(Node<'_>, Node<'_>)> {
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
