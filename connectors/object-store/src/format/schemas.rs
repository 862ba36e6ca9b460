//! Which schema a file has, and which records are written with it. See the head of `format.rs` for the rule.

mod exact;
mod infer;
mod project;
mod unify;

use std::sync::{Arc, Mutex, MutexGuard};

use forebay_connect_api::{Error, Schema, SchemaAndValue, Value, schema::Type};

pub(super) use exact::{is_exact, plain, wants_exact};
pub(super) use project::{Misfit, Room, Width, conform, conform_within, is_too_sparse, is_unknown, width};
pub(super) use unify::{PRECISION_PARAMETER, unify};

use super::Refused;

/// Fields, items, keys and values of a schema, each of which is a column or holds columns: they cost memory in each open file.
const FIELDS_MAX: usize = 10_000;
/// Schemas that are remembered from file to file, and schemas of records that are known to fit.
const KNOWN_MAX: usize = 16;

const WAYS_OUT: &str = "Ways out: schema.inference.enable=true; JSON lines \
    (format.class=io.confluent.connect.s3.format.json.JsonFormat); JSON with schemas (value.converter.schemas.enable=true, and \
    records that carry {\"schema\":…,\"payload\":…}); or Avro (value.converter=io.confluent.connect.avro.AvroConverter)";

/// `schema.compatibility`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compatibility {
    /// A file has the union of its records' schemas.
    None,
    /// A newer version begins the next file; older ones are written with the newest so far (FULL does the same).
    Backward,
    /// An older version begins the next file; newer ones are written with the oldest so far.
    Forward,
}

/// What decides about schemas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) compatibility: Compatibility,
    /// Whether values without a schema get one.
    pub(crate) inference: bool,
}

/// The schema of a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FileSchema {
    pub(super) schema: Arc<Schema>,
    /// Made of values that came without one.
    pub(super) inferred: bool,
    /// There has been nothing but nulls without a schema: the file has that of the first value, and other files know nothing of it.
    pub(super) of_nulls: bool,
}

impl FileSchema {
    /// What it means that no file can have this schema: where it was made of what values came with, others will do better.
    pub(super) fn refused(&self, error: Error) -> Refused {
        match self.inferred {
            true => Refused::Record(error),
            false => Refused::All(error),
        }
    }
}

/// Schemas of the files so far, the last one first.
#[derive(Debug, Clone, Default)]
pub(super) struct Remembered(Arc<Mutex<Vec<FileSchema>>>);

impl Remembered {
    fn get(&self) -> MutexGuard<'_, Vec<FileSchema>> {
        self.0.lock().expect("nobody panics with it")
    }

    /// Puts `new` in front, in the place of what it came of.
    fn put(&self, new: &FileSchema, instead: Option<&FileSchema>, places: usize) {
        let mut known = self.get();
        known.retain(|known| known != new && Some(known) != instead);
        known.insert(0, new.clone());
        known.truncate(places);
    }
}

/// Whether a file takes a record.
#[derive(Debug)]
pub(super) enum Fit {
    /// As it is.
    AsItIs,
    /// If it has this schema from now on: see [`Target::settle`].
    With(FileSchema),
    /// Not at all.
    Other,
}

/// The schema of one file as it grows.
#[derive(Debug)]
pub(super) struct Target {
    rules: Rules,
    remembered: Remembered,
    current: Option<FileSchema>,
    /// Schemas of records that fit.
    fitting: Vec<Arc<Schema>>,
    /// Whether the format can say a schema.
    is_sayable: fn(&Arc<Schema>) -> bool,
    /// Whether the file was made before.
    again: bool,
}

impl Target {
    pub(super) fn new(rules: Rules, remembered: Remembered) -> Self {
        Self {
            rules,
            remembered,
            current: None,
            fitting: Vec::new(),
            is_sayable: |_| true,
            again: false,
        }
    }

    /// For a format that cannot say every union of schemas that it can say each: records of such belong into different files.
    pub(super) fn limited_to(mut self, is_sayable: fn(&Arc<Schema>) -> bool) -> Self {
        self.is_sayable = is_sayable;
        self
    }

    /// For a file that is made again of the records that it had.
    pub(super) fn again(mut self) -> Self {
        self.again = true;
        self
    }

    /// Whether it was known, when the file was first made, that its records do not ask for too much with its schema.
    pub(super) fn is_again(&self) -> bool {
        self.again
    }

