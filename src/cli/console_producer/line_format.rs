//! What a line holds (Kafka's `LineMessageReader`): a value, or headers, key and value between separators.

use forebay_config::Properties;

/// How lines are to be read.
#[derive(Debug)]
pub(super) struct LineFormat {
    parse_key: bool,
    key_separator: String,
    parse_headers: bool,
    headers_delimiter: String,
    headers_separator: String,
    headers_key_separator: String,
    ignore_error: bool,
    null_marker: Option<String>,
}

/// A key and, unless it is null, a value.
type Header<'a> = (&'a str, Option<&'a [u8]>);

/// What a line holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parsed<'a> {
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Vec<Header<'a>>,
}

impl LineFormat {
    /// Reads the properties; the error is Kafka's text.
    pub(super) fn new(properties: &Properties) -> Result<Self, String> {
        let text = |key: &str, default: &str| properties.get(key).map_or(default, String::as_str).to_owned();
        let switch = |key: &str| {
            properties
                .get(key)
                .is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
        };
        let format = Self {
            parse_key: switch("parse.key"),
            key_separator: text("key.separator", "\t"),
            parse_headers: switch("parse.headers"),
            headers_delimiter: text("headers.delimiter", "\t"),
            headers_separator: text("headers.separator", ","),
            headers_key_separator: text("headers.key.separator", ":"),
            ignore_error: switch("ignore.error"),
            null_marker: properties.get("null.marker").cloned(),
        };
        format.check()?;
        Ok(format)
    }

    fn check(&self) -> Result<(), String> {
        let marker = self.null_marker.as_deref();
        let delimiter = ("headers.delimiter", self.headers_delimiter.as_str());
        let separator = ("headers.separator", self.headers_separator.as_str());
        let key_separator = ("headers.key.separator", self.headers_key_separator.as_str());
        for (one, other) in [
            (delimiter, separator),
            (delimiter, key_separator),
            (separator, key_separator),
        ] {
            if one.1 == other.1 {
                return Err(format!("{} and {} may not be equal", one.0, other.0));
            }
        }
        let own = ("key.separator", self.key_separator.as_str());
        for (name, value) in [own, separator, delimiter, key_separator] {
            if marker == Some(value) {
                return Err(format!("null.marker and {name} may not be equal"));
            }
            if value.is_empty() {
                return Err(format!("{name} may not be empty"));
            }
        }
        Ok(())
    }

    /// Reads one line, the `number`th from 1.
    pub(super) fn parse<'a>(&self, number: u64, line: &'a [u8]) -> Result<Parsed<'a>, String> {
        let mut rest = line;
        let mut take = |enabled: bool, separator: &str, name: &str| match find(rest, separator.as_bytes()) {
            _ if !enabled => Ok(None),
            Some(index) => {
                let taken = &rest[..index];
                rest = &rest[index + separator.len()..];
                Ok(Some(taken))
            }
            None if self.ignore_error => Ok(None),
            None => Err(format!(
                "No {name} found on line number {number}: '{}'",
                String::from_utf8_lossy(line)
            )),
        };
        let headers = take(self.parse_headers, &self.headers_delimiter, "headers delimiter")?;
        let key = take(self.parse_key, &self.key_separator, "key separator")?;
        let headers = match self.unless_null(headers) {
            Some(headers) => self.headers(number, headers)?,
            None => Vec::new(),
        };
        Ok(Parsed {
            key: self.unless_null(key),
            value: self.unless_null(Some(rest)),
            headers,
        })
    }

    fn unless_null<'a>(&self, part: Option<&'a [u8]>) -> Option<&'a [u8]> {
        part.filter(|part| {
            self.null_marker
                .as_ref()
                .is_none_or(|marker| marker.as_bytes() != *part)
        })
    }

    fn headers<'a>(&self, number: u64, text: &'a [u8]) -> Result<Vec<Header<'a>>, String> {
        let mut pairs = split(text, self.headers_separator.as_bytes());
        // As Java splits: nothing at the end is nothing, not an empty pair.
        while pairs.len() > 1 && pairs.last().is_some_and(|pair| pair.is_empty()) {
            pairs.pop();
        }
        pairs.into_iter().map(|pair| self.header(number, pair)).collect()
    }

    fn header<'a>(&self, number: u64, pair: &'a [u8]) -> Result<Header<'a>, String> {
        let shown = || String::from_utf8_lossy(pair).into_owned();
        let (key, value) = match find(pair, self.headers_key_separator.as_bytes()) {
            Some(index) => (
                &pair[..index],
                self.unless_null(Some(&pair[index + self.headers_key_separator.len()..])),
            ),
            None if self.ignore_error => (pair, None),
            None => {
                return Err(format!(
                    "No header key separator found in pair '{}' on line number {number}",
                    shown()
                ));
            }
        };
        let key = std::str::from_utf8(key).map_err(|_| {
            format!(
                "The header key in pair '{}' on line number {number} is not UTF-8",
                shown()
            )
        })?;
        if self.null_marker.as_deref() == Some(key) {
            return Err(format!(
                "Header keys should not be equal to the null marker '{key}' as they can't be null"
            ));
        }
        Ok((key, value))
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

