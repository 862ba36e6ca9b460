//! Texts with variables in them, `${offset}`. What is put in comes from outside, so it is escaped for the place where it goes: a
//! value can never add a parameter, a path segment, a header or a field.

use std::fmt::Write;

/// How a variable's value is escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escape {
    /// Not at all.
    None,
    /// For a part of a URL or a form.
    Percent,
    /// For the inside of a JSON string.
    Json,
}

impl Escape {
    fn apply(self, value: &str) -> String {
        match self {
            Self::None => value.to_owned(),
            Self::Percent => percent_encoded(value),
            Self::Json => {
                let quoted = serde_json::Value::from(value).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
        }
    }
}

/// A text, cut at its variables.
#[derive(Debug, Clone)]
pub(crate) struct Template<V> {
    /// Each variable with the text before it.
    pieces: Vec<(String, V)>,
    /// The text after the last.
    rest: String,
}

impl<V> Default for Template<V> {
    fn default() -> Self {
        Self {
            pieces: Vec::new(),
            rest: String::new(),
        }
    }
}

impl<V> Template<V> {
    /// Reads a template whose variables `variable` knows by their names.
    ///
    /// # Errors
    /// If it has a variable that is not known: what `variable` says of it.
    pub(crate) fn parse(text: &str, variable: impl Fn(&str) -> Result<V, String>) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, behind)) = after.split_once('}') else {
                return Err("the text has ${ without }".to_owned());
            };
            pieces.push((before.to_owned(), variable(name)?));
            rest = behind;
        }
        let rest = rest.to_owned();
        Ok(Self { pieces, rest })
    }

    /// Its variables, in order.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &V> {
        self.pieces.iter().map(|(_, variable)| variable)
    }

    /// Whether it has any.
    pub(crate) fn is_fixed(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The text with its variables replaced.
    ///
    /// # Errors
    /// The first that `value` has.
    pub(crate) fn render<E>(
        &self,
        escape: Escape,
        mut value: impl FnMut(&V) -> Result<String, E>,
    ) -> Result<String, E> {
        self.render_each(|variable| value(variable).map(|value| (value, escape)))
    }

    /// The same, where variables differ in how they are escaped.
    ///
    /// # Errors
    /// The first that `value` has.
    pub(crate) fn render_each<E>(
        &self,
        mut value: impl FnMut(&V) -> Result<(String, Escape), E>,
    ) -> Result<String, E> {
        let mut text = String::new();
        for (before, variable) in &self.pieces {
            text.push_str(before);
            let (value, escape) = value(variable)?;
            text.push_str(&escape.apply(&value));
        }
        text.push_str(&self.rest);
        Ok(text)
    }
}

/// A text for a part of a URL: letters, digits and `-._~` as they are.
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}"); // Writing to a string does not fail.
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Template<()>, String> {
        Template::parse(text, |name| match name {
            "offset" => Ok(()),
            name => Err(format!("{name} is not known")),
        })
    }

    fn render(template: &Template<()>, value: &str, escape: Escape) -> String {
        let value = |(): &()| Ok::<_, String>(value.to_owned());
        template.render(escape, value).expect("a value")
    }

    #[test]
    fn values_are_escaped_for_their_place() {
        let template = parse("$a{x}=${offset}&b=${offset}$").expect("a template");
        assert_eq!((template.variables().count(), template.is_fixed()), (2, false));
        let cases = [
            (Escape::None, "a\"&/ü", "$a{x}=a\"&/ü&b=a\"&/ü$"),
            (
                Escape::Percent,
                "a\"&/ü",
                "$a{x}=a%22%26%2F%C3%BC&b=a%22%26%2F%C3%BC$",
            ),
            (Escape::Json, "a\"\n", "$a{x}=a\\\"\\n&b=a\\\"\\n$"),
            (
                Escape::Percent,
                "2024-01-01T00:00:00.5Z",
                "$a{x}=2024-01-01T00%3A00%3A00.5Z&b=2024-01-01T00%3A00%3A00.5Z$",
            ),
        ];
        for (escape, value, expected) in cases {
            assert_eq!(render(&template, value, escape), expected);
        }
        let plain = parse("$offset {offset}").expect("plain");
        assert!(plain.is_fixed());
        assert_eq!(render(&plain, "x", Escape::None), "$offset {offset}");
    }

    #[test]
    fn other_variables_are_refused_by_name() {
        for (text, part) in [
            ("${offset.id?c}", "offset.id?c is not known"),
            ("${entityName}", "entityName is not known"),
            ("a${offset", "without }"),
        ] {
            let reason = parse(text).expect_err(text);
            assert!(reason.contains(part), "{reason}");
        }
    }
}
