//! Headers as configurations write them: `Name: value`, several separated by a given text, or by `|` or a comma if none is given.
//! Values are secrets: they are marked as such, and no error shows one.

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::template::{Escape, Template};

/// Headers that belong to the connection, or that would change how an answer has to be read.
const REFUSED: [HeaderName; 6] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::ACCEPT_ENCODING,
    header::RANGE,
];

/// Reads a list of headers. Without a separator the list is split at `|` where it has one, else at commas that a name and a
/// colon follow, so that `Accept: a, b` is one header.
///
/// # Errors
/// What is wrong, without any value.
pub(crate) fn parse(text: &str, separator: Option<&str>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let lines: Vec<String> = match separator.filter(|separator| !separator.is_empty()) {
        Some(separator) => text.split(separator).map(str::to_owned).collect(),
        None if text.contains('|') => text.split('|').map(str::to_owned).collect(),
        None => at_commas(text),
    };
    for (index, line) in lines.iter().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let Some((name, content)) = line.split_once(':') else {
            return Err(format!("header {} of the list has no colon", index + 1));
        };
        let name: HeaderName = name
            .trim()
            .parse()
            .map_err(|_| format!("header {} of the list has no valid name", index + 1))?;
        if REFUSED.contains(&name) {
            return Err(format!("the header {name} is the connector's own to set"));
        }
        let content = value(content.trim()).map_err(|reason| format!("the header {name}: {reason}"))?;
        headers.append(name, content);
    }
    Ok(headers)
}

/// Headers of which some have variables in their values.
#[derive(Debug, Clone)]
pub(crate) struct Templates<V> {
    fixed: HeaderMap,
    varying: Vec<(HeaderName, Template<V>)>,
}

impl<V> Templates<V> {
    /// Looks for variables in headers.
    ///
    /// # Errors
    /// If there is one that is not known; no value is shown.
    pub(crate) fn new(
        headers: HeaderMap,
        variable: impl Fn(&str) -> Result<V, String>,
    ) -> Result<Self, String> {
        let mut fixed = headers;
        let mut varying = Vec::new();
        let names: Vec<HeaderName> = fixed.keys().cloned().collect();
        for name in names {
            let has_variable = |value: &HeaderValue| value.to_str().is_ok_and(|text| text.contains("${"));
            if !fixed.get_all(&name).iter().any(has_variable) {
                continue;
            }
            for value in fixed.get_all(&name) {
                let text = value
                    .to_str()
                    .map_err(|_| format!("the header {name} is no text"))?;
                let template = Template::parse(text, &variable);
                let template = template.map_err(|reason| format!("the header {name}: {reason}"))?;
                varying.push((name.clone(), template));
            }
            fixed.remove(&name);
        }
        Ok(Self { fixed, varying })
    }

    /// Whether there are no variables.
    pub(crate) fn is_fixed(&self) -> bool {
        self.varying.is_empty()
    }

    /// The variables, each as often as it is there.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &V> {
        self.varying.iter().flat_map(|(_, template)| template.variables())
    }

    /// The headers without variables.
    pub(crate) fn fixed(&self) -> &HeaderMap {
        &self.fixed
    }

    /// All headers, with variables replaced.
    ///
    /// # Errors
    /// `of`'s, or that a value holds what no header may have.
    pub(crate) fn render(
        &self,
        mut of: impl FnMut(&V) -> Result<String, String>,
    ) -> Result<HeaderMap, String> {
        let mut headers = self.fixed.clone();
        for (name, template) in &self.varying {
            let text = template.render(Escape::None, &mut of)?;
            let content = value(&text).map_err(|reason| format!("the header {name}: {reason}"))?;
            headers.append(name, content);
        }
        Ok(headers)
    }
}

/// A value, marked as a secret.
///
/// # Errors
/// If it holds what a header cannot.
pub(crate) fn value(text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| "its value holds characters that no header may have".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// What the header Authorization holds for basic authentication.
pub(crate) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// How what goes into a body of that type is escaped.
pub(crate) fn escape_for(content_type: Option<&HeaderValue>) -> Escape {
    let text = content_type
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media_type = text
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match media_type.as_str() {
        "application/x-www-form-urlencoded" => Escape::Percent,
        json if json.ends_with("/json") || json.ends_with("+json") => Escape::Json,
        _ => Escape::None,
    }
}

fn at_commas(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for piece in text.split(',') {
        let begins = piece
            .split_once(':')
            .is_some_and(|(name, _)| name.trim().parse::<HeaderName>().is_ok());
        match lines.last_mut() {
            Some(line) if !begins => {
                line.push(',');
                line.push_str(piece);
            }
            _ => lines.push(piece.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str, separator: Option<&str>) -> Vec<String> {
        let headers = parse(text, separator).expect("headers");
        headers
            .iter()
            .map(|(name, value)| format!("{name}={}", value.to_str().expect("text")))
            .collect()
    }

    #[test]
    fn lists_are_split_as_their_authors_meant() {
        let cases = [
            (
                "Accept: a/b, c/d, X-Key: 1",
                None,
                vec!["accept=a/b, c/d", "x-key=1"],
            ),
            ("A: 1,2|B: http://x", None, vec!["a=1,2", "b=http://x"]),
            ("A:1;B:2", Some(";"), vec!["a=1", "b=2"]),
            ("A: 1, A: 2", None, vec!["a=1", "a=2"]),
            ("", None, vec![]),
        ];
        for (text, separator, expected) in cases {
            assert_eq!(list(text, separator), expected, "{text}");
        }
    }

    #[test]
    fn variables_cannot_add_headers() {
        let headers = parse("X-A: ${v}|X-A: b${v}|X-B: 1", None).expect("headers");
        let templates = Templates::new(headers, |_| Ok(())).expect("templates");
        assert!(!templates.is_fixed());
        let rendered = templates.render(|()| Ok("x: y|z".to_owned())).expect("a value");
        let values: Vec<&str> = rendered
            .get_all("x-a")
            .iter()
            .map(|value| value.to_str().expect("text"))
            .collect();
        assert_eq!((values, rendered.len()), (vec!["x: y|z", "bx: y|z"], 3));
        for bad in ["a\r\nX-C: 1", "a\nb", "a\0"] {
            let reason = templates.render(|()| Ok(bad.to_owned())).expect_err(bad);
            assert!(reason.starts_with("the header x-a: its value holds"), "{reason}");
        }
    }

    #[test]
    fn errors_and_debug_show_no_value() {
        for bad in [
            "secret",
            "X-Key secret",
            "X Key: secret",
            "X-Key: sec\nret",
            "Content-Length: 5",
        ] {
            let reason = parse(bad, Some("|")).expect_err(bad);
            assert!(
                !reason.contains("secret") && !reason.contains("sec\n"),
                "{reason}"
            );
        }
        let headers = parse("X-Key: secret", None).expect("a header");
        assert!(!format!("{headers:?}").contains("secret"));
    }
}
