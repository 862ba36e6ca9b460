//! How a field is named: at the root only (V1), or by a path with dots (V2), where backticks surround names that have dots
//! themselves (KIP-821; Kafka's `SingleFieldPath`).

use forebay_connect_api::{Field, Schema, Struct, Value, schema::Type};

use crate::Error;
use crate::structure::{entry, field_value, require_map, require_struct_or_null};

const PURPOSE: &str = "nested field access";

/// The steps to a field, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldPath(Vec<String>);

impl FieldPath {
    /// The field of that name at the root.
    pub(crate) fn root(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }

    /// The field at the end of that path.
    pub(crate) fn nested(path: &str) -> Result<Self, Error> {
        let characters: Vec<char> = path.chars().collect();
        let mut steps = Vec::new();
        let mut index = 0;
        while index < characters.len() {
            let (step, next) = if characters[index] == '`' {
                quoted(&characters, index).ok_or_else(|| incomplete(path, index))?
            } else {
                let end = find(&characters, '.', index);
                (text(&characters[index..end]), end + 1)
            };
            steps.push(step);
            index = next;
        }
        if path.is_empty() || path.ends_with('.') {
            steps.push(String::new());
        }
        Ok(Self(steps))
    }

    fn split(&self) -> (&[String], &str) {
        let (last, before) = self.0.split_last().expect("there is at least one step");
        (before, last)
    }

    /// The field that it names in a schema.
    pub(crate) fn field_of<'a>(&self, schema: &'a Schema) -> Result<Option<&'a Field>, Error> {
        let (before, last) = self.split();
        let mut current = schema;
        for step in before {
            match look_up(current, step)? {
                Some(field) => current = &field.schema,
                None => return Ok(None),
            }
        }
        look_up(current, last)
    }

    /// The value in a struct; null where something on the way is null or not there.
    pub(crate) fn value_in(&self, of: &Struct, with_default: bool) -> Result<Value, Error> {
        let (before, last) = self.split();
        let mut current = of;
        for step in before {
            let Some(inner) = current.get(step) else {
                return Ok(Value::Null);
            };
            let schema = current.schema().field(step).map(|field| &*field.schema);
            match require_struct_or_null(schema, inner, PURPOSE)? {
                Some(inner) => current = inner,
                None => return Ok(Value::Null),
            }
        }
        Ok(field_value(current, last, with_default).unwrap_or_default())
    }

    /// The value in a map without a schema; null where something on the way is null or not there.
    pub(crate) fn value_in_map(&self, of: &[(Value, Value)]) -> Result<Value, Error> {
        let (before, last) = self.split();
        let mut current = of;
        for step in before {
            match entry(current, step) {
                None | Some(Value::Null) => return Ok(Value::Null),
                Some(inner) => current = require_map(inner, PURPOSE)?,
            }
        }
        Ok(entry(current, last).cloned().unwrap_or_default())
    }
}

fn look_up<'a>(schema: &'a Schema, name: &str) -> Result<Option<&'a Field>, Error> {
    if schema.schema_type() != Type::Struct {
        return Err(Error::Data("Cannot look up fields on non-struct type".to_owned()));
    }
    Ok(schema.field(name))
}

/// Where that character is next, or the end.
fn find(characters: &[char], wanted: char, from: usize) -> usize {
    let place = characters[from..].iter().position(|c| *c == wanted);
    place.map_or(characters.len(), |place| from + place)
}

fn text(characters: &[char]) -> String {
    characters.iter().collect()
}

/// The name between the backtick at `open` and the one that closes it, and where the next step begins. A backtick within the name
/// stands as it is, unless a dot follows: then a backslash before it says that it does not close.
fn quoted(characters: &[char], open: usize) -> Option<(String, usize)> {
    let mut name = String::new();
    let mut start = open + 1;
    let mut index = start;
    loop {
        index = find(characters, '`', index);
        if index == characters.len() {
            return None;
        }
        let is_escaped = characters[index - 1] == '\\';
        if index + 1 == characters.len() {
            if is_escaped {
                return None;
            }
            name.push_str(&text(&characters[start..index]));
            return Some((name, index + 1));
        }
        if characters[index + 1] == '.' {
            if !is_escaped {
                name.push_str(&text(&characters[start..index]));
                return Some((name, index + 2));
            }
            name.push_str(&text(&characters[start..index - 1]));
            name.push('`');
            start = index + 1;
        }
        index += 1;
    }
}

fn incomplete(path: &str, open: usize) -> Error {
    Error::config(format!(
        "Incomplete backtick pair in path: [{path}], consider adding a backslash before backtick at position {open} to escape it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cut_at_dots_outside_of_backticks() {
        for (path, steps) in [
            ("a", &["a"][..]),
            ("a.b.c", &["a", "b", "c"]),
            ("`a.b`.c", &["a.b", "c"]),
            ("a.`b.c`", &["a", "b.c"]),
            ("a`b.c", &["a`b", "c"]),
            ("`a`b`.c", &["a`b", "c"]),
            (r"`a\`.b`.c", &["a`.b", "c"]),
            ("a.", &["a", ""]),
            (".a", &["", "a"]),
            ("", &[""]),
        ] {
            let expected = FieldPath(steps.iter().map(ToString::to_string).collect());
            assert_eq!(FieldPath::nested(path), Ok(expected), "{path}");
        }
        for path in ["`a", r"`a\`", "b.`a.c"] {
            let error = FieldPath::nested(path).expect_err(path).to_string();
            assert!(
                error.starts_with("Incomplete backtick pair in path: ["),
                "{error}"
            );
        }
        assert_eq!(FieldPath::root("a.b").0, ["a.b"]);
    }
}
