//! Texts with `${offset}` in them, the one variable there is. What is put in comes from the endpoint's answers, so it is
//! escaped for the place where it goes: an offset can never add a parameter, a path segment or a field.

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

/// A text, cut at its variables.
#[derive(Clone, Default)]
pub(crate) struct Template {
    /// The text before the first variable, between it and the next, …, after the last.
    texts: Vec<String>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// If it has a variable other than `${offset}`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut texts = vec![String::new()];
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, behind)) = after.split_once('}') else {
                return Err("the text has ${ without }".to_owned());
            };
            if name != "offset" {
                return Err(format!(
                    "${{{name}}} is not known; the one variable is ${{offset}}, without functions"
                ));
            }
            texts.last_mut().expect("there is always one").push_str(before);
            texts.push(String::new());
            rest = behind;
        }
        texts.last_mut().expect("there is always one").push_str(rest);
        Ok(Self { texts })
    }

    /// Whether it depends on the offset.
    pub(crate) fn has_offset(&self) -> bool {
        self.texts.len() > 1
    }

    /// The text with its variables replaced.
    pub(crate) fn render(&self, offset: &str, escape: Escape) -> String {
        let escaped = match escape {
            Escape::None => offset.to_owned(),
            Escape::Percent => percent_encoded(offset),
            Escape::Json => {
                let quoted = serde_json::Value::from(offset).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
        };
        self.texts.join(&escaped)
    }
}

fn percent_encoded(text: &str) -> String {
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

    #[test]
    fn offsets_are_escaped_for_their_place() {
        let template = Template::parse("$a{x}=${offset}&b=${offset}$").expect("a template");
        assert!(template.has_offset());
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
        for (escape, offset, expected) in cases {
            assert_eq!(template.render(offset, escape), expected);
        }
        assert!(!Template::parse("$offset {offset}").expect("plain").has_offset());
    }

    #[test]
    fn other_variables_are_refused_by_name() {
        for (text, part) in [
            ("${offset.id?c}", "${offset.id?c} is not known"),
            ("${entityName}", "${entityName} is not known"),
            ("a${offset", "without }"),
        ] {
            let reason = Template::parse(text).err().expect(text);
            assert!(reason.contains(part), "{reason}");
        }
    }
}
