//! What was resolved must not be seen again: in states, in answers, in logs, in task configurations. Every value is remembered with the
//! reference that stands for it, for the whole process, as a connector may log it anywhere; texts have the reference in its place.

use std::borrow::Cow;
use std::sync::RwLock;

/// Shorter values are not looked for in texts, where they would be found everywhere; nor are these two.
const VALUE_BYTES_MIN: usize = 4;
const EVERYDAY: [&str; 2] = ["true", "false"];

/// How many are remembered; the shortest beyond that are forgotten.
const VALUES_MAX: usize = 10_000;

/// Values and their references, long ones first, so that one within another does not leave the rest of it.
static KNOWN: RwLock<Vec<(String, String)>> = RwLock::new(Vec::new());

/// Whether a value is one that is not found everywhere.
pub(super) fn is_telling(value: &str) -> bool {
    let value = value.trim();
    value.len() >= VALUE_BYTES_MIN && !EVERYDAY.contains(&value)
}

/// A value must not be seen again.
pub(super) fn remember(value: &str, reference: &str) {
    if !is_telling(value) {
        return;
    }
    let value = value.trim();
    let escaped = value.escape_debug().to_string();
    if escaped != value {
        remember_text(&escaped, reference);
    }
    remember_text(value, reference);
}

fn remember_text(value: &str, reference: &str) {
    let is_same = |(known, of): &(String, String)| known == value && of == reference;
    if KNOWN.read().expect("nobody panics with it").iter().any(is_same) {
        return;
    }
    let mut known = KNOWN.write().expect("nobody panics with it");
    known.retain(|(known, _)| known != value);
    let place = known.partition_point(|(known, _)| known.len() > value.len());
    known.insert(place, (value.to_owned(), reference.to_owned()));
    known.truncate(VALUES_MAX);
}

/// A text with references in the place of what config providers gave in this process: for whoever writes logs or answers.
pub fn redact(text: &str) -> Cow<'_, str> {
    let known = KNOWN.read().expect("nobody panics with it");
    let mut redacted = Cow::Borrowed(text);
    for (value, reference) in &*known {
        if redacted.contains(value.as_str()) {
            redacted = Cow::Owned(redacted.replace(value.as_str(), reference));
        }
    }
    redacted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_resolved_is_shown_as_its_reference() {
        remember("secrets-test-hunter2", "${file:/x:password}");
        remember("secrets-test-hunter2-and-more", "${env:LONG}");
        remember("abc", "${env:SHORT}");
        for (text, expected) in [
            (
                "login with secrets-test-hunter2!",
                "login with ${file:/x:password}!",
            ),
            ("secrets-test-hunter2-and-more", "${env:LONG}"),
            ("abc true", "abc true"),
        ] {
            assert_eq!(redact(text), expected);
        }
    }
}
