//! The schema of a value that came without one. All items of an array are gathered in one place, so that each field is looked at
//! once however many items there are, and fields are counted as they come: what one record may cost is known before it is paid.

use std::{collections::HashMap, sync::Arc};

use forebay_connect_api::{Schema, Value, schema::Type};

use super::{
    FIELDS_MAX, exact,
    unify::{Conflict, optional, unify},
};

/// The schema of a value; `None` if nothing can be said: of null, of an array or object without anything in it.
pub(super) fn infer(value: &Value) -> Result<Option<Arc<Schema>>, Conflict> {
    let mut inferred = Inferred::Unknown;
    let mut left = FIELDS_MAX;
    inferred.take(value, &mut left)?;
    inferred.schema()
}

/// What is known of values so far.
#[derive(Debug, Default)]
enum Inferred {
    #[default]
    Unknown,
    Primitive(Arc<Schema>),
    Array(Box<Self>),
    Object(Members),
    /// A struct has its own.
    Given(Arc<Schema>),
}

/// The members of objects in the order in which something was first known of them.
#[derive(Debug, Default)]
struct Members {
    members: Vec<(String, Inferred)>,
    by_name: HashMap<String, usize>,
}

impl Inferred {
    /// Learns of one more value, which may bring so many fields and items more.
    fn take(&mut self, value: &Value, left: &mut usize) -> Result<(), Conflict> {
        match value {
            Value::Null => Ok(()),
            Value::Array(items) => {
                let mut new = Self::Unknown;
                let (item, is_new) = match self {
                    Self::Array(item) => (&mut **item, false),
                    _ => (&mut new, true),
                };
                for value in items {
                    item.take(value, left).map_err(|conflict| conflict.within("[]"))?;
                }
                if !is_new || matches!(new, Self::Unknown) {
                    return Ok(());
                }
                pay(left)?;
                self.begin(Self::Array(Box::new(new)))
            }
            Value::Map(entries) => {
                let mut new = Members::default();
                let (members, is_new) = match self {
                    Self::Object(members) => (members, false),
                    _ => (&mut new, true),
                };
                for (key, value) in entries {
                    members.take(key, value, left)?;
                }
                match is_new && !new.members.is_empty() {
                    true => self.begin(Self::Object(new)),
                    false => Ok(()),
                }
            }
            Value::Struct(row) => match self {
                Self::Given(known) => {
                    *known = unify(known, &optional(row.schema().to_builder()))?;
                    Ok(())
                }
                _ => self.begin(Self::Given(optional(row.schema().to_builder()))),
            },
            value => {
                let of = match (value.as_i64(), value.value_type()) {
                    (Some(number), _) => exact::integer(number),
                    (None, Some(Type::Float32 | Type::Float64)) => exact::double(),
                    (None, other) => {
                        let of = other.expect("it is not null");
                        Schema::primitive(of, true).expect("it has no values inside")
                    }
                };
                match self {
                    Self::Primitive(known) => {
                        *known = unify(known, &of)?;
                        Ok(())
                    }
                    _ => self.begin(Self::Primitive(of)),
                }
            }
        }
    }

    /// Is `new`, of another kind than what was known, if anything was.
    fn begin(&mut self, new: Self) -> Result<(), Conflict> {
        match (&*self, &new) {
            (Self::Unknown, _) => {
                *self = new;
                Ok(())
            }
            (Self::Object(_), Self::Given(_)) | (Self::Given(_), Self::Object(_)) => {
                let there = std::mem::take(self).schema()?.expect("something is known");
                *self = Self::Given(unify(&there, &new.schema()?.expect("something is known"))?);
                Ok(())
            }
            (there, new) => Err(Conflict::new(there.schema_type(), new.schema_type())),
        }
    }

    fn schema_type(&self) -> &'static str {
        match self {
            Self::Unknown => "null",
            Self::Primitive(of) => of.schema_type().name(),
            Self::Array(_) => Type::Array.name(),
            Self::Object(_) | Self::Given(_) => Type::Struct.name(),
        }
    }

    fn schema(self) -> Result<Option<Arc<Schema>>, Conflict> {
        Ok(match self {
            Self::Unknown => None,
            Self::Primitive(schema) | Self::Given(schema) => Some(schema),
            Self::Array(item) => {
                let item = item.schema()?.expect("an array without items is not known");
                let array = Schema::array(item).optional().build();
                Some(array.expect("nothing in it is at fault"))
            }
            Self::Object(Members { members, .. }) => {
                let mut builder = Schema::structure();
                for (name, member) in members {
                    let member = member.schema()?.expect("a member is there once it is known");
                    builder = builder.field(name, member);
                }
                let built = builder.optional().build();
                Some(built.map_err(|error| Conflict::new("STRUCT", error.to_string()))?)
            }
        })
    }
}

