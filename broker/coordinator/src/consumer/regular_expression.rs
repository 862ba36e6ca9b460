//! Subscriptions by regular expression (KIP-848): RE2's syntax, whole names. Matching takes time linear in the name, whatever the expression.

use std::collections::BTreeSet;

use forebay_protocol::Utf8Bytes;
use forebay_records::Timestamp;
use regex::Regex;

use super::{ClusterImage, ResolvedRegularExpression};

/// An expression that names of topics are held against.
#[derive(Debug)]
pub(crate) struct RegularExpression(Regex);

impl RegularExpression {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = unquote(text);
        // By itself first: an unmatched parenthesis might find its match in what is put around it.
        Regex::new(&text)
            .and_then(|_| Regex::new(&format!(r"\A(?:{text})\z")))
            .map(Self)
            .map_err(|error| in_words_of_re2(error.to_string().lines().last().unwrap_or_default()))
    }

    /// Whether the whole of `name` matches.
    pub(crate) fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

/// What is wrong, as RE2 puts it; for what that does not know, in the library's words.
fn in_words_of_re2(error: &str) -> String {
    let error = error.trim_start_matches("error: ");
    let words = [
        ("unclosed group", "missing closing )"),
        ("unopened group", "unexpected )"),
        ("unclosed character class", "missing closing ]"),
        (
            "repetition operator missing expression",
            "missing argument to repetition operator",
        ),
        ("invalid character class range", "invalid character class range"),
        (
            "incomplete escape sequence",
            "trailing backslash at end of expression",
        ),
        ("unrecognized escape sequence", "invalid escape sequence"),
        ("look-around", "invalid or unsupported Perl syntax"),
        ("backreferences are not supported", "invalid escape sequence"),
    ];
    let known = words.iter().find(|(ours, _)| error.starts_with(ours));
    known.map_or(error, |(_, re2)| re2).to_owned()
}

/// `\Q` and `\E`, which RE2 knows and the library does not: what is between them stands for itself.
fn unquote(text: &str) -> String {
    let mut unquoted = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(escape) = rest.find('\\') {
        let (before, after) = rest.split_at(escape);
        unquoted.push_str(before);
        if let Some(quoted) = after.strip_prefix(r"\Q") {
            let (literal, after) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
            unquoted.push_str(&regex::escape(literal));
            rest = after;
        } else {
            // The backslash, and whatever it makes special.
            let length = after.chars().take(2).map(char::len_utf8).sum();
            unquoted.push_str(&after[..length]);
            rest = &after[length..];
        }
    }
    unquoted.push_str(rest);
    unquoted
}

/// The topics that match each of `regexes` now. One that cannot be read (a record of another broker's) matches none.
pub(crate) fn refresh<'a>(
    regexes: impl Iterator<Item = &'a Utf8Bytes>,
    image: &dyn ClusterImage,
    now: Timestamp,
) -> Vec<(Utf8Bytes, ResolvedRegularExpression)> {
    let names = image.topic_names();
    let resolved = regexes.map(|text| {
        let topics: BTreeSet<Utf8Bytes> = match RegularExpression::parse(text) {
            Ok(regex) => names.iter().filter(|name| regex.matches(name)).cloned().collect(),
            Err(_) => BTreeSet::new(),
        };
        let resolved = ResolvedRegularExpression {
            topics,
            version: image.version(),
            timestamp: now,
        };
        (text.clone(), resolved)
    });
    resolved.collect()
}