    /// The file's schema; `None` before its first record.
    pub(super) fn schema(&self) -> Option<&FileSchema> {
        self.current.as_ref()
    }

    /// Whether values of this schema are known to fit, unless they do not fit their own.
    pub(super) fn takes(&self, schema: &Arc<Schema>) -> bool {
        self.fitting.iter().any(|known| Arc::ptr_eq(known, schema))
    }

    /// Whether the value may be tried before [`Target::fit`] has judged it: a value without schema says by itself whether it fits.
    pub(super) fn may_take(&self, value: &SchemaAndValue) -> bool {
        match (&self.current, &value.schema) {
            (Some(current), None) => current.inferred || value.value.is_null(),
            (Some(_), Some(schema)) => self.takes(schema),
            (None, _) => false,
        }
    }

    /// Judges a value.
    pub(super) fn fit(&mut self, value: &SchemaAndValue) -> Result<Fit, Refused> {
        if let Some(schema) = &value.schema {
            let mut left = FIELDS_MAX;
            check_size(schema, &mut left).map_err(Refused::All)?;
        }
        let Some(current) = &self.current else {
            let begun = self.begin(value)?;
            check_file(&begun)?;
            return Ok(Fit::With(begun));
        };
        let joined = self.join(current, value)?;
        Ok(match joined {
            Some(joined) if joined == *current => {
                self.learn(value);
                Fit::AsItIs
            }
            // Each can be written by itself: if not, it is refused when its own file is to begin.
            Some(joined) if !joined.inferred && !self.can_say(&joined) => Fit::Other,
            Some(joined) => {
                check_file(&joined)?;
                Fit::With(joined)
            }
            None => Fit::Other,
        })
    }

    fn can_say(&self, file: &FileSchema) -> bool {
        check_file(file).is_ok() && (self.is_sayable)(&file.schema)
    }

    /// The schema of a file that begins with this value: one of those before, if it takes it, or its own.
    fn begin(&self, value: &SchemaAndValue) -> Result<FileSchema, Refused> {
        for known in self.remembered.get().iter() {
            // A value without schema that goes with none of those before is at fault in each file, not the first of its own.
            if let Some(joined) = self.join(known, value)?
                && self.can_say(&joined)
            {
                return Ok(joined);
            }
        }
        let schema = self.own(value)?;
        let of_nulls = value.schema.is_none() && value.value.is_null();
        Ok(FileSchema {
            schema,
            inferred: value.schema.is_none() && !of_nulls,
            of_nulls,
        })
    }

    /// The schema of a value by itself.
    fn own(&self, value: &SchemaAndValue) -> Result<Arc<Schema>, Refused> {
        let schema = match &value.schema {
            Some(schema) => Some(Arc::clone(schema)),
            None => self.infer(&value.value)?,
        };
        schema.ok_or_else(|| {
            Refused::Record(Error::fatal(
                "the value has nothing in it of which columns could be made",
            ))
        })
    }

    /// Takes up the schema that [`Target::fit`] proposed for that value.
    pub(super) fn settle(&mut self, schema: FileSchema, value: &SchemaAndValue) {
        let places = match self.rules.compatibility {
            Compatibility::None => KNOWN_MAX,
            _ => 1,
        };
        if !schema.of_nulls {
            self.remembered.put(&schema, self.current.as_ref(), places);
        }
        self.current = Some(schema);
        self.learn(value);
    }

    fn learn(&mut self, value: &SchemaAndValue) {
        if let Some(schema) = &value.schema
            && !self.takes(schema)
        {
            self.fitting.insert(0, Arc::clone(schema));
            self.fitting.truncate(KNOWN_MAX);
        }
    }

    /// The schema for values of `current` and this one; `None` if they belong into different files.
    fn join(&self, current: &FileSchema, value: &SchemaAndValue) -> Result<Option<FileSchema>, Refused> {
        let schema = match &value.schema {
            None if value.value.is_null() => return Ok(Some(current.clone())),
            _ if current.of_nulls => return self.after_nulls(value),
            Some(_) if current.inferred => return Ok(None),
            None if !current.inferred => return Ok(None),
            Some(schema) if self.rules.compatibility == Compatibility::None => {
                unify(&current.schema, schema).ok()
            }
            Some(schema) => self.by_version(&current.schema, schema)?,
            None => Some(match self.infer(&value.value)? {
                Some(schema) => unify(&current.schema, &schema)
                    .map_err(|conflict| Refused::Record(Error::fatal(conflict.to_string())))?,
                None => Arc::clone(&current.schema),
            }),
        };
        let inferred = current.inferred;
        Ok(schema.map(|schema| FileSchema {
            schema,
            inferred,
            of_nulls: false,
        }))
    }

