//! Forebay's own file: one TOML table per role (`[broker]`), Kafka's keys in it, dots and all. TOML reads `a.b = 1` as a
//! table in a table; here both ways of writing it are the key `a.b`. Values become the strings Kafka would have.

use std::{collections::BTreeMap, sync::Arc};

use ::toml::de::{DeTable, DeValue};

use crate::{
    entries::{Entries, Entry, Location, Origin},
    error::Error,
};

/// The settings of each table; those before the first table are under the empty name.
pub type Sections = BTreeMap<String, Entries>;

/// Reads the tables; `file` is the name that errors show.
///
/// # Errors
/// [`Error::Syntax`] with file and line, if it is not TOML or a value has no counterpart in Kafka's configuration.
pub fn parse(file: &str, text: &str) -> Result<Sections, Error> {
    let reader = Reader {
        file: file.into(),
        text,
    };
    let table = DeTable::parse(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        let cure = if error.message().contains("dotted key") || error.message().contains("duplicate key") {
            "; a key that is also the beginning of others (`transforms` and `transforms.x.type`) needs those in quotes"
        } else {
            ""
        };
        reader.error(offset, format!("{}{cure}", error.message().replace('\n', " ")))
    })?;
    let mut sections = Sections::new();
    for (name, value) in table.get_ref() {
        match value.get_ref() {
            DeValue::Table(keys) => {
                let entries = sections.entry(name.get_ref().to_string()).or_default();
                for (key, value) in keys {
                    reader.flatten(key.get_ref(), key.span().start, value.get_ref(), entries)?;
                }
            }
            other => {
                let entries = sections.entry(String::new()).or_default();
                reader.flatten(name.get_ref(), name.span().start, other, entries)?;
            }
        }
    }
    Ok(sections)
}

struct Reader<'a> {
    file: Arc<str>,
    text: &'a str,
}

impl Reader<'_> {
    fn location(&self, offset: usize) -> Location {
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        let lines = before.iter().filter(|byte| **byte == b'\n').count();
        Location {
            file: self.file.clone(),
            line: u32::try_from(lines + 1).ok(),
        }
    }

    fn error(&self, offset: usize, message: String) -> Error {
        Error::At {
            location: self.location(offset),
            error: Box::new(Error::Syntax { message }),
        }
    }

    /// Depth is bounded by the TOML parser's own limit.
    fn flatten(
        &self,
        key: &str,
        offset: usize,
        value: &DeValue<'_>,
        entries: &mut Entries,
    ) -> Result<(), Error> {
        if let DeValue::Table(table) = value {
            for (name, value) in table {
                let key = format!("{key}.{}", name.get_ref());
                self.flatten(&key, name.span().start, value.get_ref(), entries)?;
            }
            return Ok(());
        }
        let value = match value {
            DeValue::Array(items) => {
                let items = items.iter().map(|item| self.scalar(key, offset, item.get_ref()));
                items.collect::<Result<Vec<_>, _>>()?.join(",")
            }
            scalar => self.scalar(key, offset, scalar)?,
        };
        if entries.get(key).is_some() {
            return Err(self.error(offset, format!("duplicate key \"{key}\"")));
        }
        let location = self.location(offset);
        entries.push(Entry {
            key: key.to_owned(),
            value,
            location,
            origin: Origin::Toml,
        });
        Ok(())
    }

    fn scalar(&self, key: &str, offset: usize, value: &DeValue<'_>) -> Result<String, Error> {
        match value {
            DeValue::String(text) => Ok(text.to_string()),
            DeValue::Boolean(value) => Ok(value.to_string()),
            DeValue::Float(number) => Ok(number.as_str().replace('_', "")),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map(|number| number.to_string())
                .map_err(|_| self.error(offset, format!("the number of {key} does not fit in 64 bits"))),
            DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => Err(self.error(
                offset,
                format!("{key} must be a string, a number, true or false, or an array of those"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_become_keys_of_roles() {
        let text = r#"
            data-dir = "d"
            [broker]
            log.retention.hours = 168
            "log.dirs" = ["a", 'b']
            auto.create.topics.enable = false
            x = 1_000
            y = 0.5
            h = 0x10
            [connect.offset]
            storage.topic = "offsets"
        "#;
        let sections = parse("f.toml", text).expect("well-formed");
        let found: Vec<(&str, &str, &str, Option<u32>)> = sections
            .iter()
            .flat_map(|(section, entries)| entries.iter().map(move |entry| (section, entry)))
            .map(|(section, entry)| {
                (
                    section.as_str(),
                    entry.key.as_str(),
                    entry.value.as_str(),
                    entry.location.line,
                )
            })
            .collect();
        let mut expected = [
            ("", "data-dir", "d", Some(2)),
            ("broker", "log.retention.hours", "168", Some(4)),
            ("broker", "log.dirs", "a,b", Some(5)),
            ("broker", "auto.create.topics.enable", "false", Some(6)),
            ("broker", "x", "1000", Some(7)),
            ("broker", "y", "0.5", Some(8)),
            ("broker", "h", "16", Some(9)),
            ("connect", "offset.storage.topic", "offsets", Some(11)),
        ];
        let mut found = found;
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }

    #[test]
    fn mistakes_name_file_and_line() {
        let cases = [
            ("[broker]\nx = ", "f.toml:2: "),
            ("[broker]\n\nx = 1979-05-27", "f.toml:3: x must be a string"),
            ("[broker]\nx = [[1]]", "f.toml:2: x must be a string"),
            ("[broker]\na.b = 1\n\"a.b\" = 2", "duplicate key \"a.b\""),
            (
                "[connect]\ntransforms = 'x'\ntransforms.x.type = 't'",
                "needs those in quotes",
            ),
            ("[broker]\nx = 99999999999999999999", "f.toml:2: "),
        ];
        for (text, expected) in cases {
            let error = parse("f.toml", text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text:?} gave {error:?}");
        }
    }
}
