//! What connectors made of a configuration, as it may be stored: with references in the place of what they stand for (Kafka's
//! `AbstractHerder.reverseTransform`, which knows whole keys only). Only what this configuration's own references gave is looked
//! for, and only where resolving gives it back: a task must get what its connector made.

use std::sync::Arc;

use forebay_config::Properties;

use super::reference::Text;
use super::{Resolved, secrets};

/// What the references of a configuration stand for, with them; long values first.
#[derive(Clone, Default)]
pub(super) struct Values(Arc<[(String, String)]>);

impl std::fmt::Debug for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let references = self.0.iter().map(|(_, reference)| reference);
        f.debug_list().entries(references).finish()
    }
}

impl Values {
    /// Of values with their references.
    pub(super) fn new(values: impl IntoIterator<Item = (String, String)>) -> Self {
        let values = values.into_iter();
        let mut values: Vec<_> = values.filter(|(value, _)| secrets::is_telling(value)).collect();
        values.sort_by(|(one, of_one), (other, of_other)| {
            (other.len(), one, of_one).cmp(&(one.len(), other, of_other))
        });
        values.dedup();
        Self(values.into())
    }

    /// The text with references, if it has such values, and resolving makes it what it is.
    fn reversed(&self, made: &str) -> Option<String> {
        let mut text = String::with_capacity(made.len());
        let (mut rest, mut is_other) = (made, false);
        while let Some(next) = rest.chars().next() {
            let found = self.0.iter().find(|(value, _)| rest.starts_with(value.as_str()));
            if let Some((value, reference)) = found {
                text.push_str(reference);
                rest = &rest[value.len()..];
                is_other = true;
            } else {
                text.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
        let resolved = || Text::parse(&text).replace(|reference| Ok(self.of(reference.text())));
        (is_other && resolved().as_deref() == Ok(made)).then_some(text)
    }

    fn of(&self, reference: &str) -> Option<String> {
        let known = self.0.iter().find(|(_, known)| known == reference);
        known.map(|(value, _)| value.clone())
    }
}

impl Resolved {
    /// What a connector that was given this made of it, with the references of `raw`, which this was made of: of keys that have
    /// some there, and wherever it has put their values.
    pub(crate) fn without_secrets(&self, raw: &Properties, made: Properties) -> Properties {
        let has_references = |key: &String| raw.get(key).filter(|value| Text::parse(value).has_references());
        let made = made.into_iter().map(|(key, value)| {
            let stored = has_references(&key).cloned();
            let stored = stored.or_else(|| self.values.reversed(&value));
            (key, stored.unwrap_or(value))
        });
        made.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: [(&str, &str); 5] = [
        ("hunter2-long", "${file:/x:password}"),
        ("file", "${file:/x:kind}"),
        ("hunter2-long-and-more", "${env:LONG}"),
        ("in-a-file\n", "${directory:/x:token}"),
        ("abc", "${env:SHORT}"),
    ];

    #[test]
    fn values_become_references_where_resolving_gives_them_back() {
        let values = VALUES.map(|(value, reference)| (value.to_owned(), reference.to_owned()));
        let values = Values::new(values);
        for (made, expected) in [
            (
                "http://al:hunter2-long@host",
                Some("http://al:${file:/x:password}@host"),
            ),
            // What was put in is not looked at again.
            ("hunter2-long file", Some("${file:/x:password} ${file:/x:kind}")),
            ("hunter2-long-and-more", Some("${env:LONG}")),
            ("x=in-a-file\n", Some("x=${directory:/x:token}")),
            // The connector has trimmed it: the reference would bring the line's end back.
            (
                "http://al:in-a-file@host",
                Some("http://al:in-a-${file:/x:kind}@host"),
            ),
            ("in-a-fil", None),
            // It would be taken for a reference's beginning.
            ("${x:hunter2-long", None),
            ("abc", None),
            ("ümläut", None),
            ("", None),
        ] {
            assert_eq!(values.reversed(made).as_deref(), expected, "{made}");
        }
        let shown = format!("{values:?}");
        assert!(
            shown.contains("${env:LONG}") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}