    /// The schema of a file that has had nothing but nulls: the value's, unless nulls cannot be in one file with it.
    fn after_nulls(&self, value: &SchemaAndValue) -> Result<Option<FileSchema>, Refused> {
        let schema = self.own(value)?;
        let schema = match (schema.schema_type(), self.rules.compatibility) {
            // No row is null.
            (Type::Struct, _) => return Ok(None),
            _ if schema.is_optional() => schema,
            (_, Compatibility::None) => unify::optional(schema.to_builder()),
            // Schemas are compared, and this one would be another.
            _ => return Ok(None),
        };
        Ok(Some(FileSchema {
            schema,
            inferred: value.schema.is_none(),
            of_nulls: false,
        }))
    }

    /// As Confluent's `StorageSchemaCompatibility` decides.
    fn by_version(&self, current: &Arc<Schema>, new: &Arc<Schema>) -> Result<Option<Arc<Schema>>, Refused> {
        if Arc::ptr_eq(current, new) || current == new {
            return Ok(Some(Arc::clone(current)));
        }
        let at_fault = |error: String| Refused::Record(Error::fatal(error));
        let (Some(there), Some(version)) = (current.version(), new.version()) else {
            return Err(at_fault(
                "its schema differs from the one before, and schema.compatibility decides by the schemas' versions, which they do not \
                 have: use schema.compatibility=NONE, where a file has the union of its records' schemas"
                    .to_owned(),
            ));
        };
        let is_next = match self.rules.compatibility {
            Compatibility::Forward => version < there,
            _ => version > there,
        };
        if is_next {
            return Ok(None);
        }
        project::check(new, current).map_err(|error| {
            at_fault(format!(
                "it cannot be written with version {there} of its schema: {error}"
            ))
        })?;
        Ok(Some(Arc::clone(current)))
    }

    fn infer(&self, value: &Value) -> Result<Option<Arc<Schema>>, Refused> {
        if !self.rules.inference {
            let what = match value {
                Value::String(_) | Value::Bytes(_) | Value::Null => None,
                Value::Map(_) => Some("an object"),
                Value::Array(_) => Some("an array"),
                _ => Some("a number or boolean"),
            };
            if let Some(what) = what {
                return Err(Refused::All(Error::fatal(format!(
                    "the value is {what} without a schema, of which no columns are made without inference. {WAYS_OUT}"
                ))));
            }
        }
        if value.is_null() {
            return Ok(Schema::primitive(Type::String, true));
        }
        let inferred =
            infer::infer(value).map_err(|conflict| Refused::Record(Error::fatal(conflict.to_string())))?;
        Ok(inferred.map(|schema| required(&schema)))
    }
}

/// A struct that is a row is never null.
pub(super) fn required(schema: &Arc<Schema>) -> Arc<Schema> {
    if schema.schema_type() != Type::Struct || !schema.is_optional() {
        return Arc::clone(schema);
    }
    let required = schema.to_builder().with_optional(false).build();
    required.expect("it was sound, and null is no default")
}

/// Whether a file may have that schema. Records whose schemas are their own doing are at fault by themselves.
fn check_file(file: &FileSchema) -> Result<(), Refused> {
    let mut left = FIELDS_MAX;
    check_size(&file.schema, &mut left).map_err(|error| file.refused(error))
}

fn too_many_fields() -> String {
    format!(
        "the value's schema has more than {FIELDS_MAX} fields, counting those inside others: too many for columns. {WAYS_OUT}"
    )
}

/// Takes what is inside `schema` from the fields that are `left`.
fn check_size(schema: &Schema, left: &mut usize) -> Result<(), Error> {
    let inner = schema.key_schema().into_iter().chain(schema.value_schema());
    let inner = inner.chain(schema.fields().iter().map(|field| &field.schema));
    for inner in inner {
        *left = left
            .checked_sub(1)
            .ok_or_else(|| Error::fatal(too_many_fields()))?;
        check_size(inner, left)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