impl Members {
    fn take(&mut self, key: &Value, value: &Value, left: &mut usize) -> Result<(), Conflict> {
        let name = key.as_str().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| Conflict::new("name", format!("{key:?}")).within("a key"))?;
        if let Some(index) = self.by_name.get(name) {
            let known = &mut self.members[*index].1;
            return known.take(value, left).map_err(|conflict| conflict.within(name));
        }
        let mut member = Inferred::Unknown;
        member
            .take(value, left)
            .map_err(|conflict| conflict.within(name))?;
        if !matches!(member, Inferred::Unknown) {
            pay(left)?;
            self.by_name.insert(name.to_owned(), self.members.len());
            self.members.push((name.to_owned(), member));
        }
        Ok(())
    }
}

fn pay(left: &mut usize) -> Result<(), Conflict> {
    *left = left.checked_sub(1).ok_or_else(Conflict::too_many)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::unify::FIELDS_UNIFIED, *};

    fn objects(count: usize) -> Vec<Value> {
        let object = |index: usize| Value::Map(vec![(format!("k{index}").into(), 1.into())]);
        (0..count).map(object).collect()
    }

    fn list(items: Vec<Value>) -> Value {
        Value::Map(vec![("a".into(), Value::Array(items))])
    }

    #[test]
    fn each_field_is_looked_at_once_however_many_items_there_are() {
        let before = FIELDS_UNIFIED.get();
        let schema = infer(&list(objects(1000))).expect("one schema").expect("known");
        let item = schema.fields()[0].schema.value_schema().expect("an array");
        assert_eq!(item.fields().len(), 1000);
        assert!(item.fields().iter().all(|field| field.schema.is_optional()));
        let unified = FIELDS_UNIFIED.get() - before;
        assert!(unified <= 2000, "{unified} fields were unified");
    }

    #[test]
    fn fields_are_counted_while_they_are_inferred() {
        // The list and its item take two.
        let all = |count| infer(&list(objects(count)));
        assert!(all(FIELDS_MAX - 2).is_ok());
        let mut items = objects(FIELDS_MAX - 1);
        let error = infer(&list(items.clone())).expect_err("one too many");
        assert!(error.to_string().contains("more than 10000 fields"), "{error}");
        // What comes after it is not looked at.
        items.insert(FIELDS_MAX - 2, items[0].clone());
        items.push("x".into());
        let error = infer(&Value::Array([objects(2 * FIELDS_MAX), items].concat())).expect_err("too many");
        assert!(error.to_string().contains("more than 10000 fields"), "{error}");
    }

    #[test]
    fn nothing_known_is_no_member_and_no_conflict() {
        let object = |value: Value| Value::Map(vec![("x".into(), 1.5.into()), ("y".into(), value)]);
        let unknown = [
            Value::Null,
            Value::Array(vec![Value::Null, Value::Array(vec![])]),
            Value::Map(vec![("z".into(), Value::Null)]),
        ];
        let mut items: Vec<Value> = unknown.into_iter().map(object).collect();
        let item = infer(&Value::Array(items.clone()));
        let item = item.expect("one schema").expect("known");
        let names = |schema: &Schema| -> Vec<String> {
            let fields = schema.value_schema().expect("an array").fields();
            fields
                .iter()
                .map(|field| format!("{} {}", field.name, field.schema.schema_type()))
                .collect()
        };
        assert_eq!(names(&item), ["x FLOAT64"]);
        items.push(object(true.into()));
        let item = infer(&Value::Array(items.clone()));
        let item = item.expect("one schema").expect("known");
        assert_eq!(names(&item), ["x FLOAT64", "y BOOLEAN"]);
        items.push(object("t".into()));
        let error = infer(&Value::Array(items)).expect_err("two types");
        let expected =
            "field [].y is STRING, which does not go with the BOOLEAN that it has been in this file";
        assert_eq!(error.to_string(), expected);
    }
}