fn split<'a>(mut text: &'a [u8], separator: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    while let Some(index) = find(text, separator) {
        parts.push(&text[..index]);
        text = &text[index + separator.len()..];
    }
    parts.push(text);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(properties: &str) -> LineFormat {
        LineFormat::new(&super::super::super::pairs(
            &properties.split(' ').collect::<Vec<_>>(),
        ))
        .expect("fine")
    }

    #[test]
    fn lines_are_read_as_kafka_reads_them() {
        let keyed = "parse.key=true key.separator=:";
        let full = "parse.key=true parse.headers=true null.marker=NULL";
        let cases: [(&str, &str, Option<&str>, Option<&str>); 8] = [
            ("a=b", "k\tv", None, Some("k\tv")),
            (keyed, "k:v:w", Some("k"), Some("v:w")),
            (keyed, ":v", Some(""), Some("v")),
            (keyed, "k:", Some("k"), Some("")),
            (
                "parse.key=true ignore.error=true",
                "novalue",
                None,
                Some("novalue"),
            ),
            (full, "h:1\tk\tv", Some("k"), Some("v")),
            (full, "NULL\tNULL\tNULL", None, None),
            (full, "h:1,\tk\tNULL", Some("k"), None),
        ];
        for (properties, line, key, value) in cases {
            let format = format(properties);
            let parsed = format.parse(1, line.as_bytes()).expect(line);
            assert_eq!(
                (parsed.key, parsed.value),
                (key.map(str::as_bytes), value.map(str::as_bytes)),
                "{line}"
            );
        }
    }

    #[test]
    fn headers_are_pairs() {
        let format = format("parse.headers=true null.marker=NULL");
        let parsed = format.parse(1, b"h1:v1,h2:NULL,h3:,,").map(|_| ());
        assert_eq!(
            parsed,
            Err("No headers delimiter found on line number 1: 'h1:v1,h2:NULL,h3:,,'".to_owned())
        );
        let parsed = format
            .parse(1, b"h1:v1,,h2:NULL\tv")
            .expect_err("an empty pair inside");
        assert_eq!(
            parsed,
            "No header key separator found in pair '' on line number 1".to_owned(),
            "but not at the end"
        );
        let parsed = format.parse(1, b"h1:v1,h2:NULL,h3:,\tv").expect("fine");
        assert_eq!(
            parsed.headers,
            [("h1", Some(&b"v1"[..])), ("h2", None), ("h3", Some(&b""[..]))]
        );
    }

    #[test]
    fn what_has_not_its_form_is_refused_in_kafkas_words() {
        let cases = [
            (
                "parse.key=true",
                "nokey",
                "No key separator found on line number 7: 'nokey'",
            ),
            (
                "parse.headers=true",
                "h1\tv",
                "No header key separator found in pair 'h1' on line number 7",
            ),
            (
                "parse.headers=true null.marker=NULL",
                "NULL:1\tv",
                "Header keys should not be equal to the null marker 'NULL' as they can't be null",
            ),
        ];
        for (properties, line, message) in cases {
            assert_eq!(
                format(properties).parse(7, line.as_bytes()),
                Err(message.to_owned())
            );
        }
        let refused = [
            (
                "headers.delimiter=,",
                "headers.delimiter and headers.separator may not be equal",
            ),
            (
                "null.marker=,",
                "null.marker and headers.separator may not be equal",
            ),
            ("key.separator=", "key.separator may not be empty"),
        ];
        for (properties, message) in refused {
            let properties = super::super::super::pairs(&[properties]);
            assert_eq!(LineFormat::new(&properties).map(|_| ()), Err(message.to_owned()));
        }
    }
}
